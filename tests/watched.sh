#!/usr/bin/env bash
# Do AddressSanitizer, Valgrind and ThreadSanitizer see into pools?
#
# usage: tests/watched.sh PREFIX
#
# Builds the programs in tests/watched against the library installed below PREFIX, as a user would: each
# bug in them must be reported by each tool that is installed and can see it, and the programs without
# one by none. What a tool does not see, as the documents say, it must not: else they are out of date.
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

build() { # compiler, source, program, further flags
    local compiler=$1 source=$2 program=$3
    shift 3
    "$compiler" -std=c11 -Wall -Wextra -Wpedantic -Werror -Wno-unknown-warning-option -Wno-stringop-overflow -O1 -g \
        "$here/watched/$source.c" -o "$work/$program" "$@" -I"$prefix/include" -L"$prefix/lib" \
        -lcmempool -Wl,-rpath,"$prefix/lib" -pthread 2>"$work/$program.log" ||
        die "$program does not build: $(head -n 3 "$work/$program.log")"
}

# A shell in between would say that a program was aborted.
runs() { # command...
    local status=0
    { "$@" >"$work/out" 2>&1; } 2>/dev/null || status=$?
    return $status
}

passed=0
see() { # tool, list, what a report has in it, command...
    local tool=$1 list=$2 sign=$3 bug status
    shift 3
    for bug in $("$work/plain" list "$list"); do
        status=0
        runs "$@" "$bug" || status=$?
        if [[ $bug == none* ]]; then
            [ $status -eq 0 ] || die "$tool reports '$bug': $(grep -m 1 -E "$sign|lost in loss|Leak" "$work/out")"
        else
            [ $status -ne 0 ] && grep -q "$sign" "$work/out" ||
                die "$tool does not report '$bug' (status $status)"
        fi
        passed=$((passed + 1))
    done
}

overlook() { # tool, list, what a report has in it, command...
    local tool=$1 list=$2 sign=$3 bug
    shift 3
    for bug in $("$work/plain" list "$list"); do
        runs "$@" "$bug" || true
        ! grep -q "$sign" "$work/out" || die "$tool reports '$bug', and the documents say that it does not"
        passed=$((passed + 1))
    done
}

can() { # compiler, flag
    echo 'int main(void){return 0;}' | "$1" -x c - "$2" -o "$work/probe" 2>/dev/null && "$work/probe"
}

address='ERROR: AddressSanitizer'
build cc bugs plain
skipped=()
for compiler in gcc clang; do
    if ! command -v "$compiler" >/dev/null; then
        skipped+=("$compiler is not installed")
        continue
    fi
    if ! can "$compiler" -fsanitize=address; then
        skipped+=("$compiler has no AddressSanitizer")
    else
        tool="$compiler's AddressSanitizer" program=$work/asan-$compiler
        build "$compiler" bugs "asan-$compiler" -fsanitize=address
        for words in hardened bypass hardened,bypass; do
            see "$tool, $words" asan "$address" env CMEMPOOL_OPTIONS=$words "$program"
        done
        see "$tool" asan "$address" "$program"
        # What nobody sees that is built with the tool, a hardened pool sees when it looks.
        see "$tool, hardened" hardened 'cmempool: ' env CMEMPOOL_OPTIONS=hardened "$program"
        overlook "$tool, hardened" hardened "$address" env CMEMPOOL_OPTIONS=hardened "$program"
        # Leaked entries are not told, but where the heap has them or they are asked for at destroy.
        runs "$program" leak || die "$tool reports a leak, and the documents say that it does not"
        ! runs env CMEMPOOL_OPTIONS=bypass "$program" leak && grep -q 'LeakSanitizer' "$work/out" ||
            die "$tool, bypass, does not report a leak"
        runs env CMEMPOOL_OPTIONS=leaks "$program" leak_at_destroy &&
            grep -q 'cmempool: leak of 1 entry' "$work/out" || die "$tool, leaks: no leak at destroy"
        passed=$((passed + 3))
    fi
    if ! can "$compiler" -fsanitize=thread; then
        skipped+=("$compiler has no ThreadSanitizer, or it does not run here")
    else
        tool="$compiler's ThreadSanitizer" program=$work/tsan-$compiler
        build "$compiler" threads "tsan-$compiler" -fsanitize=thread
        for words in '' hardened bypass; do
            for pool in none_in_a_pool none_zeroing none_ranged none_in_bulk none_from_the_heap none_of_their_own; do
                runs env CMEMPOOL_OPTIONS=$words "$program" $pool ||
                    die "$tool, '$words', reports '$pool': $(grep -m 1 WARNING "$work/out")"
                passed=$((passed + 1))
            done
            ! runs env CMEMPOOL_OPTIONS=$words "$program" race &&
                grep -q 'ThreadSanitizer: data race' "$work/out" ||
                die "$tool, '$words', does not report a race"
            passed=$((passed + 1))
        done
    fi
done
if command -v valgrind >/dev/null; then
    memcheck=(valgrind --error-exitcode=1 --leak-check=full)
    invalid='Invalid \(read\|write\)'
    for words in '' hardened bypass; do
        see "memcheck, '$words'" memcheck "$invalid" env CMEMPOOL_OPTIONS=$words "${memcheck[@]}" "$work/plain"
    done
    overlook memcheck not_memcheck "$invalid" "${memcheck[@]}" "$work/plain"
    ! runs "${memcheck[@]}" "$work/plain" leak && grep -q 'are definitely lost in loss' "$work/out" ||
        die "memcheck does not report a leak"
    passed=$((passed + 1))
else
    skipped+=("valgrind is not installed")
fi
for why in "${skipped[@]}"; do
    echo "skipped: $why"
done
echo "$passed bugs and clean runs told apart"
