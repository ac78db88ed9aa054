#!/usr/bin/env bash
# Makes the secrets of the container stack, each once: docker/secrets/* (git ignores it). Those that are there stay.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
command -v openssl >/dev/null || { echo "secrets.sh needs openssl" >&2; exit 1; }
# The folder is its owner's alone. The files can be read by everybody, since the accounts in the containers, to which
# they are mounted one by one, have no name here.
mkdir -p -m 700 secrets
umask 022
make() { # NAME COMMAND…
    local name=$1
    shift
    [[ -s secrets/$name ]] && return 0
    "$@" | tr -d '\n' >"secrets/$name.part"
    chmod 444 "secrets/$name.part"
    mv "secrets/$name.part" "secrets/$name"
    echo "made docker/secrets/$name"
}
webhook_secret() { printf 'whsec_%s' "$(openssl rand -base64 32)"; }
make jwt_secret openssl rand -hex 48
make mvno_webhook_secret webhook_secret
for name in redis_password db_admin_password db_owner_password db_service_password grafana_admin_password; do
    make "$name" openssl rand -hex 16
done
