"""The form of errors, bad input, and the order of checks: the first hit wins (CONTRACT.md 1)."""

import datetime
import itertools
import json
import re
import socket
import time

import pytest

from harness import checks, tokens
from harness.client import FAMILIES, raw, request_bytes
from harness.wait import until

# A burst of 2 so that a caller can be driven over the rate at will; it comes back slowly.
ENV = {"LIMITS_RATE": 1, "LIMITS_BURST": 3}


@pytest.fixture
def free(world):
    """A caller whose rate was never used."""
    return world.customer()


def post_bytes(path, token, body, type_="application/json", length=True, more=()):
    headers = list(more)
    if type_:
        headers.append(("Content-Type", type_))
    if length:
        headers.append(("Content-Length", str(len(body))))
    return request_bytes("POST", path, token, body, headers)


# --- the form ---


def test_error_form(world, free, family):
    """success false; code, message, timestamp, path, correlationId; details a string."""
    reply = free.api.on(family).menu("01099999999", X_Request_ID="form-1").expect(403, "FORBIDDEN")
    assert reply.json["success"] is False and reply.error["correlationId"] == "form-1"
    assert reply.error["message"] == "서비스 이용 권한이 없습니다"
    assert reply.error["path"].endswith(FAMILIES[family]["menu"])
    assert abs(checks.time(reply.error["timestamp"]).timestamp() - time.time()) < 60


@pytest.mark.parametrize("accept", ["application/problem+json", "text/html, application/problem+json;q=0.9",
                                    "application/problem+json, application/json;q=0.5"])
def test_rfc_9457_problem_on_request(world, free, family, accept):
    """type urn:pcs:<code>, title = message, status, detail = details, and all members of error at top level."""
    reply = free.api.on(family).change(free.body("LTE_LEGACY"), Accept=accept).expect(409)
    p = reply.json
    assert p["type"] == "urn:pcs:VALIDATION_FAILED" and p["title"] == "상품 사전 체크에 실패하였습니다" and p["status"] == 409
    assert p["detail"] == p["details"] and p["checks"] and p["requestId"]


@pytest.mark.parametrize("accept", ["application/json", "*/*", None, "application/problem+xml"])
def test_no_problem_without_being_asked(world, free, accept):
    reply = free.api.menu("01099999999", Accept=accept).expect(403)
    assert reply.headers["Content-Type"].startswith("application/json")


@pytest.mark.parametrize("language, english", [("en", True), ("en-US,en;q=0.9,ko;q=0.8", True), ("ko", False), ("ko-KR,ko;q=0.9,en;q=0.1", False),
                                               ("fr", False), ("", False)])
def test_language(world, free, language, english):
    """Korean by default, English for Accept-Language: en."""
    reply = free.api.menu("01099999999", check=False, **({"Accept_Language": language} if language else {})).expect(403)
    assert bool(checks.HANGUL.search(reply.error["message"])) != english


@pytest.mark.parametrize("sent, kept", [("abc-DEF_1.2:3", True), ("x" * 128, True), ("x" * 129, False), ("a b", False), ("한글", False),
                                        ("a/b", False), ("a;b", False)])
def test_x_request_id_is_taken_when_it_is_one_and_made_otherwise(world, free, sent, kept):
    reply = free.api.menu(X_Request_ID=sent.encode(), check=False).expect(200)
    assert (reply.headers["X-Request-ID"] == sent) == kept
    assert re.fullmatch("[A-Za-z0-9._:-]{1,128}", reply.headers["X-Request-ID"])


# --- 404, 405 ---


@pytest.mark.parametrize("path", ["/", "/nothing", "/menu/", "/Menu", "//menu", "/menu/x", "/request/a/b", "/api/v1/products", "/api/v1/products/",
                                  "/api/v1/products/request", "/product/menu", "/%6Denu", "/../menu", "/api/v2/products/menu"])
def test_unknown_paths_are_404(world, free, path):
    reply = raw(world.service.port, request_bytes("GET", path, free.token), check=False)
    assert reply.status == 404 and reply.code == "NOT_FOUND", reply
    reply = raw(world.service.port, request_bytes("GET", path), check=False)
    assert reply.status == 404, "path before token"


