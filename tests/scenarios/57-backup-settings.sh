#!/bin/sh
# The settings of a name: stores, parity, a secret, content-defined chunks; and wrong ones.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

XDG_STATE_HOME=$PWD/state XDG_CONFIG_HOME=$PWD/config HOME=$PWD
export XDG_STATE_HOME XDG_CONFIG_HOME HOME
mkdir -p config/storagex tree out
random 1500000 tree/big
echo 'a word that nobody may read' >tree/word

(umask 077 && storagex secret >words)
cat >config/storagex/docs.conf <<END
# where, and how
store = $PWD/a b
store=~/two
secret = ~/words
cdc = 64K
parity	=	4+2
END
storagex backup docs tree
key=$(storagex list docs | cut -f 5)
[ "$(printf '%s\n' "$key" | tr ' ' '\n' | wc -l)" -eq 2 ] || fail "a key in each of two stores: $key"
[ "$(printf '%s\n' "$key" | tr ' ' '\n' | grep -n '/two/' | cut -c 1-2)" = 2: ] || fail "the stores in another order: $key"
[ -d 'a b/' ] || fail 'no first store'
[ -d two/ ] || fail 'no second store'
! grep -rq 'a word that nobody' 'a b' two || fail 'the text is in a picture'
! grep -rq 'tree/word' 'a b' two || fail 'a name is in a picture'

for each in $key; do
    sx-get --info "$each" | grep -qx 'name: ' || fail "a name: $(sx-get --info "$each")"
done
# Without the setting, SX_SECRET counts: for all of a backup, and for each way to restore it.
SX_SECRET=$PWD/words storagex backup variable tree
sx-get --info "$(storagex list variable | cut -f 5)" | grep -qx 'name: ' || fail 'a name'
! grep -rq 'a word that nobody\|tree/word' data || fail 'the text is in a picture'
cd out
for path in '' tree/word; do
    ! storagex restore variable ${path:+"$path"} 2>said || fail 'restored without the secret'
    grep -q 'error: .*sealed' said || fail "$(cat said)"
done
[ ! -e tree ] || fail 'something was restored'
SX_SECRET=$HOME/words storagex restore variable tree/word
cmp tree/word ../tree/word
[ ! -e tree/big ] || fail 'more than what was asked for'
rm -r tree
cd ..

echo 'sturdy = 2' >config/storagex/sturdy.conf
storagex backup sturdy echo text
echo text | sx-encode --sturdy 2 | cmp - "$(path_of "$(sx-get --list "$(storagex list sturdy | cut -f 5)" | sed -n 2p)")"

# Two lost pictures, and a store that is gone.
rm -r 'a b'
find two -name '*.png' | sort | head -n 2 | xargs rm
cd out
storagex restore docs 2>said || fail "$(cat said)"
diff -r tree ../tree
rm -r tree
storagex restore docs tree/word 2>/dev/null
cmp tree/word ../tree/word
[ ! -e tree/big ] || fail 'more than what was asked for'
cd ..

# An insertion moves everything behind it, and few frames change.
mv tree/big old
{ echo inserted && cat old; } >tree/big
storagex backup docs tree 2>/dev/null
storagex list docs | cut -f 4 | awk '{ print $1 * ($2 == "MB" ? 1e6 : $2 == "kB" ? 1e3 : 1) }' >sent
[ "$(sed -n 2p sent)" -lt "$(sed -n 1p sent)" ] || fail "sent: $(cat sent)"

wrong() { # LINE PATTERN
    printf '%s\n' "# a comment" "$1" >config/storagex/bad.conf
    refuses 2 "bad.conf: line 2: $2" storagex backup bad true
}
wrong 'stroe = x' "unknown setting 'stroe'"
wrong 'store' 'expected SETTING = VALUE'
wrong 'store =' 'expected SETTING = VALUE'
# A wrong setting of another program is one of this file, too; and it stops no other name.
for setting in 'parity = two' 'cdc = much' 'sturdy = 5' 'secret = /nowhere'; do
    echo "$setting" >config/storagex/bad.conf
    status=0
    storagex backup bad true 2>said || status=$?
    [ "$status" -ne 0 ] || fail "$setting"
    [ "$setting" = 'secret = /nowhere' ] ||
        grep -qx "storagex: hint: the settings of 'bad' are in $PWD/config/storagex/bad.conf" said || fail "$(cat said)"
