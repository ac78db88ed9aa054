#!/usr/bin/env bash
# Self-check of the simulators: every operation, every fault kind, state through a kill -9, minted tokens.
# usage: selftest.sh [directory of the executables]   (default: build/tests beside the sources)
set -u
here=$(cd "$(dirname "$0")" && pwd)
bin=${1:-$here/../../build/tests}
tmp=$(mktemp -d)
pids=()
passed=0
failed=0
secret="whsec_$(printf 'a-test-secret-of-thirty-two-byte' | base64)"
jwt_secret=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef

cleanup() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null; wait "$pid" 2>/dev/null; done
    rm -rf "$tmp"
}
trap cleanup EXIT

ok() { # name, condition as a command
    local name=$1
    shift
    if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)) && echo "FAILED: $name"; fi
}
has() { [[ $1 == *"$2"* ]]; }
lacks() { [[ $1 != *"$2"* ]]; }
is() { [[ $1 == "$2" ]]; }

start() { # name, variable for the base URL, arguments…
    local name=$1 var=$2
    shift 2
    rm -f "$tmp/$name.port"
    "$bin/$name" --port-file "$tmp/$name.port" "$@" >"$tmp/$name.out" 2>"$tmp/$name.err" &
    last=$!
    pids+=("$last")
    for _ in $(seq 500); do [[ -s $tmp/$name.port ]] && break; sleep 0.01; done
    [[ -s $tmp/$name.port ]] || { echo "$name did not start"; cat "$tmp/$name.err"; exit 1; }
    printf -v "$var" 'http://127.0.0.1:%s' "$(cat "$tmp/$name.port")"
}
kill_hard() { # and wait until it is gone, without the shell's word about it
    disown "$1"
    kill -9 "$1"
    while kill -0 "$1" 2>/dev/null; do sleep 0.01; done
}
post() { curl -s -m 10 -H 'Content-Type: application/json' -X POST "$1" -d "$2"; }
put() { curl -s -m 10 -X PUT "$1" -d "$2"; }
get() { curl -s -m 10 "$1"; }
delete() { curl -s -m 10 -X DELETE "$1"; }
until_has() { # url, text: waits for a condition, at most 5 s
    for _ in $(seq 250); do [[ $(get "$1") == *"$2"* ]] && return 0; sleep 0.02; done
    return 1
}
inquiry() { post "$kos/api/v1/kos/product/inquiry" "{\"lineNumber\":\"$1\",\"requestId\":\"${2:-q}\"}"; }
order_body() { echo "{\"lineNumber\":\"$1\",\"currentProductCode\":\"X\",\"targetProductCode\":\"$2\",\"requestId\":\"$3\"}"; }
order() { post "$kos/api/v1/kos/product/change" "$(order_body "$@")"; }
fault() { post "$1/_sim/faults" "$2" >/dev/null; }
clear_faults() { delete "$1/_sim/faults" >/dev/null; }
curl_code() { "${@}" >/dev/null 2>&1; echo $?; }

# ---- kos-sim -------------------------------------------------------------------------------------------
start kos-sim kos --data "$here/data/kos.json" --generate 100 --state "$tmp/kos.state"
kos_pid=$last
ok "one line on stdout" is "$(cat "$tmp/kos-sim.out")" "listening ${kos#http://}"

