"""Health, metrics, the interface's description, CORS (CONTRACT.md 1)."""

import re

import pytest

from harness.client import raw, request_bytes
from harness.wait import until
from harness.world import World

OPEN = ["/health/live", "/health/ready", "/metrics", "/openapi.json", "/actuator/health", "/actuator/health/liveness", "/actuator/health/readiness",
        "/docs", "/docs/docs.js", "/docs/docs.css"]
NEIGHBOURS = {"kos", "mvno", "redis", "postgresql"}


@pytest.mark.parametrize("path", OPEN)
def test_no_token_and_no_envelope(world, path):
    reply = world.api().get(path).expect(200)
    assert b'"success"' not in reply.body[:20]
    # A token that is bad does not matter.
    world.api("rubbish").get(path).expect(200)


@pytest.mark.parametrize("path", OPEN[4:7])
def test_actuator_names_answer_only_up_or_down(world, path):
    assert world.api().get(path).json == {"status": "UP"}


def test_ready_says_how_each_neighbour_is(world):
    ready = until(lambda: (lambda r: r if r["status"] == "UP" else None)(world.api().get("/health/ready").json), 5)
    assert set(ready["neighbours"].values()) == {"UP"} and len(ready["neighbours"]) >= 4, ready
    assert world.api().get("/health/live").json["status"] == "UP"


def test_each_neighbour_that_is_down_means_degraded_still_200(session):
    w = World(session, own_redis=True, own_postgres=True, env={"KOS_BREAKER_WINDOW": 4, "KOS_BREAKER_MINIMUM": 4, "KOS_READ_RETRIES": 0,
                                                              "KOS_BREAKER_WAIT": "1s", "MVNO_PROBE": "200ms", "LIMITS_RATE": 0})
    try:
        api = w.api()

        def seen():
            reply = api.get("/health/ready")
            assert reply.status == 200, "a neighbour never makes it unready"
            assert api.get("/actuator/health").json == {"status": "UP"}
            return reply.json["status"], {k for k, v in reply.json["neighbours"].items() if v == "DOWN"}

        until(lambda: seen() == ("UP", set()), 5)
        c = w.customer()
        w.redis.stop()
        until(lambda: seen()[0] == "DEGRADED" and len(seen()[1]) == 1, 5, "Redis down")
        w.postgres.stop()
        until(lambda: len(seen()[1]) == 2 or c.api.history() is None, 8, "PostgreSQL down")
        w.mvno.stop()
        c.change("LTE_PLUS")
        until(lambda: len(seen()[1]) == 3, 8, "MVNO AP down")
        w.kos.fault("http_status", status=500)
        for _ in range(10):
            w.customer().api.menu()
        until(lambda: len(seen()[1]) == 4, 5, "KOS down")
        assert api.get("/health/live").json["status"] == "UP", "liveness never depends on a neighbour"
        w.kos.clear()
        w.redis.start()
        w.postgres.start()
        w.mvno.start()
        until(lambda: (w.customer().api.menu(), seen())[1] == ("UP", set()), 15, "all up again")
        w.forwarded(15)
    finally:
        w.close()


def neighbours_down(world):
    reply = world.api().get("/health/ready")
    assert reply.status == 200
    down = {k for k, v in reply.json["neighbours"].items() if v == "DOWN"}
    assert reply.json["status"] == ("DEGRADED" if down else "UP"), reply
    return down


def test_kos_is_down_as_soon_as_its_calls_fail_one_after_the_other(session):
    """Long before a breaker has seen enough to open; one good answer of that operation ends it."""
    w = World(session, env={"KOS_READ_RETRIES": 0, "KOS_BREAKER_WINDOW": 10000, "KOS_BREAKER_MINIMUM": 10000})
    try:
        until(lambda: not neighbours_down(w), 5)
        fault = w.kos.fault("reset", operation="inquiry")
        for n in range(3):
            assert not neighbours_down(w), "one failure is none"
            w.customer().api.menu().expect(503)
        assert neighbours_down(w) == {"kos"}
        w.kos.clear(fault)
        w.customer().api.menu().expect(200)
        assert not neighbours_down(w)
    finally:
        w.close()


def test_kos_that_is_being_probed_is_not_up_yet(session):
    w = World(session, env={"KOS_READ_RETRIES": 0, "KOS_BREAKER_WINDOW": 4, "KOS_BREAKER_MINIMUM": 4, "KOS_BREAKER_WAIT": "100ms",
                            "KOS_BREAKER_HALF_OPEN_PERMITS": 2})
    try:
        fault = w.kos.fault("http_status", operation="inquiry", status=500)
        for _ in range(4):
            w.customer().api.menu().expect(503)
        w.kos.clear(fault)
        until(lambda: w.service.metric("pcs_breaker_state", breaker="kos.inquiry", state="HALF_OPEN") == 1, 5)
        assert neighbours_down(w) == {"kos"}
        until(lambda: (w.customer().api.menu(), not neighbours_down(w))[1], 5, "closed")
        assert w.service.metric("pcs_breaker_state", breaker="kos.inquiry", state="CLOSED") == 1
    finally:
        w.close()


