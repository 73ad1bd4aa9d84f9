#!/bin/sh
# Who reads our output may go away: all four programs end at once, with status 0 and without a word; but
# a key that nobody took is an error, and is not lost.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

random 5000000 stream
sx-encode -W 64 -H 64 stream >frames
sx-put <frames >key

for reader in 'head -c 1' true; do
    watched sx-encode stream | $reader >/dev/null
    ended_quietly "sx-encode | $reader"
    watched sx-encode -j 8 -- cat stream | $reader >/dev/null
    ended_quietly "sx-encode -- cat | $reader"
    watched sx-encode -- yes | $reader >/dev/null
    ended_quietly "sx-encode -- yes | $reader"
    watched sx-decode frames | $reader >/dev/null
    ended_quietly "sx-decode | $reader"
    watched sx-decode --list frames | $reader >/dev/null
    ended_quietly "sx-decode --list | $reader"
    watched sx-get key | $reader >/dev/null
    ended_quietly "sx-get | $reader"
    watched sx-get --list key | $reader >/dev/null
    ended_quietly "sx-get --list | $reader"
done

# The reader is gone before there is a key.
{ sleep 1; sx-put <frames 2>said || echo $? >status; } | true
[ "$(cat status)" -eq 1 ] || fail "sx-put | true: status $(cat status)"
grep -q 'closed pipe, expected to write this key: file://' said || fail "$(cat said)"
sed -n 's/.*this key: \(file:.*\)/\1/p' said >said.key
sx-get said.key | cmp - frames
{ sleep 1; sx-put --keys <frames 2>said || echo $? >status; } | true
[ "$(cat status)" -eq 1 ] || fail "sx-put --keys | true: status $(cat status)"

rm status
{ sleep 1; sx-get --repair key 2>said || echo $? >status; } | true
[ "$(cat status)" -eq 1 ] || fail "sx-get --repair | true: status $(cat status)"
sed -n 's/.*closed pipe, expected to write this key: \(file:.*\)/\1/p' said | cmp - key

# A prune does its work for whoever sees it.
mkdir nights
for day in 1 2 3; do cp key "nights/2026-11-0${day}T00:00:00Z.key"; done
sx-encode -- true | sx-put -o nights/2026-11-04T00:00:00Z.key
{ sleep 1; watched sx-put --prune --forget nights --keep-last 1; } | true
ended_quietly 'sx-put --prune | true'
[ "$(ls nights)" = 2026-11-04T00:00:00Z.key ] || fail "not forgotten: $(ls nights)"
[ -n "$(find data -path '*fossils*' -name '*.png')" ] || fail 'no fossil'
{ sleep 1; watched sx-put --prune key nights; } | true
ended_quietly 'sx-put --prune | true'
[ -z "$(find data -path '*fossils*' -name '*.png')" ] || fail 'not moved back'

# Who starts us may ignore SIGPIPE.
(
    trap '' PIPE
    watched sx-encode stream | true
)
ended_quietly 'sx-encode without SIGPIPE'

# The reader fails; who writes to it has nothing to add.
watched sx-encode -0 stream | refuses 2 'unknown scheme' sx-put --to nope://x
ended_quietly 'sx-encode | failing sx-put'
watched sx-get key | refuses 1 'cannot write' sx-decode -o nowhere/file
ended_quietly 'sx-get | failing sx-decode'

# A writer that doesn't write any more, but stays: its reader's end is noticed with the next byte.
mkfifo pipe
exec 3<>pipe
(watched sx-encode -0 <pipe 3>&- | true) &
head -c 3000000 stream >&3
wait $!
ended_quietly 'sx-encode from who stays'
