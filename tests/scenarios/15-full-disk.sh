#!/bin/sh
# A disk that is full, and a limit on file sizes: an error that says so, and nothing half-written. A key
# for which there is no room is not lost.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

random 200000 stream
sx-encode -0 stream >frames
sx-put <frames >key

refuses 1 'cannot write: No space left' sx-encode stream >/dev/full
refuses 1 'cannot write: No space left' sx-decode frames >/dev/full
refuses 1 'cannot write: No space left' sx-decode --list frames >/dev/full
refuses 1 'cannot write: No space left' sx-put --keys <frames >/dev/full
it_said -q 'hint: run the pipe again: it prints all keys' || fail 'no such hint'
refuses 1 'cannot write: No space left' sx-get key >/dev/full
refuses 1 'cannot write: No space left' sx-get --info key >/dev/full

said_key() {
    it_said -q 'hint: everything is stored: save this key, or run the pipe again' || fail 'no such hint'
    it_said 'expected to write this key: ' | sed 's/.*: file:/file:/' | cmp - key
}
refuses 1 'cannot write: No space left on device, expected to write this key' sx-put <frames >/dev/full
said_key
refuses 1 'cannot write: No space left on device, expected to write this key' sx-put --comment -o /dev/full <frames
said_key
# A prune does its work nevertheless.
cp key 2026-11-01T00:00:00Z.key
cp key 2026-11-02T00:00:00Z.key
refuses 1 'cannot write: No space left' sx-put --prune --forget . --keep-last 1 >/dev/full
[ ! -e 2026-11-01T00:00:00Z.key ] || fail 'not forgotten'
rm 2026-11-02T00:00:00Z.key
# The folder of the key goes while its frames come.
mkfifo pipe
mkdir gone
{ sleep 1 && rm -r gone && cat frames; } >pipe &
refuses 1 'gone/key: cannot write: No such file or directory, expected to write this key' sx-put -o gone/key <pipe
said_key
rm pipe

(
    trap '' XFSZ
    ulimit -f 16
    refuses 1 'new: cannot write: File too large' sx-encode -o new stream
    refuses 1 'new: cannot write: File too large' sx-decode -o new frames
    echo old >old
    refuses 1 'old: cannot write: File too large' sx-decode -o old frames
    [ "$(cat old)" = old ] || fail 'the old file is gone'
    refuses 1 'cannot write: File too large' sx-put --to ./small -o old <frames
    [ "$(cat old)" = old ] || fail 'the old key is gone'
)
[ -z "$(find small -type f)" ] || fail "left in the store: $(find small -type f)"
rm -r small
only stream frames key old
