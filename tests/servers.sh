#!/usr/bin/env bash
# The network stores against real servers, on loopback, in a temporary folder.
#
#   PATH=…/target/release:$PATH [PAIRS=7] tests/servers.sh [GROUP...]
#
# Prints `ok NAME` or `not ok NAME` for each check, with what it said, and at the end how many passed
# and failed. Installs what it lacks: a Python venv in $XDG_CACHE_HOME/storagex-servers and, as root,
# Debian packages. A check is a function that starts with the name of its group; it runs in an empty
# folder and a process group of its own, with `set -eu`, and nothing that it says may hold a secret.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
groups=(seaweedfs rclone_s3 rclone_webdav nginx wsgidav copyparty copyparty_host thumbor gd image_filter twice faults haproxy
    proxies mixed speed)
# All has to be over after so many seconds, however much hangs.
time_limit=1500

# shellcheck source-path=SCRIPTDIR source=servers/lib.sh
. "$here/servers/lib.sh"
# shellcheck source-path=SCRIPTDIR source=servers/lossy.sh
. "$here/servers/lossy.sh"

## Groups of checks

# shellcheck disable=SC2034 # two of them are used by name
master_port='' filer_port='' volume_1='' volume_2='' volume_3=''
s3_port='' web_port='' other_port='' fault_port='' busy_port='' throttled_port='' down_port=''

# Runs the checks of a group. If its servers don't start it has failed.
group() { # NAME
    mkdir "$work/$1"
    set +e # and no `if`, in which checks could have no `set -e` of their own
    "$1"
    status=$?
    set -e
    [ "$status" = 0 ] || {
        failed=$((failed + 1))
        printf 'not ok %s\n' "$1"
    }
    stop "${!server[@]}"
    rm -rf "${work:?}/$1"
}

# What S3 clients are told.
as_s3() { # PORT [SECRET]
    export AWS_ENDPOINT_URL=http://127.0.0.1:$1 AWS_REGION=us-east-1
    export AWS_ACCESS_KEY_ID=$access_key AWS_SECRET_ACCESS_KEY=${2-$secret}
    export S3_ENDPOINT_URL=$AWS_ENDPOINT_URL # of s5cmd
}

# What clients of a web server are told.
as_user() { # [PASSWORD]
    export SX_HTTP_USER=user SX_HTTP_PASSWORD=${1-$secret}
}

# Makes `stream`, random bytes, and keeps it in a store; the key is in `key`.
put() { # STORE BYTES [OPTION_OF_ENCODE...]
    local store=$1
    random "$2" stream
    shift 2
    sx-encode -0 "$@" stream >frames
    sx-put --to "$store" <frames >key
}

# Checks that what `put` kept comes back.
comes_back() {
    sx-get key | sx-decode | cmp - stream
}

round_trip() { # STORE BYTES [OPTION_OF_ENCODE...]
    put "$@"
    comes_back
}

# Checks that putting `frames` again gives the same key and doesn't change what LIST shows.
put_again_changes_nothing() { # STORE LIST...
    local store=$1
    shift
    "$@" >before
    sleep 1.1 # times may be of whole seconds
    sx-put --to "$store" <frames >key.again
    cmp key key.again
    "$@" >after
    cmp before after
}

# Checks that a store can be pruned: what no key needs is a fossil, which sx-get finds, and then gone; one
# that a key needs again is moved back.
prunes() { # STORE
    put "$1" 500K -W 128 -H 128
    mv key old.key
    mv stream old
    put "$1" 300K -W 128 -H 128
    sx-put --prune --to "$1" key old.key >said
    ! sx-get --check key old.key | grep fossil || fail 'a fossil of what keys need'
    sx-put --prune --to "$1" key >said
    comes_back
    sx-get old.key | sx-decode | cmp - old
    sx-put --prune --to "$1" key old.key >said
    sx-get --check old.key >report || fail "not moved back: $(cat report)"
    sx-put --prune --to "$1" key >said
    sleep 2
    sx-put --prune --grace 0 --dry-run --to "$1" key >said
    sx-get old.key | sx-decode | cmp - old
    sx-put --prune --grace 0 --to "$1" key >said
    comes_back
    refused 1 'not found' sx-get old.key >got
    sx-get --check key
}

# The files below a folder, with sizes and times.
files() { # FOLDER
    find "$1" -type f -printf '%P %s %T@\n' | sort
}

# Cuts short the pictures below a folder but for one, as some servers do with what they get of an
# upload that is cut.
cut_short() { # FOLDER
    find "$1" -name '*.png' | sort | tail -n +2 | xargs -r truncate -s 1000
}

## SeaweedFS: a master, three volume servers that keep everything twice, a filer, S3

seaweedfs() {
    seaweedfs_start || return
    check 20 seaweedfs_wrong_secret
    check 60 seaweedfs_prunes
    check 20 seaweedfs_unknown_key
    check 60 seaweedfs_second_run_sends_nothing
    check 60 seaweedfs_uploads_flipped
    check 150 seaweedfs_gigabyte_while_a_volume_server_dies
}

seaweedfs_start() {
    local i folder=$work/seaweedfs
    mkdir -p "$folder/"{master,filer,1,2,3}
    ports master_port filer_port s3_port volume_1 volume_2 volume_3
    cat >"$folder/identities.json" <<END
{"identities": [{"name": "admin", "credentials": [{"accessKey": "$access_key", "secretKey": "$secret"}],
  "actions": ["Admin", "Read", "List", "Tagging", "Write"]}]}
END
    start weed_master weed master -ip=127.0.0.1 -ip.bind=127.0.0.1 -port="$master_port" -peers=none \
        -mdir="$folder/master" -defaultReplication=001 -volumeSizeLimitMB=64 -telemetry=false
    for i in 1 2 3; do
        local port=volume_$i
        start "weed_volume_$i" weed volume -ip=127.0.0.1 -ip.bind=127.0.0.1 -port="${!port}" -max=80 \
            -dir="$folder/$i" -mserver="127.0.0.1:$master_port" -dataCenter=dc1 -rack=r1
    done
    start weed_filer weed filer -ip=127.0.0.1 -ip.bind=127.0.0.1 -port="$filer_port" \
        -master="127.0.0.1:$master_port" -defaultReplicaPlacement=001 -defaultStoreDir="$folder/filer"
    start weed_s3 weed s3 -ip.bind=127.0.0.1 -port="$s3_port" -port.iceberg=0 -port.lance=0 \
        -filer="127.0.0.1:$filer_port" -config="$folder/identities.json"
    await weed_s3 seaweedfs_stores
}

