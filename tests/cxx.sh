#!/usr/bin/env bash
# Do the C++ programs in tests/cxx work with an installed cmempool.hpp, in each standard?
#
# usage: tests/cxx.sh PREFIX
#
# Builds each with each C++ compiler there is, and clang++ with each standard library, as it is and
# with AddressSanitizer and UndefinedBehaviorSanitizer, without a warning; in one standard with
# _FORTIFY_SOURCE and with link-time optimisation, too. Prints a line for each failure and a last line
# with the counts; ends with 1 if anything failed.
set -euo pipefail

die() {
    echo "tests/cxx.sh: $1" >&2
    exit 1
}

[ $# -eq 1 ] || die "usage: tests/cxx.sh PREFIX"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/variants.sh
source "$here/variants.sh"
[ -f "$1/include/cmempool.hpp" ] || die "no installed cmempool below $1"
prefix=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/results"
limit=240 # seconds for one program
# The program itself sees to allocations that fail.
export ASAN_OPTIONS=allocator_may_return_null=1 UBSAN_OPTIONS=halt_on_error=1
export here prefix work limit

# Notes how a job ended: nothing for success, else one line.
conclude() { # job status output-file
    if [ "$2" -eq 0 ]; then
        : >"$work/results/$1"
    else
        [ "$2" -ne 124 ] || echo "(stopped after $limit seconds)" >>"$3"
        echo "FAILED $1 (status $2): $(head -c 2000 "$3" | tr '\n' '|' | sed 's/|$//; s/|/ | /g')" |
            tee "$work/results/$1"
    fi
}

build_and_run() { # program compiler standard [flags: words with | in between]
    local job=$1-$2-$3${4:-} status=0
    # Each flag is a word of its own.
    # shellcheck disable=SC2086
    {
        "$2" "-std=$3" -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror -g ${4//|/ } \
            "$here/cxx/$1.cpp" "$work/unit-$2.o" -o "$work/$job" -I"$prefix/include" -L"$prefix/lib" -lcmempool \
            -Wl,-rpath,"$prefix/lib" -pthread && timeout "$limit" "$work/$job"
    } >"$work/$job.out" 2>&1 || status=$?
    if [ $status -eq 0 ] && ! grep -qx 'ok [1-9][0-9]*' "$work/$job.out"; then
        status=1
    fi
    conclude "$job" $status "$work/$job.out"
}

# For programs without exceptions and type information.
check_bare() { # compiler standard
    local job=bare-$1-$2 status=0
    "$1" "-std=$2" -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror -fno-exceptions \
        -fno-rtti -fsyntax-only "$here/cxx/unit.cpp" -I"$prefix/include" >"$work/$job.out" 2>&1 || status=$?
    conclude "$job" $status "$work/$job.out"
}
export -f conclude build_and_run check_bare

programs=()
for source in "$here"/cxx/*.cpp; do
    source=${source##*/}
    [ "$source" = unit.cpp ] || programs+=("${source%.cpp}")
done

# clang++ with the standard library of its own, under a name that stands for both.
printf '#!/bin/sh\nexec clang++ -stdlib=libc++ "$@"\n' >"$work/clang++-libc++"
chmod +x "$work/clang++-libc++"
PATH=$work:$PATH

jobs=()
for compiler in g++ clang++ clang++-libc++; do
    if ! echo '#include <map>' | "$compiler" -x c++ -fsyntax-only - 2>/dev/null; then
        echo "skipped: $compiler is not installed, or has no standard library"
        continue
    fi
    # Of the oldest standard: programs have units of more than one.
    "$compiler" -std=c++11 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror -g -c "$here/cxx/unit.cpp" \
        -o "$work/unit-$compiler.o" -I"$prefix/include"
    sanitized=-fsanitize=address,undefined
    if ! echo 'int main() { return 0; }' |
        "$compiler" -x c++ - $sanitized -o "$work/probe" 2>/dev/null; then
        echo "skipped: $compiler has no sanitizers"
        sanitized=
    fi
    has_resources=true
    if ! echo '#include <memory_resource>' |
        "$compiler" -std=c++17 -x c++ -fsyntax-only - 2>/dev/null; then
        echo "skipped: resource, since $compiler has no <memory_resource>"
        has_resources=
    fi
    jobs+=("build_and_run nodes $compiler c++17 -DNODES_UNKNOWN_LIBRARY")
    # Its containers have other iterators.
    [ "$compiler" != g++ ] || jobs+=("build_and_run nodes g++ c++17 -D_GLIBCXX_DEBUG")
    optimised="$(fortified_flags "$compiler" c++) $(link_time_flags "$compiler" c++)"
    for standard in 11 14 17 20; do
        jobs+=("check_bare $compiler c++$standard")
        for program in "${programs[@]}"; do
            if [ "$program" = resource ] && { [ -z "$has_resources" ] || [ "$standard" -lt 17 ]; }; then
                continue
            fi
            jobs+=("build_and_run $program $compiler c++$standard")
            # Sizes are the same with sanitizers and optimised, and the program takes long to compile.
            [ -z "$sanitized" ] || [ "$program" = nodes ] ||
                jobs+=("build_and_run $program $compiler c++$standard $sanitized")
            [ "$standard" -eq 17 ] && [ "$program" != nodes ] || continue
            for flags in $optimised; do
                jobs+=("build_and_run $program $compiler c++$standard ${flags//,/|}")
            done
        done
    done
done
[ ${#jobs[@]} -gt 0 ] || exit 0
printf '%s\n' "${jobs[@]}" | xargs -r -P "$(nproc)" -L 1 bash -c '"$@"' run

passed=$(find "$work/results" -type f -empty | wc -l)
failed=$(find "$work/results" -type f ! -empty | wc -l)
[ $((passed + failed)) -eq ${#jobs[@]} ] || die "only $((passed + failed)) of ${#jobs[@]} jobs ended"
echo "C++: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
