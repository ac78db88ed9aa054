#!/usr/bin/env bash
# The README's table of settings is what the program says of itself. With --write: put it there.
set -euo pipefail
program=$1 readme=$2
want=$("$program" --print-settings)
if [ "${3:-}" = --write ]; then
    WANT=$want perl -0pi -e 's/(<!-- settings:[^\n]*-->\n).*?(<!-- \/settings -->)/$1$ENV{WANT}\n$2/s' "$readme"
    exit 0
fi
have=$(sed -n '/^<!-- settings:/,/^<!-- \/settings/p' "$readme" | sed '1d;$d')
if [ "$want" != "$have" ]; then
    diff <(printf '%s\n' "$have") <(printf '%s\n' "$want") || true
    echo "README.md: the table of settings differs from the program's; run tests/tools/readme-settings.sh PROGRAM README.md --write"
    exit 1
fi
