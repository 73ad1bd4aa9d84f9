#!/bin/sh
# The store: named by --to, by SX_STORE, or by default; with any characters in its path.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

frames
sx-put --to './odd %20#é "q" store' <frames >key
[ -d './odd %20#é "q" store' ] || fail 'no such folder'
sx-get key | cmp - frames
grep -Eqx 'file:///[]A-Za-z0-9._~/%-]+#blake3=[0-9a-f]{64}' key || fail "$(cat key)"

SX_STORE=file:by-variable sx-put <frames | grep -q '/by-variable/'
SX_STORE=file:by-variable sx-put --to ./by-option <frames | grep -q '/by-option/'
SX_STORE='' sx-put <frames | grep -q '/data/storagex/'
sx-put --to "file:$PWD/absolute" <frames | grep -q "^file://$PWD/absolute/"
sx-put --to "file://$PWD/absolute" <frames | grep -q "^file://$PWD/absolute/"
# shellcheck disable=SC2094 # nobody writes to it
sx-put --to with/slash <frames | sx-get | cmp - frames
(
    unset XDG_DATA_HOME
    HOME=$PWD/home sx-put <frames | grep -q '/home/.local/share/storagex/'
    unset HOME
    refuses 2 'no store' sx-put <frames
)

sx-encode </dev/null >frames
for name in s3:// http://host/x file://host/x; do
    refuses 2 '.' sx-put --to "$name" <frames
done
said=$(SX_HTTP_USER=user sx-put --to http://127.0.0.1:1/x/ <frames 2>&1) && fail 'half a login'
[ "$said" = 'sx-put: error: half of a login, expected both SX_HTTP_USER and SX_HTTP_PASSWORD' ] || fail "$said"
