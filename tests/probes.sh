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

# ---- By the lines of the guide -----------------------------------------------------------------

guide=$here/../docs/guide.md
build "$work/traced" "$library.so" -Wl,-rpath,"$prefix/lib"

# A line of the guide's for a tool, with the library and a program that are there.
lines_for() { # tool
    sed -n "s/^    \(\(BPFTRACE_STRLEN=[0-9]* \)*$1 .*\)/\1/p" "$guide" |
        sed "s,/usr/local/lib/libcmempool.so.1,$library.so.1,;s,\./prog,$work/traced >traced.out,"
}

# All at once, since each takes seconds to start; the program runs until those that print at once have seen it.
trace_by_bpftrace() {
    local line number=0 tracers=() round seen=''
    while read -r line; do
        number=$((number + 1))
        timeout --signal=INT 60 bash -c "$line" >"$work/bpftrace.$number" 2>&1 &
        tracers+=($!)
    done < <(lines_for bpftrace)
    [ $number -eq 4 ] || die "the guide has $number lines for bpftrace"
    for ((round = 0; round < 50 && ${#seen} < 5; round++)); do
        "$work/traced" >"$work/traced.out"
        sleep 0.3
        ! { grep -q '^shortage: 256 entries' "$work/bpftrace.1" && grep -q 'cmempool: leak' "$work/bpftrace.4"; } || seen+=x
    done
    kill "${tracers[@]}"
    wait "${tracers[@]}" || true
    grep -q '^shortage: 256 entries' "$work/bpftrace.1" || die "bpftrace sees no 'failed': $(cat "$work/bpftrace.1")"
    grep -q '^@\[[a-z]*, traced, [0-9]*\]: [0-9]' "$work/bpftrace.2" || die "bpftrace sees no 'take_back': $(cat "$work/bpftrace.2")"
    grep -q '^@\[[a-z]*\]:' "$work/bpftrace.3" || die "bpftrace sees no 'refill': $(cat "$work/bpftrace.3")"
    grep -q 'cmempool: leak' "$work/bpftrace.4" || die "bpftrace sees no 'misuse': $(cat "$work/bpftrace.4")"
    passed=$((passed + 1))
}

trace_by_perf() {
    local line
    (
        cd "$work"
        export HOME=$work # for what perf keeps
        while read -r line; do
            bash -c "$line" </dev/null || echo "fails: $line"
        done < <(lines_for perf)
    ) >"$work/perf.out" 2>&1
    ! grep '^fails: ' "$work/perf.out" || die "perf: $(tail -n 5 "$work/perf.out")"
    grep -q 'sdt_cmempool:fall_back:' "$work/perf.out" || die "perf sees no 'fall_back': $(tail -n 5 "$work/perf.out")"
    grep -q ' main+0x[0-9a-f]* ' "$work/perf.out" || die "perf does not see who called: $(tail -n 15 "$work/perf.out")"
    passed=$((passed + 1))
}

for tool in bpftrace perf; do
    if [ "$(id -u)" -ne 0 ] || [ ! -w /sys/kernel/tracing/uprobe_events ]; then
        echo "skipped: $tool needs root, and a kernel that traces"
    elif ! command -v $tool >/dev/null; then
        echo "skipped: $tool is not installed"
    elif [ $tool = bpftrace ] && ! bpftrace -e 'BEGIN { exit(); }' >/dev/null 2>&1; then
        echo "skipped: bpftrace does not work with this kernel"
    else
        trace_by_$tool
    fi
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
