# The Debian packages. Quick when nothing is missing: one dpkg-query.
# Installing them here never starts a service, enables one, or makes a PostgreSQL cluster: the stack runs its own.

DEPS_BUILD='build-essential cmake ninja-build pkg-config libmicrohttpd-dev libgnutls28-dev libhiredis-dev libuv1-dev libpq-dev
    libcjson-dev libcurl4-openssl-dev libsqlite3-dev libyaml-dev libssl-dev libdeflate-dev libjemalloc-dev
    uthash-dev check'
DEPS_RUN='redis-server redis-tools postgresql postgresql-client nginx-light curl jq openssl ca-certificates procps'
DEPS_CHECK='clang clang-format clang-tidy libclang-rt-14-dev cppcheck llvm valgrind wrk git docker-compose'

# deps_list build|run|test|check|all: each with those before it, for `./dev build`, `up`, `test` and `check`.
deps_list() {
    echo "$DEPS_BUILD"
    [[ $1 == build ]] || echo "$DEPS_RUN"
    [[ $1 == build || $1 == run ]] || cat tests/*/packages.txt 2>/dev/null || true
    [[ $1 != check && $1 != all ]] || echo "$DEPS_CHECK"
}

deps_missing() { # LIST
    local package
    declare -A installed=()
    while read -r package; do installed[$package]=1; done < <(
        # shellcheck disable=SC2086
        dpkg-query -W -f '${db:Status-Status} ${Package}\n' $1 2>/dev/null | sed -n 's/^installed //p'
    )
    for package in $1; do
        [[ -n ${installed[$package]:-} ]] || printf '%s ' "$package"
    done
}

# The services that came with a package are not wanted at the next boot either, unless they were there before.
deps_disable_new_services() {
    local unit
    [[ -d /run/systemd/system ]] || return 0
    for unit in "$@"; do
        as_root systemctl disable --now "$unit" >/dev/null 2>&1 || true
    done
}

deps_ensure() { # GROUP
    local missing
    have dpkg-query || die "this needs Debian (dpkg-query is not here)"
    missing=$(deps_missing "$(deps_list "$1")")
    [[ -z $missing ]] || deps_apt "$missing"
}

deps_apt() {
    local missing=$1 start new_units=() guard=/usr/sbin/policy-rc.d dropin=/etc/postgresql-common/createcluster.d/pcs-none.conf
    local log=${TMPDIR:-/tmp}/pcs-deps.$$.log made_guard='' status=0
    start=$(now_ms)
    # shellcheck disable=SC2086
    progress "installing $(wc -w <<<"$missing") packages: $(echo $missing)"
    for package in redis-server nginx-light postgresql; do
        [[ " $missing " == *" $package "* ]] && new_units+=("${package%-light}.service")
    done
    [[ " $missing " != *' docker.io '* ]] || new_units+=(docker.service docker.socket containerd.service)
    if [[ ! -e $guard ]]; then
        made_guard=1
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$guard" >/dev/null
        as_root chmod 755 "$guard"
    fi
    as_root mkdir -p "${dropin%/*}"
    echo 'create_main_cluster = false' | as_root tee "$dropin" >/dev/null
    # shellcheck disable=SC2086
    quietly "$log" deps_apt_commands $missing || status=$?
    as_root rm -f "$dropin"
    [[ -z $made_guard ]] || as_root rm -f "$guard"
    ((status == 0)) || exit "$status"
    ((${#new_units[@]} == 0)) || deps_disable_new_services "${new_units[@]}"
    rm -f "$log"
    progress "packages installed in $(seconds_since "$start") s"
}

deps_apt_commands() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q &&
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
        -o Dpkg::Options::=--force-confold -o DPkg::Lock::Timeout=120 "$@"
}

deps_install() {
    deps_ensure all
    good "all packages are here"
}
