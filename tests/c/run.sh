#!/usr/bin/env bash
# Do the C programs in the folders beside this script pass against an installed cmempool?
#
# usage: tests/c/run.sh PREFIX
#
# Builds them as a user would, from PREFIX with pkg-config, with each compiler there is, linked
# shared and static, with _FORTIFY_SOURCE and with link-time optimisation, and runs them, once more
# under valgrind where that is installed; newer.c in other languages, attributes.c at other levels of
# optimisation, too. Prints a line for each failure and a last line with the counts; ends with 1 if
# anything failed.
set -euo pipefail

die() {
    echo "tests/c/run.sh: $1" >&2
    exit 1
}

command -v cc >/dev/null || die "a C compiler is needed, and 'cc' is not on the PATH"
command -v pkg-config >/dev/null || die "'pkg-config' is needed, and it is not on the PATH"
[ $# -eq 1 ] || die "usage: tests/c/run.sh PREFIX"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/variants.sh
source "$here/../variants.sh"
[ -f "$1/include/cmempool.h" ] || die "no installed cmempool below $1"
prefix=$(cd "$1" && pwd)

export PKG_CONFIG_PATH="$prefix/lib/pkgconfig" LD_LIBRARY_PATH="$prefix/lib"
pkg-config --exists --print-errors cmempool || die "pkg-config does not know cmempool"
# A program with the static library opens this one, too.
export CMEMPOOL_TEST_LIBRARY="$prefix/lib/libcmempool.so.1"
shared_flags=$(pkg-config --cflags --libs cmempool)
static_flags=$(pkg-config --static --cflags --libs cmempool)
# The archive by its name, or the linker would take the shared library next to it.
static_flags=${static_flags//-lcmempool/-l:libcmempool.a}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/results"
# Seconds for one program: some take ten under valgrind, on a machine with nothing else to do.
limit=240
export here work limit shared_flags static_flags

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

build_and_run() { # program compiler linkage flags,with,commas [standard, unless it is C11]
    local job=$1-$2-$3$4${5:+-$5} status=0 flags=$shared_flags language=c
    [[ ${5:-} != c++* ]] || language=c++
    [ "$3" = shared ] || flags=$static_flags
    # The flags are words of their own.
    # shellcheck disable=SC2086
    {
        "$2" "-std=${5:-c11}" -Wall -Wextra -Wpedantic -Werror ${4//,/ } -g -x $language "$here"/*/"$1.c" \
            -x none -o "$work/$job" $flags -pthread && timeout "$limit" "$work/$job"
    } >"$work/$job.out" 2>&1 || status=$?
    if [ $status -eq 0 ] && ! grep -qx 'ok [1-9][0-9]*' "$work/$job.out"; then
        status=1
    fi
    conclude "$job" $status "$work/$job.out"
}

run_under_valgrind() { # program
    local job=$1-valgrind status=0
    # Children that abort on purpose are of no interest to it.
    # The pools that a user without valgrind has: of those that it is told of, watched.c knows.
    CMEMPOOL_OPTIONS=unwatched CMEMPOOL_TEST_VALGRIND=1 timeout "$limit" valgrind -q --error-exitcode=1 --leak-check=full \
        --child-silent-after-fork=yes "$work/$1-gcc-shared-O2" >"$work/$job.out" 2>&1 || status=$?
    conclude "$job" $status "$work/$job.out"
}
export -f conclude build_and_run run_under_valgrind

in_parallel() { # function: reads its arguments, a line for each call
    # The shell that is started takes the arguments.
    # shellcheck disable=SC2016
    xargs -r -P "$(nproc)" -L 1 bash -c '"$0" "$@"' "$1"
}

programs=()
for source in "$here"/*/*.c; do
    source=${source##*/}
    programs+=("${source%.c}")
done

skipped=0
skip() { # what it was, how many jobs
    echo "skipped: $1"
    skipped=$((skipped + $2))
}

variants=()
for compiler in gcc clang; do
    if ! command -v $compiler >/dev/null; then
        skip "$compiler is not installed" $((4 * ${#programs[@]}))
        continue
    fi
    variants+=("$compiler shared -O2" "$compiler static -O2")
    [ $compiler = clang ] || variants+=("$compiler shared -O0")
    # Each says itself why it is not there.
    flags=$(fortified_flags $compiler c)
    [ -z "$flags" ] || variants+=("$compiler shared $flags")
    flags=$(link_time_flags $compiler c)
    [ -z "$flags" ] || variants+=("$compiler static $flags")
done
[ ${#variants[@]} -gt 0 ] || variants=("cc shared -O2" "cc static -O2")

jobs=()
for program in "${programs[@]}"; do
    for variant in "${variants[@]}"; do
        jobs+=("$program $variant")
    done
done
# What the header promises compilers, they believe at some levels and not at others.
for levels in "gcc -O1" "gcc -O3" "clang -O0" "clang -O1" "clang -O3"; do
    ! command -v "${levels% *}" >/dev/null || jobs+=("attributes ${levels% *} shared ${levels#* }")
done
for dialect in "gcc c99" "clang c99" "g++ c++11" "clang++ c++11"; do
    if command -v "${dialect% *}" >/dev/null; then
        jobs+=("newer ${dialect% *} shared -O2 ${dialect#* }")
    else
        skip "newer.c as ${dialect#* }: ${dialect% *} is not installed" 1
    fi
done
expected=${#jobs[@]}
printf '%s\n' "${jobs[@]}" | in_parallel build_and_run

built=()
for program in "${programs[@]}"; do
    [ ! -x "$work/$program-gcc-shared-O2" ] || built+=("$program")
done
if ! command -v valgrind >/dev/null; then
    skip "valgrind is not installed" ${#programs[@]}
else
    if [ ${#built[@]} -lt ${#programs[@]} ]; then
        skip "valgrind for what gcc did not build" $((${#programs[@]} - ${#built[@]}))
    fi
    expected=$((expected + ${#built[@]}))
    printf '%s\n' "${built[@]}" | in_parallel run_under_valgrind
fi

passed=$(find "$work/results" -type f -empty | wc -l)
failed=$(find "$work/results" -type f ! -empty | wc -l)
[ $((passed + failed)) -eq "$expected" ] || die "only $((passed + failed)) of $expected jobs ended"
summary="$passed passed, $failed failed"
[ "$skipped" -eq 0 ] || summary+=", $skipped skipped"
echo "$summary"
[ "$failed" -eq 0 ]
