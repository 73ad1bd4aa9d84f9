#!/bin/sh
# sx-encode -- COMMAND: the stream is complete if the command ends well, and else there is no key.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

sx-encode -- printf '%s' 'to be kept' | sx-decode >back
[ "$(cat back)" = 'to be kept' ] || fail "found $(cat back)"
sx-encode -0 -- echo -3 -W --help | sx-decode >back
[ "$(cat back)" = '-3 -W --help' ] || fail "found $(cat back)"
echo hello | sx-encode -- cat | sx-decode | grep -qx hello
sx-encode -- true | sx-decode | cmp - /dev/null

no_key() { # PATTERN COMMAND...
    pattern=$1
    shift
    echo old >file
    refuses 1 "$pattern" sx-encode -o file -- "$@"
    [ "$(cat file)" = old ] || fail "another file after: $*"
    refuses 1 "$pattern" sx-encode -- "$@" >part
    refuses 1 'empty input|input ends' sx-put <part >key
    [ ! -s key ] || fail "a key after: $*"
}

no_key 'exit status 3' sh -c 'exit 3'
no_key 'exit status 3' sh -c 'echo some of it; exit 3'
no_key 'exit status 3' sh -c 'head -c 5000000 /dev/zero; exit 3'
no_key 'exit status 3' sh -c 'echo some of it; exec >&-; sleep 0.1; exit 3'
no_key 'killed by signal 9' sh -c 'echo some of it; kill -9 $$'
no_key 'killed by signal 15' sh -c 'kill -15 $$'
no_key 'command .no-such-command.' no-such-command
no_key 'command ./.' /
refuses 2 'FILE' sx-encode back -- true
