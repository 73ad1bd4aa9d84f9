#!/bin/sh
# download never replaces a file without -f, and with it only by a whole one.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

printf new >file
storagex upload file >key
printf old >file

refuses 1 'file: exists already' storagex download key
refuses 1 'file: exists already' storagex download key file
[ "$(cat file)" = old ] || fail 'replaced'
ln -s nowhere link
refuses 1 'link: exists already' storagex download key link
[ ! -e nowhere ] || fail 'written through a link'
mkdir folder
for option in '' -f; do
    for folder in folder folder/; do
        refuses 1 "$folder: a folder, expected a file" storagex download $option key "$folder"
        it_said -qx 'storagex: hint: to write into it: storagex download KEY folder/NAME' || fail 'no such hint'
    done
done
storagex download key folder/name
[ "$(cat folder/name)" = new ] || fail 'another file'

storagex download -f key
[ "$(cat file)" = new ] || fail 'not replaced'
printf old >file
storagex download key file --force
[ "$(cat file)" = new ] || fail 'not replaced'
printf old >-f
storagex download -f -- key -f
[ "$(cat ./-f)" = new ] || fail 'not replaced'