answer=$(inquiry 01012345678 id-1)
ok "inquiry: product" has "$answer" '"currentProductCode":"5GX_STANDARD"'
ok "inquiry: customer" has "$answer" '"customerName":"홍길동"'
ok "inquiry: envelope" has "$answer" '{"success":true,"resultCode":"0000"'
ok "inquiry: requestId" has "$answer" '"data":{"requestId":"id-1"'
ok "inquiry 3001" has "$(inquiry 01000000001)" '"success":false,"resultCode":"3001"'
ok "inquiry 3002 suspended" has "$(inquiry 01034567890)" '"resultCode":"3002"'
ok "inquiry 3002 terminated" has "$(inquiry 01045678901)" '"resultCode":"3002"'
ok "inquiry 3003" has "$(inquiry 01056789012)" '"resultCode":"3003"'
ok "inquiry: unknown operator is absent" lacks "$(inquiry 01067890123)" operatorCode
ok "inquiry: untidy decimals" has "$(inquiry 01011112222)" '"monthlyFee":55000.00'
ok "inquiry: unknown status word" has "$(inquiry 01022223333)" '"lineStatus":"PAUSED_BY_REQUEST"'
ok "inquiry: no line status" lacks "$(inquiry 01044445555)" lineStatus
ok "inquiry: no current product code" lacks "$(inquiry 01099990000)" currentProductCode
ok "inquiry: generated customer" has "$(inquiry 01010000007)" '"customerId":"CUST0000007"'
ok "inquiry: failure data null" has "$(inquiry 01000000001)" '"data":null'
put "$kos/_sim/settings" '{"failureData":"absent","timestamps":"array"}' >/dev/null
ok "setting: data absent" lacks "$(inquiry 01000000001)" '"data"'
ok "setting: time as array" has "$(inquiry 01012345678)" '"timestamp":[2'
put "$kos/_sim/settings" '{"failureData":"null","timestamps":"local"}' >/dev/null
ok "9001 blank requestId" has "$(inquiry 01012345678 ' ')" '"resultCode":"9001"'
ok "9001 is HTTP 400" is "$(curl -s -o /dev/null -w '%{http_code}' -H 'Content-Type: application/json' \
    "$kos/api/v1/kos/product/inquiry" -d '{"lineNumber":"01012345678","requestId":""}')" 400
ok "9002 bad line" has "$(inquiry 010-1234-5678)" '"resultCode":"9002"'
ok "9003 no product" has "$(order 01012345678 '' x)" '"resultCode":"9003"'
ok "9004 no JSON" has "$(post "$kos/api/v1/kos/product/inquiry" '{')" '"resultCode":"9004"'

list=$(get "$kos/api/v1/kos/product/list")
ok "list: snake_case" has "$list" '"result_code":"0000"'
ok "list: not on sale is listed" has "$list" '"status":"DISCONTINUED"'
ok "list: fee as text" has "$list" '"monthly_fee":"55000.00"'
ok "list: fee as 4.5E4" has "$list" '"monthly_fee":4.5E4'
put "$kos/_sim/products/NEW_ONE" '{"product_name":"새 상품","monthly_fee":{"$raw":"1.0E3"},"status":"ACTIVE"}' >/dev/null
ok "list: product put at run time" has "$(get "$kos/api/v1/kos/product/list")" '"product_code":"NEW_ONE","product_name":"새 상품","monthly_fee":1.0E3'

answer=$(order 01012345678 LTE_PLUS order-1)
ok "order 0000" has "$answer" '"success":true,"resultCode":"0000"'
ok "order: change info" has "$answer" '"previousProductCode":"5GX_STANDARD"'
ok "order: order number" has "$answer" '"kosOrderNumber":"KO'
ok "order: applied" has "$(inquiry 01012345678)" '"currentProductCode":"LTE_PLUS"'
ok "order 2001" has "$(order 01000000001 LTE_PLUS o2)" '"resultCode":"2001"'
ok "order 2002" has "$(order 01034567890 LTE_PLUS o3)" '"resultCode":"2002"'
ok "order 2003" has "$(order 01012345678 NOPE o4)" '"resultCode":"2003"'
ok "order 2004" has "$(order 01012345678 LTE_LEGACY o5)" '"resultCode":"2004"'
ok "order 2005" has "$(order 01012345678 OTHER_5G o6)" '"resultCode":"2005"'
ok "order 2099" has "$(order 01090123456 LTE_BASIC o7)" '"resultCode":"2099"'
order 01012345678 LTE_BASIC order-1 >/dev/null
ok "repeat is applied without dedup" has "$(get "$kos/_sim/stats")" '"appliedTwice":1'
put "$kos/_sim/settings" '{"deduplicate":true}' >/dev/null
answer=$(order 01023456789 LTE_PLUS order-d)
ok "dedup: same answer" is "$(order 01023456789 5GX_BASIC order-d | sed 's/,"timestamp.*//')" "${answer%%,\"timestamp*}"
ok "dedup: not applied again" has "$(get "$kos/_sim/orders?requestId=order-d")" '"applied":false,"duplicate":true'
ok "orders by line" has "$(get "$kos/_sim/orders?lineNumber=01023456789&applied=true")" '"total":1'
put "$kos/_sim/customers/01023456789" '{"productCode":"KIDS_SAFE"}' >/dev/null
ok "customer changed behind the service" has "$(inquiry 01023456789)" '"currentProductCode":"KIDS_SAFE"'
curl -s -o /dev/null -H 'X-Request-ID: corr-1' -H 'X-Service-Name: product-change-service' \
    -H 'traceparent: 00-11111111111111111111111111111111-2222222222222222-01' "$kos/api/v1/kos/product/list"
