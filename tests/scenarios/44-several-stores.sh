#!/bin/sh
# Copies in several stores, a line with a key for each, and a store that fails.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

frames
sx-put --to ./a --to ./b <frames >key
[ "$(wc -l <key)" -eq 1 ] || fail 'expected one line'
[ "$(wc -w <key)" -eq 2 ] || fail 'expected two keys'
sx-get key | cmp - frames
sx-get "$(cat key)" | cmp - frames
for part in 1 2; do sx-get "$(cut -d ' ' -f $part key)" | cmp - frames; done
mv a away
sx-get key | cmp - frames
status=0
sx-get --check key >report || status=$?
[ "$status" -eq 3 ] || fail "status $status"
grep -qx "store file://$PWD/a: 0 good, 8 missing, 0 damaged" report
grep -qx "store file://$PWD/b: 8 good, 0 missing, 0 damaged" report
sx-get --repair key | cmp - key
sx-get --check key >report
diff -r a away

# A store that was moved.
rm -r a b
refuses 1 'not found' sx-get key >got
sx-get --from ./away key | cmp - frames
sx-get --from ./away --check key | grep -qx 'result: everything is there'
sx-get --from ./away --info key | grep -qx 'frames: 7'

# A copy that is only a source: the key's own store gets back what it has lost, some of it or all.
sx-put --to ./own <frames >own.key
for lost in 5 8; do
    find own -name '*.png' | head -n "$lost" | xargs rm
    sx-get --from ./away --repair own.key 2>said | cmp - own.key
    grep -qx "sx-get: note: $lost pictures stored again" said || fail "said: $(cat said)"
    sx-get own.key | cmp - frames
done
rm -r own
sx-get --from ./away --repair own.key | cmp - own.key
sx-get --check own.key | grep -qx 'result: everything is there'

# A store that can't be written: no key, but for --min-copies.
: >full
refuses 1 'cannot make folder' sx-put --to ./c --to ./full/x -o new.key <frames
[ ! -e new.key ] || fail 'a key'
sx-put --to ./c --to ./full/x --min-copies 1 -o new.key <frames 2>said
grep -q '^sx-put: note: no copy in store ./full/x: ' said || fail "said: $(cat said)"
[ "$(wc -w <new.key)" -eq 1 ] || fail 'expected one key'
sx-get new.key | cmp - frames
sx-put --keys --to ./c --to ./full/x --min-copies 1 <frames >frame.keys 2>said
grep -q '^sx-put: note: no copy in store ./full/x: ' said || fail "said: $(cat said)"
[ "$(grep -c "^file://$PWD/c/" frame.keys)" -eq "$(wc -l <frame.keys)" ] || fail "$(cat frame.keys)"
refuses 2 'expected 1 to 2' sx-put --to ./c --to ./d --min-copies 3 <frames

# A store that is named twice would keep one copy, and say two.
refuses 2 'twice, expected different stores' sx-put --to ./same --to file:"$PWD/same/" <frames
[ ! -e same ] || fail 'a store'
ln -s same link
for other in ./link ./same/../same ./link/x/..; do
    refuses 2 'is in the folder of file:///.*/same, expected different stores' sx-put --to ./same --to "$other" <frames
    refuses 2 'expected different stores' sx-put --parity 2+1 --spread --to ./b --to ./same --to "$other" <frames
done
[ ! -e same ] || fail 'a store'
mkdir same
refuses 2 'expected different stores' sx-put --to ./link --to ./same <frames
[ -z "$(ls same)" ] || fail 'a picture'
rm -r link same

# Dealt out to three: any one may go.
sx-put --parity 2+1 --spread --to ./x --to ./y --to ./z <frames >spread.key
for store in x y z; do
    mv "$store" gone
    sx-get spread.key 2>said | cmp - frames
    mv gone "$store"
done
sx-get --check spread.key | grep -qx 'result: everything is there'
# The key of each of the frames is in one of them, and each is in order.
sx-put --keys --parity 2+1 --spread --to ./x --to ./y --to ./z <frames >frame.keys
[ "$(cut -f 2 frame.keys | tr '\n' ' ')" = "$(printf 'data data parity %.0s' 1 2 3)data parity " ] || fail "$(cat frame.keys)"
cut -f 1 frame.keys | while read -r key; do
    [ -e "$(path_of "$key")" ] || fail "not there: $key"
    path_of "$key" | sed "s,^$PWD/\(.\).*,\1,"
done >turns
[ "$(tr '\n' ' ' <turns)" = 'x y z x y z x y z x y ' ] || fail "$(cat turns)"
grep data frame.keys | cut -f 1 | while read -r key; do cat "$(path_of "$key")"; done | cmp - frames
# Of copies, each has its key: a frame in all stores before the next frame.
sx-put --keys --parity 2+1 --to ./v --to ./w <frames | cut -f 1 | while read -r key; do path_of "$key"; done >copies
[ "$(wc -l <copies)" -eq 22 ] || fail "$(cat copies)"
xargs ls <copies >/dev/null
sed "s,^$PWD/\(.\)/.*/,\1 ," copies | awk '{ if (NR % 2 ? $1 != "v" : $1 != "w" || $2 != last) exit 1; last = $2 }'
# 1.5 times the frames, and four index frames (two copies) in each.
[ "$(find x y z -name '*.png' | wc -l)" -eq $((7 + 4 + 3 * 2)) ] || fail 'other pictures'
