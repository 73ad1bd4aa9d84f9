#!/bin/sh
# A stream that is cut at any place is an error at both ends: no file and no key come of it.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

frames
size=$(wc -c <frames)

for cut in 1 7 8 20 32 33 40 851 852 853 1704 2000 $((6 * 852)) $((6 * 852 + 1)) $((size - 12)) $((size - 1)); do
    head -c "$cut" frames >part
    for input in pipe file; do
        # shellcheck disable=SC2002 # it is to be a pipe
        case $input in
            pipe) run() { cat part | refuses 1 'frame [0-6]: input ends' "$@"; } ;;
            file) run() { refuses 1 'frame [0-6]: input ends' "$@" <part; } ;;
        esac
        run sx-decode >back
        cmp -n "$(wc -c <back)" back stream || fail "cut at $cut: other bytes"
        run sx-decode -o new
        run sx-put -o new
        run sx-put >key
        [ ! -s key ] || fail "cut at $cut: a key"
        [ ! -e new ] || fail "cut at $cut: a file"
    done
done

# The last frame alone is missing: which one, and that what came so far is no whole.
cat frame.[0-5] | refuses 1 'frame 6: input ends here' sx-decode >back
cat frame.[0-5] | refuses 1 'frame 6: input ends here' sx-put >key
[ ! -s key ] || fail 'a key'
