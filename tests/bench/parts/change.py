"""POST /request: two calls to KOS (20 ms each), two commits, everything on these cores."""

import os

from lib import cpu, load
from lib.rig import pick
from lib.table import ms, num

TITLE = "changes, with everything on these cores"
PRODUCTS = ("5GX_STANDARD", "LTE_BASIC", "5GX_BASIC", "LTE_PLUS", "LTE_SLIM")  # kos-sim --generate: in turn
DELAY_MS = 20


def target(n):
    return PRODUCTS[(n + 1) % len(PRODUCTS)]


def body(n):
    return {"lineNumber": load.line(n), "currentProductCode": PRODUCTS[n % len(PRODUCTS)], "targetProductCode": target(n)}


def post(n, port, bearer=None, headers=""):
    return load.post("/request", bearer or load.token(n), port, body(n), headers)


def kos_alone(bench, rig, first, count, rate, connections):
    """The two calls of a change straight to the simulator, at the same load: p50 of both together, and p99."""
    both = {"p50": 0, "p99": 0, "p999": 0}
    for path, make in (("inquiry", lambda n: {"lineNumber": load.line(n), "requestId": f"b-{n}"}),
                       ("change", lambda n: {**body(n), "requestId": f"b-{n}"})):
        requests = load.write(os.path.join(rig.folder, f"kos-{path}"), (
            load.post(f"/api/v1/kos/product/{path}", None, rig.kos.port, make(n), "X-Service-Name: bench\r\n")
            for n in range(first, first + count)))
        us = load.run(bench.build, requests, rig.kos.port, rate=rate, connections=connections, total=count, seconds=30)["us"]
        both = {k: both[k] + us[k] for k in both}
    return both


def measure(bench, rig, service, first, count, connections, rate):
    """One load of changes; everything that is told of it."""
    requests = load.write(os.path.join(rig.folder, "changes"), (post(n, service.port) for n in range(first, first + count)))
    before, metrics = service.cpu(), service.metrics()
    result = load.run(bench.build, requests, service.port, connections=connections, total=count, rate=rate, seconds=60)
    used, after = cpu.since(before, service.cpu()), service.metrics()

    def grown(name, **labels):
        return pick(after, name, **labels) - pick(metrics, name, **labels)

    commits = grown("pcs_journal_commit_seconds_count")
    answered = result["answers"]
    return {"result": result, "cpu": cpu.total(used) / answered, "threads": {k: v / answered for k, v in used.items()},
            "commits": commits, "commit_us": grown("pcs_journal_commit_seconds_sum") * 1e6 / max(commits, 1),
            "answered": answered, "pending": pick(after, "pcs_journal_pending")}


def run(bench, report):
    paced, rate = bench.size(8000, 200), bench.size(1000, 200)
    full, connections = bench.size(30000, 400), bench.size(320, 32)
    with bench.rig("change") as rig:
        rig.start_redis()
        rig.start_postgres()
        rig.start_kos(3 * paced + full + 1000, DELAY_MS)
        rig.start_mvno()
        service = rig.service(SERVER_THREADS=2)
        measure(bench, rig, service, 0, bench.size(500, 50), 32, None)  # connections, catalogue, partitions
        at_rate = measure(bench, rig, service, 1000, paced, 512, rate)
        alone = kos_alone(bench, rig, 1000 + paced, paced // 2, rate, 512)
        at_most = measure(bench, rig, service, 1000 + 2 * paced, full, connections, None)
        if rig.kos.stats()["change"]["appliedTwice"]:
            raise RuntimeError("KOS applied a change twice")
    rows = []
    for name, m in ((f"{rate}/s", at_rate), (f"{connections} at a time", at_most)):
        us = m["result"]["us"]
        rows.append((name, m["result"]["rate"], m["cpu"], ms(us["p50"]), ms(us["p99"]), ms(us["p999"]),
                     m["commits"] / m["answered"], ms(m["commit_us"]), m["pending"]))
    report.table(("load", "changes/s", "CPU µs/change", "p50 ms", "p99 ms", "p99.9 ms", "fsyncs/change", "mean commit ms",
                  "still to forward"), rows)
    us = at_rate["result"]["us"]
    added = {k: us[k] - alone[k] for k in alone}
    report.table((f"at {rate}/s", "p50 ms", "p99 ms", "p99.9 ms"),
                 [("service", *(ms(us[k]) for k in alone)), ("KOS's two calls alone", *(ms(alone[k]) for k in alone)),
                  ("added", *(ms(added[k]) for k in alone))])
    report.table(("thread", f"CPU µs/change at {rate}/s", f"at {connections} at a time"),
                 [(k, at_rate["threads"][k], at_most["threads"].get(k, 0)) for k in sorted(at_rate["threads"])])
    report.note(f"KOS answers after {DELAY_MS} ms. Redis, PostgreSQL (fsync), KOS, MVNO AP, load generator and the service "
                "share the cores; two reactors. KOS alone: p99 of both calls added up, which is more than the p99 of the sum.")
    limit = 2 * at_rate["commit_us"] + 1000
    report.goal(f"added p50 at {rate}/s", f"≤ two commits + 1 ms = {ms(limit)} ms", f"{ms(added['p50'])} ms", added["p50"] <= limit)
    report.goal(f"added p99 at {rate}/s", "≤ 25 ms", f"{ms(added['p99'])} ms", added["p99"] <= 25000)
    report.goal("changes/s", "≥ 3 000", num(at_most["result"]["rate"]), at_most["result"]["rate"] >= 3000)
    best = min(at_rate["cpu"], at_most["cpu"])
    report.goal("CPU of a change", "≤ 350 µs", f"{num(at_rate['cpu'])} and {num(at_most['cpu'])} µs", best <= 350)