done
# Settings that can't be read aren't empty ones: nothing goes to the default store, nor from it.
rm config/storagex/bad.conf
unreadable() { # FOUND
    for command in 'backup bad echo text' 'restore docs' 'check docs' 'repair docs'; do
        # shellcheck disable=SC2086 # a command and its arguments
        refuses 1 "(bad|docs).conf: cannot read: $1, expected a file of settings" storagex $command
    done
}
find data state -type f | sort >before
mv config/storagex/docs.conf docs.conf
mkdir config/storagex/bad.conf config/storagex/docs.conf
unreadable 'Is a directory'
rmdir config/storagex/bad.conf config/storagex/docs.conf
ln -s /nowhere/docs.conf config/storagex/bad.conf
ln -s /nowhere/docs.conf config/storagex/docs.conf
unreadable 'No such file or directory'
rm config/storagex/bad.conf config/storagex/docs.conf
mv docs.conf config/storagex/docs.conf
find data state -type f | sort | cmp - before
mkdir -p state/storagex/bad
cp "$(find state/storagex/docs -name '*.key' | head -n 1)" state/storagex/bad
echo nonsense >config/storagex/bad.conf
[ "$(storagex list | cut -f 1 | sort -u | head -n 1)" = bad ] || fail "$(storagex list)"
rm -r state/storagex/bad
printf '%s\n' "store = $PWD/commented  # a disk" '   # nothing' >config/storagex/bad.conf
storagex backup bad true
[ -d commented ] || fail "$(ls)"
printf '%s\r\n' '# by an editor of Windows' '' "store = $PWD/windows" 'cdc = 64K' 'secret = ~/words' >config/storagex/bad.conf
storagex backup bad true
[ -d windows ] || fail "$(ls)"
# A path relative to wherever cron runs is none.
for store in ./x x/y x file:x mine.sxcu; do
    echo "store = $store" >config/storagex/bad.conf
    refuses 2 "store '$store', expected a URL" storagex backup bad true
