# ./dev demo: what an operator wants to see once, against the running stack, with what each party has of it afterwards.
# Uses the customers of tests/sim/data; faults are switched in the simulators, MVNO AP is really stopped, and for the
# last scene the service runs with OUTAGE_MODE=hold. However it ends, everything is put back. Steps and judging:
# dev.d/journey.sh; where things are looked up: dev.d/demo_where.sh.

demo_command() {
    local start wrong
    (($# == 0)) || die "demo takes no arguments"
    stack_attach
    demo_running
    start=$(now_ms)
    exec 9>"$STATE/lock"
    flock -n 9 || die "another ./dev up, down or demo is at work in $STATE"
    trap demo_end EXIT
    trap 'exit 130' INT TERM
    demo_mend
    say "Eight scenes, about a minute and a half. After each: what the customer was told, and what KOS, MVNO AP, the"
    say "history and the circuit breakers have of it."
    scene_success
    scene_refusals
    scene_kos_hangs
    scene_order_unanswered
    scene_doubt
    scene_outage
    scene_mvno
    scene_hold
    wrong=$JOURNEY_WRONG
    say
    if ((wrong == 0)); then
        good "everything as it should be, $(seconds_since "$start") s"
    else
        fail "$wrong thing(s) not as they should be, marked WRONG above; $(seconds_since "$start") s; logs: ./dev logs"
    fi
    return "$((wrong > 0))"
}

demo_running() {
    local name
    stack_running redis postgres kos-sim mvno-sim auth-sim service gateway
    mapfile -t DEMO_INSTANCES < <(for name in $(stack_names); do [[ $name != service* ]] || ! process_pid "$name" >/dev/null || echo "$name"; done)
}

# No faults, nobody held, breakers closed and their back-off forgotten.
demo_mend() {
    local sim
    for sim in "$KOS" "$MVNO" "$AUTH"; do
        curl -s -m 5 -o /dev/null -X DELETE "$sim/_sim/faults" || true
        curl -s -m 5 -o /dev/null -X POST "$sim/_sim/faults/release" -d '{"all":true}' || true
    done
    breakers_reset
}

demo_end() {
    local status=$?
    trap - EXIT
    demo_mend
    process_pid mvno-sim >/dev/null || start_simulators mvno-sim
    [[ -z ${DEMO_CHANGED:-} ]] || demo_restart ''
    exit "$status"
}

# demo_restart WORDS: every instance again, as it ran when the demo began, with these settings on top.
demo_restart() {
    local name port pid settings=() n
    for n in "${!DEMO_INSTANCES[@]}"; do
        name=${DEMO_INSTANCES[n]}
        local -n kept=DEMO_ENVIRONMENT_$n
        if [[ -z ${DEMO_CHANGED:-} ]]; then
            pid=$(process_pid "$name") || die "$name does not run"
            mapfile -d '' -t "DEMO_ENVIRONMENT_$n" <"/proc/$pid/environ"
        fi
        settings=("${kept[@]}")
        # shellcheck disable=SC2206
        [[ -z $1 ]] || settings+=($1)
        port=$(process_port "$name")
        process_stop "$name" TERM 20
        process_start "$name" "$port" env -i "${settings[@]}" build/product-change-service --config config/product-change-service.yaml
        unset -n kept
    done
    DEMO_CHANGED=1
    for name in "${DEMO_INSTANCES[@]}"; do wait_for "$name" 15 service_ready "$(process_port "$name")"; done
    [[ -n $1 ]] || DEMO_CHANGED=''
}

scene() {
    DEMO_SCENE=$((${DEMO_SCENE:-0} + 1))
    say
    title "$DEMO_SCENE. $1"
    shift
    (($# == 0)) || printf '%s\n' "$@"
}

# demo_customer USER: logged in; CURRENT is the product, TARGET one that it may become. The screen may be the cached one.
demo_customer() {
    log_in "$1"
    ANSWER=$(curl -s -m 10 "$GATEWAY/product/change" -H "$BEARER")
    CURRENT=$(jq -r '.data.currentProduct.productCode // empty' <<<"$ANSWER")
    TARGET=$(jq -r '.data.products[0].productCode // empty' <<<"$ANSWER")
    [[ -n $CURRENT && -n $TARGET ]] || wrong "the change screen shows nothing to change to: ${ANSWER:0:300}"
}

# demo_change TITLE STATUS TEST SHOWN [curl arguments]: asks for TARGET in place of CURRENT; leaves ID.
demo_change() {
    step "$1" "$2" "$3" "$4" "$GATEWAY/product/request" -H "$BEARER" -H "$JSON" "${@:5}" -d "$(change_body "$CURRENT" "$TARGET")"
    ID=$(jq -r '.data.requestId // .error.requestId // empty' <<<"$ANSWER")
}

fault() { # URL JSON WORDS
    local answer
    printf '\n%s%s%s\n  %s$ curl -s -X POST %s/_sim/faults -d '\''%s'\''%s\n' "$BOLD" "$3" "$PLAIN" "$DIM" "$1" "$2" "$PLAIN"
    answer=$(curl -s -m 5 -X POST "$1/_sim/faults" -d "$2")
    FAULT=$(jq -r .id <<<"$answer")
    [[ $FAULT =~ ^[0-9]+$ ]] || wrong "the simulator did not take it: $answer"
}

faults_over() { # URL WORDS
    printf '\n%s%s%s\n  %s$ curl -s -X DELETE %s/_sim/faults%s\n' "$BOLD" "$2" "$PLAIN" "$DIM" "$1" "$PLAIN"
    curl -s -m 5 -o /dev/null -X DELETE "$1/_sim/faults" || wrong "the simulator does not answer"
}

RESULT='.data | {processStatus, resultCode, resultMessage, requestId}'
REFUSAL='.error | {code, message, details, requestId} | with_entries(select(.value))'

# ---- the scenes ----

scene_success() {
    scene "a change that succeeds" "Checked afresh, intent on disk, ordered, outcome on disk, answered; then everybody is told."
    demo_customer user01
    local key
    key=demo-$(now_ms)
    demo_change "$CURRENT becomes $TARGET (UFR-PROD-040)" 200 '.data.processStatus == "COMPLETED"' "$RESULT" -H "Idempotency-Key: \"$key\""
    where_is "$ID" orders=1 applied=1 event=정상 row='COMPLETED 0000'
    local first=$ID
    step "Sent again with the same Idempotency-Key: the same change, not another one" 200 ".data.requestId == \"$ID\"" "$RESULT" \
        "$GATEWAY/product/request" -H "$BEARER" -H "$JSON" -H "Idempotency-Key: \"$key\"" -d "$(change_body "$CURRENT" "$TARGET")"
    step "The same key with something else in it" 422 '.error.code == "IDEMPOTENCY_KEY_REUSED"' "$REFUSAL" \
        "$GATEWAY/product/request" -H "$BEARER" -H "$JSON" -H "Idempotency-Key: \"$key\"" -d "$(change_body "$TARGET" "$CURRENT")"
    where_is "$first" orders=1 applied=1 event=정상 row='COMPLETED 0000'
    before
    demo_change "The same again without a key: the line has another plan by now" 409 '.error.code == "CURRENT_PRODUCT_MISMATCH"' "$REFUSAL"
    nothing_happened
}

# refused USER TITLE STATUS CODE CURRENT TARGET [curl arguments]: nothing is ordered, nobody is told.
refused() {
    local test=".error.code == \"$4\""
    [[ $1 == "${DEMO_USER:-}" ]] || log_in "$1" "$([[ $1 == admin ]] && echo 'admin1234!' || true)"
    DEMO_USER=$1 CURRENT=${5:-$CURRENT} TARGET=$6
    before
    demo_change "$2" "$3" "$test" "$REFUSAL" "${@:7}"
    if [[ $4 == VALIDATION_FAILED ]]; then
        where_is "$ID" orders=0 applied=0 event=- row='FAILED VALIDATION_FAILED'
    else
        nothing_happened
    fi
}

scene_refusals() {
    scene "everything that is refused" "Each before anything is ordered, but for the last one."
    DEMO_USER=''
    TOKEN='' BEARER='Authorization: Bearer nonsense' LINE=01012345678 CURRENT=LTE_PLUS TARGET=LTE_BASIC
    before
    demo_change "No valid token (UFR-AUTH-020)" 401 '.error.code == "UNAUTHORIZED"' "$REFUSAL"
    nothing_happened
    refused noperm "Not allowed to change plans: the gateway's check says so" 403 FORBIDDEN LTE_BASIC LTE_PLUS
    log_in user02
    DEMO_USER=user02 LINE=01012345678
    refused user02 "Somebody else's line" 403 FORBIDDEN LTE_BASIC LTE_PLUS
    refused stranger "A line that KOS does not know" 404 LINE_NOT_FOUND LTE_BASIC LTE_PLUS
    refused user03 "The line is suspended (UFR-PROD-030)" 409 VALIDATION_FAILED LTE_PLUS LTE_BASIC
    demo_customer user06
    DEMO_USER=user06
    refused user06 "The plan is no longer sold" 409 VALIDATION_FAILED '' LTE_LEGACY
    demo_customer user01
    DEMO_USER=user01
    refused user01 "The plan is another operator's" 409 VALIDATION_FAILED '' OTHER_5G
    refused user01 "It is the plan the line has" 409 SAME_PRODUCT '' "$CURRENT"
    refused user01 "The line has another plan than the request says" 409 CURRENT_PRODUCT_MISMATCH KIDS_SAFE SENIOR_OPEN
    refused user01 "What was sent makes no sense" 400 INVALID_REQUEST 'no such code!' LTE_PLUS
    demo_customer user09
    demo_change "KOS itself refuses the order (2099): its reason, and what to do next" 409 \
        '.error.code == "CHANGE_DENIED" and .error.resultCode == "2099"' "$REFUSAL"
    where_is "$ID" orders=1 applied=0 event=실패 row='FAILED 2099'
}

scene_kos_hangs() {
    scene "KOS hangs" "Nobody waits longer than the deadline, and what was not ordered is called so."
    demo_customer user02
    fault "$KOS" '{"operation":"inquiry","kind":"hang"}' "KOS takes inquiries and says nothing"
    before
    demo_change "A change: three seconds, then the truth (nothing was ordered)" 503 \
        '.error.code == "KOS_UNAVAILABLE" and .error.retryAfterSeconds > 0' "$REFUSAL"
    nothing_ordered
    step "The menu comes all the same, from the cache" 200 '.data.currentProduct' '.data.currentProduct.productCode' \
        "$GATEWAY/product/menu" -H "$BEARER"
    faults_over "$KOS" "KOS answers again"
    breakers_reset
}

scene_order_unanswered() {
    scene "KOS carries an order out, and says nothing" "No second order: KOS is asked for the line's product, and the customer hears what is true."
    demo_customer user02
    fault "$KOS" '{"operation":"change","kind":"applied_no_answer","count":1}' "KOS applies the next order without an answer"
    demo_change "The same request, five seconds later: settled by asking" 200 '.data.processStatus == "COMPLETED"' "$RESULT"
    where_is "$ID" orders=1 applied=1 event=정상 row='COMPLETED 0000'
    faults_over "$KOS" "KOS answers again"
}

scene_doubt() {
    scene "a doubt, and how it settles" "The order is stuck at KOS: it may take effect or not. The customer is told exactly that."
    demo_customer user10
    fault "$KOS" '{"operation":"change","kind":"gate","phase":"before","count":1}' "KOS keeps the next order"
    demo_change "Nine seconds later: 202, in doubt, do not ask again" 202 '.data.inDoubt and .data.processStatus == "PROCESSING"' \
        '.data | {processStatus, inDoubt, resultMessage, nextCheckAt, requestId}'
    where_is "$ID" orders=0 applied=0 event=- row=-
    local doubt=$ID
    demo_change "Asked again all the same: the line is closed until it is known" 409 '.error.code == "CHANGE_IN_PROGRESS"' "$REFUSAL"
    ID=$doubt
    printf '\n%sKOS now carries the order out%s\n  %s$ curl -s -X POST %s/_sim/faults/release -d '\''{"all":true}'\''%s\n' "$BOLD" "$PLAIN" "$DIM" "$KOS" "$PLAIN"
    curl -s -o /dev/null -X POST "$KOS/_sim/faults/release" -d '{"all":true}'
    printf '\n%sThe operator need not wait for the next inquiry%s\n  %s$ JOURNAL_PATH=%s build/product-change-service settle %s --check%s\n' \
        "$BOLD" "$PLAIN" "$DIM" "$STATE/journal" "$ID" "$PLAIN"
    settle_now "$ID"
    step "The customer looks at it, and waits at the most ten seconds" 200 '.data.processStatus == "COMPLETED" and (.data.inDoubt | not)' "$RESULT" \
        "$GATEWAY/product/request/$ID?wait=10" -H "$BEARER"
    where_is "$ID" orders=1 applied=1 event=정상 row='COMPLETED 0000'
    faults_over "$KOS" "KOS is in order"
}

scene_outage() {
    local n before_calls after_calls start
    scene "KOS is out, and comes back" "The breaker opens; from then on KOS is left alone and every customer is answered at once."
    demo_customer user13
    demo_customer user12
    fault "$KOS" '{"kind":"http_status","status":500}' "KOS answers nothing but errors"
    progress "customers keep trying, until the breaker has seen enough"
    for n in {1..19}; do
        ask_kos >/dev/null
        ! breaker_is kos.inquiry OPEN || break
    done
    breaker_is kos.inquiry OPEN || wrong "the breaker is not open after $n failures"
    breakers_line
    demo_customer user13
    # With several instances this line's may be another one, which has to see for itself.
    for n in {1..15}; do
        before_calls=$(kos_received)
        ask_kos >/dev/null
        [[ $(kos_received) != "$before_calls" ]] || break
    done
    before_calls=$(kos_received)
    demo_change "Another customer: refused at once, when to come back" 503 \
        '.error.code == "KOS_UNAVAILABLE" and .error.message == "시스템 일시 장애, 잠시 후 재시도" and .error.retryAfterSeconds > 0' \
        '.error | {code, message, retryAfterSeconds}'
    after_calls=$(kos_received)
    [[ $before_calls == "$after_calls" ]] || wrong "KOS was called $((after_calls - before_calls)) times"
    printf '  %-9s %s\n' KOS "left alone: no call"
    eventually 10 "MVNO AP has been told of the outage, once for this line" \
        '[.events[] | select(.body.processResult == "장애")] | length >= 1 and .[-1].body.message == "시스템 일시 장애, 잠시 후 재시도"' \
        "$MVNO/_sim/events?lineNumber=$LINE" '.events[-1].body | {eventType, processResult, message}'
    step "The menu still comes, from the cache" 200 '.data.currentProduct' '.data.currentProduct.productCode' "$GATEWAY/product/menu" -H "$BEARER"
    faults_over "$KOS" "KOS is back"
    progress "waiting for the breaker to try (ten seconds after it opened)"
    start=$(now_ms)
    until [[ $(ask_kos) == 409 ]]; do
        (($(now_ms) - start < 70000)) || { wrong "it does not try again"; break; }
        sleep 0.4
    done
    demo_change "The same customer, $(seconds_since "$start") s later: done" 200 '.data.processStatus == "COMPLETED"' "$RESULT"
    where_is "$ID" orders=1 applied=1 event=정상 row='COMPLETED 0000'
    for n in {1..5}; do
        ! breaker_is kos.inquiry CLOSED || break
        ask_kos >/dev/null
    done
    breaker_is kos.inquiry CLOSED || wrong "the breaker has not closed"
    breakers_line
}

# A request that has KOS asked for the line and orders nothing, since the line has another product than it says: 409, or
# 503 while KOS is out.
ask_kos() {
    curl -s -m 10 -o /dev/null -w '%{http_code}' "$GATEWAY/product/request" -H "$BEARER" -H "$JSON" -d "$(change_body KIDS_SAFE SENIOR_OPEN)"
}

scene_mvno() {
    local first
    scene "MVNO AP is out for a while" "Customers notice nothing; what it has to be told waits in the journal, in order, and arrives."
    demo_customer user08
    process_stop mvno-sim TERM 20
    demo_change "A change: done as ever" 200 '.data.processStatus == "COMPLETED"' "$RESULT"
    first=$ID
    local kept=$TARGET
    demo_customer user08
    [[ $CURRENT == "$kept" ]] || wrong "the line shows $CURRENT, not $kept"
    demo_change "And another one of the same line" 200 '.data.processStatus == "COMPLETED"' "$RESULT"
    events_waiting 2
    start_simulators mvno-sim
    where_is "$first" orders=1 applied=1 event=정상 row='COMPLETED 0000'
    where_is "$ID" orders=1 applied=1 event=정상 row='COMPLETED 0000'
    eventually 5 "In the order of the changes" ".events | map(.body.requestId) | index(\"$first\") < index(\"$ID\")" \
        "$MVNO/_sim/events?lineNumber=$LINE" '[.events[-2:][].body | "\(.currentProductCode) -> \(.targetProductCode)"]'
}

scene_hold() {
    local cancelled
    scene "with OUTAGE_MODE=hold: accepted while KOS is out, and cancelled" "For this scene the service is started again with that setting."
    demo_restart 'OUTAGE_MODE=hold KOS_BREAKER_WAIT=2s'
    demo_customer user12
    demo_customer user13
    fault "$KOS" '{"kind":"http_status","status":500}' "KOS answers nothing but errors"
    demo_change "Asked for with Prefer: respond-async: 202, held, until when" 202 '.data.processStatus == "PENDING" and .data.cancellable and .data.expiresAt' \
        '.data | {processStatus, cancellable, expiresAt, resultMessage, requestId}' -H 'Prefer: respond-async'
    cancelled=$ID
    step "The customer changes her mind" 200 '.data.processStatus == "FAILED" and .data.resultCode == "CANCELLED"' "$RESULT" \
        -X DELETE "$GATEWAY/product/request/$ID" -H "$BEARER"
    demo_customer user12
    demo_change "Another customer is held, and waits" 202 '.data.processStatus == "PENDING"' "$RESULT" -H 'Prefer: respond-async'
    faults_over "$KOS" "KOS is back: what was held is looked at again, and sent"
    step "The one who waited" 200 '.data.processStatus == "COMPLETED"' "$RESULT" "$GATEWAY/product/request/$ID?wait=25" -H "$BEARER"
    where_is "$ID" orders=1 applied=1 event=정상 row='COMPLETED 0000'
    printf '\n%sThe cancelled one was never sent%s\n' "$BOLD" "$PLAIN"
    where_is "$cancelled" orders=0 applied=0 event=실패 row='FAILED CANCELLED'
    progress "the service goes back to how it was"
    demo_restart ''
}
