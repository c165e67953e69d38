#!/usr/bin/env bash
# Do CMake and Meson build cmempool as a part of another project?
#
# usage: tests/subproject.sh [TARGET]
#
# TARGET is where cargo built before: its crates are used. What is not installed is skipped, by name.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

die() {
    echo "tests/subproject.sh: $1" >&2
    exit 1
}

for tool in cc c++ make readelf cmp; do
    command -v "$tool" >/dev/null || die "'$tool' is needed, and it is not on the PATH"
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
version=$(sed -n '/^version = /{s/.*"\(.*\)"/\1/p;q}' Cargo.toml)
unset MAKEFLAGS MFLAGS MAKELEVEL PREFIX LIBDIR DESTDIR PKG_CONFIG_PATH CARGO_TARGET_DIR

quietly() { # command...
    "$@" >"$work/log" 2>&1 || die "failed: $*: $(tail -n 20 "$work/log")"
}

# Their own, for the tests to change; without what was built, and not to be written to by a build.
mkdir "$work/source"
tar -c --exclude=./target --exclude=./.git --exclude=./bench . | tar -x -C "$work/source"
tree_of_source() {
    (cd "$work/source" && find . -type f -exec sha256sum {} + | LC_ALL=C sort)
}
tree_of_source >"$work/before"

# Crates that are built need not be built again.
crates_into() { # directory
    mkdir -p "$1"
    [ -z "${built:-}" ] || cp -a "$built/release" "$1"
}
done=()
built=
[ ! -d "${1:-}/release" ] || built=$(cd "$1" && pwd)

# ---- What Rust calls a machine, Rust knows; of the others nothing is said.
while read -r machine target; do
    [ "$(tools/rust-target "$machine" || echo none)" = "$target" ] || die "rust-target: $machine is not $target"
    [ "$target" = none ] || rustc --print target-list | grep -qxF "$target" || die "Rust knows no $target"
done <<'TABLE'
x86_64-linux-gnu x86_64-unknown-linux-gnu
i386-linux-gnu i686-unknown-linux-gnu
i586-linux-musl i686-unknown-linux-musl
aarch64-linux-gnu aarch64-unknown-linux-gnu
arm-linux-gnueabihf armv7-unknown-linux-gnueabihf
armv7l-unknown-linux-gnueabihf armv7-unknown-linux-gnueabihf
riscv64-linux-gnu riscv64gc-unknown-linux-gnu
s390x-linux-gnu s390x-unknown-linux-gnu
x86_64-w64-mingw32 x86_64-pc-windows-gnu
x86_64-unknown-freebsd14.0 x86_64-unknown-freebsd
i386-unknown-freebsd14 i686-unknown-freebsd
arm64-apple-darwin23 aarch64-apple-darwin
armv5te-linux-gnueabi none
aarch64-linux-android21 none
aarch64-w64-mingw32 none
hppa-unknown-netbsd none
TABLE

