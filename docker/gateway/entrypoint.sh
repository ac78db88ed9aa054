#!/usr/bin/env bash
# Process 1 of the gateway: fills the configuration in, runs nginx, and follows the addresses of what is behind.
#
#   GATEWAY_SERVICE  name:port of the instances; every address that the name has is one (docker compose up --scale)
#   GATEWAY_AUTH     name:port of the auth service
#   GATEWAY_FOLLOW   seconds between two looks at their addresses (2)
#   GATEWAY_PORT (8080), GATEWAY_CORS_ORIGINS, GATEWAY_RATE (500), GATEWAY_BURST (4 × that), GATEWAY_WORKERS (auto),
#   GATEWAY_TRUSTED_NETWORKS, GATEWAY_TLS: see nginx.conf.template
#
# nginx hashes lines over addresses, so it has to be told them: when they change it gets a new configuration and reloads.
# What it has taken before is answered by the workers that took it. A name that cannot be looked up changes nothing.
# SIGTERM, SIGQUIT, SIGINT: no new connections, what is under way is answered, then it ends.
set -euo pipefail
CONFIG=${GATEWAY_CONFIG:-/etc/gateway}
. "$CONFIG/render.sh"

STATE=${GATEWAY_STATE:-/run/gateway}
CONF=$STATE/nginx.conf
: "${GATEWAY_SERVICE:=product-change-service:8083}" "${GATEWAY_AUTH:=auth-sim:18082}" "${GATEWAY_FOLLOW:=2}"

say() { printf '{"time":"%s","gateway":"%s"}\n' "$(date -u +%Y-%m-%dT%H:%M:%S.000Z)" "$*"; }

# addresses NAME: IPv4, sorted, so that the same set gives the same configuration
addresses() { getent ahostsv4 "$1" 2>/dev/null | awk '{ print $1 }' | sort -u | tr '\n' ' ' || true; }

configuration() { # SERVICE-ADDRESSES AUTH-ADDRESSES
    local rate=${GATEWAY_RATE:-500}
    # Nobody there yet: an address where nobody ever listens, so that callers hear 503.
    # shellcheck disable=SC2034,SC2086
    local GATEWAY_LISTEN=${GATEWAY_LISTEN:-0.0.0.0:${GATEWAY_PORT:-8080}} \
        GATEWAY_TLS=${GATEWAY_TLS:-} \
        GATEWAY_STATE=$STATE \
        GATEWAY_ACCESS_LOG=${GATEWAY_ACCESS_LOG:-/dev/stdout} \
        GATEWAY_ERROR_LOG=${GATEWAY_ERROR_LOG:-/dev/stderr} \
        GATEWAY_WEB=${GATEWAY_WEB:-/usr/share/gateway/web} \
        GATEWAY_SERVICE_SERVERS=$(gateway_servers "${GATEWAY_SERVICE##*:}" ${1:-127.0.0.2}) \
        GATEWAY_AUTH_SERVERS=$(gateway_servers "${GATEWAY_AUTH##*:}" ${2:-127.0.0.2}) \
        GATEWAY_CORS_ORIGINS=${GATEWAY_CORS_ORIGINS:-} \
        GATEWAY_RATE=$rate \
        GATEWAY_BURST=${GATEWAY_BURST:-$((rate * 4))} \
        GATEWAY_TRUSTED=$(gateway_trusted "${GATEWAY_TRUSTED_NETWORKS:-}") \
        GATEWAY_WORKERS=${GATEWAY_WORKERS:-auto}
    gateway_fill "$CONFIG/nginx.conf.template"
}

service_known='' auth_known=''
# look: succeeds when there is a new configuration in $CONF
look() {
    local service auth
    service=$(addresses "${GATEWAY_SERVICE%:*}") auth=$(addresses "${GATEWAY_AUTH%:*}")
    service=${service:-$service_known} auth=${auth:-$auth_known}
    [[ $service != "$service_known" || $auth != "$auth_known" || ! -e $CONF ]] || return 1
    configuration "$service" "$auth" >"$CONF.part"
    nginx -t -q -p "$STATE/" -e /dev/stderr -c "$CONF.part" || return 1
    mv "$CONF.part" "$CONF"
    service_known=$service auth_known=$auth
    say "instances: ${service:-none }auth: ${auth:-none}"
}

# Beside nginx, and without a trap: a shell may mind a signal in the middle of $(…), and the one below only waits.
follow() {
    while sleep "$GATEWAY_FOLLOW"; do
        ! look || kill -HUP "$nginx_pid"
    done
}

look
nginx -p "$STATE/" -e /dev/stderr -c "$CONF" &
nginx_pid=$!
stopping=''
trap 'stopping=1; kill -QUIT "$nginx_pid"' TERM INT QUIT
follow &
follow_pid=$!
# A trapped signal ends `wait` early. Otherwise one of the two has ended by itself, which neither should.
wait -n "$nginx_pid" "$follow_pid" || true
if [[ -z $stopping ]]; then
    say "nginx or what watches over it has ended by itself"
    kill -KILL "$follow_pid" "$nginx_pid" 2>/dev/null || true
    exit 1
fi
while kill -0 "$nginx_pid" 2>/dev/null; do wait "$nginx_pid" || true; done
kill -TERM "$follow_pid" 2>/dev/null || true
say "ended"
