# shellcheck shell=bash disable=SC2034,SC2154
# 64-bit IBM Z Linux with the GNU C library, emulated: the most significant byte comes first.
label='s390x Linux (big-endian)'
target=s390x-unknown-linux-gnu
compiler=(s390x-linux-gnu-gcc)
binutils=s390x-linux-gnu-
tools=(s390x-linux-gnu-gcc qemu-s390x)
runner=(qemu-s390x -L /usr/s390x-linux-gnu)
same_as=qemu
brief=yes
