# What the scripts with real servers share: what they install, start, wait for and check. One that sources
# this has set `here`, the folder of the tests, and `time_limit`, in seconds, for all its checks.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables of theirs, and for them

configs=$here/servers
access_key=SXTESTACCESSKEY
secret=sxtest-secret-bLgYhK0tEdJw # told to servers and programs, and never to be seen in what they say
wrong=sxtest-wrong-secret-uY3fR1
export LC_ALL=C
refuses_said=''

# shellcheck source=/dev/null
. "$here/scenarios/lib.sh" # fail, refuses, random, flip

# Makes `work`, the folder for everything, which is removed at the end. Leaves nothing in the environment
# that changes what the programs do.
begin() {
    local program
    for program in sx-encode sx-decode sx-put sx-get; do
        type -P "$program" >/dev/null || {
            printf '%s: error: no %s, expected it on PATH\n' "${0##*/}" "$program" >&2
            exit 2
        }
    done
    work=$(mktemp -d)
    trap finish EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    PATH=$PATH:/usr/sbin:/sbin
    unset "${!AWS_@}" "${!SX_@}" "${!RCLONE_@}" "${!XDG_CONFIG_@}" NETRC
    unset http_proxy https_proxy all_proxy no_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY
}

finish() {
    local status=$?
    trap '' INT TERM HUP
    [ -z "${check_pid-}" ] || kill -KILL -- "-$check_pid" 2>/dev/null || :
    stop "${!server[@]}"
    rm -rf "$work"
    exit "$status"
}

# Says how many checks passed and failed; false if any failed.
summary() {
    printf '%d passed, %d failed\n' "$passed" "$failed"
    [ "$failed" = 0 ]
}

## What is installed

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# Makes other runs wait that install, too, until `installed`.
installing() {
    local cache=${XDG_CACHE_HOME:-$HOME/.cache}
    mkdir -p "$cache"
    exec {install_lock}>"$cache/storagex-servers.lock"
    flock "$install_lock"
}

installed() {
    exec {install_lock}>&-
}

# Installs Debian packages whose commands or files are missing. They start no services.
packages() { # COMMAND_OR_FILE=PACKAGES...
    local entry missing=()
    for entry; do
        # shellcheck disable=SC2206 # packages are words
        type -P "${entry%%=*}" >/dev/null || [ -e "${entry%%=*}" ] || missing+=(${entry#*=})
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    printf '# installing %s\n' "${missing[*]}"
    {
        as_root apt-get update -qq &&
            as_root env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq -o DPkg::Lock::Timeout=120 "${missing[@]}"
    } >"$work/apt.log" 2>&1 || {
        sed 's/^/# /' "$work/apt.log"
        return 1
    }
}

# A Python venv with what a file of tests/servers lists, in `venv`; `python` is its interpreter.
python_venv() { # NAME REQUIREMENTS [OPTION_OF_PIP...]
    local requirements=$configs/$2
    venv=${XDG_CACHE_HOME:-$HOME/.cache}/$1
    shift 2
    if ! cmp -s "$requirements" "$venv/requirements.txt"; then
        printf '# installing %s\n' "$venv"
        python3 -c 'import ensurepip' 2>/dev/null || packages no-such-command=python3-venv
        python3 -m venv --clear "$venv"
        "$venv/bin/pip" install -q --disable-pip-version-check "$@" -r "$requirements"
        cp "$requirements" "$venv/requirements.txt"
    fi
    python=$venv/bin/python
}

## Servers

declare -A server=() # pid by name

start() { # NAME COMMAND...
    local name=$1
    shift
    "$@" >>"$work/$name.log" 2>&1 </dev/null &
    server[$name]=$!
}

stop() { # NAME...
    local name
    for name; do
        [ -n "${server[$name]-}" ] || continue
        kill "${server[$name]}" 2>/dev/null || :
    done
    for name; do
        [ -n "${server[$name]-}" ] || continue
        for _ in {1..50}; do
            kill -0 "${server[$name]}" 2>/dev/null || break
            sleep 0.1
        done
        kill -KILL "${server[$name]}" 2>/dev/null || :
        wait "${server[$name]}" 2>/dev/null || :
        unset "server[$name]"
    done
}

is_open() { # PORT
    (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# Sets each variable to a port that is free, and free 10000 above, which is where SeaweedFS has gRPC. They
# are from PORTS on, if that is set, so that two runs at once can have ports of their own.
ports() { # VARIABLE...
    local variable
    for variable; do
        while is_open "$next_port" || is_open $((next_port + 10000)); do next_port=$((next_port + 1)); done
        printf -v "$variable" %d "$next_port"
        next_port=$((next_port + 1))
    done
}
next_port=${PORTS-$((9000 + RANDOM % 8000))}

# Waits until a command succeeds, at most 40 seconds; then that is why the group fails.
await() { # SERVER COMMAND...
    local name=$1 deadline=$((SECONDS + 40))
    shift
    until "$@" >/dev/null 2>&1; do
        if [ $SECONDS -ge $deadline ] || ! kill -0 "${server[$name]}" 2>/dev/null; then
            printf '# %s does not answer:\n' "$name"
            tail -n 20 "$work/$name.log" | sed 's/^/#   /'
            return 1
        fi
        sleep 0.1
    done
}

# Whether a server answers, with whatever status.
answers() { # URL
    curl -s -o /dev/null --max-time 3 "$1"
}

# A configuration of tests/servers with its @NAMES@ filled in.
configure() { # FILE NAME=VALUE...
    local file=$1 pair arguments=()
    shift
    for pair; do arguments+=(-e "s,@${pair%%=*}@,${pair#*=},g"); done
    sed "${arguments[@]}" "$configs/$file"
}

## Checks

passed=0 failed=0

# Runs a check for at most so many seconds. What it says is shown if it fails.
check() { # SECONDS FUNCTION
    local name=$2 left=$((time_limit - SECONDS)) status=0 started=$SECONDS log=$work/log
    local limit=$(($1 < left ? $1 : left))
    mkdir "$work/check"
    set -m # a process group of its own
    (
        set -euo pipefail
        cd "$work/check"
        HOME=$work/check
        export HOME
        "$name"
    ) >"$log" 2>&1 </dev/null &
    check_pid=$!
    set +m
    { # bash has something to say of what is killed
        while kill -0 "$check_pid"; do
            if [ $((SECONDS - started)) -ge "$limit" ]; then
                printf 'FAILED: no end after %d seconds\n' "$limit" >>"$log"
                kill -KILL -- "-$check_pid"
            fi
            sleep 0.05
        done
        wait "$check_pid" || status=$?
    } 2>/dev/null
    kill -KILL -- "-$check_pid" 2>/dev/null || : # what it has left running
    check_pid=
    if tells_secrets "$log" || tells_secrets "$work/check"/key* || tells_secrets "$work/check"/said*; then
        printf 'FAILED: a secret or a signed URL was told\n' >>"$log"
        status=1
    fi
    if [ "$status" = 0 ]; then
        passed=$((passed + 1))
        printf 'ok %s\n' "$name"
    else
        failed=$((failed + 1))
        printf 'not ok %s\n' "$name"
        tail -n 30 "$log" | cut -c -500 | sed 's/^/#   /'
    fi
    rm -rf "$work/check"
}

tells_secrets() { # FILE...
    grep -aEq "$secret|$wrong|X-Amz-(Signature|Credential)|Basic |Bearer " "$@" 2>/dev/null
}

# `refuses`, and what was said is searched for secrets later.
refused() { # STATUS PATTERN COMMAND...
    refuses "$@"
    printf '%s\n' "$refuses_said" >>said.refused
}
