# What each party has of a change: for ./dev demo.

# where_is REQUEST-ID orders=N applied=N event=WORD|- row='STATUS CODE'|-: waits until it is so, at most 15 s, and shows it.
where_is() {
    local id=$1 start orders applied event row word orders_now applied_now events_now row_now shown
    for word in "${@:2}"; do local "${word%%=*}=${word#*=}"; done
    start=$(now_ms)
    [[ -n $id ]] || {
        wrong "there is no change to look for"
        return 0
    }
    while :; do
        shown=$(curl -s -m 5 "$KOS/_sim/orders?requestId=$id" || true)
        orders_now=$(jq -r '.orders | length' <<<"$shown" 2>/dev/null) applied_now=$(jq -r '[.orders[] | select(.applied)] | length' <<<"$shown" 2>/dev/null)
        events_now=$(curl -s -m 5 "$MVNO/_sim/events?requestId=$id" | jq -c '[.events[].body]' 2>/dev/null || true)
        row_now=$(demo_sql "SELECT status, result_code FROM product_change.product_change_history WHERE request_id = '$id'")
        [[ $orders_now == "$orders" && $applied_now == "$applied" && ${row_now:--} == "$row" ]] && events_are "$event" && break
        if (($(now_ms) - start > 15000)); then
            wrong "after 15 s not $*: KOS $orders_now order(s), $applied_now applied; MVNO AP ${events_now:-no answer}; history ${row_now:--}"
            break
        fi
        sleep 0.1
    done
    printf '  %-9s %s\n' KOS "$(jq -r 'if (.orders | length) == 0 then "no order" else [.orders[] | "order \(.previous) -> \(.new): \(if .applied then "took effect, \(.kosOrderNumber // "no number")" else "refused, \(.resultCode)" end)"] | join("; ") end' <<<"$shown" 2>/dev/null)"
    printf '  %-9s %s\n' 'MVNO AP' "$(jq -r 'if length == 0 then "not told" else [.[] | "\(.eventType) \(.processResult) \"\(.message)\""] | join("; ") end' <<<"${events_now:-[]}")"
    printf '  %-9s %s\n' history "${row_now:-no row}"
    breakers_line
}

events_are() { # WORD|-
    if [[ $1 == - ]]; then
        [[ $events_now == '[]' ]]
    else
        jq -e --arg word "$1" 'length == 1 and .[0].processResult == $word' <<<"${events_now:-[]}" >/dev/null
    fi
}

demo_sql() { psql_as pcs_owner "$DB_OWNER_PASSWORD" -d "$DB_DATABASE" -At -F ' ' -c "$1" 2>&1; }

kos_received() { curl -s -m 5 "$KOS/_sim/stats" | jq '.inquiry.received + .list.received + .change.received'; }

# before … nothing_happened: no order reached KOS, MVNO AP heard nothing, the history has no new row.
before() { BEFORE=$(counts); }
counts() {
    printf '%s %s %s' "$(curl -s -m 5 "$KOS/_sim/stats" | jq .change.received)" "$(curl -s -m 5 "$MVNO/_sim/stats" | jq .results.events)" \
        "$(demo_sql 'SELECT count(*) FROM product_change.product_change_history')"
}
nothing_happened() {
    local now
    now=$(counts)
    [[ $now == "$BEFORE" ]] || wrong "orders, events, rows were $BEFORE and are $now"
    printf '  %-9s %s\n' KOS 'no order' 'MVNO AP' 'not told' history 'no row'
}
# An outage is recorded and told; that nothing was ordered is all that matters.
nothing_ordered() {
    local now
    now=$(counts)
    [[ ${now%% *} == "${BEFORE%% *}" ]] || wrong "KOS got an order"
    printf '  %-9s %s\n' KOS 'no order'
    breakers_line
}

# Each instance has an admin API of its own, on a socket in its slot of the journal.
admin() { # SOCKET PATH [curl arguments]
    curl -s -m 5 --unix-socket "$1" "http://localhost/admin/$2" "${@:3}"
}
admin_sockets() {
    local socket
    for socket in "$STATE"/journal/*/admin.sock; do
        [[ ! -S $socket ]] || ! admin "$socket" status >/dev/null || echo "$socket"
    done
}

breakers_line() {
    local socket line
    for socket in $(admin_sockets); do
        line=$(admin "$socket" breakers | jq -r '[.data.breakers[] | "\(.name) \(.state)"] | join(", ")')
        printf '  %-9s %s\n' breakers "$line"
    done
}
breaker_is() { # NAME STATE: of some instance
    local socket
    for socket in $(admin_sockets); do
        ! admin "$socket" breakers | jq -e --arg n "$1" --arg s "$2" 'any(.data.breakers[]; .name == $n and .state == $s)' >/dev/null || return 0
    done
    return 1
}
breakers_reset() {
    local socket name
    for socket in $(admin_sockets); do
        for name in kos.inquiry kos.list kos.change; do
            admin "$socket" "breakers/$name" -o /dev/null -X PUT -H "$JSON" -d '{"action":"reset","actor":"demo","reason":"between two scenes"}' || true
        done
    done
}

settle_now() { # REQUEST-ID
    local socket
    for socket in $(admin_sockets); do
        admin "$socket" "changes/$1/check" -o /dev/null -X POST || true
    done
}

events_waiting() { # AT LEAST
    local socket waiting=0
    for socket in $(admin_sockets); do waiting=$((waiting + $(admin "$socket" status | jq .data.backlog.mvno.events))); done
    printf '\n%sWaiting in the journal for MVNO AP%s\n  %s events\n' "$BOLD" "$PLAIN" "$waiting"
    ((waiting >= $1)) || wrong "fewer than $1 events wait"
}
