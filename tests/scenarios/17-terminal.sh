#!/bin/sh
# No pictures to a terminal, none from one, nor other binary data to it; but bytes may come from it, and
# text may go to it.
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
on_terminal 1 '^sx-encode: hint: .*[|] sx-put$' 'sx-encode stream'
on_terminal 1 '^sx-get: error: stdout is a terminal' 'sx-get key'
on_terminal 1 '^sx-get: hint: .*[|] sx-decode$' 'sx-get key'
on_terminal 1 '^sx-decode: error: stdin is a terminal' 'sx-decode -t'
on_terminal 1 '^sx-decode: error: stdin is a terminal' 'sx-decode -t -'
on_terminal 1 '^sx-put: error: stdin is a terminal' 'sx-put >key.new'
on_terminal 0 '^hello$' 'sx-decode <frames'
on_terminal 0 '^file://' 'sx-put <frames'
on_terminal 0 '^size: 5$' 'sx-get --info key'
on_terminal 0 '^0  data' 'sx-decode --list frames'

# Data that isn't text goes to a terminal only where the user says so.
printf 'a\0b' | sx-encode >binary
on_terminal 1 '^sx-decode: error: stdout is a terminal' 'sx-decode <binary'
on_terminal 1 '^sx-decode: hint: .* -o -$' 'sx-decode <binary'
on_terminal 1 '^sx-decode: error: .*stdout is a terminal' 'sx-decode --range 1: <binary'
on_terminal 0 '^a' 'sx-decode -o - <binary'
sx-decode <binary | tr '\0' 0 | grep -qx a0b
printf 'gr\303\274n\n' | sx-encode >text
on_terminal 0 '^gr..n$' 'sx-decode <text'
