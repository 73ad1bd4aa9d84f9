#!/bin/sh
# storagex backup and restore: a folder with a history, single files out of it, and a command's output.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

XDG_STATE_HOME=$PWD/state XDG_CONFIG_HOME=$PWD/config
export XDG_STATE_HOME XDG_CONFIG_HOME

mkdir -p 'tree/a b/c' out
echo one >'tree/a b/c/one'
printf 'back\\slash' >'tree/a b/t\wo'
echo umlaut >tree/ü
printf 'line end' >"tree/$(printf 'x\ny')"
# Names that tar escapes in its list.
for name in 'caf\351' 'a\tb' '\001' 'x\177' 'line\n\bs' '\302\205' '\\n'; do
    # shellcheck disable=SC2059 # for the escapes
    printf "$name" >"$(printf "tree/$name")"
done
random 9000000 tree/big

storagex backup docs tree >said 2>&1
[ ! -s said ] || fail "expected silence: $(cat said)"
cp -R tree first
echo more >>'tree/a b/c/one'
storagex backup docs -- tree
[ "$(storagex list docs | wc -l)" -eq 2 ] || fail "$(storagex list docs)"

# The second backup sends only what changed: a frame or two of four, and an index.
in_bytes() { awk '{ print $1 * ($2 == "MB" ? 1e6 : $2 == "kB" ? 1e3 : 1) }'; }
storagex list docs >listed
[ "$(cut -f 1 listed | uniq)" = docs ] || fail "$(cat listed)"
[ "$(cut -f 3 listed | in_bytes | sed -n 1p)" -gt 8000000 ] || fail "$(cat listed)"
[ "$(cut -f 5 listed | grep -c '^file://.*#blake3=')" -eq 2 ] || fail "$(cat listed)"
cut -f 2 listed >dates
cut -f 4 listed | in_bytes >sent
[ "$(sed -n 1p sent)" -gt 8000000 ] || fail "first: $(cat listed)"
[ "$(sed -n 2p sent)" -lt "$(sed -n 1p sent)" ] || fail "second: $(cat listed)"

cd out
storagex restore docs
diff -r tree ../tree
rm -r tree
storagex restore --at "$(sed -n 1p ../dates)" docs
diff -r tree ../first
rm -r tree

