#!/usr/bin/env bash
# Can a monitor read what the library says of its pools?
#
# usage: tests/metrics.sh PREFIX
#
# Builds c-examples/metrics.c against the cmempool installed below PREFIX. promtool looks at its page, and a
# Prometheus scrapes it over loopback and answers queries. Without these tools, or without a loopback, it says
# so and checks the page alone.
set -euo pipefail

die() {
    echo "tests/metrics.sh: $1" >&2
    exit 1
}

[ $# -eq 1 ] || die "usage: tests/metrics.sh PREFIX"
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
prefix=$(cd "$1" && pwd)
unset CMEMPOOL_OPTIONS
work=$(mktemp -d)
pids=()
cleanup() {
    [ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT

cc -std=c11 -Wall -Wextra -Wpedantic -Werror -O2 "$root/c-examples/metrics.c" -o "$work/metrics" \
    -I"$prefix/include" -L"$prefix/lib" -lcmempool -Wl,-rpath,"$prefix/lib"
"$work/metrics" >"$work/page"
[ "$(tail -n 1 "$work/page")" = "# EOF" ] || die "the page does not end with # EOF"
grep -q '^cmempool_used{pool="sessions",class="240",address="0x[0-9a-f]*"} 40$' "$work/page" ||
    die "the page does not say that 40 sessions are out"

command -v promtool >/dev/null || {
    echo "skipped: promtool and prometheus are not here"
    exit 0
}
# It reads the older format, in which a counter's family has the name of its samples.
counters=$(sed -n 's/^# TYPE \([a-z_]*\) counter$/\1/p' "$work/page")
[ -n "$counters" ] || die "the page has no counters"
cp "$work/page" "$work/older"
for counter in $counters; do
    sed -i "s/^\(# [A-Z]* $counter\) /\1_total /" "$work/older"
done
promtool check metrics <"$work/older" >"$work/lint" 2>&1 || die "promtool finds: $(cat "$work/lint")"
[ ! -s "$work/lint" ] || die "promtool finds: $(cat "$work/lint")"
echo "promtool: passed"

# A namespace without a network may not even have the machine itself in it.
if [[ $( (LC_ALL=C; exec 3<>/dev/tcp/127.0.0.1/1) 2>&1 || true) == *unreachable* ]]; then
    echo "skipped: prometheus: there is no network, not even to this machine"
    exit 0
fi

"$work/metrics" 0 >"$work/url" &
pids+=($!)
for ((i = 0; i < 100; i++)); do
    [ ! -s "$work/url" ] || break
    sleep 0.05
done
target=$(sed -n 's|^http://\([0-9.:]*\)/metrics$|\1|p' "$work/url")
[ -n "$target" ] || die "the example says no address"

# From the first free port on.
start_prometheus() {
    local port=$1
    mkdir "$work/$port"
    cat >"$work/$port/config.yml" <<END
global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
  - {job_name: example, static_configs: [{targets: ["$target"]}]}
END
    prometheus --config.file="$work/$port/config.yml" --storage.tsdb.path="$work/$port/data" \
        --web.listen-address="127.0.0.1:$port" >"$work/$port/log" 2>&1 &
    pid=$!
    for ((i = 0; i < 300; i++)); do
        kill -0 $pid 2>/dev/null || return 1
        ! grep -q 'Server is ready' "$work/$port/log" || {
            pids+=("$pid")
            return 0
        }
        sleep 0.1
    done
    die "prometheus does not start: $(tail -n 3 "$work/$port/log")"
}
for ((port = 20000 + $$ % 10000; ; port++)); do
    ! start_prometheus $port || break
    grep -q 'address already in use' "$work/$port/log" ||
        die "prometheus ends: $(tail -n 3 "$work/$port/log")"
done

# What a query gives: the numbers, a line each. Waits for the first scrape.
ask() {
    local i answer=
    for ((i = 0; i < 100; i++)); do
        answer=$(promtool query instant "http://127.0.0.1:$port" "$1")
        [ -z "$answer" ] || break
        sleep 0.2
    done
    # {labels} => number @[time]
    answer=${answer##* => }
    echo "${answer%% @*}"
}
expect() { # query, number
    local answer
    answer=$(ask "$1")
    [ "$answer" = "$2" ] || die "'$1' gives '$answer', not $2"
}
expect 'cmempool_used{pool="sessions"}' 40
expect 'up' 1
expect 'cmempool_peak_used{pool="sessions", class="240"}' 70
expect 'cmempool_used{pool="sessions"} / cmempool_capacity' 0.4
# 40 messages of 200 bytes fit classes of 256 up; the class of their own has them all.
expect 'sum(cmempool_used{pool=""})' 40
expect 'count(cmempool_capacity{pool=""})' 5
expect 'sum(cmempool_failed_total) + sum(cmempool_exhausted_total)' 0
# It knows the families' types.
for name in used exhausted; do
    kind=gauge
    [ $name != exhausted ] || kind=counter
    said=$(exec 3<>"/dev/tcp/127.0.0.1/$port" &&
        printf 'GET /api/v1/metadata?metric=cmempool_%s HTTP/1.0\r\n\r\n' $name >&3 && cat <&3)
    [[ $said == *"\"type\":\"$kind\""* ]] || die "cmempool_$name is no $kind to prometheus: $said"
done
echo "prometheus: passed"
