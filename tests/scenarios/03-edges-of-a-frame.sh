#!/bin/sh
# Streams that end just before, at and just after the end of a frame.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

capacity=732 # of 16 x 16: 16 * 16 * 3 - 36

for size in 0 1 $((capacity - 1)) $capacity $((capacity + 1)) $((2 * capacity)) $((2 * capacity + 5)); do
    random "$size" stream
    count=$(((size + capacity - 1) / capacity))
    [ "$count" -gt 0 ] || count=1
    for options in '-0 -j 1' '-0 -j 8' '-3 -j 8'; do
        # shellcheck disable=SC2086 # these are options
        sx-encode $options -W 16 -H 16 <stream >frames
        sx-decode <frames | cmp - stream || fail "$size bytes with $options"
        [ "$(sx-decode --list frames | wc -l)" -eq "$count" ] || fail "$size bytes: expected $count frames"
        # shellcheck disable=SC2094 # nobody writes to it
        sx-put <frames | sx-get | cmp - frames || fail "$size bytes with $options, stored"
    done
done
