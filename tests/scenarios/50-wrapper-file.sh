#!/bin/sh
# storagex upload FILE and download KEY: the key alone on stdout, and the file back under its name.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

random 3000000 file
storagex upload file >key
wc -l <key | grep -qx 1
grep -Eqx 'file://.*#blake3=[0-9a-f]{64}' key
storagex info "$(cat key)" | grep -qx 'name: file'
storagex info key | grep -qx 'size: 3000000'

mkdir back
cd back
storagex download "$(cat ../key)" >output
[ ! -s output ] || fail 'output of download'
cmp file ../file
storagex download ../key other
cmp other ../file
cd ..

: >empty
storagex upload empty | xargs storagex download --force
cmp empty /dev/null

storagex upload --to ./store file | grep -q '/store/'
storagex upload --to=./equals file | grep -q '/equals/'
storagex upload file --to ./last | grep -q '/last/'
SX_STORE=./variable storagex upload file | grep -q '/variable/'
refuses 2 'unknown scheme' storagex upload --to nope://x file
storagex --help | grep -q '^Usage: '
storagex upload --help | grep -q '^Usage: '

# A key that nobody takes is an error, and stands in the message.
{ sleep 1; storagex upload file 2>said || echo $? >status; } | true
[ "$(cat status)" -eq 1 ] || fail "storagex upload | true: status $(cat status)"
grep -q 'expected a reader for this key: file://' said || fail "$(cat said)"
