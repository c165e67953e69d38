#!/usr/bin/env bash
# Which lines of src/ does no test reach?
#
# usage: tests/coverage/run.sh TARGET
#
# Builds the library with counters in TARGET, runs the Rust tests and the C tests, the programs of
# tests/watched with those who watch, and prints a table by file, and each line of src/ that was never
# run. The tests inside of src/ don't count.
set -euo pipefail

die() {
    echo "tests/coverage/run.sh: $1" >&2
    exit 1
}

[ $# -eq 1 ] || die "usage: tests/coverage/run.sh TARGET"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
mkdir -p "$1"
target=$(cd "$1" && pwd)
cargo=${CARGO:-cargo}
"$cargo" +nightly --version >/dev/null 2>&1 || die "it needs the nightly toolchain: rustup toolchain install nightly"
tools=$(rustc +nightly --print sysroot)/lib/rustlib/$(uname -m)-unknown-linux-gnu/bin
[ -x "$tools/llvm-cov" ] || die "it needs llvm-tools: rustup component add llvm-tools --toolchain nightly"
for tool in gcc valgrind; do
    command -v "$tool" >/dev/null || die "it needs $tool, and it is not on the PATH"
done

rm -rf "$target/counts"
mkdir -p "$target/counts" "$target/c"
# Build scripts count too, and would leave their counts beside the sources.
export LLVM_PROFILE_FILE=$target/build-%p.profraw
export RUSTFLAGS="-Cinstrument-coverage -Cllvm-args=-runtime-counter-relocation" CMEMPOOL_PREFIX=''
cd "$root"

# Runs a program and adds what it ran to all.lcov: each for itself, since the library is compiled in
# more than one way, and counters of one mean nothing to another. %c keeps them in the file itself, so
# that programs that abort, as many tests do, count too.
: >"$target/all.lcov"
count() { # program, or program and command that runs it
    local name log program=$1
    name=$(basename "$program")
    log=$target/$name.log
    [ $# -eq 1 ] || shift
    LLVM_PROFILE_FILE="$target/counts/$name-%p%c.profraw" timeout 600 "$@" >"$log" 2>&1 ||
        die "$name fails: see $log"
    {
        "$tools/llvm-profdata" merge --sparse --failure-mode=all "$target/counts/$name"-*.profraw \
            -o "$target/counts/$name.profdata"
        "$tools/llvm-cov" export --format=lcov --instr-profile="$target/counts/$name.profdata" "$program" \
            --sources "$root/src" >>"$target/all.lcov"
    } 2>"$log" || die "no counts of $name: see $log"
}

echo "the Rust tests"
"$cargo" +nightly test --locked --no-run --lib --tests --target-dir "$target/rust" \
    --message-format=json >"$target/rust.json" 2>"$target/rust.log" || die "see $target/rust.log"
# abi.rs and header.rs start compilers, and none of the library.
for program in $(sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' "$target/rust.json"); do
    case $(basename "$program") in
    abi-* | header-*) ;;
    *) count "$program" ;;
    esac
done

echo "the C tests"
# Optimised at link time alone: without that, what Rust's own archive needs is not there.
CARGO_PROFILE_RELEASE_OPT_LEVEL=0 "$cargo" +nightly rustc --locked --lib --release \
    --crate-type staticlib --target-dir "$target/library" \
    >"$target/library.log" 2>&1 || die "see $target/library.log"
runtime=("${tools%/bin}"/lib/libprofiler_builtins-*.rlib)
build() { # source, program, further flags
    local source=$1 program=$2
    shift 2
    gcc -std=c11 -O1 -Iinclude "$@" "$source" "$target/library/release/libcmempool.a" -o "$program" \
        -Wl,-u,__llvm_profile_runtime "${runtime[0]}" -pthread
}
for source in tests/c/*/*.c; do
    program=$target/c/$(basename "$source" .c)
    build "$source" "$program"
    count "$program"
done

echo "who watches"
build tests/watched/bugs.c "$target/c/bugs-memcheck" -Wno-stringop-overflow
count "$target/c/bugs-memcheck" valgrind -q "$target/c/bugs-memcheck" none
build tests/watched/bugs.c "$target/c/bugs-address" -Wno-stringop-overflow -fsanitize=address
count "$target/c/bugs-address" "$target/c/bugs-address" none
awk -v root="$root/" -f "$here/table.awk" "$target/all.lcov"
