#!/usr/bin/env bash
# Do the adapters plug cmempool into the libraries that they are for?
#
# usage: tests/adapters.sh PREFIX
#
# Builds, against the cmempool installed below PREFIX and the libraries as they are installed, with
# each compiler there is: tests/adapters/*.c, the examples, each header as C++, and the programs of README.md
# and adapters/README.md, by the commands shown there; programs also with _FORTIFY_SOURCE and with
# link-time optimisation. Runs the programs, the tests also with AddressSanitizer, and the adapter's
# own in hardened and bypassed pools and under valgrind. Prints a line for each library; ends with 1 if
# anything failed.
set -euo pipefail

die() {
    echo "tests/adapters.sh: $1" >&2
    exit 1
}

[ $# -eq 1 ] || die "usage: tests/adapters.sh PREFIX"
for tool in cc pkg-config; do
    command -v "$tool" >/dev/null || die "'$tool' is needed, and it is not on the PATH"
done
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=tests/variants.sh
source "$root/tests/variants.sh"
[ -f "$1/include/cmempool/adapter.h" ] || die "no installed adapters below $1"
prefix=$(cd "$1" && pwd)
export PKG_CONFIG_PATH="$prefix/lib/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}"
export LD_LIBRARY_PATH="$prefix/lib"
unset CMEMPOOL_OPTIONS
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
limit=240 # seconds for one program

compilers=()
for compiler in gcc clang; do
    ! command -v "$compiler" >/dev/null || compilers+=("$compiler")
done
[ ${#compilers[@]} -gt 0 ] || compilers=(cc)
declare -A levels # of each compiler, flags with commas in between; the plain ones last
for compiler in "${compilers[@]}"; do
    levels[$compiler]="$(fortified_flags "$compiler" c) $(link_time_flags "$compiler" c) -O2"
done

# name, Debian's package, names that pkg-config may know it by
libraries="
adapter  libc6-dev        cmempool
sqlite   libsqlite3-dev   sqlite3
lua      liblua5.4-dev    lua5.4 lua-5.4 lua54 lua
zlib     zlib1g-dev       zlib
expat    libexpat1-dev    expat
cjson    libcjson-dev     libcjson
libuv    libuv1-dev       libuv
pcre2    libpcre2-dev     libpcre2-8
"

# Every adapter is tested.
for header in "$prefix"/include/cmempool/*.h; do
    name=$(basename "$header" .h)
    grep -q "^$name " <<<"$libraries" || die "nothing tests <cmempool/$name.h>"
done

# An older C gets one line that says so, and nothing else.
for header in "$prefix"/include/cmempool/*.h; do
    for compiler in "${compilers[@]}"; do
        said=$("$compiler" -std=c99 -fsyntax-only -I"$prefix/include" -x c "$header" 2>&1) &&
            die "$compiler takes $header as C99"
        [[ $(grep -cE '(error|warning): ' <<<"$said") == 1 && $said == *"needs C11 or newer"* ]] ||
            die "$compiler says of $header as C99: $said"
    done
done

run() { # what it is, command...
    local what=$1 status=0
    shift
    timeout "$limit" "$@" >"$out" 2>&1 || status=$?
    [ $status -eq 0 ] || {
        echo "FAILED $name: $what (status $status): $(head -c 2000 "$out" | tr '\n' '|')"
        return 1
    }
}

passed() { # what it is, command...
    run "$@" && { grep -qx 'ok [1-9][0-9]*' "$out" || {
        echo "FAILED $name: $1 does not say ok"
        return 1
    }; }
}

# A namespace without a network may not even have the machine itself in it.
has_loopback() {
    local answer
    answer=$( (LC_ALL=C; exec 3<>/dev/tcp/127.0.0.1/1) 2>&1 || true)
    [[ $answer != *unreachable* ]]
}

check_library() { # name, names for pkg-config...
    local name=$1 out=$work/$1.out flags compiler level program=$work/$1 package=
    shift
    [ "$name" != libuv ] || has_loopback || {
        echo "skipped: libuv: there is no network, not even to this machine"
        return 0
    }
    for package; do
        ! pkg-config --exists "$package" || break
    done
    # Words of their own.
    # shellcheck disable=SC2046
    set -- $(pkg-config --cflags --libs cmempool "$package") -pthread
    flags=(-std=c11 -Wall -Wextra -Wpedantic -Werror -g)
    for compiler in "${compilers[@]}"; do
        run "$compiler -O0" "$compiler" "${flags[@]}" -O0 "$root/tests/adapters/$name.c" \
            -o "$program" "$@" || return
        # The plain program, which is the last, stays for what follows.
        for level in ${levels[$compiler]}; do
            # Each flag is a word of its own.
            # shellcheck disable=SC2086
            run "$compiler $level" "$compiler" "${flags[@]}" ${level//,/ } \
                "$root/tests/adapters/$name.c" -o "$program" "$@" || return
            passed "$compiler $level" "$program" || return
            [ "$name" != adapter ] || continue
            # shellcheck disable=SC2086
            run "the example, $compiler $level" "$compiler" "${flags[@]}" ${level//,/ } \
                "$root/adapters/examples/$name.c" -o "$program-example" "$@" || return
            run "the example, $compiler $level" "$program-example" || return
            grep -q '^ranged pool' "$out" || {
                echo "FAILED $name: the example shows no report"
                return 1
            }
        done
        case $name in adapter)
            for options in hardened bypass; do
                passed "$compiler, $options" env CMEMPOOL_OPTIONS=$options "$program" || return
            done
            ;;
        esac
        if echo 'int main(void){return 0;}' |
            "$compiler" -x c - -fsanitize=address -o "$program-probe" 2>/dev/null; then
            run "$compiler's AddressSanitizer" "$compiler" "${flags[@]}" -O1 -fsanitize=address \
                "$root/tests/adapters/$name.c" -o "$program-asan" "$@" || return
            passed "$compiler's AddressSanitizer" "$program-asan" || return
        fi
    done
    printf '#include <cmempool/%s.h>\nint main() { return 0; }\n' "$name" >"$program.cc"
    for compiler in g++ clang++; do
        ! command -v "$compiler" >/dev/null ||
            run "$compiler" "$compiler" -std=c++11 "${flags[@]:1}" -O2 "$program.cc" \
                -o "$program-c++" "$@" || return
    done
    if [ "$name" = adapter ] && command -v valgrind >/dev/null; then
        passed "valgrind" env CMEMPOOL_TEST_VALGRIND=1 \
            valgrind -q --error-exitcode=1 --leak-check=full "$program" || return
    fi
    echo "$name: passed"
}

# The programs of a document whose first line names their file, built and run by the commands shown there. A
# program that includes an adapter must have a name, and each that has one a command.
check_document() {
    local name=$1 out=$work/document.out directory=$work/${1//\//-} command shown cc=(cc) compiler level file
    # Compilers with their flags, in place of the one that is shown.
    for compiler in "${compilers[@]}"; do
        for level in ${levels[$compiler]}; do
            cc+=("$compiler ${level//,/ }")
        done
    done
    mkdir "$directory"
    awk -v into="$directory/" '
        /^```c$/ {
            getline
            code = 1
            file = sub(/\.c:$/, ".c", $2) ? into $2 : ""
        }
        /^```$/ { code = 0 }
        code && !file && /#include <cmempool\// { exit 1 }
        code && file { print > file }' "$root/$name" || {
        echo "FAILED $name: a program that includes an adapter has no name"
        return 1
    }
    cd "$directory"
    [ -n "$(find . -name '*.c')" ] || {
        echo "FAILED $name: it shows no program"
        return 1
    }
    for file in *.c; do
        shown=$(sed -n "s/^    \(cc $file .*\)/\1/p" "$root/$name")
        [ -n "$shown" ] || {
            echo "FAILED $name: no command for $file"
            return 1
        }
        for compiler in "${cc[@]}"; do
            command=${shown/#cc /$compiler }
            run "$command" bash -euc "$command" || return
            ! grep -q r_mempool_dump "$file" || grep -q '^ranged pool' "$out" || {
                echo "FAILED $name: no report from $command"
                return 1
            }
        done
    done
    echo "$name: passed"
}

failed=0 missing=0
while read -r name package names; do
    [ -n "$name" ] || continue
    there=
    for candidate in $names; do
        ! pkg-config --exists "$candidate" || there=yes
    done
    if [ -z "$there" ]; then
        echo "skipped: $package is not installed"
        missing=1
        continue
    fi
    # Two at a time, and each one's lines together.
    while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do
        wait -n || failed=1
    done
    # shellcheck disable=SC2086
    check_library "$name" $names &
done <<<"$libraries"
while [ -n "$(jobs -p)" ]; do
    wait -n || failed=1
done
if [ $missing -eq 0 ]; then
    for document in README.md adapters/README.md; do
        (check_document "$document") || failed=1
    done
else
    echo "skipped: the programs of README.md and adapters/README.md, which need them all"
fi
exit $failed
