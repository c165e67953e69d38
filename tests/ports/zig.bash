# shellcheck shell=bash disable=SC2034,SC2154
# How is zig's C compiler called, for a system of which there is no other?
#
# For the files in platforms/ to source, which set `zig_target`.
zig_python=$ports/zig/bin/python3
[ -x "$zig_python" ] || zig_python=python3
compiler=("$work/cc")
have() {
    "$zig_python" -c 'import ziglang' 2>/dev/null
}
lacks='ziglang for python3'

mkdir -p "$work"
cat >"$work/cc" <<END
#!/usr/bin/env bash
exec "$zig_python" -m ziglang cc -target $zig_target "\$@"
END
chmod +x "$work/cc"
