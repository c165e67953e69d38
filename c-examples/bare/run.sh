#!/usr/bin/env bash
# Do the programs beside this script run without an operating system, and how large is the library in them?
#
# usage: CC="arm-none-eabi-gcc -mcpu=cortex-m4 -mthumb" RUNNER="qemu-system-arm .. -kernel" run.sh LIBRARY OUT
#
# LIBRARY is the static library, built for that processor with the feature `bare`. Builds in OUT. Prints a
# line for each program: its name, `passed` or `failed`, and what there is to say.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
library=$1 out=$2
script=$here/riscv32.ld
[[ $CC != arm-* ]] || script=$here/cortex-m.ld
size=${CC%%gcc*}size
mkdir -p "$out"

# build NAME SOURCE...
build() {
    local name=$1
    shift
    # Without the compiler's own loops for memcpy, which would call memcpy.
    # shellcheck disable=SC2086
    $CC -std=c11 -Os -Wall -Wextra -Wpedantic -Werror -ffreestanding -fno-tree-loop-distribute-patterns \
        -ffunction-sections -fdata-sections -I"$here/../../include" "$@" "$here/board.c" \
        "$library" -nostdlib -lgcc -Wl,--gc-sections -T "$script" -o "$out/$name.elf"
}

# bytes FILE COLUMN: of code and constants (1), of data that begins as 0 (3).
bytes() {
    "$size" "$1" | awk -v column="$2" 'NR == 2 { print $column }'
}

# expect_size NAME PROGRAM COLUMN MOST WHAT: what a program has of it, less what the empty one has and MEMORY.
expect_size() {
    local count=$(($(bytes "$out/$2.elf" "$3") - $(bytes "$out/empty.elf" "$3") - memory))
    if ((count <= $4)); then
        echo "$1 passed $count bytes of $5"
    else
        echo "$1 failed $count bytes of $5, more than $4"
        failed=1
    fi
}

failed=0
for name in first misuse; do
    build "$name" "$here/$name.c"
    status=0
    # shellcheck disable=SC2086
    said=$(timeout 60 $RUNNER "$out/$name.elf" 2>&1 </dev/null) || status=$?
    case $name in
    first) expected='all is well' ;;
    misuse) expected='cmempool: double free of 0x* (pool "frames", 32-byte entries)' ;;
    esac
    # shellcheck disable=SC2053
    if [ "$status" -eq 0 ] && [[ $said == $expected ]]; then
        echo "bare-$name passed"
    else
        echo "bare-$name failed status $status, said: ${said//$'\n'/ | }"
        failed=1
    fi
done

# What docs/platforms.md says, less what the same has without the library's calls.
echo "int main(void) { return 0; }" >"$out/empty.c"
build empty "$out/empty.c"
first=20 second=14
[[ $CC != arm-* ]] || first=16 second=12
memory=0
expect_size bare-code first 1 $((first * 1024)) 'code and constants in first.c, its own included'
expect_size bare-code-ordinary misuse 1 $((second * 1024)) 'code and constants in misuse.c, its own included'
# The pool's own buffer is not the library's.
memory=$(nm --size-sort -S --radix=d "$out/misuse.elf" | awk '$4 == "memory" { print $2 + 0 }')
expect_size bare-data misuse 3 512 'data that begins as 0'
exit $failed
