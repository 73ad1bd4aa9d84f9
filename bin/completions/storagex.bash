# Completes the commands, the options and the names of backups of storagex(1).
_storagex() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]-}
    local options='' operand=0 ended='' at
    local names=${XDG_STATE_HOME:-$HOME/.local/state}/storagex
    local commands='backup restore list check repair prune keys secret upload download info'
    case $command in
        restore) options='--at -f --force' ;;
        check) options='--all --sample' ;;
        repair) options='--all' ;;
        prune) options='--keep-last --keep-daily --keep-weekly --keep-monthly --grace -n --dry-run' ;;
        upload) options='--to' ;;
        download) options='-f --force' ;;
    esac
    # Which operand the word is: options and their values are none.
    for ((at = 2; at <= COMP_CWORD; at++)); do
        case $ended${COMP_WORDS[at - 1]}:${COMP_WORDS[at]} in
            --at:* | --sample:* | --keep-*:* | --grace:* | --to:* | =:* | *:=) ;;
            *:--) [ "$at" = "$COMP_CWORD" ] || ended=yes ;;
            *:-?*) [ -z "$ended" ] || operand=$((operand + 1)) ;;
            *) operand=$((operand + 1)) ;;
        esac
    done
    if [ "$COMP_CWORD" = 1 ]; then
        set -- -W "$commands -h --help"
    elif [[ $word == -* && -z $ended && ! ($command == backup && $operand -gt 0) ]]; then
        set -- -W "$options -h --help"
    else
        case $command:$ended$before:$operand in
            upload:--to:* | upload:=:*) set -- -f ;;
            *:--at:* | *:--sample:* | *:--keep-*:* | *:--grace:* | *:=:*) set -- ;;
            backup:*:1 | restore:*:1 | list:* | check:* | repair:* | prune:* | keys:*)
                set -- -W "$(ls "$names" 2>/dev/null)" ;;
            backup:*:2) set -- -c -f ;;
            backup:* | upload:*:1 | download:*:[12] | info:*:1) set -- -f ;;
            *) set -- ;;
        esac
    fi
    COMPREPLY=()
    local IFS=$'\n'
    # shellcheck disable=SC2207 # split at line ends; mapfile takes a newer bash
    [ $# -eq 0 ] || COMPREPLY=($(IFS=$' \t\n' compgen "$@" -- "$word"))
}
complete -o filenames -F _storagex storagex
