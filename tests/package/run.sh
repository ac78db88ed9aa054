#!/usr/bin/env bash
# The Debian package on a bare machine: installed, started as its unit would, upgraded, removed, purged (inside.sh).
# usage: run.sh   as root; ends with 77 where that cannot be done (no root, no way to make a bare machine).
# The bare system is made once (debootstrap) and kept in PCS_BARE (default /var/tmp/fresh-bookworm.tar).
set -euo pipefail
DEV_ROOT=$(cd "$(dirname "$0")/../.." && pwd)
cd "$DEV_ROOT"
. dev.d/common.sh
. dev.d/package.sh
cache=${PCS_BARE:-/var/tmp/fresh-bookworm.tar}
skip() {
    echo "skipped: $*"
    exit 77
}

((EUID == 0)) || skip "needs root"
unshare --mount --pid --fork true 2>/dev/null || skip "no namespaces here"

make_bare() {
    local mirror root
    have debootstrap || skip "debootstrap is not here, and $cache neither"
    mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | sed -nE 's/^(URIs:|deb( \[[^]]*\])?) *([^ ]+\/debian)\/?( .*)?$/\3/p' | head -n 1)
    [[ -n $mirror ]] || skip "no mirror in apt's sources"
    root=$(mktemp -d /var/tmp/pcs-bare.XXXXXX)
    quietly "$root.log" debootstrap --variant=minbase --include=ca-certificates bookworm "$root" "$mirror"
    rm -rf "$root/etc/apt"
    cp -a /etc/apt "$root/etc/apt"
    cp -a /usr/share/keyrings/. "$root/usr/share/keyrings/"
    cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
    tar -C "$root" -cf "$cache.part" . && mv "$cache.part" "$cache"
    rm -rf --one-file-system "$root" "$root.log"
}

[[ -s $cache ]] || make_bare
package_make '' || die "the package could not be made"
first=$PACKAGE
kept=$(mktemp -d /var/tmp/pcs-package.XXXXXX)
root=$(mktemp -d /var/tmp/pcs-machine.XXXXXX)
trap 'rm -rf --one-file-system "$root" "$kept"' EXIT
cp "$first" "$kept/first.deb"
package_make 0.1.0+upgrade || die "the package could not be made again"
cp "$PACKAGE" "$kept/second.deb"
rm -f "$PACKAGE"
cmake -S . -B build-package -DPCS_PACKAGE_VERSION="$(sed -nE 's/^project\(.* VERSION ([0-9.]+) .*/\1/p' CMakeLists.txt)" >/dev/null

progress "a bare machine in $root"
tar -C "$root" -xf "$cache"
chmod 755 "$root"
cp /etc/resolv.conf /etc/hosts "$root/etc/" 2>/dev/null || true
mkdir -p "$root/work"
cp "$kept"/*.deb tests/package/inside.sh build-package/tests/kos-sim build-package/tests/auth-sim tests/sim/data/*.json "$root/work/"
status=0
# When the command ends, everything that it left running ends with it.
unshare --mount --pid --fork --kill-child -- bash -c '
  set -e; root=$1
  mount -t proc proc "$root/proc"; mount --rbind /dev "$root/dev"; mount --make-rslave "$root/dev"
  mount -t tmpfs tmp "$root/tmp"; mount -t tmpfs run "$root/run"
  exec chroot "$root" /usr/bin/env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 '"$(env | grep -iE '^(https?|no)_proxy=' | sed -E "s/'/'\\\\''/g; s/^([^=]+)=(.*)$/\1='\2'/" | tr '\n' ' ')"' bash /work/inside.sh
' bare "$root" </dev/null || status=$?
((status == 0)) && good "the package is fit"
exit "$status"