@pytest.mark.parametrize("method, path", [
    ("POST", "/menu"), ("DELETE", "/menu"), ("PUT", "/request"), ("GET", "/request"), ("PATCH", "/request"), ("GET", "/request/validation"),
    ("POST", "/history"), ("POST", "/api/v1/products/menu"), ("GET", "/api/v1/products/change"), ("PUT", "/api/v1/products/change/validation"),
    ("POST", "/health/live"), ("DELETE", "/metrics"), ("POST", "/api/v1/products/customer"),
])
def test_wrong_methods_are_405_with_allow(world, free, method, path):
    if (method, path) == ("GET", "/request/validation"):
        # {requestId} would match: either is a fair answer, an order or a result is not
        reply = raw(world.service.port, request_bytes(method, path, free.token), check=False)
        assert reply.status in (404, 405), reply
        return
    reply = raw(world.service.port, request_bytes(method, path, None, headers=[("Content-Length", "0")]))
    assert reply.status == 405 and reply.code == "METHOD_NOT_ALLOWED", reply
    assert method not in reply.headers["Allow"]


# --- malformed HTTP ---


def malformed(path, token):
    body = json.dumps({}).encode()
    good = [("Content-Type", "application/json")]
    n = str(len(body))
    return {
        "two lengths": request_bytes("POST", path, token, body, good + [("Content-Length", n), ("Content-Length", "3")]),
        "length and chunked": request_bytes("POST", path, token, b"0\r\n\r\n", good + [("Content-Length", n), ("Transfer-Encoding", "chunked")]),
        "two hosts": request_bytes("GET", "/menu", token, b"", [("Host", "other")]),
        "no host": request_bytes("GET", "/menu", token, b"", host=None),
        "space before colon": b"GET /menu HTTP/1.1\r\nHost: t\r\nX-A : b\r\n\r\n",
        "folded header": b"GET /menu HTTP/1.1\r\nHost: t\r\nX-A: b\r\n c\r\n\r\n",
        "no token as name": b"GET /menu HTTP/1.1\r\nHost: t\r\nX(A: b\r\n\r\n",
        "control character": b"GET /menu HTTP/1.1\r\nHost: t\r\nX-A: b\x01c\r\n\r\n",
        "nul": b"GET /menu HTTP/1.1\r\nHost: t\r\nX-A: b\x00c\r\n\r\n",
        "bare line feeds": b"GET /menu HTTP/1.1\nHost: t\n\n",
        "gzip, chunked": request_bytes("POST", path, token, b"0\r\n\r\n", good + [("Transfer-Encoding", "gzip, chunked")]),
        "minus length": request_bytes("POST", path, token, b"", good + [("Content-Length", "-1")]),
        "length that is no number": request_bytes("POST", path, token, b"", good + [("Content-Length", "1x")]),
        "absolute form": request_bytes("GET", "http://test/menu", token),
    }


@pytest.mark.parametrize("what", sorted(malformed("/request", "t")))
def test_malformed_http_is_400_and_the_connection_ends(world, free, what):
    data = malformed("/request", free.token)[what]
    with socket.create_connection(("127.0.0.1", world.service.port), 5) as s:
        s.settimeout(5)
        s.sendall(data)
        s.sendall(request_bytes("GET", "/health/live"))
        seen = b""
        while chunk := _receive(s):
            seen += chunk
    assert seen.startswith(b"HTTP/1.1 400 "), seen[:200]
    assert b"HTTP/1.1 200" not in seen, "nothing of the same connection is served afterwards"
    assert not free.orders()


def _receive(s):
    try:
        return s.recv(65536)
    except (ConnectionResetError, socket.timeout):
        return b""


def test_duplicate_authorization_is_not_the_first_that_fits(world, free):
    other = world.customer()
    reply = raw(world.service.port, request_bytes("GET", f"/menu?lineNumber={other.line}", free.token,
                                                  headers=[("Authorization", f"Bearer {other.token}")]), check=False)
    assert reply.status in (400, 401, 403), reply


# --- 431, token over 4 KiB ---


