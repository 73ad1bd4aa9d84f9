#!/usr/bin/env bash
# A year of nightly backups in minutes, by the wrapper, with clocks that are made to go as fast.
#
#   PATH=…/target/release:$PATH tests/year.sh
#
# Two machines back up a tree each into one store. Each night a little changes in the trees, most of
# which are the same on both. On Sundays a third machine prunes while the two put. Clocks jump: those of
# the machines and that of the pruner, by months, ahead and back. NIGHTS=365 can be set.
#
# What is shown: the backups that stay are those of the rules; no picture is gone that one of them needs,
# whenever one looks; each brings back exactly the tree of its night; at the end the store has the pictures
# that are needed, and no other.
#
# Needs the Debian package faketime.
set -euo pipefail
export LC_ALL=C TZ=UTC NO_FAKE_STAT=1 FAKETIME_DONT_FAKE_MONOTONIC=1
PATH=$(cd "$(dirname "$0")/../bin" && pwd):$PATH
nights=${NIGHTS:-365}
rules=(--keep-last 2 --keep-daily 7 --keep-weekly 5 --keep-monthly 12)

fail() { # MESSAGE
    printf 'year.sh: FAILED: night %s: %s\n' "${night-}" "$1" >&2
    exit 1
}

work=$(mktemp -d "${TMPDIR:-/tmp}/year.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
unset "${!SX_@}"
export XDG_STATE_HOME=$work/state XDG_CONFIG_HOME=$work/config XDG_DATA_HOME=$work/data
pictures=$work/data/storagex/backups
machines=(north south)
mkdir -p config/storagex needed trees
echo 'cdc = 16K' | tee config/storagex/north.conf >config/storagex/south.conf

# Seconds since 1970 at NIGHT, at half past three.
at_night() { # NIGHT
    echo $((1735701000 + $1 * 86400))
}

# Runs a command whose clock says so.
at() { # SECONDS COMMAND...
    faketime -f "@$(date -d "@$1" '+%F %T')" "${@:2}"
}

## The trees

# Bytes that look random and are the same in each run, so that the space is, too: thousands of a pool.
python3 -c 'import random; open("pool", "wb").write(random.Random(1).randbytes(3_000_000))'
taken=0
noise() { # THOUSANDS
    dd if=pool bs=1000 skip="$taken" count="$1" status=none
    taken=$((taken + $1))
}

plant() {
    local number
    mkdir -p north/tree/same north/tree/own
    for number in {1..12}; do noise 40 >"north/tree/same/$number"; done
    noise 60 >north/tree/own/big
    cp -R north south
    noise 60 >south/tree/own/big
}

# A night's changes: something is put in at the front of a file, a few bytes change in another, one
# appears and one goes.
change() { # MACHINE
    local same=$1/tree/same/$((night % 12 + 1)) own=$1/tree/own/big
    { echo "inserted in night $night" && cat "$same"; } >new
    mv new "$same"
    printf '%s %s' "$1" "$night" | dd of="$own" bs=1 seek=$((night * 151 % 59000)) conv=notrunc status=none
    noise 3 >"$1/tree/own/$night"
    rm -f "$1/tree/own/$((night - 20))"
}

# What is in a tree.
contents() { # FOLDER
    (cd "$1" && find . -type f -exec cksum {} + | sort)
}

## The nights

# What the clock of a machine says: it is wrong on some nights. No second comes twice: each process
# starts with the same one, so that the wrapper, which waits for the next, would wait for ever.
clock() { # MACHINE
    local off=0
    case $1:$night in
        south:9[0-4]) off=60 ;;
        south:15[2-4]) off=-80 ;;
        north:20[0-1]) off=-200 ;;
        pruner:119) off=90 ;;
        pruner:245) off=-120 ;;
    esac
    echo $(($(at_night $((night + off))) + night))
}

# Backs up the tree of a machine, and notes which pictures are needed for it. A backup may find that a
# picture went away while it ran, only if the clock of the pruner is wrong.
back_up() { # MACHINE
    local key status=0
    contents "$1/tree" >"$1/contents"
    at "$(clock "$1")" storagex backup "$1" "$1/tree" 2>"$1/said" || status=$?
    if [ "$status" != 0 ]; then
        [ "$night" = 119 ] || fail "$1: status $status: $(cat "$1/said")"
        return
    fi
    # A prune may take away files that find is about to look at.
    key=$(find "state/storagex/$1" -name '*.key' -newer "$1/contents" 2>/dev/null || :)
    # Only where a wrong clock said so is a backup forgotten as soon as it was made.
    if [ -z "$key" ]; then
        [ $((night % 7)) = 0 ] || fail "$1: no new key"
        return
    fi
    key=$(basename "$key" .key)
    mv "$1/contents" "trees/$1.$key"
}

