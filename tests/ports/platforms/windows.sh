# shellcheck shell=bash disable=SC2034,SC2154
# 64-bit Windows, by Wine: the DLL with its import library, and the static library.
target=x86_64-pc-windows-gnu
compiler=(x86_64-w64-mingw32-gcc-win32)
binutils=x86_64-w64-mingw32-
wine=$(command -v wine64 || echo /usr/lib/wine/wine64)
tools=(x86_64-w64-mingw32-gcc-win32 "$wine")
runner=("$wine")
folders=(portable)
linkages=(shared static)
# What Rust's own code and the library call of the system.
libraries=(-lntdll -lbcrypt -lkernel32 -luserenv -lws2_32)
keep_hidden=yes
program_suffix=.exe
brief=yes
# Its registry and drives are none of the user's, and it says nothing of what it lacks.
export WINEPREFIX=$work/wine WINEDEBUG=-all

install_library() { # where cargo built it
    install -m 755 "$1/cmempool.dll" "$work/lib/cmempool.dll"
    # Programs look for it beside them.
    cp "$work/lib/cmempool.dll" "$work/bin/cmempool.dll"
    cp "$1/libcmempool.dll.a" "$work/lib/libcmempool.dll.a"
    pick_members "$1/libcmempool.a"
}

link_flags() { # linkage
    if [ "$1" = shared ]; then
        printf '%s\n' "$work/lib/libcmempool.dll.a"
    else
        printf '%s\n' "$work/lib/libcmempool.a"
    fi
}
