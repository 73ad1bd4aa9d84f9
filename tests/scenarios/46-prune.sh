#!/bin/sh
# sx-put --prune: what it prints, what it does, and the keys that it refuses.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

put() { # NAME
    random 3000 "$1"
    sx-encode -0 -W 16 -H 16 "$1" | sx-put --to ./p -o "$1.key"
}

put old
put new
bytes() { # FOLDER...
    find "$@" -name '*.png' -exec cat {} + | wc -c
}
pictures() { # KEY
    sx-get --list "$1" | cut -f 1 | while read -r key; do path_of "$key"; done
}
kept=$(pictures new.key | wc -l) gone=$(pictures old.key | wc -l)
kept_bytes=$(pictures new.key | xargs cat | wc -c) gone_bytes=$(pictures old.key | xargs cat | wc -c)

expected() { # KEPT REVIVED FOSSILS REMOVED, each as "PICTURES pictures, BYTES"
    printf "${would-}%s bytes\n" "kept: $1" "revived: $2" "fossils: $3" "removed: $4" >expected
    diff expected said
}
none='0 pictures, 0' all=$(bytes p)
new="$kept pictures, $kept_bytes" old="$gone pictures, $gone_bytes"

sx-put --prune --to ./p --dry-run new.key >said
would='would be ' expected "$new" "$none" "$old" "$none"
[ ! -e p/fossils ] || fail 'a dry run moves pictures'
sx-put --prune --to ./p new.key >said
expected "$new" "$none" "$old" "$none"
[ "$(bytes p/fossils)" -eq "$gone_bytes" ] || fail "$(find p/fossils)"
sx-get old.key | sx-decode | cmp - old

# A key that comes in time moves its pictures back.
sx-put --prune --to ./p -o said new.key old.key
expected "$((kept + gone)) pictures, $all" "$old" "$none" "$none"
sx-put --prune --to ./p new.key >said
sleep 1
sx-put --prune --to ./p --grace 0 new.key >said
expected "$new" "$none" "$none" "$old"
[ "$(bytes p)" -eq "$kept_bytes" ] || fail "$(find p)"
sx-get new.key | sx-decode | cmp - new

# Refused, and nothing is touched: no key, a key that can't be read, one of another store, a lost index.
find p -type f | sort >before
refuses 2 'without a key' sx-put --prune --to ./p
refuses 1 'cannot open|cannot read' sx-put --prune --to ./p new.key nosuch.key
echo nonsense >bad.key
refuses 1 'bad.key: line 1' sx-put --prune --to ./p new.key bad.key
: >empty.key
refuses 1 'empty.key: no key' sx-put --prune --to ./p new.key empty.key
sx-encode new | sx-put --to ./other -o other.key
refuses 1 'key file://.*not found' sx-put --prune --to ./p new.key other.key
refuses 1 'key file://.*not found' sx-put --prune --to ./p new.key old.key
refuses 2 'several stores' sx-put --prune --to ./p --to ./other new.key
refuses 2 'needs no URLs to delete' sx-put --prune --to ./p --deletions urls new.key
find p -type f | sort | diff before -
