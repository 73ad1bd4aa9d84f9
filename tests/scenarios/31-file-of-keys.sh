#!/bin/sh
# Keys in a file: one a line; blank lines, comments and white space do no harm. All are read first.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

for name in a b c; do
    random 2000 "$name"
    sx-encode "$name" | sx-put -o "$name.key"
done
{
    echo '# nightly'
    echo
    cat a.key
    printf '   \n\t# indented: %s\n' "$(cat c.key)"
    printf '  %s \t\r\n' "$(cat b.key)"
    printf '%s' "$(cat a.key)"
} >keys
cat a b a >expected

sx-get keys | sx-decode | cmp - expected
sx-get <keys | sx-decode | cmp - expected
sx-get - <keys | sx-decode | cmp - expected
# shellcheck disable=SC2094 # nobody writes to it
sx-get a.key "$(cat b.key)" - <a.key | sx-decode | cmp - expected
[ "$(sx-get --info keys | grep -c '^size: 2000')" -eq 3 ] || fail 'expected three answers'

# A name with a colon is a file where it is written as a path.
cp a.key file:a
sx-get ./file:a | sx-decode | cmp - a

{ cat a.key && echo not a key; } >bad
refuses 1 'bad: line 2: ' sx-get bad >frames
refuses 1 'stdin: line 2: ' sx-get <bad >frames
refuses 1 'bad: line 2: ' sx-get a.key bad >frames
refuses 1 'no-such-file: cannot open' sx-get a.key no-such-file >frames
echo '# nothing' >none
refuses 1 'none: no key' sx-get none >frames
refuses 1 'none: no key' sx-get a.key none >frames
no_frame frames
sx-encode </dev/null >pictures
refuses 1 'pictures: bytes that aren.t text, expected keys' sx-get pictures >frames
no_frame frames
