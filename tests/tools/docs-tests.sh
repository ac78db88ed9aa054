#!/usr/bin/env bash
# Every test that a document names exists, and every metric too.
set -euo pipefail
root=$1 bad=0
for name in $(grep -ohE '`test_[a-z0-9_]+`' "$root"/docs/*.md | tr -d '`' | sort -u); do
    grep -rqE "def $name\(|START_TEST\($name\)" "$root/tests" || { echo "docs name $name, which no test is called"; bad=1; }
done
for metric in $(grep -ohE '`pcs_[a-z_]+' "$root"/docs/operations.md | tr -d '`' | sort -u); do
    grep -rqF "\"$metric\"" "$root/src" || { echo "docs/operations.md names $metric, which no module declares"; bad=1; }
done
exit "$bad"
