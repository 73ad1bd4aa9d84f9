#!/bin/sh
# Wrong usage: exit status 2, one line that says what is wrong, one hint; --help and --version do not err.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

for program in sx-encode sx-decode sx-put sx-get; do
    refuses 2 '--no-such-option' "$program" --no-such-option </dev/null >output
    refuses 2 'jobs' "$program" -j 0 </dev/null >output
    refuses 2 'jobs' "$program" -j 1000000 </dev/null >output
    refuses 2 'max-frame' "$program" --max-frame 0 </dev/null >output
    no_frame output
    watched "$program" --help >output
    ended_quietly "$program --help"
    grep -q '^Usage: ' output || fail "help of $program: $(cat output)"
    watched "$program" --version >output
    ended_quietly "$program --version"
    grep -q "^$program [0-9]" output || fail "version of $program: $(cat output)"
done
refuses 2 'level.*expected 0 to 19' sx-encode -20
refuses 2 'level.*expected 0 to 19' sx-encode --level 99
refuses 2 'max-frame.*expected 1 to 1024' sx-put --max-frame 1025
refuses 2 '--sample needs --check' sx-get --sample 5 key
for option in '--in-place' '--to ./p' '--set a=b' '--deletions urls'; do
    for other in '' --check --salvage --list; do
        # shellcheck disable=SC2086 # an option and its value, or none
        refuses 2 "${option%% *} needs --repair" sx-get $other $option key
    done
done
refuses 2 '--map needs --salvage' sx-get --check --map map key
for other in '' --probe --keys; do
    refuses 2 '--dry-run needs --prune' sx-put ${other:+"$other"} --to ./p --dry-run
    refuses 2 '--forget needs --prune' sx-put ${other:+"$other"} --to ./p --forget . --keep-last 1
    refuses 2 '--grace needs --prune' sx-put ${other:+"$other"} --to ./p --grace 7
done
[ ! -e p ] || fail 'something was stored'
refuses 2 '--json needs --list' sx-decode --salvage --json
refuses 2 '--map needs --salvage' sx-decode --list --map map
refuses 2 'unexpected argument' sx-encode a b
refuses 2 'unexpected argument' sx-encode --bogus # which `sx-encode -- --bogus` would run
it_said -q 'hint: sx-encode --help' || fail 'no such hint'
refuses 2 'unexpected argument' sx-put a
refuses 2 'cannot be used with' sx-get --list --check
refuses 2 'cannot be used with' sx-decode --list --test
for option in '--parity 2+1' '--parity 2+1 --spread' '--min-copies 1' '--size 9'; do
    for verb in --probe --prune; do
        # shellcheck disable=SC2086 # an option and its value
        refuses 2 'cannot be used with' sx-put --to ./p --to ./q $verb $option
    done
done
refuses 2 'FILE' sx-decode --sort
refuses 2 'cannot be used with' sx-put --keys --name x
