#!/usr/bin/env bash
# How fast the programs are beside others, as ratios.
#
#   PATH=…/target/release:$PATH tests/bench/marks.sh [GROUP...]
#
# Groups: pipe file zstd put get parity stores cdc sealed sturdy range prune start memory. From the environment:
#   SIZE=1G      bytes of each input: 64M to try this out
#   PAIRS=7      how often each comparison is made
#   FOLDER=DIR   where inputs and stores are made, on the disk that is to be measured; what it had to
#                make stays there for the next time. Default: a temporary folder, removed at the end
#
# Prints a row of a table (Markdown) for each mark: the ratio, its range, and whether the mark is met.
# Installs nothing: where another program is missing, the row says which Debian package has it.
#
# Two commands are compared in turn, ours theirs ours theirs …, after one turn that doesn't count, and
# it is the ratio within each turn that is looked at: a machine that is busy, throttled or shared is so
# for both. Tools such as hyperfine run one command to the end and then the other, so that what changes
# meanwhile looks like a difference between them. The figure is the median of the ratios.
#
# shellcheck disable=SC2002 # `cat FILE |` is what is measured
set -euo pipefail
export LC_ALL=C # $EPOCHREALTIME has a point

groups=(pipe file zstd put get parity stores cdc sealed sturdy range prune start memory)
pairs=${PAIRS:-7}
missed=0
here=$(cd "$(dirname "$0")" && pwd)

die() { # MESSAGE
    printf 'marks.sh: error: %s\n' "$1" >&2
    exit 2
}

has() { # COMMAND
    type -P "$1" >/dev/null
}

## Comparing

# Runs a function, and sets `took` to the microseconds that it took. What comes before it, if there is
# a function `before_…`, isn't counted.
timed() { # FUNCTION
    ! declare -F "before_$1" >/dev/null || "before_$1"
    local started=${EPOCHREALTIME/./}
    "$1"
    took=$((${EPOCHREALTIME/./} - started))
}

# Compares functions and shows the row. A mark of - is none: the ratio is only shown.
compare() { # WORK AGAINST MARK OURS THEIRS
    local turn ours
    : >"$work/times"
    for ((turn = 0; turn <= pairs; turn++)); do
        timed "$4"
        ours=$took
        timed "$5"
        [ "$turn" = 0 ] || printf '%d %d\n' "$ours" "$took" >>"$work/times"
    done
    row "$1" "$2" "$(awk '{ print $1 / $2 }' "$work/times" | summary '%.2f')" "$3" \
        "$(awk '{ print $1 / 1e6 }' "$work/times" | summary '%.3g' | cut -d ' ' -f 1)" \
        "$(awk '{ print $2 / 1e6 }' "$work/times" | summary '%.3g' | cut -d ' ' -f 1)"
}

# Median, least and greatest of numbers, one a line.
summary() { # FORMAT
    sort -g | awk -v format="$1 $1 $1" '
        { n[NR] = $1 }
        END { printf format, (n[int((NR + 1) / 2)] + n[int(NR / 2) + 1]) / 2, n[1], n[NR] }'
}

# Shows a row. Figures are `MEDIAN LEAST GREATEST`; the mark is the most that the median may be.
row() { # WORK AGAINST FIGURES MARK [OURS THEIRS]
    local median least greatest verdict=-
    read -r median least greatest <<<"$3"
    if [ "$4" != - ]; then
        verdict=$(awk -v a="$median" -v b="${4%% *}" 'BEGIN { print (a <= b) ? "met" : "missed" }')
    fi
    [ "$verdict" != missed ] || missed=$((missed + 1))
    line "$1" "$2" "$median" "$least..$greatest" "$4" "$verdict" "${5--}" "${6--}"
}

skipped() { # WORK AGAINST WHY
    line "$1" "$2" - - - "skipped: $3" - -
}

line() { # CELL * 8
    printf '| %-32s | %-28s | %6s | %-13s | %6s | %-7s | %7s | %7s |\n' "$@"
}

header() {
    printf '%s, %d cores, Linux %s; %s MiB, %d pairs\n\n' \
        "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" "$(nproc)" "$(uname -r)" \
        $((size >> 20)) "$pairs"
    line work against ratio range mark '' ours/s theirs/s
    printf '|---|---|--:|---|--:|---|--:|--:|\n'
}

## Inputs

