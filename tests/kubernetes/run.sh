#!/usr/bin/env bash
# Checks packaging/kubernetes: run.sh [--kustomize]. The validator comes from the Python package index into build/tools.
# --kustomize also builds the example overlay (with kustomize, or kubectl, or one that Go builds) and checks what comes out.
set -euo pipefail
cd "$(dirname "$0")/../.."
program=${PCS_BUILD_DIR:-build}/product-change-service
tools=${PCS_BUILD_DIR:-build}/tools
[[ -x $program ]] || { echo "run.sh: $program is missing: build first" >&2; exit 2; }

python=$tools/kubernetes/bin/python3
if ! [[ -x $python ]] || ! "$python" -c 'import kubernetes_validate, yaml' 2>/dev/null; then
    mkdir -p "$tools"
    /usr/bin/python3 -m venv "$tools/kubernetes"
    "$tools/kubernetes/bin/pip" install -q --disable-pip-version-check 'kubernetes-validate==1.29.1' 'PyYAML>=6' setuptools
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for file in packaging/kubernetes/base/*.yaml; do
    [[ $file == */kustomization.yaml ]] || { cat "$file"; echo '---'; }
done >"$work/base.yaml"
"$python" tests/kubernetes/check.py "$program" "$work/base.yaml"
[[ ${1:-} == --kustomize ]] || exit 0

if command -v kustomize >/dev/null; then
    build=(kustomize build)
elif command -v kubectl >/dev/null; then
    build=(kubectl kustomize)
else
    [[ -x $tools/kustomize ]] || GOBIN=$PWD/$tools go install sigs.k8s.io/kustomize/kustomize/v5@v5.3.0
    build=("$tools/kustomize" build)
fi
cp -r packaging/kubernetes "$work/kubernetes"
mkdir -p "$work/kubernetes/example/secrets"
for name in jwt-secret mvno-webhook-secret redis-password db-password db-migrate-password history-chain-key; do
    printf 'only-for-this-check-%s' "$name" >"$work/kubernetes/example/secrets/$name"
done
"${build[@]}" "$work/kubernetes/example" >"$work/example.yaml"
"$python" tests/kubernetes/check.py "$program" "$work/example.yaml"
