#!/bin/sh
# Progress is for terminals: one line of one program of a pipe. Elsewhere -v, --log-json and SIGUSR1
# tell how far things are.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

random 3000000 stream

# On a pipe or in a file there is nothing, with -v a line, with --log-json objects.
sx-encode -0 -W 64 -H 64 stream >frames 2>said
sx-put <frames >key 2>>said
sx-get key 2>>said | sx-decode 2>>said | cmp - stream
[ ! -s said ] || fail "$(cat said)"
sx-put -v --to ./other <frames >key.2 2>said
grep -Exq 'sx-put: stored 3\.00 MB as 245 frames: 0 of 246 pictures already there, 3\.0[0-9] MB sent in [0-9.]+ s' said ||
    fail "$(cat said)"
sx-put -v --to ./other <frames >key.2 2>said
grep -Eq '^sx-put: stored 3\.00 MB as 245 frames: 246 of 246 pictures already there, 0 B sent in ' said || fail "$(cat said)"
# Pictures of parity, and in each store, count.
sx-put -v --parity 5+1 --to ./a --to ./b <frames >key.3 2>said
grep -Eq '^sx-put: stored 3\.00 MB as 245 frames: 0 of 59[0-9] pictures already there, ' said || fail "$(cat said)"
sx-get -v key.2 2>said | sx-decode -v -o out 2>>said
grep -Eq '^sx-get: fetched 3\.00 MB in 245 frames in ' said || fail "$(cat said)"
grep -Eq '^sx-decode: decoded 3\.00 MB in 245 frames in ' said || fail "$(cat said)"
sx-encode -v stream 2>said >/dev/null
grep -Eq '^sx-encode: encoded 3\.00 MB as 2 frames in ' said || fail "$(cat said)"
sx-put --log-json --to ./other <frames >key.2 2>said
grep -q '"already_there":246.*"bytes":3000000.*"event":"done"' said || fail "$(cat said)"
! sx-get --log-json "file:///nowhere/00.png#blake3=$(printf %064d 0)" >got 2>said || fail 'a success'
grep -q '"event":"error"' said || fail "$(cat said)"

# A line of state, and the program goes on.
{ cat frames; sleep 1; } | sx-put --to ./third >key.3 2>said &
sleep 0.5
kill -USR1 $!
wait $!
grep -Eq '^sx-put: (2\.99|3\.00) MB, .* s, .*/s, 24[45] frames' said || fail "$(cat said)"
cmp -s key.3 key.2 && fail 'a key of another store'

# On a terminal, sx-put shows and the others don't; with -q nobody does. Time and total are known by --size.
command -v script >/dev/null || exit 0
feed() { # OPTION...
    cat >pipe <<END
{ cat stream; sleep 1.5; } | sx-encode -0 -W 64 -H 64 | sx-put --to ./fourth $* >key.4
END
    script -qec 'sh pipe' /dev/null </dev/null >screen
}
feed
grep -Eq '(2\.99|3\.00) MB, .*/s, 24[45] frames' screen || fail "$(cat screen)"
feed --size 6M
grep -Eq '(49|50) %.*(2\.99|3\.00) MB of 6\.00 MB, .* left' screen || fail "$(cat screen)"
feed -q
[ ! -s screen ] || fail "$(cat screen)"

# Two programs on one terminal take turns: the second starts while the first has its line there, and
# draws its own when the first has ended.
cat >pipe <<'END_OF_PIPE'
drawn() { until grep -Eaq "of $1 MB" screen; do sleep 0.1; done; }
{ cat stream; drawn 6.00; touch second; sleep 1.5; } | sx-encode -0 -W 64 -H 64 | sx-put --size 6M --to ./one >key.5 &
until [ -e second ]; do sleep 0.1; done
{ cat stream; drawn 12.0; } | sx-encode -0 -W 64 -H 64 | sx-put --size 12M --to ./two >key.6
wait
END_OF_PIPE
script -fqec 'sh pipe' /dev/null </dev/null >screen
turns=$(grep -Eao 'of [0-9.]+ MB' screen | uniq | tr '\n' ' ')
[ "$turns" = 'of 6.00 MB of 12.0 MB ' ] || fail "turns: $turns"