# Sets `file` to an input, in the page cache: noise, which doesn't compress; a tar of what is in /usr;
# zeros.
input() { # noise | tar | zeros
    file=$folder/$1
    if [ "$(stat -c %s "$file" 2>/dev/null)" != "$size" ]; then
        case $1 in
            noise) head -c "$size" /dev/urandom ;;
            tar) tar -C /usr -c include share lib 2>/dev/null | head -c "$size" || : ;; # which stops tar
            zeros) head -c "$size" /dev/zero ;;
        esac >"$file"
    fi
    cat "$file" >/dev/null
}

# Sets `file` to the frames of an input, and checks them.
frames() { # INPUT LEVEL
    input "$1"
    sx-encode "-$2" "$file" >"$work/frames"
    sx-decode "$work/frames" | cmp - "$file"
    file=$work/frames
}

## Parity, in a folder in memory

marks_parity() {
    local memory
    memory=$(mktemp -d /dev/shm/marks.XXXXXX)
    input noise
    shm=$memory
    compare 'put --parity 20+2, whole pipe' 'without parity' 1.4 parity_put parity_plain_put
    compare 'put --parity 20+2, frames from a file' 'without parity' - parity_put_frames parity_plain_frames
    parity_plain_put
    parity_put
    compare 'get with parity, nothing lost' 'without parity' 1.05 parity_get parity_plain_get
    sx-get --list "$shm/parity.key" | awk -F '\t' '$2 == "data" && n++ % 20 < 2 { print $1 }' |
        sed 's,^file://,,; s/#.*//' | xargs rm
    compare 'get with 2 of each 22 lost' 'without parity' 2.5 parity_get parity_plain_get
    rm -r "$memory"
}

before_parity_put() { rm -rf "$shm/parity"; }
before_parity_plain_put() { rm -rf "$shm/plain"; }
parity_put() { sx-encode -0 <"$file" | sx-put --parity 20+2 --to "$shm/parity" >"$shm/parity.key"; }
parity_plain_put() { sx-encode -0 <"$file" | sx-put --to "$shm/plain" >"$shm/plain.key"; }
before_parity_put_frames() {
    rm -rf "$shm/parity"
    [ -e "$shm/frames" ] || sx-encode -0 <"$file" >"$shm/frames"
}
before_parity_plain_frames() { rm -rf "$shm/plain"; }
parity_put_frames() { sx-put --parity 20+2 --to "$shm/parity" <"$shm/frames" >"$shm/parity.key"; }
parity_plain_frames() { sx-put --to "$shm/plain" <"$shm/frames" >"$shm/plain.key"; }
parity_get() { sx-get "$shm/parity.key" 2>/dev/null | sx-decode >/dev/null; }
parity_plain_get() { sx-get "$shm/plain.key" | sx-decode >/dev/null; }

## Two stores of equal speed, on servers that take 50 ms for each request

# A 64th of SIZE in frames of 128 x 128, 341 for 1 GiB: it is the servers' 50 ms that take the time.
marks_stores() {
    if ! has python3; then
        skipped 'put into two stores' 'into one of them' 'Debian package python3 is missing'
        return
    fi
    local port_1 port_2
    slow_store 1
    slow_store 2
    port_1=$(cat "$work/port1") port_2=$(cat "$work/port2")
    stores=("http://127.0.0.1:$port_1/" "http://127.0.0.1:$port_2/")
    input noise
    head -c $((size / 64)) "$file" | sx-encode -0 -W 128 -H 128 >"$work/frames"
    compare 'put into two stores of 50 ms' 'into one of them' 1.15 stores_put_both stores_put_one
    sx-get "$work/key" | cmp - "$work/frames"
    kill "${slow_stores[@]}"
    slow_stores=()
    rm "$work/frames"
}

slow_stores=()
slow_store() { # NUMBER
    mkdir "$work/slow$1"
    python3 "$here/slow.py" "$work/slow$1" >"$work/port$1" &
    slow_stores+=($!)
    until [ -s "$work/port$1" ]; do sleep 0.05; done
}

