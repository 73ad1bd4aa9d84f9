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
    printf '  %s \ta note\r\n' "$(cat b.key)"
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

# --check and --repair go on after a key whose data is lost; get doesn't.
sx-encode -0 -W 16 -H 16 c | sx-put --to ./own --parity 2+1 -o c.key
path_of_frame() { # KIND KEYFILE
    path_of "$(sx-get --list "$2" | sed -n "s/	$1\$//p" | head -n 1)"
}
lost=$(path_of_frame data a.key) degraded=$(path_of_frame data c.key)
rm "$lost" "$degraded"
cat a.key c.key b.key >keys
refuses 1 'not found' sx-get keys >frames
no_frame frames
refuses 1 '1 frame .2000 bytes. lost' sx-get --check keys >report
grep '^key: ' report | cut -d ' ' -f 2 | cmp - keys
grep '^result: ' report | cut -d ' ' -f 2 >results
printf '%s\n' data all everything | cmp - results
refuses 1 '1 frame .2000 bytes. lost' sx-get --check --json a.key c.key b.key >report
sed 's/.*"key":"\([^"]*\)".*/\1/' report | cmp - keys
status=0
sx-get --check b.key c.key >report || status=$?
[ "$status" -eq 3 ] || fail "status $status"
refuses 1 '1 frame .2000 bytes. lost' sx-get -q --repair keys >repaired
cmp repaired keys
sx-get --check c.key b.key >report
# Each report says which file its key is from, if it is from one.
[ "$(grep -E '^(file|key): ' report | cut -d : -f 1 | tr '\n' ' ')" = 'file key file key ' ] || fail "$(cat report)"
[ "$(sed -n 's/^file: //p' report | tr '\n' ' ')" = 'c.key b.key ' ] || fail "$(cat report)"
sx-get --check - "$(cat c.key)" <b.key | grep '^file: ' && fail 'the file of no key'
sx-get --check --json c.key "$(cat b.key)" | sed 's/.*"file":\([^,]*\),.*/\1/' | tr '\n' ' ' >files
[ "$(cat files)" = '"c.key" null ' ] || fail "$(cat files)"
# An error of the second key, and of the third.
rm -r own
cat b.key a.key c.key >keys
status=0
sx-get --check keys >report 2>said || status=$?
[ "$status" -eq 1 ] || fail "status $status"
[ "$(grep -c '^sx-get: error: ' said)" -eq 2 ] || fail "said: $(cat said)"
grep -qF "sx-get: error: $(sed 's/#.*//' a.key): " said || fail "said: $(cat said)"
grep -qx "sx-get: error: folder $PWD/own: not found" said || fail "said: $(cat said)"
