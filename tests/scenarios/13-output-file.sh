#!/bin/sh
# -o FILE: the file appears whole or not at all, the old one is as it was, and nothing else is left.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

random 3000 stream
sx-encode -0 -W 16 -H 16 -o frames stream
sx-decode -o back frames
sx-put -o key <frames
sx-get key | cmp - frames
cmp stream back
only stream frames back key

head -c 2000 frames >part
cp frames frames.old
cp key key.old
cp back back.old
refuses 1 'input ends' sx-decode -o back part
refuses 1 'input ends' sx-decode -o back.new part
refuses 1 'input ends' sx-put -o key <part
refuses 1 'input ends' sx-put -o key.new <part
refuses 1 'exit status 1' sx-encode -o frames -- false
refuses 1 'exit status 1' sx-encode -o frames.new -- false
refuses 1 'input ends' sx-decode --list -o list part
only stream frames back key part frames.old key.old back.old
cmp frames frames.old
cmp key key.old
cmp back back.old

# A new file in place of the old one, whose mode and links it keeps.
chmod 600 back
ln -s back link
printf new | sx-encode | sx-decode -o link
[ -L link ] || fail 'the link is gone'
[ "$(cat back)" = new ] || fail 'not replaced'
[ "$(find back -perm 600)" ] || fail 'another mode'

# In place of its own input.
sx-encode -o stream stream
sx-decode -o stream stream
cmp stream back.old

mkdir folder
refuses 1 'folder: cannot write' sx-decode -o folder frames
refuses 1 'nowhere/file: cannot write' sx-decode -o nowhere/file frames
refuses 1 'nowhere/file: cannot write' sx-encode -o nowhere/file stream
refuses 1 'nowhere/key: cannot write' sx-put -o nowhere/key <frames
[ -z "$(ls -A folder)" ] || fail 'something in the folder'
sx-decode -o /dev/stdout frames | cmp - stream
