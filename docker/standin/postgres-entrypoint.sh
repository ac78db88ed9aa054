#!/bin/bash
# The part of the official image's entry point that docker/compose.yaml relies on.
set -euo pipefail
if [[ $1 == postgres && ! -s $PGDATA/PG_VERSION ]]; then
    chmod 700 "$PGDATA"
    # shellcheck disable=SC2086
    initdb -D "$PGDATA" -U postgres --pwfile="$POSTGRES_PASSWORD_FILE" ${POSTGRES_INITDB_ARGS:-} >/dev/null
    printf 'host all all all scram-sha-256\n' >>"$PGDATA/pg_hba.conf"
    printf "listen_addresses = '*'\n" >>"$PGDATA/postgresql.conf"
fi
exec "$@"
