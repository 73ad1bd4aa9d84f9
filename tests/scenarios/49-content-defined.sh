#!/bin/sh
# Content-defined chunks: an insertion changes a few pictures; fixed ones suit what changes in place.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

random 4000000 old
{ head -c 1000000 old && echo inserted && tail -c +1000001 old; } >new
for options in '--cdc=64K' '--cdc=64K -0' '--cdc=64K --sturdy=1'; do
    for name in old new; do
        # shellcheck disable=SC2086 # several options
        sx-encode $options "$name" >frames
        # shellcheck disable=SC2086
        sx-encode -j 1 $options <"$name" | cmp - frames
        sx-decode frames | cmp - "$name"
        sx-put --to ./store <frames >"$name.key"
        sx-get --list "$name.key" | grep 'data$' | sed 's/.*#//; s/\t.*//' | sort >"$name.digests"
    done
    sent=$(comm -13 old.digests new.digests | wc -l)
    [ "$(wc -l <new.digests)" -gt 40 ] || fail "$(wc -l <new.digests) chunks"
    [ "$sent" -le 4 ] || fail "$sent frames are new after an insertion"
    sx-get new.key | sx-decode | cmp - new
done

# A disk image with 1 % of its blocks changed, in one place as a file system does: fixed chunks share
# the rest.
random 10000000 disk
cp disk disk2
random 100000 blocks
dd if=blocks of=disk2 bs=4096 seek=1000 conv=notrunc 2>dd.log
for name in disk disk2; do
    sx-encode -0 -W 256 -H 128 "$name" | sx-put --to ./disks >"$name.key"
    sx-get --list "$name.key" | grep 'data$' | sed 's/.*#//; s/\t.*//' | sort >"$name.digests"
done
sent=$(comm -13 disk.digests disk2.digests | wc -l)
case $sent in
    [1-4]) ;;
    *) fail "$sent of $(wc -l <disk.digests) frames are new" ;;
esac

refuses 2 'average 1024, expected 16384 to 1179630' sx-encode --cdc=1K old >got
it_said -q 'hint: --cdc=16K is the least average' || fail "said: $(it_said .)"
refuses 2 'average 16383, expected 16384 ' sx-encode --cdc=16383 old >got
sx-encode --cdc=16K old >got
refuses 2 'average 2097152, expected' sx-encode --cdc=2M old >got
it_said -q 'hint: .* -W and -H, .* at most 4M' || fail "said: $(it_said .)"
sx-encode --cdc=4M -W 2048 -H 2048 old >got
refuses 2 'average 4194305, expected' sx-encode --cdc=4194305 -W 2048 -H 2048 old >got
refuses 2 'expected bytes' sx-encode --cdc=lots old >got
refuses 2 'frames of 12252 bytes, expected at least 32768' sx-encode --cdc -W 64 -H 64 old >got
sx-encode --cdc=64K old >frames
refuses 1 'bytes after its end|without an offset' sx-decode --sort frames >got

# Without an index, nobody knows the order of these frames.
refuses 1 'frame without an offset' sx-decode --sort store/*/*.png >back
it_said -q 'hint: frames of sx-encode --cdc' || fail "said: $(it_said .)"
