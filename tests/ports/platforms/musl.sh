# shellcheck shell=bash disable=SC2034,SC2154
# x86-64 Linux with musl: programs linked with the shared and with the static library, and with nothing
# shared at all.
label='x86-64 Linux, musl'
target=x86_64-unknown-linux-musl
compiler=(musl-gcc)
tools=(musl-gcc)
linkages=(shared static alone)
brief=yes

# musl-gcc knows none of the kernel's headers.
headers=$work/kernel
mkdir -p "$headers"
multiarch=$(gcc -print-multiarch 2>/dev/null || true)
for folder in linux asm-generic; do
    ln -sfn "/usr/include/$folder" "$headers/$folder"
done
ln -sfn "/usr/include/$multiarch/asm" "$headers/asm"
c_flags=(-isystem "$headers")
