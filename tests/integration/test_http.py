"""Connections and oddities of HTTP: keep-alive, slow clients, HEAD, HTTP/1.0, odd headers and queries."""

import json
import re
import socket
import time

import pytest

from harness import checks
from harness.client import raw, request_bytes
from harness.world import World


@pytest.fixture
def free(world):
    return world.customer()


# --- connections ---


def test_keep_alive_and_pipelining(world, free):
    one = request_bytes("GET", "/menu", free.token)
    replies = raw(world.service.port, one * 3, count=3)
    assert [r.status for r in replies] == [200, 200, 200]


def test_a_slow_body_does_not_hold_up_others(world, free):
    with socket.create_connection(("127.0.0.1", world.service.port), 5) as s:
        s.sendall(request_bytes("POST", "/request", free.token, b"{", [("Content-Type", "application/json"), ("Content-Length", "50")]))
        start = time.monotonic()
        free.api.menu().expect(200)
        assert time.monotonic() - start < 2


def test_expect_continue(world, free):
    body = json.dumps(free.body()).encode()
    head = request_bytes("POST", "/request/validation", free.token, b"",
                         [("Content-Type", "application/json"), ("Content-Length", str(len(body))), ("Expect", "100-continue")])
    with socket.create_connection(("127.0.0.1", world.service.port), 5) as s:
        s.settimeout(5)
        s.sendall(head)
        assert s.recv(1024).startswith(b"HTTP/1.1 100 ")
        s.sendall(body)
        assert s.recv(65536).startswith(b"HTTP/1.1 200 ")


