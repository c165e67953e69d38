# shellcheck shell=bash disable=SC2034,SC2154
# 64-bit Arm macOS: the library and a program are built, with zig's compiler and headers. Nothing runs.
label='arm64 macOS'
target=aarch64-apple-darwin
installed=("libcmempool.$version.dylib" "libcmempool.${version%%.*}.dylib" libcmempool.dylib libcmempool.a)
zig_target=aarch64-macos
built_only=yes
keep_hidden=yes
libraries=()
# shellcheck source=tests/ports/zig.bash
source "$here/zig.bash"
