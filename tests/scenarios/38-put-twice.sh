#!/bin/sh
# The same stream in the same store has the same key, and nothing is written a second time.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

random 3000 stream
sx-encode -W 16 -H 16 stream >frames
sx-put --name stream <frames >key
find data -type f -exec ls -il --full-time {} + | sort >before

sx-put --name stream <frames >again
find data -type f -exec ls -il --full-time {} + | sort >after
cmp key again
cmp before after

# Another name is another index, and nothing but that.
sx-put --name another <frames >key
[ "$(find data -type f | wc -l)" -eq $(($(wc -l <before) + 1)) ] || fail 'more than one new file'
sx-get key | cmp - frames

# Twice at the same time.
sx-put --to ./new <frames >key.1 &
sx-put --to ./new <frames >key.2
wait $!
cmp key.1 key.2
sx-get key.1 | cmp - frames
[ -z "$(find new -type f ! -name '*.png')" ] || fail 'something left in the store'

# Two streams that differ in one chunk share the others.
cp stream changed
flip changed 1000
sx-encode -0 -W 16 -H 16 stream | sx-put --to ./shared >/dev/null
count=$(find shared -type f | wc -l)
sx-encode -0 -W 16 -H 16 changed | sx-put --to ./shared >/dev/null
[ "$(find shared -type f | wc -l)" -eq $((count + 3)) ] || fail 'expected a frame, the last frame and an index'
