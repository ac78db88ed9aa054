# Turns config/gateway/nginx.conf.template into a configuration.

# gateway_render PORT DIRECTORY AUTH-PORT SERVICE-PORT…: on stdout.
gateway_render() {
    local text name port servers='' rate=${PCS_GATEWAY_RATE:-500}
    # An instance that fails three times is left out for five seconds; its lines go to the others meanwhile.
    for port in "${@:4}"; do servers+="server 127.0.0.1:$port max_fails=3 fail_timeout=5s; "; done
    declare -A values=(
        [GATEWAY_LISTEN]=127.0.0.1:$1
        [GATEWAY_STATE]=$2
        [GATEWAY_AUTH_SERVERS]="server 127.0.0.1:$3;"
        [GATEWAY_SERVICE_SERVERS]=$servers
        [GATEWAY_CORS_ORIGINS]=${PCS_CORS_ORIGINS-http://localhost:3000 http://127.0.0.1:3000}
        [GATEWAY_RATE]=$rate
        [GATEWAY_BURST]=${PCS_GATEWAY_BURST:-$((rate * 4))}
        [GATEWAY_WORKERS]=1
    )
    text=$(sed 's/^ *#.*//' "$DEV_ROOT/config/gateway/nginx.conf.template")
    for name in "${!values[@]}"; do text=${text//"\${$name}"/${values[$name]}}; done
    [[ $text != *'${GATEWAY_'* ]] || die "config/gateway/nginx.conf.template has a \${GATEWAY_…} that is not known here"
    printf '%s\n' "$text"
}
