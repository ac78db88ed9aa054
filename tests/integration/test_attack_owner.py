"""Whose line, whose change: a customer against another one on every route there is (issue 5; UFR-AUTH-020). The answer is the same
whether the other's line or change exists or not, and nothing of the other's is looked up."""

import itertools
import json
import re
import secrets
import uuid

import pytest
import requests

from harness import ports
from harness import siege as siege_module
from harness.client import raw, request_bytes
from harness.siege import Siege
from harness.tokens import dashed

ENV = {**siege_module.ENV, "LIMITS_RATE": 0}
OPEN = {"/health/live", "/health/ready", "/metrics", "/openapi.json", "/docs", "/docs/docs.js", "/docs/docs.css", "/actuator/health", "/actuator/health/liveness", "/actuator/health/readiness"}


@pytest.fixture(scope="module")
def siege(world):
    s = Siege(world)
    yield s
    s.over()


@pytest.fixture(scope="module")
def mallory(world):
    return world.customer()


@pytest.fixture(scope="module")
def owned(world, siege):
    """A change that the victim has: refused by the pre-check, so recorded without an order."""
    reply = siege.victim.api.change(siege.victim.body("LTE_LEGACY"), Idempotency_Key='"victims-key"').expect(409, "VALIDATION_FAILED")
    siege.on_purpose(rows=1)
    return reply.error["requestId"]


def plain(reply):
    """The answer without what differs between any two answers."""
    error = {k: v for k, v in reply.error.items() if k not in ("timestamp", "correlationId", "path")}
    return reply.status, error


def all_routes(session):
    return sorted(session.statuses)


def lines_in(siege, mallory, path):
    """Every place in which a line could be named."""
    victim, nobody = siege.victim.line, "01099997777"
    for line in (victim, nobody):
        spelled = [line, dashed(line), "%30" + line[1:], line.replace("0", "%30")]
        if "{lineNumber}" in path:
            for s in spelled:
                yield line, path.replace("{lineNumber}", s), {}
        else:
            for s in spelled:
                yield line, f"{path}?lineNumber={s}", {}
            yield line, f"{path}?lineNumber={mallory.line}&lineNumber={line}", {}
            yield line, f"{path}?lineNumber={line}&lineNumber={mallory.line}", {}


READS = ["/menu", "/change", "/history", "/api/v1/products/menu", "/api/v1/products/customer", "/api/v1/products/customer/{lineNumber}", "/api/v1/products/history"]
ORDERS = ["/request", "/request/validation", "/api/v1/products/change", "/api/v1/products/change/validation"]
CHANGES = ["/request/{requestId}", "/api/v1/products/change/{requestId}"]
NO_LINE = ["/api/v1/products/available"]


def test_every_route_is_looked_at_here(session):
    """A new route has to be put into one of the lists above."""
    known = set(READS) | set(ORDERS) | set(CHANGES) | set(NO_LINE) | OPEN
    assert {path for _, path in all_routes(session)} == known


@pytest.mark.parametrize("path", READS + ORDERS + CHANGES + NO_LINE)
def test_without_a_token_every_route_is_401(session, siege, path, owned):
    for method, route in all_routes(session):
        if route == path:
            url = path.replace("{lineNumber}", siege.victim.line).replace("{requestId}", owned)
            reply = raw(siege.service.port, request_bytes(method, url, None, b"", [("Content-Length", "0")]))
            assert reply.status == 401 and siege.victim.line not in reply.text.replace(url, ""), reply


@pytest.mark.parametrize("path", READS)
def test_anothers_line_cannot_be_read_anywhere(world, siege, mallory, path):
    """403 (400 where it is named twice), the same for a line that does not exist; KOS is not asked, nothing is cached."""
    before = len(world.kos.calls(line=siege.victim.line))
    seen = {}
    for line, url, _ in lines_in(siege, mallory, path):
        reply = raw(siege.service.port, request_bytes("GET", url, mallory.token), check=False)
        assert reply.status == (400 if url.count("lineNumber=") == 2 else 403), (url, reply)
        shape = url.replace(dashed(line), "L").replace(line.replace("0", "%30"), "L").replace("%30" + line[1:], "L").replace(line, "L")
        seen.setdefault(shape, {})[line] = plain(reply)
    assert all(len(set(json.dumps(a, sort_keys=True) for a in answers.values())) == 1 for answers in seen.values()), seen
    assert len(world.kos.calls(line=siege.victim.line)) == before and not world.kos.calls(line="01099997777")