before_stores_put_both() { rm -rf "$work"/slow[12]/*; }
before_stores_put_one() { rm -rf "$work"/slow[12]/*; }
stores_put_both() { sx-put --to "${stores[0]}" --to "${stores[1]}" <"$work/frames" >"$work/key"; }
stores_put_one() { sx-put --to "${stores[0]}" <"$work/frames" >"$work/key.one"; }

## Content-defined chunks

marks_cdc() {
    input noise
    compare 'sx-encode -0 --cdc in a pipe' 'without --cdc' 1.3 cdc_pipe pipe_encode
    compare 'sx-encode -0 --cdc < noise' 'without --cdc' - cdc_file file_encode
    a_gigabyte 'sx-encode -0 --cdc < noise' 0.67 cdc_file
}

cdc_pipe() { cat "$file" | sx-encode -0 --cdc | cat >/dev/null; }
cdc_file() { sx-encode -0 --cdc <"$file" >/dev/null; }

a_gigabyte() { # WORK MOST FUNCTION
    local turn
    : >"$work/times"
    for ((turn = 0; turn <= pairs; turn++)); do
        timed "$3"
        [ "$turn" = 0 ] || echo "$took" >>"$work/times"
    done
    row "$1" 'in s for a GB' "$(awk -v size="$size" '{ print $1 * 1e3 / size }' "$work/times" | summary '%.2f')" "$2"
}

## Sealed frames

marks_sealed() {
    input noise
    sx-encode --new-secret >"$work/secret"
    a_gigabyte 'sx-encode -0 -j1 --secret < noise' 1.0 sealed_one
    if has age; then
        age-keygen -o "$work/age" 2>"$work/age.pub"
        recipient=$(sed -n 's/^Public key: //p' "$work/age.pub")
        compare 'sx-encode -0 --secret < noise' 'age -r … | sx-encode -0' 1.0 sealed_sx sealed_age
    else
        skipped 'sx-encode -0 --secret < noise' 'age -r … | sx-encode -0' 'Debian package age is missing'
    fi
}

sealed_one() { sx-encode -0 -j1 --secret "$work/secret" <"$file" >/dev/null; }
sealed_sx() { sx-encode -0 --secret "$work/secret" <"$file" >/dev/null; }
sealed_age() { age -r "$recipient" <"$file" | sx-encode -0 >/dev/null; }

## Sturdy pictures, on one core: a 64th of SIZE, 16 MiB for 1 GiB

# The JPEGs have the lowest quality that each level survives, in colour, 4:2:0.
marks_sturdy() {
    local level qualities=(- 85 75 50 50)
    input noise
    head -c $((size / 64)) "$file" >"$work/part"
    for level in 1 2 3 4; do
        sturdy=$level
        sx-encode -0 --sturdy "$level" <"$work/part" >"$work/frames"
        a_megabyte "sx-encode -j1 --sturdy $level" 50 sturdy_encode
        a_megabyte "sx-decode -j1, sturdy $level, PNG" 100 sturdy_decode
        if ! python3 -c 'import PIL' 2>/dev/null; then
            skipped "sx-decode -j1, sturdy $level, JPEG" 'in ms for a MB' 'Debian package python3-pil is missing'
            continue
        fi
        cp "$work/frames" "$work/png"
        for scan in baseline progressive; do
            to_jpeg "${qualities[level]}" "$scan" <"$work/png" >"$work/frames"
            sx-decode "$work/frames" | cmp - "$work/part"
            a_megabyte "sx-decode -j1, sturdy $level, $scan" 100 sturdy_decode
        done
    done
    rm "$work/part" "$work/frames"
}

sturdy_encode() { sx-encode -0 -j1 --sturdy "$sturdy" <"$work/part" >/dev/null; }
sturdy_decode() { sx-decode -j1 <"$work/frames" >/dev/null; }

# Processor time, user and system.
a_megabyte() { # WORK MOST FUNCTION
    local turn TIMEFORMAT='%U %S'
    for ((turn = 0; turn < pairs; turn++)); do
        time "$3"
    done 2>"$work/times"
    row "$1" 'in ms for a MB' \
        "$(awk -v size="$((size / 64))" '{ print ($1 + $2) * 1e9 / size }' "$work/times" | summary '%.1f')" "$2"
}

to_jpeg() { # QUALITY baseline|progressive
    python3 -c '
import io, sys
from PIL import Image
data, end = sys.stdin.buffer.read(), b"IEND\xaeB`\x82"
for picture in data.split(end)[:-1]:
    picture = Image.open(io.BytesIO(picture + end)).convert("RGB")
    picture.save(sys.stdout.buffer, "JPEG", quality=int(sys.argv[1]), progressive=sys.argv[2] == "progressive")
' "$1" "$2"
}

## A mebibyte out of the middle of a long stream, from a server that takes 50 ms for each request

# Ten times SIZE, nearly all of it zeros, which are small on the disk: the indexes are as long.
marks_range() {
    if ! has python3; then
        skipped 'sx-get --range of 1 MiB' 'in ms' 'Debian package python3 is missing'
        return
    fi
    input noise
    slow_store 3
    middle=$((5 * size))
    { head -c "$middle" /dev/zero && head -c 8M "$file" && head -c "$middle" /dev/zero; } |
        sx-encode | sx-put --to "$work/slow3" >"$work/key"
    sed -E "s|^file://.*/([0-9a-f]{2}/)|http://127.0.0.1:$(cat "$work/port3")/\\1|" "$work/key" >"$work/web.key"
    range_get | sx-decode | cmp - <(head -c 3M "$file" | tail -c 1M)
    milliseconds "sx-get --range of 1 MiB in $((10 * size >> 30)) GiB" 1000 range_get_only
    kill "${slow_stores[@]}"
    slow_stores=()
}

