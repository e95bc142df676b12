#!/usr/bin/env bash
# tests/capture.sh DIRECTORY: captures a chat and a file transfer of the examples built there, and checks that nothing
# of either can be read in it. Needs tcpdump and the right to capture on lo (root, or sudo).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
examples=$(cd "$1" && pwd)
# shellcheck source=tools/check.sh
. "$here/../tools/check.sh"
# shellcheck source=tools/programs.sh
. "$here/../tools/programs.sh"

FILE_BYTES=1048576

as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo -n)

# capture_start PORT: into $scratch/capture, which tcpdump itself, having dropped its rights, might not write.
capture_start() {
    # shellcheck disable=SC2016 # for the inner bash
    start tcpdump bash -c 'exec "$@" >"$0"' "$scratch/capture" \
        "${as_root[@]}" timeout 120 tcpdump -i lo -s 0 -B 32768 --immediate-mode -U -w - "udp port $1"
    wait_for tcpdump "listening on"
}

capture_stop() {
    sleep 0.5 # the last datagrams are still on their way through tcpdump
    "${as_root[@]}" kill "${program_pid[tcpdump]}"
    finish tcpdump || true
    grep 'dropped by kernel' "$scratch/tcpdump.log"
    grep -q '^0 packets dropped by kernel' "$scratch/tcpdump.log"
}

port_of() {
    local address
    address=$(address_of "$1") && echo "${address##*:}"
}

judge() {
    python3 "$here/plaintext_in_capture.py" "$@"
}

chat_cannot_be_read() {
    open_programs
    echo "the treasure lies under the old oak, seven steps north of the well" >"$scratch/question"
    echo "then bring two shovels and a lantern, and tell nobody else about it" >"$scratch/answer"
    start bert "$examples/chat" --id 1002
    capture_start "$(port_of bert)"
    start anna "$examples/chat" --id 1001 --peer "1002@$(address_of bert)"
    say anna "$(cat "$scratch/question")"
    wait_for bert "accept? [y/n]"
    say bert y
    wait_for bert "1001: the treasure"
    say bert "$(cat "$scratch/answer")"
    wait_for anna "1002: then bring"
    finish anna
    finish bert
    capture_stop
    judge "$scratch/capture" 1000 "$scratch/question" "$scratch/answer"
}

# Part of the library itself: real content, and no two runs alike by design.
make_secret() {
    local library
    library=$(ldd "$examples/sendfile" | sed -n 's/.*libsteamnetmsg[^ ]* => \([^ ]*\).*/\1/p')
    head -c "$FILE_BYTES" "$library" >"$scratch/secret"
    [ "$(wc -c <"$scratch/secret")" = "$FILE_BYTES" ]
}

file_cannot_be_read() {
    open_programs
    make_secret
    mkdir "$scratch/out"
    start receiver "$examples/sendfile" recv --id 1002 --out "$scratch/out" --once
    capture_start "$(port_of receiver)"
    "$examples/sendfile" send --id 1001 --peer "1002@$(address_of receiver)" "$scratch/secret"
    finish receiver
    capture_stop
    cmp "$scratch/secret" "$scratch/out/secret"
    judge "$scratch/capture" "$FILE_BYTES" "$scratch/secret"
}

# The check itself is checked: 200 bytes of the file sent in the clear must be found.
clear_text_would_be_found() {
    local port=40999 status=0
    open_programs
    make_secret
    capture_start "$port"
    head -c 500200 "$scratch/secret" | tail -c 200 >"/dev/udp/127.0.0.1/$port"
    capture_stop
    judge "$scratch/capture" 1 "$scratch/secret" || status=$?
    [ "$status" = 1 ]
}

check "capture: clear text would be found" clear_text_would_be_found
check "capture: no 16 bytes of a chat can be read" chat_cannot_be_read
check "capture: no 16 bytes of a file can be read" file_cannot_be_read
end_checks
