#!/usr/bin/env bash
# The gateway's rules, with the real nginx, the real template, the auth simulator, and in place of the service two
# servers that tell what they were sent. usage: run.sh [directory of auth-sim]   (default: build/tests)
set -euo pipefail
DEV_ROOT=$(cd "$(dirname "$0")/../.." && pwd)
cd "$DEV_ROOT"
. dev.d/common.sh
. dev.d/gateway.sh
bin=${1:-build/tests}
secret=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
tmp=$(mktemp -d)
pids=()
passed=0
failed=0

cleanup() {
    local pid
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || true; done
    rm -rf "$tmp"
}
trap cleanup EXIT

ok() { # name, condition as a command
    local name=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $name"
        echo "    answer: $(head -c 1500 <<<"$answer")"
    fi
}
has() { [[ $answer == *"$1"* ]]; }
lacks() { [[ $answer != *"$1"* ]]; }
is() { [[ $1 == "$2" ]]; }
until_ok() { # command: at most 10 s
    local end=$((SECONDS + 10))
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < end)) || { echo "timed out: $*" >&2; return 1; }
        sleep 0.02
    done
}
header() { tr -d '\r' <<<"$answer" | awk -v name="$1" 'BEGIN { FS = ": " } tolower($1) == tolower(name) { sub(/^[^:]*: /, ""); print }'; }
ask() { answer=$(curl -si -m 15 "$@"); }
status() { awk 'NR == 1 { print $2 }' <<<"$answer"; }

# Free ports: taken by a server of the kernel's choice is not possible with nginx, so they are tried.
free_ports() { # COUNT
    perl -MIO::Socket::INET -e 'my @s = map { IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1") or die } 1 .. shift;
        print join(" ", map { $_->sockport } @s), "\n"' "$1"
}
read -r gateway_port auth_port one_port two_port dead_port < <(free_ports 5)
gateway=http://127.0.0.1:$gateway_port

# What stands in for an instance: tells its name and what it was sent. Some paths misbehave.
echo_server() { # NAME PORT
    local name=$1
    cat <<END
daemon off; worker_processes 1; pid $tmp/$name.pid; error_log $tmp/$name.error error;
events { worker_connections 256; }
http {
    client_body_temp_path $tmp/$name-body; proxy_temp_path $tmp/$name-p; fastcgi_temp_path $tmp/$name-f;
    uwsgi_temp_path $tmp/$name-u; scgi_temp_path $tmp/$name-s;
    log_format l '\$connection \$request_method \$request_uri \$status'; access_log $tmp/$name.log l;
    default_type application/json;
    server {
        listen 127.0.0.1:$2;
        location / {
            add_header X-Request-ID from-the-service always;
            add_header Access-Control-Allow-Origin from-the-service always;
            return 200 '$name \$request_method \$request_uri \$server_protocol\\nuser=\$http_x_user_id role=\$http_x_user_role extra=\$http_x_user_email expires=\$http_x_token_expires_at\\nfor=\$http_x_forwarded_for host=\$http_x_forwarded_host proto=\$http_x_forwarded_proto server=\$http_x_forwarded_server\\ngateway=\$http_x_gateway_request id=\$http_x_request_id authorization=\$http_authorization\\nline=\$http_x_line_number origin=\$http_origin key=\$http_idempotency_key prefer=\$http_prefer language=\$http_accept_language trace=\$http_traceparent cookie=\$http_cookie length=\$http_content_length te=\$http_transfer_encoding connection=\$http_connection\\n';
        }
        location ~ /dies { return 444; }
        location ~ /refused { return 409 '{"refused":true}'; }
    }
}
END
}

start() { # COMMAND…
    "$@" >>"$tmp/out" 2>&1 </dev/null &
    pids+=("$!")
}

JWT_SECRET=$secret start "$bin/auth-sim" --data tests/sim/data/users.json --generate 100 --port "$auth_port"
auth_pid=$!
for name in one two; do
    port=${name}_port
    echo_server "$name" "${!port}" >"$tmp/$name.conf"
    start nginx -p "$tmp/" -e "$tmp/$name.error" -c "$tmp/$name.conf"
