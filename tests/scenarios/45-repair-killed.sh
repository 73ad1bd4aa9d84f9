#!/bin/sh
# kill -9 in sx-get --repair, at 200 random moments: what could be had before can be had after, and in
# the end everything is there.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

random 200000 stream
sx-encode -0 -W 32 -H 32 stream >frames
sx-put --parity 4+2 <frames >key
sx-get --list key | cut -f 1 | while read -r line; do path_of "$line"; done >all
count=$(wc -l <all)

turn=0 killed=0
while [ "$turn" -lt 200 ]; do
    turn=$((turn + 1))
    # One in six, others each time: never more than two of six that follow one another.
    awk -v turn="$turn" 'NR % 6 == turn % 6' all | xargs rm -f
    delay=$(awk -v seed="$turn" 'BEGIN { srand(seed); print rand() * 0.06 }')
    sx-get --repair key >repaired 2>said &
    sleep "$delay"
    kill -9 $! 2>/dev/null || :
    status=0
    wait $! 2>/dev/null || status=$?
    case $status in
        137) killed=$((killed + 1)) ;;
        0) ;;
        *) fail "turn $turn: status $status: $(cat said)" ;;
    esac
    if [ $((turn % 8)) -eq 0 ]; then
        sx-get key 2>said | cmp - frames || fail "turn $turn: $(cat said)"
    fi
    find data -name '.storagex-*' -delete
    sx-get --repair key >repaired 2>said || fail "turn $turn: $(cat said)"
done
echo "$killed of $turn repairs were killed"
[ "$killed" -ge 20 ] || fail "only $killed kills hit a repair"
sx-get --check key | grep -qx 'result: everything is there'
[ "$(find data -name '*.png' | wc -l)" -eq "$count" ] || fail 'other pictures'
