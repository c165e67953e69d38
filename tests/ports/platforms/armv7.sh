# shellcheck shell=bash disable=SC2034,SC2154
# 32-bit Arm Linux with the GNU C library, emulated.
label='armv7 Linux'
target=armv7-unknown-linux-gnueabihf
compiler=(arm-linux-gnueabihf-gcc)
binutils=arm-linux-gnueabihf-
tools=(arm-linux-gnueabihf-gcc qemu-arm)
runner=(qemu-arm -L /usr/arm-linux-gnueabihf)
same_as=qemu
brief=yes
