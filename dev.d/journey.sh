# The journeys of `./dev up`, through the gateway, as a customer makes them. Every step prints the curl line that
# repeats it and what came back, and says so when that is not what it should be.

JOURNEY_WRONG=0

# step TITLE STATUS TEST SHOWN CURL-ARGUMENTS…
#   STATUS: the HTTP status that is right; TEST: a jq expression that has to be true of the answer (with the
#   variables that `remember` has set); SHOWN: a jq expression of what is worth showing.
# The answer is left in ANSWER.
step() {
    local heading=$1 status=$2 test=$3 shown=$4 got out
    shift 4
    printf '\n%s%s%s\n' "$BOLD" "$heading" "$PLAIN"
    printf '  %s$ %s%s\n' "$DIM" "$(curl_line "$@")" "$PLAIN"
    out=$(curl -s -m 40 -w '\n%{http_code}' "$@") || true
    got=${out##*$'\n'}
    ANSWER=${out%$'\n'*}
    printf '  %s %s\n' "$got" "$(jq -c "$shown" <<<"$ANSWER" 2>/dev/null || printf '%s' "${ANSWER:0:300}")"
    if [[ $got != "$status" ]]; then
        wrong "status $got, not $status: ${ANSWER:0:600}"
    elif ! jq -e "$test" <<<"$ANSWER" >/dev/null 2>&1; then
        wrong "not what it should be ($test): ${ANSWER:0:600}"
    fi
}

wrong() {
    JOURNEY_WRONG=$((JOURNEY_WRONG + 1))
    printf '  %sWRONG:%s %s\n' "$RED" "$PLAIN" "$*"
}

# The arguments as a line for a shell; a token becomes "$TOKEN".
curl_line() {
    local arg out='curl -s'
    for arg in "$@"; do
        if [[ $arg == *"${TOKEN:-no token yet}"* ]]; then
            out+=" \"${arg//"$TOKEN"/'$TOKEN'}\""
        elif [[ $arg =~ ^[A-Za-z0-9_./:=-]+$ ]]; then
            out+=" $arg"
        else
            out+=" '${arg//\'/\'\\\'\'}'"
        fi
    done
    printf '%s' "$out"
}

# eventually SECONDS TITLE TEST URL SHOWN: asks until the test is true of the answer.
eventually() {
    local limit=$1 heading=$2 test=$3 url=$4 shown=$5 start
    start=$(now_ms)
    printf '\n%s%s%s\n' "$BOLD" "$heading" "$PLAIN"
    printf '  %s$ curl -s %s%s\n' "$DIM" "'$url'" "$PLAIN"
    until ANSWER=$(curl -s -m 5 "$url") && jq -e "$test" <<<"$ANSWER" >/dev/null 2>&1; do
        if (($(now_ms) - start > limit * 1000)); then
            wrong "not within $limit s ($test): ${ANSWER:0:600}"
            return 0
        fi
        sleep 0.05
    done
    printf '  %s\n' "$(jq -c "$shown" <<<"$ANSWER")"
}

# log_in USER PASSWORD: leaves TOKEN and LINE. The line printed sets TOKEN in the shell it is pasted into.
log_in() {
    local body="{\"userId\":\"$1\",\"password\":\"${2:-password1!}\"}" answer
    TOKEN=''
    printf '\n%s%s logs in (the auth service, through the gateway)%s\n' "$BOLD" "$1" "$PLAIN"
    printf '  %s$ TOKEN=$(curl -s %s/api/v1/auth/login -H "Content-Type: application/json" -d '\''%s'\'' | jq -r .access_token)%s\n' \
        "$DIM" "$GATEWAY" "$body" "$PLAIN"
    answer=$(curl -s -m 10 "$GATEWAY/api/v1/auth/login" -H 'Content-Type: application/json' -d "$body") || true
    TOKEN=$(jq -r '.access_token // empty' <<<"$answer" 2>/dev/null) || true
    LINE=$(jq -r '.line_number // empty' <<<"$answer" 2>/dev/null | tr -d -) || true
    if [[ -n $TOKEN ]]; then
        printf '  %s\n' "$(jq -c '{token_type, expires_in, user_id, customer_id, line_number}' <<<"$answer")"
    else
        wrong "no token: ${answer:-no answer from $GATEWAY}"
    fi
    BEARER="Authorization: Bearer $TOKEN"
}

JSON='Content-Type: application/json'

change_body() { # CURRENT TARGET
    printf '{"lineNumber":"%s","currentProductCode":"%s","targetProductCode":"%s"}' "$LINE" "$1" "$2"
}

# ---- the journeys ----

