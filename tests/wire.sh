#!/usr/bin/env bash
# tests/wire.sh: the wire, read by a program that was written from docs/protocol.md alone: the published vectors, and
# conversations of random content, new ones every time (SNM_CONVERSATION_SEED repeats one). Needs Python and the packages
# of tests/wire/requirements.txt, which go into build/venv.
set -euo pipefail
cd "$(dirname "$0")/.."

CONVERSATIONS=3

venv=build/venv
wanted=tests/wire/requirements.txt
if ! cmp -s "$wanted" "$venv/installed.txt"; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$wanted"
    cp "$wanted" "$venv/installed.txt"
fi

status=0
"$venv/bin/python" -B tests/wire/check_vectors.py tests/wire/vectors.txt || status=1

folder=$PWD/build/wire
rm -rf "$folder"
seeds=${SNM_CONVERSATION_SEED:-$(od -An -N$((4 * CONVERSATIONS)) -tu4 /dev/urandom)}
for seed in $seeds; do
    SNM_CONVERSATIONS=$folder SNM_CONVERSATION_SEED=$seed cargo test --quiet --locked --test world paper:: || status=1
done
"$venv/bin/python" -B tests/wire/check_conversation.py "$folder"/*.txt || status=1
exit "$status"
