#!/bin/sh
# Bytes before, between and after the frames that are no frame: an error, whatever they are.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

frames

for junk in x 'junk' "$(seq 200)" "$(head -c 100 /dev/zero | tr '\0' '\n')."; do
    printf '%s' "$junk" >junk
    { cat frames && cat junk; } >after
    { cat junk && cat frames; } >before
    { cat frame.[0-2] junk frame.[3-6]; } >between
    refuses 1 'frame 7: ' sx-decode -o new after
    refuses 1 'frame 0: ' sx-decode -o new before
    refuses 1 'frame 3: ' sx-decode -o new between
    refuses 1 'frame 7: ' sx-put -o new <after
    refuses 1 'frame 0: ' sx-put -o new <before
    refuses 1 'frame 3: ' sx-put -o new <between
done
{ cat frames && printf '\0'; } >after
refuses 1 'frame 7: ' sx-decode -o new after
refuses 1 'frame 7: ' sx-put -o new <after
{ cat frames && printf '\n'; } >after
refuses 1 'frame 7: ' sx-decode -o new after
[ ! -e new ] || fail 'a file or a key'
