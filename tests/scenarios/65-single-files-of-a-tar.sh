#!/bin/sh
# Single files out of a tar archive, by the list that tar -R prints: the recipe of sx-decode(1).
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

mkdir -p dir/letters out
random 3000000 dir/big
echo 'Dear reader' >dir/letters/may
printf x >"dir/letters/$(printf 'line\nend \\ \351')"
LC_ALL=C.UTF-8 tar -cRvf - --quoting-style=escape --index-file=dir.list dir | sx-encode | sx-put >dir.key
sx-encode dir.list | sx-put >list.key

sx-get list.key | sx-decode --locate dir/letters >ranges
[ "$(wc -l <ranges)" -eq 1 ] || fail "$(cat ranges)"
while read -r range; do sx-get --range "$range" dir.key | sx-decode; done <ranges | tar -xC out
diff -r dir/letters out/dir/letters
[ ! -e out/dir/big ] || fail 'more than what was asked for'
sx-encode dir.list | sx-decode --locate ./dir/ | grep -q '^0:[0-9]*$' || fail 'the whole folder'
sx-encode dir.list | sx-decode -o here --locate dir/big dir/letters/may
[ -s here ] || fail 'no output file'

sx-encode dir.list >frames
refuses 1 "no 'dir/x' in the archive" sx-decode --locate dir/x <frames >nothing
it_said -qx "sx-decode: hint: the paths in it begin with 'dir'" || fail 'no hint'
[ ! -s nothing ] || fail 'a range beside an error'
printf 'block 0: a\nno list\n' | sx-encode >frames
refuses 1 "line 2: 'no list', expected 'block NUMBER: NAME'" sx-decode --locate a <frames
refuses 2 'cannot be used with' sx-decode --list --locate a <frames

# The name of a stream, for a file.
echo hello | sx-encode | sx-put --name='a/it'"'"'s \odd' >key
[ "$(sx-get --filename key)" = "it's \\odd" ] || fail "$(sx-get --filename key)"
echo hello | sx-encode | sx-put --name=.. >dots
echo hello | sx-encode | sx-put >nameless
refuses 1 'the index has no name for a file, expected one$' sx-get --filename nameless
refuses 1 "the index has the name '..', expected one for a file" sx-get --filename dots
cat key dots >both
refuses 2 'several keys' sx-get --filename both
