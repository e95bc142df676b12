#!/usr/bin/env bash
# tools/ensure.sh COMMAND...: makes sure each command is there; what is missing is installed on Debian and its kin,
# and named elsewhere. Fails if something is still missing.
set -euo pipefail

package_of() {
    case $1 in
        cc) echo gcc ;;
        readelf | nm) echo binutils ;;
        node) echo nodejs ;;
        go) echo golang-go ;;
        turnserver) echo coturn ;;
        nft) echo nftables ;;
        ip | ss) echo iproute2 ;;
        unshare | nsenter) echo util-linux ;;
        *) echo "$1" ;;
    esac
}

# nightly-src is no command: the nightly Rust with the sources of its standard library.
has_nightly_src() {
    [ -d "$(rustc +nightly --print sysroot 2>/dev/null)/lib/rustlib/src/rust/library/std" ]
}

# gcc-m32 is none either, but an ability: to compile for 32 bit on x86_64. Elsewhere nothing asks for it.
compiles_for_32_bit() {
    [ "$(uname -m)" != x86_64 ] || echo '#include <stdint.h>' | gcc -m32 -fsyntax-only -xc - 2>/dev/null
}

# Nor is python3-venv: Debian's Python cannot make environments without it.
makes_python_environments() {
    python3 -m ensurepip --version >/dev/null 2>&1
}

# peer-X is what it takes to build the library X in, which the benches measure beside ours.
builds_peer() {
    case $1 in
        enet) echo 'int main(void) { return 0; }' | cc -xc - -lenet -o /dev/null 2>/dev/null ;;
        gns)
            for needed in c++ cmake pkg-config protoc; do
                command -v "$needed" >/dev/null || return
            done
            pkg-config --exists openssl protobuf && compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' >/dev/null
            ;;
    esac
}

packages_of_peer() {
    case $1 in
        enet) echo libenet-dev ;;
        gns) echo cmake g++ libclang-dev libprotobuf-dev libssl-dev pkg-config protobuf-compiler ;;
    esac
}

# python3-cryptography is no command either, and Debian's Python need not be the first on the path.
python_has_cryptography() {
    local python
    for python in python3 /usr/bin/python3; do
        if "$python" -c 'import cryptography' 2>/dev/null; then return 0; fi
    done
    return 1
}

missing=()
for command in "$@"; do
    if [ "$command" = cargo ]; then
        command -v cargo >/dev/null || {
            echo "Rust is missing. Get it from https://rustup.rs (version 1.89 or newer), then try again:" >&2
            echo "    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh" >&2
            exit 1
        }
    elif [ "$command" = nightly-src ]; then
        has_nightly_src || rustup toolchain install nightly --profile minimal --component rust-src
    elif [ "$command" = valgrind ]; then
        # It reads the C library's own debugging information.
        command -v valgrind >/dev/null || missing+=(valgrind libc6-dbg)
    elif [ "$command" = gcc-m32 ]; then
        compiles_for_32_bit || missing+=(gcc-multilib)
    elif [ "$command" = python3-venv ]; then
        makes_python_environments || missing+=(python3-venv)
    elif [[ $command = peer-* ]]; then
        peer=${command#peer-}
        # shellcheck disable=SC2207 # names of packages have no spaces
        builds_peer "$peer" || missing+=($(packages_of_peer "$peer"))
    elif [ "$command" = python3-cryptography ]; then
        python_has_cryptography || missing+=(python3-cryptography)
    elif ! command -v "$command" >/dev/null; then
        missing+=("$(package_of "$command")")
    fi
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo)
if ! command -v apt-get >/dev/null || ! { [ "$(id -u)" = 0 ] || command -v sudo >/dev/null; }; then
    echo "Please install: ${missing[*]}" >&2
    exit 1
fi
echo "installing ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
install_missing() {
    "${as_root[@]}" apt-get update && "${as_root[@]}" apt-get install -y --no-install-recommends "${missing[@]}"
}
install_missing >"$log" 2>&1 || {
    cat "$log" >&2
    exit 1
}
