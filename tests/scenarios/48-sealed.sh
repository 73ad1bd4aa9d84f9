#!/bin/sh
# A stream is sealed with a secret: who has it gets the stream back, nobody else learns what is in it.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"
unset SX_SECRET

umask 022
sx-encode --new-secret >secret
sx-encode --new-secret >other
[ "$(stat -c %a secret)" = 600 ] || fail "others can read the secret"
[ "$(grep -c '^SX-SECRET-1[0-9A-Z]*$' secret)" -eq 1 ] || fail "made: $(cat secret)"

# A text that is easily found.
{ seq 200000 && echo 'the-needle-in-it' && random 30000 noise && cat noise; } >stream
for options in '' '-0' '--cdc=16K' '-0 --cdc' '-0 -W 64 -H 64' '--sturdy=2'; do
    # shellcheck disable=SC2086 # several options
    sx-encode $options --secret secret stream >frames
    # shellcheck disable=SC2086
    sx-encode -j 1 $options --secret=secret <stream | cmp - frames
    sx-decode --secret secret frames | cmp - stream
    SX_SECRET=secret sx-decode -j 1 frames | cmp - stream
    refuses 1 'frame 0: a sealed frame, expected a secret' sx-decode frames >got
    refuses 1 'frame 0: a frame sealed with another secret' sx-decode --secret other frames >got
    [ ! -s got ] || fail "bytes of a frame that wasn't opened"
    case $(sx-decode --list frames | tail -n 1) in
        *,sealed*) ;;
        *) fail 'not listed as sealed' ;;
    esac
done
sx-encode stream >plain
refuses 1 "frame 0: a frame that isn't sealed" sx-decode --secret secret plain >got
[ ! -s got ] || fail "bytes that nobody sealed"

# In no picture and no index is anything of the text, or of its CRC-32, in any byte order.
sx-encode -0 --secret secret stream | sx-put --to ./store >key
sx-encode -0 stream | sx-put --to ./open >open.key
sx-get key | sx-decode --secret secret | cmp - stream
grep -rqF the-needle-in-it open || fail 'the search finds nothing'
! grep -rqF -e the-needle-in-it -e 199999 store || fail 'a text in a picture'
crc=$(gzip -c stream | tail -c 8 | head -c 4 | od -An -tx1)
for order in "$crc" "$(echo "$crc" | awk '{ print $4, $3, $2, $1 }')"; do
    bytes=$(echo "$order" | sed 's/ *\([0-9a-f][0-9a-f]\)/\\x\1/g')
    ! grep -rqP "$bytes" store || fail "the CRC-32 in a picture"
done
sx-get --list key | grep 'data$' | sed 's/.*#//' | sort >sealed.digests
sx-encode -0 --secret other stream | sx-put --to ./third >third.key
sx-get --list third.key | grep 'data$' | sed 's/.*#//' | sort >third.digests
[ -z "$(comm -12 sealed.digests third.digests)" ] || fail 'two secrets share a frame'

# The same again is the same pictures, but for the last: it is stored once.
pictures() { find store -name '*.png' | wc -l; }
before=$(pictures)
sx-encode -0 --secret secret stream | sx-put --to ./store | cmp - key
[ "$(pictures)" -eq "$before" ] || fail 'the same chunks are other pictures'

# The wrapper: the name isn't kept, and the file is private.
storagex secret >own
[ "$(stat -c %a own)" = 600 ] || fail "others can read the wrapper's secret"
SX_SECRET=own storagex upload --to ./wrapped stream >wrapped.key
! grep -rqaF '"stream"' wrapped || fail 'the name in the index'
SX_SECRET=own storagex download wrapped.key back
cmp back stream
refuses 1 'a sealed frame, expected a secret' storagex download wrapped.key again

# Files of secrets that are none, or not secret.
chmod 644 other
refuses 1 'other: permissions 0644, expected 0600' sx-encode --secret other stream >got
refuses 1 'other: permissions 0644, expected 0600' sx-decode --secret other frames >got
mkfifo pipe
cat secret >pipe &
sx-decode --secret pipe frames | cmp - stream
(SX_SECRET=./nowhere && export SX_SECRET && refuses 1 'SX_SECRET: ./nowhere: cannot open' sx-encode stream) >got
refuses 2 'a secret itself, expected the path' sx-encode --secret "$(tail -n 1 secret)" stream >got
it_said -q "$(tail -n 1 secret | cut -c 12-40)" && fail 'a secret in a message'
sed '/^SX-SECRET-1/s/.$/x/' secret >mixed
chmod 600 mixed
refuses 1 'mixed: a secret with a typing error' sx-encode --secret mixed stream >got
! it_said -q -e --new-secret || fail "a hint that would replace the secret: $(it_said .)"
it_said -q 'hint: compare the file with your other copy' || fail "said: $(it_said .)"
cat secret other >two
sed 's/^SX/#SX/' secret >comments
echo 'no secret' >words
chmod 600 two comments words
for file in two comments words; do
    refuses 1 "$file: .*, expected" sx-encode --secret "$file" stream >got
    ! it_said -q -e --new-secret || fail "a hint that would replace the secret: $(it_said .)"
    it_said -q 'hint: compare the file with your other copy' || fail "said: $(it_said .)"
