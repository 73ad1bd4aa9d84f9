#!/bin/sh
# sx-decode --sort: pictures of one stream in any order, with doubles and indexes among them.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

frames
sx-put <frames >key
mkdir others
cp frame.2 others/double
random 2000 other
sx-encode -0 -W 16 -H 16 other | split -b 852 -d -a 1 - other.

sx-decode --sort frame.5 frame.0 frame.6 frame.3 frame.1 frame.4 frame.2 | cmp - stream
sx-decode --sort frame.6 frame.5 frame.4 frame.3 others/double frame.2 frame.1 frame.0 frame.2 | cmp - stream
sx-decode --sort -o back data/storagex/*/*.png # the index lies among them
cmp back stream
sx-decode --sort --test frame.[0-6]
sx-encode </dev/null >empty
sx-decode --sort empty | cmp - /dev/null

no_stream() { # PATTERN FILE...
    pattern=$1
    shift
    refuses 1 "$pattern" sx-decode --sort "$@" >back
    refuses 1 "$pattern" sx-decode --sort -o new "$@"
    refuses 1 "$pattern" sx-decode --sort --test "$@"
    [ ! -s back ] || fail "output of $*"
    [ ! -e new ] || fail "a file of $*"
}

no_stream 'frame.4: offset 2928, expected 2196' frame.6 frame.5 frame.4 frame.2 frame.1 frame.0
no_stream 'frame.1: offset 732, expected 0' frame.[1-6]
no_stream 'frame.5: input ends here' frame.[0-5]
no_stream 'other.1: another frame for offset 732' frame.[0-6] other.1
no_stream 'another frame for offset 0' frame.[0-6] other.[0-2]
no_stream "no-such-file: cannot open" frame.[0-2] no-such-file frame.[4-6]
no_stream 'empty input' "$(path_of "$(cat key)")"
no_stream 'stream: bytes that aren.t a picture' frame.[0-6] stream
no_stream 'frames: ' frames
flip frame.3 400
no_stream 'frame.3: (damaged|CRC-32)' frame.[0-6]
