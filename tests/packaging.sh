#!/usr/bin/env bash
# tests/packaging.sh: installs into scratch folders and builds against them as a user would: pkg-config, CMake, plain
# compiler; shared and static; C99 and C++11.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=tools/check.sh
. "$top/tools/check.sh"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
prefix=$scratch/prefix
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig

installs() {
    make -C "$top" --no-print-directory install PREFIX="$prefix"
    [ "$(readlink "$prefix/lib/libsteamnetmsg.so")" = libsteamnetmsg.so.1 ]
    [ -f "$prefix/lib/libsteamnetmsg.so.1" ]
    [ -f "$prefix/lib/libsteamnetmsg.a" ]
    cmp "$top/include/steamnetmsg.h" "$prefix/include/steamnetmsg.h"
    "$prefix/bin/steamnetmsg" --version
    "$prefix/bin/steamnetmsg-server" --version
}

soname_carries_the_abi_version() {
    readelf -d "$prefix/lib/libsteamnetmsg.so" | tee /dev/stderr | grep -q 'soname: \[libsteamnetmsg\.so\.1\]'
}

only_snm_is_exported() {
    local others
    nm -D --defined-only "$prefix/lib/libsteamnetmsg.so" | tee "$scratch/symbols" | grep -q ' snm_send_message_to_user'
    others=$(awk '{ print $NF }' "$scratch/symbols" | grep -v '^snm_' || true)
    [ -z "$others" ] || { echo "exported too: $others"; return 1; }
}

header_compiles() {
    printf '#include <steamnetmsg.h>\nint main(void) { return 0; }\n' >"$scratch/h.c"
    cp "$scratch/h.c" "$scratch/h.cpp"
    gcc -std=c99 -Wall -Wextra -pedantic -Werror -fsyntax-only -I"$prefix/include" "$scratch/h.c"
    g++ -std=c++11 -Wall -Wextra -pedantic -Werror -fsyntax-only -I"$prefix/include" "$scratch/h.cpp"
}

examples_compile_without_a_warning() {
    make -C "$top/examples-c" --no-print-directory OUT="$scratch/pkg" CFLAGS="-O2 -Werror"
    "$scratch/pkg/hello"
}

links_statically() {
    # shellcheck disable=SC2046 # pkg-config's words are meant to be words
    gcc -std=c99 "$top/examples-c/hello.c" $(pkg-config --cflags steamnetmsg) -o "$scratch/static-hello" \
        "$(pkg-config --variable=libdir steamnetmsg)/libsteamnetmsg.a" \
        $(pkg-config --static --libs-only-l steamnetmsg | sed 's/-lsteamnetmsg//')
    if ldd "$scratch/static-hello" | grep steamnetmsg; then return 1; fi
    "$scratch/static-hello"
}

links_with_the_plain_compiler() {
    gcc -std=c99 "$top/examples-c/hello.c" -I"$prefix/include" -L"$prefix/lib" -lsteamnetmsg -o "$scratch/plain-hello"
    LD_LIBRARY_PATH=$prefix/lib "$scratch/plain-hello"
}

builds_with_cmake() {
    cmake -S "$top/examples-c" -B "$scratch/cmake" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_C_FLAGS=-Werror
    cmake --build "$scratch/cmake"
    "$scratch/cmake/hello"
}

cmake_finds_the_static_library() {
    mkdir "$scratch/cmake-static-source"
    cat >"$scratch/cmake-static-source/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.16)
project(static_hello LANGUAGES C)
find_package(steamnetmsg 0.1 REQUIRED)
add_executable(hello $top/examples-c/hello.c)
target_link_libraries(hello PRIVATE steamnetmsg::static)
END
    cmake -S "$scratch/cmake-static-source" -B "$scratch/cmake-static" -DCMAKE_PREFIX_PATH="$prefix"
    cmake --build "$scratch/cmake-static"
    if ldd "$scratch/cmake-static/hello" | grep steamnetmsg; then return 1; fi
    "$scratch/cmake-static/hello"
}

# A tree moved after its installation, with the libraries two folders deep, as distributions have them.
cmake_package_can_be_moved() {
    make -C "$top" --no-print-directory install PREFIX=/usr LIBDIR=/usr/lib/x86_64-linux-gnu DESTDIR="$scratch/staged"
    mv "$scratch/staged" "$scratch/moved"
    cmake -S "$top/examples-c" -B "$scratch/cmake-moved" \
        -Dsteamnetmsg_DIR="$scratch/moved/usr/lib/x86_64-linux-gnu/cmake/steamnetmsg"
    cmake --build "$scratch/cmake-moved"
    "$scratch/cmake-moved/hello"
}

uninstalls() {
    make -C "$top" --no-print-directory uninstall PREFIX="$prefix"
    find "$prefix" -not -type d | tee /dev/stderr | wc -l | grep -qx 0
}

check "packaging: make install" installs
check "packaging: the soname carries the ABI version" soname_carries_the_abi_version
check "packaging: only snm_ names are exported" only_snm_is_exported
check "packaging: the header compiles as C99 and C++11" header_compiles
check "packaging: pkg-config, shared, no warnings" examples_compile_without_a_warning
check "packaging: pkg-config, static" links_statically
check "packaging: plain compiler" links_with_the_plain_compiler
check "packaging: CMake, shared" builds_with_cmake
check "packaging: CMake, static" cmake_finds_the_static_library
check "packaging: the CMake package can be moved" cmake_package_can_be_moved
check "packaging: make uninstall leaves nothing" uninstalls
end_checks