done
mkdir -p "$tmp/gw" "$tmp/web/js" "$tmp/web/folder" "$tmp/web/.hidden"
chmod 755 "$tmp"
echo '<!doctype html><title>page</title>' >"$tmp/web/index.html"
echo 'export const page = 1;' >"$tmp/web/js/app.js"
echo '<!doctype html><title>folder</title>' >"$tmp/web/folder/index.html"
echo secret >"$tmp/web/.hidden/file.html"
export PCS_WEB=$tmp/web
export PCS_CORS_ORIGINS='http://localhost:3000 https://shop.example'
gateway_render "$gateway_port" "$tmp/gw" "$auth_port" "$one_port" "$two_port" >"$tmp/gw/nginx.conf"
start env TZ=UTC nginx -p "$tmp/gw/" -e "$tmp/gw/error.log" -c "$tmp/gw/nginx.conf"
gateway_pid=$!
answer=''
until_ok curl -sf "$gateway/healthz"
until_ok curl -sf "http://127.0.0.1:$auth_port/_sim/health"
until_ok curl -sf "http://127.0.0.1:$one_port/"
until_ok curl -sf "http://127.0.0.1:$two_port/"

mint() { "$bin/auth-sim" mint --secret "$secret" "$@"; }
token=$(mint --sub user01 --line 010-1234-5678)
admin=$(mint --sub admin --role ADMIN)
bearer="Authorization: Bearer $token"

