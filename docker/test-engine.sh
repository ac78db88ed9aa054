# For docker/test.sh: the engine, and the images it runs.

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

compose() {
    if [[ -e $TMP/compose-v2 ]]; then
        docker compose -f docker/compose.yaml "$@"
    else
        docker-compose -f docker/compose.yaml "$@"
    fi
}

# Starts dockerd when none answers. No firewall rule and no bridge of its own: containers that need the network while
# they are built use the host's.
engine_begin() {
    local packages='python3 curl jq openssl' pid
    export PCS_BUILD_NETWORK=${PCS_BUILD_NETWORK:-default}
    docker compose version >/dev/null 2>&1 && touch "$TMP/compose-v2" || packages+=' docker-compose'
    if ! docker info >/dev/null 2>&1; then packages+=' docker.io'; fi
    [[ -n $OFFICIAL ]] || packages+=' debootstrap'
    packages=$(deps_missing "$packages")
    [[ -z $packages ]] || deps_apt "$packages"
    if docker info >/dev/null 2>&1; then
        progress "the engine that runs here: $(docker version --format '{{.Server.Version}}')"
        touch "$TMP/engine-answers"
        return
    fi
    ((EUID == 0)) || die "no engine answers (docker info), and starting one needs root"
    DOCKER_ROOT=${PCS_DOCKER_ROOT:-/var/tmp/pcs-docker}
    export DOCKER_HOST=unix://$TMP/docker.sock PCS_BUILD_NETWORK=host
    # Storage that works everywhere is vfs; the faster ones are tried first.
    for driver in '' overlay2 fuse-overlayfs vfs; do
        setsid dockerd --host "$DOCKER_HOST" --data-root "$DOCKER_ROOT" --exec-root "$TMP/exec" --pidfile "$TMP/dockerd.pid" \
            --iptables=false --ip6tables=false --bridge=none ${driver:+--storage-driver "$driver"} \
            >"$TMP/dockerd.log" 2>&1 </dev/null &
        pid=$!
        while kill -0 "$pid" 2>/dev/null && ! docker info >/dev/null 2>&1; do sleep 0.2; done
        if kill -0 "$pid" 2>/dev/null; then
            ENGINE_PID=$pid
            touch "$TMP/engine-answers"
            progress "dockerd $(docker version --format '{{.Server.Version}}') started, pid $pid, storage $(docker info --format '{{.Driver}}')"
            return
        fi
    done
    tail -n 20 "$TMP/dockerd.log" >&2
    die "dockerd does not start"
}

engine_end() {
    local deadline
    [[ -n ${ENGINE_PID:-} ]] || return 0
    kill -TERM "$ENGINE_PID" 2>/dev/null || true
    deadline=$((SECONDS + 30))
    while kill -0 "$ENGINE_PID" 2>/dev/null && ((SECONDS < deadline)); do sleep 0.2; done
    kill -KILL "$ENGINE_PID" 2>/dev/null || true
    wait "$ENGINE_PID" 2>/dev/null || true
    # what it leaves mounted
    awk -v below="$TMP/" 'index($2, below) == 1 { print $2 }' /proc/self/mounts | sort -r | xargs -r -n 1 umount
    [[ -n $KEEP ]] || rm -rf --one-file-system "$DOCKER_ROOT"
}

