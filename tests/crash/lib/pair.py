"""Two instances on one Redis and one PostgreSQL, both loaded with changes of the same lines."""

import os
import random
import shutil
import threading
import time
import traceback
from collections import Counter

from .invariants import Records, check, customer_sees_the_truth, state, stored
from .rig import PRODUCTS, CrashWorld, pause, start_thread, until
from .rounds import Client


def make(session, **more):
    w = CrashWorld(session, **more)
    w.second = w.make_service("second", JOURNAL_PATH=os.path.join(w.folder, "journal-second"))
    return w


def load(w, subscribers, seed, stop, clients=8):
    """Every client has every line, half of them on each instance."""
    rng = random.Random(seed)
    instances = [w.service, w.second]
    workers = [Client(random.Random(rng.getrandbits(64)), subscribers, stop, instances[n % 2]) for n in range(clients)]
    return workers, [start_thread(c.run) for c in workers]


def one_killed_in_mid_load(session, seed):
    """kill -9 of one in mid-load: the other takes no line that the dead one has open; all is there afterwards."""
    w = make(session, env={"KOS_SETTLE_HORIZON": "3s"})
    try:
        lines = [w.subscriber(p) for p in PRODUCTS * 2]
        stop, rng, problems = threading.Event(), random.Random(seed), []
        w.kos.fault("delay", operation="change", phase="before", delayMs=20, jitterMs=60)
        w.kos.fault("applied_no_answer", operation="change", rate=0.05)
        workers, threads = load(w, lines, seed, stop)
        for victim in (w.service, w.second, w.service):
            pause(rng.uniform(0.7, 1.5))
            victim.kill9()
            pause(rng.uniform(0.5, 1.5))
            victim.boot()
        pause(0.5)
        stop.set()
        for t in threads:
            t.join(40)
        problems += [e for c in workers for e in c.errors]
        w.heal()
        for s in (w.service, w.second):
            w.quiet(45, service=s)
        problems += check(w, lines)
        problems += both_tell_the_same(w, lines)
        counts = Counter(f"answered {a.status}" for a in w.attempts)
        return problems, counts, w
    except Exception as e:
        return [f"{type(e).__name__}: {e}", traceback.format_exc(limit=-6)], None, w


def both_tell_the_same(w, lines):
    problems = []
    r = Records(w, lines)
    for s in lines:
        for service in (w.service, w.second):
            problems += list(customer_sees_the_truth(r, s, service))
    return problems[:8]


def the_other_tells_the_end(session, seed):
    """One instance dies after an outcome was durable, before Redis heard of it: the other tells the outcome, not
    what Redis still says, and its line can be changed there."""
    w = make(session)
    problems = []
    try:
        for point in ("change.outcome", "journal.after_commit", "change.outcome_stored", "shared.before",
                      "shared.request_sent", "change.ended", "change.drop"):
            problems += dies_at(w, point)
        return problems, None, w
    except Exception as e:
        return problems + [f"{type(e).__name__}: {e}", traceback.format_exc(limit=-6)], None, w


def dies_at(w, point):
    s = w.subscriber()
    s.menu()
    s.menu(w.second)
    gate = w.kos.fault("gate", operation="change", lineNumber=s.line, phase="before")
    asked = []
    t = start_thread(lambda: asked.append(s.change("LTE_PLUS", asynchronous=True)))
    w.kos.wait_held(gate)
    t.join(10)
    id_ = asked[0].request_id
    w.arm(point)
    w.kos.clear(gate)
    died = w.service.wait_dead(5)
    w.disarm()
    if not died:
        return [f"{point} was not passed"]
    w.service.note_death()
    w.service.boot()
    w.quiet()
    w.expire_claims()
    problems = []
    row = w.row(id_)
    for service in (w.service, w.second):
        reply = s.result(id_, service=service)
        if reply is None or reply.status != 200 or state(reply.data) != stored(row):
            problems.append(f"after {point}: {service.name} tells {reply!r}, the history {stored(row)}")
    until(lambda: s.product() == "LTE_PLUS", 5)
    a = s.change("LTE_SLIM", service=w.second)
    if a.status != 200:
        problems.append(f"after {point}: the line cannot be changed at the other instance: {a}")
    w.quiet(service=w.second)
    return problems + [f"after {point}: {p}" for p in check(w, [s])]


TRIALS = [one_killed_in_mid_load, the_other_tells_the_end]


def names(quick):
    return [t.__name__ for t in TRIALS[:1 if quick else None]]


def run(session, name, seed):
    """(problems, counts, seconds)"""
    started = time.monotonic()
    problems, counts, w = next(t for t in TRIALS if t.__name__ == name)(session, seed)
    w.close()
    if problems:
        problems.append(f"logs: {w.folder}")
    else:
        shutil.rmtree(w.folder, ignore_errors=True)
    return problems, counts, time.monotonic() - started