# ---- who is let in (UFR-AUTH-020)
ask "$gateway/product/menu"
ok "no token: 401" is "$(status)" 401
ok "401: the contract's body" has '"success":false,"error":{"code":"UNAUTHORIZED","message":"인증이 필요합니다"'
ok "401: path as the caller sent it" has '"path":"/product/menu"'
ok "401: time" grep -qE '"timestamp":"20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-9:]{8}\.[0-9]{3}Z"' <<<"$answer"
ok "401: correlation id is the header's" has "\"correlationId\":\"$(header X-Request-ID)\""
ok "401: is JSON" jq -e .error.code <<<"${answer##*$'\r\n\r\n'}" >/dev/null
ask "$gateway/product/menu" -H 'Accept-Language: en-US,ko;q=0.5'
ok "401 in English" has '"message":"Authentication is required"'
ok "401: how to come in, once" is "$(header WWW-Authenticate)" Bearer
ask "$gateway/product/menu" -H 'Accept: application/problem+json'
ok "401 as RFC 9457" is "$(header Content-Type) $(jq -r '"\(.type) \(.status) \(.title) \(.code) \(.path)"' <<<"${answer##*$'\r\n\r\n'}")" \
    'application/problem+json; charset=utf-8 urn:pcs:UNAUTHORIZED 401 인증이 필요합니다 UNAUTHORIZED /product/menu'
ask "$gateway/product/menu" -H "${bearer}x"
ok "forged token: 401" is "$(status)" 401
ask "$gateway/product/menu" -H "Authorization: Bearer $(mint --sub noperm --line 01055556666)"
ok "no permission: 403" is "$(status)" 403
ok "403: the contract's body" has '"code":"FORBIDDEN","message":"서비스 이용 권한이 없습니다"'
ask "$gateway/product/menu?x=%22%5C" -H 'X-Request-ID: a"b'
ok "a hostile query does not break the JSON" jq -e '.error.path == "/product/menu"' <<<"${answer##*$'\r\n\r\n'}" >/dev/null
ok "a request id that is none is replaced" grep -qE '^[0-9a-f]{32}$' <<<"$(header X-Request-ID)"
ask "$gateway/product/a\"b" --path-as-is
ok "a hostile path does not break the JSON" jq -e .error.code <<<"${answer##*$'\r\n\r\n'}" >/dev/null
curl -s -X POST "http://127.0.0.1:$auth_port/_sim/faults" -d '{"operation":"check","kind":"http_status","status":500,"count":1}' >/dev/null
ask -X POST "$gateway/product/request" -H "$bearer" -d '{}'
ok "the check cannot be made: 503, nothing was passed on" is "$(status)" 503
ok "503: code" has '"code":"SERVICE_UNAVAILABLE","message":"시스템 일시 장애, 잠시 후 재시도"'
ok "503: when to come back, in body and header" has '"retryAfterSeconds":5'
ok "503: Retry-After" is "$(header Retry-After)" 5
ask -X POST "$gateway/product/request" -H "$bearer" -d '{}'
ok "the check is made again" is "$(status)" 200
curl -s -X POST "http://127.0.0.1:$auth_port/_sim/faults" -d '{"operation":"check","kind":"reset","count":1}' >/dev/null
ask "$gateway/product/menu" -H "$bearer"
ok "a kept connection that the auth service just closed refuses nobody: the question is asked again" is "$(status)" 200
curl -s -X POST "http://127.0.0.1:$auth_port/_sim/faults" -d '{"operation":"check","kind":"http_status","status":429,"count":1}' >/dev/null
ask "$gateway/product/menu" -H "$bearer" -H 'Accept: application/problem+json'
ok "an answer of the check that is none is no permission: 503" is "$(status) $(jq -r '"\(.status) \(.retryAfterSeconds)"' <<<"${answer##*$'\r\n\r\n'}")" '503 503 5'

# ---- where it goes
ask "$gateway/product/request/0190?wait=3" -H "$bearer"
ok "/product is stripped, the query kept" has 'GET /request/0190?wait=3 HTTP/1.1'
ask "$gateway/api/v1/products/available?operatorCode=A%20B" -H "$bearer"
ok "/api/v1/products is unchanged" has 'GET /api/v1/products/available?operatorCode=A%20B HTTP/1.1'
ask "$gateway/api/v1/auth/login" -H 'Content-Type: application/json' -d '{"userId":"user01","password":"password1!"}'
ok "login needs no token" has '"access_token":'
ask "$gateway/api/v1/users/user01" -H "$bearer"
ok "users: the auth service" has '"user_name":"홍길동"'
for path in /product/metrics /product/health/ready /product/actuator/health /api/v1/auth/check /product /api /api/v1/nothing /metrics /health/ready \
    /admin/status /nothing.html /.hidden/file.html /js /_auth /_error/401; do
    ask "$gateway$path" -H "$bearer"
    ok "$path is not for outside" is "$(status)" 404
    ok "$path: the contract's body" has '"code":"NOT_FOUND"'
done
ask "$gateway/product/x/..%2fmetrics" -H "$bearer" --path-as-is
ok "a detour to the metrics neither" is "$(status)" 404
ask "$gateway/product/openapi.json"
ok "openapi.json needs no token" has 'GET /openapi.json'
ask "$gateway/openapi.json"
ok "openapi.json at the top likewise" has 'GET /openapi.json'
for path in /docs /docs/docs.js /docs/docs.css; do
    ask "$gateway$path"
    ok "$path: the service's, without a token" has "GET $path HTTP"
    ok "$path: its own headers only" is "$(header X-Content-Type-Options)$(header Cache-Control)" ''
done

# ---- the web page
ask "$gateway/"
ok "the page needs no token" has '<title>page</title>'
ok "the page is HTML" is "$(header Content-Type)" 'text/html; charset=utf-8'
ok "the page runs nothing from elsewhere" grep -q "default-src 'none'; script-src 'self';.*frame-ancestors 'none'" <<<"$(header Content-Security-Policy)"
ok "and nothing inline" lacks unsafe-inline
ok "the page: nosniff, no-cache, no referrer" is "$(header X-Content-Type-Options) $(header Cache-Control) $(header Referrer-Policy)" 'nosniff no-cache no-referrer'
ask "$gateway/js/app.js"
ok "a script is a script" is "$(header Content-Type) $(header Content-Security-Policy)" 'text/javascript; charset=utf-8 '
ask "$gateway/folder"
ok "a folder's index" has '<title>folder</title>'
ask -X POST "$gateway/index.html" -d '{}'
ok "a page takes no POST: 405" is "$(status)" 405
ok "405: code" has '"code":"METHOD_NOT_ALLOWED"'
ask "$gateway/js/../../gw/nginx.conf" --path-as-is
ok "nothing above the page's folder" is "$(status)" 400
ask "$gateway/product/menu" -H "$bearer"
ok "the service's answers get no headers of the page" is "$(header Content-Security-Policy)$(header Cache-Control)" ''

# ---- what is passed on
ask "$gateway/product/menu" -H "$bearer" -H 'X-User-ID: boss' -H 'X-User-Role: ADMIN' -H 'X-User-Email: e' -H 'X_User_ID: boss' \
    -H 'X-Token-Expires-At: 1' -H 'X-Forwarded-For: 6.6.6.6' -H 'X-Forwarded-Server: evil' -H 'X-Forwarded-Proto: https' \
    -H 'X-Forwarded-Host: evil' -H 'X-Gateway-Request: forged' -H 'X-Line-Number: 01099999999' -H 'Cookie: a=b' \
    -H 'X-Request-ID: my.id:1' -H 'Prefer: respond-async' -H 'Idempotency-Key: "k"' -H 'Accept-Language: en' \
    -H 'traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' -H 'Origin: http://localhost:3000'
ok "X-User-* is the gateway's" has 'user=user01 role=USER extra= expires='
ok "X-Token-Expires-At is the token's" grep -qE 'expires=[0-9]{10}' <<<"$answer"
ok "X-Forwarded-* is the gateway's" has "for=127.0.0.1 host=127.0.0.1:$gateway_port proto=http server="
ok "request id is passed on, Authorization unchanged" has "gateway=true id=my.id:1 authorization=Bearer $token"
ok "what the service needs is passed on, the rest is not" has \
    'line= origin= key="k" prefer=respond-async language=en trace=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 cookie= '
ok "request id is echoed once" is "$(header X-Request-ID)" my.id:1
ok "CORS is the gateway's, once" is "$(header Access-Control-Allow-Origin)" http://localhost:3000
ok "CORS: exposed headers" is "$(header Access-Control-Expose-Headers)" 'Location, Retry-After, X-Total-Count'
ok "no version in Server" is "$(header Server)" nginx
ask "$gateway/product/request" -H "$bearer" -H 'Transfer-Encoding: chunked' -d '{"a":1}'
ok "a chunked body arrives whole, with its length" has 'length=7 te= '
ask "$gateway/product/request/refused" -H "$bearer" -d '{}'
ok "the service's own errors are not touched" has '{"refused":true}'

# ---- preflights before the check
ask -X OPTIONS "$gateway/product/request" -H 'Origin: https://shop.example' -H 'Access-Control-Request-Method: POST'
ok "preflight: 204 without a token" is "$(status)" 204
ok "preflight: origin" is "$(header Access-Control-Allow-Origin)" https://shop.example
ok "preflight: headers" is "$(header Access-Control-Allow-Headers)" 'Authorization, Content-Type, Prefer, Idempotency-Key, X-Request-ID'
ok "preflight: methods" is "$(header Access-Control-Allow-Methods)" 'GET, POST, DELETE, OPTIONS'
for origin in http://localhost:30000 http://localhost http://evil.example https://shop.example.evil 'http://localhost:3000 https://shop.example'; do
    ask -X OPTIONS "$gateway/product/request" -H "Origin: $origin" -H 'Access-Control-Request-Method: POST'
    ok "preflight of $origin: nothing is allowed" lacks 'Access-Control-Allow'
done
ask "$gateway/product/menu" -H 'Origin: http://localhost:3000'
ok "a 401 can be read by the browser" is "$(header Access-Control-Allow-Origin)" http://localhost:3000
ask -X OPTIONS "$gateway/product/menu"
ok "OPTIONS that is no preflight is checked" is "$(status)" 401

# ---- hashed by line
instance_of() { # TOKEN PATH
    ask "$gateway$2" -H "Authorization: Bearer $1"
    tr -d '\r' <<<"$answer" | awk '/^(one|two) / { print $1 }'
}
seen=''
for n in 0 1 2 3 4 5 6 7 8 9 10 11; do
    printf -v line '0101000%04d' "$n"
    printf -v user 'gen%07d' "$n"
    mine=$(mint --sub "$user" --line "$line")
    first=$(instance_of "$mine" /product/menu)
    seen+=" $first"
    ok "$line: always the same instance" is "$(instance_of "$mine" /product/history) $(instance_of "$mine" "/api/v1/products/customer/$line")" "$first $first"
    ok "$line: ADMIN by query" is "$(instance_of "$admin" "/product/menu?lineNumber=$line")" "$first"
    ok "$line: ADMIN by query with dashes" is "$(instance_of "$admin" "/product/menu?a=b&lineNumber=${line:0:3}-${line:3:4}-${line:7}")" "$first"
    ok "$line: ADMIN by path" is "$(instance_of "$admin" "/api/v1/products/customer/$line")" "$first"
    ok "$line: another line in the query does not move a customer" is "$(instance_of "$mine" '/product/menu?lineNumber=01000000001') $(instance_of "$mine" '/product/menu?lineNumber=01000000002')" "$first $first"
done
ok "both instances are used" grep -q 'one.*two\|two.*one' <<<"$seen"

# ---- never a second attempt
count() { cat "$tmp/one.log" "$tmp/two.log" | grep -c "$1" || true; }
ask -X POST "$gateway/product/dies/post" -H "$bearer" -d '{}'
ok "the service dies over a POST: 502" is "$(status)" 502
ok "502: it is not known whether it took effect" has '"code":"RESULT_UNKNOWN"'
ok "502: and the customer is told not to ask again" has '다시 신청하지 마시고 변경 이력에서 결과를 확인해 주세요'
ok "the POST was sent once" is "$(count 'POST /dies/post')" 1
ask "$gateway/product/dies/get" -H "$bearer"
ok "a GET likewise" is "$(status) $(count 'GET /dies/get')" "502 1"
ok "502 for a read: try again" has '"code":"SERVICE_UNAVAILABLE"'

# ---- keep-alive: many requests, few connections
for n in {1..40}; do curl -s -o /dev/null "$gateway/product/kept?$n" -H "$bearer"; done
ok "the connections to the service are kept" test "$(cat "$tmp/one.log" "$tmp/two.log" | awk '/\/kept/ { seen[$1] = 1 } END { print length(seen) }')" -le 3

# ---- limits
head -c 70000 /dev/zero >"$tmp/big"
ask "$gateway/product/request" -H "$bearer" --data-binary "@$tmp/big"
ok "a body over 64 KiB: 413" is "$(status)" 413
ok "413: code" has '"code":"PAYLOAD_TOO_LARGE"'
head -c 20000 /dev/zero >"$tmp/big"
ask "$gateway/product/request" -H "$bearer" --data-binary "@$tmp/big"
ok "20 KB: the service's to refuse" has 'length=20000'
ask "$gateway/product/menu" -H "X-Big: $(head -c 9000 /dev/zero | tr '\0' a)"
ok "a head that is too large: 431" is "$(status)" 431
ok "431: code" has '"code":"HEADERS_TOO_LARGE"'
ask "$gateway/product/menu?$(head -c 9000 /dev/zero | tr '\0' a)"
ok "a URI that is too long: 431" is "$(status)" 431
raw() { # LINE…: one request, as it is, in one write: nginx resets a connection on which more comes than it has read
    exec 5<>"/dev/tcp/127.0.0.1/$gateway_port"
    printf '%s\r\n' "$@" '' >"$tmp/raw"
    cat "$tmp/raw" >&5
    answer=$(timeout 15 cat <&5) || true # what was said is judged, not how it ended
    exec 5>&-
}
raw 'POST /product/request HTTP/1.1' 'Host: x' 'Connection: close' "$bearer" 'Transfer-Encoding: gzip, chunked' ''
ok "an unknown transfer coding: 400 in the contract's form" is "$(status) $(jq -r .error.code <<<"${answer##*$'\r\n\r\n'}")" '400 INVALID_REQUEST'
raw 'GET /product/menu HTTP/9.9' 'Host: x' 'Connection: close'
ok "an unknown version likewise" is "$(status) $(jq -r .error.code <<<"${answer##*$'\r\n\r\n'}")" '400 INVALID_REQUEST'
raw 'GET /product/menu HTTP/1.0' "$bearer"
ok "HTTP/1.0 needs no Host" is "$(status)" 200
raw 'POST /product/request HTTP/1.1' 'Host: x' 'Connection: close' "$bearer" 'Content-Length: 5' 'Transfer-Encoding: chunked' '' 0 ''
ok "two lengths are none: 400" is "$(status)" 400
for path in //product//menu /product/./menu /product/%6denu /x/..%2fproduct/menu /product/%2e%2e/product/menu; do
    raw "GET $path HTTP/1.1" 'Host: x' 'Connection: close' "$bearer"
    ok "$path is /menu" has 'GET /menu HTTP/1.1'
done
for path in /product//metrics /product/%6detrics /product/health%2flive /product/x/%2e%2e/metrics /api/v1/products/..%2f..%2f..%2fmetrics \
    /api/v1/auth//check /api/v1/auth/%63heck /%5fauth /%2ehidden/file.html; do
    raw "GET $path HTTP/1.1" 'Host: x' 'Connection: close' "$bearer"
    ok "$path is not for outside" is "$(status)" 404
done
raw "GET /product/request/%30%31%301000%30001 HTTP/1.1" 'Host: x' 'Connection: close' "$bearer"
ask -X TRACE "$gateway/product/menu"
ok "TRACE: 405" is "$(status)" 405

# ---- too many at once
PCS_GATEWAY_RATE=1 PCS_GATEWAY_BURST=2 gateway_render "$gateway_port" "$tmp/gw" "$auth_port" "$one_port" "$two_port" >"$tmp/gw/nginx.conf"
kill -HUP "$gateway_pid"
# A permit comes back every second: each question has a path of its own, and what is looked at is the first that was refused.
asked=0
limited() {
    local n
    for n in 1 2 3 4 5; do
        asked=$((asked + 1))
        ask -X POST "$gateway/product/limited/$asked/" -H "$bearer" -d '{}'
        [[ $(status) != 429 ]] || return 0
    done
    return 1
}
ok "over the rate of one address: 429" until_ok limited
ok "429: code, and when to come back" has '"code":"TOO_MANY_REQUESTS","message":"요청이 너무 많습니다. 잠시 후 다시 시도해 주세요"'
ok "429: Retry-After" is "$(header Retry-After)" 1
ok "429: nothing was passed on" is "$(count "POST /limited/$asked/")" 0
ok "429: and the first one was" is "$(count "POST /limited/1/")" 1
gateway_render "$gateway_port" "$tmp/gw" "$auth_port" "$one_port" "$two_port" >"$tmp/gw/nginx.conf"
kill -HUP "$gateway_pid"
unlimited() { ask "$gateway/product/menu" -H "$bearer" && [[ $(status) == 200 ]]; }
ok "and later it goes on" until_ok unlimited

# ---- a load balancer in front, and TLS
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=gateway \
    -addext subjectAltName=IP:127.0.0.1 -keyout "$tmp/gw/key.pem" -out "$tmp/gw/cert.pem" 2>/dev/null
read -r tls_port < <(free_ports 1)
mkdir "$tmp/tls"
PCS_GATEWAY_TLS="ssl_certificate $tmp/gw/cert.pem; ssl_certificate_key $tmp/gw/key.pem;" PCS_GATEWAY_TRUSTED='127.0.0.1 10.0.0.0/8' \
    gateway_render "$tls_port ssl" "$tmp/tls" "$auth_port" "$one_port" "$two_port" >"$tmp/tls/nginx.conf"
start env TZ=UTC nginx -p "$tmp/tls/" -e "$tmp/tls/error.log" -c "$tmp/tls/nginx.conf"
tls=https://127.0.0.1:$tls_port
until_ok curl -sf --cacert "$tmp/gw/cert.pem" "$tls/healthz"
ask --cacert "$tmp/gw/cert.pem" "$tls/product/menu" -H "$bearer" -H 'X-Forwarded-For: 6.6.6.6, 203.0.113.9, 10.1.2.3'
ok "a load balancer's word is believed, what it was told is not" has 'for=203.0.113.9 '
ok "TLS: the service is told" has 'proto=https'
ok "TLS: and the browser stays with it" is "$(header Strict-Transport-Security)" 'max-age=31536000'
ask "http://127.0.0.1:$tls_port/healthz"
ok "plain HTTP to the TLS port: 400 in the contract's form" is "$(status) $(jq -r .error.code <<<"${answer##*$'\r\n\r\n'}")" '400 INVALID_REQUEST'
ok "TLS 1.1 is refused" is "$(curl -s --cacert "$tmp/gw/cert.pem" --tls-max 1.1 -o /dev/null -w '%{http_code}' "$tls/healthz" || true)" 000

# ---- an instance that takes a request and says nothing (the gateway's patience is 40 s; here 1 s)
read -r silent_port < <(free_ports 1)
start perl -MIO::Socket::INET -e '
    my $s = IO::Socket::INET->new(Listen => 16, LocalAddr => "127.0.0.1", LocalPort => shift, ReuseAddr => 1) or die;
    open my $log, ">>", shift or die;
    my @kept;
    while (my $c = $s->accept) { push @kept, $c; my $line = <$c>; syswrite $log, $line if defined $line }' "$silent_port" "$tmp/silent.log"
read -r impatient_port < <(free_ports 1)
mkdir "$tmp/impatient"
gateway_render "$impatient_port" "$tmp/impatient" "$auth_port" "$silent_port" "$silent_port" |
    sed 's/proxy_read_timeout 40s/proxy_read_timeout 1s/; s/proxy_read_timeout 3s/proxy_read_timeout 500ms/' >"$tmp/impatient/nginx.conf"
start env TZ=UTC nginx -p "$tmp/impatient/" -e "$tmp/impatient/error.log" -c "$tmp/impatient/nginx.conf"
silent=http://127.0.0.1:$impatient_port
until_ok curl -sf "$silent/healthz"
ask -X POST "$silent/product/request" -H "$bearer" -d '{}'
ok "no answer to a POST: 504, and the result is not known" is "$(status)" 504
ok "504: code" has '"code":"RESULT_UNKNOWN"'
ok "504: no advice to try again" is "$(header Retry-After)" ''
ask "$silent/product/late" -H "$bearer" -H 'Accept: application/problem+json'
ok "504 as RFC 9457" is "$(status) $(jq -r .status <<<"${answer##*$'\r\n\r\n'}")" '504 504'
ask -X DELETE "$silent/product/request/0190" -H "$bearer"
ok "no answer to a DELETE likewise" has '"code":"RESULT_UNKNOWN"'
ask "$silent/product/menu" -H "$bearer"
ok "no answer to a GET: 504, try again" has '"code":"SERVICE_UNAVAILABLE"'
ok "each was sent once" is "$(awk '{ print $1 }' "$tmp/silent.log" | sort | uniq -c | tr -s '[:space:]' ' ')" ' 1 DELETE 2 GET 1 POST '
curl -s -X POST "http://127.0.0.1:$auth_port/_sim/faults" -d '{"operation":"check","kind":"hang","count":1}' >/dev/null
ask -X POST "$silent/product/request/never" -H "$bearer" -d '{}'
ok "no answer from the check: 503, nothing was passed on" is "$(status) $(grep -c never "$tmp/silent.log" || true)" '503 0'

# ---- nobody behind it
kill "${pids[1]}" "${pids[2]}"
wait "${pids[1]}" "${pids[2]}" 2>/dev/null || true
ask -X POST "$gateway/product/request" -H "$bearer" -d '{}'
ok "no instance can be reached: 503, and that is the truth" is "$(status)" 503
ok "503: code" has '"code":"SERVICE_UNAVAILABLE"'
ok "503: when" is "$(header Retry-After)" 5
ask -X POST "$gateway/product/request" -H "$bearer" -H 'Accept: application/problem+json' -d '{}'
ok "503 as RFC 9457 has the answer's status" is "$(status) $(jq -r .status <<<"${answer##*$'\r\n\r\n'}")" '503 503'
kill "$auth_pid"
wait "$auth_pid" 2>/dev/null || true
ask "$gateway/product/menu" -H "$bearer"
ok "the auth service is gone: 503" is "$(status)" 503

# ---- its log
answer=$(cat "$tmp/gw/access.log" "$tmp/gw/error.log")
ok "log: no line number" lacks 0101000
ok "log: none with dashes" lacks 010-1
ok "log: none that is encoded" lacks '%30'
ok "log: no query" lacks '?'
ok "log: no token" lacks eyJ
ok "log: every line is JSON" jq -es 'length > 100 and all(.[]; .time and .status and .path)' "$tmp/gw/access.log" >/dev/null
ok "log: who, what, where it went" jq -es 'any(.[]; .user == "user01" and .method == "POST" and .path == "/product/dies/post" and .status == 502 and .upstreamStatus == "502")' "$tmp/gw/access.log" >/dev/null
ok "log: the masked path" has '/api/v1/products/customer/***'

# ---- one instance too slow is not tried elsewhere, one gone is: the next request goes to the other
echo_server one "$one_port" >"$tmp/one.conf"
start nginx -p "$tmp/" -e "$tmp/one.error" -c "$tmp/one.conf"
JWT_SECRET=$secret start "$bin/auth-sim" --data tests/sim/data/users.json --generate 100 --port "$auth_port"
gateway_render "$gateway_port" "$tmp/gw" "$auth_port" "$one_port" "$dead_port" >"$tmp/gw/nginx.conf"
kill -HUP "$gateway_pid"
until_ok curl -sf "http://127.0.0.1:$auth_port/_sim/health"
until_ok curl -sf "http://127.0.0.1:$one_port/"
all_arrive() {
    local n
    for n in 0 1 2 3 4 5 6 7 8 9; do
        printf -v line '0101000%04d' "$n"
        printf -v user 'gen%07d' "$n"
        [[ $(instance_of "$(mint --sub "$user" --line "$line")" /product/menu) == one ]] || return 1
    done
}
ok "an instance that cannot be reached is left out after the first try" until_ok all_arrive

echo "$passed passed, $failed failed"
[[ $failed == 0 ]]
