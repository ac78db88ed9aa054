"""Overload of the service itself (issue 4, 6; issue 5, 2): shed early with 503 or 429, never by growing; addresses are
limited unless they are a gateway's."""

import http.client
import json
import socket
import time

import pytest

from harness.client import raw, request_bytes
from harness.wait import until
from harness.world import World

STRANGERS = {"SERVER_GATEWAY_ADDRESSES": "127.0.0.1", "SERVER_THREADS": 2}  # the harness; other addresses of 127/8 are strangers


def world_of(session, **env):
    return World(session, env={**STRANGERS, **env})


@pytest.fixture
def held():
    """Connections to be closed at the end."""
    sockets = []
    yield sockets
    for s in sockets:
        s.close()


def connect(port, held, address="127.0.0.1"):
    s = socket.create_connection(("127.0.0.1", port), 5, source_address=(address, 0))
    s.settimeout(5)
    held.append(s)
    return s


def read_all(s):
    seen = b""
    while chunk := s.recv(65536):
        seen += chunk
    return seen


def rejected(w, reason):
    return w.service.metric("pcs_http_rejected_total", reason=reason)


def test_an_address_may_have_so_many_connections_and_no_more(session, held):
    """Over both reactors together; the others are not concerned, and a place that is given back is free."""
    w = world_of(session, LIMITS_ADDRESS_CONNECTIONS=10)
    try:
        c = w.customer()
        c.api.menu().expect(200)
        mine = [connect(w.service.port, held, "127.0.0.7") for _ in range(10)]
        for s in mine:
            s.sendall(request_bytes("GET", "/menu", c.token))
            assert s.recv(65536).startswith(b"HTTP/1.1 200 ")
        for ask_first in (False, True):
            s = connect(w.service.port, held, "127.0.0.7")
            if ask_first:
                s.sendall(request_bytes("GET", "/menu", c.token))
            answer = read_all(s)
            assert answer.startswith(b"HTTP/1.1 429 ") and b"TOO_MANY_REQUESTS" in answer and b"\r\nRetry-After: 1\r\n" in answer, answer
        assert rejected(w, "address_connections") == 2
        c.api.menu().expect(200)
        mine[0].close()

        def again():
            s = connect(w.service.port, held, "127.0.0.7")
            s.sendall(request_bytes("GET", "/menu", c.token))
            return s.recv(65536).startswith(b"HTTP/1.1 200 ")

        until(again, 5, "the place that was given back")
    finally:
        w.close()


def test_an_address_may_ask_so_often(session):
    """429 with RateLimit headers on every route and before the token is looked at; metrics tell; it gets better."""
    w = world_of(session, LIMITS_ADDRESS_RATE=1, LIMITS_ADDRESS_BURST=5)
    stranger = http.client.HTTPConnection("127.0.0.1", w.service.port, timeout=5, source_address=("127.0.0.9", 0))

    def ask(path, token):
        stranger.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        answer = stranger.getresponse()
        return answer.status, answer.headers, answer.read()

    try:
        c = w.customer()
        assert ask("/menu", c.token)[0] == 200
        answers = [ask(path, token) for _ in range(10) for path, token in (("/menu", c.token), ("/health/live", ""), ("/menu", "no token"))]
        refused = [(headers, body) for status, headers, body in answers if status == 429]
        assert len(refused) >= 10, "on every route, and before the token is looked at"
        for headers, body in refused:
            error = json.loads(body)["error"]
            assert error["code"] == "TOO_MANY_REQUESTS" and error["retryAfterSeconds"] >= 1 and int(headers["Retry-After"]) == error["retryAfterSeconds"]
            assert headers["RateLimit-Policy"] == '"address";q=5;w=6' and headers["RateLimit"].startswith('"address";r=0;')
        assert rejected(w, "address_rate") == len(refused)
        c.api.menu().expect(200)
        until(lambda: ask("/menu", c.token)[0] == 200, 10, "tokens come back")
    finally:
        stranger.close()
        w.close()


def test_a_gateway_has_no_limits_by_address(session, held):
    """server.gateway_addresses: by default the machine itself and private networks."""
    w = World(session, env={"LIMITS_ADDRESS_CONNECTIONS": 5, "LIMITS_ADDRESS_RATE": 1, "LIMITS_ADDRESS_BURST": 1, "SERVER_THREADS": 2})
    try:
        c = w.customer()
        for _ in range(30):
            s = connect(w.service.port, held)
            s.sendall(request_bytes("GET", "/menu", c.token))
            assert s.recv(65536).startswith(b"HTTP/1.1 200 ")
    finally:
        w.close()


def test_a_full_server_closes_idle_connections_then_says_503(session, held):
    """Connections over the limit: those that idle make room; when nearly all are busy, 503 at once instead of waiting unseen."""
    w = world_of(session, SERVER_GATEWAY_ADDRESSES="192.0.2.1", SERVER_CONNECTION_LIMIT=16, SERVER_THREADS=1, LIMITS_ADDRESS_CONNECTIONS=0, LIMITS_ADDRESS_RATE=0)
    try:
        c = w.customer()
        c.api.menu().expect(200)
        for _ in range(40):  # each leaves an idle connection behind
            s = connect(w.service.port, held)
            s.sendall(request_bytes("GET", "/menu", c.token))
            assert s.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert rejected(w, "idle") > 0
        gate = w.kos.fault("gate", operation="inquiry")
        busy = [connect(w.service.port, held) for _ in range(15)]
        for s in busy:
            s.sendall(request_bytes("GET", "/menu", w.customer().token))
        w.kos.wait_held(gate, 15)
        for _ in range(5):
            start = time.monotonic()
            s = connect(w.service.port, held)
            s.sendall(request_bytes("GET", "/menu", c.token))
            answer = s.recv(65536)
            assert time.monotonic() - start < 1, "at once"
            assert answer.startswith(b"HTTP/1.1 503 ") and b"SERVICE_UNAVAILABLE" in answer and b"\r\nRetry-After: 1\r\n" in answer
        assert rejected(w, "overload") >= 5, "and metrics are answered"
        w.kos.clear(gate)
        for s in busy:
            assert s.recv(65536).startswith(b"HTTP/1.1 200 ")
        reply = until(lambda: (r := c.api.menu(check=False)).status == 200 and r, 5)
        assert reply.status == 200
    finally:
        w.kos.clear()
        w.close()


def test_ten_thousand_idle_connections_cost_a_bounded_memory(session, held):
    """Each at most 12 KiB resident (DESIGN.md), and customers are served meanwhile."""
    w = World(session, env={"SERVER_THREADS": 2})
    count = 10000
    try:
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < count + 500:
            pytest.skip("too few file descriptors on this machine")
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        c = w.customer()
        c.api.menu().expect(200)

        def resident():
            with open(f"/proc/{w.service.process.pid}/statm", encoding="ascii") as f:
                return int(f.read().split()[1]) * resource.getpagesize()

        before = resident()
        for n in range(count):
            connect(w.service.port, held, f"127.0.{n % 200}.1")
        until(lambda: w.service.metric("pcs_http_connections") >= count, 20)
        each = (resident() - before) / count
        start = time.monotonic()
        c.api.menu().expect(200)
        assert time.monotonic() - start < 1
        if "asan" not in w.build and "tsan" not in w.build:
            assert each < 12 * 1024, each
        assert raw(w.service.port, b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n", check=False).status == 200
    finally:
        w.close()
