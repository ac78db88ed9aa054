#!/usr/bin/env bash
# What ./dev says when it cannot do what is asked, and that it goes on with the ports of what runs already.
# Nothing is started but a process that stands in for a part of the stack.   usage: dev-commands.sh [checkout]
set -uo pipefail
cd "${1:-$(dirname "${BASH_SOURCE[0]}")/../..}"
tmp=$(mktemp -d)
part=''
failed=0
trap '[[ -z $part ]] || kill "$part"; rm -rf "$tmp"' EXIT
unset "${!PCS_@}"

says() { # NAME STATUS TEXT COMMAND…
    local name=$1 status=$2 text=$3 got out
    shift 3
    out=$("$@" 2>&1 </dev/null)
    got=$?
    [[ $got == "$status" && $out == *"$text"* ]] && return
    failed=$((failed + 1))
    printf 'FAILED: %s: status %s, not %s, or not "%s" in:\n%s\n' "$name" "$got" "$status" "$text" "$out"
}

# ---- a checkout in which nothing was ever started: run/ is not there either
export PCS_STATE=$tmp/run/stack
for command in journey demo psql 'stop redis' 'start redis'; do
    # shellcheck disable=SC2086
    says "$command without a stack" 1 'there is no stack: ./dev up first' ./dev $command
done
says "status without a stack" 1 'redis      down' ./dev status
says "logs without a stack" 1 'there are no logs: ./dev up first' ./dev logs
says "down without a stack" 0 'nothing runs' ./dev down
says "an unknown command" 1 'no command "nonsense"' ./dev nonsense
says "an unknown part" 1 'stop needs one of: redis postgres' ./dev stop nonsense
says "an unknown option" 1 'up knows --smoke only, not "--foo"' ./dev up --foo
if command -v docker >/dev/null && { command -v docker-compose || docker compose version; } >/dev/null 2>&1; then
    says "compose without an engine" 1 'no Docker engine answers here' env DOCKER_HOST=unix://$tmp/none ./dev compose ps
fi

# ---- redis "runs" on a port of its own, and nothing else does
mkdir -p "$PCS_STATE"/{pids,logs}
printf 'JWT_SECRET=x MVNO_WEBHOOK_SECRET=x DB_ADMIN_PASSWORD=x DB_OWNER_PASSWORD=x DB_SERVICE_PASSWORD=x\n' >"$PCS_STATE/secrets.env"
sleep 300 &
part=$!
(
    . dev.d/process.sh
    printf '%s %s %s %s\n' "$part" "$(process_start_time "$part")" "$(boot_id)" 26399 >"$PCS_STATE/pids/redis"
)
says "status tells the port that it runs on" 1 'port 26399' ./dev status
says "the journey wants the whole stack" 1 'postgres does not run: ./dev up first' ./dev journey
says "psql wants PostgreSQL" 1 'postgres does not run: ./dev up first' ./dev psql
says "a log that is not there" 1 'no log "kos-sim"' ./dev logs kos-sim
port=$(bash -euc 'DEV_ROOT=$PWD; . dev.d/common.sh; . dev.d/process.sh; . dev.d/stack.sh; stack_settings; echo $PCS_REDIS_PORT $PCS_PG_PORT')
says "what runs keeps its port, the rest has the default" 0 '26399 15432' echo "$port"
says "a port that the environment names counts" 0 '7777' env PCS_REDIS_PORT=7777 \
    bash -euc 'DEV_ROOT=$PWD; . dev.d/common.sh; . dev.d/process.sh; . dev.d/stack.sh; stack_settings; echo $PCS_REDIS_PORT'

# ---- the service runs on until it is asked for with other settings
env -i PATH=/elsewhere A=1 B=3 "$(command -v sleep)" 300 &
other=$!
until grep -qz '^B=3$' "/proc/$other/environ"; do kill -0 "$other" && sleep 0.02 || exit 1; done
(
    . dev.d/process.sh
    printf '%s %s %s %s\n' "$other" "$(process_start_time "$other")" "$(boot_id)" 26397 >"$PCS_STATE/pids/service"
)
same_settings() { # SETTING…
    bash -euc 'DEV_ROOT=$PWD; . dev.d/common.sh; . dev.d/process.sh; . dev.d/stack.sh; STATE=$PCS_STATE
        SETTINGS=(env -i "$@"); runs_with_settings service && echo same || echo different' bash "$@"
}
says "the settings that it runs with, one of them given twice" 0 same same_settings "PATH=$PATH" B=2 A=1 B=3
says "other settings" 0 different same_settings "PATH=$PATH" A=1 B=2
says "one setting more" 0 different same_settings "PATH=$PATH" A=1 B=3 C=4
rm "$PCS_STATE/pids/service"
kill "$other"
wait "$other" 2>/dev/null

# ---- the gateway is killed, and a worker of it goes on: it is ended, or its port would stay in use
setsid bash -c 'sleep 300 & echo $$ $! >"$1"; wait' bash "$tmp/session" &
disown
until [[ -s $tmp/session ]]; do sleep 0.02; done
read -r master worker <"$tmp/session"
(
    . dev.d/process.sh
    printf '%s %s %s %s\n' "$master" "$(process_start_time "$master")" "$(boot_id)" 26398 >"$PCS_STATE/pids/gateway"
)
kill -KILL "$master"
says "a worker without its master is no gateway" 1 'gateway    down' ./dev status
kill "$part"
wait "$part" 2>/dev/null
part=''
says "down ends it" 0 "stopping what gateway left running ($worker)" ./dev down
kill -0 "$worker" 2>/dev/null && [[ $(ps -o stat= -p "$worker") != Z* ]] && {
    failed=$((failed + 1))
    echo "FAILED: $worker still runs"
}

((failed == 0)) && echo "all as it should be"
exit "$((failed > 0))"
