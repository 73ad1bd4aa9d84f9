#!/usr/bin/env bash
# How users get the programs: the source package, a release build that anyone can repeat, the Debian
# package in a clean root, a static build with musl, and the examples for cron and systemd.
#
#   [LONG=1] tests/packages.sh
#
# Where the user is root and may mount, the clean root is one of debootstrap's. Prints `ok NAME` or
# `not ok NAME` for each check, and at the end how many passed and failed. Installs what it lacks:
# debootstrap, musl-tools, cargo-deb and, where rustup has no standard library for musl, the sources and
# the compiler of Debian (in $XDG_CACHE_HOME).
#
# The same toolchain makes the same programs of the same sources, wherever these are. What it writes
# into them of its surroundings are the paths of the crates below $CARGO_HOME, in messages of panics:
# RUSTFLAGS="--remap-path-prefix=$CARGO_HOME=/cargo" takes these out.
set -euo pipefail
cd "$(dirname "$0")/.."
built=$(realpath -m "${CARGO_TARGET_DIR:-target}")
work=$(mktemp -d)
root=$work/root
programs=(sx-encode sx-decode sx-put sx-get)
: >"$work/passed"
: >"$work/failed"
trap 'umount -q "$root/proc" || true; rm -rf "$work"' EXIT

# Runs a check: a function. What it says is shown where it fails. Checks may run beside one another.
check() { # NAME
    local began=$SECONDS said=$work/said-$1 status
    # In a shell of its own and not under `if`, where `set -e` would count for nothing.
    set +e
    (set -e && "$1") >"$said" 2>&1
    status=$?
    set -e
    if [ $status = 0 ]; then
        echo "$1" >>"$work/passed"
        printf 'ok %s (%s s)\n' "$1" $((SECONDS - began))
    else
        echo "$1" >>"$work/failed"
        cat "$said"
        printf 'not ok %s\n' "$1"
    fi
}

# Installs Debian packages whose commands aren't there.
need() { # COMMAND PACKAGE
    command -v "$1" >/dev/null || { apt-get update -qq && apt-get install -y -qq "$2"; } >/dev/null
}

# cargo-deb isn't in Debian. Built without optimisation or debug information: it runs once.
install_cargo_deb() {
    local cache=${XDG_CACHE_HOME:-$HOME/.cache}/storagex-packages
    PATH=$cache/bin:$PATH
    command -v cargo-deb >/dev/null ||
        CARGO_PROFILE_DEV_DEBUG=false cargo install --quiet --locked --debug --root "$cache" cargo-deb@3.8.0
}

# The source package has what README refers to, and nothing but what users need.
the_source_package_is_complete() {
    cargo package --locked --allow-dirty --no-verify --target-dir "$work/package"
    mkdir "$work/elsewhere"
    tar -xf "$work"/package/package/storagex-*.crate -C "$work/elsewhere" --strip-components=1
    cd "$work/elsewhere"
    grep -o '](\(man\|tests\)/[^)]*)' README.md | sed 's/](\(.*\))/\1/' >"$work/references"
    [ "$(wc -l <"$work/references")" -ge 4 ]
    while read -r file; do [ -e "$file" ]; done <"$work/references"
    [ ! -e .ci ] && [ ! -e tests/vectors ]
}

# The checkout and the source package are two folders, and their programs are the same to the bit. The
# crates that both take are compiled once: they are in the same place for both. Each program takes a
# minute to link: without LONG=1, two of them have to do.
the_release_build_is_reproducible() {
    local program compared=(sx-encode sx-decode)
    [ -z "${LONG-}" ] || compared=("${programs[@]}")
    # What `cargo install` has built for the checkout is used again.
    cargo build --release --locked
    mkdir -p "$work/another-target/release"
    cp -a "$built"/release/{.fingerprint,build,deps} "$work/another-target/release/"
    rm -rf "$work"/another-target/release/{.fingerprint,deps}/{storagex,libstoragex,sx-,sx_}*
    cd "$work/elsewhere"
    cargo build --release --locked --target-dir "$work/another-target" "${compared[@]/#/--bin=}" 2>&1 | tee "$work/built"
    [ "$(grep -c Compiling "$work/built")" = 1 ]
    for program in "${compared[@]}"; do
        cmp "$built/release/$program" "$work/another-target/release/$program"
    done
}

# Whether the toolchain has a standard library for a target, as `rustup target add` installs it.
has_std_for() { # TARGET
    compgen -G "$(rustc --print target-libdir --target "$1")/libstd-*.rlib" >/dev/null
}

