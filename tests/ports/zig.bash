# shellcheck shell=bash disable=SC2034,SC2154
# How is zig's C compiler called, for a system of which there is no other?
#
# For the files in platforms/ to source, which set `zig_target` and `zig_drops`. Makes a compiler that drops
# what zig does not know.
zig_python=$ports/zig/bin/python3
[ -x "$zig_python" ] || zig_python=python3
compiler=("$work/cc")
linker=$work/cc
# Rust would have the system's own tool strip it.
environment=(CARGO_PROFILE_RELEASE_STRIP=none)
have() {
    "$zig_python" -c 'import ziglang' 2>/dev/null
}
lacks='ziglang for python3'

mkdir -p "$work"
cat >"$work/cc" <<END
#!/usr/bin/env bash
kept=()
for argument; do
    case " $zig_drops " in
    *" \$argument "*) ;;
    *) kept+=("\$argument") ;;
    esac
done
exec "$zig_python" -m ziglang cc -target $zig_target "\${kept[@]}"
END
chmod +x "$work/cc"
