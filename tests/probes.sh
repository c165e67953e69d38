#!/usr/bin/env bash
# Does a tracer see the probes of an installed cmempool, with the arguments that the guide says?
#
# usage: tests/probes.sh PREFIX
#
# Looks at the notes of the shared library and of programs with the static one, by all linkers that there are,
# then has gdb stop at each probe of a program that knows what it will see. Linux only. Ends with 1 if anything
# failed.
set -euo pipefail

die() {
    echo "tests/probes.sh: $1" >&2
    exit 1
}

[ $# -eq 1 ] || die "usage: tests/probes.sh PREFIX"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ -f "$1/include/cmempool.h" ] || die "no installed cmempool below $1"
prefix=$(cd "$1" && pwd)
if [ "$(uname -s)" != Linux ]; then
    echo "skipped: probes are there on Linux alone"
    exit
fi
for tool in cc readelf strip; do
    command -v $tool >/dev/null || die "'$tool' is needed, and it is not on the PATH"
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
library=$prefix/lib/libcmempool
passed=0

# The probes, each with the number of its arguments.
expected="create 4
destroy 4
exhausted 4
failed 4
fall_back 4
flush 4
misuse 6
refill 4
take_back 4"

# What there is in a file, in the same form. A probe that is not in the code is one whose function is gone.
noted() { # file
    local start size name count at
    read -r start size < <(readelf -SW "$1" | sed -n 's/.* \.text *PROGBITS *\([0-9a-f]*\) [0-9a-f]* \([0-9a-f]*\).*/\1 \2/p')
    readelf -n "$1" | awk '
        /Provider:/ { ours = $2 == "cmempool" }
        /Name:/ { name = $2 }
        /Location:/ { at = substr($2, 3, 16) }
        /Arguments:/ && ours { print name, NF - 1, at }' | while read -r name count at; do
        ((0x$at >= 0x$start && 0x$at < 0x$start + 0x$size)) || count+=" (gone)"
        echo "$name $count"
    done | sort
}

# The notes count from this section: gdb leaves out those of a file without it, or with it elsewhere.
based() { # file
    local at base
    at=$(readelf -SW "$1" | sed -n 's/.* \.stapsdt\.base *PROGBITS *\([0-9a-f]*\).*/\1/p')
    base=$(readelf -n "$1" | sed -n '/Provider: cmempool/,/Base:/s/.*Base: 0x\([0-9a-f]*\).*/\1/p' | sort -u)
    [ -n "$at" ] && [ "$at" = "$base" ]
}

check_notes() { # file what-it-is
    local found
    found=$(noted "$1")
    [ "$found" = "$expected" ] || die "$2: the probes are not the ones expected:
$(diff <(echo "$expected") <(echo "$found"))"
    based "$1" || die "$2: the probes don't count from .stapsdt.base"
    passed=$((passed + 1))
}

build() { # output library flags...
    cc -std=c11 -O2 -Wall -Wextra -Wpedantic -Werror "$here/probes/traced.c" -I"$prefix/include" -o "$@" -pthread
}

check_notes "$library.so" "the shared library"
for linker in bfd gold lld mold; do
    if ! echo 'int main(void) { return 0; }' | cc -x c - -fuse-ld=$linker -o "$work/nothing" 2>/dev/null; then
        echo "skipped: there is no linker $linker"
        continue
    fi
    for how in "" -static -static-pie; do
        # Not all link without the loader.
        build "$work/program" "$library.a" -fuse-ld=$linker -Wl,--gc-sections $how 2>"$work/said" || {
            [ -n "$how" ] || die "$linker: $(cat "$work/said")"
            echo "skipped: $linker with $how"
            continue
        }
        strip --strip-all "$work/program"
        check_notes "$work/program" "a program linked by $linker $how"
    done
    # A function that is dropped takes its probes along, and a probe keeps no function: but gold and mold drop none.
    printf '#include <cmempool.h>\nint main(void) { return cmempool_version()[0] == 0; }\n' |
        cc -std=c11 -O2 -Werror -x c - -x none -I"$prefix/include" "$library.a" -fuse-ld=$linker -Wl,--gc-sections \
            -o "$work/program" -pthread
    found=$(noted "$work/program")
    [ -z "$found" ] || { [[ $linker = [gm]old ]] && [ "$found" = "$expected" ]; } ||
        die "a program without pools, linked by $linker, has the probes $found"
    passed=$((passed + 1))
done

# ---- In a debugger -----------------------------------------------------------------------------

if ! command -v gdb >/dev/null; then
    echo "skipped: gdb is not installed"
    echo "probes: $passed passed"
    exit
fi

# Prints a line at each probe, as the program does. What it prints itself goes elsewhere.
{
    printf '%s\n' 'set pagination off' 'set confirm off' 'set disable-randomization off' \
        'set debuginfod enabled off' 'break main' "run >$work/told" 'info probes stap cmempool'
    while read -r name count; do
        more='' values=''
        if [ "$name" = misuse ]; then
            # gdb's own variables.
            # shellcheck disable=SC2016
            more=' %#lx %s' values=', $_probe_arg4, (char *)$_probe_arg5'
        fi
        cat <<COMMANDS
break -probe-stap cmempool:$name
commands
silent
if \$_probe_argc != $count
printf "probe with %d arguments\n", \$_probe_argc
end
printf "probe $name %#lx %s %lu %lu$more\n", \$_probe_arg0, (char *)\$_probe_arg1, \$_probe_arg2, \$_probe_arg3$values
continue
end
COMMANDS
    done <<<"$expected"
    echo continue
} >"$work/commands"

for how in so a; do
    build "$work/traced" "$library.$how" -Wl,-rpath,"$prefix/lib"
    env -u CMEMPOOL_OPTIONS timeout 240 gdb -nx -batch -x "$work/commands" "$work/traced" \
        >"$work/seen" 2>&1 </dev/null || die "gdb: $(tail -n 5 "$work/seen")"
    grep -q 'exited normally' "$work/seen" || die "gdb, libcmempool.$how: $(tail -n 5 "$work/seen")"
    while read -r name _; do
        grep -Eq "^stap +cmempool +$name +0x" "$work/seen" || die "gdb, libcmempool.$how: info probes has no $name"
        grep -q "^probe $name " "$work/told" || die "the program reached no probe $name"
    done <<<"$expected"
    # What the program can't know of: see there.
    grep '^probe ' "$work/seen" |
        grep -Ev '^probe (refill|flush) ([^ ]+ shortage .*|.* 0)$' >"$work/compared" || true
    if ! diff "$work/told" "$work/compared" >"$work/difference"; then
        die "gdb, libcmempool.$how: what the program expects (<) is not what gdb saw (>)
$(head -n 20 "$work/difference")"
    fi
    passed=$((passed + 1))
done
echo "probes: $passed passed"
