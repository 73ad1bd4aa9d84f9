#!/bin/sh
# Frames that are swapped, doubled or left out are noticed at the frame where it shows.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

frames

wrong() { # PATTERN NUMBER...
    pattern=$1
    shift
    for number; do cat "frame.$number"; done >wrong
    refuses 1 "$pattern" sx-decode <wrong >back
    refuses 1 "$pattern" sx-decode --test wrong
    refuses 1 "$pattern" sx-decode -o new <wrong
    refuses 1 "$pattern" sx-put -o new <wrong
    refuses 1 "$pattern" sx-put <wrong >key
    [ ! -s key ] || fail "a key of: $*"
    [ ! -e new ] || fail "a file of: $*"
    cmp -n "$(wc -c <back)" back stream || fail "other bytes of: $*"
}

wrong 'frame 1: offset 1464, expected 732' 0 2 1 3 4 5 6
wrong 'frame 0: offset 732, expected 0' 1 0 2 3 4 5 6
wrong 'frame 5: offset 4392, expected 3660' 0 1 2 3 4 6 5
wrong 'frame 1: offset 0, expected 732' 0 0 1 2 3 4 5 6
wrong 'frame 4: offset 2196, expected 2928' 0 1 2 3 3 4 5 6
wrong 'frame 7: offset 4392, expected 0' 0 1 2 3 4 5 6 6
wrong 'frame 0: offset 732, expected 0' 1 2 3 4 5 6
wrong 'frame 3: offset 2928, expected 2196' 0 1 2 4 5 6
wrong 'frame 0: offset 4392, expected 0' 6

# Frames of another stream in the middle fit by their offsets, but not by the CRC of the stream.
random 5000 other
sx-encode -0 -W 16 -H 16 other | split -b 852 -d -a 1 - other.
cp other.3 frame.3
cat frame.[0-6] >wrong
refuses 1 'frame 6: CRC-32 of the stream' sx-decode -o new wrong
[ ! -e new ] || fail 'a file'
