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
refuses 1 'folder: exists already' storagex download key folder
refuses 1 'folder: cannot write' storagex download -f key folder

storagex download -f key
[ "$(cat file)" = new ] || fail 'not replaced'
printf old >file
storagex download key file --force
[ "$(cat file)" = new ] || fail 'not replaced'
printf old >-f
storagex download -f -- key -f
[ "$(cat ./-f)" = new ] || fail 'not replaced'
