"""Random rounds: many customers at once, kill -9 and broken neighbours by a script that the seed makes."""

import os
import random
import shutil
import signal
import threading
import time
import traceback
import uuid
from collections import Counter

from .invariants import check
from .rig import PRODUCTS, CrashWorld, start_thread

LINES, CLIENTS = 24, 8
LOAD = 5.0  # seconds of load in a round

KOS_FAULTS = [
    ("change", "applied_reset", {}), ("change", "applied_no_answer", {}), ("change", "reset", {"phase": "before"}),
    ("change", "close", {"phase": "after"}), ("change", "hang", {"phase": "before"}), ("change", "garbage", {}),
    ("change", "http_status", {"status": 500, "phase": "before"}), ("change", "http_status", {"status": 503, "phase": "after"}),
    ("change", "delay", {"delayMs": 100, "jitterMs": 200}), ("change", "result_code", {"resultCode": "2004"}),
    ("change", "result_code", {"resultCode": "9999"}), ("change", "wrong_request_id", {}), ("change", "null_data", {}),
    ("change", "not_found_html", {}), ("change", "truncated", {}), ("change", "contradiction", {"phase": "after"}),
    ("inquiry", "http_status", {"status": 500}), ("inquiry", "delay", {"delayMs": 50, "jitterMs": 300}),
    ("inquiry", "reset", {}), ("inquiry", "hang", {}), ("inquiry", "garbage", {}), ("list", "http_status", {"status": 500}),
    ("list", "hang", {}),
]
MVNO_FAULTS = [
    ("http_status", {"status": 500}), ("http_status", {"status": 503, "phase": "after"}),
    ("http_status", {"status": 429, "headers": {"Retry-After": "1"}}), ("reset", {"phase": "after"}), ("reset", {}),
    ("hang", {}), ("delay", {"delayMs": 50, "jitterMs": 200}),
]
ACTIONS = ["kill", "kill", "kill", "kos_fault", "kos_fault", "kos_fault", "mvno_fault", "redis_stop", "postgres_kill",
           "mvno_kill", "kos_kill", "redis_pause", "postgres_pause", "kos_pause", "mvno_pause", "service_pause", "terminate"]


def settings(rng):
    """What this round runs with."""
    kos_dedup = rng.random() < 0.5
    env = {"KOS_SETTLE_HORIZON": "3s", "KOS_DEDUPLICATES": "true" if kos_dedup and rng.random() < 0.8 else "false",
           "OUTAGE_MODE": rng.choice(["refuse", "hold"]), "OUTAGE_MAX_HOLD": rng.choice(["2s", "30s"]),
           "KOS_CHANGE_MAX_IN_FLIGHT": rng.choice(["2", "256"]), "JOURNAL_GROUP": rng.choice(["1", "512"]),
           "SERVER_THREADS": rng.choice(["1", "2", "3"])}
    if rng.random() < 0.5:  # breakers that open
        env.update(KOS_BREAKER_WINDOW="10", KOS_BREAKER_MINIMUM="5", KOS_BREAKER_WAIT="200ms", KOS_BREAKER_WAIT_MAX="500ms")
    return env, kos_dedup


def script(rng):
    """[(seconds, action, its own numbers)], in order of time. Every neighbour that goes comes back."""
    out = [(rng.uniform(0.3, LOAD), rng.choice(ACTIONS), rng.random(), rng.random()) for _ in range(rng.randint(6, 14))]
    out.append((rng.uniform(0.5, LOAD), "kill", 0.0, rng.random()))
    return sorted(out)