range_get() { sx-get --range $((middle + (2 << 20))):1M "$work/web.key"; }
range_get_only() { range_get >/dev/null; }

# A million pictures that no key reaches, and one that a key does.
marks_prune() {
    local day
    head -c 99 /dev/zero | sx-encode | sx-put --to "$work/pruned" >"$work/key"
    python3 - "$work/pruned" <<'END'
import os, sys
for first in range(256):
    folder = f"{sys.argv[1]}/{first:02x}"
    os.makedirs(folder, exist_ok=True)
    for number in range(3907):
        open(f"{folder}/{first:02x}{number * 0x9E3779B97F4A7C15 % 2**64:016x}{0:046x}.png", "w").close()
END
    : >"$work/times"
    for day in 1 2; do # fossils, then, once they are a second old, removed
        sleep 1
        timed prune_all
        row "sx-put --prune, a million pictures, $day" 'in s' \
            "$(awk -v t="$took" 'BEGIN { t /= 1e6; printf "%.1f %.1f %.1f", t, t, t }')" 60
    done
    [ "$(find "$work/pruned" -name '*.png' | wc -l)" = 2 ] || die 'prune: expected the index and the frame alone'
    rm -rf "$work/pruned"
}

prune_all() { sx-put --prune --grace 0 --to "$work/pruned" "$work/key" >"$work/said"; }

## Filters in pipes

# Encode before decode: frames take as much room as what they are of.
marks_pipe() {
    local name
    for name in noise tar zeros; do
        input "$name"
        compare "sx-encode -0 in a pipe, $name" 'cat in its place' 0.6 pipe_encode pipe_cat
        compare "and sx-decode behind it, $name" 'two cats in their place' 1.0 pipe_both pipe_two_cats
        frames "$name" 0
        compare "sx-decode in a pipe, $name" 'cat in its place' 0.9 pipe_decode pipe_cat
    done
    rm -f "$work/frames"
}

pipe_cat() { cat "$file" | cat | cat >/dev/null; }
pipe_two_cats() { cat "$file" | cat | cat | cat >/dev/null; }
pipe_encode() { cat "$file" | sx-encode -0 | cat >/dev/null; }
pipe_decode() { cat "$file" | sx-decode | cat >/dev/null; }
pipe_both() { cat "$file" | sx-encode -0 | sx-decode | cat >/dev/null; }

## A file to nowhere

marks_file() {
    local name
    for name in noise tar zeros; do
        input "$name"
        compare "sx-encode -0 < $name" "cat $name" 2.0 file_encode file_cat
    done
}

file_encode() { sx-encode -0 <"$file" >/dev/null; }
# Reads and writes it, even to /dev/null.
file_cat() { cat "$file" >/dev/null; }

## Beside zstd, with two threads each

marks_zstd() {
    if ! has zstd; then
        skipped 'sx-encode -1 < tar' 'zstd -1 -T2' 'Debian package zstd is missing'
        skipped 'sx-decode' 'zstd -d' 'Debian package zstd is missing'
        return
    fi
    input tar
    compare 'sx-encode -1 -j2 < tar' 'zstd -1 -T2 < tar' 1.1 zstd_encode zstd_pack
    zstd -1 -T2 -q <"$file" >"$work/packed"
    frames tar 1
    compare 'sx-decode -j2' 'zstd -d' 1.1 zstd_decode zstd_unpack
    rm "$work/frames" "$work/packed"
}

