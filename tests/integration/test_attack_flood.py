"""Many at once (issue 5): 10 000 idle connections, slow heads, slow bodies, slow readers, connections that come and go. Customers
are served meanwhile; afterwards descriptors and memory are back, and nothing was ordered."""

import resource
import selectors
import socket
import struct
import time

import pytest

from harness import siege as siege_module
from harness.client import Api, raw, request_bytes
from harness.siege import Siege, descriptors, resident_kib
from harness.wait import until

ENV = {**siege_module.ENV, "LIMITS_RATE": 0, "SERVER_HEADER_TIMEOUT": "6s", "SERVER_BODY_TIMEOUT": "6s", "SERVER_IDLE_TIMEOUT": "6s"}
pytestmark = pytest.mark.timeout(180)


def affordable(wanted):
    """As many as this machine lets both of us open; 10 000 where it can."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return min(wanted, hard - 1500)


@pytest.fixture(scope="module")
def siege(world):
    s = Siege(world)
    yield s
    s.over()


class Crowd:
    """Connections from many addresses of the loopback, opened as fast as they are taken."""

    def __init__(self, port, count):
        self.port, self.sockets = port, []
        self.selector = selectors.DefaultSelector()
        while len(self.sockets) < count:
            for _ in range(min(200, count - len(self.sockets))):
                s = socket.socket()
                s.bind((f"127.0.1.{1 + len(self.sockets) // 100}", 0))
                s.connect(("127.0.0.1", port))
                s.setblocking(False)
                self.sockets.append(s)

    def send(self, data):
        """To each; True where it was taken."""
        taken = 0
        for s in self.sockets:
            try:
                s.send(data)
                taken += 1
            except OSError:
                pass
        return taken

    def ended(self):
        """How many the service has closed."""
        n = 0
        for s in self.sockets:
            try:
                while s.recv(65536):
                    pass
                n += 1
            except BlockingIOError:
                pass
            except OSError:
                n += 1
        return n

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for s in self.sockets:
            s.close()
        self.selector.close()


def served(world, seconds=10.0):
    """A customer gets their menu while it goes on. (A machine that runs sanitizers and a whole suite may shed the first try.)"""
    c = world.customer()
    until(lambda: c.api.menu().status == 200, seconds, "a menu during the flood")
    for api in list(Api.alive):
        api.session.close()


def connections(siege):
    return siege.service.metric("pcs_http_connections")


def test_ten_thousand_silent_connections(world, siege):
    """Nothing is sent on them: they cost little, disturb nobody, and are cut when the head is overdue."""
    count = affordable(10000)
    before = resident_kib(siege.pid)
    with Crowd(siege.service.port, count) as crowd:
        # The first may be overdue before the last has come, on a slow machine.
        seen = until(lambda: connections(siege) >= count * 0.9 or crowd.ended() > 0, 60, "they are there")
        each = (resident_kib(siege.pid) - before) / count
        served(world)
        until(lambda: crowd.ended() == count, 60, "all were cut")
    assert seen and each < 64, f"{each:.1f} KiB each"
    siege.settled()


def test_ten_thousand_idle_kept_connections(world, siege):
    """Each has asked once and stays: cut when it was idle for long enough."""
    count = affordable(10000)
    with Crowd(siege.service.port, count) as crowd:
        crowd.send(request_bytes("GET", "/health/live"))
        served(world)
        until(lambda: crowd.ended() == count, 60, "all were cut")
    siege.settled()


def test_memory_and_descriptors_do_not_grow_from_flood_to_flood(world, siege):
    """The memory of a flood is given back, and what a second and a third leave is what the first one left."""
    count = affordable(10000) // 2
    before, sizes = resident_kib(siege.pid), []
    for _ in range(3):
        with Crowd(siege.service.port, count) as crowd:
            crowd.send(request_bytes("GET", "/menu", siege.victim.token, headers=[("X-Filler", "x" * 3000)]))
            until(lambda: connections(siege) >= count * 0.9 or crowd.ended() > 0, 60, "they are there")
            most = resident_kib(siege.pid)
        siege.settled()
        if sizes:
            until(lambda: resident_kib(siege.pid) <= sizes[0] + siege.slack_kib, 10, f"no more than after the first: {sizes} KiB")
        elif siege.gives_back and count >= 4000:
            until(lambda: resident_kib(siege.pid) < before + (most - before) / 2, 10, f"half of the first one's {most} KiB is given back")
        sizes.append(resident_kib(siege.pid))
    until(lambda: descriptors(siege.pid) <= siege.open + 1, 20, "descriptors back")


@pytest.mark.parametrize("what", ["head", "body"])
def test_a_thousand_slow_senders(world, siege, what):
    """A byte now and then, of a head or of an order's body: cut in time, however alive they look; no order comes of them."""
    order = siege.order_bytes()
    start = b"POST /request HTTP/1.1\r\nHost: t\r\nX-Slow: " if what == "head" else order[:-30]
    with Crowd(siege.service.port, affordable(1000)) as crowd:
        crowd.send(start)
        began = time.monotonic()
        while crowd.ended() < len(crowd.sockets):
            assert time.monotonic() - began < 30, "slow senders are still connected"
            crowd.send(b"x" if what == "head" else b" ")
            served(world)
    siege.nothing_was_ordered()
    siege.settled()


def test_readers_that_do_not_read(world, siege):
    """Each asks for much and takes nothing: their answers are not kept for ever."""
    with Crowd(siege.service.port, 300) as crowd:
        for s in crowd.sockets:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for _ in range(20):
            crowd.send(request_bytes("GET", "/openapi.json"))
        served(world)
        until(lambda: connections(siege) <= 1, 60, "all were cut though nothing was read")
    siege.settled()


@pytest.mark.parametrize("end", ["reset", "close", "half"])
def test_connections_that_come_and_go(world, siege, end):
    """Five thousand, some with half a head, some with an order whose last bytes never come."""
    order = siege.order_bytes()
    for n in range(0, 5000, 250):
        sockets = [socket.create_connection(("127.0.0.1", siege.service.port), 5) for _ in range(250)]
        for i, s in enumerate(sockets):
            if i % 3:
                s.sendall(order[:-1 - i])
            if end == "reset":
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif end == "half":
                s.shutdown(socket.SHUT_WR)
            s.close()
    served(world)
    siege.nothing_was_ordered()
    siege.settled()


def test_waiting_polls_that_are_left(world, siege):
    """Five hundred long polls whose callers hang up: nothing stays behind."""
    reply = siege.victim.api.change(siege.victim.body("LTE_LEGACY")).expect(409)
    siege.on_purpose(rows=1)
    with Crowd(siege.service.port, 500) as crowd:
        crowd.send(request_bytes("GET", f"/request/{reply.error['requestId']}?wait=30", siege.victim.token))
        served(world)
    assert raw(siege.service.port, request_bytes("GET", "/health/ready"), check=False).status == 200
    siege.settled()
