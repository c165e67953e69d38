#!/bin/bash
# Is code of the header's inlined where it is to be, and does it get on with a library of another layout?
#
# usage: layouts.sh PREFIX
#
# PREFIX is an installed tree. A library of another layout is built beside it, and a header for that one.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
prefix=$(cd "$1" && pwd)
scratch=$(mktemp -d "${TMPDIR:-/tmp}/layouts-XXXXXX")
trap 'rm -rf "$scratch"' EXIT
cargo=${CARGO:-cargo}
wrap=(-Wl,--wrap=mempool_alloc_entry -Wl,--wrap=r_mempool_alloc_entry -Wl,--wrap=mempool_free_entry)
warnings=(-std=c11 -Wall -Wextra -Wpedantic -Werror -U_FORTIFY_SOURCE)
passed=0

# expect WORD HOW COMMAND...: the program ends with "ok" when it is told to find calls, or inlined code.
expect() {
    local word=$1 how=$2 said
    shift 2
    if ! said=$("$@" "$word" 2>&1) || [ "${said##*$'\n'}" != ok ]; then
        printf 'failed: %s, %s: %s\n' "$how" "$word" "$said" >&2
        exit 1
    fi
    passed=$((passed + 1))
}

# ---- A library of another layout, and a header for it -------------------------------------------

target=$(cd "$here/.." && pwd)/target/other-layout
CARGO_TARGET_DIR=$target make --no-print-directory --silent -C "$here/.." build CARGO="$cargo" \
    RUSTC_FLAGS="--cfg cmempool_other_layout"
mkdir -p "$scratch/other/lib" "$scratch/other/include"
cp "$target/lib/libcmempool.so" "$scratch/other/lib/libcmempool.so.1"
ln -s libcmempool.so.1 "$scratch/other/lib/libcmempool.so"
sed -e 's/cmempool_thread\.distance/cmempool_thread.other_layouts[0]/' \
    -e 's/thread->distance/thread->other_layouts[0]/' \
    -e 's/process = thread->process/process = (const struct cmempool_process_1 *)thread->other_layouts[1]/' \
    -e '/uintptr_t first;/d' -e 's/^    uintptr_t end;/    uintptr_t end, first;/' \
    "$prefix/include/cmempool.h" > "$scratch/other/include/cmempool.h"
if [ "$(diff "$prefix/include/cmempool.h" "$scratch/other/include/cmempool.h" | grep -c '^>')" != 5 ]; then
    echo "failed: the header for the other layout is not what it was meant to be" >&2
    exit 1
fi

# build COMPILER INCLUDE OUTPUT FLAGS...
build() {
    local compiler=$1 include=$2 output=$3
    shift 3
    "$compiler" "${warnings[@]}" -I"$include" "$here/layouts/inlined.c" -o "$output" "$@" \
        "${wrap[@]}" -pthread
}

