"""Does it stay flat: reactors, customers in the cache, rows in the history."""

import os

from harness import tokens
from lib import cpu, load

TITLE = "one and two reactors, more customers, more history"


def reads(bench, rig, rows):
    """Reactors × customers: 10 000 of them read in turn."""
    sizes = bench.size((1000, 10000, 100000) + ((1000000,) if bench.full else ()), (100, 200))
    rig.start_kos(max(sizes))
    filled, admin = 0, tokens.token(sub="admin", role="ADMIN")
    services = {n: rig.service(SERVER_THREADS=n, name=f"service{n}") for n in (1, 2)}
    for size in sizes:
        fill = load.write(os.path.join(rig.folder, "fill"), (
            load.get(f"/menu?lineNumber={load.line(n)}", admin, services[2].port) for n in range(filled, size)))
        load.run(bench.build, fill, services[2].port, connections=64, total=size - filled, seconds=300)
        filled = size
        step = max(1, size // 10000)
        for threads, service in services.items():
            requests = load.write(os.path.join(rig.folder, "own"), (
                load.get("/menu", load.token(n), service.port) for n in range(0, size, step)))
            load.run(bench.build, requests, service.port, connections=64, total=min(size, 10000), seconds=60)
            before = service.cpu()
            result = load.run(bench.build, requests, service.port, connections=64, seconds=bench.size(2, 0.3))
            used = cpu.total(cpu.since(before, service.cpu())) / result["answers"]
            rows.append((threads, size, used, result["rate"], result["us"]["p50"], result["us"]["p99"]))


HISTORY = """
INSERT INTO product_change.product_change_history (request_id, requested_at, line_number, customer_id, current_product_code,
  target_product_code, status, result_code, result_message, validated_at, processed_at, instance)
SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(n %% 4096), 3, '0') || '8' ||
        lpad(to_hex(n), 15, '0'))::uuid, at, '010' || lpad((10000000 + n %% %(lines)s)::text, 8, '0'), 'CUST' || n %% %(lines)s,
       'LTE_BASIC', 'LTE_PLUS', 'COMPLETED', '0000', '상품 변경이 완료되었습니다', at, at, 'bench'
FROM (SELECT n, date_trunc('month', now()) - (n %% %(months)s) * interval '1 month' + (n %% 2000000) * interval '1 second' AS at
      FROM generate_series(%(from)s::bigint, %(to)s::bigint - 1) AS n) AS rows
"""
MONTHS, LINES = 12, 1000


def fill_history(rig, start, end):
    connection = rig.postgres.connect(rig.db.name)
    cursor = connection.cursor()
    cursor.execute(HISTORY, {"from": start, "to": end, "lines": LINES, "months": MONTHS})
    cursor.execute("ANALYZE product_change.product_change_history")
    connection.close()


def make_months(rig):
    connection = rig.postgres.connect(rig.db.name)
    cursor = connection.cursor()
    for n in range(MONTHS + 1):
        cursor.execute("SELECT product_change.ensure_partition(date_trunc('month', now()) - %s * interval '1 month')", (n,))
    connection.close()


def history(bench, rig, rows):
    sizes = bench.size((10000, 100000, 1000000), (1000, 2000))
    make_months(rig)
    service, filled, queries = rig.service(), 0, bench.size(LINES, 50)
    for size in sizes:
        fill_history(rig, filled, size)
        filled = size
        for what, query in (("all", ""), ("one month", "?startDate={0}-01&endDate={0}-28".format(month()))):
            requests = load.write(os.path.join(rig.folder, "history"), (
                load.get("/history" + query, load.token(n), service.port) for n in range(queries)))
            load.run(bench.build, requests, service.port, connections=2, total=queries, seconds=60)
            before = service.cpu()
            result = load.run(bench.build, requests, service.port, connections=2, total=queries, seconds=60)
            used = cpu.total(cpu.since(before, service.cpu())) / result["answers"]
            rows.append((size, what, size // LINES, used, result["us"]["p50"], result["us"]["p99"]))


def month():
    import datetime
    first = datetime.date.today().replace(day=1)
    return (first - datetime.timedelta(days=1)).strftime("%Y-%m")


def run(bench, report):
    with bench.rig("scale") as rig:
        rig.start_redis()
        rows = []
        reads(bench, rig, rows)
        report.table(("reactors", "customers in the cache", "CPU µs/request", "requests/s", "p50 µs", "p99 µs"), rows)
        report.note("Cached `GET /menu`, 64 connections, up to 10 000 of the customers in turn. Load generator and Redis are on "
                    "the same cores: with two reactors it is the CPU per request that tells.")
    with bench.rig("scale") as rig:
        rig.start_redis()
        rig.start_postgres()
        rows = []
        history(bench, rig, rows)
        report.table(("rows in the history", "query", "rows of the line", "CPU µs/query", "p50 µs", "p99 µs"), rows)
        report.note(f"`GET /history`, first page of ten, {LINES} lines, {MONTHS} monthly partitions, two queries at a time. The "
                    "more rows a line has, the more its total counts; a month looks into one partition.")
