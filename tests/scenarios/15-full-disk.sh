#!/bin/sh
# A disk that is full, and a limit on file sizes: an error that says so, and nothing half-written.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

random 200000 stream
sx-encode -0 stream >frames
sx-put <frames >key

refuses 1 'cannot write: No space left' sx-encode stream >/dev/full
refuses 1 'cannot write: No space left' sx-decode frames >/dev/full
refuses 1 'cannot write: No space left' sx-decode --list frames >/dev/full
refuses 1 'cannot write: No space left' sx-put <frames >/dev/full
refuses 1 'cannot write: No space left' sx-put --keys <frames >/dev/full
refuses 1 'cannot write: No space left' sx-get key >/dev/full
refuses 1 'cannot write: No space left' sx-get --info key >/dev/full

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