# Whether the cluster has come together: S3 makes a bucket of the first object.
seaweedfs_stores() {
    (as_s3 "$s3_port" && timeout 5 s5cmd --retry-count 0 pipe s3://bkt/first <"$configs/requirements.txt")
}

# The server that has most by then dies when 300 MB are read, with the requests of all jobs under way.
seaweedfs_gigabyte_while_a_volume_server_dies() {
    as_s3 "$s3_port"
    random 1G stream
    {
        head -c 300M
        du -s "$work/seaweedfs/"{1,2,3} | sort -n | sed -n '$s/.*\///p' >victim
        kill -KILL "${server[weed_volume_$(cat victim)]}"
        cat
    } <stream | sx-encode -0 | sx-put --to s3://bkt/gigabyte >key || fail 'no upload'
    local port
    port=volume_$(cat victim)
    [ "$(du -sm "$work/seaweedfs/$(cat victim)" | cut -f 1)" -gt 50 ] || fail 'the server had no part in it'
    ! is_open "${!port}" || fail 'the server is alive'
    comes_back
}

seaweedfs_wrong_secret() {
    s3_wrong_secret "$s3_port"
}

seaweedfs_prunes() {
    as_s3 "$s3_port"
    prunes s3://bkt/prunes
}

seaweedfs_unknown_key() {
    s3_unknown_key "$s3_port"
}

seaweedfs_second_run_sends_nothing() {
    as_s3 "$s3_port"
    round_trip s3://bkt/twice 20M
    put_again_changes_nothing s3://bkt/twice s5cmd ls 's3://bkt/twice/*'
}

# Of pictures that come to the server with a bit flipped no key is made, or one that brings them back:
# the server checks their checksum.
seaweedfs_uploads_flipped() {
    fault "$s3_port" flip up 1000000
    as_s3 "$fault_port"
    if put s3://bkt/flipped 30M -W 256 -H 256 2>said; then
        harmed
        as_s3 "$s3_port"
        comes_back
    else
        grep '^sx-put: error: ' said
        [ ! -s key ] || fail 'a key'
    fi
}

## What S3 servers have in common

# Checks that the hint of what `refuses` saw names something.
hints() { # PATTERN
    it_said -Eq "hint: .*($1)" || fail "expected a hint at $1: $refuses_said"
}

s3_wrong_secret() { # PORT
    as_s3 "$1"
    put s3://bkt/secret 100000
    export AWS_SECRET_ACCESS_KEY=$wrong RUST_LOG=trace RUST_BACKTRACE=1
    refused 1 '403.*SignatureDoesNotMatch' sx-put --to s3://bkt/other <frames >key.other
    hints AWS_SECRET_ACCESS_KEY
    [ ! -s key.other ] || fail 'a key'
    refused 1 '403.*SignatureDoesNotMatch' sx-get key >got
    hints AWS_SECRET_ACCESS_KEY
}

s3_unknown_key() { # PORT
    as_s3 "$1"
    sx-encode -0 "$configs/requirements.txt" >frames
    export AWS_ACCESS_KEY_ID=SXTESTUNKNOWN
    refused 1 '403.*InvalidAccessKeyId' sx-put --to s3://bkt/other <frames >key
    hints AWS_ACCESS_KEY_ID
    [ ! -s key ] || fail 'a key'
}

## rclone serve s3: a folder, in which buckets are folders

rclone_s3() {
    ports s3_port
    rclone_s3_start || return
    check 60 rclone_s3_round_trip
    check 60 rclone_s3_many_small_frames
    check 20 rclone_s3_missing_bucket
    check 20 rclone_s3_wrong_secret
    check 20 rclone_s3_unknown_key
    check 20 rclone_s3_picture_gone
    check 30 rclone_s3_short_pictures_are_stored_again
    check 30 rclone_s3_second_run_sends_nothing
    check 20 rclone_s3_profile
    check 60 rclone_s3_prunes
}

rclone_s3_start() { # on $s3_port
    s3_folder=$work/rclone_s3.data
    mkdir -p "$s3_folder/bkt"
    start rclone_s3 rclone serve s3 --addr "127.0.0.1:$s3_port" --auth-key "$access_key,$secret" "$s3_folder"
    await rclone_s3 answers "http://127.0.0.1:$s3_port/"
}

# Makes rclone forget what it knows of its folder.
rclone_looks_again() { # SERVER
    kill -HUP "${server[$1]}"
    sleep 0.5
}

rclone_s3_round_trip() {
    as_s3 "$s3_port"
    round_trip s3://bkt 20M
    grep -Ex 's3://bkt/[0-9a-f]{2}/[0-9a-f]{64}\.png#blake3=[0-9a-f]{64}' key
    sx-get --check key
    sx-get --info key
}

rclone_s3_many_small_frames() {
    as_s3 "$s3_port"
    round_trip s3://bkt/deep/prefix 5M -W 64 -H 64
    grep '^s3://bkt/deep/prefix/../' key
}

rclone_s3_missing_bucket() {
    as_s3 "$s3_port"
    sx-encode -0 "$configs/requirements.txt" >frames
    refused 1 '404.*NoSuchBucket|NoSuchBucket' sx-put --to s3://nosuch/x <frames >key
    hints bucket
    [ ! -s key ] || fail 'a key'
}

rclone_s3_wrong_secret() {
    s3_wrong_secret "$s3_port"
}

rclone_s3_unknown_key() {
    s3_unknown_key "$s3_port"
}

rclone_s3_picture_gone() {
    as_s3 "$s3_port"
    put s3://bkt/gone 10M
    rm "$(find "$s3_folder/bkt/gone" -name '*.png' -size +2000k | head -n 1)"
    rclone_looks_again rclone_s3
    refused 1 'frame [0-9]+: .*not found' sx-get key >got
    digest=ab$(printf %062d 0)
    refused 1 'not found' sx-get "s3://bkt/gone/ab/$digest.png#blake3=$digest" >got
}

rclone_s3_short_pictures_are_stored_again() {
    as_s3 "$s3_port"
    put s3://bkt/short 10M
    cut_short "$s3_folder/bkt/short"
    rclone_looks_again rclone_s3
    sx-put --to s3://bkt/short <frames >key
    comes_back
}

rclone_s3_second_run_sends_nothing() {
    as_s3 "$s3_port"
    round_trip s3://bkt/twice 10M
    put_again_changes_nothing s3://bkt/twice files "$s3_folder/bkt/twice"
}

rclone_s3_prunes() {
    as_s3 "$s3_port"
    prunes s3://bkt/prunes
}

rclone_s3_profile() {
    mkdir .aws
    printf '[other]\naws_access_key_id = %s\naws_secret_access_key = %s\n' "$access_key" "$secret" >.aws/credentials
    printf '[profile other]\nregion = us-east-1\nendpoint_url = http://127.0.0.1:%s\n' "$s3_port" >.aws/config
    export AWS_PROFILE=other
    round_trip s3://bkt/profile 100000
}

## What web servers have in common

web_round_trip() { # URL
    as_user
    round_trip "$1" 20M
    grep -Ex "$1[0-9a-f]{2}/[0-9a-f]{64}\.png#blake3=[0-9a-f]{64}" key
    sx-get --check key
    sx-get --info key
    head -c 100 stream | sx-encode -0 | sx-put --to "$1" >key.other # into folders that are there
    sx-get key.other | sx-decode | cmp -n 100 - stream
}

web_wrong_password() { # URL PATTERN
    as_user
    put "$1" 100000
    as_user "$wrong"
    refused 1 "$2" sx-put --to "${1}other/" <frames >key.other
    hints SX_HTTP_PASSWORD
    [ ! -s key.other ] || fail 'a key'
    refused 1 "$2" sx-get key >got
    unset SX_HTTP_USER SX_HTTP_PASSWORD
    refused 1 "$2" sx-put --to "${1}other/" <frames >key.other
    hints SX_HTTP_PASSWORD
}

web_second_run_sends_nothing() { # URL FOLDER
    as_user
    round_trip "$1" 10M
    put_again_changes_nothing "$1" files "$2"
}

web_short_pictures_are_stored_again() { # URL FOLDER
    as_user
    put "$1" 10M
    cut_short "$2"
    [ -z "${server[rclone_webdav]-}" ] || rclone_looks_again rclone_webdav
    sx-put --to "$1" <frames >key
    comes_back
}

## rclone serve webdav

rclone_webdav() {
    ports web_port
    rclone_webdav_start || return
    check 60 rclone_webdav_round_trip
    check 60 rclone_webdav_many_small_frames
    check 20 rclone_webdav_wrong_password
    check 20 rclone_webdav_netrc
    check 60 rclone_webdav_prunes
    check 30 rclone_webdav_second_run_sends_nothing
    check 30 rclone_webdav_short_pictures_are_stored_again
}

rclone_webdav_start() { # on $web_port
    web_folder=$work/rclone_webdav.data
    web=http://127.0.0.1:$web_port
    mkdir -p "$web_folder"
    start rclone_webdav rclone serve webdav --addr "127.0.0.1:$web_port" --user user --pass "$secret" "$web_folder"
    await rclone_webdav answers "$web/"
}

rclone_webdav_round_trip() {
    web_round_trip "$web/new/folder/"
}

rclone_webdav_many_small_frames() {
    as_user
    round_trip "$web/small/" 2M -W 64 -H 64
}

rclone_webdav_wrong_password() {
    web_wrong_password "$web/wrong/" 401
}

rclone_webdav_netrc() {
    printf 'machine elsewhere.example login nobody password nothing\nmachine 127.0.0.1\n  login user\n  password %s\n' "$secret" >.netrc
    chmod 600 .netrc
    round_trip "$web/netrc/" 100000
    mv .netrc other
    refused 1 401 sx-get key >got
    NETRC=$PWD/other comes_back
}

rclone_webdav_prunes() {
    as_user
    prunes "$web/prunes/"
}

rclone_webdav_second_run_sends_nothing() {
    web_second_run_sends_nothing "$web/twice/" "$web_folder/twice"
}

rclone_webdav_short_pictures_are_stored_again() {
    web_short_pictures_are_stored_again "$web/short/" "$web_folder/short"
}

## nginx

nginx() {
    nginx_start || return
    check 60 nginx_round_trip
    check 60 nginx_missing_folders_are_500
    check 20 nginx_wrong_password
    check 20 nginx_token
    check 60 nginx_prunes
    check 30 nginx_second_run_sends_nothing
    check 20 nginx_too_large
    check 90 nginx_throttled
    check 90 nginx_as_an_image_host
    check 60 nginx_redirects
    check 20 nginx_redirect_of_uploads_to_another_host
    check 20 nginx_redirect_of_downloads_to_another_host
}

nginx_start() {
    local folder=$work/nginx
    ports web_port other_port
    web=http://127.0.0.1:$web_port
    mkdir -p "$folder/www/"{dav,strict,small,throttled,mirrored,token,away}
    printf 'user:{PLAIN}%s\n' "$secret" >"$folder/users"
    configure nginx.conf ROOT="$folder" PORT="$web_port" OTHER="$other_port" PASSWORD="$secret" >"$folder/nginx.conf"
    start nginx "$(type -P nginx)" -c "$folder/nginx.conf" -p "$folder" -e "$folder/error.log"
    await nginx answers "$web/"
}

nginx_round_trip() {
    web_round_trip "$web/dav/"
}

nginx_missing_folders_are_500() {
    web_round_trip "$web/strict/new/folder/"
    grep "^$web_port 500 PUT /strict/" "$work/nginx/seen.log" >/dev/null
}

nginx_wrong_password() {
    web_wrong_password "$web/dav/wrong/" 401
}

nginx_token() {
    export SX_HTTP_TOKEN=$secret
    round_trip "$web/token/" 100000
    export SX_HTTP_TOKEN=$wrong
    refused 1 401 sx-get key >got
    hints SX_HTTP_TOKEN
}

nginx_second_run_sends_nothing() {
    web_second_run_sends_nothing "$web/dav/twice/" "$work/nginx/www/dav/twice"
}

nginx_prunes() {
    as_user
    prunes "$web/dav/prunes/"
}

nginx_too_large() {
    as_user
    random 3M stream
    sx-encode -0 stream >frames
    refused 1 '413.*[Tt]oo [Ll]arge' sx-put --to "$web/small/" <frames >key
    hints smaller
    [ ! -s key ] || fail 'a key'
    round_trip "$web/small/" 300000 -W 128 -H 128
}

nginx_throttled() {
    as_user
    round_trip "$web/throttled/" 200000 -W 64 -H 64
    grep "^$web_port 429 " "$work/nginx/seen.log" >/dev/null || fail 'nothing was throttled'
}

# It says in Location where a picture is, and nothing else.
nginx_as_an_image_host() {
    configure nginx.sxcu PORT="$web_port" PASSWORD="$secret" >host.sxcu
    throttled=$(grep -c "^$web_port 429 " "$work/nginx/seen.log") || :
    round_trip ./host.sxcu 200000 -W 64 -H 64
    grep -Ex "$web/host/[0-9a-f]{16}\.png#blake3=[0-9a-f]{64}" key
    [ "$(grep -c "^$web_port 429 " "$work/nginx/seen.log")" -gt "$throttled" ] || fail 'nothing was throttled'
}

# 307 and 308 keep method and body. So may 301 and 302, or they are refused.
nginx_redirects() {
    as_user
    for status in 307 308; do
        round_trip "$web/moved/$status/" 10M
        grep -q "^$web_port 201 PUT /dav/moved/$status/" "$work/nginx/seen.log"
    done
    for status in 301 302; do
        if sx-put --to "$web/moved/$status/" <frames >key 2>said; then
            comes_back
        else
            grep -E "error: .*(redirect|$status)" said
        fi
    done
}

nginx_redirect_of_uploads_to_another_host() {
    as_user
    random 100000 stream
    sx-encode -0 stream >frames
    if sx-put --to "$web/away/" <frames >key 2>said; then
        comes_back
    else
        grep -E 'error: .*redirect' said
    fi
    no_password_went_elsewhere
}

nginx_redirect_of_downloads_to_another_host() {
    as_user
    round_trip "$web/mirrored/" 100000
    grep -q "^$other_port 200 GET /mirrored/" "$work/nginx/seen.log" || fail 'no redirect'
    no_password_went_elsewhere
}

no_password_went_elsewhere() {
    told=$(grep "^$other_port .*authorization=." "$work/nginx/seen.log" | grep -v 'authorization=-$') || :
    [ -z "$told" ] || fail 'the other host got the password'
}

## wsgidav: keeps what it got of an upload that was cut, and says 201

wsgidav() {
    ports web_port
    wsgidav_start || return
    check 60 wsgidav_round_trip
    check 20 wsgidav_wrong_password
    check 30 wsgidav_second_run_sends_nothing
    check 60 wsgidav_prunes
    check 30 wsgidav_short_pictures_are_stored_again
}

wsgidav_start() { # on $web_port
    web_folder=$work/wsgidav.data
    web=http://127.0.0.1:$web_port
    mkdir -p "$web_folder"
    configure wsgidav.json ROOT="$web_folder" PORT="$web_port" PASSWORD="$secret" >"$work/wsgidav.json"
    start wsgidav "$(type -P wsgidav)" -c "$work/wsgidav.json"
    await wsgidav answers "$web/"
}

wsgidav_round_trip() {
    web_round_trip "$web/new/folder/"
}

wsgidav_wrong_password() {
    web_wrong_password "$web/wrong/" 401
}

wsgidav_prunes() {
    as_user
    prunes "$web/prunes/"
}

wsgidav_second_run_sends_nothing() {
    web_second_run_sends_nothing "$web/twice/" "$web_folder/twice"
}

wsgidav_short_pictures_are_stored_again() {
    web_short_pictures_are_stored_again "$web/short/" "$web_folder/short"
}

## copyparty: stores a second PUT of a name under another name, and says so in Location

copyparty() {
    copyparty_start || return
    check 60 copyparty_round_trip
    check 20 copyparty_wrong_password
    check 30 copyparty_second_run_sends_nothing
    check 30 copyparty_stores_elsewhere
}

copyparty_start() {
    web_folder=$work/copyparty/data
    ports web_port
    web=http://127.0.0.1:$web_port
    mkdir -p "$web_folder"
    start copyparty env HOME="$work/copyparty" "$(type -P copyparty)" -i 127.0.0.1 -p "$web_port" -a "user:$secret" \
        -v "$web_folder::rwmd,user" --no-thumb -q
    await copyparty answers "$web/"
}

copyparty_round_trip() {
    web_round_trip "$web/new/folder/"
}

copyparty_wrong_password() {
    web_wrong_password "$web/wrong/" "HTTP 40[13]"
}

copyparty_second_run_sends_nothing() {
    web_second_run_sends_nothing "$web/twice/" "$web_folder/twice"
}

# Pictures that were cut short stay what they are, and new ones have other names: an error, or a key
# that brings all of it back.
copyparty_stores_elsewhere() {
    as_user
    put "$web/elsewhere/" 10M
    cut_short "$web_folder/elsewhere"
    if sx-put --to "$web/elsewhere/" <frames >key 2>said; then
        comes_back
    else
        grep -E 'error: .*(stored as|elsewhere|another name)' said
        [ ! -s key ] || fail 'a key'
    fi
}

## copyparty as an image host: uploads in a form, pictures with a key in their URL that anybody may get

copyparty_host() {
    copyparty_host_start || return
    copyparty_host_full_disk_start
    check 60 copyparty_host_round_trip
    check 60 copyparty_host_verify
    check 30 copyparty_host_by_its_name
    check 30 copyparty_host_answers
    check 30 copyparty_host_second_run
    check 20 copyparty_host_wrong_password
    check 20 copyparty_host_deletions
    check 20 copyparty_host_too_large
    check 60 copyparty_host_uploads_cut
    check 60 copyparty_host_answers_lost
    check 110 copyparty_host_full_disk
}

copyparty_host_start() {
    web_folder=$work/copyparty_host/data
    ports web_port
    web=http://127.0.0.1:$web_port
    mkdir -p "$web_folder/"{keyed,open,small,full}
    start copyparty env HOME="$work/copyparty_host" "$(type -P copyparty)" -i 127.0.0.1 -p "$web_port" \
        -a "user:$secret" --no-thumb \
        -v "$web_folder/keyed:keyed:rw,user:g:c,fk=8" -v "$web_folder/open:open:rwd,user:g" \
        -v "$web_folder/small:small:w,user:g:c,sz=1-100k" -v "$web_folder/full:full:w,user:g:c,df=9999999g"
    await copyparty answers "$web/"
}

# Makes `host.sxcu`.
copyparty_uploader() { # FOLDER [PORT [PASSWORD [WANT URL]]]
    configure copyparty.sxcu FOLDER="$1" PORT="${2-$web_port}" PASSWORD="${3-$secret}" WANT="${4-json}" \
        URL="${5-{json:files[0].url\}}" >host.sxcu
}

copyparty_host_round_trip() {
    copyparty_uploader keyed
    round_trip ./host.sxcu 20M
    grep -Ex "$web/keyed/[0-9a-f]{16}\.png\?k=[^#]+#blake3=[0-9a-f]{64}" key
    sx-get --check key
    sx-get --info key
    round_trip ./host.sxcu 5M -W 64 -H 64
}

# How many pictures the server has been asked for.
copyparty_gets() {
    grep -c 'GET  */keyed/.*\.png' "$work/copyparty.log" || :
}

# Read back are all, or the first, or none; but for none, the first and the last once more before the
# root, and then the root; and the root at the end, whichever, and once more without the headers of the
# uploader file.
copyparty_host_verify() {
    copyparty_uploader keyed
    random 5M stream
    sx-encode -0 -W 256 -H 256 stream >frames
    pictures=$(($(sx-decode --list frames | wc -l) + 1))
    for which in all first none; do
        before=$(copyparty_gets)
        sx-put --verify "$which" --to ./host.sxcu <frames >key
        gets=$(($(copyparty_gets) - before))
        case $which in
            all) expected=$((pictures + 5)) ;;
            first) expected=6 ;;
            none) expected=2 ;;
        esac
        [ "$gets" = "$expected" ] || fail "$which: $gets read back, expected $expected of $pictures"
        comes_back
    done
}