zstd_encode() { sx-encode -1 -j2 <"$file" >/dev/null; }
zstd_pack() { zstd -1 -T2 -q <"$file" >/dev/null; }
zstd_decode() { sx-decode -j2 <"$file" >/dev/null; }
zstd_unpack() { zstd -d -q <"$work/packed" >/dev/null; }

## Into a folder, durable

# Nobody compresses, the input being noise. restic encrypts, as it always does; borg doesn't. Both make
# what they write durable, as we do.
marks_put() {
    input noise
    nothing_stored
    put_sx
    comes_back
    compare 'sx-encode -0 and sx-put' 'dd bs=4M conv=fsync' 1.15 put_sx put_dd
    if has restic; then
        compare 'sx-encode -0 and sx-put' 'restic backup --stdin' 0.25 put_sx put_restic
    else
        skipped 'sx-encode -0 and sx-put' 'restic backup --stdin' 'Debian package restic is missing'
    fi
    if has borg; then
        compare 'sx-encode -0 and sx-put' 'borg create' 0.5 put_sx put_borg
    else
        skipped 'sx-encode -0 and sx-put' 'borg create' 'Debian package borgbackup is missing'
    fi
    nothing_stored
}

# Checks that what was put is what was to be.
comes_back() {
    sx-get "$work/key" | sx-decode | cmp - "$file"
}

# Every run has a new store on a disk that has nothing else to do.
nothing_stored() {
    rm -rf "$work/store" "$work/copy" "$work/user"
    sync
}

before_put_sx() { nothing_stored; }
put_sx() { sx-encode -0 <"$file" | sx-put --to "$work/store" >"$work/key"; }

before_put_dd() { nothing_stored; }
put_dd() { dd if="$file" of="$work/copy" bs=4M conv=fsync status=none; }

before_put_restic() {
    nothing_stored
    in_home restic -q init
    sync
}
put_restic() { in_home restic -q backup --compression off --stdin <"$file"; }

before_put_borg() {
    nothing_stored
    mkdir "$work/user"
    in_home borg init --encryption none
    sync
}
put_borg() { in_home borg create --compression none ::stream - <"$file"; }

# With a repository, a password and caches that go with the store.
in_home() { # COMMAND...
    HOME=$work/user XDG_CACHE_HOME=$work/user/cache \
        RESTIC_REPOSITORY=$work/store RESTIC_PASSWORD=bench BORG_REPO=$work/store "$@"
}

## Out of a folder

marks_get() {
    input noise
    nothing_stored
    put_sx
    comes_back
    pictures
    compare 'sx-get and sx-decode' 'cat of the pictures' 1.3 get_sx get_cat
    compare 'sx-get and sx-decode' 'cat of the pictures to a cat' - get_sx get_two_cats
    if [ -w /proc/sys/vm/drop_caches ]; then
        compare 'sx-get and sx-decode, cold' 'cat of the pictures' - cold_get_sx cold_get_cat
    else
        skipped 'sx-get and sx-decode, cold' 'cat of the pictures' 'only root empties the page cache'
    fi
    nothing_stored
}

