"""Every request a miss on its own line: what a read costs that has to ask KOS."""

import os

from lib import cpu, load
from lib.table import ms

TITLE = "every request a miss on its own line"


def inquiry(line, n, port):
    return load.post("/api/v1/kos/product/inquiry", None, port, {"lineNumber": line, "requestId": f"bench-{n}"},
                     "X-Service-Name: bench\r\n")


def run(bench, report):
    lines, rows = bench.size(24000, 400), []
    for delay, connections, rate in ((0, 64, None), (20, 256, None), (20, 256, bench.size(1000, 200))):
        with bench.rig("cold") as rig:
            rig.start_redis()
            rig.start_kos(lines, delay)
            service = rig.service()
            first = load.write(os.path.join(rig.folder, "first"), [load.get("/menu", load.token(lines), service.port)])
            load.run(bench.build, first, service.port, expect="404", connections=1, total=1)  # connections, catalogue
            count = lines if rate is None else min(lines, rate * bench.size(5, 1))
            own = load.write(os.path.join(rig.folder, "own"),
                             (load.get("/menu", load.token(n), service.port) for n in range(count)))
            before = service.cpu()
            result = load.run(bench.build, own, service.port, connections=connections, total=count, rate=rate, seconds=60)
            used = cpu.total(cpu.since(before, service.cpu())) / result["answers"]
            asked = rig.kos.stats()["inquiry"]["received"]
            if asked < count:
                raise RuntimeError(f"only {asked} of {count} were misses")
            direct = load.write(os.path.join(rig.folder, "kos"),
                                (inquiry(load.line(n), n, rig.kos.port) for n in range(count)))
            kos = load.run(bench.build, direct, rig.kos.port, connections=connections, total=count, rate=rate, seconds=60)
            rows.append((f"{delay} ms", f"{rate}/s" if rate else f"{connections} at a time", result["rate"], used,
                         ms(result["us"]["p50"]), ms(result["us"]["p99"]), ms(kos["us"]["p50"]), ms(kos["us"]["p99"]),
                         ms(result["us"]["p50"] - kos["us"]["p50"])))
    report.table(("KOS answers after", "load", "requests/s", "CPU µs/request", "p50 ms", "p99 ms", "KOS alone p50 ms",
                  "KOS alone p99 ms", "added p50 ms"), rows)
    report.note(f"`GET /menu`, {lines} lines, each once; Redis: lease, fill. \"KOS alone\": the same inquiries at the same "
                "load straight to the simulator.")
