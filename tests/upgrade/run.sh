#!/usr/bin/env bash
# An upgrade and the way back, with customers changing their plans meanwhile: run.sh [pytest arguments]
# The old version is built from the git history: PCS_UPGRADE_FROM (a commit), or the commit before the newest migration of
# PostgreSQL. PCS_BUILD_DIR: the new version (default build). Ends with 77 where there is no history.
set -euo pipefail
cd "$(dirname "$0")/../.."
. dev.d/common.sh
build=$(realpath "${PCS_BUILD_DIR:-build}")
[[ -x $build/product-change-service && -x $build/tests/kos-sim ]] || die "$build: build first, or set PCS_BUILD_DIR"
newest=$(ls sql/*.sql | tail -n 1)
from=${PCS_UPGRADE_FROM:-$(git log --diff-filter=A -n 1 --format=%H -- "$newest" 2>/dev/null || true)}
[[ -n $from ]] || { echo "skipped: no git history" && exit 77; }
[[ -n ${PCS_UPGRADE_FROM:-} ]] || from=$(git rev-parse "$from^")
old=$PWD/run/upgrade/$(git rev-parse --short=12 "$from")
if [[ ! -x $old/build/product-change-service ]]; then
    progress "the old version: $(git log -n 1 --format='%h %s' "$from")"
    rm -rf "$old" && mkdir -p "$old/source"
    git archive "$from" | tar -C "$old/source" -xf -
    quietly "$old/configure.log" cmake -S "$old/source" -B "$old/build" -G Ninja -DCMAKE_C_COMPILER=gcc -DCMAKE_BUILD_TYPE=RelWithDebInfo
    quietly "$old/build.log" ninja -C "$old/build" product-change-service
fi
export PCS_BUILD_DIR=$build PCS_OLD=$old PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
exec /usr/bin/python3 -m pytest -p no:cacheprovider -c tests/integration/pytest.ini --rootdir tests/upgrade \
    --confcutdir tests/upgrade tests/upgrade "$@"
