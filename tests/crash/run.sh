#!/bin/sh
# The crash tests: run.sh [--quick] [--rounds N] [--seed S] [--only points|trials|pair|gateway|random] …  (--help: all of them)
#
#   points   kill -9 at every failpoint, in every scenario that passes it
#   trials   time stands still, the clock steps, the disk is full or fails, PostgreSQL dies in a commit, …
#   pair     two instances on one Redis and one PostgreSQL, one killed in mid-load
#   gateway  two instances behind the real gateway, one killed or scaled down in mid-load, and retired
#   random   load, kill -9 and broken neighbours at random; a seed repeats a round's script
#
# Allocations that fail are apart, in a build with AddressSanitizer: ./dev crash --allocations (allocations.py).
#
# After each: nothing lost, nothing applied twice, everything told (lib/invariants.py), from KOS's, MVNO AP's and
# PostgreSQL's own records. Builds build-crash/ with the failpoints compiled in (PCS_CRASH_BUILD: another folder). The
# last line is `N passed, N failed`; failures keep their logs.
set -eu
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)
build=${PCS_CRASH_BUILD:-$root/build-crash}
log=$(mktemp)
quietly() {
    if ! "$@" >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        exit 2
    fi
}
[ -f "$build/build.ninja" ] ||
    quietly cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DPCS_FAILPOINTS=ON
quietly ninja -C "$build" product-change-service kos-sim mvno-sim auth-sim
mkdir -p "$build/crash"
for shim in failfsync clockstep; do
    quietly "${CC:-cc}" -std=gnu11 -O1 -Wall -Wextra -shared -fPIC -o "$build/crash/$shim.so" "$shim.c"
done
rm -f "$log"
export PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
exec /usr/bin/python3 crash.py --build "$build" "$@"
