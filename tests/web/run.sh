#!/bin/sh
# The web page in headless Chromium, through the real gateway: run.sh [pytest arguments].
# PCS_BUILD_DIR: the build that is tested (default: build beside tests). PCS_WEB_SHOTS: where the pictures of every
# screen go (default: web-shots in the build). PCS_WEB_JOBS: workers, each with its servers and a browser (default 2).
set -eu
# On CI's shared machine a test that fails is run once more before it counts; pytest names each one ("rerun").
case ${PCS_BUILD_DIR:-/} in
/*) ;;
*) PCS_BUILD_DIR=$PWD/$PCS_BUILD_DIR ;;
esac
cd "$(dirname "$0")"
PCS_BUILD_DIR=${PCS_BUILD_DIR:-$(cd ../.. && pwd)/build}
PCS_WEB_SHOTS=${PCS_WEB_SHOTS:-$PCS_BUILD_DIR/web-shots}
export PCS_BUILD_DIR PCS_WEB_SHOTS PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
for program in chromium chromedriver nginx; do
    if ! command -v "$program" >/dev/null && ! [ -x "/usr/sbin/$program" ]; then
        echo "run.sh: $program is missing: ./dev deps installs it" >&2
        exit 2
    fi
done
exec /usr/bin/python3 -m pytest -p no:cacheprovider ${CI:+--reruns 1} -n "${PCS_WEB_JOBS:-2}" --dist loadfile "$@"
