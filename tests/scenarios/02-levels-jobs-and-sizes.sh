#!/bin/sh
# Any level, number of threads and size of frames brings the stream back; threads don't change a byte.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

random 3000 stream
seq 4000 >>stream

for options in -0 -1 -19 '-0 -W 16 -H 16' '-W 5 -H 5' '-W 1 -H 13' '-W 13 -H 1' '-W 333 -H 7'; do
    # shellcheck disable=SC2086 # these are options
    sx-encode $options -j 1 stream >frames.1
    # shellcheck disable=SC2086
    sx-encode $options -j 8 stream >frames.8
    cmp frames.1 frames.8 || fail "other frames with -j 8 and $options"
    for jobs in 1 8; do
        sx-decode -j "$jobs" <frames.1 | cmp - stream || fail "other bytes with -j $jobs and $options"
    done
done

sx-encode -W 16 -H 16 stream | sx-put -j 1 >key.1
sx-encode -W 16 -H 16 stream | sx-put -j 8 >key.8
cmp key.1 key.8
sx-get -j 1 key.1 >frames.1
sx-get -j 8 key.1 >frames.8
cmp frames.1 frames.8
