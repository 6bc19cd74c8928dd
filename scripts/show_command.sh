#!/usr/bin/env bash
# Sourced by quickstart.sh and build_corpus.sh: prints each command before it runs, so that it can be read and pasted.

# Words are quoted only where the shell would take them for something else; letters of any alphabet stay what they are.
show_command() {
    local word line=
    for word in "$@"; do
        [[ $word =~ ^[[:alnum:]_/.,:=@%+-]+$ ]] || word=${word@Q}
        line+=" $word"
    done
    printf '%s\n' "${line# }"
}

# run COMMAND WORD...: prints the command and runs it. With DRY_RUN=1 it prints only: a shell script.
started_by=() # a command in front of each, say nice
run() {
    if [[ ${DRY_RUN:-0} != 0 ]]; then
        show_command "$@"
    else
        printf '\033[2m$ %s\033[0m\n' "$(show_command "$@")"
        "${started_by[@]}" "$@"
    fi
}