# Single files and folders, by the ranges of their members.
storagex restore docs 'tree/a b' ./tree/ü
[ "$(find . -type f | wc -l)" -eq 3 ] || fail "$(find .)"
diff -r 'tree/a b' '../tree/a b'
cmp tree/ü ../tree/ü
rm -r tree
storagex restore --at="$(sed -n 1p ../dates)" docs 'tree/a b/t\wo' 'tree/a b/c/one'
cmp 'tree/a b/c/one' '../first/a b/c/one'
cmp 'tree/a b/t\wo' '../first/a b/t\wo'
rm -r tree
storagex restore docs tree/big
cmp tree/big ../tree/big
rm -r tree
# Frames that hold nothing of a file aren't fetched.
lost=$(path_of "$(sx-get --list "$(storagex list docs | tail -n 1 | cut -f 5)" | sed -n 3p)")
mv "$lost" ../lost
storagex restore docs tree/ü
cmp tree/ü ../tree/ü
! storagex restore docs tree/big 2>/dev/null || fail 'tree/big is in no lost frame'
rm -r tree
mv ../lost "$lost"
for path in ../tree/*; do
    storagex restore docs "${path#../}"
    diff -r "$path" "${path#../}"
    [ "$(find tree -mindepth 1 -maxdepth 1 -printf .)" = . ] || fail "not only $path: $(find tree)"
    rm -r tree
done
refuses 1 "no 'tree/nothing' in the archive" storagex restore docs tree/nothing
refuses 1 "no 'tree/a' in the archive" storagex restore docs tree/a
it_said -qx "sx-decode: hint: the paths in it begin with 'tree'" || fail 'no hint'
[ -z "$(ls -A)" ] || fail "something: $(ls -A)"
refuses 1 "no backup of 'docs' up to 2001" storagex restore --at 2001 docs
for command in restore list keys check repair 'prune --keep-last 1'; do
    # shellcheck disable=SC2086 # a command and its options
    refuses 1 "no backup of 'other'" storagex $command other
done
(XDG_STATE_HOME=$PWD/nowhere && refuses 1 'no backup in ' storagex check)
cd ..

# A command: its output comes back on stdout. One that fails leaves no backup.
storagex backup numbers -- seq 1000
storagex restore numbers | cmp - "$(seq 1000 >numbers && echo numbers)"
refuses 1 'it has no paths' storagex restore numbers x
refuses 1 "exit status 3" storagex backup numbers sh -c 'seq 10; exit 3'
[ "$(storagex list numbers | wc -l)" -eq 1 ] || fail "$(storagex list numbers)"

# A file that changes while it is read is no error: tar exits with 1.
mkdir bin
{ echo '#!/bin/sh' && echo "$(command -v tar) \"\$@\" && exit \$(cat '$PWD/status')"; } >bin/tar
chmod +x bin/tar
without=$PATH PATH=$PWD/bin:$PATH
echo 1 >status && storagex backup changing tree
echo 2 >status && refuses 1 'exit status 1, expected' storagex backup changing tree
PATH=$without
[ "$(storagex list changing | wc -l)" -eq 1 ] || fail "$(storagex list changing)"
rm -r state/storagex/changing

# The name of the key is durable before the journal goes: also by a sync that takes no paths, and one that
# fails is no success.
cat >bin/sync <<END
#!/bin/sh
[ -e state/storagex/durable/journal-* ] && [ ! -e state/storagex/durable/.new ] &&
    [ -e state/storagex/durable/*Z.key ] && echo "sync \$*" >>synced
[ \$# -eq 0 ] || exit \$(cat '$PWD/status')
exit \$(cat '$PWD/status.all')
END
chmod +x bin/sync
PATH=$PWD/bin:$PATH
echo 0 >status && echo 1 >status.all && storagex backup durable echo once
[ "$(cat synced)" = "sync $PWD/state/storagex/durable $PWD/state/storagex" ] || fail "$(cat synced)"
[ -z "$(find state/storagex/durable -name 'journal*')" ] || fail 'a journal is left'
rm -r synced state/storagex/durable
echo 1 >status && echo 0 >status.all && storagex backup durable echo once
[ "$(tail -n 1 synced)" = 'sync ' ] || fail "$(cat synced)"
rm -r state/storagex/durable
echo 1 >status.all
! storagex backup durable echo once || fail 'a sync that fails'
[ -n "$(find state/storagex/durable -name 'journal*')" ] || fail 'no journal is left'
PATH=$without
rm -r state/storagex/durable

# Two in one second are two.
storagex backup quick echo first
storagex backup quick echo second
[ "$(storagex list quick | wc -l)" -eq 2 ] || fail "$(storagex list quick)"
storagex restore quick | grep -qx second
rm -r state/storagex/quick

# Without a folder for temporary files there is no backup, and no restore of one.
for command in backup restore; do
    TMPDIR=$PWD/nowhere refuses 1 'nowhere: cannot write, expected a folder for temporary' storagex "$command" docs tree
done
[ "$(storagex list docs | wc -l)" -eq 2 ] || fail "$(storagex list docs)"

# All keys, for paper: two and their catalogues, and one.
storagex keys >paper
[ "$(grep -c '^file://' paper)" -eq 5 ] || fail "$(cat paper)"
[ "$(grep -c '^# docs .*Z\.files$' paper)" -eq 2 ] || fail "$(cat paper)"
sx-get --info paper >/dev/null
sed -n 1p paper | grep -q '^# docs .*Z\.key$' || fail "$(cat paper)"
# They come back from it, as storagex(1) has it.
mkdir -p state/storagex/far
cat state/storagex/docs/*.key | grep -v '^#' >state/storagex/far/other.key # two keys in one file
storagex keys >paper
script=$(sed -n '/^while read -r line/,/^done/p' "${0%/*}/../../man/storagex.1" | sed "s|~/.local/state|$PWD/again|; s|keys.txt|paper|")
eval "$script"
(XDG_STATE_HOME=$PWD/again && cd out && storagex restore docs tree/ü && cmp tree/ü ../tree/ü && rm -r tree)
storagex list docs | awk -F '\t' -v OFS='\t' '{ $3 = $4 = "-" } 1' >listed
XDG_STATE_HOME=$PWD/again storagex list docs | cmp - listed
[ "$(XDG_STATE_HOME=$PWD/again storagex keys)" = "$(cat paper)" ] || fail 'other keys'

# check: 0, and 1 once a picture is lost.
storagex check docs numbers >report
[ "$(grep -c '^result: everything is there$' report)" -eq 3 ] || fail "$(cat report)"
rm "$(path_of "$(sx-get --list "$(storagex list numbers | cut -f 5)" | tail -n 1)")"
status=0
storagex check >report || status=$?
[ "$status" -eq 1 ] || fail "status $status: $(cat report)"
storagex check --sample 1 docs >report
grep -q 'sample' report || fail "$(cat report)"

# A picture is lost: parity rebuilds it, and repair stores it again.
mkdir -p config/storagex
echo 'parity = 2+1' >config/storagex/safe.conf
echo "store = $PWD/safe" >>config/storagex/safe.conf
storagex backup safe tree
rm "$(find safe -name '*.png' -size +2000k | head -n 1)"
! storagex check safe >said 2>&1 || fail "$(cat said)"
grep -q '^result: all data can be restored' said || fail "$(cat said)"
# What cron mails if stdout goes nowhere: which backup, what is the matter, and what to do.
cat >expected <<END
storagex: note: 'safe': all data can be restored, but some redundancy is lost
storagex: hint: storagex repair stores it again
END
grep '^storagex: ' said | cmp - expected
# A name that can't be checked stops no other.
mkdir state/storagex/broken
cp state/storagex/safe/*.key state/storagex/broken
echo nonsense >config/storagex/broken.conf
for command in check repair; do
    status=0
    storagex "$command" broken nobody docs >out/said 2>said || status=$?
    [ "$status" -eq 1 ] || fail "status $status: $(cat said)"
    grep -q 'error: .*/broken.conf: line 1: expected SETTING = VALUE' said || fail "$(cat said)"
    grep -q "error: no backup of 'nobody'" said || fail "$(cat said)"
    [ "$command" = repair ] || grep -q '^result: everything is there' out/said || fail "$(cat out/said)"
