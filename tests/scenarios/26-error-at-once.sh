#!/bin/sh
# An error comes at once, though the producer stays and keeps the pipe open.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

frames
sx-put <frames >key
mkfifo pipe

# The shell has both ends of the pipe, so that nobody sees an end of the input.
while_open() { # PATTERN COMMAND...
    exec 3<>pipe
    cat input >&3
    refuses 1 "$@" <pipe 3>&-
    exec 3>&-
}

seq 1000 >input
while_open 'frame 0: bytes that aren.t a picture' sx-decode
while_open 'frame 0: bytes that aren.t a picture' sx-decode --list
while_open 'frame 0: bytes that aren.t a picture' sx-put
while_open 'frame 0: bytes that aren.t a picture' sx-put --keys

cat frame.0 frame.2 >input
while_open 'frame 1: offset' sx-decode -o new
while_open 'frame 1: offset' sx-put -o new

flip frame.1 500
cat frame.0 frame.1 >input
while_open 'frame 1: (damaged|CRC-32)' sx-decode -o new
while_open 'frame 1: (damaged|CRC-32)' sx-put -o new

{ cat frames && seq 1000; } >input
while_open 'frame 7: bytes that aren.t a picture' sx-decode -o new
while_open 'frame 7: bytes that aren.t a picture' sx-put -o new

while_open 'cannot write: No space' sx-decode >/dev/full
while_open 'Not a directory' sx-put --to /dev/null/store

head -c 4000 stream >input
while_open 'exit status 3' sx-encode -- sh -c 'exit 3' >/dev/null
[ ! -e new ] || fail 'a file or a key'
