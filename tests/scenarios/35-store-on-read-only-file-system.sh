#!/bin/sh
# A store on a file system that is mounted read-only, where the system allows to mount one.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

where_mounts_are_allowed
frames
mkdir disk
mount -t tmpfs none disk
sx-put --to ./disk/store <frames >key
mount -o remount,ro disk

# What is there already needs no writing.
sx-put --to ./disk/store <frames | cmp - key
sx-get key | cmp - frames

seq 1000 | sx-encode | refuses 1 'frame 0: .*: cannot .*Read-only' sx-put --to ./disk/store >new
refuses 1 'disk/new: cannot write: Read-only' sx-decode -o disk/new frames
[ ! -s new ] || fail 'a key'
