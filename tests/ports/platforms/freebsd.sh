# shellcheck shell=bash disable=SC2034,SC2154
# x86-64 FreeBSD: the library and a program are built, with zig's compiler and headers. Nothing runs.
label='x86-64 FreeBSD'
target=x86_64-unknown-freebsd
zig_target=x86_64-freebsd
built_only=yes
libraries=(-lpthread)
# shellcheck source=tests/ports/zig.bash
source "$here/zig.bash"
