#!/usr/bin/env python3
"""Checks the Kubernetes manifests: check.py PROGRAM MANIFESTS.yaml [SCHEMA_VERSION]

Against the schemas of Kubernetes (package kubernetes-validate), and against the program itself: settings it knows, routes
it has, an end that fits into the grace period."""

import re
import subprocess
import sys

import yaml

program, manifests = sys.argv[1:3]
version = sys.argv[3] if len(sys.argv) > 3 else "1.29"
problems = []


def problem(what):
    problems.append(what)


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)(ms|s|m|h)?", str(text)).groups()
    return int(number) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600, None: 1}[unit]


def printed(option):
    return subprocess.run([program, option], capture_output=True, text=True, check=True).stdout


documents = [d for d in yaml.safe_load_all(open(manifests, encoding="utf-8")) if d]
by_kind = {}
for d in documents:
    by_kind.setdefault(d["kind"], []).append(d)

# --- the schemas ---
import kubernetes_validate  # noqa: E402

for d in documents:
    try:
        kubernetes_validate.validate(d, version, strict=True)
    except kubernetes_validate.ValidationError as e:
        problem(f"{d['kind']} {d['metadata']['name']}: {'.'.join(map(str, e.path))}: {e.message}")

# --- the program ---
settings = printed("--print-settings")
known = set(re.findall(r"`([A-Z][A-Z0-9_]+)`", settings))
routes = {line.split()[1] for line in printed("--print-routes").splitlines()}
defaults = {m[1]: m[2] for m in re.finditer(r"^\| `[^`]+` \| `([A-Z0-9_]+)` \| [^|]+ \| `?([^`|]*?)`? \|", settings, re.M)}
config = by_kind["ConfigMap"][0]["data"]
for name in config:
    if name not in known:
        problem(f"ConfigMap: {name} is no setting of the program")

workloads = by_kind["StatefulSet"] + by_kind["Job"]
for w in workloads:
    spec = w["spec"]["template"]["spec"]
    where = f"{w['kind']} {w['metadata']['name']}"
    if spec.get("enableServiceLinks") is not False:
        problem(f"{where}: enableServiceLinks must be false: a Service named redis would set REDIS_PORT")
    if not spec["securityContext"].get("runAsNonRoot"):
        problem(f"{where}: runs as root")
    secret_mounts = [m["mountPath"] for c in spec["containers"] for m in c["volumeMounts"] if m["name"] == "secrets"]
    for c in spec["containers"]:
        if not c["securityContext"]["readOnlyRootFilesystem"]:
            problem(f"{where}: the root file system can be written")
        for e in c.get("env", []):
            base = e["name"].removesuffix("_FILE")
            if base not in known and e["name"] not in known:
                problem(f"{where}: {e['name']} is no setting of the program")
            if "secret" in base.lower() or "password" in base.lower():
                if not e["name"].endswith("_FILE") or not any(e["value"].startswith(m + "/") for m in secret_mounts):
                    problem(f"{where}: {e['name']} is not read from the mounted secret")

pod = by_kind["StatefulSet"][0]["spec"]["template"]["spec"]
container = pod["containers"][0]
for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
    if container[probe]["httpGet"]["path"] not in routes:
        problem(f"{probe}: {container[probe]['httpGet']['path']} is no route of the program")
# serve.c: drain delay, the longest request and 2 s, letting go 3 s, last answers 5 s, forwarding 1 s
longest = seconds(config.get("SERVER_DRAIN_DELAY", 0)) + seconds(config.get("CHANGE_DEADLINE", defaults["CHANGE_DEADLINE"])) + 2 + 3 + 5 + 1
if pod["terminationGracePeriodSeconds"] <= longest:
    problem(f"terminationGracePeriodSeconds {pod['terminationGracePeriodSeconds']} is not longer than the shutdown, {longest} s")
mounts = {m["name"]: m["mountPath"] for m in container["volumeMounts"]}
claims = [c["metadata"]["name"] for c in by_kind["StatefulSet"][0]["spec"]["volumeClaimTemplates"]]
journal = next(e["value"] for e in container["env"] if e["name"] == "JOURNAL_PATH")
if journal not in [mounts.get(c) for c in claims]:
    problem(f"JOURNAL_PATH {journal} is on no volume of the pod's own")
if not by_kind.get("PodDisruptionBudget"):
    problem("no PodDisruptionBudget")

for p in problems:
    print(p)
print(f"{len(documents)} manifests, {len(problems)} problems (schemas of Kubernetes {version})")
sys.exit(bool(problems))
