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

# The list of the files in a backup needs space in TMPDIR; one that is cut short is no list.
mkdir tree tmp
seq 3000 | sed 's|^|tree/a-name-of-some-length-|' | xargs touch
mount -t tmpfs -o size=64k none tmp
! TMPDIR=$PWD/tmp storagex backup tree tree 2>said || fail 'a backup without the whole list'
grep -q '^storagex: error: .*/tmp/.*/files: cannot write the list of files$' said || fail "$(cat said)"
grep -qx 'storagex: hint: TMPDIR names a folder that has space for it' said || fail "$(cat said)"
! grep -v '^[a-z-]*: \(error\|hint\): ' said || fail "$(cat said)"
refuses 1 "no backup of 'tree'" storagex list tree
[ -z "$(ls -A tmp)" ] || fail "left behind: $(ls -A tmp)"
mount -o remount,size=1m tmp
TMPDIR=$PWD/tmp storagex backup tree tree
mv tree before
storagex restore tree tree/a-name-of-some-length-3000
[ "$(ls tree)" = a-name-of-some-length-3000 ] || fail "$(ls tree)"
