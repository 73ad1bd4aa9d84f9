# Prints what zsh offers at the end of a line: zsh -f lib.zsh FOLDER_OF_COMPLETIONS LINE
#
# zsh completes only where somebody types, so another zsh gets the line on a terminal of its own. There,
# `compadd`, which takes what is offered, also prints it in <>.
zmodload zsh/zpty
zpty typist zsh -f -i
zpty -w typist "
PROMPT= RPROMPT= LISTMAX=10000
fpath=(${(q)1} \$fpath)
autoload -Uz compinit && compinit -u -D
bindkey '^I' complete-word
compadd() {
    local -a offered
    if [[ \${@[1,(i)(-|--)]} != *-(O|A|D)\ * ]]; then
        builtin compadd -A offered \"\$@\"
        print -rl -- '<'\${^offered}'>'
    fi
    builtin compadd \"\$@\"
}
zle-line-init() { print REA''DY }
zle -N zle-line-init"
# Not before it edits: until then, ^U is the terminal's, and would take the line away before it is read.
zpty -r typist said '*READY*'
zpty -n -w typist "$2"$'\t'             # the line, and Tab
zpty -n -w typist $'\C-u'               # away with it
zpty -w typist "print DO''NE"
zpty -r typist said '*DONE*'
print -r -- "$said" | tr -d '\r' | sed -n 's/.*<\([^>]*\)>.*/\1/p'
zpty -d typist
