"""From exec to ready."""

import os
import socket
import time

from lib import load
from lib.rig import pick
from lib.table import median, num
from parts.change import post

TITLE = "exec to ready"


def ready(port):
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as s:
            s.sendall(b"GET /health/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return s.recv(12).endswith(b"200")
    except OSError:
        return False


def timed_start(service):
    """Milliseconds, looked at every millisecond."""
    begin = time.monotonic()
    service.start(wait=False)
    while not ready(service.port):
        if not service.process.running() or time.monotonic() - begin > 60:
            raise RuntimeError("it does not start:\n" + service.process.log()[-3000:])
        time.sleep(0.001)
    return (time.monotonic() - begin) * 1000


def fill(bench, rig, service, count):
    """Open changes: KOS is out, OUTAGE_MODE=hold, so each is accepted and waits."""
    admin = load.tokens.token(sub="admin", role="ADMIN")
    reads = load.write(os.path.join(rig.folder, "reads"), (
        load.get(f"/menu?lineNumber={load.line(n)}", admin, service.port) for n in range(count)))
    load.run(bench.build, reads, service.port, connections=64, total=count, seconds=120)
    for name in ("kos.inquiry", "kos.change", "kos.list"):
        rig.command(service, "breakers", name, "forced-open")
    posts = load.write(os.path.join(rig.folder, "posts"), (
        post(n, service.port, admin, "Prefer: respond-async\r\n") for n in range(count)))
    made = load.run(bench.build, posts, service.port, expect="202", connections=256, total=count, seconds=120)
    return made["answers"]


def run(bench, report):
    count, times = bench.size(100000, 200), bench.size(7, 2)
    rows, seen = [], {}
    with bench.rig("start") as rig:
        rig.start_redis()
        rig.start_kos(count)
        more = {"OUTAGE_MODE": "hold", "OUTAGE_MAX_HOLD": "1h", "LIMITS_RATE": 0, "OUTAGE_RELEASE_RATE": 1}
        service = rig.service(**more)
        for name in ("empty", "open"):
            if name == "open":
                count = fill(bench, rig, service, count)  # fewer, on a slow machine
                if pick(service.metrics(), "pcs_journal_open") < count:
                    raise RuntimeError("not all changes are open")
                name = f"{count} open changes"
            took = []
            for _ in range(times):
                service.kill()
                took.append(timed_start(service))
            seen[name] = median(took)
            rows.append((name, median(took), min(took), max(took)))
    report.table(("journal", "median ms", "best ms", "worst ms"), rows)
    report.note(f"{times} starts each after `kill -9`; ready: 200 from `/health/ready`, Redis up, no PostgreSQL.")
    empty, full = seen.values()
    report.goal("start, empty", "≤ 100 ms", f"{num(empty)} ms", empty <= 100)
    report.goal(f"start, {count} open changes", "≤ 1 000 ms", f"{num(full)} ms", full <= 1000)
