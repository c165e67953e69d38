#!/usr/bin/env bash
# What do the sanitizers and valgrind find in the library while its tests run?
#
# usage: tests/sanitize/run.sh PREFIX TARGET [TOOL...]
#
# PREFIX has an installed cmempool, TARGET is a directory to build in. Runs all tools, or those
# named: address, leak and thread run the Rust tests and the C tests with an instrumented library
# (leak the Rust tests alone: in the C tests, address looks for leaks too); memcheck runs the C tests
# with the library as it is installed. Prints what they found and, at the end, a table. Ends with 1 if
# anything was found or failed.
#
# What is by design and no finding is in *.supp beside this file, with the reason.
set -euo pipefail

die() {
    echo "tests/sanitize/run.sh: $1" >&2
    exit 1
}

[ $# -ge 2 ] || die "usage: tests/sanitize/run.sh PREFIX TARGET [TOOL...]"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
[ -f "$1/include/cmempool.h" ] || die "no installed cmempool below $1"
prefix=$(cd "$1" && pwd)
mkdir -p "$2"
target=$(cd "$2" && pwd)
shift 2
tools=("$@")
[ ${#tools[@]} -gt 0 ] || tools=(address leak thread memcheck helgrind)

cargo=${CARGO:-cargo}
machine=$(uname -m)-unknown-linux-gnu
limit=600 # seconds for one program
# The pools that a user without tools has: of those of which they are told, watched.sh knows.
export CMEMPOOL_OPTIONS=unwatched
table=()
bad=0

note() { # tool, what ran, findings
    table+=("$(printf '%-9s  %-58s  %s' "$1" "$2" "$3")")
    [ "$3" = 0 ] || [ "${3%% *}" = skipped: ] || bad=1
}

has_nightly() {
    "$cargo" +nightly --version >/dev/null 2>&1
}

has_rust_src() {
    [ -d "$(rustc +nightly --print sysroot)/lib/rustlib/src/rust/library" ]
}

# Programs that a tool can't run, and why.
unfit() { # tool program
    case $1-$2 in
    address-memory_calls | thread-memory_calls)
        echo "it counts calls with functions in the place of malloc's, where the tool has its own" ;;
    address-faults | thread-faults | thread-fork_moment)
        echo "it has functions in the place of the C library's that the tool calls before it is set up" ;;
    address-fork)
        echo "the tool's heap leaves its locks held in a child of fork" ;;
    address-pages | thread-pages)
        echo "it looks at what mlock does, which does nothing under the tool" ;;
    thread-misuse)
        echo "it frees what the tool's heap has nothing in front of, and reads there" ;;
    esac
}

# ---- The Rust tests ----

# The library is built anew for its tests, and with -Zbuild-std what it stands on, too: without,
# ThreadSanitizer would miss how std's threads and locks order things. One panic strategy, since
# cargo can't build std for two at a time.
rust_tests() { # tool
    local log=$target/$1-rust.log status=0 std=() count found
    [ "$1" != thread ] || std=(-Zbuild-std)
    (
        cd "$root"
        ASAN_OPTIONS=detect_leaks=1 TSAN_OPTIONS="suppressions=$here/thread.supp" \
            CARGO_PROFILE_DEV_PANIC=unwind RUSTFLAGS="-Zsanitizer=$1" CMEMPOOL_PREFIX='' \
            "$cargo" +nightly test --locked --no-fail-fast --lib --test model --test replay \
            --target "$machine" --target-dir "$target/rust-$1" "${std[@]}"
    ) >"$log" 2>&1 || status=$?
    count=$(sed -n 's/^test result: .* \([0-9]*\) passed.*/\1/p' "$log" | awk '{n += $1} END {print n + 0}')
    found=$(grep -cE '(ERROR|WARNING): (Address|Leak|Thread)Sanitizer' "$log" || true)
    if [ "$status" -ne 0 ] && [ "$found" -eq 0 ]; then
        grep -m 5 -E '^error|panicked|FAILED' "$log" || true
        found="failed, see $log"
    elif [ "$found" != 0 ]; then
        grep -m 1 -A 40 -E '(ERROR|WARNING): (Address|Leak|Thread)Sanitizer' "$log"
    fi
    note "$1" "$count Rust tests" "$found"
}

# ---- The C tests ----

# How many reports a program's processes wrote, but for those by design: a line of address.supp is a
# kind of report and the end of a function's name, which is on the stack then. Shows the first.
count_reports() { # directory program
    find "$1" -name "$2.report.*" -exec cat {} + | awk -v supp="$here/address.supp" '
        function conclude(  i, known) {
            for (i = 1; i <= n; i++)
                known = known || (index(report, kinds[i]) && index(report, functions[i] " "))
            if (report != "" && !known && !count++)
                print report >"/dev/stderr"
            report = ""
        }
        BEGIN {
            while ((getline line <supp) > 0)
                if (line !~ /^#/ && split(line, part) == 2) {
                    kinds[++n] = part[1]
                    functions[n] = part[2]
                }
        }
        /(ERROR|WARNING): (Address|Leak|Thread)Sanitizer|runtime error:/ { conclude() }
        /(ERROR|WARNING): (Address|Leak|Thread)Sanitizer|runtime error:/, /^SUMMARY/ { report = report $0 "\n" }
        END { conclude(); print count + 0 }'
}