calls=$(get "$kos/_sim/calls?operation=list&limit=1")
ok "calls: X-Request-ID" has "$calls" '"X-Request-ID":"corr-1"'
ok "calls: X-Service-Name" has "$calls" '"X-Service-Name":"product-change-service"'
ok "calls: traceparent" has "$calls" '"traceparent":"00-1111'

# State through kill -9.
kill_hard "$kos_pid"
printf '{"order":{"requestId":"torn' >>"$tmp/kos.state"
start kos-sim kos --data "$here/data/kos.json" --generate 100 --state "$tmp/kos.state"
kos_pid=$last
ok "state: order kept" has "$(get "$kos/_sim/orders?requestId=order-d")" '"total":2'
ok "state: product kept" has "$(inquiry 01012345678)" '"currentProductCode":"LTE_BASIC"'
ok "state: change of a customer kept" has "$(inquiry 01023456789)" '"currentProductCode":"KIDS_SAFE"'
ok "state: new product kept" has "$(get "$kos/_sim/products")" NEW_ONE
ok "state: torn line dropped" lacks "$(get "$kos/_sim/orders")" torn
post "$kos/_sim/reset" '' >/dev/null
ok "reset: orders gone" has "$(get "$kos/_sim/orders")" '"total":0'
ok "reset: product back" has "$(inquiry 01012345678)" '"currentProductCode":"5GX_STANDARD"'

# Faults: which of them apply the order, and what the client sees (curl's exit code, 0 = an answer).
check_fault() { # kind, curl's exit code, applied, extra members
    local body code applied=false
    fault "$kos" "{\"operation\":\"change\",\"lineNumber\":\"01012345678\",\"kind\":\"$1\",\"count\":1${4:-}}"
    body=$(curl -s -m 0.5 -H 'Content-Type: application/json' "$kos/api/v1/kos/product/change" \
        -d "$(order_body 01012345678 LTE_PLUS "f-$1")" | tr -d '\0'; exit "${PIPESTATUS[0]}")
    code=$?
    has "$(get "$kos/_sim/orders?requestId=f-$1")" '"applied":true' && applied=true
    ok "fault $1: client sees $2, saw $code" is "$code" "$2"
    ok "fault $1: applied $3" is "$applied" "$3"
    fault_body=$body
    clear_faults "$kos"
    post "$kos/_sim/reset" '' >/dev/null
}
check_fault reset 56 false
check_fault close 52 false
check_fault hang 28 false
check_fault applied_no_answer 28 true
check_fault applied_reset 56 true
check_fault reset_mid_body 56 true
ok "fault reset_mid_body: half a body" has "$fault_body" '"success":true'
check_fault truncated 18 true
check_fault garbage 0 true
ok "fault garbage: no JSON" has "$fault_body" 'not json'
check_fault http_status 0 false ',"status":503'
ok "fault http_status: system code" has "$fault_body" '"resultCode":"9999"'
check_fault not_found_html 0 false
ok "fault not_found_html" has "$fault_body" '<html>'
check_fault slow_drip 28 true ',"delayMs":20'
check_fault chunked 0 true
ok "fault chunked: whole" has "$fault_body" '"traceId"'
check_fault big_body 0 true ',"bytes":300000'
ok "fault big_body: size" test "${#fault_body}" -gt 290000
check_fault result_code 0 false ',"resultCode":"9100"'
ok "fault result_code" has "$fault_body" '"success":false,"resultCode":"9100"'
check_fault null_data 0 true
ok "fault null_data" has "$fault_body" '"resultCode":"0000","resultMessage":"정상 처리되었습니다","data":null'
check_fault contradiction 0 true
ok "fault contradiction: data" has "$fault_body" '"resultCode":"2099"'
check_fault contradiction 0 true ',"variant":"success"'
ok "fault contradiction: success" has "$fault_body" '"success":false,"resultCode":"0000"'
check_fault contradiction 0 true ',"variant":"envelope"'
ok "fault contradiction: envelope" has "$fault_body" '"success":false,"resultCode":"2099"'
check_fault wrong_request_id 0 true
ok "fault wrong_request_id" lacks "$fault_body" f-wrong_request_id
check_fault wrong_request_id 0 true ',"variant":"newProductCode"'
ok "fault wrong_request_id: product" has "$fault_body" SOMETHING_ELSE
check_fault http_status 0 true ',"phase":"after","status":500'
ok "http status and headers" has "$(fault "$kos" '{"kind":"http_status","status":429,"headers":{"Retry-After":"7"},"body":"slow down","contentType":"text/plain"}'
    curl -si "$kos/api/v1/kos/product/list")" 'Retry-After: 7'
