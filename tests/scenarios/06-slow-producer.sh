#!/bin/sh
# Bytes that come one at a time, or with pauses, make the same frames and the same stream.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

random 2000 stream
sx-encode -W 16 -H 16 stream >frames

dd bs=1 <stream 2>/dev/null | sx-encode -W 16 -H 16 | cmp - frames
dd bs=1 <frames 2>/dev/null | sx-decode | cmp - stream
dd bs=1 <frames 2>/dev/null | sx-put >key
sx-put <frames | cmp - key
dd bs=1 <key 2>/dev/null | sx-get | cmp - frames

{ head -c 900 stream && sleep 0.1 && tail -c +901 stream; } | sx-encode -W 16 -H 16 | cmp - frames
{ head -c 900 frames && sleep 0.1 && tail -c +901 frames; } | sx-decode | cmp - stream
