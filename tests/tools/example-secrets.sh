#!/usr/bin/env bash
# example-secrets.sh PROGRAM SOURCE: every secret that stands in this repository's tests, scripts and documents is one that
# the program refuses (issue 5, point 5). The unit tests' are left out: they never reach a program.
set -euo pipefail

program=$1
cd "$2"
folders=()
for folder in README.md docs config docker packaging dev.d tests/integration tests/crash tests/gateway tests/sim tests/bench tests/e2e; do
    [[ ! -e $folder ]] || folders+=("$folder")
done

# NAME=value, NAME: value, secret = "value" and the like, of 24 characters or more.
mapfile -t found < <(
    grep -rhoE --exclude-dir=node_modules --exclude-dir=__pycache__ \
        "(SECRET|secret|CHAIN_KEY|chain_key)['\"]?( ?[:=] ?|, )['\"]?[A-Za-z0-9_.+/=-]{24,}" "${folders[@]}" |
        sed -E "s/^[A-Za-z_]+['\"]?( ?[:=] ?|, )['\"]?//" | grep -vE '^(/|[A-Z_]+=|(world|servers|tokens|self|session)\.)' | sort -u
)
((${#found[@]} >= 3)) || {
    echo "only ${#found[@]} secrets found: the search is wrong"
    exit 1
}
bad=0
for secret in "${found[@]}"; do
    ((${#secret} >= 32)) && name=JWT_SECRET || name=MVNO_WEBHOOK_SECRET
    if said=$(env -i PATH="$PATH" KOS_BASE_URL=http://127.0.0.1:1 JWT_SECRET="$(openssl rand -hex 32)" "$name=$secret" \
        "$program" --check-config 2>&1) || [[ $said != *"everybody can read"* ]]; then
        echo "not refused: $secret (add it to src/core/known_secret.c)"
        bad=1
    fi
done
echo "${#found[@]} secrets of this repository asked about"
exit "$bad"
