#!/bin/sh
# Completions in real shells: the commands, options and names of the wrapper, and the options of the
# programs. What they offer is what the wrapper takes, no more and no less.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

files=$(cd "${0%/*}/../../bin/completions" && pwd)
mkdir -p Documents .local/state
XDG_STATE_HOME=$PWD/.local/state
export XDG_STATE_HOME
storagex backup laptop -- Documents
storagex backup server -- Documents
printf '%s\n' backup check download info keys list prune repair restore secret upload >commands

# The commands in the wrapper's usage, and the long options that it names where it refuses another one.
storagex --help | sed -n 's/^  \([a-z]\{1,\}\) .*/\1/p' | sort | cmp - commands
options_of() { # COMMAND
    { storagex "$1" --nonsense 2>&1 || :; } | grep -o -e '--[a-z-]*=\{0,1\}' | tr -d = | sort -u |
        grep -vx -e --nonsense -e --help || :
}
[ "$(options_of check | tr '\n' ' ')" = '--all --sample ' ] || fail "$(options_of check)"

# Checks what `offers`, the completions of a shell, says.
offers_what_the_wrapper_takes() {
    offers storagex '' | grep -v '^-' | sort | diff - commands
    while read -r command; do
        offers storagex "$command" -- | grep -e '^--' | grep -vx -e --help | sort -u >offered || :
        options_of "$command" >taken
        [ "$command" != backup ] || : >taken # its options are those of the command that it runs
        diff offered taken || fail "$command"
    done <commands
    for command in backup restore check repair prune keys list; do
        offers storagex "$command" '' | grep -v '^-' | diff - names || fail "$command"
    done
    offers sx-put --pro | grep -qx -e --probe || fail 'sx-put --pro'
}

printf '%s\n' laptop server >names
command -v bash >/dev/null || exit 0
offers() { # COMMAND WORD...
    # shellcheck disable=SC2016 # for bash
    bash --norc -c 'set -eu
        . "$0/$1.bash"
        shell_function=$(complete -p "$1" | sed "s/.* -F \([a-z_]*\) .*/\1/")
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        "$shell_function" "$1" "${!#}" "${COMP_WORDS[COMP_CWORD - 1]}"
        [ "${#COMPREPLY[@]}" = 0 ] || printf "%s\n" "${COMPREPLY[@]}"' "$files" "$@"
}
offers_what_the_wrapper_takes
[ "$(offers storagex prune --grace '')" = '' ] || fail 'a number'
[ "$(offers storagex upload --to = Doc)" = Documents ] || fail 'a store'
[ "$(offers storagex upload Doc)" = Documents ] || fail 'a folder'
[ "$(offers storagex backup laptop -- Doc)" = Documents ] || fail 'a folder'
[ "$(offers storagex restore --at 2026-11-24 lap)" = laptop ] || fail 'a name after an option'
[ "$(offers storagex info Doc x)" = '' ] || fail 'one key is enough'

command -v fish >/dev/null || exit 0
offers() { # COMMAND WORD...
    fish --no-config -c "source '$files/$1.fish'; complete --do-complete '$*'" | cut -f 1
}
offers_what_the_wrapper_takes

# zsh completes in a terminal only: it gets one, and tells what it would insert.
command -v zsh >/dev/null || exit 0
offers() { # COMMAND WORD...
    zsh -f "${0%/*}/lib.zsh" "$files" "$*"
}
offers_what_the_wrapper_takes
