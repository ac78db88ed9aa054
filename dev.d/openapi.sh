# The API's description is judged by a validator from npm, in the version of dev.d/openapi/package-lock.json.

openapi_check() {
    local folder=build/openapi-check
    have npm || deps_apt 'nodejs npm'
    mkdir -p "$folder"
    if ! cmp -s dev.d/openapi/package-lock.json "$folder/installed.json"; then
        cp dev.d/openapi/package.json dev.d/openapi/package-lock.json "$folder/"
        quietly "$folder/npm.log" npm ci --prefix "$folder" --no-audit --no-fund --ignore-scripts || return
        cp dev.d/openapi/package-lock.json "$folder/installed.json"
    fi
    cp dev.d/openapi/lint.mjs "$folder/"
    node "$folder/lint.mjs" src/api/openapi.json
}
