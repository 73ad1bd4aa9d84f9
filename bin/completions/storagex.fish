# Completes the commands, the options and the names of backups of storagex(1).
function __storagex_names
    set -l states $XDG_STATE_HOME ~/.local/state
    path basename $states[1]/storagex/*/
end

# Whether the word is the name of a backup: the first operand, or any of a command that takes many.
function __storagex_wants_name
    set -l words (commandline -opc)
    switch "$words[2]"
        case list check repair prune keys
            return 0
        case backup restore
            set -l operands (string match -v -r -- '^(--at.*|-f|--force)$' $words[3..])
            contains -- --at $words; and set -e operands[1]
            test (count $operands) -eq 0
        case '*'
            return 1
    end
end

complete -c storagex -s h -l help -d 'Show help'
complete -c storagex -n __fish_use_subcommand -f -a backup -d 'Back up a folder or what a command prints'
complete -c storagex -n __fish_use_subcommand -f -a restore -d 'Bring back a backup, or some paths of it'
complete -c storagex -n __fish_use_subcommand -f -a list -d 'Show all backups'
complete -c storagex -n __fish_use_subcommand -f -a check -d 'Check that backups can be restored'
complete -c storagex -n __fish_use_subcommand -f -a repair -d 'Store again what a store has lost'
complete -c storagex -n __fish_use_subcommand -f -a prune -d 'Forget old backups'
complete -c storagex -n __fish_use_subcommand -f -a keys -d 'Print all keys'
complete -c storagex -n __fish_use_subcommand -f -a secret -d 'Make a secret'
complete -c storagex -n __fish_use_subcommand -f -a upload -d 'Keep a file or a folder'
complete -c storagex -n __fish_use_subcommand -f -a download -d 'Fetch a file or a folder'
complete -c storagex -n __fish_use_subcommand -f -a info -d 'Show what a key is for'
complete -c storagex -n '__fish_seen_subcommand_from restore list check repair prune keys secret' -f
complete -c storagex -n __storagex_wants_name -f -a '(__storagex_names)'
complete -c storagex -n '__fish_seen_subcommand_from restore' -l at -x -d 'The newest backup up to a date'
complete -c storagex -n '__fish_seen_subcommand_from check repair' -l all -d 'All backups'
complete -c storagex -n '__fish_seen_subcommand_from check' -l sample -x -d 'So many frames, drawn at random'
complete -c storagex -n '__fish_seen_subcommand_from prune' -l keep-last -x -d 'Keep so many of the newest'
complete -c storagex -n '__fish_seen_subcommand_from prune' -l keep-daily -x -d 'Keep one a day, for so many days'
complete -c storagex -n '__fish_seen_subcommand_from prune' -l keep-weekly -x -d 'Keep one a week, for so many weeks'
complete -c storagex -n '__fish_seen_subcommand_from prune' -l keep-monthly -x -d 'Keep one a month, for so many months'
complete -c storagex -n '__fish_seen_subcommand_from prune' -l grace -x -d 'Days before a picture is removed'
complete -c storagex -n '__fish_seen_subcommand_from prune' -s n -l dry-run -d 'Change nothing'
complete -c storagex -n '__fish_seen_subcommand_from upload' -l to -r -d 'The store'
complete -c storagex -n '__fish_seen_subcommand_from download restore' -s f -l force -d 'Replace files that exist'