@pytest.mark.parametrize("path", READS)
@pytest.mark.parametrize("header", ["X-Line-Number", "X-User-Line", "X-User-ID", "X-User-Role", "X-Customer-ID", "X-User-Permissions", "X-Token-Line", "X_Line_Number", "Line-Number", "X-Original-URL", "Forwarded", "X-Forwarded-User", "X-Auth-Request-User", "X-Gateway-Request"])
def test_headers_give_nobody_another_line(siege, mallory, path, header):
    """They are ignored: the answer is the token's own line (issue 5, point 1)."""
    for value in (siege.victim.line, siege.victim.subject, "ADMIN", "admin", f"lineNumber={siege.victim.line}"):
        url = path.replace("{lineNumber}", mallory.line)
        reply = raw(siege.service.port, request_bytes("GET", url, mallory.token, headers=[(header, value)]), check=False)
        assert reply.status in (200, 404) and siege.victim.line not in reply.text and siege.victim.customer_id not in reply.text, reply


@pytest.mark.parametrize("path", ORDERS)
def test_nothing_can_be_ordered_for_anothers_line(world, siege, mallory, path):
    before = len(world.kos.calls(line=siege.victim.line))
    answers = []
    for line in (siege.victim.line, "01099997777"):
        for spelled in (line, dashed(line), "-" + line, line + "-"):
            for more in ({}, {"customerId": siege.victim.customer_id}, {"role": "ADMIN"}, {"userId": siege.victim.subject}):
                body = json.dumps({"lineNumber": spelled, "currentProductCode": "LTE_BASIC", "targetProductCode": "LTE_PLUS", **more}).encode()
                for headers in ([], [("X-User-Role", "ADMIN")], [("Prefer", "respond-async")], [("Idempotency-Key", "victims-key")]):
                    reply = raw(siege.service.port, request_bytes("POST", path, mallory.token, body, [("Content-Type", "application/json"), ("Content-Length", str(len(body))), *headers]))
                    assert reply.status in (403, 400), (spelled, reply)
                    answers.append((line, spelled.replace(line, "L").replace(dashed(line), "L"), plain(reply)))
    for shape in {a[1] for a in answers}:
        assert len({json.dumps(a[2], sort_keys=True) for a in answers if a[1] == shape}) == 1, "no hint whether the line exists"
    assert len(world.kos.calls(line=siege.victim.line)) == before
    siege.nothing_was_ordered()


@pytest.mark.parametrize("path, method", itertools.product(CHANGES, ("GET", "DELETE")))
def test_anothers_change_is_one_that_does_not_exist(siege, mallory, owned, path, method):
    """404 with the same words as for an id that nobody has; waiting does not help; nor do other spellings of the id."""
    wanted = None
    for request_id in (owned, str(uuid.UUID(int=uuid.UUID(owned).int + 1)), owned.upper(), owned.replace("-", ""), "{" + owned + "}", "urn:uuid:" + owned, owned + "%20", f"{owned}%00"):
        for query in ("", "?wait=0", "?wait=1"):
            url = path.replace("{requestId}", request_id) + (query if method == "GET" else "")
            reply = raw(siege.service.port, request_bytes(method, url, mallory.token), check=False)
            if "%00" in request_id:
                assert reply.status == 400, reply
                continue
            assert reply.status == 404 and reply.code == "REQUEST_NOT_FOUND", (url, reply)
            wanted = wanted or plain(reply)
            assert plain(reply) == wanted, (url, reply)
            assert siege.victim.line not in reply.text and "LTE_LEGACY" not in reply.text
    mine = siege.victim.api.result(owned).expect(200).data
    assert mine["processStatus"] == "FAILED", "its owner sees it as before"


def test_anothers_idempotency_key_is_not_mine(world, siege, mallory, owned):
    """Scope is the token's subject: neither a replay of the other's answer, nor a 422 that tells that the key is in use."""
    reply = mallory.api.change(mallory.body("LTE_LEGACY"), Idempotency_Key='"victims-key"').expect(409, "VALIDATION_FAILED")
    siege.on_purpose(rows=1)
    assert reply.error["requestId"] != owned and "Idempotent-Replayed" not in reply.headers
    again = siege.victim.api.change(siege.victim.body("LTE_LEGACY"), Idempotency_Key='"victims-key"').expect(409)
    assert again.headers["Idempotent-Replayed"] == "true" and again.error["requestId"] == owned


def test_the_same_subject_with_another_line_sees_its_own_line_only(world, siege, owned):
    """The line decides, not the name: an issuer may reuse subjects."""
    other = world.customer(subject=siege.victim.subject)
    other.api.menu(siege.victim.line).expect(403)
    other.api.result(owned).expect(404, "REQUEST_NOT_FOUND")
    history = other.api.history().expect(200).data
    assert history["pagination"]["totalElements"] == 0


def test_a_token_with_many_lines_is_bound_to_them(world, siege):
    lines = [world.customer().line for _ in range(16)]
    api = world.api(world.token(sub="many", customerId="C", lineNumber=None, lineNumbers=lines))
    for line in lines:
        api.menu(line).expect(200)
    api.menu(siege.victim.line).expect(403, "FORBIDDEN")


