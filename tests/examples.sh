#!/usr/bin/env bash
# tests/examples.sh DIRECTORY TOOL: runs the C examples built there and checks what they claim. TOOL is the program
# steamnetmsg, which certifies their users.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
examples=$(cd "$1" && pwd)
tool=$2
# shellcheck source=tools/check.sh
. "$here/../tools/check.sh"
# shellcheck source=tools/programs.sh
. "$here/../tools/programs.sh"
# shellcheck source=tools/papers.sh
. "$here/../tools/papers.sh"

hello_says_it_works() {
    "$examples/hello" | tee /dev/stderr | grep -qx 'it works'
}

hello_says_it_works_certified() {
    open_programs
    make_papers "$tool" "$scratch"
    "$examples/hello" "$scratch/1001" "$scratch/1002" "$authority" | tee /dev/stderr | grep -qx 'it works, certified'
    # A folder with the papers of another: nobody is let in.
    if "$examples/hello" "$scratch/1002" "$scratch/1002" "$authority"; then return 1; fi
}

# Opens two chats, anna (1001) and bert (1002); anna knows where bert is.
open_chat() {
    open_programs
    start bert "$examples/chat" --id 1002
    start anna "$examples/chat" --id 1001 --peer "1002@$(address_of bert)"
}

chat_delivers_both_ways_after_the_request_is_accepted() {
    open_chat
    say anna "hello bert"
    wait_for bert "1001 wants to talk. accept? [y/n]"
    if grep -q "hello bert" "$scratch/bert.log"; then
        echo "a line was delivered before the request was accepted"
        return 1
    fi
    say bert y
    wait_for bert "1001: hello bert"
    say bert "hello anna"
    wait_for anna "1002: hello anna"
    say anna /info
    wait_for anna "1002: SNM_STATE_CONNECTED"
    say anna /quit
    finish anna
    wait_for bert "* 1001 is gone"
    finish bert
}

chat_knows_who_is_certified() {
    open_programs
    make_papers "$tool" "$scratch"
    start bert "$examples/chat" --id 1002 --identity "$scratch/1002" --authority "$authority"
    start anna "$examples/chat" --id 1001 --identity "$scratch/1001" --authority "$authority" \
        --peer "1002@$(address_of bert)"
    say anna "hello bert"
    wait_for bert "1001 wants to talk. accept? [y/n]"
    say bert y
    wait_for bert "1001: hello bert"
    wait_for anna ", certified"
    wait_for bert ", certified"
    say anna /quit
    finish anna
    finish bert
}

chat_does_not_ask_about_somebody_without_a_certificate() {
    open_programs
    make_papers "$tool" "$scratch"
    start bert "$examples/chat" --id 1002 --identity "$scratch/1002" --authority "$authority"
    start mallory "$examples/chat" --id 1001 --peer "1002@$(address_of bert)"
    say mallory "hello bert, it is me, 1001"
    wait_for mallory "! session with 1002 failed"
    wait_for mallory "(4003,"
    if finish mallory; then return 1; fi
    if grep -q "wants to talk" "$scratch/bert.log"; then return 1; fi
    finish bert
}

a_certificate_of_another_steam_id_opens_nothing() {
    open_programs
    make_papers "$tool" "$scratch"
    if "$examples/chat" --id 1003 --identity "$scratch/1001" </dev/null 2>"$scratch/said"; then return 1; fi
    tee /dev/stderr <"$scratch/said" | grep -q "steamid:1001, not steamid:1003"
    if "$examples/chat" --id 1003 --identity "$scratch" </dev/null 2>"$scratch/said"; then return 1; fi
    tee /dev/stderr <"$scratch/said" | grep -q "identity.key"
}

chat_tells_the_caller_that_he_is_refused() {
    open_chat
    say anna "hello bert"
    wait_for bert "1001 wants to talk. accept? [y/n]"
    say bert n
    wait_for anna "! session with 1002 failed"
    wait_for anna "(1001,"
    finish bert
    if finish anna; then
        echo "the caller ended as if his line had been delivered"
        return 1
    fi
}

chat_from_a_pipe_delivers_its_last_line() {
    local address
    open_programs
    start bert "$examples/chat" --id 1002
    address=$(address_of bert)
    printf 'first\nlast without newline' | "$examples/chat" --id 1001 --peer "1002@$address" &
    wait_for bert "1001 wants to talk"
    say bert y
    wait "$!"
    wait_for bert "1001: first"
    wait_for bert "1001: last without newline"
    finish bert
}

