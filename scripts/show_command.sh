#!/usr/bin/env bash
# Sourced by quickstart.sh and build_corpus.sh: show_command WORD... prints a command that can be read and pasted. Words
# are quoted only where the shell would take them for something else, and letters of any alphabet stay what they are.
show_command() {
    local word line=
    for word in "$@"; do
        [[ $word =~ ^[[:alnum:]_/.,:=@%+-]+$ ]] || word=${word@Q}
        line+=" $word"
    done
    printf '%s\n' "${line# }"
}
