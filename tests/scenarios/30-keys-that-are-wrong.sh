#!/bin/sh
# A key without a digest, with a wrong one, of an unknown scheme, or none at all.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

frames
sx-put <frames >key
key=$(cat key)
location=${key%%#*}
digest=${key##*=}

refused() { # PATTERN KEY
    refuses 1 "$1" sx-get "$2" >back
    refuses 1 "$1" sx-get --check "$2"
    refuses 1 "$1" sx-get --info "$2" >back
    refuses 1 "$1" sx-get --list "$2" >back
    printf '%s\n' "$2" | refuses 1 "$1" sx-get >back
    # Nothing, or the start of a picture, so that a reader knows that something is missing.
    no_frame back
}

refused 'without #blake3=' "$location"
refused 'without #blake3=|percent' "$location#"
refused 'without #blake3=|percent' "$location#sha256=$digest"
refused 'expected #blake3= and 64' "$location#blake3="
refused 'expected #blake3= and 64' "$location#blake3=${digest%?}"
refused 'expected #blake3= and 64' "$key$digest"
refused 'expected #blake3= and 64' "$location#blake3=$(echo "$digest" | tr a-f A-F)F"
refused 'digest .*, expected 0000' "$location#blake3=$(printf '%064d' 0)"
refused 'not found' "file:///no/such/folder/00/00.png#blake3=$digest"
refused 'not found' "file:///dev/null/00/00.png#blake3=$digest"
refused 'scheme .gopher., expected' "gopher://example.org/x.png#blake3=$digest"
refused "'file:relative#blake3=$digest', expected a key such as file:///\.\.\.#blake3=" "file:relative#blake3=$digest"
refused "'file:s/ab/x.png', expected a key such as file:///" file:s/ab/x.png
for text in 1 hello '1 2'; do
    printf '%s\n' "$text" >text
    refuses 1 "text: line 1: '${text%% *}', expected a key such as file:///" sx-get text >back
    ! it_said -q scheme || fail "said: $(it_said .)"
done
refuses 1 "'', expected a key such as file:///" sx-get '' >back
refused 'absolute' "file://relative/path.png#blake3=$digest"
refused 'percent' "file:///a%0#blake3=$digest"
refused 'percent' "file:///a%00b#blake3=$digest"

# A data frame is no index, and a picture of something else is no frame.
refused 'a frame of data, expected an index' "$(sx-put --keys <frames | head -n 1)"

# A folder, a device and a text in the place of the picture.
refused 'cannot read|not found' "file:///dev#blake3=$digest"
refused 'expected a PNG|not a regular file' "file:///dev/null#blake3=$digest"
refused 'expected a PNG|not a regular file' "file:///dev/zero#blake3=$digest"
refused 'expected a PNG' "file:///etc/passwd#blake3=$digest"
