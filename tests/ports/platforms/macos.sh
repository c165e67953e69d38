# shellcheck shell=bash disable=SC2034,SC2154
# 64-bit Arm macOS: the library and a program are built, with zig's compiler and headers. Nothing runs.
target=aarch64-apple-darwin
zig_target=aarch64-macos
# Rust asks for a library that zig has not, and nothing of it is used.
zig_drops='-liconv'
built_only=yes
keep_hidden=yes
libraries=()
# shellcheck source=tests/ports/zig.bash
source "$here/zig.bash"

install_library() { # where cargo built it
    install -m 755 "$1/libcmempool.dylib" "$work/lib/libcmempool.dylib"
    cp "$1/libcmempool.a" "$work/lib/libcmempool.a"
}
