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
    ! it_said -Eq 'hint: .*(that writes the frames|sx-encode)' || fail "a hint for frames: $(it_said .)"
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
for broken in nothing 'input ends' CRC-32; do
    case $broken in
        nothing) : >"$two" ;;
        'input ends') head -c 500 frame.2 >"$two" ;;
        CRC-32) flip "$two" 400 ;;
    esac
    refuses 1 "frame 2: .*: .*$broken" sx-get key >got
    it_said -Eq 'hint: the picture is damaged in the store: sx-get --repair .*; --from' || fail "said: $(it_said .)"
    rm -r data
    cp -R whole data
done
head -c 500 "$index" >short && cp short "$index"
refuses 1 'file://.*: input ends after 500 bytes' sx-put --prune key
it_said -q 'hint: the picture is damaged in the store: sx-get --repair' || fail "said: $(it_said .)"
refuses 1 'frame 0: input ends after 500 bytes' sx-put --to ./other <short
it_said -q 'hint: check whether the program that writes the frames failed' || fail "said: $(it_said .)"
rm -r data
cp -R whole data
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

# What is left can be salvaged; where nothing is, nobody is told to.
rm "$two"
refuses 1 '1 frame .732 bytes. lost' sx-get --check key >report
grep -qx 'result: data is lost: sx-get --salvage writes the rest' report || fail "$(cat report)"
it_said -q 'hint: --salvage' || fail "said: $(it_said .)"
refuses 1 'lost' sx-get --salvage key >rest
! it_said -q 'hint: .*--salvage' || fail "said: $(it_said .)"
sed -n 's/\tdata$//p' keys | while read -r each; do rm -f "$(path_of "$each")"; done
refuses 1 '7 frames .[0-9]+ bytes. lost' sx-get --check key >report
grep -qx 'result: data is lost: nothing is left' report || fail "$(cat report)"
! it_said -q -- --salvage || fail "said: $(it_said .)"
it_said -q 'hint: --from' || fail "said: $(it_said .)"

# The file may be fine, and the system lets nobody open it.
# shellcheck disable=SC3045 # it is there in dash, ksh and bash
! (ulimit -n 4 && exec sx-decode -o new frame.0) 2>said || fail 'a success'
grep -q '^sx-decode: error: .*Too many open files' said || fail "$(cat said)"
grep -q '^sx-decode: hint: ulimit -n' said || fail "$(cat said)"
