# For docker/test.sh: the steps, one after the other.

container() { compose ps -q "$1" | sed -n "${2:-1}p"; } # SERVICE [NUMBER]
address_of() { # CONTAINER NETWORK
    docker inspect -f "{{(index .NetworkSettings.Networks \"${COMPOSE_PROJECT_NAME}_$2\").IPAddress}}" "$1"
}
state_of() { docker inspect -f "{{.State.$2}}" "$1"; }
instances() { compose ps -q product-change-service; }
inside() { docker exec "$1" "${@:2}"; } # CONTAINER COMMAND…

# In place of the one that speaks to the stack of ./dev up.
psql_as() {
    docker exec -e PGPASSWORD="$(cat docker/secrets/db_owner_password)" "$(container postgres)" \
        psql -X -q -h 127.0.0.1 -U pcs_owner -v ON_ERROR_STOP=1 "${@:3}"
}
sql() { psql_as - - -d product_change -Atc "$1"; }
addresses_known() {
    KOS=http://$(address_of "$(container kos-sim)" back):18080
    MVNO=http://$(address_of "$(container mvno-sim)" back):18081
    DB_DATABASE=product_change DB_OWNER_PASSWORD=''
}
healthy() { same "$(state_of "$1" Health.Status)" healthy; }
gateway_answers() { curl -sf -m 2 -o /dev/null "$GATEWAY/healthz"; }
# The gateway knows COUNT instances.
gateway_knows() { same "$(inside "$(container gateway)" grep -oE 'server [0-9.]+:8083' /run/gateway/nginx.conf | sort -u | wc -l)" "$1"; }