c_tests() { # tool
    local work=$target/c-$1 flags extra=() ran=0 found=0 reason program name status reports
    rm -rf "$work"
    mkdir -p "$work"
    case $1 in
    address) flags=-fsanitize=address,undefined ;;
    thread) flags=-fsanitize=thread extra=("$here/tsan_names.c") ;;
    esac
    (
        cd "$root"
        RUSTFLAGS="-Zsanitizer=$1 -Zsanitizer-recover=$1 -Cdebuginfo=1" \
            "$cargo" +nightly rustc --locked --lib --release --crate-type staticlib \
            --target "$machine" --target-dir "$target/c-library-$1" -Zbuild-std=core,panic_abort
    ) >"$work/build.log" 2>&1 || { note "$1" "the library" "failed, see $work/build.log"; return; }
    for program in "$root"/tests/c/*/*.c; do
        name=$(basename "$program" .c)
        reason=$(unfit "$1" "$name")
        if [ -n "$reason" ]; then
            note "$1" "$name.c" "skipped: $reason"
            continue
        fi
        status=0
        {
            gcc -std=c11 -O1 -g "$flags" -fno-omit-frame-pointer -I"$root/include" "$program" \
                "${extra[@]}" "$target/c-library-$1/$machine/release/libcmempool.a" \
                -o "$work/$name" -pthread &&
                ASAN_OPTIONS=halt_on_error=0:detect_leaks=1:log_path="$work/$name.report" \
                    UBSAN_OPTIONS=print_stacktrace=1:log_path="$work/$name.report" \
                    TSAN_OPTIONS=suppressions="$here/thread.supp":die_after_fork=0:exitcode=0:log_path="$work/$name.report" \
                    CMEMPOOL_TEST_VALGRIND=1 CMEMPOOL_SOAK_SECONDS=3 CMEMPOOL_STRESS_SECONDS=3 \
                    timeout "$limit" "$work/$name"
        } >"$work/$name.out" 2>&1 || status=$?
        reports=$(count_reports "$work" "$name")
        if [ $status -ne 0 ] && [ "$reports" -eq 0 ]; then
            note "$1" "$name.c" "failed (status $status), see $work/$name.out"
            tail -n 5 "$work/$name.out"
        fi
        found=$((found + reports))
        ran=$((ran + 1))
    done
    note "$1" "$ran C programs and an instrumented library" "$found"
}

valgrind_tests() { # tool
    local work=$target/c-$1 ran=0 found=0 program name status errors
    rm -rf "$work"
    mkdir -p "$work"
    for program in "$root"/tests/c/*/*.c; do
        name=$(basename "$program" .c)
        status=0
        gcc -std=c11 -O2 -g -I"$prefix/include" "$program" -o "$work/$name" -L"$prefix/lib" \
            -lcmempool -Wl,-rpath,"$prefix/lib" -pthread
        # Children that abort on purpose are of no interest.
        CMEMPOOL_TEST_VALGRIND=1 CMEMPOOL_STRESS_SECONDS=0 CMEMPOOL_SOAK_SECONDS=0 \
            timeout "$limit" valgrind --tool="$1" --child-silent-after-fork=yes --error-exitcode=99 \
            --log-file="$work/$name.log" --leak-check=full "$work/$name" >"$work/$name.out" 2>&1 ||
            status=$?
        errors=$(sed -n 's/.*ERROR SUMMARY: [0-9]* errors from \([0-9]*\) contexts.*/\1/p' "$work/$name.log" | tail -n 1)
        if [ "${errors:-0}" != 0 ]; then
            echo "$1 of $name.c:"
            grep -m 1 -A 20 -E 'Invalid|uninitialised|lost in loss' "$work/$name.log" || true
        elif [ $status -ne 0 ]; then
            note "$1" "$name.c" "failed (status $status), see $work/$name.out"
        fi
        found=$((found + ${errors:-0}))
        ran=$((ran + 1))
    done
    note "$1" "$ran C programs, the library as installed" "$found"
}

for tool in "${tools[@]}"; do
    echo "== $tool"
    case $tool in
    address | leak | thread)
        if ! has_nightly; then
            note "$tool" "nothing" "skipped: no nightly toolchain (rustup toolchain install nightly)"
            continue
        fi
        if ! has_rust_src; then
            note "$tool" "nothing" "skipped: no source of std (rustup component add rust-src --toolchain nightly)"
            continue
        fi
        rust_tests "$tool"
        if [ "$tool" != leak ]; then
            if command -v gcc >/dev/null; then
                c_tests "$tool"
            else
                note "$tool" "no C program" "skipped: gcc is not installed"
            fi
        fi
        ;;
    helgrind)
        # A lock made of a futex, and entries handed on through it, are races to it, each one of them.
        note helgrind "nothing" "skipped: it knows pthread's locks alone, none of atomics or futexes; 'thread' does"
        ;;
    memcheck)
        if command -v valgrind >/dev/null && command -v gcc >/dev/null; then
            valgrind_tests "$tool"
        else
            note "$tool" "nothing" "skipped: it needs valgrind and gcc"
        fi
        ;;
    *) die "no tool '$tool': address, leak, thread, memcheck, helgrind" ;;
    esac
done

printf '\n%-9s  %-58s  %s\n' tool ran findings
printf '%s\n' "${table[@]}"
exit $bad
