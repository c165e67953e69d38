# shellcheck shell=bash disable=SC2034,SC2154
# Arm Cortex-M4 without an operating system, emulated: the static library, and the program of c-examples/bare.
label='Cortex-M and riscv32, no system'
target=thumbv7em-none-eabi
installed=(libcmempool.a)
compiler=(arm-none-eabi-gcc -mcpu=cortex-m4 -mthumb)
binutils=arm-none-eabi-
tools=(arm-none-eabi-gcc qemu-system-arm)
runner=(qemu-system-arm -M mps2-an386 -nographic -semihosting -kernel)
# shellcheck source=tests/ports/bare.bash
source "$here/bare.bash"