chat_tells_that_nobody_answers() {
    open_programs
    start anna "$examples/chat" --id 1001 --peer 1002@127.0.0.1:9
    say anna "is anybody there?"
    wait_for anna "! session with 1002 failed" 25
    if finish anna; then return 1; fi
}

# send_and_compare FILE SENDER-OPTIONS...
send_and_compare() {
    local file=$1
    shift
    open_programs
    mkdir "$scratch/out"
    start receiver "$examples/sendfile" recv --id 1002 --out "$scratch/out" --once
    "$examples/sendfile" send --id 1001 --peer "1002@$(address_of receiver)" "$@" "$file"
    finish receiver || { cat "$scratch/receiver.log"; return 1; }
    cat "$scratch/receiver.log"
    cmp "$file" "$scratch/out/$(basename "$file")"
}

sendfile_copies_a_file_exactly() {
    send_and_compare "$examples/sendfile"
}

sendfile_copies_an_empty_file() {
    local folder
    folder=$(mktemp -d)
    : >"$folder/empty"
    send_and_compare "$folder/empty"
    rm -r "$folder"
}

sendfile_copies_a_file_exactly_over_a_bad_line() {
    send_and_compare "$library" --loss 5 --lag 25
}

sendfile_never_overwrites() {
    open_programs
    mkdir "$scratch/out"
    echo precious >"$scratch/out/hello"
    start receiver "$examples/sendfile" recv --id 1002 --out "$scratch/out" --once
    if "$examples/sendfile" send --id 1001 --peer "1002@$(address_of receiver)" "$examples/hello"; then
        echo "the sender ended as if the file had arrived"
        return 1
    fi
    if finish receiver; then
        echo "the receiver ended as if the file had arrived"
        return 1
    fi
    grep -qx precious "$scratch/out/hello"
}

sendfile_leaves_no_part_when_the_sender_dies() {
    open_programs
    mkdir "$scratch/out"
    truncate -s 8G "$scratch/huge" # sparse: takes no room, and long enough to send to be killed in the middle
    start receiver "$examples/sendfile" recv --id 1002 --out "$scratch/out" --once
    start sender "$examples/sendfile" send --id 1001 --peer "1002@$(address_of receiver)" --lag 25 "$scratch/huge"
    wait_for receiver "receiving"
    kill -9 "${program_pid[sender]}"
    if finish sender; then return 1; fi
    if finish receiver; then
        echo "the receiver ended as if the file had arrived"
        return 1
    fi
    cat "$scratch/receiver.log"
    [ -z "$(ls -A "$scratch/out")" ]
}

library=$(ldd "$examples/sendfile" | sed -n 's/.*libsteamnetmsg[^ ]* => \([^ ]*\).*/\1/p')
[ -f "$library" ] || { echo "$examples/sendfile does not find its library" >&2; exit 1; }

check "example hello: two endpoints greet each other" hello_says_it_works
check "example hello: the same, certified" hello_says_it_works_certified
check "example chat: lines both ways, after the request is accepted" chat_delivers_both_ways_after_the_request_is_accepted
check "example chat: a refused caller is told" chat_tells_the_caller_that_he_is_refused
check "example chat: from a pipe, the last line is delivered" chat_from_a_pipe_delivers_its_last_line
check "example chat: nobody answers, and it says so" chat_tells_that_nobody_answers
check "example chat: certified, and each knows it" chat_knows_who_is_certified
check "example chat: without a certificate nobody comes in" chat_does_not_ask_about_somebody_without_a_certificate
check "example chat: somebody else's papers are refused" a_certificate_of_another_steam_id_opens_nothing
check "example sendfile: a file arrives exactly" sendfile_copies_a_file_exactly
check "example sendfile: an empty file arrives" sendfile_copies_an_empty_file
check "example sendfile: 5 % loss, 50 ms round trip, exactly" sendfile_copies_a_file_exactly_over_a_bad_line
check "example sendfile: never overwrites a file" sendfile_never_overwrites
check "example sendfile: no part stays when the sender dies" sendfile_leaves_no_part_when_the_sender_dies
end_checks
