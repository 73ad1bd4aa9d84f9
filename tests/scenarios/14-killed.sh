#!/bin/sh
# kill -9 in the middle of writing: no half-written file, nothing left behind, and a store without harm.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

stored() {
    find data -type f 2>/dev/null >stored
    [ -s stored ]
}

reached=true # what holds before the kill
random 12000000 stream
sx-encode -0 stream >frames
mkfifo pipe

# Starts a command and feeds it most of the input: what it hasn't taken by then fits into the pipe.
kill_half_way() { # INPUT COMMAND...
    input=$1
    shift
    "$@" <pipe &
    exec 3>pipe
    head -c 10000000 "$input" >&3
    until $reached; do sleep 0.01; done
    visible=$(find . -name '.storagex-*')
    kill -9 $!
    wait $! || :
    exec 3>&-
    # Where files without names don't exist, as on some overlays, a temporary one is left.
    [ -z "$visible" ] || { echo 'no O_TMPFILE here' && find . -name '.storagex-*' -delete; }
}

kill_half_way stream sx-encode -0 -o new
only stream frames pipe
kill_half_way frames sx-decode -o new
only stream frames pipe
echo old >new
kill_half_way frames sx-decode -o new
[ "$(cat new)" = old ] || fail 'the old file is gone'

reached=stored
kill_half_way frames sx-put -o key
only stream frames pipe new stored
stored
while read -r file; do
    case $file in
        *.png) sx-decode --list "$file" >/dev/null || fail "half a frame in the store: $file" ;;
        *) fail "left in the store: $file" ;;
    esac
done <stored
sx-put <frames | sx-get | sx-decode | cmp - stream
