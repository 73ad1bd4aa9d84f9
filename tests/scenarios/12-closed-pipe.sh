#!/bin/sh
# Who reads our output may go away: all four programs end at once, with status 0 and without a word.
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
    watched sx-put <frames | $reader >/dev/null
    ended_quietly "sx-put | $reader"
    watched sx-put --keys <frames | $reader >/dev/null
    ended_quietly "sx-put --keys | $reader"
    watched sx-get key | $reader >/dev/null
    ended_quietly "sx-get | $reader"
    watched sx-get --list key | $reader >/dev/null
    ended_quietly "sx-get --list | $reader"
done

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
