#!/bin/sh
# Input that is no picture: it is said what it is, as far as that can be seen.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

random 100 random
sx-encode random | sx-put >key

no_picture() { # PATTERN
    cat >input
    refuses 1 "frame 0: $1, expected a PNG, JPEG or WebP picture" sx-decode <input >back
    refuses 1 "frame 0: $1, expected a PNG, JPEG or WebP picture" sx-put <input >back
    refuses 1 "$1, expected a PNG, JPEG or WebP picture" sx-decode --sort input >back
    [ ! -s back ] || fail "output of $1"
}

seq 1000 | no_picture 'bytes that aren.t a picture'
printf x | no_picture 'bytes that aren.t a picture'
no_picture 'a key' <key
{ printf 'GIF89a' && cat random; } | no_picture 'a GIF picture'
{ printf 'RIFF\0\0\0\0WAVEfmt ' && cat random; } | no_picture 'a RIFF file.*'
printf '\0\0\0 ftypavif' | no_picture 'an AVIF picture'
echo '<!DOCTYPE html><html><body>404 Not Found</body></html>' | no_picture 'an HTML.*'
echo '{"error": "rate limit exceeded", "status": 429}' | no_picture 'JSON.*'
gzip -c random | no_picture 'gzip data'

# What only looks like one.
{ printf '\377\330\377\340\0\020JFIF' && cat random; } >input
refuses 1 'frame 0: damaged JPEG: ' sx-decode input

# Hints where the user can do something.
sx-decode <key 2>said || :
grep -q '^sx-decode: hint: .*sx-get' said || fail "no hint: $(cat said)"

refuses 1 'no-such-file: cannot open' sx-decode no-such-file
refuses 1 'no-such-file: cannot open' sx-encode no-such-file
refuses 1 'no-such-file: cannot open' sx-get no-such-file
refuses 1 '\.: cannot read' sx-decode .
refuses 1 'cannot read' sx-encode .
refuses 1 '\.: cannot read' sx-get .
