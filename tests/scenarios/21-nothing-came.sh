#!/bin/sh
# Nothing on stdin, and no frames at all: the producer failed. An empty stream is something else.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

refuses 1 'empty input' sx-decode </dev/null
refuses 1 'empty input' sx-decode -o new </dev/null
refuses 1 'empty input' sx-decode --test </dev/null
refuses 1 'empty input' sx-decode --list </dev/null
refuses 1 'empty input' sx-decode /dev/null
refuses 1 'empty input' sx-put </dev/null
refuses 1 'empty input' sx-put -o new </dev/null
refuses 1 'empty input' sx-put --keys </dev/null
refuses 1 'no key' sx-get </dev/null
refuses 1 'no key' sx-get /dev/null
# shellcheck disable=SC2216 # a pipe that is empty
true | refuses 1 'empty input' sx-decode
# shellcheck disable=SC2216
true | refuses 1 'empty input' sx-put
refuses 1 'nothing|empty' sx-decode --sort /dev/null
only

sx-encode </dev/null | sx-decode -o empty
cmp empty /dev/null