@pytest.mark.parametrize("size, status", [(5000, 200), (7000, 431), (40000, 431)])
def test_request_head_over_6_kib_is_431(world, free, size, status):
    filler = [("X-Filler", "x" * (size - 700))]
    reply = raw(world.service.port, request_bytes("GET", "/menu", free.token, headers=filler), check=False)
    assert reply is not None and reply.status == status, reply
    if status == 431:
        assert reply.code == "HEADERS_TOO_LARGE"


def test_431_has_the_errors_form(world, free):
    reply = raw(world.service.port, request_bytes("GET", "/menu", free.token, headers=[("X-Filler", "x" * 6000)]), check=False)
    assert reply.status == 431 and reply.code == "HEADERS_TOO_LARGE" and reply.json["success"] is False


def test_a_token_over_4_kib_is_401(world, free):
    long = world.token(sub="long", lineNumber=free.line, customerId="C", filler="x" * 3200)
    assert 4096 < len(long) < 5400
    raw_reply = raw(world.service.port, request_bytes("GET", "/menu", long))
    assert raw_reply.status == 401 and raw_reply.code == "UNAUTHORIZED"
    short = world.token(sub="short", lineNumber=free.line, customerId="C", filler="x" * 2700)
    assert len(short) <= 4096
    assert raw(world.service.port, request_bytes("GET", "/menu", short)).status == 200


# --- 411, 413, 415 ---


def test_411_without_a_length_or_chunked(world, free, family):
    path = FAMILIES[family]["request"]
    body = json.dumps(free.body()).encode()
    reply = raw(world.service.port, post_bytes(path, free.token, b"", length=False))
    assert reply.status == 411 and reply.code == "LENGTH_REQUIRED"
    chunked = f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
    reply = raw(world.service.port, post_bytes(path, free.token, chunked, length=False, more=[("Transfer-Encoding", "chunked")]))
    assert reply.status == 411 and reply.code == "LENGTH_REQUIRED"
    assert not free.orders()


@pytest.mark.parametrize("size, status", [(16384, 200), (16385, 413), (10_000_000, 413)])
def test_413_over_16_kib(world, family, size, status):
    c = world.customer()
    body = json.dumps(c.body()).encode()
    body += b" " * (size - len(body)) if status == 200 else b""
    head = post_bytes(FAMILIES[family]["validation"], c.token, b"", length=False, more=[("Content-Length", str(size))])
    reply = raw(world.service.port, head + (body if status == 200 else b""))
    assert reply.status == status, reply
    if status == 413:
        assert reply.code == "PAYLOAD_TOO_LARGE"


@pytest.mark.parametrize("type_, status", [
    ("application/json", 200), ("application/json; charset=utf-8", 200), ("APPLICATION/JSON;charset=UTF-8", 200), (None, 415),
    ("text/plain", 415), ("application/jsonx", 415), ("application/vnd.api+json", 415), ("application/x-www-form-urlencoded", 415),
])
def test_content_type_must_be_json(world, family, type_, status):
    c = world.customer()
    body = json.dumps(c.body()).encode()
    reply = raw(world.service.port, post_bytes(FAMILIES[family]["validation"], c.token, body, type_))
    assert reply.status == status, reply
    if status == 415:
        assert reply.code == "UNSUPPORTED_MEDIA_TYPE"


# --- 400 ---


def change_body(c, **members):
    body = {**c.body(), **members}
    return {k: v for k, v in body.items() if v is not None}


@pytest.mark.parametrize("members, fields", [
    ({"lineNumber": None}, ["lineNumber"]),
    ({"lineNumber": "0101234567"}, ["lineNumber"]),
    ({"lineNumber": "01112345678"}, ["lineNumber"]),
    ({"lineNumber": "010 1234 5678"}, ["lineNumber"]),
    ({"lineNumber": 1012345678}, ["lineNumber"]),
    ({"currentProductCode": ""}, ["currentProductCode"]),
    ({"currentProductCode": None}, ["currentProductCode"]),
    ({"targetProductCode": "A B"}, ["targetProductCode"]),
    ({"targetProductCode": "x" * 51}, ["targetProductCode"]),
    ({"targetProductCode": ["LTE_PLUS"]}, ["targetProductCode"]),
    ({"requestDate": "2024-13-01"}, ["requestDate"]),
    ({"requestDate": "tomorrow"}, ["requestDate"]),
    ({"requestDate": 20240101}, ["requestDate"]),
    ({"changeEffectiveDate": "2999-01-01"}, ["changeEffectiveDate"]),
    ({"changeEffectiveDate": "2999-01-01T00:00:00+09:00"}, ["changeEffectiveDate"]),
    ({"changeEffectiveDate": "2024-02-30"}, ["changeEffectiveDate"]),
    ({"lineNumber": "1", "currentProductCode": "", "targetProductCode": "!"}, ["currentProductCode", "lineNumber", "targetProductCode"]),
])
def test_bad_members_are_400_with_every_field(world, family, members, fields):
    c = world.customer()
    for path in ("validation", "request"):
        api = c.api.on(family)
        reply = api.post(api.path(path), change_body(c, **members)).expect(400, "INVALID_REQUEST")
        assert sorted(f["field"] for f in reply.error["fields"]) == fields
    assert not c.orders()


