#!/usr/bin/env bash
# Really runs docker/compose.yaml: images, up, journey, scale, a container killed in mid-load, restart, down.
#
#   docker/test.sh [--official] [--keep]
#
# With an engine that runs (docker info), that one is used; else dockerd is started for the test alone (root; it touches
# no firewall and no network of this machine) and ended by its pid. Base images are made from Debian packages
# (debootstrap, docker/standin) unless --official. --keep: the test's own engine keeps its images for the next run, under
# PCS_DOCKER_ROOT (/var/tmp/pcs-docker). Linux only: the containers' addresses are reached from the host.
set -euo pipefail
DEV_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$DEV_ROOT"
. dev.d/common.sh
. dev.d/deps.sh
. dev.d/journey.sh
. docker/test-engine.sh
. docker/test-steps.sh

OFFICIAL='' KEEP=''
for argument in "$@"; do
    case $argument in
    --official) OFFICIAL=1 ;;
    --keep) KEEP=1 ;;
    *) die "docker/test.sh knows --official and --keep, not \"$argument\"" ;;
    esac
done

TMP=$(mktemp -d /tmp/pcs-docker.XXXXXX)
export COMPOSE_PROJECT_NAME=pcs-test-$$ DOCKER_BUILDKIT=0 COMPOSE_DOCKER_CLI_BUILD=0
export PCS_SERVICE_IMAGE=pcs-test/service PCS_SIMS_IMAGE=pcs-test/sims PCS_GATEWAY_IMAGE=pcs-test/gateway
export PCS_GATEWAY_PORT=${PCS_GATEWAY_PORT:-$(free_port)} PCS_PROMETHEUS_PORT=${PCS_PROMETHEUS_PORT:-$(free_port)}
# A doubt whose order never left is settled within seconds, and the load is not held back.
export KOS_SETTLE_HORIZON=5s PCS_GATEWAY_RATE=5000 PCS_NOFILE
PCS_NOFILE=$(ulimit -Hn)
[[ $PCS_NOFILE != unlimited ]] && ((PCS_NOFILE < 65536)) || PCS_NOFILE=65536
GATEWAY=http://127.0.0.1:$PCS_GATEWAY_PORT
STARTED=$(now_ms)
PASSED=0 FAILED=0

end() {
    local status=$?
    trap - EXIT
    if ((status)) && [[ -e $TMP/engine-answers ]]; then
        [[ -s $TMP/containers.log ]] || compose logs --no-color >"$TMP/containers.log" 2>&1 || true
        mkdir -p run && cp "$TMP/containers.log" run/docker-test.log
        warn "what the containers said: run/docker-test.log"
    fi
    if [[ -e $TMP/engine-answers ]]; then
        compose --profile observability down -v --remove-orphans -t 5 >"$TMP/down.log" 2>&1 || cat "$TMP/down.log"
    fi
    engine_end
    rm -rf "$TMP"
    exit "$status"
}
trap end EXIT
trap 'exit 130' INT TERM

title "the engine and the images"
engine_begin
docker/secrets.sh
base_images
build_images
check_images

title "up, in order of health"
step_up
title "the journey, through the gateway"
step_journey
title "two instances"
step_scale
title "containers killed in mid-load"
step_kill
title "observability"
step_observability
title "restart: what was durable is there"
step_restart
title "down"
step_down

say
say "$PASSED checks passed, $FAILED failed, $(seconds_since "$STARTED") s in all"
((FAILED == 0))