clear_faults "$kos"
ok "fault: unknown member refused" has "$(post "$kos/_sim/faults" '{"kind":"reset","lineNo":"1"}')" 'unknown member'
ok "fault: unknown kind refused" has "$(post "$kos/_sim/faults" '{"kind":"explode"}')" 'not offered'
ok "fault: bad rate refused" has "$(post "$kos/_sim/faults" '{"kind":"reset","rate":2}')" 'rate must be'

# Delay combines with another fault; a delayed order is applied although its client has gone.
fault "$kos" '{"operation":"change","kind":"delay","delayMs":400}'
fault "$kos" '{"operation":"change","kind":"result_code","resultCode":"9500"}'
from=$(date +%s%N)
answer=$(order 01012345678 LTE_PLUS d-1)
ok "delay takes its time" test $((($(date +%s%N) - from) / 1000000)) -ge 400
ok "delay combines" has "$answer" '"resultCode":"9500"'
clear_faults "$kos"
fault "$kos" '{"operation":"change","kind":"delay","delayMs":600}'
ok "delay: client gives up" is "$(curl_code curl -s -m 0.2 -H 'Content-Type: application/json' \
    "$kos/api/v1/kos/product/change" -d "$(order_body 01012345678 LTE_PLUS late-1)")" 28
ok "delay: not applied yet" has "$(get "$kos/_sim/orders?requestId=late-1")" '"total":0'
ok "delay: applied later" until_has "$kos/_sim/orders?requestId=late-1" '"applied":true'
clear_faults "$kos"
post "$kos/_sim/reset" '' >/dev/null

