#!/bin/sh
# What somebody who doesn't know the programs tries: near misses get a hint at what is meant.
set -eu
# shellcheck source=/dev/null disable=SC2154
. "${0%/*}/lib.sh"

refuses 2 "unexpected argument '--outptu'" sx-put --outptu x </dev/null
it_said -q "hint: a similar argument exists: .--output." || fail "no hint at --output"
mkdir pictures
refuses 2 "store 'pictures'" sx-put --to pictures </dev/null
it_said -q 'hint: ./pictures is here: to use it as a store, write --to ./pictures' || fail "no such hint"
refuses 2 "store 'nothing'" sx-put --to nothing </dev/null
it_said -q 'hint: --to or SX_STORE names the store' || fail "no such hint"
key=file:///a/ab/x.png#blake3=$(printf '%064d' 0)
for option in '--from pictures' --from=pictures '--repair --to pictures' '--repair --to=pictures'; do
    # shellcheck disable=SC2086 # several arguments
    refuses 2 "store 'pictures'" sx-get $option "$key" >got
    name=${option#--repair }
    it_said -Eqx "sx-get: hint: ./pictures is here: .*, write ${name%%[ =]*} ./pictures" || fail "said: $(it_said .)"
done
refuses 2 "store 'nothing'" sx-get --from nothing "$key" >got
it_said -qx 'sx-get: hint: --from and --to name a store; write a folder here as ./NAME' || fail "said: $(it_said .)"

# No shell has expanded this ~.
echo hello | sx-encode >frames
# shellcheck disable=SC2088 # so it is meant, here and below
for store in '~/s' 'file:~/s' '~/host.sxcu'; do
    refuses 2 "store '$store', expected a path whose ~ the shell has expanded" sx-put --to "$store" <frames
    it_said -q 'hint: the shell expands ~/ only' || fail "said: $(it_said .)"
    refuses 2 "store '$store', expected" sx-get --from "$store" "$key" >got
    (SX_STORE=$store && export SX_STORE && refuses 2 "store '$store', expected" sx-put) <frames
done
# shellcheck disable=SC2088
refuses 2 "store '~/s', expected" sx-put --prune --to '~/s' "$key"
[ ! -e '~' ] || fail 'a folder named ~'
sx-put --to './~/s' <frames >key
sx-get key | cmp - frames

# file:/path is a location as file:///path is.
echo hello | sx-encode | sx-put --to "file:$PWD/pictures" >key
sed 's,^file:///,file:/,' key >short
grep -q '^file:/[^/]' short
sx-get short | sx-decode | grep -qx hello
sx-get "$(cat short)" | sx-decode | grep -qx hello
echo hello | sx-encode | sx-put --to "file://$PWD/pictures" >key.2
cmp key key.2
