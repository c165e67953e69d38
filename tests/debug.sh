#!/usr/bin/env bash
# Do debuggers and profilers name the functions of the installed library?
#
# usage: tests/debug.sh PREFIX
#
# Copies the tree installed below PREFIX and adds what `make install-debug` installs. A tool that is not
# installed is skipped, by name.
set -euo pipefail

die() {
    echo "tests/debug.sh: $1" >&2
    exit 1
}

[ $# -eq 1 ] || die "usage: tests/debug.sh PREFIX"
[ -f "$1/include/cmempool.h" ] || die "no installed cmempool below $1"
for tool in cc make readelf addr2line nm; do
    command -v "$tool" >/dev/null || die "'$tool' is needed, and it is not on the PATH"
done
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prefix=$work/prefix
cp -r "$1" "$prefix"
rm -rf "$prefix"/lib/{.debug,debug}
library=$(readlink -f "$prefix/lib/libcmempool.so")
unset MAKEFLAGS MFLAGS MAKELEVEL DESTDIR LIBDIR DEBUGDIR DEBUGINFOD_URLS

cc -std=c11 -Wall -Wextra -Wpedantic -Werror -O0 -g "$here/debug/twice.c" -o "$work/twice" \
    -I"$prefix/include" -L"$prefix/lib" -lcmempool -Wl,-rpath,"$prefix/lib"

# A shell in between would say that a program was aborted.
output() { # command...
    { "$@" >"$work/out" 2>&1 || true; } 2>/dev/null
}

has() { # what prints it, pattern
    grep -qE "$2" "$work/out" || die "$1 does not show '$2': $(tail -n 20 "$work/out")"
}

skip() { # tool
    command -v "$1" >/dev/null && return 1
    echo "skipped: $1 and debug information: $1 is not installed"
}

# ---- Without debug information: the exported functions, each by its own name.
for name in mempool_free_entry r_mempool_free_entry _mempool_free_entry mempool_destroy; do
    address=$(nm -D "$library" | sed -n "s/ T $name@.*//p")
    output addr2line -f -e "$library" "$address"
    has addr2line "^$name(@|\$)"
done
if ! skip valgrind; then
    for name in mempool_free_entry r_mempool_free_entry; do
        ranged=()
        [ $name = mempool_free_entry ] || ranged=(ranged)
        CMEMPOOL_OPTIONS=unwatched output valgrind --tool=callgrind \
            "--callgrind-out-file=$work/calls" "$work/twice" "${ranged[@]}"
        grep -oE "[_a-z]*mempool_free_entry" "$work/calls" | sort -u >"$work/out"
        [ "$(<"$work/out")" = $name ] || die "callgrind calls $name $(<"$work/out")"
    done
fi
if ! skip gdb; then
    output gdb -nx -batch -ex run -ex bt "$work/twice"
    grep -q ' cmempool::' "$work/out" && die "the library has debug information before it is installed"
fi

# ---- With it.
before=$(sha256sum <"$library")
make -C "$here/.." install-debug "PREFIX=$prefix" >"$work/out" 2>&1 || die "$(<"$work/out")"
[ "$(sha256sum <"$library")" = "$before" ] || die "install-debug changes the library"
id=$(readelf -n "$library" | sed -n 's/.*Build ID: //p')
file=$prefix/lib/debug/.build-id/${id::2}/${id:2}.debug
[ -f "$file" ] || die "$file is missing"
[ "$(readelf -n "$file" | sed -n 's/.*Build ID: //p')" = "$id" ] || die "$file has another build ID"
[ "$(readlink -f "$prefix/lib/.debug/${library##*/}.debug")" = "$(readlink -f "$file")" ] ||
    die "no link next to the library leads to $file"
output readelf -SW "$library"
has readelf gnu_debuglink
! grep -qE '\.(symtab|debug_)' "$work/out" || die "the installed library is not stripped"
output readelf --debug-dump=info "$file"
! grep -qF "$(cd "$here/.." && pwd)" "$work/out" || die "$file names the directory of the build"

frames='cmempool::report::misuse::Misuse::stop.*misuse\.rs:[0-9]'
if ! skip gdb; then
    # By the link; and by build ID, without it.
    output gdb -nx -batch -ex run -ex bt "$work/twice"
    has gdb "$frames"
    for name in mempool_free_entry r_mempool_free_entry; do
        ranged=()
        [ $name = mempool_free_entry ] || ranged=(ranged)
        output gdb -nx -batch -ex 'set breakpoint pending on' -ex "break $name" -ex run -ex bt \
            --args "$work/twice" "${ranged[@]}"
        has gdb "^#[0-9] .*::$name \(\) at src/capi/"
    done
    mv "$prefix/lib/.debug" "$work/aside"
    output gdb -nx -batch -ex run -ex bt "$work/twice"
    ! grep -q ' cmempool::' "$work/out" || die "gdb finds debug information without being told where"
    output gdb -nx -batch -iex "set debug-file-directory $prefix/lib/debug" -ex run -ex bt "$work/twice"
    has 'gdb with debug-file-directory' "$frames"
    mv "$work/aside" "$prefix/lib/.debug"
fi
if ! skip valgrind; then
    output valgrind "$work/twice"
    has valgrind 'cmempool::report::misuse::Misuse::stop \(misuse\.rs:[0-9]'
fi

make -C "$here/.." uninstall "PREFIX=$prefix" >"$work/out" 2>&1 || die "$(<"$work/out")"
left=$(find "$prefix" -name '*debug*')
[ -z "$left" ] || die "uninstall leaves $left"

echo "functions have their names: addr2line, gdb, Valgrind"
