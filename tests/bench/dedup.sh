#!/usr/bin/env bash
# What a second backup of a source tree sends, beside borg and restic: two releases of one tree, as
# tars, without compression and, for borg, in chunks of the same average. Needs borg, restic (Debian)
# and cargo, which fetches the tree: that of OpenSSL, as the crate openssl-src has it. Fails if --cdc sends
# more than 1.1 of what borg adds at the same average, or by default more than 1.1 of what restic adds.
#   tests/bench/dedup.sh [OLD NEW]        versions of openssl-src
set -euo pipefail
old=${1-300.5.1} new=${2-300.5.3}
PATH="$(cd "$(dirname "$0")/../.." && pwd)/target/release:$PATH"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export BORG_BASE_DIR=$work/borg.home BORG_PASSPHRASE=x RESTIC_PASSWORD=x XDG_CACHE_HOME=$work/cache
export BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes

tree() { # VERSION TAR
    mkdir -p "$1/src"
    printf '[package]\nname = "p"\nversion = "0.1.0"\nedition = "2021"\n[dependencies]\nopenssl-src = "=%s"\n' \
        "$1" >"$1/Cargo.toml"
    : >"$1/src/lib.rs"
    (cd "$1" && cargo vendor -q vendor >/dev/null)
    tar --sort=name --mtime=@0 --owner=0 --group=0 -C "$1/vendor" -cf "$2" openssl-src
}
bytes() { du -sb --apparent-size "$1" | cut -f 1; }

tree "$old" old.tar
tree "$new" new.tar

declare -A sent # by --cdc, by average
missed=0

# What another program adds, and whether --cdc of the same average sends at most 1.1 of that.
beside() { # NAME FIRST SECOND AVERAGE
    row "$1" "$2" "$3"
    awk -v ours="${sent[$4]}" -v theirs="$3" 'BEGIN {
        printf "    of that, --cdc sends %.2f: %s\n", ours / theirs, ours <= 1.1 * theirs ? "met" : "missed"
        exit ours > 1.1 * theirs
    }' || missed=1
}

row() { # NAME FIRST SECOND
    printf '%-28s %12d %12d  %6.3f of the second tar\n' "$1" "$2" "$3" \
        "$(awk -v a="$3" -v b="$(stat -c %s new.tar)" 'BEGIN { print a / b }')"
}
echo "openssl-src $old, then $new: tars of $(stat -c %s old.tar) and $(stat -c %s new.tar) bytes"

storagex() { # NAME OPTION...
    name=$1
    shift
    sx-encode -0 "$@" old.tar | sx-put --to "./$name" -o "$name.1.key"
    first=$(bytes "$name")
    sx-encode -0 "$@" new.tar | sx-put --to "./$name" --reuse "$name.1.key" -o "$name.2.key"
    row "sx $*" "$first" $(($(bytes "$name") - first))
    sx-get "$name.2.key" | sx-decode | cmp - new.tar
}
storagex fixed
for average in 64K 256K 1M; do
    storagex "cdc$average" "--cdc=$average"
    sent[$(numfmt --from=iec $average)]=$(($(bytes "$name") - first))
done

borg_average() { # BITS
    borg init -e none "borg.$1"
    borg create -C none --chunker-params "buzhash,$(($1 - 1)),$(($1 + 2)),$1,4095" "borg.$1::old" - <old.tar
    first=$(bytes "borg.$1/data")
    borg create -C none --chunker-params "buzhash,$(($1 - 1)),$(($1 + 2)),$1,4095" "borg.$1::new" - <new.tar
    beside "borg, average 2^$1" "$first" $(($(bytes "borg.$1/data") - first)) $((1 << $1))
}
borg_average 16
borg_average 18
borg_average 20

restic -q init --repo restic.repo
restic -q --compression off backup --repo restic.repo --stdin <old.tar
first=$(bytes restic.repo/data)
restic -q --compression off backup --repo restic.repo --stdin <new.tar
beside 'restic, beside 256K' "$first" $(($(bytes restic.repo/data) - first)) $((1 << 18))
exit "$missed"
