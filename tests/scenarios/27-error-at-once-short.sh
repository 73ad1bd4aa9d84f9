#!/bin/sh
# As few bytes as show that it is no PNG are enough for an error, though the producer stays.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

frames
mkfifo pipe
for before in /dev/null frames; do
    for command in sx-decode sx-put; do
        exec 3<>pipe
        cat "$before" >&3
        printf junk >&3
        refuses 1 'bytes that aren.t a picture' "$command" -o new <pipe 3>&-
        exec 3>&-
    done
done
