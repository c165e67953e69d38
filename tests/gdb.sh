#!/usr/bin/env bash
# Does gdb show pools, of processes and of cores, with the shared library and the static one, stripped or not?
#
# usage: tests/gdb.sh PREFIX
#
# tests/gdb/crash.c crashes in gdb after it said what its pools have. The commands must print the same there, and
# again in the core that gdb makes, where nothing can be called. gdb finds the installed script by itself.
set -euo pipefail

die() {
    echo "tests/gdb.sh: $1" >&2
    exit 1
}

[ $# -eq 1 ] || die "usage: tests/gdb.sh PREFIX"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ -f "$1/include/cmempool.h" ] || die "no installed cmempool below $1"
prefix=$(cd "$1" && pwd)
if [ "$(gdb -nx -batch -ex 'python print("yes")' 2>/dev/null)" != yes ]; then
    echo "skipped: gdb is not installed, or has no Python"
    exit 0
fi
scripts=("$prefix"/lib/libcmempool.so.*-gdb.py)
script=${scripts[0]}
[ -f "$script" ] || die "no script for gdb beside the library"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0

# Nothing of the user's, nothing from the net, and no debug information of libc. gdb ends with 1 after a command
# that failed; what it printed is looked at.
debugger() { # arguments of gdb...
    timeout 120 gdb -nx -batch -iex 'set debuginfod enabled off' -iex 'set debug-file-directory /nonexistent' \
        "$@" 2>&1 || true
}

build() { # program flags...
    local program=$1
    shift
    cc -std=c11 -Wall -Wextra -Wpedantic -Werror "$here/gdb/crash.c" -o "$work/$program" -I"$prefix/include" \
        -pthread "$@" || die "$program does not build"
}

# The commands of a program, each after a line with itself. One that fails ends nothing.
write_commands() { # lines-of-the-program
    sed -n 's/^command //p' "$1" | while IFS= read -r command; do
        printf 'echo ==> %s\\n\n' "$command"
        printf 'python\ntry: gdb.execute(%s)\nexcept gdb.error as error: print(error)\nend\n' "'''$command'''"
    done
}

# gdb's shell runs it.
export -f write_commands
export SHELL=$BASH

# Whether the commands printed what the program said.
compare() { # what-it-is lines-of-the-program output
    awk -v what="$1" '
        function fail(why) { print "tests/gdb.sh: " what ": " command ": " why > "/dev/stderr"; failed = 1; exit 1 }
        FILENAME == ARGV[1] {
            # What a command prints begins at its first line.
            if (sub(/^==> /, "")) { n++; said[n] = $0 } else if (n) printed[n, ++count[n]] = $0
            next
        }
        sub(/^command /, "") {
            command = $0; at = 0
            if (said[++number] != command) fail("it was not run")
            next
        }
        {
            text = substr($0, 8)
            if ($1 == "lines") {
                if (count[number] == $2) { passed++; next }
                fail("prints " count[number] " lines, not " $2)
            } else if ($1 == "expect") {
                while (++at <= count[number])
                    if (index(printed[number, at], text) == 1) { passed++; next }
            } else {
                for (i = 1; i <= count[number]; i++)
                    if (index(printed[number, i], text)) { passed++; next }
            }
            fail("prints no line with \"" text "\"")
        }
        END { if (!failed && passed < 1) fail("nothing was compared"); if (!failed) print passed }
    ' "$3" "$2"
}

check() { # what-it-is lines-of-the-program output
    local count
    count=$(compare "$1" "$2" "$3") || { cp "$2" "$3" "${TMPDIR:-/tmp}"; exit 1; }
    passed=$((passed + count))
}

# Runs a program until it crashes, and the commands there and in the core.
run() { # program how-gdb-finds-the-script...
    local program=$work/$1 lines=$work/$1.lines
    shift
    # The inferior's calls are counted.
    cat >"$work/count.py" <<'PYTHON'
calls = 0
def count_call(event):
    global calls
    calls += 1
gdb.events.inferior_call.connect(count_call)
PYTHON
    # A copy of the table is none: what it has in place of its own address gives it away.
    cat >"$work/decoy.py" <<'PYTHON'
table, place = cmempool_libraries()[0].table, gdb.lookup_global_symbol("decoy")
if place:
    inferior = gdb.selected_inferior()
    inferior.write_memory(int(place.value().address), inferior.read_memory(table, 1024))
PYTHON
    cat >"$work/session" <<GDB
run > $lines
source $work/decoy.py
shell write_commands $lines > $work/commands
source $work/commands
python print("calls: %d" % calls)
generate-core-file $program.core
GDB
    debugger "$@" -x "$work/count.py" -x "$work/session" "$program" >"$program.live"
    grep -q 'received signal SIGSEGV' "$program.live" || die "$program: $(tail -n 3 "$program.live" | tr '\n' '|')"
    grep -q '^calls: 0$' "$program.live" || die "$program: the commands call something in the program"
    check "$(basename "$program"), live" "$lines" "$program.live"
    debugger "$@" -x "$work/commands" "$program" "$program.core" >"$program.dead"
    check "$(basename "$program"), core" "$lines" "$program.dead"
}

shared=(-L"$prefix/lib" -lcmempool "-Wl,-rpath,$prefix/lib")
static=("$prefix/lib/libcmempool.a")
by_itself=(-iex "add-auto-load-safe-path $prefix/lib")
by_hand=(-ex "source $script")

build shared -g -O2 -DNAMED=1 "${shared[@]}"
run shared "${by_itself[@]}"
build shared-stripped -O0 -s "${shared[@]}"
run shared-stripped "${by_itself[@]}"
build static -g -O2 -DNAMED=1 -static "${static[@]}"
run static "${by_hand[@]}"
build static-stripped -O2 -static -s -Wl,--gc-sections "${static[@]}"
run static-stripped "${by_hand[@]}"
build pie-stripped -O2 -s -Wl,--gc-sections "${static[@]}"
run pie-stripped "${by_hand[@]}"

# ---- Who holds the entries, in optimised code --------------------------------------------------

# The program's function and line, and the functions that are inlined around it.
held() { # how-it-is-called compiler flags...
    local program=$work/held lines=$work/held.lines what=$1 compiler=$2
    shift 2
    if ! command -v "$compiler" >/dev/null; then
        echo "skipped: $compiler is not installed"
        return
    fi
    "$compiler" -Wall -Wextra -Werror -g "$@" -I"$prefix/include" -o "$program" -pthread "${shared[@]}"
    debugger "${by_itself[@]}" -ex "run >$lines" -ex "shell write_commands $lines >$work/commands" \
        -ex "source $work/commands" "$program" | sed -E 's/(\b[a-z_]+)\([^()]*\) \(/\1 (/g' >"$program.live"
    check "$what" "$lines" "$program.live"
}
# Of a stripped program: where its symbols would be looked up.
"${CC:-cc}" -std=c11 -O2 -g -I"$prefix/include" -o "$work/whole" "$here/gdb/held.c" -pthread "${shared[@]}"
strip -o "$work/held-stripped" "$work/whole"
debugger "${by_itself[@]}" -ex 'run >/dev/null' -ex "generate-core-file $work/held.core" "$work/held-stripped" >"$work/said"
debugger "${by_itself[@]}" -ex 'mempool show nodes' "$work/held-stripped" "$work/held.core" >"$work/said"
place=$(sed -n 's/^  40 B: *5 taken at 0x[0-9a-f]* (.*held-stripped+\(0x[0-9a-f]*\))$/\1/p' "$work/said")
[ -n "$place" ] || die "a stripped program: $(tail -n 5 "$work/said")"
# What ends before the place that the call returns to.
addr2line -ife "$work/whole" "$(printf '%#x' $((place - 1)))" | grep -qx copy_name ||
    die "a stripped program: addr2line does not know $place"
passed=$((passed + 1))
for level in -O0 -O1 -O2 -O3; do
    for compiler in gcc clang; do
        held "holders, $compiler $level" $compiler -std=c11 $level "$here/gdb/held.c"
    done
    for compiler in g++ clang++; do
        held "holders, $compiler $level" $compiler -std=c++17 $level -x c++ "$here/gdb/held.c" -x none
    done
done

# ---- Slots -------------------------------------------------------------------------------------

program=$work/static-stripped
looked=$(debugger "${by_hand[@]}" -x "$here/gdb/slots.py" "$program" "$program.core")
looked=$(sed '1,/^\[Current/d' <<<"$looked")
[[ $looked == "looked at "[1-9][0-9]*" slots" ]] || die "slots: $looked"
passed=$((passed + 1))

# ---- A core alone ------------------------------------------------------------------------------

alone=$(debugger "${by_hand[@]}" -ex "core $work/shared-stripped.core" -ex 'mempool list')
grep -q ' "nodes"$' <<<"$alone" || die "a core without its program: $(tail -n 3 <<<"$alone" | tr '\n' '|')"
passed=$((passed + 1))

# ---- What can't be shown -------------------------------------------------------------------------

says() { # line arguments of gdb...
    local line=$1 said
    shift
    said=$(debugger "$@")
    grep -qxF "$line" <<<"$said" || die "says no '$line': $(tail -n 5 <<<"$said" | tr '\n' '|')"
    passed=$((passed + 1))
}

says 'there is no process: start the program, or open a core' "${by_hand[@]}" -ex 'mempool list' "$work/shared"
none='found no cmempool: it is not in this program, not loaded yet, or the core lacks its memory'
says "$none" "${by_hand[@]}" -ex starti -ex 'mempool list' "$work/shared"
echo 'int main(void) { __builtin_trap(); }' | cc -x c - -o "$work/without"
says "$none" "${by_hand[@]}" -ex run -ex 'mempool list' "$work/without"
says 'no pool has the name "none"' "${by_hand[@]}" -ex 'mempool show "none"' "$work/shared" "$work/shared.core"
says '0x123: no pool is at 0x123, nor has that name' "${by_hand[@]}" -ex 'mempool live 0x123' \
    "$work/shared" "$work/shared.core"
says "which pool? Give its address, an expression, or its name: mempool list" "${by_hand[@]}" \
    -ex 'mempool show' "$work/shared" "$work/shared.core"
says 'make(0, 1, 0): no pool has that name, and as an expression: Cannot call functions in the program: may-call-functions is off.' \
    "${by_hand[@]}" -ex 'run >/dev/null' -ex 'mempool show make(0, 1, 0)' "$work/shared"
# The script of another release.
sed 's/^CMEMPOOL_VERSION = 1$/CMEMPOOL_VERSION = 999/' "$script" >"$work/other.py"
version=${script##*/libcmempool.so.} version=${version%-gdb.py}
says "this script is not for cmempool $version: use the one installed with it" \
    -ex "source $work/other.py" -ex 'mempool list' "$work/shared" "$work/shared.core"
# A core that was told to leave a pool's first page out.
lacking=$(CRASH_WITHOUT_HIDDEN=1 debugger "${by_hand[@]}" -ex 'run >/dev/null' -ex "generate-core-file $work/lacking.core" \
    -ex kill "$work/shared" && debugger "${by_hand[@]}" -ex 'mempool list' "$work/shared" "$work/lacking.core")
grep -q "^older pools are not found: the memory at 0x[0-9a-f]* can't be read: it is not mapped, or the core does not have it$" \
    <<<"$lacking" || die "lacking memory: $(tail -n 3 <<<"$lacking" | tr '\n' '|')"
passed=$((passed + 1))

# ---- What the guide says -------------------------------------------------------------------------

# A pointer to a pool is printed with its name.
printed=$(debugger "${by_hand[@]}" -ex 'print nodes' -ex 'print texts' "$work/shared" "$work/shared.core")
for line in '(mempool \*) 0x[0-9a-f]* "nodes", 23 of 1000 out' '(r_mempool \*) 0x[0-9a-f]* "texts", 4 of 127 out, 3 more from the heap'; do
    grep -q "= $line\$" <<<"$printed" || die "pointers: $(tail -n 2 <<<"$printed" | tr '\n' '|')"
done
# Of a program without debug information, and with none of libc's, the cast is needed; this is a call.
called=$(debugger -x "$work/count.py" -ex 'run >/dev/null' -ex 'call (void)mempool_dump_all((void *)stderr)' \
    -ex 'python print("calls: %d" % calls)' "$work/shared-stripped")
grep -q '^pool "nodes" at 0x' <<<"$called" || die "mempool_dump_all: $(tail -n 3 <<<"$called" | tr '\n' '|')"
! grep -q '^calls: 0$' <<<"$called" || die "calls are not counted"
passed=$((passed + 3))

echo "gdb: $passed lines as the program said"
