"""Customers who change their plan all the while, at whichever instance answers."""

import itertools
import threading
import time
import uuid

import requests

TARGETS = itertools.cycle(("LTE_PLUS", "LTE_BASIC"))
LINES = 12


class Load:
    """Each customer is one thread: one change after the other, each repeated under its Idempotency-Key until it is answered.
    A line stays with its instance as long as that takes requests, as the gateway has it."""

    def __init__(self, world, services):
        self.world, self.services = world, services
        self.customers = [world.customer() for _ in range(LINES)]
        self.acknowledged, self.refused, self.repeats, self.latest = [], 0, 0, []
        self.lock = threading.Lock()
        self.ending = threading.Event()
        self.failed = None
        self.threads = [threading.Thread(target=self.run, args=(n, c)) for n, c in enumerate(self.customers)]
        for t in self.threads:
            t.start()

    def run(self, number, customer):
        try:
            with requests.Session() as http:
                http.trust_env = False
                while not self.ending.is_set():
                    self.one(http, number, customer)
        except BaseException as e:  # told by stop()
            self.failed = self.failed or e

    def one(self, http, number, customer):
        target = "LTE_PLUS" if customer.product == "LTE_BASIC" else "LTE_BASIC"
        key, began = str(uuid.uuid4()), time.monotonic()
        for attempt in itertools.count():
            assert time.monotonic() - began < 60, "no answer within a minute"
            service = self.services[(number + attempt) % len(self.services)]
            try:
                reply = http.post(service.url + "/request", json=customer.body(target), timeout=15, headers={
                    "Authorization": f"Bearer {customer.token}", "Idempotency-Key": f'"{key}"'})
            except requests.RequestException:
                reply = None
            if reply is not None and reply.status_code == 200:
                data = reply.json()["data"]
                assert data["processStatus"] == "COMPLETED", data
                with self.lock:
                    self.acknowledged.append((data["requestId"], customer.line, target))
                    self.latest.append(time.monotonic() - began)
                customer.product = target
                return
            with self.lock:
                if reply is not None and reply.status_code == 503:
                    self.refused += 1
                else:
                    self.repeats += 1
            if reply is not None and reply.status_code == 409 and self.has(http, customer, target):
                # the first attempt was carried out, at an instance that went away before it could say so
                customer.product = target
                return
            assert reply is None or reply.status_code in (202, 409, 503), f"{reply.status_code} {reply.text}"
            time.sleep(0.05)

    def has(self, http, customer, target):
        return self.world.kos.product_of(customer.line) == target

    def wait(self, more, seconds=30):
        """Until so many further changes were acknowledged."""
        goal, end = len(self.acknowledged) + more, time.monotonic() + seconds
        while len(self.acknowledged) < goal:
            assert not self.failed, self.failed
            assert time.monotonic() < end, f"{len(self.acknowledged)} changes, not {goal}, after {seconds} s"
            time.sleep(0.02)

    def stop(self):
        self.ending.set()
        for t in self.threads:
            t.join(90)
        assert not self.failed, repr(self.failed)
