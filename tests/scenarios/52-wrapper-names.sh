#!/bin/sh
# The name in the index is text of somebody else: its last component is used, and that with care.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

printf hello >hello
mkdir below
cd below

download_as() { # NAME FILE
    sx-encode ../hello | sx-put --name="$1" >../key
    storagex download ../key
    cmp -- "./$2" ../hello || fail "expected $2 of $1"
    rm -- "./$2"
    [ -z "$(ls -A)" ] || fail "something else of $1: $(ls -A)"
}

download_as ../../x x
[ ! -e ../x ] || fail 'out of the folder'
[ ! -e ../../x ] || fail 'out of the folder'
download_as /etc/name-of-a-scenario name-of-a-scenario
download_as "with 'quotes' and \"more\"" "with 'quotes' and \"more\""
# shellcheck disable=SC1003 # a backslash
download_as 'back\slash\' 'back\slash\'
download_as '-f' '-f'
download_as '--help' '--help'
download_as ' spaces ' ' spaces '
# shellcheck disable=SC2016 # nothing of it is to be expanded
download_as 'ü *?[x]$HOME`id`%s' 'ü *?[x]$HOME`id`%s'
download_as '...' '...'
download_as '\n' '\n'
download_as 'a\u{7}' 'a\u{7}'

no_name() { # NAME
    sx-encode ../hello | sx-put --name="$1" >../key
    refuses 1 'name|one for a file' storagex download ../key
    it_said -qx 'sx-get: hint: storagex download KEY FILE chooses another name' || fail 'no hint'
    [ -z "$(ls -A)" ] || fail "something of '$1': $(ls -A)"
    storagex download ../key ../back
    cmp ../back ../hello
    rm ../back
}

no_name ''
no_name .
no_name ..
no_name a/..
no_name ../..
no_name a/
no_name /
no_name 'two
lines'
no_name 'ends with a line end
'
no_name "$(printf 'escape\033[2J')"
no_name "$(printf 'tab\tin it')"
no_name "$(printf 'delete\177')"

# An upload takes the last component, too, with whatever is in it.
cd ..
printf hello >-f
storagex upload -- -f >key
storagex info key | grep -Fqx 'name: -f'
storagex upload ./-f >key
storagex download -f key
refuses 2 'invalid option' storagex upload -f
printf hello >"it's \\ \"odd\" "
storagex upload ./it* >key
rm ./it*
storagex download key
[ -e "it's \\ \"odd\" " ] || fail 'another name'

# A file of keys may have the name of an option.
sx-encode hello | sx-put --name came >-x
storagex download -- -x
cmp came hello
storagex download -- -x again
cmp again hello
rm ./-x

# Several keys have several names; with a name given, their streams follow one another.
cat key key >keys
refuses 2 'several keys' storagex download keys
storagex download keys both
[ "$(cat both)" = hellohello ] || fail "found $(cat both)"
