#!/usr/bin/env bash
# Does cmempool-try carry real programs, and is what it says of them right?
#
# usage: tests/try.sh PREFIX
#
# Runs programs on pools, with cmempool as it is installed below PREFIX, and compares what they print with a
# plain run: measured; hardened; and with a pool of one entry in each class, which is always exhausted. Then
# checks the reports by programs of which all is known. What is not installed is skipped, by name.
# CMEMPOOL_TRY_TESTS=all runs each program in more ways.
set -euo pipefail

die() {
    echo "tests/try.sh: $1" >&2
    exit 1
}

[ $# -eq 1 ] || die "usage: tests/try.sh PREFIX"
command -v gcc >/dev/null || die "'gcc' is needed, and it is not on the PATH"
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
[ -d "$1" ] || die "there is no $1"
prefix=$(cd "$1" && pwd)
[ -e "$prefix/bin/cmempool-try" ] || {
    ! gcc -E -P -x c - <<<$'#include <limits.h>\n#if !defined __i386__ && __GLIBC__\nhas_try\n#endif' |
        grep -qx has_try || die "no cmempool-try below $prefix"
    echo "skipped: cmempool-try is for the GNU C library"
    exit 0
}
try=$prefix/bin/cmempool-try
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
unset CMEMPOOL_OPTIONS LD_PRELOAD
export TMPDIR=$work LC_ALL=C PYTHONHASHSEED=0
limit=100 # seconds for one program
cd "$work"

# A way to run a program: its options, and what CMEMPOOL_OPTIONS is.
ways=("measured" "exhausted hardened")
[ "${CMEMPOOL_TRY_TESTS:-}" != all ] ||
    ways+=("measured hardened" "exhausted" "exhausted bypass" "few" "few hardened" "measured leaks")

carried() { # way command...
    local options=()
    case ${1% *} in
    exhausted) options=(--entries 1) ;;
    few) options=(--entries 3) ;;
    esac
    case $1 in
    *" "*) export CMEMPOOL_OPTIONS=${1#* } ;;
    esac
    shift
    timeout "$limit" "$try" -a -o report "${options[@]}" "$@"
    local status=$?
    unset CMEMPOOL_OPTIONS
    return $status
}

# A program prints on a pool what it prints without.
same() { # label command...
    local label=$1 way status plain=0
    shift
    "$@" >plain.out 2>plain.err </dev/null || plain=$?
    for way in "${ways[@]}"; do
        status=0
        carried "$way" "$@" >out 2>err </dev/null || status=$?
        [ $status -eq $plain ] || die "$label, $way: status $status, not $plain: $(head -c 1000 err)"
        cmp -s plain.out out || die "$label, $way: prints something else: $(diff plain.out out | head -n 5)"
        cmp -s plain.err err || die "$label, $way: complains of something else: $(head -c 1000 err)"
        grep -q '^static const r_mempool_class' report || die "$label, $way: no classes in the report"
        [[ $way != exhausted* ]] || grep -q 'was exhausted [1-9]' report || die "$label: never exhausted"
    done
    echo "$label: passed"
}

have() { # program
    command -v "$1" >/dev/null || {
        echo "skipped: $1 is not installed"
        return 1
    }
}

built() { # name flags...
    local name=$1
    shift
    gcc -std=c11 -Wall -Wextra -Wpedantic -Werror -O2 "$root/tests/try/$name.c" -o "$name" -pthread "$@"
}

# The report is of this run, and the status as it should be.
ends() { # status option-or-command...
    local expected=$1 status=0
    shift
    rm -f report
    timeout "$limit" "$try" -o report "$@" || status=$?
    [ $status -eq "$expected" ] || die "$*: status $status, not $expected"
}

says() { # words: the report has a line that is, or begins with, them
    grep -qE -- "$1" report || die "the report does not say '$1': $(head -c 3000 report)"
}

# ---- Real programs.

! have python3 || {
    # The program itself, and not what looks for it.
    python=$(python3 -c 'import sys; print(sys.executable)')
    same python3 "$python" -B "$root/tests/try/threads.py"
    # Each object a block.
    export PYTHONMALLOC=malloc
    same "python3, all its memory" "$python" -B "$root/tests/try/threads.py"
    unset PYTHONMALLOC
}
! have sqlite3 || same sqlite3 sqlite3 :memory: "
    CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT, c REAL);
    WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 20000)
        INSERT INTO t SELECT x, printf('%0*d', x % 97, x * 7919 % 20011), x / 3.0 FROM n;
    CREATE INDEX i ON t(b); DELETE FROM t WHERE a % 7 = 0;
    SELECT count(*), sum(a), max(b), min(length(b)), round(total(c)) FROM t;
    SELECT group_concat(b) FROM (SELECT b FROM t ORDER BY b LIMIT 30);"
