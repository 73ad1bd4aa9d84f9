#!/bin/sh
# A range of a sealed stream: sx-get fetches the frames that hold it, sx-decode cuts it out of them.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"
unset SX_SECRET

sx-encode --new-secret >secret
random 900000 a
random 300000 b
cat a b >both
total=1200000
for options in '-0 -W 128 -H 128' '-W 128 -H 128' '-W 128 -H 128 --cdc=16K'; do
    # shellcheck disable=SC2086 # several options
    for file in a b; do sx-encode $options --secret secret "$file"; done >frames
    sx-put --to ./store <frames >key
    for range in 0:0 0:1 100:200000 890000:20000 899999:1 900000:1 1000000: 1199999: 1200000: -1 -250000 \
        -1200000 -1300000 0: 600000:600000 0:1200000 48K:3K; do
        case $range in
            -*) tail -c "${range#-}" both >wanted ;;
            48K:3K) tail -c +49153 both | head -c 3072 >wanted ;;
            *:) tail -c +$((${range%:} + 1)) both >wanted ;;
            *) tail -c +$((${range%:*} + 1)) both | head -c "${range#*:}" >wanted ;;
        esac
        sx-decode --secret secret --range "$range" frames | cmp - wanted || fail "$options $range"
        sx-get --range "$range" key >part
        sx-decode --secret secret --range "$range" part | cmp - wanted || fail "$options $range of a part"
    done
    for range in 0:$((total + 1)) $((total + 1)):; do
        refuses 1 "range $range, expected one within $total bytes" \
            sx-decode --secret secret --range="$range" frames >got
    done

    # A part is no stream, has to be of the range, and must not end too early.
    sx-get --range 100000:200000 key >part
    refuses 1 'frame [0-9]+: (offset|input ends here)' sx-decode --secret secret part >got
    refuses 1 'frame 0: offset [0-9]+, expected 1' sx-decode --secret secret --range 1:200000 part >got
    refuses 1 'frame [0-9]+: input ends here' sx-decode --secret secret --range 100000:800000 part >got
    refuses 1 'frame [0-9]+: input ends here' sx-decode --secret secret --range 100000: part >got
    refuses 1 'frame 0: a sealed frame' sx-decode --range 100000:200000 part >got
    refuses 1 'offset|input ends' sx-put --to ./store <part
    [ "$(wc -c <part)" -lt 500000 ] || fail 'more frames than it takes'
done

# An empty stream has no range but that of nothing.
sx-encode --secret secret </dev/null | sx-put --to ./store >key
sx-get --range 0:0 key | sx-decode --secret secret --range 0:0 | cmp - /dev/null

# Frames that say where they are need no mark, and no seal.
sx-encode -0 -W 64 -H 64 a >frames
tail -c +500001 a | head -c 1000 >wanted
sx-decode --range 500000:1000 frames | cmp - wanted
size=$(($(head -c 24504 a | sx-encode -0 -W 64 -H 64 | wc -c) / 2)) # of a full frame
tail -c +$((size * 10 + 1)) frames | sx-decode --range 500000:1000 | cmp - wanted
tail -c +$((size * 60 + 1)) frames >later
refuses 1 'frame 0: offset 735120, expected 500000' sx-decode --range 500000:1000 later >got
head -c 1000 a | sx-encode | sx-decode --range 10:20 >got
tail -c +11 a | head -c 20 | cmp - got
refuses 2 'expected OFFSET:LENGTH' sx-decode --range 5 frames >got