# --- the operator's surface ---

ADMIN_PATHS = ["/admin/status", "/admin/metrics", "/admin/breakers", "/admin/doubts", "/admin/deliveries", "/admin/trace?line=01012345678", "/admin/slots"]


def test_the_operators_surface_is_on_its_own_doors_only(world, siege, mallory, tmp_path):
    """Not on the customers' port whatever is sent along; and the customers' routes are not on the operator's."""
    token = secrets.token_hex(24)
    file = tmp_path / "token"
    file.write_text(token)
    port = ports.take()
    service = world.start_service(name="operator", ADMIN_PORT=port, ADMIN_TOKEN_FILE=str(file), JOURNAL_PATH=world.folder + "/journal-operator")
    service.never_in_log = [token]
    try:
        for path, bearer in itertools.product(ADMIN_PATHS, (None, mallory.token, token, world.token(sub="a", role="ADMIN"))):
            for method in ("GET", "PUT", "POST", "DELETE"):
                reply = raw(service.port, request_bytes(method, path, bearer, headers=[("Content-Length", "0"), ("Host", f"127.0.0.1:{port}")][:1]), check=False)
                assert reply.status == 404, (method, path, reply)
        for path in READS + ORDERS + ["/metrics", "/openapi.json", "/health/live"]:
            reply = raw(port, request_bytes("GET", path.replace("{lineNumber}", siege.victim.line), token, host=f"127.0.0.1:{port}"), check=False)
            assert reply.status == 404, (path, reply)
    finally:
        service.stop()


def test_the_admin_port_cannot_be_reached_by_a_web_page(world, mallory, tmp_path):
    """DNS rebinding: a page's own name in Host is 403 even with the token; without the token every address is 401. The token counts in
    Authorization only: not in the query, a cookie or another header. A customer's token, also an ADMIN's, is none."""
    token = secrets.token_hex(24)
    file = tmp_path / "token"
    file.write_text(token)
    port = ports.take()
    service = world.start_service(name="rebind", ADMIN_PORT=port, ADMIN_TOKEN_FILE=str(file), JOURNAL_PATH=world.folder + "/journal-rebind")
    service.never_in_log = [token]
    try:
        def status(host, bearer=None, path="/admin/status", method="GET", more=()):
            return raw(port, request_bytes(method, path, bearer, headers=[("Content-Length", "0"), *more], host=host), check=False).status

        good = f"127.0.0.1:{port}"
        assert status(good, token) == 200 and status(f"localhost:{port}", token) == 200
        for host in ("evil.example", f"evil.example:{port}", f"127.0.0.1.evil.example:{port}", f"127.0.0.1@evil.example:{port}", f"rebind.network:{port}", "0", "0.0.0.0", "[::1]", "2130706433", "0x7f000001", "127.1", f"127.0.0.1:{port}.evil.example", "localhost.", "LOCALHOST.evil.example", "127.0.0.1 evil.example", " "):
            assert status(host, token) in (400, 403), host
            for path, method in itertools.product(ADMIN_PATHS, ("GET", "PUT", "POST")):
                assert status(host, token, path, method) in (400, 403, 404, 405), (host, path)
        for bearer in (None, "", token[:-1], token + "0", token.upper(), mallory.token, world.token(sub="a", role="ADMIN")):
            assert status(good, bearer) == 401, bearer
        for more in ([("Cookie", f"token={token}")], [("X-Admin-Token", token)], [("X-Authorization", f"Bearer {token}")], [("Proxy-Authorization", f"Bearer {token}")], [("Authorization", f"Basic {token}")], [("Authorization", token)]):
            assert status(good, None, more=more) == 401, more
        assert status(good, None, f"/admin/status?token={token}&access_token={token}") == 401
        assert status(good, token, more=[("Authorization", f"Bearer {token}")]) == 400, "twice"
        preflight = raw(port, request_bytes("OPTIONS", "/admin/status", None, headers=[("Origin", "http://evil.example"), ("Access-Control-Request-Method", "GET")], host=good), check=False)
        assert not [h for h in preflight.headers if h.lower().startswith("access-control")], "a page is allowed nothing"
    finally:
        service.stop()


def test_metrics_and_health_tell_nothing_of_customers(world, siege, owned):
    """They need no token, so there is nothing in them that a stranger may not know (issue 5, point 9)."""
    for path in sorted(OPEN):
        text = requests.get(world.service.url + path, timeout=5).text
        assert not re.search(r"(?<![\d.])010-?\d{4}-?\d{4}(?!\d)", text.replace("010-1234-5678", "").replace("01012345678", "")) or path == "/openapi.json", path
        for private in (siege.victim.line, siege.victim.customer_id, siege.victim.subject, owned, "통합시험", *world.issued):
            assert private not in text, (path, private)
