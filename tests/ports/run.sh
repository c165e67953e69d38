#!/usr/bin/env bash
# Does the library build, and do the C tests pass, on each platform whose tools are here?
#
# usage: tests/ports/run.sh TARGET
#
# Builds in TARGET. A platform is a file in platforms/, which says how. Prints a table, program by
# platform, then what cannot run and why (cannot.txt), then the first lines of what failed. Writes the
# same to TARGET/results.tsv, with tabs between: platform; program, or `*` for the library; linkage;
# result; milliseconds; reason. Ends with 1 if anything failed.
#
# Of the environment: ONLY, platforms to do; JOBS, how many programs at once; CHECK_CANNOT=1 to run what
# cannot run, too, which must fail then; LIMIT, seconds for one program.
set -euo pipefail

die() {
    echo "tests/ports/run.sh: $1" >&2
    exit 1
}

[ $# -eq 1 ] || die "usage: tests/ports/run.sh TARGET"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
mkdir -p "$1"
ports=$(cd "$1" && pwd)
cargo=${CARGO:-cargo}
jobs=${JOBS:-$(nproc)}
limit=${LIMIT:-240}
only=${ONLY:-}
check_cannot=${CHECK_CANNOT:-}
results=$ports/results.tsv
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -n 1)
command -v "${cargo%% *}" >/dev/null || die "cargo is needed, and it is not on the PATH"

# The order of the table.
order=(glibc musl aarch64 i686 armv7 riscv64 s390x windows macos freebsd bare-thumb bare-riscv32)
for file in "$here"/platforms/*.sh; do
    name=$(basename "$file" .sh)
    [[ " ${order[*]} " == *" $name "* ]] || order+=("$name")
done
chosen=()
for name in ${only:-${order[@]}}; do
    [ -f "$here/platforms/$name.sh" ] || die "no platform '$name': there are ${order[*]}"
    chosen+=("$name")
done

# Each line of cannot.txt is about a program that there is.
while read -r _ program _; do
    compgen -G "$root/tests/c/*/$program.c" >/dev/null || die "cannot.txt: no program '$program'"
done < <(grep -v '^#' "$here/cannot.txt")

# ---- What a platform's file says ----

# Sets what it leaves out, and reads it.
read_platform() { # name
    platform=$1
    work=$ports/$1
    # shellcheck disable=SC2034 # tests/facts.rs reads it
    label=''            # its name in README.md
    target=''           # Rust's name of it
    compiler=()         # builds C programs
    c_flags=()          # for programs
    libraries=(-pthread) # after the library
    tools=()            # commands that must be there
    binutils=''         # prefix of ar and objcopy
    runner=()           # runs a program; none: the system does
    folders=(portable posix linux) # of tests
    linkages=(shared)   # or static, or alone: with a static C library, too
    brief=''            # yes: programs do less
    same_as=''          # what cannot.txt lists for this name holds, too
    built_only=''       # yes: nothing can run
    no_shared=''        # yes: the static library alone
    # What is in the folder of libraries, the shared one's file first.
    installed=("libcmempool.so.$version" "libcmempool.so.${version%%.*}" libcmempool.so libcmempool.a)
    keep_hidden=''      # yes: objects there know no hidden symbols
    program_suffix=''   # of a program's file
    lacks=''            # what is not there, if `have` says so
    have() { true; }
    # shellcheck source=/dev/null
    source "$here/platforms/$1.sh"
}

# The first tool that is not there.
missing_tool() {
    local tool
    for tool in "${tools[@]}"; do
        command -v "$tool" >/dev/null || { echo "'$tool'"; return; }
    done
    have || echo "$lacks"
}

# ---- The library ----

build_library() {
    if command -v rustup >/dev/null; then
        rustup -q target add "$target" || return
    fi
    mkdir -p "$work/bin"
    make_for_it build
}

make_for_it() { # goal variables...
    make --no-print-directory -C "$root" TARGET="$ports/cargo" LIB="$work/lib" CARGO="$cargo" \
        RUST_TARGET="$target" CC="${compiler[*]}" AR="${binutils}ar" NM="${binutils}nm" \
        OBJCOPY="${keep_hidden:+true }${binutils}objcopy" STATIC_ONLY="$no_shared" \
        CFLAGS="-O2 ${c_flags[*]:-}" "$@"
}