def test_mvno_ap_that_refuses_connections_is_down_within_one_event(session):
    w = World(session)
    try:
        until(lambda: not neighbours_down(w), 5)
        w.mvno.stop()
        w.customer().change()
        until(lambda: neighbours_down(w) == {"mvno"}, 5)
        w.mvno.start()
        until(lambda: not neighbours_down(w), 8)
        w.forwarded()
    finally:
        w.close()


def test_postgresql_that_hangs_is_down_within_three_queries(session):
    """A table that is locked: connecting works, answers do not come. Nothing but the history is concerned."""
    w = World(session, own_postgres=True, env={"HISTORY_QUERY_DEADLINE": "500ms"})
    try:
        c = w.customer()
        c.change()
        w.forwarded()
        until(lambda: not neighbours_down(w), 5)
        lock = w.postgres.connect(w.db.name)
        lock.autocommit = False
        try:
            lock.cursor().execute("LOCK TABLE product_change.product_change_history IN ACCESS EXCLUSIVE MODE")
            # With the first where our deadline ends it; after three where PostgreSQL's own statement_timeout is faster.
            until(lambda: (c.api.history().expect(503, "SERVICE_UNAVAILABLE"), neighbours_down(w) == {"postgresql"})[1], 8)
            c.change("5GX_BASIC")
        finally:
            lock.close()  # or closing the world would wait for it
        until(lambda: (c.api.history(), not neighbours_down(w))[1], 10, "up with the first query that is answered")
        c.api.history().expect(200)
        w.forwarded()
    finally:
        w.close()


# --- metrics ---


def test_metrics_are_prometheus_text(world, customer):
    customer.change()
    customer.api.menu("01099999999")
    reply = world.api().get("/metrics")
    assert reply.headers["Content-Type"].startswith("text/plain; version=0.0.4") or "openmetrics" in reply.headers["Content-Type"]
    types, helped, seen = {}, set(), set()
    for line in reply.text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in types, f"{name} twice"
            types[name] = kind
        elif line.startswith("# HELP "):
            helped.add(line.split(" ")[2])
        elif line and not line.startswith("#"):
            m = re.fullmatch(r'([a-zA-Z_:][\w:]*)(\{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\.)*",?)*\})? (-?[\d.eE+-]+|NaN|[+-]Inf)', line)
            assert m, f"no sample: {line}"
            assert line not in seen, f"twice: {line}"
            seen.add(line.rsplit(" ", 1)[0])
            base = re.sub(r"_(bucket|sum|count)$", "", m.group(1))
            assert m.group(1) in types or base in types, f"no TYPE: {line}"
            if types.get(m.group(1)) == "counter":
                assert m.group(1).endswith("_total"), line
    assert set(types) <= helped and all(n.startswith(("pcs_", "process_")) for n in types), types
    assert customer.line not in reply.text and customer.subject not in reply.text and customer.customer_id not in reply.text


def test_metrics_of_issue_4(world, customer):
    """requests by route and status, upstream calls, breakers, bulkheads, cache, journal, changes, delivery, loop lag."""
    text = world.api().get("/metrics").text
    for name in ("pcs_http_requests_total", "pcs_kos_calls_total", "pcs_breaker_state", "pcs_bulkhead_in_flight", "pcs_bulkhead_refused_total",
                 "pcs_cache_requests_total", "pcs_journal_pending", "pcs_journal_commit_seconds", "pcs_changes_total", "pcs_journal_in_doubt"):
        assert f"# TYPE {name} " in text, name
    assert re.search(r"# TYPE pcs_\w*(loop|reactor)\w* ", text), "the loop's lag"


def test_requests_are_counted_by_route_and_status(world, customer):
    before = world.service.metric("pcs_http_requests_total", route="/menu")
    customer.api.menu().expect(200)
    customer.api.menu("01099999999").expect(403)
    assert world.service.metric("pcs_http_requests_total", route="/menu") == before + 2


# --- the interface's description ---


def openapi(world):
    return world.api().get("/openapi.json").expect(200).json


def test_openapi_is_version_3_and_has_every_route_with_its_statuses(world, session):
    """Compared with the route table that the service itself routes by (--print-routes)."""
    text = openapi(world)
    assert text["openapi"].startswith("3.")
    described = {}
    for path, operations in text["paths"].items():
        for method, operation in operations.items():
            if method in ("get", "post", "delete", "put", "patch", "options"):
                described[method.upper(), path] = {int(s) for s in operation["responses"] if s != "default"}
    assert described == session.statuses


