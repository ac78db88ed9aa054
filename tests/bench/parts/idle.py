"""What an idle keep-alive connection costs."""

import os

from lib import cpu, load
from lib.table import num

TITLE = "idle keep-alive connections, one request each"


def run(bench, report):
    count = bench.size(10000, 200)
    with bench.rig("idle") as rig:
        rig.start_redis()
        rig.start_kos(count)
        service = rig.service()
        own = load.write(os.path.join(rig.folder, "own"), (load.get("/menu", load.token(n), service.port) for n in range(count)))
        for _ in range(2):  # every token and line known: what grows afterwards are the connections
            load.run(bench.build, own, service.port, connections=64, total=count, seconds=60)
        before = cpu.resident(service.pid)
        held = load.Load(bench.build, own, service.port, connections=count, hold=True, rate=bench.size(2000, 500))
        held.wait_for("answered")
        service.metrics()
        after = cpu.resident(service.pid)
        open_now = service.metric("pcs_http_connections")
        result = held.end()
    if open_now < count or result["answers"] < count:
        raise RuntimeError(f"{open_now} connections and {result['answers']} answers instead of {count}")
    each = (after - before) / count / 1024
    report.table(("connections", "resident before MiB", "with them MiB", "KiB each"),
                 [(count, before / 1048576, after / 1048576, each)])
    report.note("The connections come and ask one after the other, 2 000 a second, then all of them idle.")
    report.goal("resident bytes of a connection", "≤ 12 KiB", f"{num(each)} KiB", each <= 12)
