#!/usr/bin/env bash
# One named check. As a command: tools/check.sh NAME COMMAND... runs it quietly, says "ok" or "FAILED" with its output.
# Sourced: check NAME COMMAND-OR-FUNCTION..., as often as needed, then end_checks.

checks_failed=0

# The command runs in a subshell under `set -e`, so a function may be a plain list of steps.
# Call it as a plain command, never behind `if`, `&&` or `||`: bash would ignore that `set -e`.
check() {
    local name=$1 log status started=$SECONDS errexit=
    shift
    log=$(mktemp)
    case $- in *e*) errexit=1 ;; esac
    set +e
    (
        set -e
        "$@"
    ) >"$log" 2>&1
    status=$?
    [ -z "$errexit" ] || set -e
    if [ "$status" = 0 ]; then
        printf 'ok     %s (%s s)\n' "$name" "$((SECONDS - started))"
    else
        sed 's/^/       | /' "$log"
        printf 'FAILED %s (status %s, %s s)\n' "$name" "$status" "$((SECONDS - started))"
        checks_failed=$((checks_failed + 1))
    fi
    rm -f "$log"
}

end_checks() {
    [ "$checks_failed" = 0 ] || exit 1
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    check "$@"
    end_checks
fi
