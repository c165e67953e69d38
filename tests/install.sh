#!/usr/bin/env bash
# Do others find and use what `make install` installs: with pkg-config, with CMake, and with man?
#
# usage: tests/install.sh, from anywhere. CMake's part is skipped, by name, where it is not installed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

die() {
    echo "tests/install.sh: $1" >&2
    exit 1
}

for tool in cc make pkg-config readelf; do
    command -v "$tool" >/dev/null || die "'$tool' is needed, and it is not on the PATH"
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
major=${version%%.*}

# What must not matter: where the caller's own packages are, and his settings for make.
unset MAKEFLAGS MFLAGS MAKELEVEL PREFIX LIBDIR INCLUDEDIR MANDIR BINDIR GDBDIR DOCDIR DEBUGDIR DESTDIR PKG_CONFIG_PATH \
    LD_LIBRARY_PATH

quietly() { # command...
    "$@" >"$work/log" 2>&1 || die "failed: $*: $(tr '\n' '|' <"$work/log" | tail -c 2000)"
}

install_into() { # variables of make...
    quietly make install LDCONFIG=true "$@"
}

mkdir "$work/user"
cp tests/subproject/user.c "$work/user"

# A program that runs, with the library inside or not, as it should be.
expect_program() { # program linkage library-directory
    local needed
    needed=$(readelf -d "$1" | grep -c "NEEDED.*\[libcmempool\.so\.$major\]" || true)
    case $2 in
    shared) [ "$needed" -eq 1 ] || die "$1 does not ask for libcmempool.so.$major" ;;
    static) [ "$needed" -eq 0 ] || die "$1 asks for the shared library" ;;
    esac
    LD_LIBRARY_PATH=$3 quietly "$1"
}

with_pkg_config() { # library-directory prefix flags-of-pkg-config...
    local lib=$1 prefix=$2 flags
    shift 2
    export PKG_CONFIG_PATH="$lib/pkgconfig"
    [ "$(pkg-config --modversion cmempool)" = "$version" ] || die "pkg-config says another version"
    flags=$(pkg-config "$@" --cflags --libs cmempool)
    [[ $flags == *"-L$lib "* && $flags == *"-I$prefix/"* ]] || die "pkg-config says $flags"
    # The flags are words of their own.
    # shellcheck disable=SC2086
    quietly cc "$work/user/user.c" -o "$work/shared" $flags
    expect_program "$work/shared" shared "$lib"
    # All static: what `pkg-config --static` is for.
    flags=$(pkg-config "$@" --static --cflags --libs cmempool)
    [[ $flags == *-lpthread* ]] || die "pkg-config --static forgets Libs.private: $flags"
    # shellcheck disable=SC2086
    quietly cc -static "$work/user/user.c" -o "$work/static" $flags
    expect_program "$work/static" static "$lib"
    unset PKG_CONFIG_PATH
}

cat >"$work/user/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.13)
project(user C)

string(REGEX MATCH "^[0-9]+" major "${VERSION}")
math(EXPR before "${major} - 1")
math(EXPR after "${major} + 1")
# Refused: another major version, and what is not there yet.
foreach(wrong ${before} ${after} ${after}.0.0 ${major}.999 ${before}.0...${after} ${after}...99)
    find_package(cmempool ${wrong} QUIET CONFIG)
    if(cmempool_FOUND)
        message(FATAL_ERROR "${wrong} was asked for, and cmempool ${cmempool_VERSION} found")
    endif()
    unset(cmempool_DIR CACHE)
endforeach()
set(right ${major} ${VERSION})
if(NOT CMAKE_VERSION VERSION_LESS 3.19) # which knows ranges
    list(APPEND right ${major}.0...${VERSION} ${major}.0...<${after})
endif()
foreach(right ${right} "")
    find_package(cmempool ${right} REQUIRED)
endforeach()

if(NOT cmempool_VERSION STREQUAL VERSION OR NOT cmempool_DIR STREQUAL DIR)
    message(FATAL_ERROR "found ${cmempool_VERSION} in ${cmempool_DIR}, not ${VERSION} in ${DIR}")
endif()

add_executable(shared user.c)
target_link_libraries(shared PRIVATE cmempool::cmempool)
add_executable(static user.c)
target_link_libraries(static PRIVATE cmempool::cmempool_static)
get_target_property(needs cmempool::cmempool_static INTERFACE_LINK_LIBRARIES)
if(NOT needs STREQUAL "-lpthread")
    message(FATAL_ERROR "the static library needs '${needs}', and cmempool.pc says -lpthread")
endif()
CMAKE

with_cmake() { # prefix library-directory
    command -v cmake >/dev/null || {
        echo "skipped: find_package in $(basename "$1"): cmake is not installed"
        return
    }
    rm -rf "$work/build"
    quietly cmake -S "$work/user" -B "$work/build" "-DCMAKE_PREFIX_PATH=$1" "-DVERSION=$version" \
        "-DDIR=$2/cmake/cmempool" "-DCMAKE_LIBRARY_ARCHITECTURE=$(basename "$2")"
    quietly cmake --build "$work/build"
    expect_program "$work/build/shared" shared "$2"
    expect_program "$work/build/static" static "$2"
}

tries() { # prefix
    quietly "$1/bin/cmempool-try" -o "$work/report" true
    grep -q '^true: 1 process' "$work/report" || die "cmempool-try below $1 says $(<"$work/report")"
}

