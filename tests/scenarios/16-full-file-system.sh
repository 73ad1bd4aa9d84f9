#!/bin/sh
# A file system that is full, where the system allows to mount a small one.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

where_mounts_are_allowed
random 2000000 stream
sx-encode -0 -W 256 -H 256 stream >frames
mkdir disk
mount -t tmpfs -o size=1m none disk

echo old >disk/file
refuses 1 'disk/file: cannot write: No space left' sx-decode -o disk/file frames
refuses 1 'disk/file: cannot write: No space left' sx-encode -o disk/file stream
[ "$(cat disk/file)" = old ] || fail 'the old file is gone'
[ "$(ls -A disk)" = file ] || fail "left behind: $(ls -A disk)"

refuses 1 'cannot write: No space left' sx-put --to ./disk/store -o disk/file <frames
[ "$(cat disk/file)" = old ] || fail 'the old key is gone'
find disk/store -type f ! -name '*.png' | grep . && fail 'left behind'
for file in disk/store/*/*; do
    sx-decode --list "$file" >/dev/null || fail "half a frame in the store: $file"
done

# With space again, the same command goes through.
mount -o remount,size=10m disk
sx-put --to ./disk/store <frames | sx-get | sx-decode | cmp - stream
