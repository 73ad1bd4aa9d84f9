#!/usr/bin/env bash
# storagex 1.0 and these programs, each of them reading what the other has kept, on loopback.
#
#   PATH=…/target/release:$PATH tests/v1.sh
#
# 1.0 is the package from PyPI as it is. The host that it keeps pictures with is played by a proxy,
# servers/baidu.py, which both sides use. Prints `ok NAME` or `not ok NAME` for each check, with what it
# said, and at the end how many passed and failed. Installs what it lacks: a Python venv in
# $XDG_CACHE_HOME/storagex-v1.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
time_limit=240

# shellcheck source-path=SCRIPTDIR source=servers/lib.sh
. "$here/servers/lib.sh"

proxy_port=''
pictures=http://e.hiphotos.baidu.com/image/pic/item
piece=$((1024 * 768 * 3 - 4))  # bytes in a full piece of 1.0
frame=$((1024 * 768 * 3 - 36)) # and in one of our frames

# Storagex 1.0, the command.
v1() { # COMMAND...
    "$venv/bin/storagex" "$@"
}

# Keeps a file by 1.0; its key is in `key`.
v1_upload() { # FILE
    v1 upload "$1" >said.v1
    sed -n 's/^Completely uploaded! YOUR DOWNLOAD KEY IS : //p' said.v1 >key
    grep -Ex "$pictures/[0-9a-f]{40}\.jpg" key || fail 'no key'
}

# Does something to a kept picture.
to_picture() { # URL CURL_OPTION...
    curl -sf -o /dev/null "${@:2}" "$1"
}

# The URLs of the pieces of what `v1_upload` kept, one a line, in their order.
pieces() {
    sed -n 's/^.*meta is : //p' said.v1 | "$python" -c \
        'import json, sys; print(*(piece["key"] for piece in json.load(sys.stdin)["pieces"]), sep="\n")'
}

## What 1.0 has kept

# Checks that what 1.0 keeps comes back, by its key and by a file with the key.
comes_from_v1() { # FILE
    v1_upload "$1"
    sx-get "$(cat key)" | sx-decode | cmp - "$1"
    sx-get key | sx-decode | cmp - "$1"
    sx-get --check key
}

comes_from_v1_of() { # BYTES
    random "$1" file
    comes_from_v1 file
}

from_v1_nothing() { comes_from_v1_of 0; }
from_v1_a_byte() { comes_from_v1_of 1; }
from_v1_a_piece() { comes_from_v1_of "$piece"; }
from_v1_a_piece_and_a_byte() { comes_from_v1_of $((piece + 1)); }
from_v1_noise() { comes_from_v1_of 5M; }

# Pieces with the same bytes have the same URL.
from_v1_zeros() {
    head -c $((2 * piece + 1)) /dev/zero >file
    comes_from_v1 file
    [ "$(pieces | sort -u | wc -l)" = 2 ] || fail 'expected two of three pieces to be one'
}

from_v1_a_text_with_a_name() {
    printf 'Grüße,\r\n二行目\n' >'Grüße aus 東京.txt'
    comes_from_v1 'Grüße aus 東京.txt'
    sx-get --info key | grep -F 'Grüße aus 東京.txt'
}

from_v1_info_and_list() {
    random 5M file
    v1_upload file
    sx-get --info --json key >info
    "$python" - info <<'END'
import json, sys
info = json.load(open(sys.argv[1]))
found = info["name"], info["size"], info["frames"]
assert found == ("file", 5 << 20, 3), info
END
    sx-get --info "$(cat key)"
    sx-get --list key >list
    { cat key && pieces; } >expected
    cut -f 1 list | sed 's/#.*//' | cmp - expected
}

from_v1_by_the_wrapper() {
    random 3M 'two words'
    v1_upload 'two words'
    (mkdir there && cd there && "$here/../bin/storagex" download "$(cat ../key)" && cmp -- 'two words' '../two words')
    "$here/../bin/storagex" info "$(cat key)" | grep -F 'two words'
}

# The second of three pieces is harmed in some way.
from_v1_harmed() { # PATTERN CURL_OPTION...
    random 5M file
    v1_upload file
    url=$(pieces | sed -n 2p)
    to_picture "$url" "${@:2}"
    refused 1 "frame 1: .*($1)" sx-get key >frames
    refuses 1 'frame 1: ' sx-decode frames >out
    refused 1 "frame 1: .*($1)" sx-get --check key
}

from_v1_missing() {
    from_v1_harmed 'not found' -X DELETE
}

from_v1_no_piece() {
    "$python" -c 'from PIL import Image; Image.effect_noise((640, 480), 99).convert("RGB").save("other.png")'
    from_v1_harmed 'a 640 x 480 .*picture, expected ' -T other.png
}

from_v1_a_frame() {
    from_v1_harmed 'a frame of this storagex' -T "$here/../man/frame.png"
}

from_v1_no_picture() {
    from_v1_harmed 'PNG|picture' -T "$here/v1.sh"
}

from_v1_shorter_piece() {
    random 1000 other
    v1_upload other
    curl -sf -o other.png "$(pieces)"
    from_v1_harmed 'piece|bytes' -T other.png
}

