#!/bin/sh
# A damaged picture in the store isn't believed: the next put replaces it, and the key stays the same.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

frames
sx-put <frames >key
sx-get --list key >keys

damage() { # HOW FILE
    case $1 in
        flipped) flip "$2" 400 ;;
        empty) : >"$2" ;;
        cut-short) head -c 500 frame.0 >"$2" ;;
        longer) echo x >>"$2" ;;
        replaced) cp frame.5 "$2" ;;
        missing) rm "$2" ;;
    esac
}

for line in 1 2 5 8; do
    for how in flipped empty cut-short longer replaced missing; do
        damage "$how" "$(path_of "$(sed -n "${line}p" keys)")"
        refuses 1 '.' sx-get --check key
        sx-put <frames | cmp - key || fail "another key: $how"
        sx-get key | cmp - frames || fail "not repaired: $how"
    done
done
