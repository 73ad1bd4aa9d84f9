#!/bin/sh
# What goes in comes out, bit for bit: through the pictures alone, and through a store.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

: >empty
printf x >one-byte
seq 20000 >text
head -c 10000000 /dev/zero >zeros
random 7000000 random

for file in empty one-byte text zeros random; do
    # shellcheck disable=SC2094 # nobody writes to it
    sx-encode <"$file" | sx-decode | cmp - "$file"
    sx-encode <"$file" | sx-put >key
    sx-get <key | sx-decode | cmp - "$file"
done

# Files instead of pipes.
sx-encode -o frames random
sx-put -o key <frames
sx-get key >again
cmp frames again
sx-decode -o back again
cmp back random
sx-decode --test again
