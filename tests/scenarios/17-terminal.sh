#!/bin/sh
# No pictures to a terminal, none from one; but bytes may come from it, and text may go to it.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

command -v script >/dev/null || { echo 'skipped: no script(1)' && exit 0; }
printf hello >stream
sx-encode stream >frames
sx-put <frames >key

on_terminal() { # STATUS PATTERN COMMAND
    status=0
    timeout 10 script -qec "$3" /dev/null </dev/null >screen || status=$?
    [ "$status" -eq "$1" ] || fail "expected status $1: $3: $status: $(cat screen)"
    tr -d '\r' <screen | grep -Eq "$2" || fail "expected '$2': $3: $(cat screen)"
}

on_terminal 1 '^sx-encode: error: stdout is a terminal' 'sx-encode stream'
on_terminal 1 '^sx-encode: hint: ' 'sx-encode stream'
on_terminal 1 '^sx-get: error: stdout is a terminal' 'sx-get key'
on_terminal 1 '^sx-decode: error: stdin is a terminal' 'sx-decode -t'
on_terminal 1 '^sx-decode: error: stdin is a terminal' 'sx-decode -t -'
on_terminal 1 '^sx-put: error: stdin is a terminal' 'sx-put >key.new'
on_terminal 0 '^hello$' 'sx-decode <frames'
on_terminal 0 '^file://' 'sx-put <frames'
on_terminal 0 '^size: 5$' 'sx-get --info key'
on_terminal 0 '^0  data' 'sx-decode --list frames'