done
rm -r state/storagex/broken out/said
# Of several statuses the worst counts: something is lost, a name can't be checked, redundancy is lost.
storagex backup unchecked echo text
echo 'store = nope://x' >config/storagex/unchecked.conf
for names in '2 unchecked safe' '2 safe unchecked' '1 unchecked numbers safe' '1 numbers safe unchecked'; do
    status=0
    # shellcheck disable=SC2086 # names
    storagex check ${names#* } >said 2>&1 || status=$?
    [ "$status" -eq "${names%% *}" ] || fail "$names: status $status: $(cat said)"
done
rm -r state/storagex/unchecked config/storagex/unchecked.conf
storagex repair safe >said 2>&1
grep -q '^sx-get: note: .*Z.key: 1 picture stored again$' said || fail "$(cat said)"
storagex check safe >said 2>&1
[ "$(grep -c '^result: everything is there' said)" -eq 2 ] || fail "$(cat said)"
! grep -q 'hint:' said || fail "$(cat said)"
find safe -name '*.png' -exec rm {} +
! storagex repair safe >said 2>&1 || fail "$(cat said)"

# Files that exist are replaced only on request.
mkdir precious keep
echo old >precious/file
storagex backup precious precious
cd keep
mkdir precious
echo mine >precious/file
for paths in '' precious/file; do
    status=0
    storagex restore precious ${paths:+"$paths"} 2>said || status=$?
    [ "$status" -eq 1 ] || fail "status $status: $(cat said)"
    grep -qx 'storagex: error: tar could not write all files' said || fail "$(cat said)"
    grep -q '^storagex: hint: tar says why; if files exist, .* -f$' said || fail "$(cat said)"
done
grep -qx mine precious/file
storagex restore -f precious
grep -qx old precious/file
