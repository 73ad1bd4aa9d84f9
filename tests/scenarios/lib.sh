# What the scenarios share. One of them is run by hand so, in an empty folder:
#   PATH=…/target/debug:…/bin:$PATH XDG_DATA_HOME=$PWD/data sh …/tests/scenarios/NN-what-it-shows.sh
# shellcheck shell=sh

LC_ALL=C
export LC_ALL
unset SX_STORE

fail() { # MESSAGE
    printf 'FAILED: %s\n' "$1" >&2
    exit 1
}

# Runs a command that must refuse what it is given, and soon: exit status STATUS, and on stderr one
# line `PROGRAM: error: …` that matches the extended regular expression PATTERN, and hints. Stdin and
# stdout are the caller's. Behind the wrapper it may be more than one program that complains.
refuses() { # STATUS PATTERN COMMAND...
    refuses_status=$1 refuses_pattern=$2
    shift 2
    refuses_program=${1##*/} refuses_most=1
    [ "$refuses_program" != storagex ] || refuses_program='(storagex|sx-[a-z]+)' refuses_most=2
    refuses_ended=0
    { refuses_said=$(timeout 10 "$@" 2>&1 >&3 3>&-) || refuses_ended=$?; } 3>&1
    refuses_what="$* with status $refuses_ended, saying: $refuses_said"
    [ "$refuses_ended" -ne 124 ] || fail "no end after 10 seconds: $refuses_what"
    [ "$refuses_ended" -eq "$refuses_status" ] || fail "expected status $refuses_status: $refuses_what"
    it_said -Eq "^$refuses_program: error: .*($refuses_pattern)" ||
        fail "expected '$refuses_pattern': $refuses_what"
    refuses_errors=$(it_said -Ec "^$refuses_program: error: ") || :
    [ "$refuses_errors" -le "$refuses_most" ] || fail "expected one error: $refuses_what"
    ! it_said -Evq "^$refuses_program: (error|hint): " ||
        fail "expected errors and hints only: $refuses_what"
    case $refuses_said in
        *panicked* | *'internal error'*) fail "a panic: $refuses_what" ;;
    esac
}

# grep in what `refuses` saw. Not by a pipe, which fails if grep has seen enough and pipefail is set.
it_said() { # ARGUMENT_OF_GREP...
    grep "$@" <<END
$refuses_said
END
}

# Runs a command whose exit status a pipe would hide; `ended_quietly` looks at it afterwards.
watched() { # COMMAND...
    watched_status=0
    timeout 10 "$@" 2>watched.stderr || watched_status=$?
    echo "$watched_status" >watched.status
}

# Checks that the command which `watched` ran had exit status 0 and nothing to say.
ended_quietly() { # WHAT
    [ "$(cat watched.status)" -eq 0 ] || fail "$1: status $(cat watched.status): $(cat watched.stderr)"
    [ ! -s watched.stderr ] || fail "$1: expected silence: $(cat watched.stderr)"
    rm watched.status watched.stderr
}

# Checks that the current folder, but for the default store and the keys of uploads, holds these names and nothing else.
only() { # NAME...
    found=$(find . \( -path ./data -o -path ./.local \) -prune -o ! -name . -print | sed 's,^\./,,' | sort)
    expected=$(for name; do printf '%s\n' "$name"; done | sort)
    [ "$found" = "$expected" ] || fail "found $found; expected $expected"
}

# Makes a file of so many bytes that don't compress.
random() { # BYTES FILE
    head -c "$1" /dev/urandom >"$2"
}

# Makes `frames`, a stream of 7 frames, and each frame of it as a file, frame.0 to frame.6. Stored full
# frames of 16 x 16 are pictures of 852 bytes, whatever is in them; the last one is shorter.
frames() {
    random 5000 stream
    sx-encode -0 -W 16 -H 16 stream >frames
    split -b 852 -d -a 1 frames frame.
}

# Flips the lowest bit of a byte.
flip() { # FILE OFFSET
    byte=$(od -An -tu1 -j "$2" -N 1 "$1")
    # shellcheck disable=SC2059 # the format is the byte
    printf "\\$(printf %o $((byte ^ 1)))" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}

# Prints the path of the picture that a key is of. The names of temporary folders have no escapes.
path_of() { # KEY
    path=${1#file://}
    printf '%s\n' "${path%%#*}"
}

# Runs the rest of the scenario where it may mount things that nobody else sees and that go away with
# it; skips it where the system doesn't allow that.
where_mounts_are_allowed() {
    [ "${MOUNTS_ARE_ALLOWED-}" != yes ] || return 0
    if ! unshare -rm sh -c 'mkdir m && mount -t tmpfs none m && umount m && rmdir m' 2>/dev/null; then
        echo 'skipped: mounting is not allowed'
        rm -rf m
        exit 0
    fi
    MOUNTS_ARE_ALLOWED=yes exec unshare -rm sh "$0"
}

# Checks that FILE has no frame: nothing, or the start of a picture that marks a stream that failed.
no_frame() { # FILE
    [ "$(wc -c <"$1")" -le 8 ] || fail "frames, or the start of one, in $1"
}
