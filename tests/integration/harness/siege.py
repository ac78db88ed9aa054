"""What must be as it was when an attack is over: alive, memory and descriptors back, nothing ordered, nothing recorded,
nothing told, nobody let in."""

import os
import socket
import time

from .client import Api, raw, request_bytes
from .wait import until

# AddressSanitizer keeps what was freed; with little of that, memory in use can be told from memory freed.
ENV = {"ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:exitcode=99:quarantine_size_mb=4:thread_local_quarantine_size_kb=64"
                       ":allocator_release_to_os_interval_ms=200"}


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def resident_kib(pid):
    with open(f"/proc/{pid}/status") as f:
        return int(next(line.split()[1] for line in f if line.startswith("VmRSS")))


class Siege:
    """Begin it before the attack; over() is the end. victim: a customer whose order the attacks try to smuggle in."""

    def __init__(self, world, service=None):
        self.world, self.service = world, service or world.service
        self.victim = world.customer()
        self.warm()
        self.pid = self.service.process.pid
        # A sanitizer's allocator keeps what it likes; what was really forgotten is told by its leak check at the end.
        with open(f"/proc/{self.pid}/maps") as f:
            maps = f.read()
        # TSan's shadow of what was once touched is never given back: nothing can be told from the process's size.
        self.slack_kib = 1 << 20 if "libtsan.so" in maps else 65536 if "san.so" in maps else 4096
        self.gives_back = "san.so" not in maps and "vgpreload" not in maps
        self.open = descriptors(self.pid)
        self.memory = resident_kib(self.pid)
        self.seen = self._seen()

    def warm(self):
        """Each kind of work once, on many connections, so that what is kept for reuse is there already."""
        port = self.service.port
        bystander = self.world.customer()
        bystander.api.at(self.service).change(bystander.body()).expect(200)
        for _ in range(3):
            connections = [socket.create_connection(("127.0.0.1", port), 5) for _ in range(200)]
            for s in connections:
                s.sendall(request_bytes("GET", "/menu", bystander.token, headers=[("X-Filler", "x" * 4000)]))
            for s in connections:
                s.recv(65536)
                s.close()
        self.settled()

    def settled(self):
        """Only what watches (this harness) is connected, and everything has been forwarded."""
        for api in list(Api.alive):
            api.session.close()
        self.world.forwarded(service=self.service)
        until(lambda: self.service.metric("pcs_http_connections") <= 1, 20, "connections are gone")

    def _seen(self):
        rows = self.world.db.rows("SELECT count(*) AS n FROM product_change.product_change_history")[0]["n"]
        return {"orders": self.world.kos.stats()["change"]["received"], "events": self.world.mvno.stats()["results"]["events"], "rows": rows}

    def order_bytes(self):
        """A whole and right order of the victim's: executed wherever it is taken for a request of its own."""
        body = ('{"lineNumber":"%s","currentProductCode":"LTE_BASIC","targetProductCode":"LTE_PLUS"}' % self.victim.line).encode()
        return request_bytes("POST", "/request", self.victim.token, body, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])

    def on_purpose(self, rows, service=None):
        """A test made a change that ends in the history, without an order and without an event."""
        self.world.forwarded(service=service or self.service)
        self.seen["rows"] += rows

    def nothing_was_ordered(self):
        assert not self.victim.orders(), "the victim's order was carried out"

    def over(self):
        """Alive and answering; descriptors and memory back; nothing was ordered, recorded or told."""
        more_kib = max(16384, self.slack_kib)
        assert self.service.process.running(), self.service.process.log()[-4000:]
        began = time.monotonic()
        self.world.customer().api.at(self.service).menu().expect(200)
        assert time.monotonic() - began < 2
        self.settled()
        until(lambda: descriptors(self.pid) <= self.open + 1, 20, f"descriptors back to {self.open}")
        until(lambda: resident_kib(self.pid) <= self.memory + more_kib, 20,
              f"memory back: {self.memory} KiB before, {resident_kib(self.pid)} KiB now")
        assert self._seen() == self.seen, "orders, events or rows came of it"
        self.nothing_was_ordered()
        # And it can still do what it is there for.
        reply = raw(self.service.port, self.order_bytes())
        assert reply.status == 200 and reply.data["processStatus"] == "COMPLETED", reply
