#!/bin/sh
# Pictures are lost and brought back: parity, check, repair, salvage, and what each says.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

random 60000 stream
sx-encode -0 -W 64 -H 64 stream >frames # five frames
sx-put --parity 4+1 <frames >key
cmp_back() { sx-get key 2>said | sx-decode | cmp - stream; }
cmp_back
[ ! -s said ] || fail "nothing lost: $(cat said)"
sx-get --list key >keys
[ "$(cut -f 2 keys | sort | uniq -c | tr -s ' \n' ' ')" = ' 1 copy 5 data 1 index 2 parity ' ] ||
    fail "listed: $(cat keys)"
[ "$(sx-put --keys --parity 4+1 <frames | cut -f 2 | sort | uniq -c | tr -s ' \n' ' ')" = ' 5 data 2 parity ' ] ||
    fail 'keys of data and parity'
one() { path_of "$(grep "	$1\$" keys | sed -n "$2p")"; }

# One of a group, an index, and the parity of the other group.
rm "$(one data 2)" "$(one index 1)" "$(one parity 2)"
cmp_back
[ "$(cat said)" = 'sx-get: note: 1 frame rebuilt from parity' ] || fail "said: $(cat said)"
status=0
sx-get --check key >report || status=$?
[ "$status" -eq 3 ] || fail "status $status of what can be repaired"
grep -qx 'data: 4 good, 1 missing, 0 damaged' report
grep -qx 'parity: 1 good, 1 missing, 0 damaged' report
grep -qx 'index: 1 good, 1 missing, 0 damaged' report
grep -qx 'rebuildable: 1 data frame' report
sx-get --repair key >repaired 2>said
cmp repaired key
[ "$(cat said)" = 'sx-get: note: 3 pictures stored again' ] || fail "said: $(cat said)"
sx-get --check key | grep -qx 'result: everything is there'
sx-get --check --sample 40% --json key | grep -q '"sample":{"confidence":'

# Two of a group.
rm "$(one data 2)" "$(one data 3)"
refuses 1 'group of frames 0 to 3: 3 data and parity frames left, expected 4 .*: frames 1 to 2$' sx-get key >got
refuses 1 '2 frames .24504 bytes. lost' sx-get --check key >report
grep -q '^lost: frames 1 to 2, 24504 bytes at 12252: ' report
refuses 1 '2 frames .24504 bytes. lost' sx-get --salvage --map map key >got
sx-decode got >back
{ head -c 12252 stream && head -c 24504 /dev/zero && tail -c +36757 stream; } | cmp - back
grep -qx '0x00002fdc  0x00005fb8  -' map
refuses 1 'bytes. lost' sx-get --repair key >repaired
refuses 1 'bytes. lost' sx-get --repair --to ./new key

# Without any index, by the frames alone.
refuses 1 '24504 bytes are missing and replaced by zeros' sx-decode --salvage --sort --map map2 -o back2 data/storagex/*/*.png
cmp back back2
grep -qx '0x00002fdc  0x00005fb8  -' map2
rm "$(one data 5)" # the last
status=0
sx-decode --salvage --sort data/storagex/*/*.png >back 2>said || status=$?
[ "$status" -eq 1 ] || fail "status $status"
grep -q 'an unknown number at the end' said || fail "said: $(cat said)"

# Parity for an old backup; the same key for the same parity.
sx-encode -0 -W 64 -H 64 stream | sx-put --to ./old >old.key
sx-get old.key | sx-put --parity 4+1 --to ./new >new.key
sx-get --check new.key | grep -qx 'parity: 2 good, 0 missing, 0 damaged'
[ "$(sed 's/.*#//' new.key)" = "$(sed 's/.*#//' key)" ] || fail 'another key for the same'

refuses 2 'expected K\+M, from 1\+1 to 128\+64' sx-put --parity 20 <frames
refuses 2 'expected at least' sx-put --parity 128+64 -W 64 -H 64 <frames
refuses 2 '4\+2 would do' sx-put --parity 4+1 --spread --to ./a --to ./b --to ./c <frames