mkdir -p "$work/user/subprojects"
cp tests/subproject/* "$work/user"
ln -s "$work/source" "$work/user/subprojects/cmempool"

expect_programs() { # directory
    "$1/shared" || die "$1/shared fails"
    "$1/static" || die "$1/static fails"
    readelf -d "$1/shared" | grep -q "NEEDED.*\[libcmempool\.so\.${version%%.*}\]" ||
        die "$1/shared does not ask for the library"
    ! readelf -d "$1/static" | grep -q "NEEDED.*cmempool" || die "$1/static asks for the shared library"
}

# Nothing to do: the library stays. A changed source: it is built anew, and programs are linked anew.
expect_rebuild() { # directory, command...
    local programs=$1 before
    shift
    before=$(stat -c %y "$programs"/{shared,static})
    quietly "$@"
    [ "$(stat -c %y "$programs"/{shared,static})" = "$before" ] || die "$*: links again without a change"
    echo '// A change.' >>"$work/source/src/os/error.rs"
    quietly "$@"
    [ "$(stat -c %y "$programs"/{shared,static} | grep -cFxf <(echo "$before"))" = 0 ] ||
        die "$*: does not build anew after a change"
    sed -i '$d' "$work/source/src/os/error.rs"
}

# Where there is no cargo, as on a machine that has all the rest.
mkdir "$work/bin"
ln -s /usr/bin/* "$work/bin"
rm -f "$work/bin/cargo"
expect_one_line() { # command...
    if env "PATH=$work/bin" HOME=/nowhere CARGO_HOME=/nowhere "$@" >"$work/log" 2>&1; then
        die "$1 does not need cargo"
    fi
    grep -q 'cmempool needs cargo to build: install Rust (https://rustup.rs)' "$work/log" ||
        die "$1 does not say that cargo is missing: $(<"$work/log")"
}

# Make takes a space for the end of a name, and says so before it does harm.
expect_no_space() { # command...
    if "$@" >"$work/log" 2>&1; then
        die "$*: builds in a path with a space"
    fi
    # CMake wraps lines.
    tr -s '\n ' '  ' <"$work/log" |
        grep -q "cmempool is not built or installed where a path has a space: [A-Z_]* is '.* .*'" ||
        die "$*: does not say that the path has a space: $(<"$work/log")"
}
mkdir "$work/two words"
expect_no_space make -C "$work/source" names "CARGO_TARGET_DIR=$work/two words"
expect_no_space make -C "$work/source" install "PREFIX=$work/two words"

with_cmake() { # generator, way
    local build=$work/cmake-$2
    if [ "$2" = subdirectory ]; then
        crates_into "$build/cmempool/cargo"
    else
        crates_into "$build/_deps/cmempool-build/cargo"
    fi
    quietly cmake -G "$1" -S "$work/user" -B "$build" "-DWAY=$2" "-DVERSION=$version" "-DSOURCE=$work/source"
    quietly cmake --build "$build" -j 4
    expect_programs "$build"
    expect_rebuild "$build" cmake --build "$build" -j 4
    # As the guide has it: the library goes along, and is found.
    if [[ $(cmake --version) =~ ([0-9]+)\.([0-9]+) ]] && ((BASH_REMATCH[1] * 100 + BASH_REMATCH[2] >= 321)); then
        quietly cmake --install "$build" --prefix "$work/shipped-$2"
        readelf -d "$work/shipped-$2/bin/shared" | grep -qF "[\$ORIGIN/../lib]" || die "the installed program looks elsewhere"
        mv "$build" "$build.away"
        "$work/shipped-$2/bin/shared" || die "the installed program does not find its library"
        mv "$build.away" "$build"
    else
        echo "skipped: install(IMPORTED_RUNTIME_ARTIFACTS): CMake is older than 3.21"
    fi
}

if ! command -v cmake >/dev/null; then
    echo "skipped: CMake: it is not installed"
else
    with_cmake 'Unix Makefiles' subdirectory
    if command -v ninja >/dev/null; then
        with_cmake Ninja fetch
    else
        echo "skipped: CMake with Ninja: it is not installed"
    fi
    done+=(CMake)
    # On its own, it installs what make does.
    crates_into "$work/alone/cargo"
    quietly cmake -S "$work/source" -B "$work/alone" "-DCMAKE_INSTALL_PREFIX=/usr"
    quietly cmake --build "$work/alone"
    # As root does it, who may have no cargo.
    quietly env "DESTDIR=$work/by-cmake" HOME=/nowhere CARGO_HOME=/nowhere RUSTUP_HOME=/nowhere cmake --install "$work/alone"
    quietly make -C "$work/source" install PREFIX=/usr "DESTDIR=$work/by-make" "CARGO_TARGET_DIR=$work/alone/cargo"
    quietly diff -r "$work/by-cmake" "$work/by-make"
    expect_no_space cmake -S "$work/user" -B "$work/two words/cmake" -DWAY=subdirectory "-DVERSION=$version" "-DSOURCE=$work/source"
    expect_one_line cmake -S "$work/source" -B "$work/poor" -DCMAKE_FIND_USE_CMAKE_SYSTEM_PATH=OFF
fi

if ! command -v meson >/dev/null || ! command -v ninja >/dev/null; then
    echo "skipped: Meson: it or Ninja is not installed"
else
    expect_no_space meson setup "$work/two words/meson" "$work/source"
    expect_one_line meson setup "$work/poor-meson" "$work/source"
    build=$work/meson
    crates_into "$build/subprojects/cmempool/cargo"
    quietly meson setup --wrap-mode=forcefallback "$build" "$work/user" "-Dprefix=$work/prefix" -Dlibdir=lib
    [ "$(meson introspect --projectinfo "$build" | grep -o '"version": "[0-9.]*", "descriptive_name": "cmempool"')" = \
        "\"version\": \"$version\", \"descriptive_name\": \"cmempool\"" ] || die "meson.build: another version than $version"
    quietly ninja -C "$build"
    done+=(Meson)
    expect_programs "$build"
    expect_rebuild "$build" ninja -C "$build"
    quietly meson install -C "$build"
    # On its own, it builds all, and installs that.
    crates_into "$work/alone-meson/cargo"
    quietly meson setup "$work/alone-meson" "$work/source" "-Dprefix=$work/alone-prefix" -Dlibdir=lib -Dbindir=programs
    quietly ninja -C "$work/alone-meson"
    [ -e "$work/alone-meson/libcmempool.a" ] || die "ninja builds no library"
    quietly env HOME=/nowhere CARGO_HOME=/nowhere RUSTUP_HOME=/nowhere meson install -C "$work/alone-meson"
    [ -e "$work/alone-prefix/lib/libcmempool.a" ] || die "meson install lacks the library"
    [ ! -e "$work/prefix/bin/cmempool-try" ] || [ -e "$work/alone-prefix/programs/cmempool-try" ] ||
        die "meson install does not know bindir"
    for file in lib/libcmempool.so.${version%%.*} lib/pkgconfig/cmempool.pc include/cmempool.h bin/shared; do
        [ -e "$work/prefix/$file" ] || die "meson install lacks $file"
    done
fi

quietly diff "$work/before" <(tree_of_source)
echo "built as a part of another project: ${done[*]-nothing}"