# Gates: before = the effect waits, after = the answer waits. Several requests are held and released.
fault "$kos" '{"operation":"inquiry","kind":"gate","phase":"after"}'
inquiry 01012345678 g1 >"$tmp/g1" &
g1=$!
ok "gate: held" until_has "$kos/_sim/faults" '"waiting":1'
put "$kos/_sim/customers/01012345678" '{"productCode":"LTE_SLIM"}' >/dev/null
post "$kos/_sim/faults/release" '{"all":true}' >/dev/null
wait $g1
ok "gate after: old product was read" has "$(cat "$tmp/g1")" '"currentProductCode":"5GX_STANDARD"'
ok "gate is open after release" has "$(get "$kos/_sim/faults")" '"faults":[]'
fault "$kos" '{"operation":"inquiry","kind":"gate","phase":"before"}'
inquiry 01012345678 g2 >"$tmp/g2" &
g2=$!
inquiry 01023456789 g3 >"$tmp/g3" &
g3=$!
ok "gate: two held" until_has "$kos/_sim/faults" '"waiting":2'
put "$kos/_sim/customers/01012345678" '{"productCode":"KIDS_SAFE"}' >/dev/null
post "$kos/_sim/faults/release" '{"all":true,"lineNumber":"01012345678"}' >/dev/null
wait $g2
ok "gate before: new product was read" has "$(cat "$tmp/g2")" '"currentProductCode":"KIDS_SAFE"'
ok "gate: the other is still held" has "$(get "$kos/_sim/held")" '"lineNumber":"01023456789"'
post "$kos/_sim/faults/release" '{"all":true}' >/dev/null
wait $g3
ok "gate: released" has "$(cat "$tmp/g3")" '"success":true'
fault "$kos" '{"operation":"inquiry","kind":"hang","count":1}'
inquiry 01012345678 h1 >"$tmp/h1" &
h1=$!
ok "hang: held" until_has "$kos/_sim/held" '"operation":"inquiry"'
post "$kos/_sim/faults/release" '{"all":true}' >/dev/null
wait $h1
ok "hang: answers when released" has "$(cat "$tmp/h1")" '"success":true'
fault "$kos" '{"operation":"list","kind":"http_status","rate":0.5}'
codes=$(for _ in $(seq 60); do curl -s -o /dev/null -w '%{http_code}\n' "$kos/api/v1/kos/product/list"; done | sort -u | tr '\n' ' ')
ok "rate: some fail, some do not" is "$codes" "200 500 "
clear_faults "$kos"

# Thousands at once: held, then gone with their clients.
if command -v wrk >/dev/null; then
    fault "$kos" '{"operation":"list","kind":"hang"}'
    wrk -t1 -c2000 -d2 "$kos/api/v1/kos/product/list" >/dev/null 2>&1 &
    w=$!
    ok "2000 hung at once" until_has "$kos/_sim/faults" '"waiting":2000'
    ok "still answers others" has "$(inquiry 01012345678)" '"success":true'
    wait $w
    ok "their clients leave" until_has "$kos/_sim/faults" '"waiting":0'
    clear_faults "$kos"
fi
fault "$kos" '{"operation":"list","kind":"hang"}'
get "$kos/api/v1/kos/product/list" >/dev/null &
held=$!
until_has "$kos/_sim/held" '"operation":"list"'
kill "$kos_pid"
wait "$kos_pid"
ok "SIGTERM: clean end with a request held" is $? 0
wait $held

