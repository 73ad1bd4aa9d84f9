#!/bin/sh
# Streams follow one another, as gzip members do: in a pipe, in a store, and by their keys.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

random 2000 a
: >b
random 3000 c
for file in a b c; do
    sx-encode -0 -W 16 -H 16 "$file" >"$file.frames"
    sx-put -o "$file.key" <"$file.frames"
done
cat a b c >all

cat a.frames b.frames c.frames | sx-decode | cmp - all
sx-decode a.frames b.frames c.frames | cmp - all
cat a.frames b.frames c.frames | sx-put >key
sx-get key | sx-decode | cmp - all
sx-get --info key | grep -qx "size: 5000"
sx-get a.key b.key c.key | sx-decode | cmp - all
cat a.key b.key c.key | sx-get | sx-decode | cmp - all

# The second one is cut short: the first one doesn't make up for it.
cat a.frames c.frames | head -c -1 | refuses 1 'frame 7: input ends after' sx-decode >part
{ cat a.frames && head -c 852 c.frames; } | refuses 1 'frame 4: input ends here' sx-put >key
[ ! -s key ] || fail 'a key'
