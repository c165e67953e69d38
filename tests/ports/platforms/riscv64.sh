# shellcheck shell=bash disable=SC2034,SC2154
# 64-bit RISC-V Linux with the GNU C library, emulated.
label='riscv64 Linux'
target=riscv64gc-unknown-linux-gnu
compiler=(riscv64-linux-gnu-gcc)
binutils=riscv64-linux-gnu-
tools=(riscv64-linux-gnu-gcc qemu-riscv64)
runner=(qemu-riscv64 -L /usr/riscv64-linux-gnu)
same_as=qemu
brief=yes
