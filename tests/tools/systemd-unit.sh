#!/usr/bin/env bash
# systemd-unit.sh PROGRAM SOURCE: is the unit one that systemd takes, and as closed as it was meant? (issue 5, point 8)
set -euo pipefail

program=$1 unit=$2/packaging/systemd/product-change-service.service
command -v systemd-analyze >/dev/null || {
    echo "systemd-analyze is missing (package systemd)"
    exit 1
}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
copy=$folder/product-change-service.service

# The program is where it was built, not where it will be installed.
sed "s|^ExecStart=/usr/bin/product-change-service |ExecStart=$program |" "$unit" >"$copy"
grep -q "^ExecStart=$program " "$copy"
systemd-analyze verify --man=no "$copy" 2>"$folder/said" || {
    cat "$folder/said"
    exit 1
}
[[ ! -s $folder/said ]] || {
    cat "$folder/said"
    exit 1
}
# 0 is perfect, 100 open; what is left is that it talks to the network.
systemd-analyze security --offline=true --no-pager --threshold=15 "$copy" | tail -n 1
# Not as root, and no secret written into the unit.
grep -qx 'User=product-change-service' "$unit"
grep -qE '^u product-change-service ' "${unit%.service}.sysusers"
if grep -E '^Environment=' "$unit" | grep -E '(SECRET|PASSWORD|TOKEN)=' ; then
    echo "a secret stands in the unit"
    exit 1
fi