# ---- mvno-sim ------------------------------------------------------------------------------------------
start mvno-sim mvno --secret "$secret" --state "$tmp/mvno.state"
mvno_pid=$last
event() { # eventId, requestId
    printf '{"eventId":"%s","eventType":"product-change.completed","requestId":"%s","lineNumber":"01012345678","currentProductCode":"A","targetProductCode":"B","processResult":"정상","resultCode":"0000","message":"상품 변경이 완료되었습니다","occurredAt":"2024-05-01T01:02:03.004Z"}' "$1" "$2"
}
send() { # eventId, body, timestamp, signature ("" = the right one); prints status and body
    local sig=${4:-v1,$(printf '%s.%s.%s' "$1" "$3" "$2" | openssl dgst -sha256 -hmac 'a-test-secret-of-thirty-two-byte' -binary | base64)}
    curl -s -m 1 -w ' %{http_code}' -H 'Content-Type: application/json' -H "webhook-id: $1" -H "webhook-timestamp: $3" \
        -H "webhook-signature: $sig" "$mvno/api/v1/mvno/product-change/results" -d "$2"
}
now=$(date +%s)
ok "event accepted" has "$(send e1 "$(event e1 r1)" "$now")" ' 200'
ok "rotated signatures" has "$(send e1 "$(event e1 r1)" "$now" "v1,AAAA v1,$(printf 'e1.%s.%s' "$now" "$(event e1 r1)" | openssl dgst -sha256 -hmac 'a-test-secret-of-thirty-two-byte' -binary | base64)")" ' 200'
events=$(get "$mvno/_sim/events?requestId=r1")
ok "event once, counted twice" has "$events" '"deliveries":2,"verified":true'
ok "event: total" has "$events" '"total":1'
ok "event: body" has "$events" '"processResult":"정상"'
ok "bad signature" has "$(send e2 "$(event e2 r2)" "$now" 'v1,AAAA')" 'does not match"} 401'
ok "old timestamp" has "$(send e2 "$(event e2 r2)" $((now - 301)))" '5 minutes off"} 401'
ok "missing id" has "$(curl -s -w ' %{http_code}' -H 'Content-Type: application/json' "$mvno/api/v1/mvno/product-change/results" -d '{}')" ' 400'
ok "contract of the body" has "$(send e2 "$(event e2 r2 | sed 's/정상/실패/')" "$now")" ' 422'
ok "refused are not events" has "$(get "$mvno/_sim/events")" '"total":1'
ok "refused are attempts" has "$(get "$mvno/_sim/attempts?webhookId=e2&limit=1")" '"outcome":"refused"'
fault "$mvno" '{"kind":"http_status","status":503,"count":1}'
ok "mvno fault status" has "$(send e3 "$(event e3 r3)" "$now")" ' 503'
ok "mvno: not accepted" has "$(get "$mvno/_sim/events?requestId=r3")" '"total":0'
fault "$mvno" '{"kind":"reset","phase":"after","count":1}'
send e3 "$(event e3 r3)" "$now" >/dev/null
ok "mvno: accepted, answer lost" has "$(get "$mvno/_sim/events?requestId=r3")" '"total":1'
fault "$mvno" '{"kind":"hang","lineNumber":"01012345678","count":1}'
ok "mvno hang" is "$(curl_code send e4 "$(event e4 r4)" "$now")" 28
fault "$mvno" '{"kind":"close","count":1}'
ok "mvno close" is "$(curl_code send e4 "$(event e4 r4)" "$now")" 52
fault "$mvno" '{"kind":"delay","delayMs":10,"count":1}'
ok "mvno delay" has "$(send e4 "$(event e4 r4)" "$now")" ' 200'
ok "mvno: KOS kinds are not offered" has "$(post "$mvno/_sim/faults" '{"kind":"applied_reset"}')" 'not offered'
kill_hard "$mvno_pid"
start mvno-sim mvno --state "$tmp/mvno.state"
ok "mvno state: events in order" has "$(get "$mvno/_sim/events" | grep -o '"webhookId":"e[0-9]' | tr -d '\n')" 'e1"webhookId":"e3"webhookId":"e4'
ok "mvno state: repeats" has "$(get "$mvno/_sim/events?requestId=r1")" '"deliveries":2'
ok "unsigned without a secret" has "$(send e5 "$(event e5 r5)" "$now" none)" ' 200'
post "$mvno/_sim/reset" '' >/dev/null
ok "mvno reset" has "$(get "$mvno/_sim/stats")" '"events":0'

