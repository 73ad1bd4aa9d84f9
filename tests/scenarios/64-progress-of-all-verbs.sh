#!/bin/sh
# Whatever sx-get does with a key, it tells how far it is: bytes of the stream, and how many there are. And
# what sx-put does beside storing frames tells when it is done.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

random 1000000 stream
sx-encode -0 -W 64 -H 64 stream | sx-put --parity 20+1 --to ./a --to ./b >key
sx-encode -0 -W 64 -H 64 stream | sx-put --to ./c >single

# Checks the last object of a run: bytes, the total, and frames.
ends_with() { # BYTES TOTAL FRAMES COMMAND...
    bytes=$1 total=$2 frames=$3
    shift 3
    "$@" >out 2>said || :
    tail -n 1 said >last
    grep -q "\"bytes\":$bytes,.*\"event\":\"done\".*\"frames\":$frames,.*\"total_bytes\":$total}" last || fail "$*: $(cat said)"
}
ends_with 1000000 1000000 82 sx-get --log-json key
ends_with 300000 300000 25 sx-get --log-json --range 100000:300000 key
ends_with 1000000 1000000 82 sx-get --log-json --check single
# Two stores have the same frames: each counts once, in both.
ends_with 1000000 1000000 82 sx-get --log-json --check key
ends_with 1000000 1000000 82 sx-get --log-json --repair key
ends_with 1000000 1000000 82 sx-get --log-json --salvage single

# Of a sample, as much as it is likely to be: all frames but the last are alike.
sx-get --log-json --check --sample 41 single >out 2>said
grep -Eq '"bytes":[45][0-9]{5},.*"frames":41,.*"total_bytes":500000\}' said || fail "$(cat said)"

rm "$(path_of "$(sx-get --list single | sed -n 's/\tdata$//p' | sed -n 3p)")"
sx-get -v --check key 2>said >out
grep -Eq '^sx-get: checked 1\.00 MB in 82 frames in ' said || fail "$(cat said)"
! sx-get --check --log-json single >out 2>said || fail 'a success'
grep -q '"event":"error"' said || fail "$(cat said)"
! grep -q '"event":"done"' said || fail "done: $(cat said)"
tail -n 1 said | grep -q '"event":"failed".*"frames":82,' || fail "$(cat said)"

# sx-get --filename, sx-put --prune and --probe.
ends() { # EVENT COMMAND...
    event=$1
    shift
    "$@" >out 2>said || :
    tail -n 1 said | grep -q "\"event\":\"$event\"" || fail "$*: $(cat said)"
}
sx-encode stream | sx-put --name stream --to ./a --to ./d >named
ends 'done' sx-get --log-json --filename named
ends 'done' sx-put --log-json --prune --dry-run key named
ends 'done' sx-put --log-json --prune --to ./d named
ends 'done' sx-put --log-json --probe --to ./probed
grep -q '"sent":3,' said || fail "$(cat said)"
sx-put -v --prune key named 2>said >out
grep -Exq 'sx-put: pruned 3 stores: [0-9]+ pictures kept, [0-9]+ fossils, 0 removed in [0-9.]+ s' said || fail "$(cat said)"
sx-put -v --probe --to ./probed 2>said >out
grep -Exq 'sx-put: probed \./probed with 3 pictures in [0-9.]+ s' said || fail "$(cat said)"
mv b gone
ends failed sx-put --log-json --prune key named
[ "$(grep -c '"event":"error"' said)" -eq 1 ] || fail "$(cat said)"
! grep -q '"event":"done"' said || fail "done: $(cat said)"

