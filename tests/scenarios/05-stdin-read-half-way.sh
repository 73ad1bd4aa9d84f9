#!/bin/sh
# A file on stdin that somebody has read half-way: the rest is the stream.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

printf 'first second\n' >file
(
    dd bs=6 count=1 2>/dev/null >first
    sx-encode
) <file | sx-decode >rest
[ "$(cat rest)" = second ] || fail "found $(cat rest)"

# The same with the command's stdin.
(
    dd bs=6 count=1 2>/dev/null >first
    sx-encode -- cat
) <file | sx-decode | cmp - rest

# The other programs: frames behind a line of text.
{ echo hello && sx-encode file; } >both
(
    dd bs=6 count=1 2>/dev/null >first
    sx-decode
) <both | cmp - file
(
    dd bs=6 count=1 2>/dev/null >first
    sx-put
) <both >key
{ echo hello && cat key; } >both
(
    dd bs=6 count=1 2>/dev/null >first
    sx-get
) <both | sx-decode | cmp - file
