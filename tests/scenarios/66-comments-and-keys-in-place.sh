#!/bin/sh
# What sx-put --comment writes before a key, and sx-get --repair --in-place, which changes nothing else in
# a file of keys.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

frames
sx-put -v --comment --to ./a --to "file:./b " <frames >two.key 2>said
{
    printf '# %s\n' 'store: ./a' 'store: file:./b ' "$(sed 's/^sx-put: //' said)"
    sx-put --to ./a --to "file:./b " <frames
} >expected
diff expected two.key
grep -Eqx '# stored 5\.00 kB as 7 frames: 0 of 16 pictures already there, 1[0-9.]+ kB sent in [0-9.]+ s' two.key ||
    fail "$(cat two.key)"
sx-get two.key | cmp - frames
sx-put --comment <frames -o file.key
sed -n 1p file.key | grep -qx "# store: $XDG_DATA_HOME/storagex" || fail "$(cat file.key)"
# No name of a store makes a line of keys.
sx-put --comment --to "./a
b" <frames >lines.key
sed -n 1p lines.key | grep -Fqx '# store: ./a\nb' || fail "$(cat lines.key)"
[ "$(wc -l <lines.key)" -eq 3 ] || fail "$(cat lines.key)"
for other in --keys --prune --probe; do
    refuses 2 "cannot be used with '$other" sx-put --comment "$other" --to ./a <frames
done

# The key stays the same where pictures are named after their digests, and so does the file.
cp two.key kept
rm "$(path_of "$(sx-get --list two.key | sed -n 3p)")"
sx-get --repair --in-place two.key >printed 2>said
[ ! -s printed ] || fail "$(cat printed)"
grep -qx 'sx-get: note: two.key: 1 picture stored again' said || fail "$(cat said)"
cmp kept two.key
sx-get --check two.key >said || fail "$(cat said)"

# New keys take the place of old ones; comments, and all else, stay.
printf 'x' | sx-encode | sx-put --to ./a >other.key
old=$(grep -v '^#' two.key)
{ cat two.key && printf ' %s\tdata\n\n# %s\n' "$(cat other.key)" "$old" && cat other.key; } >many.key
chmod 640 many.key
sx-get --repair -i --to ./c many.key two.key >printed 2>said
[ ! -s printed ] || fail "$(cat printed)"
new=$(sx-put --to ./c <frames) other=$(printf 'x' | sx-encode | sx-put --to ./c)
sed "s|^file:.*|$new|" kept | diff - two.key
{ sed "s|^file:.*|$new|" kept && printf ' %s\tdata\n\n# %s\n%s\n' "$other" "$old" "$other"; } >expected
diff expected many.key
[ "$(stat -c %a many.key)" = 640 ] || fail "$(stat many.key)"
[ "$(grep -c '^sx-get: note: many.key: [0-9]* pictures stored$' said)" -eq 2 ] || fail "$(cat said)"

# The file heads errors; the other keys are repaired all the same.
find a 'b ' -name '*.png' -exec rm {} +
printf 'y' | sx-encode | sx-put --to ./d >good.key
status=0
sx-get --repair --in-place other.key good.key >printed 2>said || status=$?
[ "$status" -eq 1 ] || fail "status $status: $(cat said)"
grep -q '^sx-get: error: other.key: ' said || fail "$(cat said)"
[ ! -s printed ] || fail "$(cat printed)"

refuses 2 'without a file of keys' sx-get --repair -i
refuses 2 'expected files of keys' sx-get --repair -i -
refuses 2 'expected files of keys' sx-get --repair -i "$(cat good.key)"
refuses 2 'repair' sx-get -i good.key
refuses 1 'nosuch.key: cannot open' sx-get --repair -i good.key nosuch.key
