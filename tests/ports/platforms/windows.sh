# shellcheck shell=bash disable=SC2034,SC2154
# 64-bit Windows, by Wine: the DLL with its import library, and the static library.
label='x86-64 Windows (gnu)'
target=x86_64-pc-windows-gnu
compiler=(x86_64-w64-mingw32-gcc-win32)
binutils=x86_64-w64-mingw32-
wine=$(command -v wine64 || echo /usr/lib/wine/wine64)
tools=(x86_64-w64-mingw32-gcc-win32 "$wine")
runner=("$wine")
folders=(portable)
linkages=(shared static)
# What the library calls of the system.
libraries=(-lsynchronization)
keep_hidden=yes
program_suffix=.exe
installed=("libcmempool-${version%%.*}.dll" libcmempool.dll.a libcmempool.a)
brief=yes
# Its registry and drives are none of the user's, and it says nothing of what it lacks.
export WINEPREFIX=$work/wine WINEDEBUG=-all

link_flags() { # linkage
    if [ "$1" = shared ]; then
        # Programs look for it beside them.
        cp -u "$work"/lib/*.dll "$work/bin"
        printf '%s\n' "$work/lib/libcmempool.dll.a"
    else
        printf '%s\n' "$work/lib/libcmempool.a"
    fi
}

# A program that finds the DLL by CMake.
try_more() {
    local output=$work/bin/cmake.out
    if ! command -v cmake >/dev/null; then
        note cmake shared cannot 'cmake is not installed'
    elif cmake -S "$here/cmake" -B "$work/cmake" -DCMAKE_SYSTEM_NAME=Windows \
        "-DCMAKE_C_COMPILER=${compiler[0]}" "-DCMAKE_PREFIX_PATH=$work/stage" >"$output" 2>&1 &&
        cmake --build "$work/cmake" >>"$output" 2>&1 &&
        "${runner[@]}" "$work/cmake/shared.exe" >>"$output" 2>&1 &&
        "${runner[@]}" "$work/cmake/static.exe" >>"$output" 2>&1; then
        note cmake shared passed ''
    else
        note cmake shared failed 'see cmake.out'
    fi
}
