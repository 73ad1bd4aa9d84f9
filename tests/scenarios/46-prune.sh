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

expected() { # KEPT REVIVED FOSSILS REMOVED [WOULD_BE], the first four as "PICTURES pictures, BYTES"
    printf '%s bytes\n' "kept: $1" "${5-}revived: $2" "${5-}fossils: $3" "${5-}removed: $4" >expected
    diff expected said
}
none='0 pictures, 0' all=$(bytes p)
new="$kept pictures, $kept_bytes" old="$gone pictures, $gone_bytes"

sx-put --prune --to ./p --dry-run new.key >said
expected "$new" "$none" "$old" "$none" 'would be '
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

# Folders of keys: every file *.key and *.files below, also behind links; each file once.
fossils() { # FOLDER
    find "$1" -path '*fossils*' -name '*.png' | wc -l
}
mkdir -p keys/deep/down far
cp new.key keys/new.key
cp old.key keys/not-a-key.txt
put more
cp more.key keys/deep/down/x.files
put linked
mv linked.key far/l.key
ln -s "$PWD/far" keys/link
ln -s .. keys/deep/up
ln -s nowhere keys/dangling
rm -r p/fossils
sx-put --prune --to ./p --dry-run keys new.key >said
grep -qx 'would be fossils: 0 pictures, 0 bytes' said || fail "$(cat said)"
rm keys/link
sx-put --prune --to ./p --dry-run keys >said
! grep -qx 'would be fossils: 0 pictures, 0 bytes' said || fail "$(cat said)"
ln -s "$PWD/far" keys/link
mkdir empty
refuses 1 'empty: no key, expected files' sx-put --prune --to ./p keys empty
it_said -q 'hint: .* whether its disk is mounted' || fail "no such hint"
echo nonsense >keys/deep/bad.key
refuses 1 'keys/deep/bad.key: line 1' sx-put --prune --to ./p keys
mv keys/deep/bad.key keys/deep/bad.txt
ln -s nowhere keys/gone.key
refuses 1 'keys/gone.key: cannot read' sx-put --prune --to ./p keys
rm keys/gone.key
if [ "$(id -u)" -ne 0 ]; then
    chmod 0 keys/deep/down
    refuses 1 'keys/deep/down: cannot read' sx-put --prune --to ./p keys
    chmod 755 keys/deep/down
fi
[ "$(fossils p)" -eq 0 ] || fail "$(find p/fossils)"

# Without --to: every store that a key names, once, however it is spelled.
to() { # STORE NAME
    random 3000 "$2"
    sx-encode -0 -W 16 -H 16 "$2" | sx-put --to "$1" -o "$2.key"
}
mkdir all
ln -s one also
to ./one all/a
to ./also all/b
to "file:$PWD//one/" all/c
to ./one/within all/d
to ./two gone
sx-encode all/a | sx-put --to ./one --to ./two -o all/both.key
cp all/a.key all/e.files
sx-put --prune all >said
printf '%s:\n' "$PWD/one" "$PWD/one/within" "$PWD/two" | sort >expected
grep '^/' said | sort | diff expected -
[ "$(fossils one) $(fossils one/within)" = '0 0' ] || fail "$(cat said)"
[ "$(fossils two)" -eq "$(pictures gone.key | wc -l)" ] || fail "$(cat said)"
for name in a b c d; do sx-get "all/$name.key" | sx-decode | cmp - "all/$name"; done

# A store that was moved or copied keeps what it has of keys that name its old place. The old place is an
# error, and so is any store that fails; the others are pruned.
rm -r one/within all/d.key all/b.key all/c.key
mv one three
random 3000 all/f
sx-encode all/f | sx-put --to ./three -o all/f.key
to ./three loose
status=0
sx-put --prune --grace 0 all >said 2>said.errors || status=$?
[ "$status" -eq 1 ] || fail "status $status: $(cat said said.errors)"
[ "$(grep -c '^sx-put: error: key file://.*not found' said.errors)" -eq 1 ] || fail "$(cat said.errors)"
sed -n "\\|^$PWD/three:|,\$p" said | grep -qx "fossils: $(fossils three) pictures, .*" || fail "$(cat said)"
[ "$(fossils three)" -ge "$(pictures loose.key | wc -l)" ] || fail "$(find three)"
for name in a both f; do sx-get --from ./three "all/$name.key" | sx-decode >came; done
sx-get --from ./three all/a.key | sx-decode | cmp - all/a

# Of several errors the worst counts: half of a login is wrong usage, and less than a key that isn't found.
digest=$(printf '%064d' 0)
echo "s3://bucket/00/$digest.png#blake3=$digest" >all/s3.key
for keys in all all/s3.key; do
    status=0
    AWS_ACCESS_KEY_ID=half sx-put --prune --dry-run "$keys" >said 2>said.errors || status=$?
    grep -q '^sx-put: error: .*AWS_SECRET_ACCESS_KEY' said.errors || fail "$(cat said.errors)"
    [ "$keys $status" = 'all 1' ] || [ "$keys $status" = 'all/s3.key 2' ] || fail "$keys: status $status: $(cat said.errors)"
