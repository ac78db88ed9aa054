# Fills in a template's ${GATEWAY_…} from variables of the same names (shell, not necessarily exported); everything
# else in it stays as it is. Read by dev.d/gateway.sh and by docker/gateway/entrypoint.sh.

# gateway_fill TEMPLATE: the configuration on stdout. Fails, naming it, if a value is missing.
gateway_fill() {
    local text name missing=0
    text=$(sed 's/^ *#.*//' "$1") || return
    for name in $(grep -oE '\$\{GATEWAY_[A-Z_]+\}' <<<"$text" | tr -d '${}' | sort -u); do
        if [[ -z ${!name+set} ]]; then
            printf '%s: has ${%s}, which nobody sets\n' "$1" "$name" >&2
            missing=1
            continue
        fi
        text=${text//"\${$name}"/"${!name}"}
    done
    ((missing == 0)) && printf '%s\n' "$text"
}

# gateway_servers PORT ADDRESS…: "server ADDRESS:PORT …;" for each. An instance that fails three times is left out for
# five seconds; its lines go to the others meanwhile.
gateway_servers() {
    local port=$1 address
    shift
    for address in "$@"; do printf 'server %s:%s max_fails=3 fail_timeout=5s; ' "$address" "$port"; done
}

# gateway_trusted NETWORKS: whose X-Forwarded-For names the client: load balancers in front of this gateway.
gateway_trusted() {
    local network
    for network in $1; do printf 'set_real_ip_from %s; ' "$network"; done
}