# Perl's variables.
# shellcheck disable=SC2016
! have perl || same perl perl -e '
    my %h; for (1 .. 30000) { $h{$_} = "x" x ($_ % 300); delete $h{$_ - 1000}; }
    my $s = join ",", map { "$_:" . length $h{$_} } sort { $a <=> $b } keys %h;
    $s =~ s/(\d+):(\d+)/$2-$1/g; print length $s, substr($s, 0, 100), "\n"; print `echo a child`;'
# A driver that runs a compiler and an assembler.
same gcc gcc -O1 -S "$root/tests/try/faces.c" -o -
says '^cc1: 1 process,'
! have git || {
    git init -q repository
    seq 1 2000 >repository/numbers
    git -C repository add numbers
    author=(-c user.name=a -c user.email=a@localhost)
    git -C repository "${author[@]}" commit -q -m one
    seq 1000 4000 >repository/numbers
    git -C repository "${author[@]}" commit -q -a -m two
    same git git -C repository log --stat -p
    same "git, packing" git -C repository fsck --full
}

redis() { # a command for the server
    redis-cli -s "$work/redis.sock" "$@"
}

# A server, its threads, a child that saves, and its clients.
redis_session() { # the server's command...
    local status=0
    rm -f dump.rdb
    "$@" redis-server --port 0 --unixsocket "$work/redis.sock" --dir "$work" --save "" --appendonly no \
        --io-threads 2 >redis.log 2>&1 </dev/null &
    server=$!
    for _ in $(seq 1 200); do
        redis ping >/dev/null 2>&1 && break
        sleep 0.1
    done
    redis ping
    redis-benchmark -s "$work/redis.sock" -q -n 3000 -r 500 -d 100 \
        -t set,get,incr,lpush,rpop,sadd,hset,zadd,lrange_100,mset >benchmark.log || die "redis-benchmark failed"
    redis eval "for i = 1, 3000 do redis.call('zadd', 'z', i * 7919 % 3001, 'm' .. i);
        redis.call('append', 's' .. i % 50, string.rep('v', i % 200)) end return redis.call('zcard', 'z')" 0
    redis zrange z 0 20 withscores
    redis strlen s7
    redis save
    redis bgsave >/dev/null
    for _ in $(seq 1 200); do
        redis info persistence | grep -q '^rdb_bgsave_in_progress:0' && break
        sleep 0.1
    done
    redis info persistence | grep '^rdb_last_bgsave_status'
    redis flushall
    redis shutdown nosave || true
    wait $server || status=$?
    server=
    echo "status $status"
}

! { have redis-server && have redis-benchmark; } || {
    redis_session >plain.out
    for way in "${ways[@]}"; do
        redis_session carried "$way" >out
        diff plain.out out >differences || die "redis-server, $way: answers differently: $(head -n 5 differences) $(tail -n 5 redis.log)"
        says '^redis.*: .* process'
    done
    echo "redis-server: passed"
}

# ---- Every function, in every corner.
built faces
./faces >out
diff <(printf 'ok\nok\n') out || die "faces on the system's malloc"
for way in "${ways[@]}" "exhausted bypass"; do
    carried "$way" ./faces >out 2>err || die "faces, $way: $(cat out err)"
    diff <(printf 'ok\nok\n') out >differences || die "faces, $way: $(cat differences err)"
done
echo "faces: passed"

# ---- What the report says.
built phases
for end in returns killed exits "becomes $work/phases"; do
    status=0
    # Words of their own.
    # shellcheck disable=SC2086
    "$try" -k 1 -o report ./phases $end || status=$?
    case $end in
    killed) expected=137 && says "ended with signal 9" ;;
    exits) expected=5 ;;
    *) expected=3 ;;
    esac
    taken=1000
    [[ $end != becomes* ]] || taken=2000
    [ $status -eq $expected ] || die "phases, $end: status $status, not $expected"
    [[ $end != becomes* ]] || says '^phases: 2 processes'
    # Twice as many where the process became a second one.
    says "^  up to +120 B +$taken .* 1000$"
    says "^  up to +248 B +$taken .* 1000$"
    # One class for both, and never both at once.
    # Epochs (tools/try/record.c) may be wrong by a part in 64.
    says '^    \{200, 10(0[0-9]|1[0-6])\},$'
