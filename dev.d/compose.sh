# The stack in containers: docker/compose.yaml with whichever docker compose there is.

# compose_program: into COMPOSE. `docker compose` if it is there, else docker-compose (1.29 or newer).
compose_program() {
    if docker compose version >/dev/null 2>&1; then
        COMPOSE=(docker compose)
    elif have docker-compose; then
        COMPOSE=(docker-compose)
    else
        return 1
    fi
    COMPOSE+=(-f docker/compose.yaml)
}

compose_command() {
    (($#)) || set -- ps
    compose_program || die "there is no docker compose here: apt-get install docker.io docker-compose, or Docker's own packages"
    if [[ " $* " != *' config '* ]] && have docker && ! docker info >/dev/null 2>&1; then
        die "no Docker engine answers here (docker info says why); docker/test.sh starts one of its own for a test"
    fi
    docker/secrets.sh
    exec "${COMPOSE[@]}" "$@"
}

# Needs no engine: is the file one that compose takes, with and without the profile, and can each image that it names be
# replaced?
compose_check() {
    local out name
    compose_program || die "no docker compose here"
    "${COMPOSE[@]}" config -q && "${COMPOSE[@]}" --profile observability config -q || return
    for name in REDIS POSTGRES NGINX DEBIAN PROMETHEUS GRAFANA; do
        out=$(env "${name}_IMAGE=registry.example/other:1" "${COMPOSE[@]}" --profile observability config) || return
        grep -q 'registry.example/other:1' <<<"$out" || {
            fail "docker/compose.yaml does not use ${name}_IMAGE"
            return 1
        }
    done
}
