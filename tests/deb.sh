#!/usr/bin/env bash
# Are the Debian packages in order, and do they serve a Debian system that has nothing else?
#
# usage: tests/deb.sh DEBS
#
# DEBS is where `make deb` put them. The system is made in DEBS/root.
set -euo pipefail

die() {
    echo "tests/deb.sh: $1" >&2
    exit 1
}

[ $# -eq 1 ] || die "usage: tests/deb.sh DEBS"
debs=$(cd "$1" && pwd)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for tool in lintian debootstrap dpkg-deb chroot; do
    command -v "$tool" >/dev/null || die "'$tool' is needed, and it is not on the PATH"
done
[ "$(id -u)" -eq 0 ] || die "a system below $debs/root can be made by root alone"
changes=("$debs"/*.changes)
[ -f "${changes[0]}" ] || die "no packages in $debs: run 'make deb'"

# ---- What lintian says. Who uploads has an address, and a bug that is closed: see packaging/README.md.
of_an_upload=bogus-mail-host,bogus-mail-host-in-debian-changelog,initial-upload-closes-no-bugs
said=$(lintian --allow-root --fail-on none --suppress-tags "$of_an_upload" "${changes[0]}")
! grep -E '^[EW]:' <<<"$said" || die "lintian complains"

# ---- A new system.
root=$debs/root
! mountpoint -q "$root/proc" || umount "$root/proc"
rm -rf "$root"
# shellcheck source=/dev/null
suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-stable}")
debootstrap --variant=minbase --include=gcc,libc6-dev,pkg-config "$suite" "$root" >"$debs/root.log" 2>&1 ||
    die "debootstrap failed: $(tail -n 3 "$debs/root.log")"
trap 'umount "$root/proc" 2>/dev/null || true' EXIT
mount -t proc proc "$root/proc"
within() { # command...
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C chroot "$root" "$@"
}
before=$(within dpkg-query -W)
cp "$debs"/*.deb "$root/root"
# None of them needs what is not there.
within sh -c 'dpkg -i /root/*.deb' >"$debs/install.log" 2>&1 || die "dpkg -i: $(tail -n 3 "$debs/install.log")"
cp "$here/subproject/user.c" "$root/root"
# pkg-config's flags are words of their own, in the system's shell.
# shellcheck disable=SC2016
within sh -euc '
    cd /root
    gcc -Wall -Wextra -Werror user.c -o shared $(pkg-config --cflags --libs cmempool)
    ./shared
    gcc -Wall -Wextra -Werror user.c -o static -static $(pkg-config --static --cflags --libs cmempool)
    ./static
    cmempool-try -o report ./shared
    grep -q "^shared: 1 process" report
    test -e /usr/share/man/man3/mempool_create.3.gz
    test -e /usr/share/man/man1/cmempool-try.1.gz
    test -e /usr/share/gdb/auto-load$(readlink -f /usr/lib/*/libcmempool.so)-gdb.py
' >"$debs/use.log" 2>&1 || die "the packages do not serve: $(tail -n 3 "$debs/use.log")"
readelf -d "$root/root/shared" | grep -q 'NEEDED.*\[libcmempool\.so\.1\]' || die "not linked with the shared library"

# ---- And gone again.
names=$(for deb in "$debs"/*.deb; do dpkg-deb -f "$deb" Package; done)
# shellcheck disable=SC2086
within dpkg --purge $names >"$debs/purge.log" 2>&1 || die "dpkg --purge: $(tail -n 3 "$debs/purge.log")"
[ "$(within dpkg-query -W)" = "$before" ] || die "other packages than before"
left=$(find "$root/usr" "$root/etc" "$root/lib" -name '*cmempool*')
[ -z "$left" ] || die "purged packages leave $left"
umount "$root/proc"
rm -rf "$root"

echo "packages: installed in a new $suite, used and removed"