done
rm all/s3.key

# A store that can't say whether it has the root of such a key isn't pruned.
mkdir some
cp -R three four
cp all/a.key some
to ./four some/g
to ./four loose
root=$(path_of "$(cat all/a.key)")
echo damaged >"four/${root#"$PWD/one/"}"
! sx-put --prune some >said 2>&1 || fail "$(cat said)"
grep -q "^sx-put: error: key file://$PWD/one/.*: file://$PWD/four/.*: bytes that aren't a picture" said ||
    fail "$(cat said)"
[ "$(fossils four)" -eq "$(fossils three)" ] || fail "$(cat said)"

# Backups: DATE.key, and DATE.files beside it. Those that no rule keeps are forgotten, and their pictures
# go; the files go before the first picture.
backup() { # FOLDER DATE
    random 3000 content
    sx-encode -0 -W 16 -H 16 content | sx-put --to "./$1.store" -o "$1/$2T03:30:00Z.key"
    echo "$2" | sx-encode | sx-put --to "./$1.store" -o "$1/$2T03:30:00Z.files"
}
mkdir nights others
for day in 20 21 22 23 24; do backup nights "2026-11-$day"; done
for day in 29 30; do backup others "2024-12-$day"; done
backup others 2025-01-05
cp new.key nights/other.key
forget() { # ARGUMENT...
    sx-put --prune --forget nights --forget others/. --keep-weekly 2 "$@"
}
find nights others -type f | sort >before
forget --dry-run >said
for day in 23 21 20; do echo "nights 2026-11-${day}T03:30:00Z: would be forgotten"; done >expected
echo 'others 2024-12-30T03:30:00Z: would be forgotten' >>expected
grep forgotten said | diff expected -
find nights others -type f | sort | diff before -
[ "$(grep -c '^would be removed: 0 pictures' said)" -eq 3 ] || fail "$(cat said)"
forget -o said nights keys
sed 's/would be //' expected >did
grep forgotten said | diff did -
for kept in nights/2026-11-22 nights/2026-11-24 others/2024-12-29 others/2025-01-05; do
    printf '%s\n' "${kept}T03:30:00Z.files" "${kept}T03:30:00Z.key"
    [ "$(sx-get "${kept}T03:30:00Z.files" | sx-decode)" = "${kept#*/}" ] || fail "$kept: $(cat said)"
done >expected
echo nights/other.key >>expected
find nights others -type f | sort >found
sort expected | diff - found
[ "$(fossils nights.store)" -gt 8 ] || fail "$(cat said)"
sx-put --prune --forget others --keep-last 1 --keep-monthly 1 others/*.key >said
grep -qx 'others 2024-12-29T03:30:00Z: forgotten' said || fail "$(cat said)"
[ "$(find others -type f | wc -l)" -eq 2 ] || fail "$(find others)"

# A store whose last backup is forgotten isn't pruned.
sx-encode new | sx-put --to ./left -o others/2024-01-01T00:00:00Z.key
sx-put --prune --forget others --keep-last 1 >said 2>said.notes
grep -qx "sx-put: note: no backup is left in $PWD/left: you can remove it as a whole" said.notes ||
    fail "$(cat said.notes)"
! grep -q "^$PWD/left:" said || fail "$(cat said)"
[ "$(find left -name '*.png' | wc -l)" -eq 2 ] || fail "$(find left)"

# Refused before anything is changed.
find nights others -type f | sort >before
refuses 1 'empty: no backup would be kept' sx-put --prune --forget empty --keep-last 1 nights
it_said -q 'hint: .* whether its disk is mounted' || fail "no such hint"
refuses 1 'nosuch: cannot read' sx-put --prune --forget nosuch --keep-last 1 nights
refuses 1 'nosuch: cannot open' sx-put --prune --forget nights --keep-last 1 nosuch
refuses 2 'several stores' sx-put --prune --to ./p --to ./one --forget nights --keep-last 1
refuses 2 "'-1' for '--grace <DAYS>': expected a number of days" sx-put --prune --to ./p --grace -1 nights
refuses 2 'forget' sx-put --prune --keep-last 1 nights
refuses 2 'keep-last' sx-put --prune --forget nights
refuses 2 '--forget needs --prune' sx-put --forget nights --keep-last 1
for rule in last daily weekly monthly; do
    for number in 0 many '' -1; do
        refuses 2 "keep-$rule" sx-put --prune --forget nights "--keep-$rule=$number"
    done
done
echo nonsense >nights/2026-11-01T03:30:00Z.key
refuses 1 'nights/2026-11-01T03:30:00Z.key: line 1' sx-put --prune --forget nights --keep-last 1
rm nights/2026-11-01T03:30:00Z.key
host='https://host.example/x7Qk.png#blake3=af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262'
refuses 2 'no key of a store that can be pruned' sx-put --prune "$host"
find nights others -type f | sort | diff before -