from_v1_no_index() {
    random 100 file
    v1_upload file
    refused 1 'index' sx-get "$(pieces)" >out
    to_picture "$(cat key)" -X DELETE
    refused 1 'not found' sx-get key >out
}

## What 1.0 reads

# Checks that 1.0 brings back what we keep, with and without the digest in the key, and so do we.
goes_to_v1() { # FILE [OPTION_OF_ENCODE...]
    sx-encode -0 "${@:2}" "$1" | sx-put --to host:baidu-shitu --name "$1" >key
    grep -Ex "$pictures/[0-9a-f]{40}\.jpg#blake3=[0-9a-f]{64}" key || fail 'no key'
    v1 download "$(sed 's/#.*//' key)" out >/dev/null
    cmp out "$1"
    v1 download "$(cat key)" out >/dev/null
    cmp out "$1"
    (mkdir there && cd there && v1 download "$(cat ../key)" >/dev/null && cmp -- "$1" "../$1") # as the index calls it
    sx-get key | sx-decode | cmp - "$1"
    sx-get --check key
}

goes_to_v1_of() { # BYTES [OPTION_OF_ENCODE...]
    random "$1" file
    goes_to_v1 file "${@:2}"
}

to_v1_nothing() { goes_to_v1_of 0; }
to_v1_a_byte() { goes_to_v1_of 1; }
to_v1_a_frame() { goes_to_v1_of "$frame"; }
to_v1_a_frame_and_a_byte() { goes_to_v1_of $((frame + 1)); }
to_v1_noise() { goes_to_v1_of 5M; }
to_v1_small_frames() { goes_to_v1_of 500000 -W 64 -H 64; }

to_v1_a_text_with_a_name() {
    printf 'Grüße,\r\n二行目\n' >'Grüße aus 東京.txt'
    goes_to_v1 'Grüße aus 東京.txt'
}

# The same frames have the same URLs, and so has the index.
to_v1_again() {
    random 5M file
    sx-encode -0 file >frames
    sx-put --to host:baidu-shitu --verify all <frames >key
    sx-put --to host:baidu-shitu <frames >key.again
    cmp key key.again
    sx-get key | cmp - frames
}

to_v1_missing() {
    to_v1_harmed -X DELETE
    refused 1 'frame 1: .*not found' sx-get key >out
}

# The second of three frames is harmed in some way.
to_v1_harmed() { # CURL_OPTION...
    random 5M file
    sx-encode -0 file | sx-put --to host:baidu-shitu >key
    to_picture "$(sx-get --list key | sed -n '3s/#.*//p')" "$@"
}

## What is asked for again before it is given up

# A piece that is cut short, and a good frame in place of another. It takes up to a minute: this begins
# it, and `given_up` waits for it.
given_up_start() {
    mkdir "$work/given_up"
    (
        set -e
        cd "$work/given_up"
        random 1000000 other
        v1_upload other
        curl -sf -o piece.png "$(pieces)"
        truncate -s 50000 piece.png
        to_picture "$(pieces)" -T piece.png
        mv key key.cut
        sx-encode -0 -o frame.png other
        to_v1_harmed -T frame.png
    ) >/dev/null
    start cut_short sx-get --check "$work/given_up/key.cut"
    start another_frame sx-get --check "$work/given_up/key"
}

given_up() {
    for name in cut_short another_frame; do
        until grep '^sx-get: error: ' "$work/$name.log"; do sleep 0.2; done
    done
    grep 'error: frame 0: .*ends after 50000 bytes' "$work/cut_short.log"
    grep 'error: .*frame 1: .*digest' "$work/another_frame.log"
}

## The host

# What it refuses, else all else would show little.
host_is_strict() {
    printf '\211PNG' >test.png
    status() { curl -s -o answer -w '%{http_code} %{num_redirects}' "$@" http://image.baidu.com/pictureup/uploadshitu; }
    [ "$(status -L -F image=@test.png)" = '200 1' ]
    [ "$(status -F 'image=@test.png;filename=other.png')" = '400 0' ]
    [ "$(status -F picture=@test.png)" = '400 0' ]
    [ "$(status -F more=1 -F image=@test.png)" = '400 0' ]
    [ "$(curl -s -o answer -w '%{http_code}' "$pictures/0.jpg")" = 404 ]
    [ "$(curl -s -o answer -w '%{http_code}' http://elsewhere.example/)" = 404 ]
    ! curl -s -p http://elsewhere.example/ || fail 'a tunnel to elsewhere'
}

begin
packages curl=curl python3='python3 python3-venv'
python_venv storagex-v1 v1.txt --no-deps

ports proxy_port
start baidu "$python" "$here/servers/baidu.py" "$proxy_port"
await baidu is_open "$proxy_port"
export http_proxy=http://127.0.0.1:$proxy_port HTTP_PROXY=http://127.0.0.1:$proxy_port NO_PROXY='' no_proxy=''

check 20 host_is_strict
given_up_start
for name in nothing a_byte a_piece a_piece_and_a_byte noise zeros a_text_with_a_name info_and_list by_the_wrapper missing no_piece a_frame \
    no_picture shorter_piece no_index; do
    check 40 "from_v1_$name"
done
for name in nothing a_byte a_frame a_frame_and_a_byte noise small_frames a_text_with_a_name again missing; do
    check 40 "to_v1_$name"
done
check 100 given_up
summary
