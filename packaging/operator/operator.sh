# A root shell in which the commands of docs/operations.md work as they stand there, on a machine with the package:
#
#     . /usr/share/product-change-service/operator.sh
#
# P is the program with the service's settings, its journal and its secrets, which are named by their files. What root
# makes in the journal belongs to the service's user. Nothing is started or changed by reading this.
PCS_CONFIG=${PCS_CONFIG:-/etc/product-change-service/product-change-service.yaml}
: "${JOURNAL_PATH:=/var/lib/product-change-service}"
export JOURNAL_PATH
for pcs_secret in "${PCS_CONFIG%/*}"/secrets/*; do
    # jwt-secret is JWT_SECRET_FILE
    [ ! -f "$pcs_secret" ] || export "$(basename "$pcs_secret" | tr 'a-z-' 'A-Z_')_FILE=$pcs_secret"
done
unset pcs_secret

P() {
    product-change-service --config "$PCS_CONFIG" "$@"
}

# service_setting NAME: its value as the service has it
service_setting() {
    P --print-config | sed -n "s/^$1: \"\{0,1\}\([^\"]*[^\" ]\)\"\{0,1\}  # .*/\1/p"
}

# psql in the history, and redis-cli, with the service's own role
psql() {
    PGPASSWORD=$(cat "${DB_PASSWORD_FILE:-/dev/null}") PGSSLMODE=$(service_setting db.sslmode) command psql \
        -h "$(service_setting db.host)" -p "$(service_setting db.port)" -d "$(service_setting db.name)" -U "$(service_setting db.username)" "$@"
}

redis_cli() {
    REDISCLI_AUTH=$(cat "${REDIS_PASSWORD_FILE:-/dev/null}") redis-cli \
        -h "$(service_setting redis.host)" -p "$(service_setting redis.port)" -n "$(service_setting redis.database)" "$@"
}
