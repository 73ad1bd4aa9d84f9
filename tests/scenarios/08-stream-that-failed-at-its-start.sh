#!/bin/sh
# Among streams that follow one another, one that fails before its first frame is noticed by whoever
# reads them, though the streams before it are whole.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

printf one > one
printf two > two
{ sx-encode one; sx-encode two; } | sx-decode > both
[ "$(cat both)" = onetwo ] || fail "two streams: $(cat both)"

{ sx-encode one; sx-encode missing || :; } > frames 2> messages
grep -q '^sx-encode: error: missing: cannot open' messages || fail "$(cat messages)"
refuses 1 'frame 1: input ends after 8 bytes' sx-put -o key < frames
refuses 1 'frame 1: input ends after 8 bytes' sx-decode -t < frames

{ sx-encode one; sx-encode -- false || :; } > frames 2> messages
refuses 1 'frame 1: input ends after 8 bytes' sx-put -o key < frames

empty=
# shellcheck disable=SC2086 # a command that is no word at all
{ sx-encode one; sx-encode -- $empty || :; } > frames 2> messages
refuses 1 'frame 1: input ends after 8 bytes' sx-put -o key < frames
{ sx-encode one; sx-encode --bad || :; } > frames 2> messages
refuses 1 'frame 1: input ends after 8 bytes' sx-put -o key < frames

sx-encode one | sx-put -o one.key
sx-encode two | sx-put -o two.key
rm "$(sx-get --list two.key | sed -n '2s|^file://\(.*\)#.*|\1|p')"
{ sx-get one.key two.key || :; } > frames 2> messages
grep -q '^sx-get: error: frame 0: .*: not found' messages || fail "$(cat messages)"
refuses 1 'frame 1: input ends after 8 bytes' sx-decode -t < frames
{ sx-get one.key; sx-get missing.key || :; } > frames 2> messages
refuses 1 'frame 1: input ends after 8 bytes' sx-decode -t < frames
