# shellcheck shell=bash disable=SC2034,SC2154
# How is the library tried where there is no operating system?
#
# For the files in platforms/ to source. The program and what it is linked with lie in c-examples/bare, in
# which `run.sh LIBRARY OUT` builds and runs it. It gets the compiler in CC and the emulator in RUNNER, and
# prints a line for each result: a name, `passed` or `failed`, and what there is to say.
no_shared=yes

test_platform() {
    local script=$root/c-examples/bare/run.sh name result reason
    if [ ! -x "$script" ]; then
        note bare static failed "c-examples/bare/run.sh is not there"
        return
    fi
    CC="${compiler[*]}" RUNNER="${runner[*]}" timeout -k 5 "$limit" "$script" \
        "$work/lib/libcmempool.a" "$work/bin" >"$work/bin/bare-static.out" 2>&1 ||
        note bare static failed "status $?"
    while read -r name result reason; do
        case $result in
        passed | failed | cannot) note "$name" static "$result" "$reason" ;;
        esac
    done <"$work/bin/bare-static.out"
}