copyparty_host_by_its_name() {
    copyparty_uploader keyed "$web_port" '{inputbox:Password}'
    mkdir -p .config/storagex/hosts
    mv host.sxcu .config/storagex/hosts/party.sxcu
    random 100000 stream
    sx-encode -0 stream >frames
    refused 2 '--set' sx-put --to host:party <frames >key
    [ ! -s key ] || fail 'a key'
    sx-put --to host:party --set "Password=$secret" <frames >key
    comes_back
}

# A bare file name, a path, and a page of nothing but the URL.
copyparty_host_answers() {
    for answer in 'json {json:files[0].fn}' 'json {json:files[0].path}' 'url ' 'url {response}'; do
        copyparty_uploader open "$web_port" "$secret" "${answer%% *}" "${answer#* }"
        round_trip ./host.sxcu 200000 -W 128 -H 128
        grep "^$web/open/" key
    done
}

# The same pictures get other names.
copyparty_host_second_run() {
    copyparty_uploader keyed
    round_trip ./host.sxcu 1M -W 256 -H 256
    mv key key.before
    sx-put --to ./host.sxcu <frames >key
    comes_back
    sx-get key.before | sx-decode | cmp - stream
}

copyparty_host_wrong_password() {
    copyparty_uploader keyed "$web_port" "$wrong"
    random 3M stream
    sx-encode -0 stream >frames
    refused 1 403 sx-put --to ./host.sxcu <frames >key
    [ ! -s key ] || fail 'a key'
}

