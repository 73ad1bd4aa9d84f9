#!/bin/sh
# A store that can't be written: an error that names the place, no key, and the old key as it was.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

frames
echo old >key
echo text >regular

unwritable() { # STORE
    refuses 1 "frame 0: .*${1#./}.*: cannot" sx-put --to "$1" -o key <frames
    refuses 1 "frame 0: .*${1#./}.*: cannot" sx-put --to "$1" <frames >new
    [ "$(cat key)" = old ] || fail 'the old key is gone'
    [ ! -s new ] || fail 'a key'
}

unwritable ./regular
unwritable ./regular/below
unwritable /dev/null
unwritable /proc/storagex
mkdir readonly
if [ "$(id -u)" -ne 0 ]; then
    chmod a-w readonly
    unwritable ./readonly
    unwritable ./readonly/below
    chmod u+w readonly
fi

for store in nope://x nope:x s3nope://bucket C:x name '' file:; do
    refuses 2 'store' sx-put --to "$store" -o key <frames
done
SX_STORE=nope://x
export SX_STORE
refuses 2 'store of unknown scheme' sx-put -o key <frames
[ "$(cat key)" = old ] || fail 'the old key is gone'
only stream frames frame.0 frame.1 frame.2 frame.3 frame.4 frame.5 frame.6 key new regular readonly
[ ! -e data ] || fail 'something in the default store'
