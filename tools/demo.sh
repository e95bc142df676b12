#!/usr/bin/env bash
# tools/demo.sh DIRECTORY TOOL SERVER: shows what the library does, with the C examples built there, between users that
# TOOL, the program steamnetmsg, or SERVER, the program steamnetmsg-server, certifies. SNM_DEMO_MIB is the least size of
# the file that is sent (64).
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
examples=$(cd "$1" && pwd)
tool=$2
server=$3
least_bytes=$((${SNM_DEMO_MIB:-64} * 1024 * 1024))
# shellcheck source=tools/programs.sh
. "$top/tools/programs.sh"
# shellcheck source=tools/papers.sh
. "$top/tools/papers.sh"

bold='' plain=''
if [ -t 1 ]; then
    bold=$(printf '\033[1m') plain=$(printf '\033[0m')
fi

heading() {
    printf '\n%s%s%s\n\n' "$bold" "$*" "$plain"
}

# What both chats print, side by side: 1001 at the left, 1002 at the right.
declare -A shown=([anna]=0 [bert]=0)
while_waiting() {
    local name indent lines line
    for name in anna bert; do
        [ -f "$scratch/$name.log" ] || continue
        indent=''
        [ "$name" = anna ] || indent=$(printf '%46s' '')
        mapfile -t -s "${shown[$name]}" lines <"$scratch/$name.log"
        for line in ${lines[@]+"${lines[@]}"}; do
            printf '  %s%s| %s\n' "$indent" "$([ "$name" = anna ] && echo 1001 || echo 1002)" "$line"
        done
        shown[$name]=$((shown[$name] + ${#lines[@]}))
    done
}

# wait_for, and show what was said meanwhile in the order in which it was said
see() {
    wait_for "$@"
    sleep 0.2
    while_waiting
}

papers() {
    heading "1. An authority certifies who is 1001 and who is 1002"
    make_papers "$tool" "$scratch" 2>"$scratch/papers.log" || { cat "$scratch/papers.log" && return 1; }
    "$tool" cert show "$scratch/1001/identity.cert" --authority "$authority" | sed 's/^/  /'
    heading "Two endpoints of one process say hello"
    "$examples/hello" "$scratch/1001" "$scratch/1002" "$authority" | sed 's/^/  /'
}

# A server on this machine: all that two users need to find each other.
rendezvous() {
    heading "2. One server, one URL: users find each other by steam id"
    start server "$server" --dev --port 0
    wait_for server '"url"'
    url=$(sed -n 's/.*"url":"\([^"]*\)".*/\1/p' "$scratch/server.log" | head -n 1)
    echo "  steamnetmsg-server --dev is at $url"
    as_1001=(--id 1001 --url "$url")
    as_1002=(--id 1002 --url "$url")
}

chat() {
    heading "3. Two processes talk over a relay, and know of each other nothing but the steam id"
    start bert "$examples/chat" "${as_1002[@]}" --relay-only
    see bert "listens at"
    start anna "$examples/chat" "${as_1001[@]}" --relay-only --peer 1002
    see anna "listens at"
    say anna "Hello 1002, this is 1001. Can you read me?"
    see bert "accept? [y/n]"
    sleep 1 # somebody thinks
    say bert y
    see bert "1001: Hello 1002"
    say bert "Loud and clear, now that you are let in."
    see anna "1002: Loud and clear"
    say anna "And nobody in between can read this."
    see bert "1001: And nobody"
    say anna /quit
    finish anna
    see bert "1001 is gone"
    finish bert
}

# Real content: the library, what it is built of, and the Rust standard library, until it is large enough.
make_file() {
    local part size=0 target=${CARGO_TARGET_DIR:-$top/target} sysroot
    sysroot=$(rustc --print sysroot)
    : >"$scratch/game-assets.bin"
    while IFS= read -r -d '' part; do
        cat "$part" >>"$scratch/game-assets.bin"
        size=$(wc -c <"$scratch/game-assets.bin")
        [ "$size" -lt "$least_bytes" ] || return 0
    done < <(find "$target/release" "$sysroot/lib" -type f \( -name '*.a' -o -name '*.so' -o -name '*.rlib' \) -print0)
    echo "only $size bytes of the $least_bytes for the file were found" >&2
    return 1
}

file() {
    local digest received
    make_file
    heading "4. A file of $(($(wc -c <"$scratch/game-assets.bin") / 1048576)) MiB over a line with 5 % loss and 50 ms round trip," \
        "and a 60 Hz heartbeat beside it"
    mkdir "$scratch/received"
    start receiver "$examples/sendfile" recv "${as_1002[@]}" --out "$scratch/received" --once
    "$examples/sendfile" send "${as_1001[@]}" --peer 1002 --loss 5 --lag 25 \
        "$scratch/game-assets.bin"
    finish receiver
    heading "What the receiver saw"
    grep -v '^  received \[' "$scratch/receiver.log" # its progress
    heading "What sha256sum says"
    digest=$(sha256sum <"$scratch/game-assets.bin")
    received=$(sha256sum <"$scratch/received/game-assets.bin")
    echo "  sent      ${digest%% *}"
    echo "  received  ${received%% *}"
    [ "$digest" = "$received" ]
}

ended() {
    local status=$?
    close_programs
    if [ "$status" = 0 ]; then
        heading "All of it worked, in $SECONDS s."
    else
        heading "It did not work (status $status, after $SECONDS s)."
    fi
}

open_programs
trap ended EXIT
heading "steamnetmsg: peer-to-peer messages by steam id"
papers
rendezvous
chat
file