# The URLs work, and stand nowhere but in the file.
copyparty_host_deletions() {
    copyparty_uploader open
    rm -f "$web_folder/open/"*
    random 200000 stream
    sx-encode -0 -W 128 -H 128 stream | sx-put --to ./host.sxcu --deletions urls >key 2>said
    ! grep -q delete key said || fail 'a URL that deletes was told'
    [ "$(stat -c %a urls)" = 600 ] || fail "others may read it: $(stat -c %a urls)"
    [ "$(wc -l <urls)" = "$(files "$web_folder/open" | grep -c png)" ] || fail 'not a line for each picture'
    comes_back
    cut -f 1 urls | grep -Fxf key || fail 'not the key of the root'
    cut -f 2 urls | while read -r url; do
        curl -sf -X POST -H "PW: $secret" "$url" >deleted || fail "$url"
    done
    ! files "$web_folder/open" | grep png || fail 'something is left'
    refused 1 'not found|HTTP 401' sx-get key >got # 401 to who may not see the folder
}

copyparty_host_too_large() {
    copyparty_uploader small
    random 3M stream
    sx-encode -0 stream >frames
    refused 1 '400.*file too big' sx-put --to ./host.sxcu <frames >key
    [ ! -s key ] || fail 'a key'
    sx-put --probe -W 512 -H 512 --to ./host.sxcu | grep -Ex '256 x 256: .*: refused: image host .*: HTTP 400 file too big'
    round_trip ./host.sxcu 300000 -W 128 -H 128
}