files_below() { # directory
    (cd "$1" && find . ! -type d | sed 's|^\./||' | LC_ALL=C sort)
}

# ---- The usual way: a prefix of the user's own.
prefix=$work/usual
install_into "PREFIX=$prefix"
with_pkg_config "$prefix/lib" "$prefix"
with_cmake "$prefix" "$prefix/lib"
[ -f "$prefix/share/man/man3/cmempool.3" ] || die "no cmempool(3)"
[ -f "$prefix/lib/libcmempool.so.$version-gdb.py" ] || die "no script for gdb beside the library"
tries "$prefix"
# What the installed documents lead to is installed, or said to be in the source.
documents=$prefix/share/doc/cmempool
while IFS= read -r document; do
    while IFS= read -r link; do
        [ -e "$(dirname "$document")/$link" ] || die "${document#"$documents/"} leads to $link, which is not installed"
    done < <(grep -oP '\]\(\K(?!https?:|#)[^)#]+' "$document" | sort -u)
done < <(find "$documents" -name '*.md')
while read -r symbol; do
    # No person calls these: code of the header's does.
    [[ $symbol != *_missed ]] || continue
    [ -f "$prefix/share/man/man3/$symbol.3" ] || die "no man page for $symbol"
done <tests/symbols.txt
if command -v man >/dev/null && man -M "$prefix/share/man" -w 3 cmempool >/dev/null 2>&1; then
    man -M "$prefix/share/man" -w 3 r_mempool_free_entry >/dev/null || die "man finds no linked name"
else
    echo "skipped: man with a tree of its own: not installed"
fi
cmp -s LICENSE "$prefix/share/doc/cmempool/LICENSE" || die "no licence in share/doc/cmempool"
quietly make uninstall "PREFIX=$prefix"
left=$(files_below "$prefix")
[ -z "$left" ] || die "uninstall leaves $left"
for dir in lib/cmake/cmempool lib/cmempool include/cmempool share/doc/cmempool; do
    [ ! -e "$prefix/$dir" ] || die "uninstall leaves $dir"
done

# ---- A distribution's way: staged below DESTDIR, in a directory per architecture; and what is built
# already without cargo, which root may not have.
stage=$work/stage
lib=lib/x86_64-linux-gnu
places=("DESTDIR=$stage" PREFIX=/usr "LIBDIR=/usr/$lib" MANDIR=/usr/share/man)
install_into "${places[@]}" CARGO=not-there
expected=$(
    printf '%s\n' include/cmempool.{h,hpp} "$lib"/libcmempool.{a,so,"so.$major","so.$version"} \
        "share/gdb/auto-load/usr/$lib/libcmempool.so.$version-gdb.py" \
        bin/cmempool-try "$lib"/cmempool/{cmempool-try,libcmempool-try.so} share/man/man1/cmempool-try.1 \
        "$lib"/pkgconfig/cmempool.pc "$lib"/cmake/cmempool/cmempoolConfig{,Version}.cmake
    for page in man/*.3; do
        echo "share/man/man3/${page##*/}"
    done
    for document in LICENSE {README,CHANGELOG,SECURITY,CONTRIBUTING}.md cmempool.map docs/*.{md,svg} \
        {adapters,bench,packaging}/README.md bench/results/*.svg; do
        echo "share/doc/cmempool/$document"
    done
    for header in adapters/cmempool/*.h; do
        echo "include/cmempool/${header##*/}"
    done
)
LC_ALL=C diff <(LC_ALL=C sort <<<"$expected") <(files_below "$stage/usr") >"$work/log" ||
    die "other files than expected (<), or more (>): $(tr '\n' ' ' <"$work/log")"
[ "$(ls "$stage")" = usr ] || die "installs beside DESTDIR/usr"
grep -rl "$work" "$stage" >"$work/log" && die "DESTDIR or the build directory in $(<"$work/log")"
dangling=$(find "$stage" -xtype l)
[ -z "$dangling" ] || die "links that lead nowhere: $dangling"
odd=$(find "$stage" -type f ! -perm 644 ! -name "libcmempool.so.*" ! -path "*/lib/*/cmempool/*")
[ -z "$odd" ] || die "not readable by all, or more than that: $odd"
pc=$stage/usr/$lib/pkgconfig/cmempool.pc
grep -qx 'prefix=/usr' "$pc" && grep -qx "libdir=\${prefix}/$lib" "$pc" || die "$pc does not say /usr"
# Where a package is unpacked is for its user to choose.
mv "$stage/usr" "$work/moved"
with_cmake "$work/moved" "$work/moved/$lib"
tries "$work/moved"
with_pkg_config "$work/moved/$lib" "$work/moved" "--define-variable=prefix=$work/moved"
mv "$work/moved" "$stage/usr"
quietly make uninstall "${places[@]}"
left=$(files_below "$stage")
[ -z "$left" ] || die "uninstall leaves $left below DESTDIR"
[ ! -e "$stage/usr/share/gdb/auto-load/usr/$lib" ] || die "uninstall leaves the directory of the gdb script"

# ---- What can't be meant.
if make install LDCONFIG=true "DESTDIR=$work/" PREFIX=relative >"$work/log" 2>&1; then
    die "installs into a relative prefix"
fi
grep -q "'relative'" "$work/log" || die "does not say what is wrong with a relative prefix"

echo "installed, found and removed: pkg-config, CMake, man"
