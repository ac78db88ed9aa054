# The local stack: Redis, PostgreSQL, the simulators, the service and the gateway, all on 127.0.0.1, all private.

# name | variable of its port | default
STACK_PORTS='
redis    PCS_REDIS_PORT   16379
postgres PCS_PG_PORT      15432
kos-sim  PCS_KOS_PORT     18080
mvno-sim PCS_MVNO_PORT    18081
auth-sim PCS_AUTH_PORT    18082
service  PCS_SERVICE_PORT 8083
gateway  PCS_GATEWAY_PORT 8080
'
DB_DATABASE=product_change
STACK_TARGETS=(product-change-service kos-sim mvno-sim auth-sim)

# A port that the environment does not name is the one on which the part runs already, whoever started it.
stack_settings() {
    local name variable default
    STATE=${PCS_STATE:-$DEV_ROOT/run/stack}
    [[ $STATE == /* ]] || STATE=$DEV_ROOT/$STATE
    while read -r name variable default; do
        [[ -n $name ]] || continue
        [[ -z ${!variable:-} ]] && process_pid "$name" >/dev/null && default=$(process_port "$name")
        printf -v "$variable" '%s' "${!variable:-$default}"
    done <<<"$STACK_PORTS"
    INSTANCES=${PCS_INSTANCES:-1}
    [[ $INSTANCES =~ ^[1-8]$ ]] || die "PCS_INSTANCES must be 1 to 8, not \"$INSTANCES\""
    GATEWAY=http://127.0.0.1:$PCS_GATEWAY_PORT
    KOS=http://127.0.0.1:$PCS_KOS_PORT
    MVNO=http://127.0.0.1:$PCS_MVNO_PORT
    AUTH=http://127.0.0.1:$PCS_AUTH_PORT
}

# instance NUMBER: its name and, in INSTANCE_PORT, its port
instance_name() { (($1 == 1)) && printf 'service' || printf 'service-%d' "$1"; }
instance_port() { printf '%d' $((PCS_SERVICE_PORT + $1 - 1)); }

# Every process there may be, in the order of starting.
stack_names() {
    local n
    printf '%s\n' redis postgres kos-sim mvno-sim auth-sim
    for ((n = 1; n <= 8; n++)); do instance_name "$n" && echo; done
    echo gateway
}

# PostgreSQL refuses to run as root; the gateway need not be root either. Puts what a command has to be preceded
# by into AS.
as_user() {
    AS=()
    ((EUID != 0)) || AS=(setpriv "--reuid=$1" "--regid=$(id -g "$1")" --init-groups --)
}

# A checkout under /root cannot be entered by those accounts: their state then lives under /var/tmp.
stack_directories() {
    local other
    mkdir -p "$STATE"
    as_user postgres
    if ! "${AS[@]}" test -x "$STATE/."; then
        other=/var/tmp/pcs-stack-$(cksum <<<"$STATE" | cut -d ' ' -f 1)
        mkdir -p "$other"
        [[ $(stat -c %u "$other") == 0 ]] || die "$other belongs to somebody else: remove it"
        if [[ ! -L $STATE ]]; then
            rmdir "$STATE" 2>/dev/null || die "$STATE cannot be entered by the user postgres: remove it"
            ln -s "$other" "$STATE"
        fi
        STATE=$other
    fi
    chmod 755 "$STATE"
    mkdir -p "$STATE"/{pids,logs,redis,sim,gateway}
    mkdir -p -m 700 "$STATE/journal"
    ((EUID != 0)) || chown www-data: "$STATE/gateway"
}

# Made once, kept with the data: nobody else on this machine knows them.
stack_secrets() {
    local file=$STATE/secrets.env
    if [[ ! -s $file ]]; then
        (
            umask 077
            printf '%s=%s\n' \
                JWT_SECRET "$(openssl rand -hex 48)" \
                MVNO_WEBHOOK_SECRET "whsec_$(openssl rand -base64 32)" \
                DB_ADMIN_PASSWORD "$(openssl rand -hex 16)" \
                DB_OWNER_PASSWORD "$(openssl rand -hex 16)" \
                DB_SERVICE_PASSWORD "$(openssl rand -hex 16)" >"$file.part"
            mv "$file.part" "$file"
        )
    fi
    . "$file"
}

stack_ports_free() {
    local n
    port_needed redis "$PCS_REDIS_PORT" PCS_REDIS_PORT
    port_needed postgres "$PCS_PG_PORT" PCS_PG_PORT
    port_needed kos-sim "$PCS_KOS_PORT" PCS_KOS_PORT
    port_needed mvno-sim "$PCS_MVNO_PORT" PCS_MVNO_PORT
    port_needed auth-sim "$PCS_AUTH_PORT" PCS_AUTH_PORT
    for ((n = 1; n <= INSTANCES; n++)); do
        port_needed "$(instance_name "$n")" "$(instance_port "$n")" PCS_SERVICE_PORT
    done
    port_needed gateway "$PCS_GATEWAY_PORT" PCS_GATEWAY_PORT
}

# needs_start NAME [FILE…]: not running, or running an older build of FILE; the old one is then stopped.
needs_start() {
    local name=$1 file
    shift
    process_pid "$name" >/dev/null || return 0
    for file in "$@"; do
        if [[ $file -nt $STATE/pids/$name ]]; then
            progress "$name is older than $file"
            process_stop "$name" TERM 20
            return 0
        fi
    done
    return 1
}

# ---- the parts ----

start_redis() {
    needs_start redis || return 0
    process_start redis "$PCS_REDIS_PORT" redis-server --bind 127.0.0.1 --port "$PCS_REDIS_PORT" --dir "$STATE/redis" \
        --save '' --appendonly no --maxmemory 256mb --maxmemory-policy volatile-lru --daemonize no
    wait_for redis 10 redis_answers
}
redis_answers() { [[ $(redis-cli -h 127.0.0.1 -p "$PCS_REDIS_PORT" ping) == PONG ]]; }

pg_bin() { printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1; }

# psql_as ROLE PASSWORD ARGUMENTS…
psql_as() {
    PGPASSWORD=$2 psql -X -q -h 127.0.0.1 -p "$PCS_PG_PORT" -U "$1" -v ON_ERROR_STOP=1 "${@:3}"
}
pg_admin() { psql_as postgres "$DB_ADMIN_PASSWORD" "$@"; }
pg_answers() { pg_admin -d postgres -c 'SELECT 1'; }

start_postgres() {
    local bin data=$STATE/pg
    needs_start postgres || return 0
    bin=$(pg_bin)
    [[ -x $bin/postgres ]] || die "no PostgreSQL under /usr/lib/postgresql"
    if [[ ! -s $data/PG_VERSION ]]; then
        progress "making the database cluster"
        rm -rf "$data"
        mkdir -m 700 "$data"
        ((EUID != 0)) || chown postgres: "$data"
        quietly "$STATE/logs/initdb.log" pg_initdb "$bin" "$data" || die "the cluster could not be made"
    fi
    as_user postgres
    process_start postgres "$PCS_PG_PORT" "${AS[@]}" "$bin/postgres" -D "$data" -c listen_addresses=127.0.0.1 \
        -c port="$PCS_PG_PORT" -c unix_socket_directories= -c shared_buffers=64MB -c max_connections=60 \
        -c timezone=UTC -c log_timezone=UTC -c log_min_duration_statement=500
    wait_for postgres 30 pg_answers
}
pg_initdb() {
    local secret status=0
    secret=$(mktemp "$STATE/.pw.XXXXXX")
    printf '%s\n' "$DB_ADMIN_PASSWORD" >"$secret"
    ((EUID != 0)) || chown postgres: "$secret"
    as_user postgres
    "${AS[@]}" "$1/initdb" -D "$2" -U postgres --pwfile="$secret" -A scram-sha-256 -E UTF8 --locale=C.UTF-8 --no-sync || status=$?
    rm -f "$secret"
    return "$status"
}
prepare_database() {
    DB_OWNER_PASSWORD=$DB_OWNER_PASSWORD DB_SERVICE_PASSWORD=$DB_SERVICE_PASSWORD DB_NAME=$DB_DATABASE \
        pg_admin -d postgres -f config/postgresql/roles.sql
    service_settings 1
    quietly "$STATE/logs/migrate.log" "${SETTINGS[@]}" DB_MIGRATE_USERNAME=pcs_owner \
        DB_MIGRATE_PASSWORD="$DB_OWNER_PASSWORD" build/product-change-service migrate || die "the database could not be migrated"
}

# All of them, or the one named.
start_simulators() {
    sim_start kos-sim "${1:-}" "$PCS_KOS_PORT" --data tests/sim/data/kos.json --state "$STATE/sim/kos.state"
    sim_start mvno-sim "${1:-}" "$PCS_MVNO_PORT" --state "$STATE/sim/mvno.state"
    sim_start auth-sim "${1:-}" "$PCS_AUTH_PORT" --data tests/sim/data/users.json
}
sim_start() {
    local name=$1 only=$2 port=$3
    shift 3
    [[ -z $only || $only == "$name" ]] || return 0
    needs_start "$name" "build/tests/$name" || return 0
    process_start "$name" "$port" env JWT_SECRET="$JWT_SECRET" MVNO_WEBHOOK_SECRET="$MVNO_WEBHOOK_SECRET" \
        "build/tests/$name" --port "$port" "$@"
    wait_for "$name" 10 curl -sf -m 2 "http://127.0.0.1:$port/_sim/health"
}

# service_settings INSTANCE: into SETTINGS, as a command that runs another with these settings only, whatever this
# shell exports. PCS_SERVICE_ENV adds some: PCS_SERVICE_ENV='LOG_LEVEL=debug KOS_SETTLE_HORIZON=30s' ./dev up
service_settings() {
    # shellcheck disable=SC2206
    SETTINGS=(env -i "PATH=$PATH" "HOME=${HOME:-/}" LANG=C.UTF-8 TZ=UTC
        SERVER_BIND=127.0.0.1 "SERVER_PORT=$(instance_port "$1")" SERVER_PUBLIC_PREFIX=/product
        "JOURNAL_PATH=$STATE/journal"
        "KOS_BASE_URL=$KOS" "MVNO_BASE_URL=$MVNO" "MVNO_WEBHOOK_SECRET=$MVNO_WEBHOOK_SECRET"
        REDIS_HOST=127.0.0.1 "REDIS_PORT=$PCS_REDIS_PORT"
        DB_HOST=127.0.0.1 "DB_PORT=$PCS_PG_PORT" "DB_NAME=$DB_DATABASE"
        DB_USERNAME=pcs_service "DB_PASSWORD=$DB_SERVICE_PASSWORD"
        "JWT_SECRET=$JWT_SECRET" JWT_ALGORITHMS=HS512 JWT_ISSUER=phonebill-auth-service ${PCS_SERVICE_ENV:-})
}

# runs_with_settings NAME: whether it was started with SETTINGS; of a name given twice the last counts.
runs_with_settings() {
    local pid now
    pid=$(process_pid "$1") && now=$(tr '\0' '\n' <"/proc/$pid/environ" 2>/dev/null | last_of_each) && [[ -n $now ]] || return 0
    [[ $(printf '%s\n' "${SETTINGS[@]:2}" | last_of_each) == "$now" ]]
}
last_of_each() { awk -F= 'NF && $1 != "PATH" && $1 != "HOME" { of[$1] = $0 } END { for (n in of) print of[n] }' | sort; }

service_ready() { # PORT: every neighbour is up
    [[ $(curl -sf -m 2 "http://127.0.0.1:$1/health/ready" | jq -r .status) == UP ]]
}

start_services() {
    local n name port
    for ((n = INSTANCES + 1; n <= 8; n++)); do process_stop "$(instance_name "$n")" TERM 20; done
    for ((n = 1; n <= INSTANCES; n++)); do
        name=$(instance_name "$n")
        port=$(instance_port "$n")
        service_settings "$n"
        if process_pid "$name" >/dev/null && ! runs_with_settings "$name"; then
            progress "$name: other settings"
            process_stop "$name" TERM 20
        fi
        needs_start "$name" build/product-change-service || continue
        process_start "$name" "$port" "${SETTINGS[@]}" build/product-change-service --config config/product-change-service.yaml
        # Not yet seen neighbours count as down: a first look at each of them belongs to being ready here.
        wait_for "$name" 15 service_ready "$port"
    done
}

# The page's files as the gateway's user can read them: from the checkout, else from a copy of it.
gateway_page() {
    PCS_WEB=$DEV_ROOT/web
    as_user www-data
    [[ -d $PCS_WEB ]] && ! "${AS[@]}" test -r "$PCS_WEB/index.html" || return 0
    PCS_WEB=$STATE/web
    rm -rf "$PCS_WEB"
    cp -r "$DEV_ROOT/web" "$PCS_WEB"
}

start_gateway() {
    local file=$STATE/gateway/nginx.conf ports=() n
    for ((n = 1; n <= INSTANCES; n++)); do ports+=("$(instance_port "$n")"); done
    gateway_page
    gateway_render "$PCS_GATEWAY_PORT" "$STATE/gateway" "$PCS_AUTH_PORT" "${ports[@]}" >"$file.part"
    if ! needs_start gateway; then
        if ! cmp -s "$file.part" "$file"; then
            mv "$file.part" "$file"
            progress "gateway: new configuration"
            kill -HUP "$(process_pid gateway)"
        fi
        return 0
    fi
    mv "$file.part" "$file"
    as_user www-data
    # -e: where it writes before it has read the file
    process_start gateway "$PCS_GATEWAY_PORT" "${AS[@]}" env TZ=UTC nginx -p "$STATE/gateway/" -e "$STATE/gateway/error.log" -c "$file"
    wait_for gateway 10 curl -sf -m 2 "$GATEWAY/healthz"
}
# ---- commands ----

stack_up() {
    local start status=0
    SMOKE=''
    case ${1:-} in
    '') ;;
    --smoke) SMOKE=1 ;;
    *) die "up knows --smoke only, not \"$1\"" ;;
    esac
    start=$(now_ms)
    stack_settings
    deps_ensure run
    stack_ports_free
    build gcc "${STACK_TARGETS[@]}"
    stack_directories
    exec 9>"$STATE/lock"
    flock -n 9 || die "another ./dev up or down is at work in $STATE"
    stack_secrets
    title "the stack"
    trap 'stack_end' EXIT
    start_redis
    start_postgres
    start_simulators
    prepare_database
    start_services
    start_gateway
    progress "everything is up, $(seconds_since "$start") s since the command"
    journeys || status=$?
    [[ -n $SMOKE ]] || stack_urls
    ((status == 0)) || fail "the journeys found $status wrong answer(s), marked above; logs: ./dev logs"
    progress "$(seconds_since "$start") s in all"
    return "$status"
}

# However `up` ends: KOS is left in order, and with --smoke nothing is left.
stack_end() {
    kos_mend
    [[ -z $SMOKE ]] || stack_stop
}

stack_urls() {
    title "where things are"
    cat <<END
  web page         $GATEWAY/   (user01 … user13, noperm: password1!, admin: admin1234!)
  API, described   $GATEWAY/docs
  gateway          $GATEWAY/product/…   $GATEWAY/api/v1/products/…
  service          http://127.0.0.1:$PCS_SERVICE_PORT   (health: /health/ready, numbers: /metrics, API: /openapi.json)
  simulators       KOS $KOS   MVNO AP $MVNO   auth $AUTH   (control: tests/sim/README.md)
  redis            redis-cli -p $PCS_REDIS_PORT
  postgres         ./dev psql
  logs, stop       ./dev logs   ./dev down
END
}

stack_stop() {
    local name
    for name in $(stack_names | tac); do
        case $name in
        postgres) process_stop "$name" INT 20 ;;
        *) process_stop "$name" TERM 20 ;;
        esac
    done
}

stack_down() {
    (($# == 0)) || die "down takes no arguments"
    stack_settings
    [[ -d $STATE ]] || {
        good "nothing runs"
        return
    }
    STATE=$(readlink -f "$STATE")
    exec 9>"$STATE/lock"
    flock -w 30 9 || die "another ./dev up is at work in $STATE"
    stack_stop
    good "the stack is down"
}

stack_reset() {
    local place
    stack_down "$@"
    place=${PCS_STATE:-$DEV_ROOT/run/stack}
    rm -rf --one-file-system "$STATE"
    [[ ! -L $place ]] || rm -f "$place"
    good "its data is gone"
}

# stack_attach: the settings and secrets of the stack that was started.
stack_attach() {
    stack_settings
    STATE=$(readlink -m "$STATE")
    [[ -s $STATE/secrets.env ]] || die "there is no stack: ./dev up first"
    stack_secrets
}

# stack_running NAME…: dies, naming it, when one of them does not run.
stack_running() {
    local name
    for name in "$@"; do
        process_pid "$name" >/dev/null || die "$name does not run: ./dev up first"
    done
}

# One part alone: to see what the service does without it, and when it is back.
stack_stop_one() {
    (($# == 1)) && grep -qxF -- "$1" <(stack_names) || die "stop needs one of: $(stack_names | tr '\n' ' ')"
    stack_attach
    process_stop "$1" "$([[ $1 == postgres ]] && echo INT || echo TERM)" 20
    good "$1 is down"
}

stack_start_one() {
    stack_attach
    stack_ports_free
    case ${1:-} in
    redis | postgres | gateway) "start_$1" ;;
    kos-sim | mvno-sim | auth-sim) start_simulators "$1" ;;
    service*) start_services ;;
    *) die "start needs one of: $(stack_names | tr '\n' ' ')" ;;
    esac
    good "$1 is up"
}

stack_journey() {
    (($# == 0)) || die "journey takes no arguments"
    stack_attach
    stack_running redis postgres kos-sim mvno-sim auth-sim service gateway
    SMOKE=''
    trap stack_end EXIT
    journeys
}

stack_status() {
    local name pid port all=0 seen=0
    stack_settings
    STATE=$(readlink -m "$STATE")
    for name in $(stack_names); do
        [[ -e $STATE/pids/$name || $name != service-* ]] || continue
        seen=$((seen + 1))
        if pid=$(process_pid "$name"); then
            all=$((all + 1))
            port=$(process_port "$name")
            printf '  %s%-10s%s port %-6s pid %-8s up %-12s %s\n' "$GREEN" "$name" "$PLAIN" "$port" "$pid" \
                "$(trim "$(ps -o etime= -p "$pid")")" "$(stack_says "$name" "$port")"
        else
            printf '  %s%-10s down%s\n' "$RED" "$name" "$PLAIN"
        fi
    done
    say
    say "  ports are moved by: $(awk 'NF { printf "%s (%s) ", $2, $3 }' <<<"$STACK_PORTS")"
    say "  others: PCS_STATE (run/stack), PCS_INSTANCES (1), PCS_SERVICE_ENV, PCS_CORS_ORIGINS, PCS_GATEWAY_RATE (500/s)"
    ((all == seen))
}

stack_says() { # NAME PORT: in its own words
    case $1 in
    service*) curl -s -m 2 "http://127.0.0.1:$2/health/ready" | jq -cr '"\(.status) \(.neighbours // {} | tostring)"' ;;
    gateway) curl -s -m 2 "http://127.0.0.1:$2/healthz" | jq -r .status ;;
    redis) redis-cli -p "$2" ping ;;
    postgres) stack_secrets && pg_answers >/dev/null 2>&1 && echo UP ;;
    *) curl -sf -m 2 -o /dev/null "http://127.0.0.1:$2/_sim/health" && echo UP ;;
    esac 2>/dev/null || true
}

stack_logs() {
    local files=() file
    stack_settings
    [[ -d $STATE/logs ]] || die "there are no logs: ./dev up first"
    if (($#)); then
        file=$STATE/logs/$1.log
        [[ -f $file ]] || die "no log \"$1\"; there are: $(ls "$STATE/logs" | sed 's/\.log$//' | tr '\n' ' ')"
        files=("$file")
        [[ $1 != gateway ]] || files+=("$STATE/gateway/access.log" "$STATE/gateway/error.log")
    else
        files=("$STATE"/logs/{service*,kos-sim,mvno-sim,auth-sim,redis,postgres,gateway}.log "$STATE/gateway/access.log")
    fi
    if [[ -t 1 ]]; then
        exec tail -n 20 -F "${files[@]}"
    fi
    exec tail -n 50 "${files[@]}"
}

stack_psql() {
    stack_attach
    stack_running postgres
    export PGPASSWORD=$DB_OWNER_PASSWORD PGOPTIONS='-c search_path=product_change'
    exec psql -h 127.0.0.1 -p "$PCS_PG_PORT" -U pcs_owner -d "$DB_DATABASE" "$@"
}
