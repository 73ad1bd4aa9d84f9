# Image hosts that re-encode what they are given, for servers.sh: what the probe advises is what a backup
# of a hundred megabytes then survives.
# shellcheck shell=bash
# shellcheck disable=SC2154 # variables of servers.sh and lib.sh

php_port=''

# Makes `host.sxcu`, a host that takes pictures at UPLOAD and shows them below PICTURES.
lossy_uploader() { # UPLOAD PICTURES [BODY]
    configure lossy.sxcu PORT="$web_port" UPLOAD="$1" PICTURES="$2" BODY="${3-MultipartFormData}" >host.sxcu
}

# Checks that the host re-encodes as expected, that the probe advises one of these levels, and that a
# backup of the advised pictures comes back. It is nearly always the first of them; pictures of the probe are
# noise, of which some need more correction than others.
lossy_backup() { # LEVELS CAME_BACK
    sx-put --probe --to ./host.sxcu >report || fail "no advice: $(cat report)"
    grep -E "changed: was 1024 x 768 PNG, came back a 1024 x 768 $2" report || fail "$(cat report)"
    local advice
    advice=$(sed -nE 's/^use: sx-encode (--sturdy [1-4] -W 1024 -H 768) \([0-9]+ kB a picture\)$/\1/p' report)
    [[ $advice = "--sturdy "[$1]" -W 1024 -H 768" ]] || fail "other advice: $(cat report)"
    mixed_data 100 >stream
    # shellcheck disable=SC2086 # they are words
    sx-encode $advice stream | sx-put --to ./host.sxcu >key
    comes_back
    sx-get --check --sample 40 key >checked
    grep -E 'corrected' checked || fail "nothing corrected: $(cat checked)"
}

# Noise and text in turn, a megabyte each.
mixed_data() { # MEGABYTES
    local at
    for ((at = 0; at < $1; at += 2)); do
        head -c 1000000 /dev/urandom
        head -c 740256 /dev/urandom | base64 -w 76
    done
}

# That a host gives back a JPEG loses a plain picture, and is said after the first one.
lossy_plain_is_refused() {
    random 3M plain
    sx-encode -0 plain >frames
    refused 1 'came back a .* JPEG' sx-put --to ./host.sxcu <frames >key.plain
    [ ! -s key.plain ] || fail 'a key'
}

## nginx and PHP

# Starts both; pictures are kept in $work/$1.data/www/pictures.
php_start() { # GROUP
    local fpm folder=$work/$1.data
    fpm=$(compgen -c php-fpm | sort -V | tail -n 1)
    mkdir -p "$folder/www/pictures"
    ports web_port php_port
    configure php-fpm.conf ROOT="$folder" PHP="$php_port" USER="$(id -un)" >"$work/php-fpm.conf"
    configure lossy.conf ROOT="$folder" PORT="$web_port" PHP="$php_port" SCRIPT="$configs/upload.php" >"$work/lossy.conf"
    start php "$(type -P "$fpm")" -R -n -d extension=gd -y "$work/php-fpm.conf"
    await php is_open "$php_port" || return
    start nginx_php "$(type -P nginx)" -c "$work/lossy.conf"
    await nginx_php answers "http://127.0.0.1:$web_port/"
}

## A script that makes JPEGs of uploads by GD

gd() {
    php_start gd || return
    check 240 gd_default_quality
    check 240 gd_quality_90
    rm -rf "$work/gd.data"
}

gd_default_quality() {
    lossy_uploader upload/default pictures
    lossy_plain_is_refused
    lossy_backup 23 'JPEG of quality 75'
}

gd_quality_90() {
    lossy_uploader upload/90 pictures
    lossy_backup 12 'JPEG of quality 90'
}

## nginx's image filter. It leaves alone what is small enough, but for JPEGs of which more than a twentieth
## is metadata: these it re-encodes, with quality 75, whenever they are asked for.

image_filter() {
    php_start image_filter || return
    check 30 image_filter_leaves_small_pictures_alone
    check 240 image_filter_of_jpegs_with_metadata
    rm -rf "$work/image_filter.data"
}

# What is larger than it allows is made smaller, and the probe says what isn't.
image_filter_leaves_small_pictures_alone() {
    lossy_uploader upload/kept small
    sx-put --probe --to ./host.sxcu >report
    grep 'came back 512 x 384 PNG, resized from 1024 x 768' report
    grep -x 'use: sx-encode -W 512 -H 384' report
    round_trip ./host.sxcu 3M -W 512 -H 384
}

# They are JPEGs of quality 90 before.
image_filter_of_jpegs_with_metadata() {
    lossy_uploader upload/90/metadata filtered
    lossy_backup 23 'JPEG of quality 75'
}

## A host of our own that re-encodes each upload twice

twice() {
    mkdir "$work/twice.data"
    ports web_port
    start twice "$python" "$configs/twice.py" "$web_port" "$work/twice.data"
    await twice is_open "$web_port" || return
    check 240 twice_backup
    rm -rf "$work/twice.data"
}

twice_backup() {
    lossy_uploader upload p Binary
    lossy_backup 23 'JPEG of quality 75'
}