# Lists the pictures of each new key, and forgets those of keys that are gone.
note_needed() {
    local file note
    while read -r file; do
        note=needed/${file//\//_}
        [ -e "$note" ] || sx-get --list "$file" | grep -o '[0-9a-f]\{64\}[^/]*\.png' | sort >"$note"
    done < <(find state -name '*.key' -o -name '*.files')
    for note in needed/*; do
        file=${note#needed/}
        [ -e "${file//_//}" ] || rm "$note"
    done
}

# Checks that every picture that a key needs is there, in its place or as a fossil: what was put while
# the prune looked around is one until the next prune.
nothing_is_gone() {
    note_needed
    sort -u needed/* >all
    find "$pictures" -name '*.png' -printf '%f\n' | sort -u >there
    [ -z "$(comm -23 all there)" ] || fail "gone: $(comm -23 all there | head -n 3)"
}

# Checks that the backups that stay are those of the rules.
rules_hold() { # MACHINE
    local date week day rule keep kept=() number=0
    declare -A seen=()
    declare -A left=([day]=7 [week]=5 [month]=12)
    while read -r date; do
        day=${date:0:10}
        week=$(date -d "$day" +%G-%V)
        keep=$((number++ < 2))
        for rule in "day $day" "week $week" "month ${day:0:7}"; do
            if [ "${left[${rule% *}]}" = 0 ] || [ -n "${seen[$rule]-}" ]; then continue; fi
            seen[$rule]=1 left[${rule% *}]=$((left[${rule% *}] - 1)) keep=1
        done
        [ "$keep" = 0 ] || kept+=("$date")
    done < <(sort -r "$1/before")
    dates "$1" >"$1/after"
    diff <(printf '%s\n' "${kept[@]}" | sort) "$1/after" || fail "$1: not those that the rules keep"
}

dates() { # MACHINE
    find "state/storagex/$1" -name '*.key' -printf '%f\n' | sed 's/\.key$//' | sort
}

plant
for ((night = 1; night <= nights; night++)); do
    running=()
    for machine in "${machines[@]}"; do
        change "$machine"
    done
    for machine in "${machines[@]}"; do
        back_up "$machine" &
        running+=($!)
    done
    if [ $((night % 7)) = 0 ] && [ "$night" -gt 7 ]; then
        at "$(clock pruner)" storagex prune "${rules[@]}" >pruned &
        running+=($!)
    fi
    for one in "${running[@]}"; do wait "$one" || fail "ended badly: $(cat pruned)"; done
    [ $((night % 7)) != 0 ] || nothing_is_gone
done

## The end: two prunes with nobody else there, the second when the grace period is over

for later in 0 8; do
    for machine in "${machines[@]}"; do dates "$machine" >"$machine/before"; done
    at "$(at_night $((nights + later)))" storagex prune "${rules[@]}" >pruned
    for machine in "${machines[@]}"; do rules_hold "$machine"; done
    nothing_is_gone
done
cmp all there || fail "pictures that nobody needs: $(comm -13 all there | wc -l)"
[ -z "$(find "$pictures/fossils" -name '*.png')" ] || fail 'fossils are left'

restored=0
for machine in "${machines[@]}"; do
    while read -r date; do
        mkdir back
        (cd back && storagex restore --at "$date" "$machine")
        diff <(contents back/tree) "trees/$machine.$date" || fail "$machine of $date is another tree"
        rm -r back
        restored=$((restored + 1))
    done <"$machine/after"
done
[ "$restored" -ge 35 ] || [ "$nights" -lt 300 ] || fail "$restored backups are left"
storagex check --all >report || fail "$(cat report)"

bytes=$(cat "$pictures"/*/*.png | wc -c)
one=$(cat "${machines[0]}"/tree/*/* | wc -c)
printf 'year.sh: %d nights of 2 trees of %d kB; %d backups stay, in %d pictures of %d kB\n' \
    "$nights" $((one / 1000)) "$restored" "$(wc -l <there)" $((bytes / 1000))
# Full copies would take as many trees, three times as much as is there: each backup has some changed
# chunks of its own. How many varies by a tenth with what is random.
[ "$bytes" -lt $((one * restored * 2 / 5)) ] || fail "$bytes bytes, too much space"
