# Turns config/gateway/nginx.conf.template into a configuration for this machine.
. "$DEV_ROOT/config/gateway/render.sh"

# gateway_render PORT DIRECTORY AUTH-PORT SERVICE-PORT…: on stdout.
gateway_render() {
    local port servers='' rate=${PCS_GATEWAY_RATE:-500}
    for port in "${@:4}"; do servers+=$(gateway_servers "$port" 127.0.0.1); done
    local GATEWAY_LISTEN=127.0.0.1:$1 \
        GATEWAY_TLS=${PCS_GATEWAY_TLS:-} \
        GATEWAY_STATE=$2 \
        GATEWAY_ACCESS_LOG=$2/access.log \
        GATEWAY_ERROR_LOG=$2/error.log \
        GATEWAY_WEB=${PCS_WEB:-$DEV_ROOT/web} \
        GATEWAY_AUTH_SERVERS="server 127.0.0.1:$3;" \
        GATEWAY_SERVICE_SERVERS=$servers \
        GATEWAY_CORS_ORIGINS=${PCS_CORS_ORIGINS-http://localhost:3000 http://127.0.0.1:3000} \
        GATEWAY_RATE=$rate \
        GATEWAY_BURST=${PCS_GATEWAY_BURST:-$((rate * 4))} \
        GATEWAY_TRUSTED=$(gateway_trusted "${PCS_GATEWAY_TRUSTED:-}") \
        GATEWAY_WORKERS=1
    gateway_fill "$DEV_ROOT/config/gateway/nginx.conf.template" || die "the gateway's configuration could not be made"
}
