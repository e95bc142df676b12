# shellcheck shell=bash
# Sourced: runs programs in the background, talks to them through their standard input, reads what they print,
# and leaves none behind.
#
#     open_programs                      a scratch folder, $scratch; everything ends with this (sub)shell
#     start NAME COMMAND...              in the background; its output goes to $scratch/NAME.log
#     say NAME LINE                      a line for its standard input
#     wait_for NAME TEXT [SECONDS]       until it has printed the text (10 s), else fails and shows what it printed
#     finish NAME                        ends its input, waits for it; its exit status
#     address_of NAME                    where its endpoint listens
# A function `while_waiting`, if defined, is called some ten times a second by wait_for and finish.

declare -A program_pid program_input

open_programs() {
    scratch=$(mktemp -d)
    trap close_programs EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

close_programs() {
    local name
    for name in "${!program_pid[@]}"; do
        kill "${program_pid[$name]}" 2>/dev/null || true
    done
    for name in "${!program_pid[@]}"; do
        wait "${program_pid[$name]}" 2>/dev/null || true
    done
    program_pid=()
    rm -rf "$scratch"
}

start() {
    local name=$1 input
    shift
    mkfifo "$scratch/$name.in"
    : >"$scratch/$name.log"
    (
        # The inputs of the others are not this program's, or they would never end.
        for input in "${program_input[@]}"; do exec {input}>&-; done
        exec "$@"
    ) <"$scratch/$name.in" >"$scratch/$name.log" 2>&1 &
    program_pid[$name]=$!
    exec {input}>"$scratch/$name.in"
    program_input[$name]=$input
}

say() {
    echo "$2" >&"${program_input[$1]}"
}

tick() {
    sleep 0.1
    if declare -F while_waiting >/dev/null; then while_waiting; fi
}

wait_for() {
    local name=$1 text=$2 seconds=${3:-10} started=$SECONDS
    until grep -qF -- "$text" "$scratch/$name.log"; do
        if [ $((SECONDS - started)) -gt "$seconds" ]; then
            echo "$name has not said \"$text\" within $seconds s; it said:"
            cat "$scratch/$name.log"
            return 1
        fi
        tick
    done
}

finish() {
    local name=$1 status=0 input=${program_input[$1]}
    exec {input}>&-
    while kill -0 "${program_pid[$name]}" 2>/dev/null; do tick; done
    wait "${program_pid[$name]}" || status=$?
    unset "program_pid[$name]" "program_input[$name]"
    return "$status"
}

address_of() {
    wait_for "$1" "listens at " || return 1
    sed -n 's/.* listens at //p' "$scratch/$1.log" | head -n 1
}
