#!/bin/sh
# A store can be moved or copied: with the new path in the key, the digest still proves all of it.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

frames
sx-put --name kept <frames >key
key=$(cat key)
mv data/storagex elsewhere

# The whole folder isn't there: maybe nobody has mounted its disk.
for verb in '' --list --info --filename --check --salvage --range=0:1 --repair; do
    # shellcheck disable=SC2086 # no verb, or one
    refuses 1 "folder $PWD/data/storagex: not found\$" sx-get $verb "$key" >got
    it_said -q 'hint: .*mounted.*--from' || fail "$verb said: $(it_said .)"
    ! grep -q 'index is lost' got || fail "$verb wrote: $(cat got)"
done
refuses 1 'not found' sx-get --from ./nowhere "$key" >got
! it_said -q 'error: folder' || fail "said: $(it_said .)"
moved=$(printf '%s\n' "$key" | sed 's,/data/storagex/,/elsewhere/,')
sx-get "$moved" | cmp - frames
sx-get --check "$moved"
sx-get --info "$moved" | grep -q "^store: file://$PWD/elsewhere$"

ln -s elsewhere link
sx-get "$(printf '%s\n' "$key" | sed 's,/data/storagex/,/link/,')" | cmp - frames

# Another index in its place is found out by the digest.
seq 10 | sx-encode | sx-put --to ./other >other.key
cp "$(path_of "$(cat other.key)")" "$(path_of "$moved")"
refuses 1 'digest' sx-get "$moved" >got
refuses 1 'input ends|empty input' sx-decode got >back
[ ! -s back ] || fail 'frames without proof'
