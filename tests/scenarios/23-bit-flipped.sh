#!/bin/sh
# One bit flipped anywhere in the pictures is an error, at the frame that it is in.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

frames

for number in 0 3 6; do
    size=$(wc -c <"frame.$number")
    at=0
    while [ "$at" -lt "$size" ]; do
        flip "frame.$number" "$at"
        cat frame.[0-6] | refuses 1 "frame $number: " sx-decode >/dev/null
        refuses 1 'frame 0: ' sx-put <"frame.$number" >key
        [ ! -s key ] || fail "a key of frame $number with byte $at flipped"
        flip "frame.$number" "$at"
        at=$((at + 41))
    done
done
cat frame.[0-6] | sx-decode | cmp - stream

# Compressed ones, too.
seq 5000 >stream
sx-encode -W 40 -H 40 stream >frames
at=50
while [ "$at" -lt "$(wc -c <frames)" ]; do
    flip frames "$at"
    refuses 1 'frame [0-9]+: ' sx-decode -o new frames
    refuses 1 'frame [0-9]+: ' sx-put -o new <frames
    flip frames "$at"
    at=$((at + 997))
done
[ ! -e new ] || fail 'a file'
sx-decode frames | cmp - stream