class Chaos:
    """Plays the script. On the thread that owns the world: children die with the thread that started them."""

    def __init__(self, w):
        self.w, self.backs, self.counts = w, [], Counter()

    def later(self, seconds, what):
        self.backs.append((time.monotonic() + seconds, what))

    def tick(self):
        now = time.monotonic()
        due = [b for b in self.backs if b[0] <= now]
        self.backs = [b for b in self.backs if b[0] > now]
        for _, what in due:
            what()

    def start_service(self):
        if self.w.service.dead():
            self.w.service.start(ready=False)

    def back(self, server):
        def start():
            if not server.process.running():
                server.start()
        return start

    def pause(self, process, seconds):
        process.signal(signal.SIGSTOP)
        self.later(seconds, lambda: process.signal(signal.SIGCONT))

    def play(self, action, a, b):
        w = self.w
        self.counts[action] += 1
        if action == "kill" and not w.service.dead():
            w.service.kill9()
            self.later(0.02 + a * 0.4, self.start_service)
        elif action == "terminate" and not w.service.dead():
            w.service.process.signal(signal.SIGCONT)
            process = w.service.process
            process.signal(signal.SIGTERM)
            self.later(0.5 + a, lambda: self.end_terminated(process))
        elif action == "kos_fault" and w.kos.process.running():
            operation, kind, more = KOS_FAULTS[int(a * len(KOS_FAULTS))]
            self.fault(w.kos, kind, b, operation=operation, **more)
        elif action == "mvno_fault" and w.mvno.process.running():
            kind, more = MVNO_FAULTS[int(a * len(MVNO_FAULTS))]
            self.fault(w.mvno, kind, b, **more)
        elif action == "redis_stop" and w.redis.process.running():
            w.redis.process.kill()
            self.later(0.1 + b, self.back(w.redis))
        elif action in ("kos_kill", "mvno_kill"):
            server = getattr(w, action.split("_")[0])
            if server.process.running():
                server.process.signal(signal.SIGCONT)
                if server is w.kos:
                    w.note_kos_calls()
                server.process.kill()
                self.later(0.1 + b, self.back(server))
        elif action == "postgres_kill" and w.postgres.process.running():
            w.postgres.process.kill()
            self.later(0.3 + b, self.back_postgres)
        elif action.endswith("_pause"):
            server = getattr(w, action.split("_")[0])
            self.pause(server.process, 0.05 + 0.75 * b)

    def fault(self, sim, kind, b, **members):
        """For a share of the requests, for a while."""
        try:
            id_ = sim.fault(kind, rate=0.2 + 0.8 * b, **members)
        except Exception:
            return  # it is stopped
        process = sim.process

        def away():
            if process.running():
                process.signal(signal.SIGCONT)
                sim.control("DELETE", "faults", id=id_)
        self.later(0.2 + 1.3 * b, away)

    def end_terminated(self, process):
        """Asked to end: ends in order, however long its orders take; then it is started again."""
        if process.running():
            process.signal(signal.SIGCONT)
            self.later(0.3, lambda: self.end_terminated(process))
        else:
            self.start_service()

    def back_postgres(self):
        if not self.w.postgres.process.running():
            start_postgres(self.w.postgres)

    def finish(self):
        while self.backs:
            self.tick()
            time.sleep(0.02)
        self.w.heal()
        self.w.service.process.signal(signal.SIGCONT)


def start_postgres(server):
    """After kill -9 of the postmaster its children end a little later; until then it refuses to start."""
    deadline = time.monotonic() + 20
    while True:
        try:
            server.start()
            return
        except AssertionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


