#!/bin/sh
# Width and height 0, 1, 5 and enormous: used where a byte fits in, refused as wrong usage where not.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

seq 100 >stream

for size in '-W 0' '-H 0' '-W 0 -H 0' '-W 1 -H 1' '-W 1 -H 12' '-W 3 -H 4' '-W 12 -H 1'; do
    # shellcheck disable=SC2086 # these are options
    refuses 2 "expected at least 13" sx-encode $size stream >frames
    # shellcheck disable=SC2086
    sx-encode stream | refuses 2 "expected at least 13" sx-put $size >key
    no_frame frames
    no_frame key
done
for size in '-W 100000 -H 100000' '-W 4294967295' '-H 4294967295' '-W 4294967295 -H 4294967295'; do
    # shellcheck disable=SC2086
    refuses 2 'expected at most' sx-encode $size stream >frames
    it_said -q 'hint: -W and -H .*; --max-frame raises the limit' || fail "$size said: $(it_said .)"
    # shellcheck disable=SC2086
    sx-encode stream | refuses 2 'expected at most' sx-put $size >key
    no_frame frames
    no_frame key
done
for size in '-W 4294967296' '-W -1' '-H 18446744073709551616' '-W x' "--width="; do
    # shellcheck disable=SC2086
    refuses 2 '--width|--height' sx-encode $size stream >frames
    no_frame frames
done
for size in '-W 5 -H 5' '-W 1 -H 13' '-W 13 -H 1' '-W 5 -H 1000000' '-W 1000000 -H 5' '-W 1 -H 22369621'; do
    # shellcheck disable=SC2086
    sx-encode $size stream | sx-decode | cmp - stream || fail "$size"
done

# Frames over the reader's limit, unless that is raised, too.
head -c 80000000 /dev/zero | sx-encode -W 5000 -H 5000 --max-frame 80 >frames
refuses 1 'frame 0: 5000 x 5000 pixels, expected at most|frame 0: raw length' sx-decode -o new frames
sx-decode --max-frame 80 --test frames
