#!/bin/sh
# storagex prune: which backups stay, by the day, the week and the month, and what goes with the others.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

XDG_STATE_HOME=$PWD/state XDG_CONFIG_HOME=$PWD/config
export XDG_STATE_HOME XDG_CONFIG_HOME

# A year of nightly backups: the dates are put in afterwards.
storagex backup docs echo "the only content"
key=$(echo state/storagex/docs/*.key)
mv "$key" content
day=0
while [ "$day" -lt 365 ]; do
    cp content "state/storagex/docs/$(date -u -d "2025-11-24 03:30 $day days ago" +%Y-%m-%dT%H:%M:%SZ).key"
    day=$((day + 1))
done
[ "$(storagex list | wc -l)" -eq 365 ] || fail "$(storagex list | wc -l) backups"

refuses 2 'prune without a rule' storagex prune
refuses 2 'expected a number' storagex prune --keep-last many
refuses 2 'expected a number' storagex prune --keep-last=
refuses 2 "unrecognized option '--keep-some'" storagex prune --keep-some 3

storagex prune --dry-run --keep-daily 7 --keep-weekly 5 --keep-monthly 12 >would
storagex prune --keep-daily 7 --keep-weekly 5 --keep-monthly 12 >did
[ "$(grep -c ': would be forgotten$' would)" -gt 300 ] || fail "$(cat would)"
sed 's/would be //' would | cmp - did
storagex list docs | cut -f 2 | cut -c 1-10 >kept

# 7 days; the newest of 5 weeks, Sundays but for the running one; the newest of 12 months.
{
    for each in 24 23 22 21 20 19 18 16 09 02; do echo "2025-11-$each"; done
    for each in 2025-10-31 2025-09-30 2025-08-31 2025-07-31 2025-06-30 2025-05-31 2025-04-30 2025-03-31 \
        2025-02-28 2025-01-31 2024-12-31; do echo "$each"; done
} | sort >expected
diff expected kept

# What no backup needs becomes a fossil, and goes when its time is over; the rest can be restored.
seq 100000 >old
storagex backup old cat old
storagex backup old echo new
pictures() { find data/storagex -name '*.png' | grep -vc fossils; }
before=$(pictures)
storagex prune --dry-run --keep-last 1 old >said
[ "$(pictures)" -eq "$before" ] || fail "a dry run: $(cat said)"
storagex prune --keep-last 1 old >said
[ "$(pictures)" -lt "$before" ] || fail "no fossil: $(cat said)"
storagex restore old | grep -qx new
[ -n "$(find data/storagex -path '*fossils*' -name '*.png')" ] || fail 'fossils are gone at once'
sleep 1
storagex prune --keep-last 1 --grace 0 old >said
[ -z "$(find data/storagex -path '*fossils*' -name '*.png')" ] || fail "fossils are left: $(cat said)"
storagex restore old | grep -qx new
storagex restore docs | grep -qx 'the only content'

# A store may have more than one name, and keys of its own: neither of these makes the other's pictures
# fossils, nor those of an upload, nor of a file of keys that is no backup.
mkdir -p config/storagex
echo "store = $PWD/shared" >config/storagex/one.conf
echo "store = file:$PWD/shared/" >config/storagex/two.conf
storagex backup one echo one
storagex backup two echo two
echo three >three
storagex upload --to ./shared three >three.key
storagex upload --to ./elsewhere three >state/storagex/elsewhere.key
storagex keys | grep -qxf three.key
rm -r elsewhere
storagex list | cut -f 1 | sort -u | tr '\n' ' ' | grep -qx 'docs old one two '
storagex prune --keep-last 1 --grace 0 one two >said
[ -z "$(find shared -path '*fossils*' -name '*.png')" ] || fail "fossils: $(cat said)"
storagex restore one | grep -qx one
storagex restore two | grep -qx two
storagex download -f three.key three
rm -r state/storagex/*.key state/storagex/uploads state/storagex/one state/storagex/two

# A store may be in another one; a key may be in two. Each is pruned with its own keys. A store whose last
# backup is forgotten is named.
echo "store = $PWD/p" >config/storagex/outer.conf
echo "store = $PWD/p/q" >config/storagex/inner.conf
printf 'store = %s\n' "$PWD/p/q" "$PWD/r" >config/storagex/both.conf
echo "store = $PWD/left" >config/storagex/moved.conf
for name in outer inner both moved; do storagex backup "$name" echo "$name"; done
mkdir d out
echo file >d/file
storagex backup folder d
echo "store = $PWD/r" >config/storagex/moved.conf
for name in outer inner both moved; do storagex backup "$name" echo "$name again"; done
for run in 1 2; do
    storagex prune --keep-last 1 --grace 0 >said 2>&1 || fail "$run: $(cat said)"
    ! grep note said || [ "$run" -eq 1 ] || fail "$(cat said)"
    [ "$run" -eq 2 ] || grep -qx "sx-put: note: no backup is left in $PWD/left: you can remove it as a whole" said ||
        fail "$(cat said)"
    sleep 1
done
[ -z "$(find p r -path '*fossils*' -name '*.png')" ] || fail "fossils: $(cat said)"
for name in outer inner both moved; do storagex restore "$name" | grep -qx "$name again"; done
(cd out && storagex restore folder d/file && cmp d/file ../d/file)
[ "$(find left -name '*.png' | wc -l)" -eq 2 ] || fail "$(find left)"

# If a store fails, the others are pruned.
mv p away
storagex backup moved echo 'and again'
! storagex prune --keep-last 1 >said 2>&1 || fail "$(cat said)"
grep -q '^sx-put: error: key ' said || fail "$(cat said)"
grep -A 4 -x "$PWD/r:" said | grep -q '^fossils: [1-9]' || fail "$(cat said)"
mv away p
rm -r state/storagex/folder state/storagex/outer state/storagex/inner state/storagex/both state/storagex/moved

# A store that was moved keeps the pictures of the backups from before, and brings them back.
echo "store = $PWD/here" >config/storagex/mv.conf
storagex backup mv echo before
mv here there
echo "store = $PWD/there" >config/storagex/mv.conf
sleep 1
storagex backup mv echo after
before=$(find there -name '*.png' | wc -l)
for run in 1 2; do
    storagex prune --keep-last 9 --grace 0 mv >said 2>&1 && fail "$run: the old place is gone: $(cat said)"
    sleep 1
done
[ "$(find there -name '*.png' | grep -vc fossils)" -eq "$before" ] || fail "$(find there)"
storagex restore --at "$(storagex list mv | head -n 1 | cut -f 2)" mv | grep -qx before
storagex restore mv | grep -qx after
rm -r state/storagex/mv there

# A rule keeps at least one backup.
for rule in last daily weekly monthly; do
    refuses 2 "--keep-$rule 0, expected a number from 1" storagex prune --keep-$rule 0 old
done
