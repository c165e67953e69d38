# shellcheck shell=bash disable=SC2034,SC2154
# x86-64 Linux with the GNU C library. tests/c/run.sh builds the programs in more ways.
label='x86-64 Linux, glibc'
target=x86_64-unknown-linux-gnu
compiler=(gcc)
tools=(gcc)
brief=yes
