#!/bin/sh
# Tiny index frames make a tree of indexes; what comes back is the same, and all of it is listed.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

random 30000 stream
sx-encode -0 -W 16 -H 16 stream >frames
count=$(sx-decode --list frames | wc -l)
sx-put -W 18 -H 18 --name tree <frames >key

sx-get key | cmp - frames
sx-get --check key
sx-get --info key | grep -qx "frames: $count"
sx-get --info key | grep -qx 'name: tree'
sx-get --list key >keys
[ "$(wc -l <keys)" -eq "$(find data -type f | wc -l)" ] || fail 'not all is listed'
sx-get -j 1 key | cmp - frames

while read -r line; do
    sx-decode --list "$(path_of "$line")"
done <keys >listed
[ "$(grep -c '  index  ' listed)" -gt $((count / 3)) ] || fail "expected more indexes: $(cat listed)"

# An index in the middle of the tree is missing, or damaged.
middle=$(sed -n 2p keys)
sx-decode --list "$(path_of "$middle")" | grep -q '  index  ' || fail 'expected an index'
flip "$(path_of "$middle")" 300
refuses 1 'damaged|CRC-32' sx-get key >got
rm "$(path_of "$middle")"
refuses 1 'not found' sx-get key >got
