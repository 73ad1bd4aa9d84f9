#!/bin/sh
# sx-decode --list shows each frame as it is, also where the stream is broken.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

frames
sx-decode --list frames >list
[ "$(wc -l <list)" -eq 7 ] || fail 'expected seven lines'
[ "$(sed -n 2p list)" = '1  data  stored  16x16  732  732  732  positioned' ] || fail "$(cat list)"
tail -n 1 list | grep -q '^6  data  stored  16x16  4392  608  608  last,positioned$' || fail "$(cat list)"
sx-decode --list --json frames | sed -n 1p | grep -q '"offset":0'
[ "$(sx-decode --list --json frames | wc -l)" -eq 7 ] || fail 'expected seven objects'
head -c 100000 /dev/zero | sx-encode | sx-decode --list | grep -q '^0  data  zstd  '

cat frame.3 frame.1 frame.1 >wrong
sx-decode --list wrong >list
[ "$(wc -l <list)" -eq 3 ] || fail 'expected three lines'

sx-put <frames >key
sx-decode --list "$(path_of "$(cat key)")" | grep -q '^0  index  stored  '
refuses 1 'frame of an index, expected data' sx-decode "$(path_of "$(cat key)")"
refuses 1 'frame of an index, expected data' sx-put <"$(path_of "$(cat key)")"