copyparty_host_uploads_cut() {
    fault "$web_port" cut up 1000000
    copyparty_uploader keyed "$fault_port"
    round_trip ./host.sxcu 10M -W 256 -H 256
    harmed
}

# The server has stored the picture, and nobody is told under which name.
copyparty_host_answers_lost() {
    fault "$web_port" swallow down 10
    copyparty_uploader keyed "$fault_port"
    round_trip ./host.sxcu 5M -W 256 -H 256
    harmed
}

# Begins what `copyparty_host_full_disk` waits for, and which takes up to a minute.
copyparty_host_full_disk_start() {
    local folder=$work/copyparty_host
    sx-encode -0 "$configs/requirements.txt" >"$folder/frames"
    (cd "$folder" && copyparty_uploader full)
    # shellcheck disable=SC2016 # of the inner shell
    start full_disk sh -c 'cd "$1" && sx-put --to ./host.sxcu <frames >key; echo "status $?"' sh "$folder"
}

copyparty_host_full_disk() {
    until grep '^status' "$work/full_disk.log"; do sleep 0.2; done
    cat "$work/full_disk.log"
    grep -Ex 'sx-put: error: .*8 tries.*HTTP 500.*' "$work/full_disk.log"
    grep -x 'status 1' "$work/full_disk.log"
    [ ! -s "$work/copyparty_host/key" ] || fail 'a key'
}

## thumbor: an image host that answers with a relative Location and an empty body, and gives pictures as
## they were or made over

thumbor() {
    thumbor_start || return
    check 60 thumbor_round_trip
    check 30 thumbor_body_is_the_picture
    check 30 thumbor_too_large
    check 60 thumbor_other_files_same_pixels
    check 60 thumbor_lossless_webp
    check 60 thumbor_other_pixels
    check 30 thumbor_shrinks_what_is_large
    check 30 thumbor_verify_all
    check 180 thumbor_probe
    check 240 thumbor_lossy
}

thumbor_start() {
    web_folder=$work/thumbor.data
    ports web_port
    web=http://127.0.0.1:$web_port
    configure thumbor.conf ROOT="$web_folder" >"$work/thumbor.conf"
    start thumbor "$(type -P thumbor)" -i 127.0.0.1 -p "$web_port" -c "$work/thumbor.conf"
    await thumbor answers "$web/"
}

# Makes `host.sxcu`. Pictures are as they were, or made over in some way.
thumbor_uploader() { # [WAY [BODY]]
    local url='{header:Location}'
    [ -z "${1-}" ] || url="/unsafe/$1/{regex:{header:Location}|image/([0-9a-f]+)|1}"
    configure thumbor.sxcu PORT="$web_port" URL="$url" BODY="${2-MultipartFormData}" >host.sxcu
}

thumbor_round_trip() {
    thumbor_uploader
    round_trip ./host.sxcu 20M
    grep -Ex "$web/image/[0-9a-f]{32}/[0-9a-f]{16}\.png#blake3=[0-9a-f]{64}" key
    sx-get --check key
    round_trip ./host.sxcu 2M -W 64 -H 64
}

thumbor_body_is_the_picture() {
    thumbor_uploader '' Binary
    round_trip ./host.sxcu 5M
    grep -Ex "$web/image/[0-9a-f]{32}/[0-9a-f]{16}\.png#blake3=[0-9a-f]{64}" key
}

thumbor_too_large() {
    thumbor_uploader
    random 4M stream
    sx-encode -0 -W 1024 -H 1024 stream >frames
    refused 1 412 sx-put --to ./host.sxcu <frames >key
    [ ! -s key ] || fail 'a key'
}

# It writes the pictures anew and loses nothing.
thumbor_other_files_same_pixels() {
    thumbor_uploader 'filters:quality(50)'
    random 5M stream
    sx-encode -0 stream >frames
    sx-put --verify all --to ./host.sxcu <frames >key
    comes_back
    ! sx-get key | cmp -s - frames || fail 'the same files'
    round_trip ./host.sxcu 100000 -W 64 -H 64
}

thumbor_lossless_webp() {
    thumbor_uploader 'filters:format(webp):quality(100)'
    random 1M stream
    sx-encode -0 -W 256 -H 256 stream >frames
    sx-put --verify all --to ./host.sxcu <frames >key
    comes_back
}

# What it did is said after the first picture, and no second is sent.
thumbor_other_pixels() {
    random 4718520 stream # two full frames
    sx-encode -0 stream >frames
    while read -r way came; do
        thumbor_uploader "$way"
        rm -rf "$web_folder"
        refused 1 "'thumbor': http.*: was 1024 x 768 PNG, came back $came" sx-put --to ./host.sxcu <frames >key
        [ ! -s key ] || fail "a key: $way"
        [ "$(files "$web_folder" | wc -l)" = 1 ] || fail "not one picture: $way"
    done <<END
filters:format(jpeg) a 1024 x 768 JPEG of
filters:format(webp) a 1024 x 768 WebP of
filters:grayscale() 1024 x 768 with other pixels, converted to gray
filters:rotate(90) 768 x 1024 PNG, turned on its side
fit-in/512x512 512 x 384 PNG, resized from 1024 x 768
END
}

# The last frame is small enough to stay as it was. With more than one job it is often the first to be
# sent, and shows nothing.
thumbor_shrinks_what_is_large() {
    thumbor_uploader fit-in/512x512
    random 3000000 stream
    sx-encode -0 stream >frames
    for _ in {1..8}; do
        refused 1 'was 1024 x 768 PNG, came back 512 x 384 PNG, resized from 1024 x 768' sx-put --to ./host.sxcu <frames >key
        [ ! -s key ] || fail 'a key'
    done
}

thumbor_verify_all() {
    thumbor_uploader fit-in/512x512
    random 3000000 stream
    sx-encode -0 stream >frames
    for _ in 1 2 3; do
        refused 1 'was 1024 x 768 PNG, came back 512 x 384 PNG, resized from 1024 x 768' \
            sx-put --verify all --to ./host.sxcu <frames >key
        [ ! -s key ] || fail 'a key'
    done
}

thumbor_probe() {
    thumbor_uploader
    sx-put --probe --to ./host.sxcu >report
    [ "$(grep -c ': same bytes$' report)" = 3 ]
    grep -x 'use: sx-encode -W 1024 -H 768' report
    sx-put --probe -W 2048 -H 1024 --to ./host.sxcu >report
    grep '^2048 x 1024: .*: refused: .*: HTTP 412' report
    grep -x 'use: sx-encode -W 1024 -H 512' report
    thumbor_uploader 'filters:quality(50)'
    sx-put --probe --to ./host.sxcu >report
    [ "$(grep -c ': same pixels$' report)" = 3 ]
    thumbor_uploader fit-in/512x512
    sx-put --probe --to ./host.sxcu >report
    grep ': changed: was 1024 x 768 PNG, came back 512 x 384 PNG, resized from 1024 x 768$' report
    grep -x 'use: sx-encode -W 512 -H 384' report
    thumbor_uploader 'filters:format(jpeg)'
    sx-put --probe --to ./host.sxcu >report
    [ "$(grep -c ': changed: .* came back a .* JPEG of quality' report)" -ge 3 ]
    grep -E '^use: sx-encode --sturdy [1-4] -W 1024 -H 768 \([0-9]+ kB a picture\)$' report
}

