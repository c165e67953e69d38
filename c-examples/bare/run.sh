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

# What the library adds to a program: the first one, less the same without the library's calls.
echo "int main(void) { return 0; }" >"$out/empty.c"
build empty "$out/empty.c"
code=$(($(bytes "$out/first.elf" 1) - $(bytes "$out/empty.elf" 1)))
# What docs/platforms.md says, in thousands.
most=20
[[ $CC != arm-* ]] || most=16
result=passed
if ((code > most * 1024)); then
    result=failed
    failed=1
fi
echo "bare-size $result $code bytes of code and constants in first.c, its own included"
exit $failed