LONG = b"a" * 9000
REFUSED_BY_THE_LIBRARY = {
    "no number": (400, b"POST /request HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n"),
    "negative": (400, b"POST /request HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n"),
    "past 2^64": (413, b"POST /request HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n"),
    "HTTP/3.7": (400, b"GET /menu HTTP/3.7\r\nHost: x\r\n\r\n"),
    "no HTTP": (400, b"GET /menu HTTQ/1.1\r\nHost: x\r\n\r\n"),
    "no version": (400, b"GET /menu\r\n\r\n"),
    "no colon": (400, b"GET /menu HTTP/1.1\r\nHost: x\r\nNoColon\r\n\r\n"),
    "over 8 KiB": (431, b"GET /menu HTTP/1.1\r\nHost: x\r\nX: " + LONG + b"\r\n\r\n"),
    "target over 8 KiB": (431, b"GET /" + LONG + b" HTTP/1.1\r\nHost: x\r\n\r\n"),
    "token of 10 000": (431, b"GET /menu HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + LONG + b"\r\nX-Request-ID: mine\r\n\r\n"),
    "over 8 KiB, with a body": (431, b"POST /request HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\nX: " + LONG + b"\r\n\r\n" + LONG),
    "400 headers": (431, b"GET /menu HTTP/1.1\r\nHost: x\r\n" + b"".join(b"A%d: b\r\n" % n for n in range(400)) + b"\r\n"),
}


CODES = {400: "INVALID_REQUEST", 413: "PAYLOAD_TOO_LARGE", 431: "HEADERS_TOO_LARGE"}


@pytest.mark.parametrize("before", [b"", b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"], ids=["first", "second"])
@pytest.mark.parametrize("name", REFUSED_BY_THE_LIBRARY)
def test_heads_that_the_library_refuses_itself(world, name, before):
    """Contract section 1: the error's form, codes and X-Request-ID are for every error, also of a head that libmicrohttpd would answer
    with a page of its own; and an orderly end. Of a connection's first request and of a later one."""
    status, head = REFUSED_BY_THE_LIBRARY[name]
    with socket.create_connection(("127.0.0.1", world.service.port), 5) as s:
        s.settimeout(5)
        if before:
            s.sendall(before)
            assert s.recv(65536).endswith(b'{"status":"UP"}')
        s.sendall(head)
        seen = b""
        while chunk := s.recv(65536):  # to its end: no reset that would take the answer away
            seen += chunk
    if before and not seen and name in ("no HTTP", "no version"):
        return  # a later request that is none at all: the connection just ends
    lines, _, body = seen.partition(b"\r\n\r\n")
    assert re.match(rb"HTTP/1\.1 %d " % status, lines) and seen.count(b"HTTP/1.1 ") == 1, seen[:300]
    headers = {n.lower(): v for n, _, v in (line.partition(b": ") for line in lines.split(b"\r\n")[1:])}
    assert headers[b"content-type"] == b"application/json" and int(headers[b"content-length"]) == len(body) and headers[b"connection"] == b"close"
    answer = json.loads(body)
    assert answer["success"] is False and answer["error"]["code"] == CODES[status], answer
    assert answer["error"]["correlationId"] == headers[b"x-request-id"].decode() and checks.HANGUL.search(answer["error"]["message"])
    assert raw(world.service.port, b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n", check=False).status == 200


# --- oddities of HTTP ---


@pytest.mark.parametrize("language, english", [("en;q=0", False), ("ko,en", False), ("EN-gb", True), ("*", False), ("en;q=0.5,ko;q=0.4", True)])
def test_language_preferences_are_weighed(world, free, language, english):
    reply = free.api.menu("01099999999", check=False, Accept_Language=language).expect(403)
    assert bool(checks.HANGUL.search(reply.error["message"])) != english


def test_problem_json_that_is_not_wanted(world, free):
    reply = free.api.menu("01099999999", check=False, Accept="application/problem+json;q=0, application/json").expect(403)
    assert reply.headers["Content-Type"].startswith("application/json")


@pytest.mark.parametrize("query, status", [("lineNumber=", 400), ("lineNumber", 400), ("unknown=1", 200), ("x=%zz", 200), ("linenumber=01099999999", 200)])
def test_queries(world, free, query, status):
    free.api.get(f"/menu?{query}", check=False).expect(status)


def test_percent_encoded_line_numbers(world, free):
    line = free.line
    encoded = f"{line[:3]}%2D{line[3:7]}%2d{line[7:]}"
    assert free.api.get(f"/menu?lineNumber={encoded}").expect(200).data["lineNumber"] == line
    reply = raw(world.service.port, request_bytes("GET", f"/api/v1/products/customer/{encoded}", free.token), check=False)
    assert reply.status == 200 and reply.data["lineNumber"] == line


@pytest.mark.parametrize("traceparent", ["00-" + "0" * 32 + "-b7ad6b7169203331-01", "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", "ff-" + "1" * 32 + "-b7ad6b7169203331-01",
                                         "00-" + "1" * 32 + "-" + "0" * 16 + "-01", "x", "00-" + "1" * 32, "00-" + "1" * 32 + "-b7ad6b7169203331-01-more"])
def test_a_malformed_traceparent_starts_a_new_trace_and_does_not_fail(world, traceparent):
    c = world.customer()
    c.api.menu(traceparent=traceparent).expect(200)
    [call] = world.kos.calls("inquiry", c.line)
    sent = call["headers"]["traceparent"]
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", sent) and sent[3:35] != traceparent[3:35], sent


def test_http_1_0_and_connection_close(world, free):
    reply = raw(world.service.port, request_bytes("GET", "/menu", free.token, version="HTTP/1.0"))
    assert reply.status == 200
    with socket.create_connection(("127.0.0.1", world.service.port), 5) as s:
        s.settimeout(5)
        s.sendall(request_bytes("GET", "/menu", free.token, headers=[("Connection", "close")]))
        seen = b""
        while chunk := s.recv(65536):
            seen += chunk
    assert seen.startswith(b"HTTP/1.1 200 ") and b"onnection: close" in seen


@pytest.mark.parametrize("path", ["/menu", "/health/live", "/nothing"])
def test_head_is_answered_without_a_body(world, free, path):
    with socket.create_connection(("127.0.0.1", world.service.port), 5) as s:
        s.settimeout(1)
        s.sendall(request_bytes("HEAD", path, free.token))
        seen = b""
        try:
            while chunk := s.recv(65536):
                seen += chunk
        except socket.timeout:
            pass
    head, _, body = seen.partition(b"\r\n\r\n")
    assert re.match(rb"HTTP/1.1 (200|404|405) ", head) and body == b"", seen


def test_a_request_that_never_ends_is_ended(session):
    """Slow head and slow body (slowloris): the connection is closed after the time that is set."""
    w = World(session, env={"SERVER_HEADER_TIMEOUT": "500ms", "SERVER_BODY_TIMEOUT": "500ms"})
    try:
        c = w.customer()
        for start in (b"GET /menu HTTP/1.1\r\nHo", request_bytes("POST", "/request", c.token, b"{", [("Content-Type", "application/json"), ("Content-Length", "50")])):
            with socket.create_connection(("127.0.0.1", w.service.port), 5) as s:
                s.settimeout(5)
                s.sendall(start)
                began = time.monotonic()
                while time.monotonic() - began < 4:
                    try:
                        s.sendall(b"x")  # a byte now and then does not help
                    except OSError:
                        break
                    s.settimeout(0.1)
                    try:
                        if not s.recv(4096):
                            break
                    except socket.timeout:
                        continue
                    except OSError:
                        break
                assert time.monotonic() - began < 3, "still open"
        assert not c.orders()
    finally:
        w.close()