step_up() {
    local start name
    start=$(now_ms)
    check "configuration, with every profile" compose --profile observability config -q
    quietly "$TMP/up.log" compose up -d
    check "the gateway is healthy" until_true 60 healthy "$(container gateway)"
    progress "up in $(seconds_since "$start") s"
    addresses_known
    check "order: database made and migrated before the service began" started_in_order database migrate product-change-service
    check "order: the service was healthy before the gateway began" started_in_order product-change-service gateway
    for name in gateway product-change-service auth-sim kos-sim mvno-sim redis postgres; do
        check "$name: read-only, no rights, not root" hardened "$(container "$name")"
    done
    check "the service is process 1" same "$(inside "$(container product-change-service)" cat /proc/1/comm)" product-change-
    check "the service's root cannot be written" fails inside "$(container product-change-service)" touch /usr/local/bin/x
    check "no secret in an environment" nothing secrets_in_environments
    check "one port, and on this machine only" same "$(published)" "127.0.0.1:$PCS_GATEWAY_PORT"
    check "the web page" grep -q '<!doctype html>' <(curl -sf "$GATEWAY/")
    check "the API's description" jq -e .openapi <(curl -sf "$GATEWAY/openapi.json")
    check "metrics are not for outside" same "$(curl -s -o /dev/null -w '%{http_code}' "$GATEWAY/product/metrics")" 404
}
started_in_order() { # NAMES…: a one-shot has ended, a lasting one been started, before the next began
    local before='' name at
    for name in "$@"; do
        at=$(date -d "$(state_of "$(compose ps -aq "$name" 2>/dev/null || container "$name")" StartedAt)" +%s%N)
        [[ -z $before ]] || ((at > before)) || { echo "$name began before the one ahead of it"; return 1; }
        before=$at
    done
}
hardened() {
    same "$(docker inspect -f '{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}}' "$1")" 'true [ALL] [no-new-privileges:true]' &&
        fails same "$(inside "$1" sh -c 'sed -n "s/^Uid:.//p" /proc/1/status' | cut -f 1)" 0 &&
        same "$(inside "$1" sed -n 's/^CapEff:.//p' /proc/1/status)" 0000000000000000
}
secrets_in_environments() {
    local id secret
    for id in $(compose ps -q); do
        for secret in docker/secrets/*; do
            ! docker inspect "$id" | grep -qF "$(cat "$secret")" || echo "${secret##*/} is in the description of $id"
        done
    done
}
published() { docker ps -q --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME" | xargs docker inspect \
    -f '{{range .NetworkSettings.Ports}}{{range .}}{{.HostIp}}:{{.HostPort}} {{end}}{{end}}' | xargs; }

step_journey() {
    local wrong=0
    journeys >"$TMP/journey.log" || wrong=$?
    ((wrong == 0)) || grep -B 4 -A 2 'WRONG' "$TMP/journey.log"
    check "the three journeys of ./dev up" same "$wrong" 0
}

step_scale() {
    local one two
    quietly "$TMP/scale.log" compose up -d --no-recreate --scale product-change-service=2
    one=$(container product-change-service 1) two=$(container product-change-service 2)
    check "both are healthy" until_true 60 healthy "$two"
    check "the gateway found both by itself" until_true 20 gateway_knows 2
    check "each has a journal slot of its own" same "$(slots_of "$one" "$two")" '0 1'
    tokens 40 0 >"$TMP/tokens"
    served_by_line "$TMP/tokens" >"$TMP/first"
    served_by_line "$TMP/tokens" >"$TMP/second"
    check "a line's requests always go to the same instance" cmp "$TMP/first" "$TMP/second"
    check "both serve" same "$(sort -u "$TMP/first" | wc -l)" 2
}
same_slots() { same "$(slots_of "$@")" '0 1'; }
slots_of() { for id in "$@"; do docker logs "$id" 2>&1 | jq -R 'fromjson? | select(.event == "start.ready").slot' | tail -n 1; done | sort | xargs; }
tokens() { # COUNT FROM
    inside "$(container auth-sim)" sims-entrypoint auth-sim mint --count "$(($1 + $2))" | tail -n "$1"
}
# One request each, by turns; which instance took it is in the gateway's log.
served_by_line() {
    local token id n=0
    while read -r token; do
        id=test-$$-$RANDOM-$((n++))
        curl -s -o /dev/null -m 10 "$GATEWAY/product/menu" -H "Authorization: Bearer $token" -H "X-Request-ID: $id"
        echo "$id"
    done <"$1" >"$TMP/ids"
    sleep 0.2
    docker logs "$(container gateway)" 2>/dev/null | grep -F '"upstream"' |
        jq -Rr --rawfile ids "$TMP/ids" 'fromjson? | select(.requestId as $i | $ids | contains($i + "\n")) | .upstream'
}

# Customers change their plans while one instance is killed as by a crash (the engine starts it again), and then the
# other is taken away altogether for a while. Judged by the records of KOS, PostgreSQL and MVNO AP.
step_kill() {
    local one two load start
    one=$(container product-change-service 1) two=$(container product-change-service 2)
    tokens 8000 1000 >"$TMP/tokens"
    curl -sf -o /dev/null -X POST "$KOS/_sim/faults" -d '{"operation":"change","kind":"delay","delayMs":30,"jitterMs":60}'
    start=$(now_ms)
    python3 docker/load.py "$GATEWAY" 25 <"$TMP/tokens" >"$TMP/records" 2>"$TMP/load.err" &
    load=$!
    until_true 20 at_least 100 "$TMP/records"
    progress "the first instance is killed ($(wc -l <"$TMP/records") changes so far)"
    kill -KILL "$(state_of "$one" Pid)"
    check "the engine starts it again, with a journal slot" until_true 30 started_again "$one"
    check "it is healthy" until_true 30 healthy "$one"
    check "and each has its own slot again" until_true 10 same_slots "$one" "$two"
    progress "the second one is killed and stays away ($(wc -l <"$TMP/records") changes so far)"
    docker kill -s KILL "$two" >/dev/null
    check "the gateway leaves it out" until_true 20 gateway_knows 1
    sleep 3
    docker start "$two" >/dev/null
    check "it is back and healthy" until_true 40 healthy "$two"
    check "the gateway takes it in again" until_true 20 gateway_knows 2
    progress "waiting for the load to end"
    wait "$load" || true
    curl -sf -o /dev/null -X DELETE "$KOS/_sim/faults"
    check "every customer came to an end" nothing cat "$TMP/load.err"
    check "nothing is open, in doubt or waiting any more" until_true 60 all_quiet
    progress "$(wc -l <"$TMP/records") customers in $(seconds_since "$start") s; what they met: $(jq -s 'map(.met | to_entries) | add | group_by(.key) | map("\(.[0].key) \(map(.value) | add)") | join(", ")' "$TMP/records")"
    progress "what they were told at the end: $(jq -r .told "$TMP/records" | sort | uniq -c | xargs)"
    records_read
    check "the load was worth it: some met the outage" met_the_outage
    check "nothing is lost: what was told COMPLETED is in the history, and applied" nothing told_but_lost
    check "nothing is ordered twice: no line has two orders that took effect" nothing ordered_twice
    check "KOS says the same: appliedTwice 0" same "$(curl -sf "$KOS/_sim/stats" | jq .change.appliedTwice)" 0
    check "every order that took effect is a completed change of the history, and the other way round" same "$(jq -cS . "$TMP/applied.ids")" "$(jq -cS . "$TMP/completed.ids")"
    check "everybody was told the truth" nothing untruths
    check "MVNO AP heard of every change once" same "$(jq -cS . "$TMP/events.ids")" "$(jq -cS . "$TMP/ended.ids")"
    check "no event was ever contradicted" jq -e '.results | .changedBodies == 0 and .severalPerRequest == 0' <(curl -sf "$MVNO/_sim/stats")
}
at_least() { (($(wc -l <"$2") >= $1)); }
started_again() { [[ $(state_of "$1" Running) == true ]] && (($(docker inspect -f '{{.RestartCount}}' "$1") > 0)); }
# The slots are on one volume, so any container of the service can ask the owner of each.
all_quiet() {
    local slot asker
    asker=$(container product-change-service)
    for slot in 0 1; do
        inside "$asker" product-change-service status --json --slot "$slot" |
            jq -e '.journal.open == 0 and .journal.claims == 0 and .backlog.postgresql.rows == 0 and .backlog.mvno.events == 0' || return 1
    done
}
# Of the load's lines only: the journeys have changes of their own.
records_read() {
    jq -r .line "$TMP/records" | jq -Rs 'split("\n") | map(select(. != "")) | map({(.): true}) | add' >"$TMP/lines"
    curl -sf "$KOS/_sim/orders?applied=true&limit=100000" | jq -c --slurpfile l "$TMP/lines" '[.orders[] | select($l[0][.lineNumber])]' >"$TMP/applied"
    sql "SELECT coalesce(json_agg(json_build_object('id', request_id, 'line', line_number, 'status', status, 'code', result_code)), '[]') FROM product_change.product_change_history" |
        jq -c --slurpfile l "$TMP/lines" '[.[] | select($l[0][.line])]' >"$TMP/rows"
    curl -sf "$MVNO/_sim/events?limit=100000" | jq -c --slurpfile l "$TMP/lines" '[.events[].body | select($l[0][.lineNumber])]' >"$TMP/events"
    jq -c '[.[].requestId] | sort' "$TMP/applied" >"$TMP/applied.ids"
    jq -c '[.[] | select(.status == "COMPLETED").id] | sort' "$TMP/rows" >"$TMP/completed.ids"
    # VALIDATION_FAILED has no event
    jq -c '[.[] | select(.code != "VALIDATION_FAILED").id] | sort' "$TMP/rows" >"$TMP/ended.ids"
    jq -c '[.[].requestId] | sort' "$TMP/events" >"$TMP/events.ids"
}
met_the_outage() { jq -se '[.[] | .met | to_entries[] | select(.key | test("^(50[234]|[A-Z])"))] | length > 0' "$TMP/records"; }
told_but_lost() { jq -r --slurpfile done "$TMP/completed.ids" --slurpfile applied "$TMP/applied.ids" \
    'select(.told == "COMPLETED 0000") | .requestId | select(IN($done[0][]) and IN($applied[0][]) | not)' "$TMP/records"; }
ordered_twice() { jq -r 'group_by(.lineNumber)[] | select(length > 1) | "\(.[0].lineNumber): \(length) orders"' "$TMP/applied"; }
# A line that has the target now was not told FAILED; who heard of another product has had the change done.
untruths() {
    jq -r --slurpfile applied "$TMP/applied" --slurpfile rows "$TMP/rows" '
        ([$applied[0][] | {(.lineNumber): true}] | add // {}) as $changed
        | if .told == "COMPLETED 0000" then empty
          elif .told == "SAME_PRODUCT" or .told == "CURRENT_PRODUCT_MISMATCH" then select($changed[.line] | not)
          elif (.told // "" | startswith("FAILED")) then select(.requestId as $id | any($applied[0][]; .requestId == $id))
          else . end | "\(.line) was told \(.told)"' "$TMP/records"
}

step_observability() {
    if [[ -n $OFFICIAL ]]; then
        quietly "$TMP/observability.log" compose --profile observability up -d --no-recreate --scale product-change-service=2
        check "Grafana answers" until_true 60 curl -sf "http://127.0.0.1:${PCS_GRAFANA_PORT:-3001}/api/health"
    else
        progress "Debian has no Grafana: Prometheus alone"
        quietly "$TMP/observability.log" compose --profile observability up -d --no-recreate --scale product-change-service=2 prometheus
    fi
    check "Prometheus reads both instances" until_true 60 scraped 2
    check "and is healthy" until_true 60 healthy "$(container prometheus)"
    check "and knows their numbers" jq -e '.data.result | length == 2 and all(.[]; .value[1] == "1")' \
        <(curl -sf "http://127.0.0.1:$PCS_PROMETHEUS_PORT/api/v1/query?query=pcs_journal_writable")
    check "its rules were read without an error" same "$(curl -sf "http://127.0.0.1:$PCS_PROMETHEUS_PORT/api/v1/rules" | jq '[.data.groups[].rules[] | select(.health == "err")] | length')" 0
}
scraped() { jq -e --argjson n "$1" '[.data.activeTargets[] | select(.health == "up")] | length == $n' \
    <(curl -sf "http://127.0.0.1:$PCS_PROMETHEUS_PORT/api/v1/targets"); }

step_restart() {
    local rows
    rows=$(sql 'SELECT count(*) FROM product_change.product_change_history')
    quietly "$TMP/restart.log" compose restart -t 40
    check "healthy again" until_true 60 healthy "$(container gateway)"
    check "both instances" until_true 60 all_healthy
    check "the history is all there" same "$(sql 'SELECT count(*) FROM product_change.product_change_history')" "$rows"
    check "the hash chain holds" inside "$(container product-change-service)" product-change-service verify-history
    addresses_known
    check "the gateway follows" until_true 20 gateway_knows 2
    step_journey
}
all_healthy() { local id; for id in $(instances); do healthy "$id" || return 1; done; }

step_down() {
    local id start names
    start=$(now_ms)
    names=$(compose ps -q)
    compose logs --no-color >"$TMP/containers.log" 2>&1
    quietly "$TMP/stop.log" compose --profile observability stop -t 40
    for id in $(instances); do
        check "an instance ended in order" same "$(state_of "$id" ExitCode) $(state_of "$id" OOMKilled)" '0 false'
        check "and said so" grep -q '"event":"shutdown.done"' <(docker logs "$id" 2>&1)
    done
    for id in gateway auth-sim kos-sim mvno-sim redis postgres; do
        check "$id ended in order" same "$(state_of "$(container_any "$id")" ExitCode)" 0
    done
    progress "stopped in $(seconds_since "$start") s; last to end: $(last_to_end)"
    quietly "$TMP/down.log" compose --profile observability down -v --remove-orphans
    check "no container is left" nothing docker ps -aq --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME"
    check "no volume is left" nothing docker volume ls -q --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME"
}
last_to_end() {
    docker ps -aq --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME" | xargs docker inspect -f '{{.State.FinishedAt}} {{.Name}}' | sort | tail -n 3 | xargs
}
container_any() { docker ps -aq --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME" --filter "label=com.docker.compose.service=$1" | head -n 1; }