@pytest.mark.parametrize("members", [
    {"requestDate": "2024-01-01"}, {"requestDate": "2024-01-01T12:00:00Z"}, {"requestDate": "2024-01-01T12:00:00.123+09:00"},
    {"requestDate": "2024-01-01T12:00:00"}, {"changeEffectiveDate": "2020-02-29"}, {"unknown": {"a": [1, None]}, "another": "x"},
])
def test_readable_dates_and_unknown_members_are_taken(world, members):
    c = world.customer()
    assert c.api.validate(change_body(c, **members)).expect(200).data["validationResult"] == "SUCCESS"


def test_future_is_a_later_day_than_today_in_seoul(world):
    """No zone = Asia/Seoul; today in Seoul is not the future, tomorrow there is, even if today elsewhere."""
    seoul = datetime.timezone(datetime.timedelta(hours=9))
    now = datetime.datetime.now(seoul)
    today, tomorrow = now.date(), now.date() + datetime.timedelta(days=1)
    cases = [
        (today.isoformat(), 200), (f"{today}T23:59:59", 200), (tomorrow.isoformat(), 400), (f"{tomorrow}T00:00:00", 400),
        (f"{today}T14:59:59Z", 200), (f"{today}T15:00:00Z", 400), (f"{today}T23:59:59-09:00", 400),
    ]
    for date, status in cases:
        c = world.customer()
        reply = c.api.validate(change_body(c, changeEffectiveDate=date))
        assert reply.status == status, (date, reply)


@pytest.mark.parametrize("body", [
    b"", b"{", b"[]", b"null", b'"x"', b"1", b"{} x", b"{}{}", b"\xef\xbb\xbf{}", b'{"lineNumber": "010\xff"}', b"not json",
    b'{"a": 01}', b'{"a": 1.}', b"{'a': 1}", b'{"a": NaN}', b'{"a": "\x01"}', b'{"a": "\\ud800"}', b"[" * 5000, b'{"a":' * 100 + b"1" + b"}" * 100,
])
def test_a_body_that_is_no_json_object_is_400(world, family, body):
    c = world.customer()
    reply = raw(world.service.port, post_bytes(FAMILIES[family]["request"], c.token, body))
    assert reply.status == 400 and reply.code == "INVALID_REQUEST", reply


@pytest.mark.parametrize("body, ko, en", [
    (b"", "본문이 비어 있습니다", "must not be empty"),
    (b'{"a": 01}', "올바른 JSON이 아닙니다 (1행 8열)", "is not valid JSON: number with a leading zero (line 1, column 8)"),
    (b'{"a": 1,\n "a": 2}', "같은 이름의 항목이 두 번 있습니다 (2행 2열)", "is not valid JSON: duplicate member (line 2, column 2)")])
def test_what_is_wrong_with_a_body_is_said_in_the_callers_language(world, body, ko, en):
    """Contract section 1: Korean by default, English for Accept-Language: en, fields too; details is for who writes the client."""
    c = world.customer()
    for language, said in (("ko", ko), ("en", en)):
        reply = raw(world.service.port, request_bytes("POST", "/request", c.token, body, [
            ("Content-Type", "application/json"), ("Content-Length", str(len(body))), ("Accept-Language", language)]))
        assert reply.status == 400 and reply.error["fields"] == [{"field": "body", "message": said}], reply
        assert "column" in reply.error["details"]