# JPEGs of its default quality, 80, of the gray pictures, made anew for each download.
thumbor_lossy() {
    thumbor_uploader 'filters:format(jpeg)'
    lossy_plain_is_refused
    lossy_backup 12 'JPEG of quality 80'
}

## Faults on the way, by a proxy

faults() {
    ports s3_port
    rclone_s3_start || return
    ports web_port
    wsgidav_start || return
    webdav_port=$web_port
    ports web_port
    rclone_webdav_start || return
    check 60 faults_connections_are_reused
    check 60 faults_uploads_cut_s3
    check 60 faults_uploads_cut_rclone_webdav
    check 60 faults_uploads_cut_wsgidav
    check 60 faults_answers_lost_s3
    check 60 faults_answers_lost_wsgidav
    check 60 faults_downloads_cut
    check 60 faults_bits_flipped
    check 60 faults_silence
    check 110 faults_downloads_that_never_end
}

# Starts a proxy before a server, within a check: it ends with it.
fault() { # PORT WHAT WAY N
    ports fault_port
    "$python" "$configs/proxy.py" "$fault_port" "$1" "$2" "$3" "$4" >harm &
    until is_open "$fault_port"; do sleep 0.05; done
}

# Checks that the proxy has done harm, and so that something was survived.
harmed() {
    grep -qv connection harm || fail 'no harm was done'
}

# 54 pictures, 8 at once: a few more connections than that, and not one for each request.
faults_connections_are_reused() {
    fault "$s3_port" cut up 1000000000
    as_s3 "$fault_port"
    round_trip s3://bkt/reused 10M -W 256 -H 256
    [ "$(grep -c connection harm)" -le 30 ] || fail "S3: $(grep -c connection harm) connections"
    fault "$web_port" cut up 1000000000
    as_user
    round_trip "http://127.0.0.1:$fault_port/reused/" 10M -W 256 -H 256
    [ "$(grep -c connection harm)" -le 30 ] || fail "rclone WebDAV: $(grep -c connection harm) connections"
    fault "$webdav_port" cut up 1000000000
    round_trip "http://127.0.0.1:$fault_port/reused/" 10M -W 256 -H 256
    [ "$(grep -c connection harm)" -le 30 ] || fail "wsgidav: $(grep -c connection harm) connections"
}

# What comes of uploads that are cut: rclone keeps their first part, wsgidav says 201 to it.
faults_uploads_cut_s3() {
    fault "$s3_port" cut up 1000000
    as_s3 "$fault_port"
    put s3://bkt/cut 10M -W 256 -H 256
    harmed
    as_s3 "$s3_port"
    comes_back
}

faults_uploads_cut_rclone_webdav() {
    fault "$web_port" cut up 1000000
    as_user
    round_trip "http://127.0.0.1:$fault_port/cut/" 10M -W 256 -H 256
    harmed
}

faults_uploads_cut_wsgidav() {
    fault "$webdav_port" cut up 1000000
    as_user
    round_trip "http://127.0.0.1:$fault_port/cut/" 10M -W 256 -H 256
    harmed
}

# The server has stored the picture, and nobody is told.
faults_answers_lost_s3() {
    fault "$s3_port" swallow down 20
    as_s3 "$fault_port"
    put s3://bkt/lost 5M -W 256 -H 256
    harmed
    as_s3 "$s3_port"
    comes_back
}

faults_answers_lost_wsgidav() {
    fault "$webdav_port" swallow down 20
    as_user
    put "http://127.0.0.1:$fault_port/lost/" 5M -W 256 -H 256
    harmed
    sed -i "s/:$fault_port/:$webdav_port/" key
    comes_back
}

faults_downloads_cut() {
    as_s3 "$s3_port"
    put s3://bkt/downloads 10M -W 256 -H 256
    fault "$s3_port" cut down 1000000
    as_s3 "$fault_port"
    comes_back
    harmed
}

faults_bits_flipped() {
    as_s3 "$s3_port"
    put s3://bkt/flipped 10M -W 256 -H 256
    fault "$s3_port" flip down 1000000
    as_s3 "$fault_port"
    comes_back
    harmed
}

faults_silence() {
    fault "$s3_port" pause up 500000
    as_s3 "$fault_port"
    put s3://bkt/silence 10M
    harmed
    fault "$s3_port" pause down 500000
    as_s3 "$fault_port"
    comes_back
    harmed
}

faults_downloads_that_never_end() {
    as_s3 "$s3_port"
    put s3://bkt/never 12M
    fault "$s3_port" hang down 9000000
    as_s3 "$fault_port"
    comes_back
    harmed
}

## HAProxy

haproxy() {
    ports s3_port
    rclone_s3_start || return
    ports busy_port throttled_port down_port
    configure haproxy.cfg BUSY="$busy_port" THROTTLED="$throttled_port" DOWN="$down_port" TARGET="$s3_port" \
        >"$work/haproxy.cfg"
    start haproxy "$(type -P haproxy)" -db -f "$work/haproxy.cfg"
    await haproxy answers "http://127.0.0.1:$busy_port/" || return
    check 90 haproxy_busy
    check 60 haproxy_retry_after
    check 110 haproxy_down
}

haproxy_busy() {
    as_s3 "$busy_port"
    round_trip s3://bkt/busy 5M -W 256 -H 256
}

haproxy_retry_after() {
    as_s3 "$throttled_port"
    random 5M stream
    sx-encode -0 stream >frames
    started=$SECONDS
    sx-put --to s3://bkt/throttled <frames >key 2>said
    [ $((SECONDS - started)) -ge 2 ] || fail 'Retry-After was not obeyed'
    grep '429.* 2 ' said || fail 'it was not said'
    comes_back
}

# It is given up, and says how often and for how long it was tried.
haproxy_down() {
    as_s3 "$down_port"
    sx-encode -0 "$configs/requirements.txt" >frames
    status=0
    sx-put --to s3://bkt/down <frames >key 2>said || status=$?
    [ "$status" = 1 ] || fail "status $status"
    grep -E '^sx-put: error: .*s3://bkt/down.*tries.*503' said
    [ ! -s key ] || fail 'a key'
}

## Forward proxies: S3 over http and WebDAV over https, through Squid, tinyproxy and HAProxy

# shellcheck disable=SC2034 # used by name
squid_open='' squid_login='' tinyproxy_open='' tinyproxy_login='' haproxy_open='' haproxy_login='' haproxy_refuses=''

proxies() {
    local name
    ports s3_port web_port squid_open squid_login tinyproxy_open tinyproxy_login haproxy_open haproxy_login \
        haproxy_refuses
    rclone_s3_start && proxies_webdav_start && proxies_squid_start && proxies_tinyproxy_start &&
        proxies_haproxy_start || return
    for name in squid tinyproxy haproxy; do
        check 60 "proxies_${name}_http"
        check 60 "proxies_${name}_http_login"
        check 60 "proxies_${name}_https"
        check 60 "proxies_${name}_https_login"
        check 20 "proxies_${name}_wrong_login"
    done
    check 20 proxies_squid_refuses_other_ports
    check 20 proxies_tinyproxy_refuses_other_ports
    check 20 proxies_haproxy_has_no_such_method
    rm -rf "$squid_folder"
}