journeys() {
    local start
    start=$(now_ms)
    kos_mend
    journey_change
    journey_refused
    journey_outage
    say
    title "$([[ $JOURNEY_WRONG == 0 ]] && echo "all journeys as they should be" || echo "$JOURNEY_WRONG wrong"), $(seconds_since "$start") s"
    return "$JOURNEY_WRONG"
}

kos_mend() { curl -s -m 5 -o /dev/null -X DELETE "$KOS/_sim/faults" || true; }

# The product the customer has, from the change screen, into CURRENT.
current_product() {
    CURRENT=$(curl -s -m 10 "$GATEWAY/product/change" -H "$BEARER" | jq -r '.data.currentProduct.productCode // empty' 2>/dev/null) || true
    [[ -n $CURRENT ]] || wrong "the change screen shows no current product"
}

journey_change() {
    local target id
    say
    title "1. a customer changes the plan"
    log_in user01
    step "Without a token the gateway lets nobody in (UFR-AUTH-020)" 401 \
        '.error.code == "UNAUTHORIZED" and .error.message == "인증이 필요합니다"' '.error | {code, message}' \
        "$GATEWAY/product/menu"
    step "The menu: own line, customer, current product (UFR-PROD-010, SCR-005)" 200 \
        ".data.lineNumber == \"$LINE\" and .data.currentProduct.productCode and (.data.menuItems | length) == 2" \
        '.data | {customerName, lineNumber, currentProduct: .currentProduct.productName, menuItems: [.menuItems[] | {menuName, available}]}' \
        "$GATEWAY/product/menu" -H "$BEARER"
    step "The change screen: plans to choose from (UFR-PROD-020, SCR-006)" 200 \
        '.data.totalCount > 0 and .data.totalCount == (.data.products | length)' \
        '.data | {current: .currentProduct.productCode, products: [.products[] | "\(.productCode) \(.monthlyFeeDifference)"], unavailable: [.unavailable[] | "\(.productCode): \(.reason)"]}' \
        "$GATEWAY/product/change" -H "$BEARER"
    CURRENT=$(jq -r '.data.currentProduct.productCode' <<<"$ANSWER")
    target=$(jq -r '.data.products[0].productCode' <<<"$ANSWER")
    step "The pre-check alone (UFR-PROD-030, SCR-007)" 200 \
        '.data.validationResult == "SUCCESS" and ([.data.validationDetails[].result] == ["PASS","PASS","PASS"])' \
        '.data | {validationResult, checks: [.validationDetails[] | "\(.checkType) \(.result)"]}' \
        "$GATEWAY/product/request/validation" -H "$BEARER" -H "$JSON" -d "$(change_body "$CURRENT" "$target")"
    step "The change itself: checked again, ordered from KOS, on disk before it is answered (UFR-PROD-040)" 200 \
        ".data.processStatus == \"COMPLETED\" and .data.resultCode == \"0000\" and .data.changedProduct.productCode == \"$target\"" \
        '.data | {requestId, processStatus, resultMessage, changedProduct: .changedProduct.productName, kosOrderNumber}' \
        "$GATEWAY/product/request" -H "$BEARER" -H "$JSON" -d "$(change_body "$CURRENT" "$target")"
    id=$(jq -r '.data.requestId' <<<"$ANSWER")
    step "Its result, asked for again (SCR-008)" 200 \
        ".data.requestId == \"$id\" and .data.processStatus == \"COMPLETED\"" \
        '.data | {requestId, processStatus, processedAt, nextActions: [.nextActions[].action]}' \
        "$GATEWAY/product/request/$id" -H "$BEARER"
    step "The menu shows the new plan at once: the cached customer was dropped" 200 \
        ".data.currentProduct.productCode == \"$target\"" '.data.currentProduct | {productCode, monthlyFee}' \
        "$GATEWAY/product/menu" -H "$BEARER"
    step "The history (and the path of the existing frontend)" 200 \
        ".data.history[0].requestId == \"$id\" and .data.history[0].processStatus == \"COMPLETED\"" \
        '.data | {newest: (.history[0] | {requestId, processStatus, currentProductCode, targetProductCode}), total: .pagination.totalElements}' \
        "$GATEWAY/api/v1/products/history?size=1" -H "$BEARER"
    eventually 10 "MVNO AP has been told, once, with a signature that it accepted" \
        '.events | length == 1 and .[0].verified and .[0].body.processResult == "정상"' \
        "$MVNO/_sim/events?requestId=$id" '.events[0].body | {eventType, processResult, message, occurredAt}'
    history_row "$id" COMPLETED
}