# ---- auth-sim ------------------------------------------------------------------------------------------
export JWT_SECRET=$jwt_secret
start auth-sim auth --data "$here/data/users.json" --generate 10
login() { post "$auth/api/v1/auth/login" "{\"userId\":\"$1\",\"password\":\"$2\"}"; }
token_of() { sed 's/.*"access_token":"\([^"]*\)".*/\1/' <<<"$1"; }
check() { curl -si "$auth/api/v1/auth/check" -H "Authorization: Bearer $1"; }
answer=$(login user01 'password1!')
ok "login: fields" has "$answer" '"user_id":"user01","customer_id":"CUST-0001","line_number":"010-1234-5678"}'
ok "login: user_id is taken too" has "$(post "$auth/api/v1/auth/login" '{"user_id":"user02","password":"password1!"}')" access_token
token=$(token_of "$answer")
claims=$(cut -d. -f2 <<<"$token" | tr '_-' '/+')
claims=$(base64 -d <<<"$claims==" 2>/dev/null)
ok "token: issuer" has "$claims" '"iss":"phonebill-auth-service"'
ok "token: line with dashes" has "$claims" '"lineNumber":"010-1234-5678"'
ok "token: no permissions" lacks "$claims" permissions
checked=$(check "$token")
ok "check 204" has "$checked" ' 204 '
ok "check: X-User-ID" has "$checked" 'X-User-ID: user01'
ok "check: X-User-Role" has "$checked" 'X-User-Role: USER'
ok "check: expiry" has "$checked" 'X-Token-Expires-At: '
ok "check: the line for the gateway's hash" has "$checked" 'X-Line-Number: 01012345678'
ok "check: no permission 403" has "$(check "$(token_of "$(login noperm 'password1!')")")" ' 403 '
ok "check: admin" has "$(check "$(token_of "$(login admin 'admin1234!')")")" 'X-User-Role: ADMIN'
ok "check: admin has no line" lacks "$(check "$(token_of "$(login admin 'admin1234!')")")" 'X-Line-Number'
ok "check: bad token 401" has "$(check "${token}x")" ' 401 '
ok "check: no token 401" has "$(curl -si "$auth/api/v1/auth/check")" ' 401 '
ok "login: wrong password" has "$(login user01 nope)" '"code":"UNAUTHORIZED","message":"인증이 필요합니다"'
ok "login: locked" has "$(login locked 'password1!')" '"code":"FORBIDDEN"'
ok "login: refresh token is no access token" has "$(check "$(sed 's/.*"refresh_token":"\([^"]*\)".*/\1/' <<<"$answer")")" ' 401 '
ok "users" has "$(get "$auth/api/v1/users/user01")" '"user_name":"홍길동","account_status":"ACTIVE","permissions":["BILL_INQUIRY","PRODUCT_CHANGE"]}'
ok "users: unknown" has "$(get "$auth/api/v1/users/nobody")" '"code":"NOT_FOUND"'
ok "mint: check passes" has "$(check "$("$bin/auth-sim" mint --sub user01 --line 01012345678)")" ' 204 '
ok "mint: other secret" has "$(check "$("$bin/auth-sim" mint --sub user01 --secret other)")" ' 401 '
ok "mint: other algorithm" has "$(check "$("$bin/auth-sim" mint --sub user01 --alg HS256)")" ' 401 '
ok "mint: alg none" has "$(check "$("$bin/auth-sim" mint --sub user01 --alg none)")" ' 401 '
ok "mint: expired" has "$(check "$("$bin/auth-sim" mint --sub user01 --ttl -1)")" ' 401 '
ok "mint: many" is "$("$bin/auth-sim" mint --count 1000 | sort -u | wc -l)" 1000
ok "mint: generated user passes" has "$(check "$("$bin/auth-sim" mint --count 3 | tail -1)")" 'X-User-ID: gen0000002'
put "$auth/_sim/users/user01" '{"permissions":[]}' >/dev/null
ok "permission taken away" has "$(check "$token")" ' 403 '
post "$auth/_sim/reset" '' >/dev/null
ok "logout" has "$(curl -s -X POST "$auth/api/v1/auth/logout" -H "Authorization: Bearer $token")" '"success":true'
ok "logged out: 401" has "$(check "$token")" ' 401 '
fault "$auth" '{"operation":"check","kind":"http_status","status":500}'
ok "auth fault" has "$(check "$(token_of "$(login user02 'password1!')")")" ' 500 '

# Clean ends: exit code 0, nothing on stderr (sanitizer reports would be there).
for pid in "${pids[@]}"; do
    kill "$pid" 2>/dev/null && { wait "$pid"; ok "clean end of $pid" is $? 0; }
done
pids=()
for name in kos-sim mvno-sim auth-sim; do ok "$name: nothing on stderr" test ! -s "$tmp/$name.err"; done
echo "$passed passed, $failed failed"
[[ $failed == 0 ]]
