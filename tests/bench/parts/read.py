"""Cached GET /menu and GET /change beside nginx answering the same bytes, in alternating rounds."""

import os
import subprocess

from harness.servers import Redis
from lib import cpu, load
from lib.nginx import Nginx
from lib.table import median, num

TITLE = "cached reads, beside nginx answering the same bytes"
PATHS = ("/menu", "/change")


def measure(bench, pid, requests, port, seconds):
    before = cpu.threads(pid)
    result = load.run(bench.build, requests, port, connections=64, seconds=seconds)
    used = cpu.total(cpu.since(before, cpu.threads(pid)))
    return {"cpu": used / result["answers"], "rate": result["rate"], **result["us"], "answers": result["answers"]}


def run(bench, report):
    lines = bench.size(10000, 500)
    rounds, seconds = bench.size(5, 1), bench.size(2.0, 0.3)
    with bench.rig("read") as rig:
        rig.start_redis()
        rig.start_kos(lines)
        service = rig.service()
        bearers = [load.token(n) for n in range(lines)]
        rows = []
        for path in PATHS:
            own = load.write(os.path.join(rig.folder, "own"), (load.get(path, t, service.port) for t in bearers))
            load.run(bench.build, own, service.port, connections=32, total=lines, seconds=60)  # fills the cache
            sample = bench.http_get(service.url + path, bearers[1])
            headers = dict(sample.headers)
            quiet = rig.add(Nginx(rig.folder, {path: (headers, sample.text)}))
            logging = rig.add(Nginx(rig.folder, {path: (headers, sample.text)}, access_log=True))
            same = quiet.answer.content == sample.content
            contenders = [("service", service.pid, service.port, own)]
            for name, nginx in (("nginx", quiet), ("nginx, access log", logging)):
                theirs = load.write(os.path.join(rig.folder, f"nginx-{nginx.port}"),
                                    (load.get(path, t, nginx.port) for t in bearers))
                contenders.append((name, nginx.pid, nginx.port, theirs))
            seen = {name: [] for name, *_ in contenders}
            for _ in range(rounds):
                for name, pid, port, requests in contenders:
                    seen[name].append(measure(bench, pid, requests, port, seconds))
            base = seen["nginx"]
            for name in seen:
                of = seen[name]
                ratio = median([a["cpu"] / b["cpu"] for a, b in zip(of, base)])
                rows.append((path, name, median([r["cpu"] for r in of]), ratio, median([r["rate"] for r in of]),
                             median([r["p50"] for r in of]), median([r["p99"] for r in of])))
            ratio = next(r[3] for r in rows if r[0] == path and r[1] == "service")
            if path == "/menu":
                report.goal("CPU of GET /menu", "≤ 1.8 × nginx (aim 1.6 ×)", f"{num(ratio)} ×", ratio <= 1.8)
            report.note(f"`{path}`: {len(sample.content)} bytes of body, {'the same' if same else 'NOT the same'} from nginx.")
        report.table(("path", "server", "CPU µs/request", "× nginx", "requests/s", "p50 µs", "p99 µs"), rows)
        report.note(f"{lines} tokens and lines in turn, token checked, one Redis GET each, access log as shipped into a "
                    f"file, 64 connections, one reactor; {rounds} alternating rounds of {seconds} s, medians.")
        redis_limit(rig, report, bench)


def redis_limit(rig, report, bench):
    """What Redis alone gives: GET of one value, as many connections without and with pipelining."""
    rows = []
    for pipeline in (1, 16):
        out = subprocess.run(["redis-benchmark", "-p", str(rig.redis.port), "-a", Redis.password, "-n",
                              str(bench.size(100000, 5000)), "-c", "64", "-d", "1000", "-P", str(pipeline), "-t", "get", "--csv"],
                             capture_output=True, text=True, check=True).stdout
        last = [line for line in out.splitlines() if line.startswith('"GET"')][-1].replace('"', "").split(",")
        rows.append((f"GET, pipeline {pipeline}", float(last[1]), float(last[4]) * 1000, float(last[6]) * 1000))
    report.table(("redis-benchmark, 64 connections", "requests/s", "p50 µs", "p99 µs"), rows)
