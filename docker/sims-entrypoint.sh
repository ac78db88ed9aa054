#!/bin/sh
# The simulators take secrets from the environment; here they come from files. Then the simulator is process 1.
set -eu
for name in JWT_SECRET MVNO_WEBHOOK_SECRET; do
    eval "file=\${${name}_FILE:-}"
    [ -z "$file" ] || export "$name=$(cat "$file")"
done
exec "$@"
