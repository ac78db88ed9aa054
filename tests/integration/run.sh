#!/bin/sh
# Runs the integration tests: run.sh [pytest arguments]. Ends with pytest's closing line and its exit code.
# PCS_BUILD_DIR: the build that is tested (default: build beside tests). PCS_ITEST_JOBS: workers (default: two
# a core, since most tests wait most of the time; 8 at most).
set -eu
# On CI's shared machine a test that fails is run once more before it counts; pytest names each one ("rerun").
case ${PCS_BUILD_DIR:-/} in
/*) ;;
*) PCS_BUILD_DIR=$PWD/$PCS_BUILD_DIR ;;
esac
cd "$(dirname "$0")"
PCS_BUILD_DIR=${PCS_BUILD_DIR:-$(cd ../.. && pwd)/build}
export PCS_BUILD_DIR PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
for program in product-change-service tests/kos-sim tests/mvno-sim tests/auth-sim; do
    if ! [ -x "$PCS_BUILD_DIR/$program" ]; then
        echo "run.sh: $PCS_BUILD_DIR/$program is missing: build first, or set PCS_BUILD_DIR" >&2
        exit 2
    fi
done
jobs=$((2 * $(nproc)))
[ "$jobs" -le 8 ] || jobs=8
exec /usr/bin/python3 -m pytest -p no:cacheprovider ${CI:+--reruns 1} -n "${PCS_ITEST_JOBS:-$jobs}" --dist loadfile "$@"