# Does `make install` put there what the system calls a library, and do the CMake files know it?
try_install() {
    local stage=$work/stage name output=$work/bin/install.out missing=
    rm -rf "$stage"
    if ! make_for_it install PREFIX="$stage" LIBDIR="$stage/lib" DESTDIR= LDCONFIG=true >"$output" 2>&1; then
        note install '' failed "make install failed"
        return
    fi
    for name in "${installed[@]}"; do
        [ -e "$stage/lib/$name" ] || missing+=" $name"
    done
    [ -n "$no_shared" ] || grep -qF "${installed[0]}" "$stage/lib/cmake/cmempool/cmempoolConfig.cmake" ||
        missing+=" cmempoolConfig.cmake"
    if [ -n "$missing" ]; then
        echo "missing:$missing" >>"$output"
        note install '' failed "not installed:$missing"
    else
        note install '' passed ''
    fi
}

# What more a platform has to try.
try_more() { true; }

# ---- Programs ----

# What a program is linked with.
link_flags() { # linkage
    case $1 in
    shared) printf '%s\n' "-L$work/lib" -lcmempool "-Wl,-rpath,$work/lib" ;;
    static) printf '%s\n' "$work/lib/libcmempool.a" ;;
    alone) printf '%s\n' -static "$work/lib/libcmempool.a" ;;
    esac
}

build_program() { # source linkage program
    local flags
    mapfile -t flags < <(link_flags "$2")
    "${compiler[@]}" -std=c11 -Wall -Wextra -Wpedantic -Werror -O2 -g "${c_flags[@]}" \
        -I"$root/include" "$1" -o "$3" "${flags[@]}" "${libraries[@]}"
}

# Why a program cannot run on the platform, or nothing.
cannot() { # program linkage
    awk -v platform="$platform" -v same="$same_as" -v program="$1" -v linkage="$2" '
        !/^#/ && ($1 == platform || $1 == same || $1 == platform "-" linkage) && $2 == program {
            $1 = $2 = ""
            sub(/^ +/, "")
            print
            exit
        }' "$here/cannot.txt"
}

took='' # milliseconds, of the program that ran last

note() { # program linkage result reason
    printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$platform" "$1" "$2" "$3" "$took" "$4" >>"$results"
}