# Sets `pictures` to the files of the stream, in its order; indexes are among them.
pictures() {
    local path
    pictures=()
    while read -r path; do
        path=${path#file://} path=${path%%#*}
        printf -v path %b "${path//%/\\x}" # percent-encoded
        pictures+=("$path")
    done < <(sx-get --list "$work/key")
}

get_sx() { sx-get "$work/key" | sx-decode >/dev/null; }
get_cat() { cat "${pictures[@]}" >/dev/null; }
get_two_cats() { cat "${pictures[@]}" | cat >/dev/null; }

before_cold_get_sx() { echo 3 >/proc/sys/vm/drop_caches; }
before_cold_get_cat() { before_cold_get_sx; }
cold_get_sx() { get_sx; }
cold_get_cat() { get_cat; }

## Start-up: nothing to compare with but the clock

marks_start() {
    head -c 1024 /dev/urandom >"$work/little"
    milliseconds 'sx-encode < /dev/null' 5 start_one
    milliseconds 'all four, 1 KiB' 30 start_four
    nothing_stored
}

milliseconds() { # WORK MOST FUNCTION
    local turn
    : >"$work/times"
    for ((turn = 0; turn <= 50; turn++)); do
        timed "$3"
        [ "$turn" = 0 ] || echo "$took" >>"$work/times"
    done
    row "$1" 'in ms, of 50' "$(awk '{ print $1 / 1000 }' "$work/times" | summary '%.1f')" "$2"
}

start_one() { sx-encode </dev/null >/dev/null; }
before_start_four() { rm -rf "$work/store"; }
start_four() { sx-encode <"$work/little" | sx-put --to "$work/store" | sx-get | sx-decode >/dev/null; }

## Memory, whatever the length: the bound is the formula of each man page, with the default jobs and
## frames, and 12 MiB for the program, its threads and zstd. Frames that are free are used again at once,
## so a short stream may touch fewer of them than a long one.

bound() { # PROGRAM
    local jobs frames
    jobs=$(nproc)
    case $1 in
        sx-encode) frames=$((5 * jobs + 3)) ;;
        sx-decode) frames=$((5 * jobs + 2)) ;;
        sx-put) frames=$((3 * 8 + 1 + 5)) ;;
        sx-get) frames=$((3 * 8 + 6)) ;;
    esac
    echo $(((frames * (65 * 1024 * 768 * 3 / 64 + 1024) >> 20) + 12))
}

marks_memory() {
    if ! has time; then
        skipped 'peak of memory' 'a shorter stream' 'Debian package time is missing'
        return
    fi
    local kind program long=$((8 * size))
    for kind in zeros noise; do
        peaks "$kind" $((64 << 20)) short
        peaks "$kind" "$long" long
        for program in sx-encode sx-put sx-get sx-decode; do
            local short_peak long_peak
            short_peak=$(cat "$work/short.$program") long_peak=$(cat "$work/long.$program")
            row "$program, $((long >> 20)) MiB of $kind" 'peak in MiB, from 64 MiB on' \
                "$(awk -v a="$short_peak" -v b="$long_peak" \
                    'BEGIN { printf "%.1f %.1f %.1f", b / 1024, a / 1024, b / 1024 }')" "$(bound "$program")"
        done
    done
    nothing_stored
}

# Sends a stream through all four; keeps their peaks in kibibytes.
peaks() { # zeros | noise BYTES PREFIX
    nothing_stored
    "generate_$1" "$2" | peak "$3" sx-encode | peak "$3" sx-put --to "$work/store" >"$work/key"
    peak "$3" sx-get "$work/key" | peak "$3" sx-decode | cmp - <("generate_$1" "$2")
}

peak() { # PREFIX COMMAND...
    command time -f %M -o "$work/$1.$2" "${@:2}"
}

generate_zeros() { # BYTES
    head -c "$1" /dev/zero
}

# The same 64 MiB of noise again and again; no two frames are alike for it.
generate_noise() { # BYTES
    local times=$(($1 >> 26)) copies=()
    [ -s "$work/piece" ] || head -c 64M /dev/urandom >"$work/piece"
    while [ "$times" -gt 0 ]; do
        copies+=("$work/piece")
        times=$((times - 1))
    done
    cat "${copies[@]}"
}

## All of it

for name; do
    case " ${groups[*]} " in
        *" $name "*) ;;
        *) die "no group $name, expected some of: ${groups[*]}" ;;
    esac
done
[ $# -gt 0 ] || set -- "${groups[@]}"
for program in sx-encode sx-decode sx-put sx-get; do
    has "$program" || die "no $program, expected it on PATH"
done
size=$(numfmt --from=iec "${SIZE:-1G}" 2>/dev/null) || die "SIZE=$SIZE, expected bytes, or such as 64M"
[[ $pairs =~ ^[1-9][0-9]*$ ]] || die "PAIRS=$pairs, expected a number"
unset "${!SX_@}"

work=$(mktemp -d -p "${FOLDER:-${TMPDIR:-/tmp}}")
trap '[ ${#slow_stores[@]} = 0 ] || kill "${slow_stores[@]}"; rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
folder=${FOLDER:-$work}

header
for name; do "marks_$name"; done
printf '\n%d missed\n' "$missed"
[ "$missed" = 0 ]