done
: >empty
chmod 600 empty
refuses 1 'empty: no secret, expected one' sx-encode --secret empty stream >got
it_said -q 'hint: sx-encode --new-secret > FILE' || fail "said: $(it_said .)"
refuses 1 'empty: no secret, expected one' sx-decode --secret empty frames >got
! it_said -q -e --new-secret || fail "a new secret opens no frames: $(it_said .)"
refuses 1 'gone: cannot open' sx-encode --secret gone stream >got
SX_SECRET='' sx-encode stream | cmp - plain

# Without an index: the pictures of a folder, sorted, and what is left of them when one is lost.
cat noise noise noise noise noise >parts
sx-encode -0 -W 128 -H 128 --secret secret parts | sx-put --to ./sorted >sorted.key
sx-decode --sort --secret secret sorted/*/*.png | cmp - parts
sx-decode --sort --salvage --secret secret sorted/*/*.png | cmp - parts
rm "$(path_of "$(sx-get --list sorted.key | grep 'data$' | sed -n 2p)")"
refuses 1 '49056 bytes are missing and replaced by zeros' \
    sx-decode --sort --salvage --map map --secret secret sorted/*/*.png >back
{ head -c 49056 parts && head -c 49056 /dev/zero && tail -c +98113 parts; } | cmp - back
grep -q '^0x0000bfa0  0x0000bfa0  -$' map || fail "$(cat map)"
# By its key: sx-get writes the frames that are left, and sx-decode puts zeros between them.
zeros() { # FIRST_FRAME FRAMES FILE
    dd if=/dev/zero of="$3" bs=49056 seek="$1" count="$2" conv=notrunc 2>/dev/null
}
salvages() { # MISSING
    refuses 1 'bytes. lost, expected none: frame [0-9]+: file://' sx-get --salvage sorted.key >left
    refuses 1 'frame [0-9]+: ' sx-decode --secret secret left >got
    refuses 1 "$1" sx-decode --salvage --map map2 --secret secret <left >got
}
salvages '49056 bytes are missing and replaced by zeros'
cmp back got
cmp map map2
sx-get --list sorted.key | sed -n 's/\tdata$//p' >listed
rm "$(path_of "$(head -n 1 listed)")"
salvages '98112 bytes are missing and replaced by zeros'
zeros 0 2 back
cmp back got
rm "$(path_of "$(tail -n 1 listed)")"
salvages '98112 bytes are missing and replaced by zeros, and an unknown number at the end'
head -c "$(wc -c <got)" back | cmp - got
[ "$(wc -c <got)" -eq 147168 ] || fail "$(wc -c <got) bytes"
status=0
sx-decode --salvage --secret own left >got 2>said || status=$?
[ "$status" -eq 1 ] || fail "status $status"
[ ! -s got ] || fail 'bytes that nothing proves'
grep -q 'left out: frame 0: a frame sealed with another secret' said || fail "$(cat said)"
refuses 1 'empty input' sx-decode --salvage </dev/null >got

# Another stream after it, shorter or longer, with this secret or another one: not without an error.
sx-encode -0 -W 16 -H 16 --secret secret <key >short
sx-encode -0 -W 16 -H 16 --secret own <key >foreign
sx-encode -0 -W 128 -H 128 --secret secret parts >long
leaves_out() { # FILE FRAMES
    status=0
    sx-decode --salvage --secret secret >got 2>said || status=$?
    [ "$status" -eq 1 ] || fail "status $status"
    cmp got "$1"
    grep -q '^sx-decode: note: left out: frame [1-9]: ' said || fail "said: $(cat said)"
    grep -Eq "^sx-decode: error: $2 frames? left out, expected those of one stream" said || fail "said: $(cat said)"
}
for second in short long foreign; do
    cat short "$second" | leaves_out key "$(sx-decode --list "$second" | wc -l)"
done
cat long short | leaves_out parts "$(sx-decode --list short | wc -l)"
sx-decode --salvage --secret secret short | cmp - key

status=0
sx-decode --sort --salvage --secret own sorted/*/*.png >back 2>said || status=$?
[ "$status" -eq 1 ] || fail "status $status"
grep -q 'left out: .*: a frame sealed with another secret' said || fail "$(cat said)"
tr -d '\000' <back | cmp - /dev/null