history_row() { # REQUEST-ID STATUS: the row that the worker wrote
    local row start sql
    sql="SELECT status || ' ' || result_code || ' ' || result_message FROM product_change.product_change_history WHERE request_id = '$1'"
    printf '\n%sPostgreSQL has the row%s\n  %s$ ./dev psql -Atc "%s"%s\n' "$BOLD" "$PLAIN" "$DIM" "$sql" "$PLAIN"
    start=$(now_ms)
    until row=$(psql_as pcs_owner "$DB_OWNER_PASSWORD" -d "$DB_DATABASE" -Atc "$sql" 2>&1) && [[ $row == "$2 "* ]]; do
        if (($(now_ms) - start > 10000)); then
            wrong "no row with $2 within 10 s: $row"
            return 0
        fi
        sleep 0.05
    done
    printf '  %s\n' "$row"
}

journey_refused() {
    local target
    say
    title "2. changes that are refused"
    log_in user01
    current_product
    step "A plan of another operator: the pre-check fails, each reason is told" 409 \
        '.error.code == "VALIDATION_FAILED" and .error.message == "상품 사전 체크에 실패하였습니다" and ([.error.checks[] | select(.result == "FAIL").checkType] == ["OPERATOR_MATCH"])' \
        '.error | {code, message, details, checks: [.checks[] | "\(.checkType) \(.result)"]}' \
        "$GATEWAY/product/request" -H "$BEARER" -H "$JSON" -d "$(change_body "$CURRENT" OTHER_5G)"
    step "In English" 409 '.error.message == "The plan pre-check failed"' '.error | {message, details}' \
        "$GATEWAY/product/request" -H "$BEARER" -H "$JSON" -H 'Accept-Language: en' -d "$(change_body "$CURRENT" OTHER_5G)"
    step "Somebody else's line: 403, whether it exists or not" 403 \
        '.error.code == "FORBIDDEN" and .error.message == "서비스 이용 권한이 없습니다"' '.error | {code, message}' \
        "$GATEWAY/product/menu?lineNumber=01099998888" -H "$BEARER"
    log_in noperm
    step "A user without the permission: refused at the gateway (UFR-AUTH-020)" 403 \
        '.error.code == "FORBIDDEN" and .error.message == "서비스 이용 권한이 없습니다"' '.error | {code, message}' \
        "$GATEWAY/product/menu" -H "$BEARER"
    log_in user09
    current_product
    target=LTE_BASIC
    step "KOS refuses the order (2099): its reason, and what to do next" 409 \
        '.error.code == "CHANGE_DENIED" and .error.resultCode == "2099" and (.error.nextActions | length) > 0' \
        '.error | {code, message, details, resultCode, requestId, nextActions: [.nextActions[].action]}' \
        "$GATEWAY/product/request" -H "$BEARER" -H "$JSON" -d "$(change_body "$CURRENT" "$target")"
    REFUSED=$(jq -r '.error.requestId' <<<"$ANSWER")
    eventually 10 "MVNO AP has been told of it" '.events | length == 1 and .[0].body.processResult == "실패"' \
        "$MVNO/_sim/events?requestId=$REFUSED" '.events[0].body | {eventType, processResult, message, failureReason}'
    step "The existing frontend gets the same as 200 with the result FAILED" 200 \
        '.data.processStatus == "FAILED" and .data.resultCode == "2099"' '.data | {processStatus, resultCode, resultMessage}' \
        "$GATEWAY/api/v1/products/change" -H "$BEARER" -H "$JSON" -d "$(change_body "$CURRENT" "$target")"
}

journey_outage() {
    local target
    say
    title "3. KOS is out, and comes back"
    log_in user02
    current_product
    target=$([[ $CURRENT == LTE_PLUS ]] && echo LTE_BASIC || echo LTE_PLUS)
    step "KOS answers nothing but errors from now on (the simulator's control)" 201 '.id' '{id, kind}' \
        -X POST "$KOS/_sim/faults" -d '{"kind":"http_status","status":500}'
    step "A change is refused at once, and nothing was ordered" 503 \
        '.error.code == "KOS_UNAVAILABLE" and .error.message == "시스템 일시 장애, 잠시 후 재시도" and .error.retryAfterSeconds > 0' \
        '.error | {code, message, retryAfterSeconds}' \
        "$GATEWAY/product/request" -H "$BEARER" -H "$JSON" -d "$(change_body "$CURRENT" "$target")"
    step "The menu still comes, from the cache" 200 '.data.currentProduct.productCode' '.data.currentProduct | {productCode}' \
        "$GATEWAY/product/menu" -H "$BEARER"
    step "KOS is back" 200 'true' '.' -X DELETE "$KOS/_sim/faults"
    step "The same request now goes through" 200 '.data.processStatus == "COMPLETED"' \
        '.data | {requestId, processStatus, resultMessage}' \
        "$GATEWAY/product/request" -H "$BEARER" -H "$JSON" -d "$(change_body "$CURRENT" "$target")"
}
