#!/usr/bin/env bash
# tests/sanitizers.sh [thread] [address] [valgrind]: programs of tests/c under what sees data races and bad memory.
#   thread    the library, the standard library and the programs, all built with ThreadSanitizer
#   address   the library and the programs with AddressSanitizer and its search for leaks, the programs also with UBSan
#   valgrind  the library as it is released, under memcheck
# The sanitizers need a nightly Rust (thread: with its sources), whose runtime serves Rust and C alike.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tools/check.sh
. tools/check.sh

target=$(rustc -vV | sed -n 's/^host: //p')
out=$PWD/build/sanitizers

# How much the programs do: enough to meet each other, little enough for machines ten times slower.
export SNM_TOGETHER_TURNS=2000 SNM_FAREWELLS=80 SNM_STORM_MESSAGES=100 SNM_CYCLES=100

# library_with KIND CARGO-OPTION...: the shared library under its soname in $out/KIND.
library_with() {
    local kind=$1 built=${CARGO_TARGET_DIR:-target}/sanitizers/$1
    shift
    RUSTFLAGS="-Zsanitizer=$kind -Cforce-frame-pointers=yes" CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_DEBUG=line-tables-only \
        cargo +nightly rustc --lib --crate-type cdylib --locked --target "$target" --target-dir "$built" "$@"
    mkdir -p "$out/$kind"
    cp "$built/$target/debug/libsteamnetmsg.so" "$out/$kind/libsteamnetmsg.so.1"
}

# program_with KIND RUNTIME PROGRAM COMPILER-OPTION...: one program, linked with the runtime Rust uses, and no other.
program_with() {
    local kind=$1 program=$out/$1/$3 source=tests/c/$3.c
    local runtime
    runtime=$(rustc +nightly --print target-libdir)/librustc-nightly_rt.$2.a
    shift 3
    gcc -std=c99 -O1 -g -fPIE -fno-omit-frame-pointer -Iinclude "$@" -c "$source" -o "$program.o"
    gcc -pie "$program.o" -o "$program" -Wl,--export-dynamic -Wl,--whole-archive "$runtime" -Wl,--no-whole-archive \
        "$out/$kind/libsteamnetmsg.so.1" -Wl,-rpath,"$out/$kind" -lpthread -ldl -lm -lrt
}

thread() {
    program_with thread tsan "$1" -fsanitize=thread
    TSAN_OPTIONS="halt_on_error=1 second_deadlock_stack=1" timeout 240 "$out/thread/$1"
}

address() {
    program_with address asan "$1" -fsanitize=address,undefined -fno-sanitize-recover=all
    ASAN_OPTIONS="detect_leaks=1 detect_stack_use_after_return=1" timeout 240 "$out/address/$1"
}

under_valgrind() {
    mkdir -p "$out/valgrind"
    cp "${CARGO_TARGET_DIR:-target}/release/libsteamnetmsg.so" "$out/valgrind/libsteamnetmsg.so.1"
    gcc -std=c99 -O1 -g -Iinclude "tests/c/$1.c" -o "$out/valgrind/$1" "$out/valgrind/libsteamnetmsg.so.1" \
        -Wl,-rpath,"$out/valgrind" -lpthread
    # A fair lock: without it one thread may keep the others out for seconds. Undefined values are not looked for:
    # valgrind takes what the assembler of the cipher writes for undefined.
    SNM_TOGETHER_TURNS=100 SNM_FAREWELLS=8 SNM_CYCLES=40 timeout 400 valgrind -q --error-exitcode=9 --fair-sched=yes \
        --undef-value-errors=no --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite "$out/valgrind/$1"
}

[ $# -gt 0 ] || set -- thread address valgrind
for kind in "$@"; do
    case $kind in
        thread)
            check "ThreadSanitizer: nightly Rust with its sources" tools/ensure.sh gcc nightly-src
            check "ThreadSanitizer: everything is built with it" library_with thread -Zbuild-std=std
            for program in together inside farewell cycles events conversation sending config refusals storm; do
                check "ThreadSanitizer: $program" thread "$program"
            done
            ;;
        address)
            check "AddressSanitizer: nightly Rust" tools/ensure.sh gcc nightly-src
            check "AddressSanitizer: the library is built with it" library_with address
            for program in together inside farewell cycles events conversation sending config refusals; do
                check "AddressSanitizer: $program" address "$program"
            done
            ;;
        valgrind)
            check "valgrind is there" tools/ensure.sh gcc valgrind
            for program in together inside farewell cycles events conversation sending config refusals; do
                check "valgrind: $program" under_valgrind "$program"
            done
            ;;
        *) echo "no such kind: $kind" >&2 && exit 2 ;;
    esac
done
end_checks
