#!/bin/sh
# A picture in the store that is missing, replaced or damaged: an error at that frame, no bytes of it.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

frames
sx-put <frames >key
sx-get --list key >keys
index=$(path_of "$(sed -n 1p keys)")
two=$(path_of "$(sed -n 4p keys)") # of frame 2, counted from 0
five=$(path_of "$(sed -n 7p keys)")
cp -R data whole

damaged() { # PATTERN
    refuses 1 "$1" sx-get key >got
    cmp -n "$(wc -c <got)" got frames || fail "other frames: $1"
    refuses 1 "$1" sx-get --check key
    sx-get key 2>/dev/null | refuses 1 'input' sx-decode -o new
    [ ! -e new ] || fail "a file: $1"
    rm -r data
    cp -R whole data
}

rm "$two" && damaged 'frame 2: .*: not found'
# Its folder, unless the first two digits of another picture are the same.
[ "$(find "${two%/*}" -type f | wc -l)" -gt 1 ] || { rm -r "${two%/*}" && damaged 'frame 2: .*: not found'; }
: >"$two" && damaged 'frame 2: .*: nothing, expected a PNG'
head -c 500 frame.2 >"$two" && damaged 'frame 2: .*: input ends after 500 bytes'
flip "$two" 400 && damaged 'frame 2: .*: (damaged|CRC-32)'
cp "$five" "$two" && damaged 'frame 2: .*: digest .*, expected'
mv "$two" swap && mv "$five" "$two" && mv swap "$five" && damaged 'frame 2: .*: digest .*, expected'
cp "$index" "$two" && damaged 'frame 2: .*: digest .*, expected'
cat frame.0 >>"$two" && damaged 'frame 2: .*: damaged'
rm "$two" && mkdir "$two" && damaged 'frame 2: .*: cannot read'
cp key "$two" && damaged 'frame 2: .*: a key, expected a PNG'

rm "$index" && damaged 'not found'
cp "$two" "$index" && damaged 'digest .*, expected'
flip "$index" 400 && damaged '(damaged|CRC-32)'
sx-get --check key