class Client:
    """A few lines, one intent after the other on each, from a generator of its own."""

    def __init__(self, rng, subscribers, stop, service=None):
        self.rng, self.subscribers, self.stop, self.service = rng, subscribers, stop, service
        self.counts, self.errors = Counter(), []

    def run(self):
        try:
            while not self.stop.is_set():
                self.intent(self.rng.choice(self.subscribers))
                time.sleep(self.rng.uniform(0, 0.02))
        except Exception:
            self.errors.append(traceback.format_exc(limit=-5))

    def current(self, s):
        try:
            return s.product()
        except Exception:
            return None  # KOS is away

    def intent(self, s):
        rng = self.rng
        current, kind = self.current(s), rng.random()
        key = f"key-{uuid.UUID(int=rng.getrandbits(128))}" if rng.random() < 0.6 else None
        asynchronous, family = rng.random() < 0.4, rng.choice(["core", "frontend"])
        target = rng.choice([p for p in PRODUCTS if p != current]) if rng.random() < 0.93 else "LTE_LEGACY"
        if current is None:
            time.sleep(0.05)
            return
        ask = {"key": key, "asynchronous": asynchronous, "family": family, "service": self.service}
        if kind < 0.1:
            self.double_click(s, target, current, ask)
            return
        a = s.change(target, current, **ask)
        self.counts[f"{a.status}"] += 1
        for _ in range(rng.randrange(5)):
            if a.status not in (None, 503) or not key or self.stop.is_set():
                break
            time.sleep(rng.uniform(0.02, 0.3))
            a = s.again(a, self.service)
            self.counts["repeated"] += 1
        if a.status == 202:
            self.follow(s, a)
        if kind > 0.9:
            s.menu(self.service)

    def double_click(self, s, target, current, ask):
        """The same request twice at the same time: one intent."""
        intent = s.intent()
        t = start_thread(lambda: s.change(target, current, intent=intent, **ask))
        a = s.change(target, current, intent=intent, **ask)
        t.join(20)
        self.counts["double"] += 1
        if a.status == 202:
            self.follow(s, a)

    def follow(self, s, a):
        if self.rng.random() < 0.3:
            reply = s.cancel(a.request_id, self.service)
            self.counts[f"cancel {reply.status if reply else None}"] += 1
        for _ in range(4):
            reply = s.result(a.request_id, wait=1, service=self.service)
            if self.stop.is_set() or reply and reply.status == 200 and reply.data["processStatus"] in ("COMPLETED", "FAILED"):
                return
            time.sleep(0.05)


def play(w, rng, chaos):
    """Load and chaos; then everything is healed and running."""
    stop = threading.Event()
    subscribers = [w.subscriber(rng.choice(PRODUCTS)) for _ in range(LINES)]
    per = LINES // CLIENTS
    clients = [Client(random.Random(rng.getrandbits(64)), subscribers[n * per:(n + 1) * per], stop) for n in range(CLIENTS)]
    steps = script(rng)
    started = time.monotonic()
    threads = [start_thread(c.run) for c in clients]
    while time.monotonic() - started < LOAD:
        while steps and time.monotonic() - started >= steps[0][0]:
            _, action, a, b = steps.pop(0)
            chaos.play(action, a, b)
        chaos.tick()
        time.sleep(0.01)
    stop.set()
    chaos.finish()
    for t in threads:
        t.join(40)
    problems = [e for c in clients for e in c.errors] + ["a client hangs" for t in threads if t.is_alive()]
    for c in clients:
        chaos.counts.update({f"answered {k}": n for k, n in c.counts.items()})
    return subscribers, problems


def one(session, seed, number):
    rng = random.Random(f"{seed}/{number}")
    env, kos_dedup = settings(rng)
    w = CrashWorld(session, env=env, kos_dedup=kos_dedup)
    chaos = Chaos(w)
    problems = []
    try:
        subscribers, problems = play(w, rng, chaos)
        if w.service.dead():
            w.service.boot()
        w.quiet(45)
        problems += check(w, subscribers)
        chaos.counts["changes"] = len(w.db.rows("SELECT 1 FROM product_change.product_change_history"))
    except Exception as e:
        problems += [f"{type(e).__name__}: {e}", traceback.format_exc(limit=-6)]
    finally:
        w.close()
    if problems:
        problems.append(f"settings: {env}, KOS recognises repeats: {kos_dedup}; logs: {w.folder}")
    else:
        shutil.rmtree(w.folder, ignore_errors=True)
    return problems, chaos.counts


def run(session, seed, number, quick):
    """(problems, counts, seconds)"""
    started = time.monotonic()
    problems, counts = one(session, seed, number)
    return problems, counts, time.monotonic() - started


__all__ = ["Chaos", "Client", "one", "os", "play", "run", "start_postgres"]
