"""Journal → PostgreSQL: a backlog after an outage, and what it does to live traffic."""

import os
import time

from harness.wait import until
from lib import cpu, load
from lib.table import ms
from parts.change import post

TITLE = "a backlog goes to PostgreSQL"


def pending(service):
    return service.metric("pcs_journal_pending", sink="history")


def live(bench, service, requests, seconds):
    return load.run(bench.build, requests, service.port, connections=64, rate=bench.size(500, 100), seconds=seconds)


def run(bench, report):
    backlog = bench.size(100000, 400)
    with bench.rig("forward") as rig:
        rig.start_redis()
        rig.start_postgres()
        rig.start_kos(backlog + 20000)
        service = rig.service(SERVER_THREADS=2, LIMITS_RATE=0)
        admin = load.tokens.token(sub="admin", role="ADMIN")
        cached = load.write(os.path.join(rig.folder, "cached"), (
            load.get("/menu", load.token(backlog + n), service.port) for n in range(1000)))
        load.run(bench.build, cached, service.port, connections=32, total=1000, seconds=30)
        quiet = live(bench, service, cached, bench.size(3, 0.5))
        rig.postgres.stop()
        posts = load.write(os.path.join(rig.folder, "posts"), (post(n, service.port, admin) for n in range(backlog)))
        made = load.run(bench.build, posts, service.port, connections=128, total=backlog, seconds=120)
        backlog = made["answers"]  # less than wanted, on a slow machine
        waiting = pending(service)
        rig.postgres.start()
        until(lambda: pending(service) != waiting, 60, "it has noticed that PostgreSQL is back", 0.02)
        # A tiny backlog may be gone within one look; then all of it counts.
        begin, left, before = time.monotonic(), pending(service) or waiting, service.cpu()
        busy = live(bench, service, cached, bench.size(3, 0.2))
        until(lambda: pending(service) == 0, 120, "every row is forwarded", 0.02)
        took = time.monotonic() - begin
        used = {k: v / left for k, v in cpu.since(before, service.cpu()).items()}
        rows = rig.db.rows("SELECT count(*) AS n FROM product_change.product_change_history")[0]["n"]
        if rows != backlog:
            raise RuntimeError(f"{rows} rows in the history instead of {backlog}")
    report.table(("changes in the backlog", "made at changes/s", "rows forwarded/s", "seconds", "CPU µs/row history", "journal"),
                 [(backlog, made["rate"], left / took, took, used.get("history", used.get("history-writer")), used.get("journal"))])
    report.table(("cached GET /menu at 500/s", "p50 ms", "p99 ms"),
                 [("nothing to forward", ms(quiet["us"]["p50"]), ms(quiet["us"]["p99"])),
                  ("during the backlog", ms(busy["us"]["p50"]), ms(busy["us"]["p99"]))])
    report.note(f"PostgreSQL stopped, {backlog} changes, PostgreSQL started again (fsync on). Each change is one row of the "
                "history and its calls to KOS. Every row arrived, none twice.")