shared=(-L"$prefix/lib" -lcmempool)
for compiler in gcc clang; do
    command -v "$compiler" > /dev/null || { echo "skipped: $compiler is not there"; continue; }
    export LD_LIBRARY_PATH=$prefix/lib
    for flags in "-O2" "-O3" "-O2 -fPIE -pie" "-O2 -fno-pie -no-pie" "-O2 -flto"; do
        # shellcheck disable=SC2086
        build "$compiler" "$prefix/include" "$scratch/program" $flags "${shared[@]}"
        expect inlined "$compiler $flags, shared" "$scratch/program"
        # An old program and a library of another layout.
        LD_LIBRARY_PATH=$scratch/other/lib expect calls "$compiler $flags, other library" \
            "$scratch/program"
        # A program for another layout.
        # shellcheck disable=SC2086
        build "$compiler" "$scratch/other/include" "$scratch/program" $flags "${shared[@]}"
        expect calls "$compiler $flags, other header" "$scratch/program"
        LD_LIBRARY_PATH=$scratch/other/lib expect inlined "$compiler $flags, other header and library" \
            "$scratch/program"
    done
    for flags in "-O2" "-O2 -fno-pie -no-pie" "-O2 -static"; do
        # shellcheck disable=SC2086
        build "$compiler" "$prefix/include" "$scratch/program" $flags "$prefix/lib/libcmempool.a"
        expect inlined "$compiler $flags, archive" "$scratch/program"
    done
    for how in shared archive; do
        libraries=("${shared[@]}")
        [ "$how" = shared ] || libraries=("$prefix/lib/libcmempool.a")
        build "$compiler" "$prefix/include" "$scratch/plugin.so" -O2 -DPLUGIN -fPIC -shared \
            "${libraries[@]}" -Wl,-Bsymbolic-functions
        "$compiler" -std=c11 -Wall -Wextra "$here/layouts/plugin_host.c" -o "$scratch/host" -ldl
        expect inlined "$compiler, plugin with the $how library" "$scratch/host" "$scratch/plugin.so"
    done
    for flags in "-O0" "-Os" "-O2 -DCMEMPOOL_NO_INLINE"; do
        # shellcheck disable=SC2086
        build "$compiler" "$prefix/include" "$scratch/program" $flags "${shared[@]}"
        expect calls "$compiler $flags" "$scratch/program"
    done
    sanitizers=(address thread)
    [ "$compiler" = gcc ] || sanitizers+=(memory)
    for sanitizer in "${sanitizers[@]}"; do
        echo '#include <cmempool.h>
        void *f(mempool *mp) { return mempool_alloc_entry(mp); }' > "$scratch/one.c"
        "$compiler" -O2 -fsanitize="$sanitizer" -I"$prefix/include" -c "$scratch/one.c" -o "$scratch/one.o"
        if nm "$scratch/one.o" | grep -q cmempool_thread; then
            echo "failed: $compiler -fsanitize=$sanitizer inlines" >&2
            exit 1
        fi
        passed=$((passed + 1))
    done
done

# ---- Watched -----------------------------------------------------------------------------------

export LD_LIBRARY_PATH=$prefix/lib
build gcc "$prefix/include" "$scratch/program" -O2 "${shared[@]}"
if command -v valgrind > /dev/null; then
    expect calls "memcheck" valgrind --quiet --error-exitcode=9 "$scratch/program"
else
    echo "skipped: valgrind is not there"
fi

# ---- Bytes of a call site -----------------------------------------------------------------------

# bytes CALL: what ten calls more take, a tenth of it.
bytes() {
    local call=$1 sizes=() count
    for count in 1 11; do
        {
            echo '#include <cmempool.h>'
            for ((i = 0; i < count; i++)); do
                echo "void *f$i(mempool *mp, r_mempool *rmp, void *p);"
                echo "void *f$i(mempool *mp, r_mempool *rmp, void *p) { (void)mp; (void)rmp; (void)p; $call }"
            done
        } > "$scratch/sites.c"
        gcc -O2 -ffunction-sections -I"$prefix/include" -c "$scratch/sites.c" -o "$scratch/sites.o"
        sizes+=("$(size -A "$scratch/sites.o" | awk '/^\.text/ { n += $2 } END { print n }')")
    done
    echo $(((sizes[1] - sizes[0]) / 10))
}

# at_most LIMIT NAME CALL
at_most() {
    local taken
    taken=$(bytes "$3")
    echo "$2: $taken bytes"
    if [ "$(uname -m)" = x86_64 ] && [ "$taken" -gt "$1" ]; then
        echo "failed: more than $1" >&2
        exit 1
    fi
    passed=$((passed + 1))
}

at_most 112 "an alloc" 'return mempool_alloc_entry(mp);'
at_most 136 "a ranged alloc, size known" 'return r_mempool_alloc_entry(rmp, 40);'
at_most 176 "a free" 'mempool_free_entry(p); return p;'

echo "inlined code: $passed passed"
