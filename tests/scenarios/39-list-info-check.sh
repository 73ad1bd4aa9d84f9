#!/bin/sh
# sx-get --list, --info and --check, and sx-put --keys: what there is of a key without its bytes.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

frames
sx-put --name 'my name' <frames >key

sx-get --info key >info
grep -qx 'name: my name' info
grep -qx 'size: 5000' info
grep -qx 'frames: 7' info
grep -qx "store: file://$PWD/data/storagex" info
grep -Eqx 'made: [0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z' info
sx-get --info --json key | grep -q '"frames":7'
sx-get --info --json key | grep -q '"name":"my name"'

# All keys are listed, the index first: what is in the store and not in the list may be removed.
sx-get --list key >keys
[ "$(wc -l <keys)" -eq 8 ] || fail 'expected an index and seven frames'
[ "$(head -n 1 keys)" = "$(printf '%s\tindex' "$(cat key)")" ] || fail 'expected the index first'
sx-put --keys <frames >frame.keys
tail -n +2 keys | cmp - frame.keys
seq 1000 | sx-encode | sx-put >/dev/null
while read -r line; do path_of "$line"; done <keys | sort >reached
find "$PWD/data" -type f | sort >stored
comm -13 reached stored | xargs rm
sx-get --check key >output
grep -qx 'data: 7 good, 0 missing, 0 damaged' output
grep -qx 'result: everything is there' output
sx-get --check --json key | grep -q '"result":"whole"'
[ "$(find data -type f | wc -l)" -eq 8 ] || fail 'expected eight pictures'

# --keys makes no index.
sx-put --keys --to ./no-index <frames | wc -l | grep -qx 7
[ "$(find no-index -type f | wc -l)" -eq 7 ] || fail 'expected seven pictures'
