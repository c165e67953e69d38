# shellcheck shell=bash disable=SC2034,SC2154
# 64-bit Arm Linux with the GNU C library, emulated.
label='aarch64 Linux'
target=aarch64-unknown-linux-gnu
compiler=(aarch64-linux-gnu-gcc)
binutils=aarch64-linux-gnu-
tools=(aarch64-linux-gnu-gcc qemu-aarch64)
runner=(qemu-aarch64 -L /usr/aarch64-linux-gnu)
same_as=qemu
brief=yes
