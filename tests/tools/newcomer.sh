#!/usr/bin/env bash
# The newcomer's path: every command of a README's ```sh blocks, in order, as printed, in one shell, as a person pastes
# them. Ends with 1 at the first that fails; an answer of curl has to say "success":true.
#
#   tests/tools/newcomer.sh [--skip REGEX] [README.md]
#
# Meant for a bare machine, as root in a checkout of its own. Blocks under <!-- needs Docker --> are left out where
# `docker info` fails; --skip leaves out commands whose text matches. What was left out is said at the end.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
skip='' left_out=()
if [[ ${1:-} == --skip ]]; then
    skip=$2
    shift 2
fi
readme=${1:-README.md}
answer=$(mktemp)
trap 'rm -f "$answer"' EXIT

say() { printf '\n>>> %s\n' "$*"; }

run() { # COMMAND, of one or more lines
    local start=$SECONDS status=0
    if [[ -n $skip && $1 =~ $skip ]]; then
        left_out+=("$1")
        return
    fi
    say "$1"
    # In this very shell: what one command sets, the next one uses. Nothing stands between a command and our own output:
    # what ./dev up leaves running would keep a pipe open.
    if [[ $1 =~ ^curl ]]; then
        eval "$1" >"$answer" </dev/null || status=$?
        cat "$answer"
    else
        eval "$1" </dev/null || status=$?
    fi
    printf '\n>>> %d s, exit code %d\n' "$((SECONDS - start))" "$status"
    if ((status)); then
        say "FAILED: $1"
        exit 1
    fi
    if [[ $1 =~ ^curl ]] && ! grep -q '"success":true' "$answer"; then
        say "FAILED, the answer says no: $1"
        exit 1
    fi
}

count=0 block='' docker='' command=''
while IFS= read -r line; do
    case $line in
    '<!-- needs Docker -->') docker=1 ;;
    '```sh')
        block=1
        [[ -z $docker ]] || docker info >/dev/null 2>&1 || block=other
        ;;
    '```')
        [[ -z $block ]] || docker=''
        block=''
        ;;
    *)
        [[ -n $block && -n $line ]] || continue
        command+=$line
        if [[ $line == *\\ ]]; then
            command+=$'\n'
        else
            count=$((count + 1))
            if [[ $block == other ]]; then left_out+=("$command"); else run "$command"; fi
            command=''
        fi
        ;;
    esac
done <"$readme"

((count > 0)) || {
    echo "no commands in $readme"
    exit 1
}
say "$((count - ${#left_out[@]})) of $count commands of $readme run, all as they should be, $SECONDS s"
((${#left_out[@]} == 0)) || printf '    left out: %s\n' "${left_out[@]}"