done
# Two classes would take more.
ends 3 ./phases
[ "$(grep -c '^    {' report)" -eq 1 ] || die "more classes than are of use: $(cat report)"
ends 3 -l 150 ./phases
says '^  not in these classes: 1000 of more than 152 B'
ends 3 -k 1 --margin 50 ./phases
says '^/\* What phases had out at once and 50 % more, in [0-9]+ KiB'
says '^    \{200, 15(0[0-9]|1[0-9]|2[0-4])\},$'
# The same, as the pool sees it.
ends 3 --classes 104:1000,200:999 ./phases
says '^ +104 B +1000 +1000 +0 +0$'
says '^ +200 B +999 +999 +1 +1$'
says '^  exhausted 1 time:'
! grep -q 'past the pool' report || die "a block went past a pool that has all sizes: $(cat report)"
ends 3 --classes 104:1000 ./phases
says '^  past the pool, from the heap: 1000 larger than 104 B$'
ends 137 --classes 104:1000,200:1000 ./phases killed
says '^  nothing is known of their use'
# What is found does not depend on the pool that measures, nor is one needed.
ends 3 ./phases
grep '^    {' report >plain.classes
ends 3 --entries 1 ./phases
diff plain.classes <(grep '^    {' report) >differences || die "--entries 1 finds other classes: $(cat differences)"
ends 3 --entries 1048576 ./phases
# What shrinks counts as what it is then, wherever it lies.
for way in "1" "1 hardened" "2000"; do
    [[ $way != *" "* ]] || export CMEMPOOL_OPTIONS=${way#* }
    ends 3 --entries "${way% *}" ./phases shrinks
    unset CMEMPOOL_OPTIONS
    says '^  up to +504 B +1000 .* 1000$'
    says '^  up to +1016 B +2000 .* 100[01]$'
done
# The runs that are timed may need more than the one that was measured.
ends 3 --time=1 ./phases grows
says '^The pool was exhausted [1-9][0-9]* times? in its last run, and the heap served'
ends 3 --time=1 ./phases
! grep -q 'in its last run' report || die "a pool that was never short was: $(cat report)"
says '^of which [0-9]+ \([0-9]+ %\) were certainly out at one moment'
# Of a process that was killed, nobody counted that.
ends 137 ./phases killed
! grep -q 'certainly out' report || die "what was out at the end of a process that was killed: $(cat report)"
# A misuse names the program's call.
ends 134 ./phases "frees twice" 2>err
grep -q '^cmempool: .*free of 0x.*entry that was freed' err || die "a double free is called something else: $(cat err)"
# A child has what was out at the fork, whatever its parent does then.
built forks
ends 3 -k 1 ./forks
says '^forks: 21 processes'
says '^    \{104, 10(0[0-9]|1[0-6])\},$'
# A handler may end the process in the middle of a malloc. An exhausted pool takes its lock in each.
built alarm
for _ in $(seq 1 30); do
    ends 7 --entries 1 ./alarm
done
echo "reports: passed"

# ---- The pasted code.
built churn
./churn >plain.out
for most in 1 4 12 30; do
    "$try" -k "$most" -o report ./churn >out
    cmp plain.out out || die "churn prints something else"
    sed -n '/^static const/,/^}$/p' report >pasted.h
    built churn -DPASTED='"pasted.h"' -I. -I"$prefix/include" -L"$prefix/lib" -lcmempool "-Wl,-rpath,$prefix/lib"
    ./churn >out
    diff <(echo "exhausted 0"; cat plain.out) out >differences || die "the pool of $most classes: $(cat differences)"
    built churn -DLESS -DPASTED='"pasted.h"' -I. -I"$prefix/include" -L"$prefix/lib" -lcmempool \
        "-Wl,-rpath,$prefix/lib"
    ./churn >out
    ! grep -qx "exhausted 0" out || die "the pool of $most classes would have served with a twentieth less"
    built churn
done
# The line to try a list with serves the same program without a shortage.
"$try" -o report ./churn >out
cp report plain.report
list=$(sed -n 's/.*cmempool-try --classes=\([0-9:,]*\) \.\.\.$/\1/p' report)
[ -n "$list" ] || die "the report has no list to try"
"$try" --classes="$list" -o report ./churn >out
cmp plain.out out || die "churn prints something else on the printed list"
says '^  exhausted 0 times$'
# One figure for its memory: here, and on such a pool.
memory=$(sed -n 's/^.* had out at once, in \([0-9]* KiB\)\. .*/\1/p' plain.report)
[ -n "$memory" ] || die "no memory in the report"
says "^churn: 1 process, with [0-9]+ classes in $memory$"
"$try" -h | grep -q '^usage: ' || die "-h says nothing"
"$try" --time=2 -o report ./churn >out
says '^pools of these classes '
says '^On the pool of the last run:$'
says '^  exhausted 0 times$'
! grep -q 'another status' report || die "a timed run ended in another way"
echo "classes: passed"

# ---- Standard input is there for each run.
seq 1 5000 >numbers
for how in "--time=1" "-a"; do
    [ "$(sort -n <numbers | sha256sum)" = "$("$try" "$how" -o report sort -n <numbers | sha256sum)" ] ||
        die "sort does not read a file with $how"
    [ "$(sort -n <numbers | sha256sum)" = "$(cat numbers | "$try" "$how" -o report sort -n | sha256sum)" ] ||
        die "sort does not read a pipe with $how"
done
# Each run had all of it.
echo x >line
ends 0 --time=1 grep -c x <<<x >out
! grep -q 'another status' report || die "a later run read something else"
ends 0 --time=1 grep -c x <line >out
! grep -q 'another status' report || die "a later run read something else"

# ---- With nowhere to complain.
ends 3 ./phases 2>&-
ends 4 sh -c 'exec 2>&-; ./phases; exit 4'
says '^phases: 1 process'

# ---- Stopped.
for when in first later; do
    rm -f report
    "$try" --time=9 -o report sh -c 'trap "exit 6" TERM; echo >>started; sleep 0.3 & wait' &
    running=$!
    [ $when = first ] || while [ "$(wc -l 2>/dev/null <started)" != 3 ]; do sleep 0.02; done
    until [ -s started ]; do sleep 0.02; done
    kill $running
    status=0
    wait $running || status=$?
    [ $status -eq "$([ $when = first ] && echo 6 || echo 0)" ] || die "stopped in the $when run: status $status"
    says '^Stopped by signal 15: there are no times'
    [ "$(wc -l <started)" -lt 5 ] || die "goes on after it was stopped: $(wc -l <started) runs"
    rm started
done
mkfifo pipe
exec 8<>pipe
"$try" --time=1 -o report cat <&8 >out 2>&1 &
running=$!
until ls -d cmempool-try.*/input >/dev/null 2>&1; do sleep 0.02; done
kill $running
status=0
wait $running || status=$?
exec 8>&-
[ $status -eq 143 ] || die "stopped while it reads: status $status: $(cat out)"
"$try" ./churn 2>&1 >out | head -n 1 >line
grep -q "^cmempool-try: './churn' ended with status 0" line || die "no report in a pipe that is closed"

# ---- A folder that is named from where one is.
mkdir here
(export TMPDIR=here; ends 0 sh -c "cd / && { $work/phases; true; }")
says '^phases: 1 process'

# ---- What can't be.
refused() { # status words command...
    local expected=$1 words=$2 status=0
    shift 2
    "$try" "$@" >out 2>err </dev/null || status=$?
    [ $status -eq "$expected" ] || die "'$*': status $status, not $expected: $(cat err)"
    grep -q -- "$words" err || die "'$*': does not say '$words': $(cat err)"
    [ "$(wc -l <err)" -eq 1 ] || die "'$*': more than a line: $(cat err)"
}
built phases -static
refused 126 "is linked statically" ./phases
built phases
printf '#!%s\n' "$work/phases" >script
chmod +x script
chmod u+s script # which the system ignores
[ "$(id -u)" -ne 0 ] || chown 12345 script
ends 3 ./script
built phases -static
refused 126 "is linked statically" ./script
built phases
refused 127 "no program 'not-there' on the PATH$" not-there
refused 127 "no program 'phases' on the PATH, but there is './phases'" phases
refused 127 "no program '5' on the PATH (.* --time=5)" -t 5 ./phases
refused 125 "is no number from 0 to 1000" --margin 1001 ./phases
refused 125 "leave out --time, --entries and --margin" --classes 104:10 --margin 5 ./phases
for sanitizer in address thread leak; do
    if built phases "-fsanitize=$sanitizer" 2>/dev/null; then
        refused 126 "is built with a sanitizer (.*), which has a malloc of its own" ./phases
    else
        echo "skipped: gcc has no -fsanitize=$sanitizer"
    fi
done
built phases
refused 127 "cannot run './not-there'" ./not-there
refused 126 "no file that may be executed" ./numbers
refused 126 "no file that may be executed" "$work"
printf 'no program' >nonsense
chmod +x nonsense
refused 126 "cannot run './nonsense': Exec format error" ./nonsense
refused 125 "no list of SIZE:COUNT" --classes 8:1,8:2 ./phases
refused 125 "no list of SIZE:COUNT" --classes 8 ./phases
refused 125 "no list of SIZE:COUNT" --classes '' ./phases
refused 125 "no list of SIZE:COUNT" --classes 104:10, ./phases
refused 125 "is no number from 1 to 64" -k 0 ./phases
refused 125 "cannot write" -o not-there/report ./phases
TMPDIR=$work/not-there refused 125 "cannot make $work/not-there" ./phases
if [ "$(id -u)" -eq 0 ] && chown 12345 phases 2>/dev/null; then
    chmod u+s phases
    refused 126 "is set-user-ID" ./phases
else
    echo "skipped: set-user-ID: not root"
fi
[ -z "$(find "$work" -maxdepth 1 -name 'cmempool-try.*')" ] || die "leaves its folders behind"
echo "refusals: passed"
