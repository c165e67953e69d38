# shellcheck shell=bash disable=SC2034,SC2154
# 32-bit x86 Linux with the GNU C library, by the processor's own 32-bit mode.
label='i686 Linux'
target=i686-unknown-linux-gnu
compiler=(gcc -m32)
tools=(gcc)
brief=yes
# The compiler looks for the kernel's headers of the machine in a folder of the other one.
mkdir -p "$work/kernel"
ln -sfn "/usr/include/$(gcc -print-multiarch)/asm" "$work/kernel/asm"
c_flags=(-isystem "$work/kernel")
# There is no command that tells whether the 32-bit C library is there.
have() {
    [ -e /usr/include/i386-linux-gnu ] || [ -e /usr/lib32/libc.so ] || [ -e /usr/lib32/crt1.o ]
}
lacks='the 32-bit C library'
