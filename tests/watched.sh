#!/usr/bin/env bash
# Do AddressSanitizer and Valgrind see into pools?
#
# usage: tests/watched.sh PREFIX
#
# Builds tests/watched/bugs.c against the library installed below PREFIX, as a user would: each bug in
# it must be reported by each tool that is installed, and the program without one by none.
set -euo pipefail

die() {
    echo "tests/watched.sh: $1" >&2
    exit 1
}

[ $# -eq 1 ] || die "usage: tests/watched.sh PREFIX"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ -f "$1/include/cmempool.h" ] || die "no installed cmempool below $1"
prefix=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

build() { # compiler, program, further flags
    local compiler=$1 program=$2
    shift 2
    "$compiler" -std=c11 -Wall -Wextra -Wpedantic -Werror -Wno-unknown-warning-option -Wno-stringop-overflow -O1 -g \
        "$here/watched/bugs.c" -o "$work/$program" "$@" -I"$prefix/include" -L"$prefix/lib" \
        -lcmempool -Wl,-rpath,"$prefix/lib" 2>"$work/$program.log" ||
        die "$program does not build: $(head -n 3 "$work/$program.log")"
}

passed=0
see() { # tool, what a report has in it, command...
    local tool=$1 sign=$2 bug status
    shift 2
    for bug in $("$work/plain" list); do
        status=0
        "$@" "$bug" >"$work/out" 2>&1 || status=$?
        if [[ $bug == none* ]]; then
            [ $status -eq 0 ] || die "$tool reports '$bug': $(grep -m 1 -E "$sign|lost in loss|Leak" "$work/out")"
        else
            [ $status -ne 0 ] && grep -q "$sign" "$work/out" ||
                die "$tool does not report '$bug' (status $status)"
        fi
        passed=$((passed + 1))
    done
}

build cc plain
skipped=()
for compiler in gcc clang; do
    if ! command -v "$compiler" >/dev/null; then
        skipped+=("$compiler is not installed")
    elif ! echo 'int main(void){return 0;}' |
        "$compiler" -x c - -fsanitize=address -o "$work/probe" 2>/dev/null; then
        skipped+=("$compiler has no AddressSanitizer")
    else
        build "$compiler" "asan-$compiler" -fsanitize=address
        see "$compiler's AddressSanitizer" 'ERROR: AddressSanitizer' "$work/asan-$compiler"
        see "$compiler's AddressSanitizer, hardened" 'ERROR: AddressSanitizer' \
            env CMEMPOOL_OPTIONS=hardened "$work/asan-$compiler"
        see "$compiler's AddressSanitizer, bypassed" 'ERROR: AddressSanitizer' \
            env CMEMPOOL_OPTIONS=bypass "$work/asan-$compiler"
    fi
done
if command -v valgrind >/dev/null; then
    memcheck=(valgrind --error-exitcode=1 --leak-check=full)
    see memcheck 'Invalid \(read\|write\)' "${memcheck[@]}" "$work/plain"
    see 'memcheck, hardened' 'Invalid \(read\|write\)' env CMEMPOOL_OPTIONS=hardened \
        "${memcheck[@]}" "$work/plain"
    see 'memcheck, bypassed' 'Invalid \(read\|write\)' env CMEMPOOL_OPTIONS=bypass \
        "${memcheck[@]}" "$work/plain"
else
    skipped+=("valgrind is not installed")
fi
for why in "${skipped[@]}"; do
    echo "skipped: $why"
done
echo "$passed bugs and clean runs told apart"
