# What every command uses: messages, colours, time. Colours only on a terminal, and not with NO_COLOR.

if [[ -t 1 && -z ${NO_COLOR:-} && ${TERM:-dumb} != dumb ]]; then
    BOLD=$'\e[1m' DIM=$'\e[2m' RED=$'\e[31m' GREEN=$'\e[32m' YELLOW=$'\e[33m' PLAIN=$'\e[0m'
else
    BOLD='' DIM='' RED='' GREEN='' YELLOW='' PLAIN=''
fi

say() { printf '%s\n' "$*"; }
title() { printf '%s== %s%s\n' "$BOLD" "$*" "$PLAIN"; }
progress() { printf '%s-- %s%s\n' "$DIM" "$*" "$PLAIN"; }
good() { printf '%s%s%s\n' "$GREEN" "$*" "$PLAIN"; }
warn() { printf '%swarning:%s %s\n' "$YELLOW" "$PLAIN" "$*" >&2; }
fail() { printf '%serror:%s %s\n' "$RED" "$PLAIN" "$*" >&2; }
die() {
    fail "$@"
    exit 1
}

trim() {
    local text=$1
    text=${text#"${text%%[![:space:]]*}"}
    printf '%s' "${text%"${text##*[![:space:]]}"}"
}

now_ms() { printf '%s' "$((${EPOCHREALTIME/[.,]/} / 1000))"; }
# seconds_since MILLISECONDS: as 1.2
seconds_since() {
    local ms=$(($(now_ms) - $1))
    printf '%d.%d' $((ms / 1000)) $((ms % 1000 / 100))
}

have() { command -v "$1" >/dev/null 2>&1; }

# as_root COMMAND…: with sudo when we are not root.
as_root() {
    if ((EUID == 0)); then
        "$@"
    elif have sudo; then
        sudo -- "$@"
    else
        die "root is needed to run: $* (there is no sudo here)"
    fi
}

# quietly LOG COMMAND…: runs it with its output in a file; on failure shows the file's end. Says once in a
# while that it is still running.
quietly() {
    local log=$1 start pid status=0 next
    shift
    start=$(now_ms)
    mkdir -p "$(dirname "$log")"
    "$@" >"$log" 2>&1 </dev/null &
    pid=$!
    next=$((start + 20000))
    while kill -0 "$pid" 2>/dev/null; do
        sleep 0.05
        if (($(now_ms) > next)); then
            progress "still at it, $(seconds_since "$start") s: $(tail -n 1 "$log" | tr -d '\r' | cut -c 1-90)"
            next=$((next + 20000))
        fi
    done
    wait "$pid" || status=$?
    if ((status)); then
        grep -vE '^\[[0-9]+/[0-9]+\] (Building|Linking)' "$log" | tail -n 40 >&2
        fail "failed with $status: $* (all of it: $log)"
    fi
    return "$status"
}
