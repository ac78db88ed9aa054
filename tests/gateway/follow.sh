#!/usr/bin/env bash
# The process 1 of the gateway's container (docker/gateway/entrypoint.sh), with the real nginx: it follows the addresses
# of the instances, loses no request over it, and ends in order. usage: follow.sh [directory of auth-sim]
# A `getent` of our own, first in the PATH, says what the name server would.
set -euo pipefail
cd "$(dirname "$0")/../.."
bin=${1:-build/tests}
tmp=$(mktemp -d)
pids=()
failed=0
passed=0
cleanup() {
    local pid
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || true; done
    rm -rf "$tmp"
}
trap cleanup EXIT
ok() { # NAME COMMAND…
    local name=$1
    shift
    if "$@" >"$tmp/why" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $name"
        cat "$tmp/why"
        tail -n 5 "$tmp/gateway.log"
    fi
}
until_ok() { # COMMAND…: at most 15 s
    local end=$((SECONDS + 15))
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < end)) || { echo "timed out: $*"; return 1; }
        sleep 0.05
    done
}
start() { # LOG COMMAND…
    "${@:2}" >>"$1" 2>&1 </dev/null &
    pids+=("$!")
}
read -r gateway_port auth_port port < <(perl -MIO::Socket::INET -e '
    my @s = map { IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1") or die } 1 .. 3;
    print join(" ", map { $_->sockport } @s), "\n"')
secret=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
export JWT_SECRET=$secret
start "$tmp/auth.log" "$bin/auth-sim" --data tests/sim/data/users.json --generate 100 --port "$auth_port"

# Two instances: the same port on two addresses. Each says which it is.
for address in 127.0.0.1 127.0.0.3; do
    cat >"$tmp/$address.conf" <<END
daemon off; worker_processes 1; pid $tmp/$address.pid; error_log $tmp/$address.error error;
events { worker_connections 64; }
http {
    client_body_temp_path $tmp/$address-b; proxy_temp_path $tmp/$address-p; fastcgi_temp_path $tmp/$address-f;
    uwsgi_temp_path $tmp/$address-u; scgi_temp_path $tmp/$address-s; access_log off;
    server { listen $address:$port; location / { return 200 '$address'; } }
}
END
    start "$tmp/out" nginx -p "$tmp/" -e "$tmp/$address.error" -c "$tmp/$address.conf"
done

mkdir "$tmp/bin" "$tmp/state" "$tmp/web"
cat >"$tmp/bin/getent" <<'END'
#!/bin/sh
# getent ahostsv4 NAME
sed "s/\$/       STREAM $2/" "$NAMES/$2" 2>/dev/null && [ -s "$NAMES/$2" ]
END
chmod 755 "$tmp/bin/getent" "$tmp"
echo 127.0.0.1 >"$tmp/auth"
export NAMES=$tmp
start "$tmp/gateway.log" env PATH="$tmp/bin:$PATH" TZ=UTC GATEWAY_CONFIG=config/gateway GATEWAY_STATE="$tmp/state" GATEWAY_WEB="$tmp/web" \
    GATEWAY_LISTEN="127.0.0.1:$gateway_port" GATEWAY_SERVICE="service:$port" GATEWAY_AUTH="auth:$auth_port" GATEWAY_FOLLOW=0.2 \
    GATEWAY_WORKERS=2 GATEWAY_ACCESS_LOG="$tmp/access.log" GATEWAY_ERROR_LOG="$tmp/error.log" docker/gateway/entrypoint.sh
gateway_pid=${pids[-1]}
gateway=http://127.0.0.1:$gateway_port
until_ok curl -sf "$gateway/healthz"
until_ok curl -sf "http://127.0.0.1:$auth_port/_sim/health"

"$bin/auth-sim" mint --count 30 >"$tmp/tokens"
answers() { # one request of each of 30 lines: status and who answered
    local token
    while read -r token; do
        curl -s -m 10 -w ' %{http_code}\n' "$gateway/product/menu" -H "Authorization: Bearer $token"
    done <"$tmp/tokens"
}
by() { [[ $(answers | sort -u | xargs) == "$1" ]]; }
status() { [[ $(curl -s -o /dev/null -w '%{http_code}' -m 10 "$gateway/product/menu" -H "Authorization: Bearer $(head -n 1 "$tmp/tokens")") == "$1" ]]; }

ok "nobody there yet: 503" until_ok status 503
echo 127.0.0.1 >"$tmp/service"
ok "the first instance is found" until_ok by '127.0.0.1 200'
printf '127.0.0.3\n127.0.0.1\n' >"$tmp/service"
ok "a second one is found" until_ok by '127.0.0.1 200 127.0.0.3 200'
answers >"$tmp/first"
printf '127.0.0.1\n127.0.0.3\n127.0.0.3\n' >"$tmp/service"
sleep 0.5 # two looks at least
answers >"$tmp/second"
ok "another order of the same addresses moves no line" cmp "$tmp/first" "$tmp/second"
ok "and is no reason to reload" test "$(grep -c '"instances: ' "$tmp/gateway.log" || grep -c 'instances: ' "$tmp/gateway.log")" = 3
# one goes while customers come: every answer comes, from somebody
answers >"$tmp/during" &
asking=$!
echo 127.0.0.1 >"$tmp/service"
wait "$asking"
ok "no request is lost over a reload" test "$(grep -c ' 200$' "$tmp/during")" = 30
ok "the one that is gone is left out" until_ok by '127.0.0.1 200'
rm "$tmp/service"
sleep 0.5
ok "a name that cannot be looked up changes nothing" by '127.0.0.1 200'
kill -TERM "$gateway_pid"
ended=0
wait "$gateway_pid" || ended=$?
ok "SIGTERM ends it in order" test "$ended" = 0
ok "and nginx with it" test ! -e "$tmp/state/nginx.pid"

# If nginx dies, so does the container: the engine starts another one.
echo 127.0.0.1 >"$tmp/service"
start "$tmp/gateway.log" env PATH="$tmp/bin:$PATH" GATEWAY_CONFIG=config/gateway GATEWAY_STATE="$tmp/state" GATEWAY_WEB="$tmp/web" \
    GATEWAY_LISTEN="127.0.0.1:$gateway_port" GATEWAY_SERVICE="service:$port" GATEWAY_AUTH="auth:$auth_port" GATEWAY_FOLLOW=0.2 \
    GATEWAY_WORKERS=1 GATEWAY_ACCESS_LOG="$tmp/access.log" GATEWAY_ERROR_LOG="$tmp/error.log" docker/gateway/entrypoint.sh
gateway_pid=${pids[-1]}
until_ok curl -sf "$gateway/healthz"
kill -QUIT "$(cat "$tmp/state/nginx.pid")"
ended=0
wait "$gateway_pid" || ended=$?
ok "nginx ended by itself: so does the container, with an error" test "$ended" = 1

echo "$passed passed, $failed failed"
[[ $failed == 0 ]]