# Where there is none: Debian's compiler and the sources of its standard library, unpacked beside the
# system and not installed.
unpack_debian_rust() { # FOLDER
    [ ! -e "$1/usr/bin/rustc" ] || return 0
    mkdir -p "$1/debs/partial"
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends --download-only -o Dir::Cache::archives="$1/debs" rustc-web rust-web-src
    for package in "$1"/debs/*.deb; do dpkg -x "$package" "$1"; done
    rm -r "$1/debs"
}

# The source package builds where there are a Rust toolchain and a C compiler, and nothing else: PATH has
# no other program than these. With musl, its programs take no shared library, and they run in a root that
# has no other file. They aren't optimised, which is of no matter here. Nor do they say where the crates
# were.
the_source_package_builds_static_programs_with_a_c_compiler() {
    local bare=$work/bare empty=$work/empty crates=${CARGO_HOME:-$HOME/.cargo} target program
    local debian=${XDG_CACHE_HOME:-$HOME/.cache}/storagex-packages/rust
    local flags="--remap-path-prefix=$crates=/cargo" settings=() options=()
    target=$(rustc -vV | sed -n 's/^host: \(.*\)-gnu$/\1-musl/p')
    need musl-gcc musl-tools
    mkdir "$bare"
    for program in cargo rustc; do ln -s "$(rustc --print sysroot)/bin/$program" "$bare"; done
    for program in cc "$(cc -dumpmachine)-gcc" musl-gcc ar as ld; do ln -s "$(command -v "$program")" "$bare"; done
    if ! has_std_for "$target"; then
        unpack_debian_rust "$debian"
        # The standard library is built, too. What shows backtraces isn't there for musl: they are empty.
        echo 'int _Unwind_Backtrace(void) { return 5; } void *_Unwind_GetIP(void) { return 0; }' >"$work/unwind.c"
        musl-gcc -c "$work/unwind.c" -o "$work/unwind.o"
        ar rcs "$work/libunwind.a" "$work/unwind.o"
        flags+=" -Clinker=musl-gcc -Clink-self-contained=no -Crelocation-model=static -Lnative=$work"
        settings=(RUSTC="$debian/usr/bin/rustc" LD_LIBRARY_PATH="$(dirname "$debian"/usr/lib/*/librustc_driver-*.so)"
            RUSTC_BOOTSTRAP=1 CARGO_PROFILE_DEV_PANIC=abort)
        options=("-Zbuild-std=std,panic_abort" -Zbuild-std-features=)
    fi
    cd "$work/elsewhere"
    env -i PATH="$bare" HOME="$HOME" CARGO_HOME="$crates" RUSTFLAGS="$flags" "${settings[@]}" \
        CARGO_PROFILE_DEV_OPT_LEVEL=0 CARGO_PROFILE_DEV_DEBUG=false \
        "$bare/cargo" build --locked --bins --target "$target" "${options[@]}" --target-dir "$work/static"
    mkdir -p "$empty/tmp"
    for program in "${programs[@]}"; do
        cp "$work/static/$target/debug/$program" "$empty/"
        [ "$(readelf -d "$empty/$program" | grep -c NEEDED)" = 0 ]
        { ldd "$empty/$program" 2>&1 || :; } | grep -E 'not a dynamic|statically linked'
        [ "$(grep -ac "$crates/registry" "$empty/$program")" = 0 ]
    done
    rm -r "$work/static"
    head -c 3000000 /dev/urandom >"$work/bytes"
    chroot "$empty" /sx-encode <"$work/bytes" | chroot "$empty" /sx-put --to /pictures >"$work/static.key"
    chroot "$empty" /sx-get "$(cat "$work/static.key")" | chroot "$empty" /sx-decode | cmp - "$work/bytes"
}

# Whether this is a user and a machine that may change the root of a process, and mount.
can_make_a_root() {
    [ "$(id -u)" = 0 ] && chroot / true && mkdir -p "$root/proc" && mount -t proc proc "$root/proc" 2>/dev/null &&
        umount "$root/proc"
}

