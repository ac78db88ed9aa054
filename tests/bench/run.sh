#!/bin/sh
# The benches: run.sh [part…] [--quick] [--build DIR] [--out DIR] [--write-docs]. Tables on the screen and in
# BUILD/bench/<part>.md. Parts: read cold change idle start outage scale forward.
set -eu
cd "$(dirname "$0")"
export PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
exec /usr/bin/python3 bench.py "$@"