proxies_webdav_start() {
    mkdir "$work/proxies/data"
    web=https://127.0.0.1:$web_port
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 \
        -addext subjectAltName=IP:127.0.0.1 -keyout "$work/proxies/key.pem" -out "$work/proxies/cert.pem" 2>/dev/null
    start rclone_tls rclone serve webdav --addr "127.0.0.1:$web_port" --user user --pass "$secret" \
        --cert "$work/proxies/cert.pem" --key "$work/proxies/key.pem" "$work/proxies/data"
    await rclone_tls curl -sk -o /dev/null --max-time 3 "$web/"
}

# As root, Squid becomes another user, who must be able to write its folder.
proxies_squid_start() {
    squid_folder=$(mktemp -d)
    printf 'user:%s\n' "$(openssl passwd -apr1 "$secret")" >"$squid_folder/users"
    configure squid.conf ROOT="$squid_folder" OPEN="$squid_open" LOGIN="$squid_login" TLS="$web_port" \
        >"$squid_folder/squid.conf"
    [ "$(id -u)" != 0 ] || chown -R proxy "$squid_folder"
    start squid "$(type -P squid)" -N -f "$squid_folder/squid.conf"
    await squid answers "http://127.0.0.1:$squid_open/"
}

proxies_tinyproxy_start() {
    local name auth
    for name in open login; do
        auth=
        [ "$name" = open ] || auth="BasicAuth user $secret"
        local port=tinyproxy_$name
        configure tinyproxy.conf PORT="${!port}" TLS="$web_port" AUTH="$auth" >"$work/proxies/tinyproxy.$name"
        start "tinyproxy_$name" "$(type -P tinyproxy)" -d -c "$work/proxies/tinyproxy.$name"
        await "tinyproxy_$name" answers "http://127.0.0.1:${!port}/"
    done
}

proxies_haproxy_start() {
    configure haproxy-forward.cfg OPEN="$haproxy_open" LOGIN="$haproxy_login" REFUSES="$haproxy_refuses" \
        TUNNELS="$squid_open" BASIC="$(printf 'user:%s' "$secret" | base64)" >"$work/proxies/haproxy.cfg"
    start haproxy_forward "$(type -P haproxy)" -db -f "$work/proxies/haproxy.cfg"
    await haproxy_forward answers "http://127.0.0.1:$haproxy_refuses/"
}

# Keeps a stream in S3 over http and brings it back, all through a proxy that must have seen the URLs.
through_http() { # PROXY_PORT LOG [LOGIN]
    export http_proxy=http://${3-}127.0.0.1:$1
    as_s3 "$s3_port"
    round_trip s3://bkt/through 5M
    grep -Eq "PUT http://127.0.0.1:$s3_port/bkt/through/" "$2" || fail 'the proxy has seen no URL'
}

through_https() { # PROXY_PORT LOG [LOGIN]
    export https_proxy=http://${3-}127.0.0.1:$1 SSL_CERT_FILE=$work/proxies/cert.pem
    as_user
    round_trip "$web/through/" 5M
    grep -Eq "CONNECT 127.0.0.1:$web_port" "$2" || fail 'the proxy has seen no CONNECT'
}

# Checks that a proxy's refusal is told at once, for http and https, and that it is named.
refused_by() { # STATUS PROXY_PORT [LOGIN]
    local proxy=http://${3-}127.0.0.1:$2 started=$SECONDS
    sx-encode -0 "$configs/requirements.txt" >frames
    export http_proxy=$proxy https_proxy=$proxy SSL_CERT_FILE=$work/proxies/cert.pem
    as_s3 "$s3_port"
    refused 1 "proxy http://127.0.0.1:$2: HTTP $1" sx-put --to s3://bkt/refused <frames >key
    as_user
    refused 1 "proxy http://127.0.0.1:$2: HTTP $1" sx-put --to "$web/refused/" <frames >key
    [ ! -s key ] || fail 'a key'
    [ $((SECONDS - started)) -le 3 ] || fail 'it was tried again'
}

proxies_squid_http() { through_http "$squid_open" "$squid_folder/access.log"; }
proxies_squid_http_login() { through_http "$squid_login" "$squid_folder/access.log" "user:$secret@"; }
proxies_squid_https() { through_https "$squid_open" "$squid_folder/access.log"; }
proxies_squid_https_login() { through_https "$squid_login" "$squid_folder/access.log" "user:$secret@"; }
proxies_squid_wrong_login() { refused_by 407 "$squid_login" "user:$wrong@"; }
proxies_tinyproxy_http() { through_http "$tinyproxy_open" "$work/tinyproxy_open.log"; }
proxies_tinyproxy_http_login() { through_http "$tinyproxy_login" "$work/tinyproxy_login.log" "user:$secret@"; }
proxies_tinyproxy_https() { through_https "$tinyproxy_open" "$work/tinyproxy_open.log"; }
proxies_tinyproxy_https_login() { through_https "$tinyproxy_login" "$work/tinyproxy_login.log" "user:$secret@"; }
# It says 407 where there is no login, and 401 where there is a wrong one.
proxies_tinyproxy_wrong_login() { refused_by 401 "$tinyproxy_login" "user:$wrong@"; }
proxies_haproxy_http() { through_http "$haproxy_open" "$work/haproxy_forward.log"; }
proxies_haproxy_http_login() { through_http "$haproxy_login" "$work/haproxy_forward.log" "user:$secret@"; }
proxies_haproxy_https() { through_https "$haproxy_open" "$work/haproxy_forward.log"; }
proxies_haproxy_https_login() { through_https "$haproxy_login" "$work/haproxy_forward.log" "user:$secret@"; }
proxies_haproxy_wrong_login() { refused_by 407 "$haproxy_login" "user:$wrong@"; }
proxies_haproxy_has_no_such_method() { refused_by 501 "$haproxy_refuses"; }

# Over https, to a port that isn't that of https.
refuses_other_ports() { # PROXY_PORT
    sx-encode -0 "$configs/requirements.txt" >frames
    as_user
    export https_proxy=http://127.0.0.1:$1 SSL_CERT_FILE=$work/proxies/cert.pem
    started=$SECONDS
    refused 1 "proxy http://127.0.0.1:$1: HTTP 403" sx-put --to "https://127.0.0.1:$s3_port/x/" <frames >key
    hints NO_PROXY
    [ $((SECONDS - started)) -le 3 ] || fail 'it was tried again'
}

proxies_squid_refuses_other_ports() { refuses_other_ports "$squid_open"; }
proxies_tinyproxy_refuses_other_ports() { refuses_other_ports "$tinyproxy_open"; }
## SeaweedFS, a folder and a WebDAV server at once, of which SeaweedFS dies

mixed() {
    mkdir "$work/seaweedfs"
    ports web_port
    rclone_webdav_start || return
    seaweedfs_start || return
    check 120 mixed_seaweedfs_dies_under_a_reader
    mixed_again || return
    check 120 mixed_seaweedfs_dies_under_a_reader_of_a_spread
    mixed_again || return
    check 120 mixed_seaweedfs_dies_under_an_upload
    rm -rf "$work/seaweedfs"
}

# Starts SeaweedFS anew.
mixed_again() {
    stop "${!server[@]}"
    rm -rf "$work/seaweedfs"
    mkdir "$work/seaweedfs"
    rclone_webdav_start && seaweedfs_start
}