# Builds and runs one, and notes how that ended.
run_program() { # platform source linkage
    local name reason status=0 program output seconds=$limit before
    took=''
    read_platform "$1"
    name=$(basename "$2" .c)
    program=$work/bin/$name-$3$program_suffix
    output=$work/bin/$name-$3.out
    reason=$(cannot "$name" "$3")
    if ! build_program "$2" "$3" "$program" >"$output" 2>&1; then
        note "$name" "$3" failed "does not build"
        return
    fi
    if [ -n "$reason" ] && [ -z "$check_cannot" ]; then
        note "$name" "$3" cannot "$reason"
        return
    fi
    [ -z "$reason" ] || seconds=60
    [ -z "$brief" ] || export CMEMPOOL_TEST_BRIEF=1
    # What programs open that open the library.
    [ ! -e "$work/lib/libcmempool.so.1" ] || export CMEMPOOL_TEST_LIBRARY="$work/lib/libcmempool.so.1"
    # For programs that start themselves again.
    [ ${#runner[@]} -eq 0 ] || export CMEMPOOL_TEST_RUNNER="${runner[*]}"
    before=${EPOCHREALTIME/[.,]/}
    # In braces, or this shell would say of a signal what the status says.
    {
        timeout -k 5 "$seconds" "${runner[@]}" "$program" >"$output" 2>&1 </dev/null
    } 2>/dev/null || status=$?
    took=$(((${EPOCHREALTIME/[.,]/} - before) / 1000))
    # Windows' lines have a carriage return at the end.
    if [ $status -eq 0 ] && ! tr -d '\r' <"$output" | grep -qx 'ok [1-9][0-9]*'; then
        status=1
    fi
    [ $status -ne 124 ] || echo "(stopped after $seconds seconds)" >>"$output"
    if [ -n "$reason" ]; then
        if [ $status -eq 0 ]; then
            note "$name" "$3" failed "passes, and cannot.txt says that it cannot: $reason"
        else
            note "$name" "$3" cannot "$reason"
        fi
    elif [ $status -eq 0 ]; then
        note "$name" "$3" passed ''
    else
        note "$name" "$3" failed "status $status"
    fi
}

# All programs of the platform. One that has a way of its own has this function, too, and notes its
# results in the same way.
test_platform() {
    local folder source linkage
    for folder in "${folders[@]}"; do
        for source in "$root/tests/c/$folder"/*.c; do
            for linkage in "${linkages[@]}"; do
                printf '%s\0%s\0%s\0' "$platform" "$source" "$linkage"
            done
        done
    done | xargs -0 -r -P "$jobs" -n 3 bash -c 'set -euo pipefail; run_program "$@"' bash
}

export here root ports limit check_cannot results version
export -f read_platform link_flags build_program cannot note run_program

do_platform() { # name
    local start=$SECONDS tool
    read_platform "$1"
    tool=$(missing_tool)
    if [ -n "$tool" ]; then
        [ -z "$only" ] || die "$1 needs $tool, which is not there: 'make ports-tools' installs it"
        echo "skipped: $1 needs $tool: 'make ports-tools' installs it"
        note '*' '' skipped "no $tool"
        return
    fi
    mkdir -p "$work"
    if ! build_library >"$work/library.log" 2>&1; then
        echo "$1: the library does not build: see ${work#"$root/"}/library.log"
        note '*' '' failed "the library does not build"
        return
    fi
    note '*' '' built ''
    local built=$SECONDS
    try_install
    try_more
    if [ -n "$built_only" ]; then
        if build_program "$root/tests/c/portable/capacity.c" "${linkages[0]}" "$work/bin/capacity" \
            >"$work/bin/capacity.out" 2>&1; then
            note capacity "${linkages[0]}" 'built only' ''
        else
            note capacity "${linkages[0]}" failed "does not build"
        fi
    else
        test_platform
    fi
    echo "$1: $((built - start)) s for the library, $((SECONDS - built)) s for the programs"
}

# ---- What comes out ----

print_table() {
    awk -F '\t' -v order="${chosen[*]}" '
        function worse(old, new) {
            return old == "" || rank[new] > rank[old] ? new : old
        }
        BEGIN {
            count = split(order, platforms, " ")
            rank["passed"] = 1; rank["built only"] = 2; rank["cannot"] = 3; rank["failed"] = 4
        }
        $2 == "*" {
            if ($4 != "built")
                whole[$1] = $4
            next
        }
        {
            if (!($2 in seen)) {
                seen[$2] = 1
                names[++rows] = $2
            }
            cell[$2, $1] = worse(cell[$2, $1], $4)
            sum[$1, $4]++
        }
        END {
            for (i = 2; i <= rows; i++)
                for (j = i; j > 1 && names[j] < names[j - 1]; j--) {
                    name = names[j]; names[j] = names[j - 1]; names[j - 1] = name
                }
            if (rows > 0)
                printf "\n%-16s", ""
            for (i = 1; i <= count; i++)
                if (!(platforms[i] in whole))
                    printf "  %-10s", platforms[i]
            print ""
            for (row = 1; row <= rows; row++) {
                printf "%-16s", names[row]
                for (i = 1; i <= count; i++) {
                    text = cell[names[row], platforms[i]]
                    if (!(platforms[i] in whole))
                        printf "  %-10s", text == "" ? "-" : text == "failed" ? "FAILED" : text
                }
                print ""
            }
            print ""
            for (i = 1; i <= count; i++) {
                p = platforms[i]
                if (p in whole)
                    printf "%-12s  %s\n", p, whole[p] == "skipped" ? "skipped: its tools are not here" : "FAILED: the library does not build"
                else
                    printf "%-12s  %d passed, %d cannot run, %d failed%s\n", p, sum[p, "passed"], sum[p, "cannot"], sum[p, "failed"], sum[p, "built only"] ? ", built only" : ""
            }
        }' "$results"
}

print_reasons() {
    awk -F '\t' '$4 == "cannot" && !seen[$1, $2]++ {
        if (!any++)
            print "\nCannot run:"
        printf "  %-12s %-16s %s\n", $1, $2, $6
    }' "$results"
}

print_failures() {
    local name program linkage reason output
    while IFS='|' read -r name program linkage reason; do
        echo
        if [ "$program" = '*' ]; then
            echo "FAILED $name: $reason"
            output=$ports/$name/library.log
        else
            echo "FAILED $name: $program, $linkage: $reason"
            output=$ports/$name/bin/$program-$linkage.out
            [ -f "$output" ] || output=$ports/$name/bin/$program.out
        fi
        [ ! -f "$output" ] || head -n 8 "$output" | cut -c 1-300 | sed 's/^/    /'
    done < <(awk -F '\t' '$4 == "failed" { print $1 "|" $2 "|" $3 "|" $6 }' "$results")
}

: >"$results"
# Each in a shell of its own: a platform's file may have functions in the place of these.
for name in "${chosen[@]}"; do
    (do_platform "$name")
done
print_table
print_reasons
print_failures
echo
echo "results: ${results#"$root/"}; $SECONDS seconds"
! grep -qP '^[^\t]*\t[^\t]*\t[^\t]*\tfailed\t' "$results"
