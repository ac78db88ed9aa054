# Processes of the stack: started apart from this shell, known by pid and start time, ended by pid.
# A record is $STATE/pids/NAME: "pid start-time boot-id port". A pid that was given to somebody else since has
# another start time, so it is never signalled.

process_start_time() { # PID: the kernel's, in clock ticks since boot; nothing when there is no such process
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    stat=${stat##*) } # the name before may hold spaces
    set -- $stat
    [[ $1 != Z ]] && printf '%s' "${20}"
}

boot_id() { cat /proc/sys/kernel/random/boot_id; }

# process_pid NAME: its pid while it lives.
process_pid() {
    local pid started boot
    read -r pid started boot _ 2>/dev/null <"$STATE/pids/$1" || return 1
    [[ $boot == "$(boot_id)" && $(process_start_time "$pid") == "$started" ]] || return 1
    printf '%s' "$pid"
}

process_port() { # NAME: the port that it was started with
    local port
    read -r _ _ _ port 2>/dev/null <"$STATE/pids/$1" && printf '%s' "$port"
}

# process_start NAME PORT COMMAND…: in a session of its own, output appended to logs/NAME.log.
process_start() {
    local name=$1 port=$2 log=$STATE/logs/$1.log pid
    shift 2
    printf '\n' >>"$log"
    # bash has background commands ignore SIGINT; descriptor 9 is the lock of up and down.
    setsid env --default-signal=INT,QUIT "$@" >>"$log" 2>&1 </dev/null 9>&- &
    pid=$!
    disown "$pid"
    printf '%s %s %s %s\n' "$pid" "$(process_start_time "$pid")" "$(boot_id)" "$port" >"$STATE/pids/$name"
}

# process_left NAME: what it left running when it died: the workers of a killed nginx go on, and keep its port. A
# session's number is not given away while it has members, so they are ours as long as nobody leads it.
process_left() {
    local pid started boot
    read -r pid started boot _ 2>/dev/null <"$STATE/pids/$1" || return 0
    [[ $boot == "$(boot_id)" ]] && ! process_start_time "$pid" >/dev/null || return 0
    ps -s "$pid" -o pid=,stat= | awk -v leader="$pid" '$1 != leader && $2 !~ /^Z/ { print $1 }'
}

# process_clear NAME: ends what it left running.
process_clear() {
    local pid left deadline
    left=$(process_left "$1") || true
    [[ -n $left ]] || return 0
    for pid in $left; do
        progress "stopping what $1 left running ($pid)"
        kill -TERM "$pid" 2>/dev/null || true
    done
    deadline=$(($(now_ms) + 3000))
    while [[ -n $(process_left "$1") ]]; do
        if (($(now_ms) > deadline)); then
            for pid in $(process_left "$1"); do kill -KILL "$pid" 2>/dev/null || true; done
            break
        fi
        sleep 0.02
    done
}

# process_stop NAME SIGNAL SECONDS: asks, waits, then kills.
process_stop() {
    local name=$1 signal=$2 limit=$3 pid deadline
    pid=$(process_pid "$name") || {
        process_clear "$name"
        rm -f "$STATE/pids/$name"
        return 0
    }
    progress "stopping $name ($pid)"
    kill "-$signal" "$pid" 2>/dev/null || true
    deadline=$(($(now_ms) + limit * 1000))
    while process_pid "$name" >/dev/null; do
        if (($(now_ms) > deadline)); then
            warn "$name did not end within $limit s; killed"
            kill -KILL "$pid" 2>/dev/null || true
            sleep 0.1
            break
        fi
        sleep 0.02
    done
    process_clear "$name"
    rm -f "$STATE/pids/$name"
}

# port_listener PORT: succeeds when somebody listens on it, on any address that 127.0.0.1 is part of.
port_listener() {
    local hex
    printf -v hex '%04X' "$1"
    awk -v port=":$hex" '
        $4 == "0A" && substr($2, length($2) - 4) == port {
            a = substr($2, 1, length($2) - 5)
            if (a == "0100007F" || a ~ /^0+$/ || a ~ /0100007F$/) found = 1
        }
        END { exit !found }' /proc/net/tcp /proc/net/tcp6 2>/dev/null
}

# port_needed NAME PORT VARIABLE: dies when somebody else has the port.
port_needed() {
    local name=$1 port=$2 variable=$3
    [[ $port =~ ^[0-9]+$ ]] && ((port >= 1 && port <= 65535)) || die "$variable is no port: \"$port\""
    if [[ -n $(process_pid "$name") ]]; then
        [[ $(process_port "$name") == "$port" ]] ||
            die "$name runs on port $(process_port "$name"), not on $port ($variable): ./dev down first"
        return 0
    fi
    process_clear "$name"
    ! port_listener "$port" || die "port $port, which $name needs, is in use: free it, or set $variable to another one"
}

# wait_for NAME SECONDS COMMAND…: until the command succeeds; on failure shows the end of NAME's log.
wait_for() {
    local name=$1 limit=$2 start
    shift 2
    start=$(now_ms)
    until "$@" >/dev/null 2>&1; do
        if ! process_pid "$name" >/dev/null; then
            log_tail "$name"
            die "$name ended while starting"
        fi
        if (($(now_ms) - start > limit * 1000)); then
            log_tail "$name"
            die "$name did not answer within $limit s"
        fi
        sleep 0.03
    done
    progress "$name is ready ($(seconds_since "$start") s), port $(process_port "$name")"
}

log_tail() {
    printf '%s---- the end of %s%s\n' "$DIM" "$STATE/logs/$1.log" "$PLAIN" >&2
    tail -n 20 "$STATE/logs/$1.log" >&2 || true
    printf '%s----%s\n' "$DIM" "$PLAIN" >&2
}
