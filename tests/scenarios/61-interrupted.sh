#!/bin/sh
# Ctrl-C and SIGTERM: no key, no half file, one line that says what is kept and how to go on, and the
# status of a program that a signal has ended.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

random 1000000 stream
sx-encode -0 -W 64 -H 64 stream >frames

# Ends a program that has read all it is given and waits for more.
interrupts() { # SIGNAL STATUS COMMAND...
    signal=$1 expected=$2
    shift 2
    mkfifo pipe
    # A shell without job control has SIGINT ignored for what it starts in the background.
    env --default-signal=INT "$@" <pipe >out 2>said &
    victim=$!
    exec 9>pipe
    cat frames >&9
    sleep 0.5
    kill "-$signal" "$victim"
    status=0
    wait "$victim" || status=$?
    exec 9>&-
    rm pipe
    [ "$status" -eq "$expected" ] || fail "status $status: $(cat said)"
}

head -c 900000 frames >part && mv part frames
interrupts INT 130 sx-put --to ./store
[ ! -s out ] || fail 'a key'
grep -Eqx 'sx-put: error: interrupted: [0-9]+ frames stored, and no key was made; run the pipe again: no stored frame is sent twice' said ||
    fail "$(cat said)"
[ "$(wc -l <said)" -eq 1 ] || fail "$(cat said)"

mv frames many
for count in 1 0; do
    head -c $((count * 12420)) many >frames
    interrupts INT 130 sx-put --to ./store
    grep -Eqx "sx-put: error: interrupted: $count frames? stored, and no key was made; .*" said || fail "$(cat said)"
done
mv many frames
interrupts TERM 143 sx-put --to ./store -o key
[ ! -e key ] || fail 'a key'
grep -q '^sx-put: error: interrupted: ' said || fail "$(cat said)"

echo old >file
interrupts INT 130 sx-decode -o file
[ "$(cat file)" = old ] || fail 'the old file is gone'
[ "$(find . -name '.storagex-*' | wc -l)" -eq 0 ] || fail 'a half file'

# A prune says what stays, and where it is; sx-get --filename speaks, too. Nobody answers on port 1.
sx-encode stream | sx-put --to ./store -o key
sed "s,file://$PWD,http://127.0.0.1:1," key >far.key
interrupted() { # STATE ERROR COMMAND...
    state=$1 error=$2
    shift 2
    env --default-signal=INT "$@" >out 2>said &
    victim=$!
    sleep 1
    kill -USR1 "$victim"
    sleep 0.2
    kill -INT "$victim"
    status=0
    wait "$victim" || status=$?
    [ "$status" -eq 130 ] || fail "$*: status $status: $(cat said)"
    grep -q "^${1}: $state" said || fail "$*: $(cat said)"
    grep -q "^${1}: error: interrupted: $error" said || fail "$*: $(cat said)"
}
interrupted 'pruning http://127.0.0.1:1/store/, [0-9.]* s' 'what was moved or removed stays so; run it again' \
    sx-put --prune --to http://127.0.0.1:1/store/ key
interrupted 'pruning http://127.0.0.1:1/store/, ' 'nothing was changed$' sx-put --prune --dry-run far.key
interrupted '0 B, ' 'only indexes have been read' sx-get --filename far.key

# What goes on in the background of a script ignores Ctrl-C, as other programs do.
{ sleep 1; cat stream; } | sh -c 'trap "" INT; exec sx-encode -0' >frames.2 2>said &
sleep 0.5
kill -INT $! || :
wait $!
sx-decode <frames.2 | cmp - stream