def test_duplicate_members_are_an_error_unknown_ones_too(world, family):
    c = world.customer()
    path = FAMILIES[family]["request"]
    body = json.dumps(c.body())[:-1]
    for more in (', "targetProductCode": "LTE_SLIM"}', ', "x": 1, "x": 1}', ', "targetProduct\\u0043ode": "LTE_SLIM"}'):
        reply = raw(world.service.port, post_bytes(path, c.token, (body + more).encode()))
        assert reply.status == 400 and reply.code == "INVALID_REQUEST", reply
    assert not c.orders()


def test_a_member_in_other_case_is_unknown(world):
    c = world.customer()
    body = {**c.body(), "TARGETPRODUCTCODE": "LTE_SLIM"}
    body.pop("targetProductCode")
    assert c.api.change(body).expect(400).error["fields"][0]["field"] == "targetProductCode"


@pytest.mark.parametrize("key", ['""', "x" * 256, '"' + "x" * 256 + '"'])
def test_an_idempotency_key_empty_or_too_long_is_400(world, family, key):
    c = world.customer()
    reply = c.api.on(family).change(c.body(), Idempotency_Key=key).expect(400, "INVALID_REQUEST")
    assert [f["field"] for f in reply.error["fields"]] == ["Idempotency-Key"]
    assert not c.orders()


def test_a_parameter_given_twice_is_400_or_one_of_them(world, free):
    other = world.customer()
    reply = free.api.get(f"/menu?lineNumber={free.line}&lineNumber={other.line}")
    assert reply.status in (400, 403), reply


# --- 429 ---


def drain(c):
    """Uses the caller's burst up, with requests that have no effect."""
    for _ in range(12):
        reply = c.api.post("/request", b"x", check=False)
        if reply.status == 429:
            return reply
    raise AssertionError("never 429")


def test_429_over_the_callers_rate_on_post_and_delete(world, free, family):
    """429 + Retry-After and RateLimit headers; caller = token subject; reads are not limited."""
    drain(free)
    reply = free.api.on(family).validate(free.body()).expect(429, "TOO_MANY_REQUESTS")
    assert "RateLimit" in reply.headers and "RateLimit-Policy" in reply.headers
    free.api.on(family).cancel("0191d3a0-0000-7000-8000-000000000000").expect(429, "TOO_MANY_REQUESTS")
    free.api.on(family).menu().expect(200)
    other = world.customer()
    other.api.on(family).validate(other.body()).expect(200)
    until(lambda: free.api.validate(free.body()).status == 200, 5, "the rate comes back")


def test_429_is_counted_by_subject_not_by_token_or_line(world):
    c = world.customer()
    drain(c)
    other_token = world.api(world.token(sub=c.subject, customerId=c.customer_id, lineNumber=c.line, jti="another"))
    other_token.validate(c.body()).expect(429)
    other_subject = world.api(world.token(sub=c.subject + "-x", customerId=c.customer_id, lineNumber=c.line))
    other_subject.validate(c.body()).expect(200)


# --- the order of checks, pairwise ---

# Each check as a change to a good request of a caller; earlier ones win over later ones.
ORDER = ["400 http", "431", "404", "405", "401", "403 permission", "429", "411", "413", "415", "400 body", "403 line"]
STATUS = {name: int(name.split()[0]) for name in ORDER}
# Two values of one thing: they cannot be in one request.
EXCLUSIVE = [{"404", "405"}, {"401", "403 permission"}, {"411", "413"}, {"400 body", "403 line"}, {"411", "400 body"}, {"411", "403 line"},
             {"413", "400 body"}, {"413", "403 line"}, {"403 permission", "403 line"}]