def test_openapi_names_every_path_of_the_contract(world):
    paths = openapi(world)["paths"]
    for path in ("/menu", "/change", "/request/validation", "/request", "/request/{requestId}", "/history", "/api/v1/products/menu",
                 "/api/v1/products/customer", "/api/v1/products/customer/{lineNumber}", "/api/v1/products/available", "/api/v1/products/change/validation",
                 "/api/v1/products/change", "/api/v1/products/change/{requestId}", "/api/v1/products/history", *OPEN):
        assert path in paths, path
    assert "delete" in paths["/request/{requestId}"] and "delete" in paths["/api/v1/products/change/{requestId}"]


def test_openapi_references_resolve_and_operations_name_their_parameters(world):
    text = openapi(world)

    def walk(node, where="#"):
        if isinstance(node, dict):
            if "$ref" in node:
                target = text
                for part in node["$ref"][2:].split("/"):
                    assert part in target, f"{where}: {node['$ref']}"
                    target = target[part]
            for k, v in node.items():
                walk(v, f"{where}/{k}")
        elif isinstance(node, list):
            for n, v in enumerate(node):
                walk(v, f"{where}/{n}")

    walk(text)
    for path, operations in text["paths"].items():
        for method, operation in operations.items():
            if method not in ("get", "post", "delete"):
                continue
            names = set()
            for p in operation.get("parameters", []) + operations.get("parameters", []):
                if "$ref" in p:
                    p = text["components"]["parameters"][p["$ref"].rsplit("/", 1)[1]]
                names.add((p["in"], p["name"]))
            for parameter in re.findall(r"\{(\w+)\}", path):
                assert ("path", parameter) in names, (method, path)


# --- CORS ---


def test_without_origins_there_are_no_cors_headers(world, customer):
    reply = customer.api.menu(Origin="https://shop.example")
    assert not [h for h in reply.headers if h.lower().startswith("access-control-")]
    reply = raw(world.service.port, request_bytes("OPTIONS", "/menu", headers=[("Origin", "https://shop.example"), ("Access-Control-Request-Method", "GET")]),
                check=False)
    assert reply.status in (401, 404, 405), reply


@pytest.fixture(scope="module")
def cors(world):
    service = world.start_service(name="cors", CORS_ALLOWED_ORIGINS="https://shop.example,http://localhost:3000", JOURNAL_PATH=world.folder + "/journal-cors")
    yield service
    service.stop()


def names(value):
    return {n.strip().lower() for n in value.split(",")}


@pytest.mark.parametrize("path, method", [("/request", "POST"), ("/menu", "GET"), ("/request/0191d3a0-0000-7000-8000-000000000000", "DELETE"),
                                          ("/api/v1/products/change", "POST"), ("/api/v1/products/menu", "GET")])
def test_preflight_is_204_without_token(cors, path, method):
    """allows Authorization, Content-Type, Prefer, Idempotency-Key, X-Request-ID"""
    reply = raw(cors.port, request_bytes("OPTIONS", path, headers=[
        ("Origin", "https://shop.example"), ("Access-Control-Request-Method", method),
        ("Access-Control-Request-Headers", "authorization,content-type,idempotency-key")]))
    assert reply.status == 204 and not reply.body
    assert reply.headers["Access-Control-Allow-Origin"] == "https://shop.example"
    assert names(reply.headers["Access-Control-Allow-Headers"]) >= {"authorization", "content-type", "prefer", "idempotency-key", "x-request-id"}
    assert method.lower() in names(reply.headers["Access-Control-Allow-Methods"])
    assert "origin" in names(reply.headers["Vary"])


def test_answers_to_an_allowed_origin_expose_the_headers(world, cors, customer):
    """exposes Location, Retry-After, X-Total-Count; also on errors."""
    api = customer.api.at(cors)
    for reply in (api.menu(Origin="http://localhost:3000"), api.menu("01099999999", Origin="http://localhost:3000"),
                  world.api(service=cors).menu(Origin="http://localhost:3000"), api.get("/nothing", Origin="http://localhost:3000")):
        assert reply.headers["Access-Control-Allow-Origin"] == "http://localhost:3000", reply
        assert names(reply.headers["Access-Control-Expose-Headers"]) >= {"location", "retry-after", "x-total-count"}


def test_other_origins_get_no_permission(cors, customer):
    reply = customer.api.at(cors).menu(Origin="https://evil.example")
    assert "Access-Control-Allow-Origin" not in reply.headers
    reply = raw(cors.port, request_bytes("OPTIONS", "/menu", headers=[("Origin", "https://evil.example"), ("Access-Control-Request-Method", "GET")]), check=False)
    assert "Access-Control-Allow-Origin" not in reply.headers
    reply = customer.api.at(cors).menu(Origin="https://shop.example.evil.example")
    assert "Access-Control-Allow-Origin" not in reply.headers
