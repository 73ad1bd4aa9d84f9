#!/bin/sh
# A folder goes through tar, the four programs and tar again; links, modes and odd names stay.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

mkdir -p 'tree/with space/-dash' tree/empty
printf 'one' >'tree/with space/-dash/new
line'
random 3000000 tree/random
ln -s random tree/link
chmod 640 tree/random

tar c tree | sx-encode | sx-put >key
mkdir back
sx-get <key | sx-decode | tar x -C back
diff -r tree back/tree
[ "$(readlink back/tree/link)" = random ] || fail 'another link'
[ "$(find back/tree/random -perm 640)" ] || fail 'another mode'
[ -d back/tree/empty ] || fail 'no empty folder'
