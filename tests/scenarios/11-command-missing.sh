#!/bin/sh
# Two dashes and no command, as from a variable that is empty, are wrong usage and not an empty stream.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

command=
# shellcheck disable=SC2086 # nothing is what comes of it
refuses 2 '.' sx-encode -- $command </dev/null >frames
no_frame frames
