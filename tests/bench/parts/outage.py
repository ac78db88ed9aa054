"""Cached reads while KOS is hung, erroring or flapping and thousands wait for it; and how dear a 503 is."""

import itertools
import json
import os

from harness.wait import until
from lib import cpu, load
from lib.rig import pick
from lib.table import median, num
from parts.change import post

TITLE = "cached reads while KOS is out"
# All come and are measured against before the first of them is answered 503 at KOS's deadline of 5 s.
ARRIVALS = 5000


def cached(bench, service, requests, rate):
    before = service.cpu()
    result = load.run(bench.build, requests, service.port, expect=None, connections=64, rate=rate, seconds=bench.size(2.5, 0.5))
    result["ok"] = 100 * result["statuses"].get("200", 0) / max(result["sent"], 1)
    result["cpu"] = cpu.total(cpu.since(before, service.cpu())) / result["answers"]
    return result


class Callers:
    """Thousands who wait for KOS: two on each line, none of them cached, since no line is used again."""

    def __init__(self, bench, rig, service, lines, count):
        first = next(lines)
        uncached = load.write(os.path.join(rig.folder, "uncached"), (
            load.get("/menu", load.token(first + n // 2), service.port) for n in range(count)))
        self.load = load.Load(bench.build, uncached, service.port, connections=count, hold=True,
                              rate=bench.size(ARRIVALS, 500))
        self.load.wait_for("sent")

    def end(self):
        return self.load.end()


def hung(bench, rig, service, lines, count, requests, rate):
    rig.kos.fault("hang", operation="inquiry")
    callers = Callers(bench, rig, service, lines, count)
    until(lambda: service.metric("pcs_bulkhead_in_flight", bulkhead="kos.inquiry") >= min(256, count // 2), 10,
          "KOS has as many calls as it may", 0.02)
    before = service.metrics()
    result = cached(bench, service, requests, rate)
    held = rig.kos.stats()["inquiry"]["maxConcurrent"]
    callers.end()
    rig.kos.clear()
    flying, queued = (int(pick(before, f"pcs_bulkhead_{name}", bulkhead="kos.inquiry")) for name in ("in_flight", "queued"))
    return result, (f"{2 * (flying + queued)} callers waited, {flying} calls at KOS (at most {int(held)} in all this), "
                    f"{queued} in the queue, the other half on single-flight")


def service_times(service, since, status):
    """Of the answers with that status, from the access log, in µs, sorted."""
    times = []
    with open(service.process.log_path, encoding="utf-8") as f:
        f.seek(since)
        for text in f:
            if '"http.request"' in text and text.endswith("\n"):
                event = json.loads(text)
                if event["status"] == status:
                    times.append(event["milliseconds"] * 1000)
    return sorted(times)


def fail_fast(bench, rig, service, first, report):
    """The breaker is open: from the request's head to the 503."""
    count, rows = bench.size(4000, 100), []
    for name in ("kos.inquiry", "kos.change", "kos.list"):
        rig.command(service, "breakers", name, "forced-open")
    for what, make in (("POST /request", lambda n: post(n, service.port)),
                       ("GET /menu, not cached", lambda n: load.get("/menu", load.token(n), service.port))):
        requests = load.write(os.path.join(rig.folder, "refused"), (make(first + n) for n in range(count)))
        load.run(bench.build, requests, service.port, expect="503", connections=16, total=count, seconds=30)  # tokens known
        since, before = os.path.getsize(service.process.log_path), service.cpu()
        result = load.run(bench.build, requests, service.port, expect="503", connections=16, rate=bench.size(1000, 200),
                          total=count, seconds=30)
        used = cpu.total(cpu.since(before, service.cpu())) / result["answers"]
        until(lambda: len(service_times(service, since, 503)) >= result["answers"], 10, "the last lines of the log", 0.1)
        times = service_times(service, since, 503)
        rows.append((what, len(times), times[len(times) // 2], times[int(len(times) * 0.99)], used))
    report.table(("breaker open", "503", "service time p50 µs", "p99 µs", "CPU µs"), rows)
    report.note("Service time: from the complete head to the answer handed to the kernel, as in the access log "
                "(`milliseconds`). A read that is not cached asks Redis first; a refused change is also recorded afterwards.")
    report.goal("open → 503", "≤ 100 µs of service time", f"{num(rows[0][2])} µs", rows[0][2] <= 100)


def run(bench, report):
    lines, count, rate = bench.size(10000, 200), bench.size(10000, 100), bench.size(4000, 200)
    rows = []
    with bench.rig("outage") as rig:
        rig.start_redis()
        rounds = bench.size(3, 1)
        fresh = itertools.count(lines, count // 2)  # the first line of each crowd of callers
        rig.start_kos(lines + 3 * rounds * (count // 2) + 10000)
        service = rig.service(KOS_INQUIRY_MAX_QUEUE=10000, SERVER_READ_DEADLINE="30s", KOS_INQUIRY_DEADLINE="5s", KOS_LIST_DEADLINE="2s",
                              KOS_READ_RETRIES=0, LIMITS_RATE=0)
        for name in ("kos.inquiry", "kos.list"):
            rig.command(service, "breakers", name, "metrics-only")
        requests = load.write(os.path.join(rig.folder, "cached"), (
            load.get("/menu", load.token(n), service.port) for n in range(lines)))
        load.run(bench.build, requests, service.port, connections=64, total=lines, seconds=60)
        notes, healthy = [], []
        for _ in range(rounds):
            healthy.append(cached(bench, service, requests, rate))
            bad = {}
            bad["hung"], note = hung(bench, rig, service, fresh, count, requests, rate)
            notes.append(note)
            for name, fault in (("erroring", {"status": 500}), ("flapping", {"status": 500, "rate": 0.5})):
                rig.kos.fault("http_status", operation="inquiry", **fault)
                callers = Callers(bench, rig, service, fresh, count)
                bad[name] = cached(bench, service, requests, rate)
                callers.end()
                rig.kos.clear()
            rows.append(bad)
        healthy.append(cached(bench, service, requests, rate))

        def middle(of, key):
            return median([r["us"][key] for r in of])

        def row(name, of):
            ratio = middle(of, "p99") / middle(healthy, "p99")
            return (name, *(middle(of, k) for k in ("p50", "p99", "p999")), ratio, min(r["ok"] for r in of),
                    median([r["cpu"] for r in of]))

        table, ratios = [row("healthy", healthy)], {}
        for name in ("hung", "erroring", "flapping"):
            table.append(row(name, [r[name] for r in rows]))
            ratios[name] = table[-1][4]
        report.table(("KOS", "p50 µs", "p99 µs", "p99.9 µs", "p99 × healthy", "answered 200, %",
                      "CPU µs/request, waiting callers' included"), table)
        report.note(f"{lines} cached lines read at {rate}/s over 64 connections, one reactor; beside them {count} callers on "
                    f"{count // 2} lines that are not cached, who came at {ARRIVALS}/s. Hung: {notes[-1]}. Breaker metrics-only, queue 10 000.")
        report.goal("p99 of cached reads, KOS hung", "≤ 2 × healthy", f"{num(ratios['hung'])} ×", ratios["hung"] <= 2)
        fail_fast(bench, rig, service, next(fresh), report)
