# shellcheck shell=bash disable=SC2034,SC2154
# 32-bit RISC-V without an operating system, emulated: the static library, and the program of c-examples/bare.
label='Cortex-M and riscv32, no system'
target=riscv32imac-unknown-none-elf
installed=(libcmempool.a)
compiler=(riscv64-unknown-elf-gcc -march=rv32imac -mabi=ilp32)
binutils=riscv64-unknown-elf-
tools=(riscv64-unknown-elf-gcc qemu-system-riscv32)
runner=(qemu-system-riscv32 -M virt -nographic -semihosting -bios none -kernel)
# shellcheck source=tests/ports/bare.bash
source "$here/bare.bash"