# Kills SeaweedFS, all of it.
mixed_kill() {
    local name
    for name in "${!server[@]}"; do
        [ "${name#weed_}" = "$name" ] || kill -KILL "${server[$name]}"
    done
    until ! is_open "$s3_port"; do sleep 0.05; done
}

# Makes `stream` and `frames`, and sets `mixed_stores`.
mixed_frames() { # NAME
    as_s3 "$s3_port"
    as_user
    random 200M stream
    sx-encode -0 stream >frames
    mixed_stores=(--to "s3://bkt/$1" --to ./folder --to "$web/$1/")
}

# Gets KEY with a reader that takes a quarter of it and then kills SeaweedFS.
mixed_get() {
    mkfifo pipe
    sx-get key >pipe 2>said &
    {
        head -c 50000000
        mixed_kill
        cat
    } <pipe | cmp - frames
    wait $! || fail "sx-get: $(cat said)"
}

mixed_seaweedfs_dies_under_a_reader() {
    mixed_frames copies
    sx-put "${mixed_stores[@]}" <frames >key
    [ "$(wc -w <key)" = 3 ] || fail "not three keys: $(cat key)"
    sx-get --check key
    mixed_get
    comes_back
}

mixed_seaweedfs_dies_under_a_reader_of_a_spread() {
    mixed_frames spread
    sx-put --parity 2+1 --spread "${mixed_stores[@]}" <frames >key
    sx-get --check key
    mixed_get
    grep -E 'note: [0-9]+ frames rebuilt from parity' said
}

# Without --min-copies there is no key; with it, there are two, and a note says which is missing.
mixed_seaweedfs_dies_under_an_upload() {
    mixed_frames upload
    # shellcheck disable=SC2094 # both read it
    {
        head -c 50000000 frames
        sleep 1
        mixed_kill
        tail -c +50000001 frames
    } | sx-put --min-copies 2 "${mixed_stores[@]}" >key 2>said || fail "no key: $(cat said)"
    [ "$(wc -w <key)" = 2 ] || fail "not two keys: $(cat key)"
    grep "^sx-put: note: no copy in store s3://bkt/upload: " said
    comes_back
    tr ' ' '\n' <key | while read -r one; do sx-get "$one" | cmp - frames || exit 1; done
    status=0
    sx-put "${mixed_stores[@]}" <frames >key.all 2>said || status=$?
    [ "$status" = 1 ] || fail "status $status: $(cat said)"
    [ ! -s key.all ] || fail 'a key'
}

## How long it takes, beside other tools

speed() {
    mkdir "$work/seaweedfs"
    seaweedfs_start || return
    check 240 speed_beside_other_tools
    stop "${!server[@]}"
    rm -rf "$work/seaweedfs"
    ports s3_port
    rclone_s3_start || return
    check 60 speed_by_jobs
    [ ! -s "$work/speed/said" ] || sed 's/^/# /' "$work/speed/said"
}

# The best of several runs of each, in turn, in seconds; and what part of the time of another program ours
# takes: the median of rounds, in each of which all have the same neighbours, the least and the most. PAIRS
# says how many rounds fetch.
speed_beside_other_tools() {
    as_s3 "$s3_port"
    export RCLONE_CONFIG_STORE_TYPE=s3 RCLONE_CONFIG_STORE_PROVIDER=SeaweedFS RCLONE_CONFIG_STORE_ENV_AUTH=true
    export RCLONE_CONFIG_STORE_ENDPOINT=$AWS_ENDPOINT_URL RCLONE_CONFIG_STORE_REGION=us-east-1
    random 1G stream
    for _ in 1 2; do
        took 'sx-encode -0 | sx-put' sx_up
        took 'rclone rcat' rclone -q rcat store:bkt/rclone <stream
        took 's5cmd pipe' s5cmd pipe s3://bkt/s5cmd <stream
    done
    for ((pair = 0; pair < ${PAIRS:-3}; pair++)); do
        took 'sx-get | sx-decode' comes_back
        took 'rclone cat' rclone_back
        took 's5cmd cat' s5cmd_back
    done
    awk -F '\t' '
        !($1 in runs) { name[++n] = $1 }
        { time[$1, ++runs[$1]] = $2 }
        !($1 in best) || $2 < best[$1] { best[$1] = $2 }
        END {
            for (i = 1; i <= n; i++) {
                if (name[i] ~ /^sx-/) ours = name[i]
                delete ratio
                for (run = 1; run <= runs[ours]; run++) {
                    # Sorted as they come.
                    of = time[ours, run] / time[name[i], run]
                    for (at = run; at > 1 && ratio[at - 1] > of; at--) ratio[at] = ratio[at - 1]
                    ratio[at] = of
                }
                median = (ratio[int((run) / 2)] + ratio[int((run + 1) / 2)]) / 2
                printf "%-24s best %6.2f s, ours takes %.2f of it (%.2f to %.2f)\n", name[i], best[name[i]],
                    median, ratio[1], ratio[run - 1]
            }
        }' times.tsv >"$work/speed/said"
}

took() { # WHAT COMMAND...
    local what=$1 started=${EPOCHREALTIME/./}
    shift
    "$@"
    printf '%s\t%de-6\n' "$what" $((${EPOCHREALTIME/./} - started)) >>times.tsv
}

# How much faster many requests at once are, where each of them takes 50 ms more.
speed_by_jobs() {
    fault "$s3_port" delay down 50
    as_s3 "$fault_port"
    random 1570K stream # 131 pictures
    sx-encode -0 -W 64 -H 64 stream >frames
    for jobs in 1 4 16; do
        took "$jobs" sx-put -j "$jobs" --to "s3://bkt/jobs-$jobs" <frames >key
    done
    awk -F '\t' 'NR == 1 { one = $2 } { printf "sx-put -j %-2d             %6.2f s, -j 1 takes %.1f times as long\n", $1, $2, one / $2 }' \
        times.tsv >>"$work/speed/said"
}

sx_up() {
    sx-encode -0 <stream | sx-put --to "s3://bkt/speed-$RANDOM" >key
}

rclone_back() {
    rclone cat store:bkt/rclone | cmp - stream
}

s5cmd_back() {
    s5cmd cat s3://bkt/s5cmd | cmp - stream
}

## All of it

for name; do
    case " ${groups[*]} " in
        *" $name "*) ;;
        *)
            printf 'servers.sh: error: no group %s, expected some of: %s\n' "$name" "${groups[*]}" >&2
            exit 2
            ;;
    esac
done
[ $# -gt 0 ] || set -- "${groups[@]}"

begin
installing
packages curl=curl python3='python3 python3-venv'
python_venv storagex-servers requirements.txt
PATH=$PATH:$venv/bin
case " $* " in *' nginx '*) packages /usr/lib/nginx/modules/ngx_http_dav_ext_module.so='nginx-extras libnginx-mod-http-dav-ext' ;; esac
case " $* " in *' gd '* | *' image_filter '*)
    packages /usr/lib/nginx/modules/ngx_http_image_filter_module.so='nginx libnginx-mod-http-image-filter'
    [ -n "$(compgen -c php-fpm)" ] || packages no-such-command='php-fpm php-gd'
    ;;
esac
case " $* " in *' haproxy '*) packages haproxy=haproxy ;; esac
case " $* " in *' proxies '*) packages squid=squid tinyproxy=tinyproxy haproxy=haproxy openssl=openssl ;; esac
installed
export RCLONE_CONFIG=''

for name; do group "$name"; done
summary