# Where that can't be had: the programs of the package, run from where they are unpacked.
the_debian_package_works_unpacked() {
    install_cargo_deb
    cargo deb --no-build --fast --output "$work/storagex.deb"
    dpkg -x "$work/storagex.deb" "$work/unpacked"
    PATH=$work/unpacked/usr/bin:$PATH
    export HOME=$work/home
    mkdir -p "$HOME/Documents"
    cd "$HOME"
    seq 100000 >Documents/numbers
    storagex upload Documents >key
    storagex download "$(cat key)" back.tar
    tar -df back.tar
    gzip -t "$work"/unpacked/usr/share/man/man*/*.gz
}

# A Debian system as small as it gets, with cron.
there_is_a_clean_root() {
    debootstrap --variant=minbase --include=cron "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$root"
    mount -t proc proc "$root/proc"
}

# Runs a command in the clean root as a user who isn't root.
as_user() { # COMMAND...
    chroot "$root" su -s /bin/sh - somebody -c "$*"
}

# The package installs without any other; its programs keep and bring back a folder; it goes away whole.
the_debian_package_works_in_a_clean_root() {
    install_cargo_deb
    cargo deb --no-build --fast --output "$work/storagex.deb"
    dpkg-deb --contents "$work/storagex.deb"
    cp "$work/storagex.deb" "$root/"
    chroot "$root" dpkg -i /storagex.deb
    chroot "$root" useradd -m somebody
    for program in "${programs[@]}"; do as_user "$program --version"; done
    # shellcheck disable=SC2016 # that user's shell expands it
    as_user 'mkdir Documents && seq 100000 >Documents/numbers &&
        storagex upload Documents >key && storagex download "$(cat key)" back.tar &&
        tar -df back.tar'
    for page in man1/sx-put.1 man1/storagex.1 man5/storagex.5 man7/storagex.7; do
        gzip -t "$root/usr/share/man/$page.gz"
    done
    for page in bash-completion/completions/sx-put.bash zsh/vendor-completions/_storagex \
        fish/vendor_completions.d/sx-get.fish; do
        [ -s "$root/usr/share/$page" ]
    done
    for file in crontab storagex-backup.service storagex-backup.timer; do
        cmp "man/examples/$file" "$root/usr/share/doc/storagex/examples/$file"
    done
}

# systemd takes the units as they are installed, without a warning.
systemd_takes_the_units() {
    local folder=$work/units
    mkdir "$folder"
    cp man/examples/storagex-backup.* "$folder"
    XDG_RUNTIME_DIR=$folder systemd-analyze verify --user --man=no "$folder"/storagex-backup.* 2>"$work/warnings"
    cat "$work/warnings"
    [ ! -s "$work/warnings" ]
    XDG_RUNTIME_DIR=$folder systemd-analyze calendar \
        "$(sed -n 's/^OnCalendar=//p' man/examples/storagex-backup.timer)"
}

# A real cron runs the lines of the example, but each minute, and the first makes a backup.
cron_runs_the_example() {
    sed 's/^[0-9]* [0-9]* [^ ]* \* [^ ]* /* * * * * /' man/examples/crontab >"$root/home/somebody/crontab"
    [ "$(grep -c '^\* \* \* \* \* storagex' "$root/home/somebody/crontab")" = 3 ]
    as_user crontab crontab
    chroot "$root" cron -f &
    local cron=$! key
    for _ in {1..90}; do
        sleep 1
        key=$(as_user 'ls .local/state/storagex/documents/*.key 2>/dev/null | head -n 1') || true
        [ -z "$key" ] || break
    done
    kill "$cron"
    as_user crontab -r
    as_user "rm -r Documents/numbers && storagex restore documents && seq 100000 | cmp - Documents/numbers"
}

the_package_goes_away_whole() {
    chroot "$root" dpkg --purge storagex
    chroot "$root" find / -xdev -name '*storagex*' -not -path '/home/*' -not -name '*.deb' >"$work/left"
    cat "$work/left"
    [ ! -s "$work/left" ]
}

# What waits for the network, or for the clock, does so beside what builds.
check the_source_package_is_complete
has_root=false
if can_make_a_root; then
    has_root=true
    need debootstrap debootstrap || : # which the check shows
    check there_is_a_clean_root &
fi
check the_release_build_is_reproducible
wait
if $has_root; then
    check the_debian_package_works_in_a_clean_root
    check cron_runs_the_example &
else
    printf 'no root of our own: the Debian package is unpacked instead, without cron\n'
    check the_debian_package_works_unpacked
fi
check systemd_takes_the_units
check the_source_package_builds_static_programs_with_a_c_compiler
wait
if $has_root; then check the_package_goes_away_whole; fi
printf '%s passed, %s failed\n' "$(wc -l <"$work/passed")" "$(wc -l <"$work/failed")"
[ ! -s "$work/failed" ]
