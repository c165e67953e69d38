#!/usr/bin/env bash
# Installs what tests/ports/run.sh needs, on Debian.
#
# usage: tests/ports/tools.sh TARGET
#
# Packages by apt-get, as root or with sudo; Rust's libraries by rustup, if that is there; zig's compiler
# from PyPI, in TARGET.
set -euo pipefail

die() {
    echo "tests/ports/tools.sh: $1" >&2
    exit 1
}

[ $# -eq 1 ] || die "usage: tests/ports/tools.sh TARGET"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
command -v apt-get >/dev/null || die "there is no 'apt-get': see the list in tests/ports/tools.sh"

packages=(
    gcc-aarch64-linux-gnu libc6-dev-arm64-cross
    gcc-arm-linux-gnueabihf libc6-dev-armhf-cross
    gcc-riscv64-linux-gnu libc6-dev-riscv64-cross
    gcc-s390x-linux-gnu libc6-dev-s390x-cross
    # gcc-multilib would do for 32 bits, but it conflicts with the compilers above.
    "lib32gcc-$(gcc -dumpversion 2>/dev/null || echo 12)-dev" libc6-dev-i386
    musl-tools gcc-mingw-w64-x86-64 wine64
    gcc-arm-none-eabi libnewlib-arm-none-eabi gcc-riscv64-unknown-elf
    qemu-user qemu-system-arm qemu-system-misc
    lld llvm python3-venv
)

sudo=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || die "packages are installed by root, and there is no 'sudo'"
    sudo=(sudo)
fi
# 100 is what it returns when one of the indices is out of date: the packages may be there all the same.
status=0
"${sudo[@]}" apt-get update -qq || status=$?
[ $status -eq 0 ] || [ $status -eq 100 ] || die "apt-get update failed (status $status)"
"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"

if command -v rustup >/dev/null; then
    mapfile -t targets < <(sed -n 's/^target=//p' "$here"/platforms/*.sh)
    rustup -q target add "${targets[@]}"
else
    echo "without rustup: the Rust targets of tests/ports/platforms must be there"
fi

mkdir -p "$1"
[ -x "$1/zig/bin/python3" ] || python3 -m venv "$1/zig"
"$1/zig/bin/python3" -m pip install --quiet ziglang