def build(world, c, wrong, path):
    """A request with the given things wrong at once."""
    method, token, more = "POST", c.token, []
    body = c.body()
    if "404" in wrong:
        path += "/no/such/path"
    if "405" in wrong:
        method = "PUT"
    if "401" in wrong:
        token = tokens.token(secret="another-secret-that-is-long-enough-for-this", sub=c.subject)
    if "403 permission" in wrong:
        token = world.token(sub=c.subject, customerId=c.customer_id, lineNumber=c.line, permissions=["BILL_INQUIRY"])
    if "403 line" in wrong:
        body = {**body, "lineNumber": "01099999999"}
    data = b"{ no json" if "400 body" in wrong else json.dumps(body).encode()
    if "429" in wrong:
        drain(c)
    if "431" in wrong:
        more.append(("X-Filler", "x" * 6500))
    more.append(("Content-Type", "text/plain" if "415" in wrong else "application/json"))
    if "413" in wrong:
        more.append(("Content-Length", "20000"))
    elif "411" not in wrong:
        more.append(("Content-Length", str(len(data))))
    if "400 http" in wrong:
        more.append(("Bad(Name", "x"))
    return request_bytes(method, path, token, b"" if {"411", "413"} & set(wrong) else data, more)


PAIRS = [p for p in itertools.combinations(ORDER, 2) if set(p) not in EXCLUSIVE]


@pytest.mark.parametrize("first, second", PAIRS, ids=[f"{a} before {b}" for a, b in PAIRS])
def test_order_of_checks_first_hit_wins(world, family, first, second):
    c = world.customer()
    reply = raw(world.service.port, build(world, c, {first, second}, FAMILIES[family]["request"]), check=False)
    if {first, second} == {"400 http", "431"}:
        assert reply.status in (400, 431), reply
    else:
        assert reply.status == STATUS[first], reply
    assert not c.orders()


@pytest.mark.parametrize("only", ORDER)
def test_order_of_checks_each_alone(world, family, only):
    c = world.customer()
    reply = raw(world.service.port, build(world, c, {only}, FAMILIES[family]["request"]), check=False)
    assert reply.status == STATUS[only], reply


def test_line_403_comes_before_the_idempotency_key(world, kos):
    """Somebody else's line: 403 before anything is looked up, key included."""
    c = world.customer()
    c.api.change(c.body(), Idempotency_Key="k-1").expect(200)
    c.api.change({**c.body(), "lineNumber": "01099999999"}, Idempotency_Key="k-1").expect(403, "FORBIDDEN")


def test_idempotency_key_comes_before_change_in_progress(world, kos):
    c = world.customer()
    c.api.change(c.body("LTE_LEGACY"), Idempotency_Key="k-2").expect(409, "VALIDATION_FAILED")
    gate = kos.fault("gate", operation="change", lineNumber=c.line)
    c.api.change_async(c.body()).expect(202)
    kos.wait_held(gate)
    until(lambda: c.api.change(c.body("LTE_SLIM"), Idempotency_Key="k-2").status == 422, 5, "422 (after 429)")
    until(lambda: c.api.change(c.body("LTE_LEGACY"), Idempotency_Key="k-2").code == "VALIDATION_FAILED", 5, "replay")
    kos.clear(gate)


def test_same_product_comes_before_the_load(world):
    """SAME_PRODUCT before the load's 404 and before the line's status."""
    api = world.known("01000000000", "CUST-9999")
    api.change({"lineNumber": "01000000000", "currentProductCode": "LTE_BASIC", "targetProductCode": "LTE_BASIC"}).expect(409, "SAME_PRODUCT")
    c = world.customer(lineStatus="SUSPENDED")
    c.api.change(c.body("LTE_BASIC")).expect(409, "SAME_PRODUCT")


def test_line_status_comes_before_mismatch_and_mismatch_before_the_other_checks(world):
    c = world.customer(lineStatus="SUSPENDED", answersInactive=True)
    c.api.change(c.body("LTE_LEGACY", current="5GX_BASIC")).expect(409, "VALIDATION_FAILED")
    c = world.customer()
    c.api.change(c.body("LTE_LEGACY", current="5GX_BASIC")).expect(409, "CURRENT_PRODUCT_MISMATCH")


def test_reads_the_same_where_it_applies(world, free):
    """404 before 401 before 400 (parameters) before 403 (line)."""
    port = world.service.port
    assert raw(port, request_bytes("GET", "/nothing")).status == 404
    assert raw(port, request_bytes("GET", "/history?page=0")).status == 401
    assert raw(port, request_bytes("GET", "/menu?lineNumber=x", free.token)).status == 400
    noperm = world.token(sub="np", customerId="C", lineNumber=free.line, permissions=[])
    assert raw(port, request_bytes("GET", "/history?page=0", noperm)).status == 403