# What stands in for the official images, from this machine's package sources.
base_images() {
    local root target
    [[ -z $OFFICIAL ]] || return 0
    if ! docker image inspect pcs-standin/debian >/dev/null 2>&1; then
        root=$TMP/debian
        quietly "$TMP/debootstrap.log" debootstrap --variant=minbase --include=ca-certificates bookworm "$root" "$(debian_mirror)"
        rm -rf "$root/etc/apt" "$root/var/cache/apt/archives" && cp -a /etc/apt "$root/etc/apt"
        mkdir -p "$root/var/cache/apt/archives/partial" "$root/usr/local/share/ca-certificates"
        cp -a /usr/share/keyrings/. "$root/usr/share/keyrings/"
        cp -a /usr/local/share/ca-certificates/. "$root/usr/local/share/ca-certificates/"
        cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
        tar -C "$root" -cf - . | docker import - pcs-standin/debian >/dev/null
        rm -rf --one-file-system "$root"
        progress "debian:bookworm-slim stands as pcs-standin/debian"
    fi
    for target in redis nginx postgres prometheus; do
        quietly "$TMP/standin-$target.log" docker build --network "$PCS_BUILD_NETWORK" --target "$target" -t "pcs-standin/$target" docker/standin
    done
    export DEBIAN_IMAGE=pcs-standin/debian REDIS_IMAGE=pcs-standin/redis POSTGRES_IMAGE=pcs-standin/postgres \
        NGINX_IMAGE=pcs-standin/nginx PROMETHEUS_IMAGE=pcs-standin/prometheus
    progress "base images are there: redis, nginx, postgres, prometheus"
}

debian_mirror() {
    local mirror
    mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null |
        sed -nE 's/^(URIs:|deb( \[[^]]*\])?) *([^ ]+\/debian)\/?( .*)?$/\3/p' | head -n 1)
    printf '%s' "${mirror:-http://deb.debian.org/debian}"
}

build_images() {
    local start
    start=$(now_ms)
    # Both images of the one Dockerfile, then the gateway: three files of layers, one compilation.
    quietly "$TMP/build.log" compose build
    progress "images built in $(seconds_since "$start") s"
}

# check NAME COMMAND…
check() {
    local name=$1
    shift
    if "$@" >"$TMP/check.out" 2>&1; then
        PASSED=$((PASSED + 1))
        printf '  %sok%s      %s\n' "$GREEN" "$PLAIN" "$name"
    else
        FAILED=$((FAILED + 1))
        printf '  %sFAILED%s  %s\n' "$RED" "$PLAIN" "$name"
        head -n 20 "$TMP/check.out" | sed 's/^/          /'
    fi
}
same() { [[ $1 == "$2" ]] || { echo "\"$1\", not \"$2\""; return 1; }; }
nothing() { # COMMAND…: prints nothing
    local out
    out=$("$@" 2>&1)
    [[ -z $out ]] || { echo "$out"; return 1; }
}
fails() { ! "$@"; }
until_true() { # SECONDS COMMAND…
    local end=$(($(now_ms) + $1 * 1000))
    shift
    until "$@" >/dev/null 2>&1; do
        (($(now_ms) < end)) || { echo "not in time: $*"; "$@"; return 1; }
        sleep 0.3
    done
}

# What an image must not have, and who runs in it.
check_images() {
    local image secret
    for image in "$PCS_SERVICE_IMAGE" "$PCS_SIMS_IMAGE" "$PCS_GATEWAY_IMAGE"; do
        check "$image: not root" same "$(docker image inspect -f '{{.Config.User}}' "$image" | grep -cE '^[1-9][0-9]*:[1-9][0-9]*$')" 1
        docker save "$image" -o "$TMP/image.tar"
        for secret in docker/secrets/*; do
            check "$image: has no ${secret##*/}" fails grep -qF "$(cat "$secret")" "$TMP/image.tar"
        done
        rm -f "$TMP/image.tar"
    done
    check "the service's image has no compiler and no sources" docker run --rm --network none --entrypoint /bin/sh "$PCS_SERVICE_IMAGE" -c \
        '! command -v gcc && ! command -v make && ! find /build /usr/local -name "*.[ch]" 2>/dev/null | grep -q .'
    check "the service refuses to start without what it needs, and says what" refuses_without_settings
    progress "sizes: $(docker images --format '{{.Repository}} {{.Size}}' | grep -E '^pcs-(test|standin/debian)' | sort | tr '\n' ';')"
}
refuses_without_settings() {
    local out
    out=$(docker run --rm --network none --read-only "$PCS_SERVICE_IMAGE" 2>&1) && return 1
    grep -q kos.base_url <<<"$out"
}
