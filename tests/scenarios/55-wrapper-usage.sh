#!/bin/sh
# Wrong usage of the wrapper: exit status 2 and what would be right.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

echo hello >file
storagex upload file >key

refuses 2 'no command, expected backup, ' storagex
refuses 2 "unknown command 'store', expected backup, " storagex store
refuses 2 'expected one file or folder' storagex upload
refuses 2 'expected one file or folder' storagex upload file file
refuses 2 "invalid option -- 'x'" storagex upload -x file
refuses 1 './-: missing or unreadable' storagex upload -
refuses 2 "option '--to' requires an argument" storagex upload file --to
refuses 2 'store without a path|store .., expected' storagex upload --to '' file
for date in tomorrow 2 202 2026- 2026-1 2026-00 2026-13 2026-11-4 2026-11-32 2026-11-24T 2026-11-24T24 \
    2026-11-24T18:3 2026-11-24T18:60 2026-11-24T18Z 2026-11-24T18:30:00z 2026-11-24T18:30:00Z0 ''; do
    refuses 2 "--at $date, expected YYYY" storagex restore --at "$date" docs
done
! storagex restore --at "$(printf '2026\n2027')" docs 2>said || fail 'a date of two lines'
grep -q 'expected YYYY-MM-DDTHH:MM:SSZ, or fewer parts, such as 2026-11-24$' said || fail "$(cat said)"
rm said
for date in 2026 2026-01 2026-12-31 2026-11-24T00 2026-11-24T23:59 2026-11-24T18:30:59 2026-11-24T18:30:00Z; do
    refuses 1 "no backup of 'docs' up to $date in" storagex restore --at "$date" docs
done
refuses 2 'without a key' storagex download
refuses 2 'at most one file' storagex download key a b
refuses 2 "unrecognized option '--to'" storagex download --to ./x key
refuses 2 'empty file name' storagex download key ''
refuses 2 'expected one' storagex info
refuses 2 'expected one' storagex info key key
refuses 2 "invalid option -- 'x'" storagex info -x
refuses 2 'secret takes no argument' storagex secret words
[ "$(storagex --version)" = "storagex $(sx-put --version | cut -d ' ' -f 2)" ] || fail "$(storagex --version)"
for help in -h --help help 'upload -h' 'prune --help'; do
    # shellcheck disable=SC2086 # a command and its option
    storagex $help | grep -q '^Usage: storagex ' || fail "$help"
done
# The help of a command has that of its options only.
storagex download -h >help
diff - help <<'END'
Usage: storagex download [-f] KEY [FILE]

Fetch it into FILE, or under its own name

Options:
  -f, --force           download, restore: replace files that exist
  -h, --help            Show this help
END
storagex restore --help >help
sed -n 1,3p help | diff - /dev/fd/3 3<<'END'
Usage: storagex restore [-f] [--at DATE] NAME [PATH]...

Restore the newest backup, or only some paths of it
END
for command in backup restore list check repair prune keys secret upload download info; do
    storagex "$command" -h >help
    [ "$(grep -c "^Usage: storagex $command" help)" -eq 1 ] || fail "$(cat help)"
    { storagex "$command" --nonsense 2>&1 || :; } | grep -o -e '--[a-z-]*' | grep -vx -e --nonsense | sort -u >expected
    grep -o -e ' --[a-z-]*' help | grep -o -e '--[a-z-]*' | sort -u >found
    diff expected found || fail "$command"
done
rm help expected found
for help in -h --version 'upload -h'; do
    status=0
    # shellcheck disable=SC2086 # a command and its option
    storagex $help >/dev/full 2>said || status=$?
    [ "$status" -eq 1 ] || fail "$help: status $status: $(cat said)"
    [ "$(wc -l <said)" -eq 1 ] || fail "$help: $(cat said)"
    grep -q 'No space left on device' said || fail "$help: $(cat said)"
done
rm said
# Two stores are two copies.
storagex upload --to ./one --to ./two file >key
[ "$(find one two -name '*.png' | wc -l)" -eq 4 ] || fail "$(cat key)"
rm -r one
storagex download -f key file 2>/dev/null
rm -r two
only file key