done
(SX_STORE=./x && export SX_STORE && refuses 2 "store './x', expected a URL" storagex backup other true)
: >letter
# Without a home folder, or with one that depends on where cron runs, nobody finds the keys again.
(
    mkdir nowhere
    cd nowhere
    unset XDG_STATE_HOME XDG_CONFIG_HOME XDG_DATA_HOME
    for command in 'backup other true' 'restore docs' list keys check repair 'prune --keep-last 1' 'upload ../letter'; do
        for home in '' relative '~'; do
            # shellcheck disable=SC2086 # a command and its arguments
            HOME=$home refuses 2 "HOME is '$home', expected a path that begins with /" storagex $command
        done
        # shellcheck disable=SC2086 # a command and its arguments
        (unset HOME && refuses 2 "HOME is '', expected" storagex $command)
        for variable in XDG_STATE_HOME XDG_CONFIG_HOME XDG_DATA_HOME; do
            # shellcheck disable=SC2086 # a command and its arguments
            (export "$variable=./x" && refuses 2 "$variable is './x', expected a path" storagex $command)
        done
    done
    [ -z "$(ls -A)" ] || fail "$(find .)"
    # Nothing needs it if the others are set, and some commands need none of them.
    env -u HOME storagex secret | grep -q .
    env -u HOME XDG_STATE_HOME="$PWD/s" XDG_CONFIG_HOME="$PWD/c" XDG_DATA_HOME="$PWD/d" storagex backup other echo text
    key=$(echo "$PWD"/s/storagex/other/*.key)
    env -u HOME storagex info "$key" | grep -qx 'name: other'
    env -u HOME storagex download "$key"
    grep -qx text other
)
# No shell expands the ~ in a crontab.
(
    SX_STORE=\~'/at home'
    export SX_STORE
    storagex backup other echo text
    storagex upload letter | grep -q "^file://$PWD/at%20home/"
    [ ! -e \~ ] || fail "$(find .)"
)
for name in '' .x a/b '../x' 'a b'; do
    refuses 2 "name '$name', expected letters" storagex backup "$name" true
done
refuses 2 "invalid option -- 'x'" storagex backup -x true
refuses 2 'without a folder or a command' storagex backup docs
refuses 2 'without a name' storagex restore
refuses 1 './Docments: not found, expected a folder or a command' storagex backup docs -- ./Docments
refuses 1 './letter: a file, expected a folder or a command' storagex backup docs -- ./letter
it_said -q 'hint: storagex backup docs -- cat FILE' || fail 'no such hint'

# Two folders are two names, and a store is a setting.
mkdir tree2
refuses 2 "2 arguments after 'docs', expected one folder, or a command" storagex backup docs tree tree2
refuses 2 'expected one folder' storagex backup docs -- ./tree -v
for arguments in '--to ./p docs tree' '--parity=4+2 docs tree'; do
    # shellcheck disable=SC2086 # options and their values
    refuses 2 'unrecognized option' storagex backup $arguments
    it_said -qx "storagex: hint: the store of a backup is a setting in $PWD/config/storagex/NAME.conf, .*" || fail 'no hint'
done
refuses 1 '--to: not found, expected a folder or a command' storagex backup docs --to ./p tree
it_said -q 'hint: the store of a backup is a setting' || fail 'no hint'
# A folder that has the name of a command.
mkdir echo
storagex backup named echo a word
storagex restore named | grep -qx 'a word'
rm -r tree2 echo

# Where an interrupted backup went to another store, the next one doesn't mind.
echo "store = $PWD/disk1" >config/storagex/disk.conf
! storagex backup disk sh -c 'cat /bin/sh; exit 3' 2>/dev/null || fail 'a backup of a failed command'
[ -n "$(find state/storagex/disk -name 'journal*')" ] || fail 'no journal'
echo "store = $PWD/disk2" >config/storagex/disk.conf
storagex backup disk echo moved
storagex restore disk | grep -qx moved
[ -z "$(find state/storagex/disk -name 'journal*')" ] || fail 'a journal is left'

# Damaged keys and journals stop no later backup. A journal that is cut short, or empty, isn't damaged.
! storagex backup disk sh -c 'seq 1000000; exit 3' 2>/dev/null || fail 'a backup of a failed command'
journal=$(find state/storagex/disk -name 'journal*')
mv "$journal" journal
key=$(echo state/storagex/disk/*.key)
damaged=state/storagex/disk/$(date -u -d '1 hour' +%Y-%m-%dT%H:%M:%SZ).key
for bytes in 0 20 -10; do
    head -c "$bytes" "$key" >"$damaged"
    : >"$journal"
    storagex backup disk echo "without $bytes" 2>said
    grep -qx "storagex: note: $PWD/$damaged: no key, or a part of one: looking at the backup before it" said ||
        fail "$(cat said)"
    [ "$(wc -l <said)" -eq 1 ] || fail "$(cat said)"
    rm "$damaged"
    storagex restore disk | grep -qx -e "without $bytes"
done
for lines in 1s/./x/ 1d '2s/^./-/' 's/^[0-9a-f].*//' 's/g$/g\x80/'; do
    sed "$lines" journal >"$journal"
    storagex backup disk echo "without $lines" 2>said
    grep -qx "storagex: note: $PWD/$journal: damaged, set aside as damaged-${journal##*/}" said || fail "$lines: $(cat said)"
    sed "$lines" journal | cmp - "${journal%/*}/damaged-${journal##*/}"
done
head -c -10 journal >"$journal"
storagex backup disk echo continued >said 2>&1
[ ! -s said ] || fail "$(cat said)"

# A second run of a name waits for the first.
mkfifo go
storagex backup slow cat go 2>/dev/null &
sleep 1
storagex backup slow echo second 2>said &
sleep 1
grep -q "note: another backup of 'slow' is running: waiting for it" said || fail "$(cat said)"
echo first >go
wait
storagex restore slow | grep -qx second
