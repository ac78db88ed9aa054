"""What random rounds do not reach: time that stands still or jumps, disks that are full or fail, a database that
dies in the middle of a commit, doubts that a person has to decide, starts that are killed again and again.

A trial is a function of a session; it gives what is wrong, or raises Skip."""

import json
import os
import random
import shutil
import signal
import subprocess
import threading
import time
import traceback

from .invariants import RULES, check, one_open_change_per_line
from .rig import PRODUCTS, CrashWorld, pause, start_thread, until
from .rounds import Client, start_postgres


class Skip(Exception):
    """Cannot be done here; why."""


class Asked:
    """A request under way on a thread of its own."""

    def __init__(self, s, target="LTE_PLUS", **more):
        self.attempt = None
        self.thread = start_thread(lambda: setattr(self, "attempt", s.change(target, timeout=60, **more)))

    def end(self, seconds=60):
        self.thread.join(seconds)
        assert self.attempt is not None, "the request is still unanswered"
        return self.attempt


def ready(w):
    reply = w.ask("GET", "/health/ready", "-", check=False)
    return reply is not None and reply.status == 200


def load(w, subscribers, seed, seconds, during=lambda: None, clients=4):
    """Load for some seconds; during() runs on this thread meanwhile. What went wrong in a client."""
    stop = threading.Event()
    rng = random.Random(seed)
    per = len(subscribers) // clients
    workers = [Client(random.Random(rng.getrandbits(64)), subscribers[n * per:(n + 1) * per], stop) for n in range(clients)]
    threads = [start_thread(c.run) for c in workers]
    end = time.monotonic() + seconds
    during()
    pause(max(0.0, end - time.monotonic()))
    stop.set()
    for t in threads:
        t.join(40)
    return [e for c in workers for e in c.errors] + ["a client hangs" for t in threads if t.is_alive()]


def finish(w, subscribers, **more):
    w.quiet(45)
    return check(w, subscribers, **more)


# --- time stands still ---


def stopped_while_the_order_is_at_kos(w, seed):
    """SIGSTOP across the order's and the request's deadline: KOS has applied it meanwhile."""
    s = w.subscriber()
    s.menu()
    gate = w.kos.fault("gate", operation="change", lineNumber=s.line)
    asked = Asked(s)
    w.kos.wait_held(gate)
    w.service.process.signal(signal.SIGSTOP)
    w.kos.clear(gate)
    pause(7)  # more than change.deadline
    w.service.process.signal(signal.SIGCONT)
    a = asked.end()
    problems = [] if a.status in (200, 202) else [f"an order that was applied was answered {a}"]
    if a.request_id and s.final(a.request_id)["processStatus"] != "COMPLETED":
        problems.append(f"applied, but not completed: {a}")
    return problems + finish(w, [s])


def stopped_before_the_intent(w, seed):
    """SIGSTOP across the request's deadline while KOS is asked: whatever is answered then is true."""
    s = w.subscriber()
    gate = w.kos.fault("gate", operation="inquiry", lineNumber=s.line, phase="after")
    asked = Asked(s)
    w.kos.wait_held(gate)
    w.service.process.signal(signal.SIGSTOP)
    w.kos.clear(gate)
    pause(7)
    w.service.process.signal(signal.SIGCONT)
    asked.end()
    return finish(w, [s])


def stopped_while_in_doubt(w, seed):
    """SIGSTOP across the settle horizon: one look afterwards is not enough to say that it was not applied."""
    s = w.subscriber()
    w.kos.fault("delay", operation="change", lineNumber=s.line, phase="before", delayMs=2600, count=1)
    asked = Asked(s)
    a = asked.end() if w.service.dead() else None
    until(lambda: w.service.metric("pcs_journal_in_doubt") == 1, 5, "in doubt")
    w.service.process.signal(signal.SIGSTOP)
    pause(2.3)  # past the horizon; the order takes effect a moment later
    w.service.process.signal(signal.SIGCONT)
    a = a or asked.end()
    s.final(a.request_id)
    return finish(w, [s])


# --- the clock steps ---


def clock_steps(w, seed):
    """Ten minutes forward, twenty back: changes go on, and a line that was changed before can be changed after."""
    problems, lines = [], [w.subscriber() for _ in range(4)]
    for offset in ("0", "600", "-600", "0"):
        w.set_shim(offset)
        for s in lines:
            current = s.product()
            a = s.change(PRODUCTS[(PRODUCTS.index(current) + 1) % len(PRODUCTS)], current)
            if a.status != 200:
                problems.append(f"with the clock at {offset} s: {a}")
    w.quiet()
    w.set_shim(None)
    steady = [rule for rule in RULES if rule is not one_open_change_per_line and rule.__name__ != "events_in_order"]
    return problems + finish(w, lines, rules=steady)


def clock_steps_forward_in_doubt(w, seed):
    """An hour forward while an order is under way at KOS: that is not the settle horizon's time."""
    s = w.subscriber()
    w.kos.fault("delay", operation="change", lineNumber=s.line, phase="before", delayMs=2500, count=1)
    asked = Asked(s, asynchronous=True)
    a = asked.end()
    until(lambda: w.service.metric("pcs_journal_in_doubt") == 1, 5, "in doubt")
    w.set_shim("3600")
    try:
        until(lambda: s.product() == "LTE_PLUS", 5, "KOS applies the order")
        until(lambda: w.service.metric("pcs_journal_open") == 0, 10, "settled")
        row = w.row(a.request_id)  # MVNO AP does not take a signature of another hour
    finally:
        w.set_shim(None)
    status = row["status"], row["result_code"]
    return [] if status == ("COMPLETED", "0000") else [f"KOS applied {a.request_id}, it was settled as {status}"]


def clock_steps_back_in_doubt(w, seed):
    """An hour back and a restart: a doubt is looked at again within the usual time."""
    s = w.subscriber()
    w.kos.fault("applied_reset", operation="change", lineNumber=s.line)
    gate = w.kos.fault("gate", operation="change", lineNumber=s.line, phase="before")
    a = Asked(s, asynchronous=True).end()
    w.kos.wait_held(gate)
    down = w.kos.fault("http_status", operation="inquiry", status=500, lineNumber=s.line)
    w.kos.clear(gate)
    until(lambda: w.service.metric("pcs_journal_in_doubt") == 1, 5, "in doubt")
    w.service.kill9()
    w.set_shim("-3600")
    try:
        w.service.boot()
        w.kos.clear(down)
        w.kos.clear()
        result = s.final(a.request_id, 10)
    finally:
        w.set_shim(None)
    problems = [] if result["processStatus"] == "COMPLETED" else [f"settled as {result}"]
    w.quiet()
    return problems


# --- disks ---


def full_disk(session, seed):
    """No new changes, what is under way ends, nothing is lost, and it goes on by itself when there is room."""
    folder = os.path.join(session.folder, f"full-{seed}")
    os.makedirs(folder)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", folder], capture_output=True, text=True)
    if mounted.returncode:
        raise Skip(f"a small file system cannot be mounted ({mounted.stderr.strip()}); this needs root")
    w = None
    try:
        w = CrashWorld(session, env={"JOURNAL_PATH": os.path.join(folder, "journal"), "JOURNAL_RESERVE": "2MiB"})
        problems = fill_and_empty(w, folder)
        return problems
    finally:
        if w:
            w.close()
        subprocess.run(["umount", "-l", folder], check=False)


def fill(path):
    """Takes all the room that is left."""
    with open(path, "wb", buffering=0) as f:
        block = b"x" * 65536
        try:
            while True:
                f.write(block)
        except OSError:
            pass


def fill_and_empty(w, folder):
    problems, lines = [], [w.subscriber() for _ in range(4)]
    problems += load(w, lines, 1, 0.5)
    held = w.subscriber()
    gate = w.kos.fault("gate", operation="change", lineNumber=held.line)
    asked = Asked(held)
    w.kos.wait_held(gate)
    filler = os.path.join(folder, "filler")
    fill(filler)
    until(lambda: not ready(w), 10, "not ready on a full disk")
    fresh = w.subscriber()
    a = fresh.change("LTE_PLUS")
    if a.status != 503 or a.code != "SERVICE_UNAVAILABLE":
        problems.append(f"a full disk was answered {a}")
    w.kos.clear(gate)
    a = asked.end()
    if a.status not in (200, 202):
        problems.append(f"a change under way was answered {a}")
    fill(filler + "-2")  # what the reserve gave back
    before = fresh.change("LTE_PLUS")
    if before.status != 503:
        problems.append(f"a full disk was answered {before}")
    if not w.service.process.running():
        return problems + ["it ended on a full disk"]
    os.unlink(filler)
    os.unlink(filler + "-2")
    until(lambda: ready(w), 15, "ready again, by itself")
    if held.final(a.request_id)["processStatus"] != "COMPLETED":
        problems.append(f"what was under way: {held.result(a.request_id)}")
    problems += load(w, lines, 2, 0.5)
    return problems + finish(w, [*lines, held, fresh])


def full_disk_and_a_crash(session, seed):
    """kill -9 while the disk is full: it starts again, settles what was open, and takes changes when there is room."""
    folder = os.path.join(session.folder, f"full-crash-{seed}")
    os.makedirs(folder)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", folder], capture_output=True, text=True)
    if mounted.returncode:
        raise Skip(f"a small file system cannot be mounted ({mounted.stderr.strip()}); this needs root")
    w = None
    try:
        w = CrashWorld(session, env={"JOURNAL_PATH": os.path.join(folder, "journal"), "JOURNAL_RESERVE": "2MiB"})
        s = w.subscriber()
        gate = w.kos.fault("gate", operation="change", lineNumber=s.line)
        a = Asked(s, asynchronous=True).end()
        w.kos.wait_held(gate)
        fill(os.path.join(folder, "filler"))
        until(lambda: not ready(w), 10, "not ready on a full disk")
        w.service.kill9()
        w.kos.clear(gate)
        w.service.start(ready=False)
        result = s.final(a.request_id)
        problems = [] if result["processStatus"] == "COMPLETED" else [f"settled as {result}"]
        os.unlink(os.path.join(folder, "filler"))
        until(lambda: ready(w), 15, "ready again, by itself")
        return problems + finish(w, [s])
    finally:
        if w:
            w.close()
        subprocess.run(["umount", "-l", folder], check=False)


def failing_fsync(w, seed):
    """fsync fails for a while under load, twice: nothing is promised meanwhile, it goes on by itself afterwards."""
    lines, problems = [w.subscriber() for _ in range(12)], []

    def break_twice():
        for _ in range(2):
            pause(0.5)
            w.break_fsync()
            until(lambda: not ready(w), 5, "not ready while fsync fails")
            a = lines[0].change("LTE_LEGACY")
            if a.status is None or a.status < 400 or a.request_id:
                problems.append(f"promised while nothing could be written: {a}")
            pause(0.4)
            w.mend_fsync()
            until(lambda: ready(w), 15, "ready again, by itself")
    problems += load(w, lines, seed, 3, break_twice)
    return problems + finish(w, lines)


def failing_fsync_and_a_crash(w, seed):
    """kill -9 while fsync fails, after what was refused may have reached the disk."""
    lines = [w.subscriber() for _ in range(12)]

    def break_and_kill():
        for _ in range(3):
            pause(0.4)
            w.break_fsync()
            pause(0.15)
            w.service.kill9()
            w.mend_fsync()
            w.service.boot()
    problems = load(w, lines, seed, 2, break_and_kill)
    return problems + finish(w, lines)


def told(attempt):
    """The answer, unless it is that the first request's record is on its way to the disk."""
    return attempt if attempt.code != "CHANGE_IN_PROGRESS" else None


def disk_that_hangs(w, seed):
    """fsync does not come back over the request's deadline: each is told the truth as far as it is known, and what was
    said stays so when the disk is back."""
    problems, lines = [], [w.subscriber() for _ in range(4)]
    for s in lines:
        s.menu()
    gate = w.kos.fault("gate", operation="inquiry", phase="before")
    intent, late = Asked(lines[0], key="hang-1"), Asked(lines[1], asynchronous=True, key="hang-2")
    invalid = Asked(lines[2], "LTE_LEGACY", key="hang-3")
    w.kos.wait_held(gate, 3)  # so that the journal, which will hang, has claimed the lines
    w.set_shim("hang")
    w.kos.clear(gate)
    for asked in (intent, late):
        a = asked.end(20)
        if a.status != 503 or a.code != "SERVICE_UNAVAILABLE" or a.request_id:
            problems.append(f"an intent that is not on disk was answered {a}")
    a = invalid.end(20)
    if a.code != "VALIDATION_FAILED" or a.request_id:
        problems.append(f"a failed pre-check that is not on disk was answered {a}")
    if w.kos.orders(line=lines[0].line) or w.kos.orders(line=lines[1].line):
        problems.append("ordered before the intent was on disk")
    w.set_shim(None)
    until(lambda: ready(w), 10, "ready again, by itself")
    w.quiet()
    again = until(lambda: told(lines[2].again(invalid.attempt)), 5, "its record is on disk")
    if again.code != "VALIDATION_FAILED" or not again.request_id:
        problems.append(f"the replay of a failed pre-check: {again}")
    for s, asked in ((lines[0], intent), (lines[1], late)):
        if w.kos.orders(line=s.line):
            problems.append(f"{asked.attempt} said that nothing was ordered")
        fresh = s.again(asked.attempt)  # 503 leaves the key free
        if fresh.status not in (200, 202):
            problems.append(f"the key is not free after 503: {fresh}")
        if fresh.status == 202:
            s.final(fresh.request_id)
    return problems + finish(w, lines)


def disk_that_hangs_and_a_kill(w, seed):
    """Killed while fsync hangs: the intent's record is in the file, though its caller was told 503, nothing ordered. It is
    kept: an accepted change is not sent by the next start, one that was to be sent is asked about and not ordered."""
    problems, lines = [], [w.subscriber() for _ in range(2)]
    for s in lines:
        s.menu()
    log = os.path.join(w.service.env["JOURNAL_PATH"], "0", "journal.db-wal")
    for s, asynchronous in zip(lines, (True, False)):
        until(lambda: not os.path.exists(log) or os.path.getsize(log) == 0, 15, "the log at rest")
        w.set_shim("1")  # the log's head passes; what hangs is the fsync behind the intent's record
        asked = Asked(s, asynchronous=asynchronous, key=f"hung-{asynchronous}").end(20)
        if asked.status != 503 or asked.code != "SERVICE_UNAVAILABLE" or asked.request_id:
            problems.append(f"an intent that is not on disk was answered {asked}")
        w.service.kill9()
        w.set_shim(None)
        assert w.service.boot()
        w.quiet()
        if w.kos.orders(line=s.line):
            problems.append(f"{asked} said that nothing was ordered")
        fresh = s.again(asked)  # 503 leaves the key free, in Redis too: ordered now, not the end of the first repeated
        if fresh.status not in (200, 202) or s.final(fresh.request_id)["processStatus"] != "COMPLETED":
            problems.append(f"the key is not free after 503: {fresh}")
        w.quiet()
    return problems + finish(w, lines)


# --- PostgreSQL ---


def ended_while_the_disk_hangs(w, seed):
    """SIGTERM while a commit does not come back: the process says so and ends, in its time and without the journal's
    thread; nothing was ordered."""
    problems, s = [], w.subscriber()
    s.menu()
    w.set_shim("hang")
    asked = Asked(s)
    until(lambda: 'pcs_journal_operations_total{verb="intent"} 1' in w.ask("GET", "/metrics", "-").text, 5, "the intent")
    w.service.process.signal(signal.SIGTERM)
    code = w.service.process.wait(30)  # drain: 9 s and 2; let go: 3
    if code != 1:
        problems.append(f"ended with {code} while the disk hung")
        w.service.kill9()
    if not w.service.events("shutdown.incomplete"):
        problems.append("did not say that it could not end in order")
    a = asked.end(20)
    if a.status not in (None, 503) or a.request_id:
        problems.append(f"an intent that is not on disk was answered {a}")
    if w.kos.orders(line=s.line):
        problems.append("ordered before the intent was on disk")
    w.set_shim(None)
    w.service.boot()
    return problems


def ended_when_idle_while_the_disk_hangs(w, seed):
    """SIGTERM when nothing is under way, but what was written is not in the journal's main file yet: closing it does not
    come back, and the process ends all the same."""
    problems = []
    for _ in range(5):  # the main file is brought up to date a second after the last commit
        s = w.subscriber()
        s.change("LTE_PLUS")
        until(lambda: w.pending() == 0, 10, "all is forwarded")
        w.set_shim("hang")
        w.service.process.signal(signal.SIGTERM)
        code = w.service.process.wait(30)  # close: 10 s
        w.set_shim(None)
        if code is None:
            problems.append("did not end while the disk hung")
            w.service.kill9()
        elif code and not w.service.events("shutdown.incomplete"):
            problems.append(f"ended with {code}, and did not say that it could not end in order")
        w.service.boot()
        if code != 0:
            return problems
    return ["the disk was never needed at the end"]


def kill_postgres(w, unset=None):
    """kill -9, as if the machine had lost it; a setting goes away with it."""
    w.postgres.process.kill()
    if unset:
        path = os.path.join(w.postgres.data, "postgresql.auto.conf")
        with open(path, encoding="utf-8") as f:
            kept = [line for line in f if unset not in line]
        with open(path, "w", encoding="utf-8") as f:
            f.writelines(kept)
    start_postgres(w.postgres)


def waits(w, event):
    return w.db.rows("SELECT 1 FROM pg_stat_activity WHERE wait_event = %s AND datname = %s", event, w.db.name)


def postgres_killed_after_its_commit(w, seed):
    """Committed, but the service never hears so: stored once all the same."""
    lines = [w.subscriber() for _ in range(6)]
    problems = []
    for _ in range(3):
        w.postgres.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        w.postgres.execute("SELECT pg_reload_conf()")
        problems += load(w, lines, seed, 0.4, clients=3)
        until(lambda: waits(w, "SyncRep"), 10, "a commit that waits for its answer")
        kill_postgres(w, "synchronous_standby_names")
        w.quiet()
    return problems + finish(w, lines)


def postgres_killed_before_its_commit(w, seed):
    """In the middle of a commit, at its deferred triggers: not stored, so it is sent again."""
    lines = [w.subscriber() for _ in range(6)]
    table = "product_change.product_change_history"
    w.db.rows("CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM pg_sleep(3); RETURN NULL; END$$")
    problems = []
    for _ in range(3):
        w.db.rows(f"CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON {table} DEFERRABLE INITIALLY DEFERRED"
                  " FOR EACH ROW EXECUTE FUNCTION slow()")
        problems += load(w, lines, seed, 0.4, clients=3)
        until(lambda: waits(w, "PgSleep"), 10, "a commit under way")
        kill_postgres(w)
        until(lambda: w.db.rows(f"DROP TRIGGER slow ON {table}") == [], 10, "PostgreSQL is back")
        w.quiet()
    return problems + finish(w, lines)


def poison_rows(w, seed):
    """Rows that PostgreSQL refuses are kept aside with its words, by themselves; everything else goes on."""
    lines = [w.subscriber() for _ in range(12)]
    bad = {s.line for s in lines[::4]}
    listed = ", ".join(f"'{line}'" for line in bad)
    w.db.rows("ALTER TABLE product_change.product_change_history ADD CONSTRAINT poison"
              f" CHECK (line_number NOT IN ({listed})) NOT VALID")
    problems = load(w, lines, seed, 1.5, w.service.kill9)  # everybody is refused: nothing runs
    w.service.boot()
    problems += load(w, lines, seed + 1, 1.5)
    w.quiet()
    w.service.kill9()
    w.service.boot()
    w.quiet()
    good = [s for s in lines if s.line not in bad]
    w.db.rows("ALTER TABLE product_change.product_change_history DROP CONSTRAINT poison")
    for s in (s for s in lines if s.line in bad):
        for a in w.attempts:
            if a.line == s.line and a.request_id:
                reply = s.result(a.request_id)
                if reply is None or reply.status != 200:
                    problems.append(f"a poisoned change cannot be looked up: {reply!r}")
    w.told = [t for t in w.told if t.result["lineNumber"] not in bad]
    return problems + finish(w, good)


# --- doubts ---


def changed_elsewhere(w, seed):
    """A third product: nobody guesses. The line stays closed, through restarts, until an operator decides."""
    s = w.subscriber()
    gate = w.kos.fault("hang", operation="change", lineNumber=s.line, phase="before")
    a = Asked(s, asynchronous=True).end()
    w.kos.wait_held(gate)
    w.kos.customer(s.line, productCode="5GX_PREMIUM")
    problems = []

    def on_the_list():
        found = listed_doubts(w)
        return [d for d in found if d["requestId"] == a.request_id and d["onOperatorList"]]
    until(on_the_list, 10, "on the operator's list")
    for _ in range(2):
        result = s.result(a.request_id).data
        if result["processStatus"] != "PROCESSING" or not result.get("inDoubt"):
            problems.append(f"shown as {result}")
        busy = s.change("LTE_SLIM", "5GX_PREMIUM")
        if busy.code != "CHANGE_IN_PROGRESS" or busy.request_id != a.request_id:
            problems.append(f"the line is not closed: {busy}")
        if w.mvno.events(request_id=a.request_id):
            problems.append("MVNO AP was told of a change in doubt")
        w.service.kill9()
        w.service.boot()
        pause(0.3)
        until(on_the_list, 10, "still on the operator's list")
    run = operate(w, "settle", a.request_id, "--outcome", "not-applied", "--reason", "changed at the desk", "--actor", "kim")
    if run.returncode:
        problems.append(f"settle: {run.stdout} {run.stderr}")
    w.quiet()
    w.kos.clear()
    w.forget_cached(s.line)
    return problems + finish(w, [s])


def changed_elsewhere_to_the_target(w, seed):
    """The product that was asked for, however it came about: completed."""
    s = w.subscriber()
    w.kos.fault("hang", operation="change", lineNumber=s.line, phase="before")
    a = Asked(s, asynchronous=True).end()
    until(lambda: w.service.metric("pcs_journal_in_doubt") == 1, 5, "in doubt")
    w.kos.customer(s.line, productCode="LTE_PLUS")
    result = s.final(a.request_id)
    w.kos.clear()
    w.quiet()
    return [] if (result["processStatus"], result["resultCode"]) == ("COMPLETED", "0000") else [f"settled as {result}"]


def operate(w, *argv):
    return w.run(*argv, env=w.service.env)


def listed_doubts(w):
    run = operate(w, "settle", "list", "--json")
    assert run.returncode == 0, f"settle list: {run.returncode} {run.stdout} {run.stderr}"
    answer = json.loads(run.stdout)
    return answer.get("data", answer)["doubts"]


def repeat_refused_after_a_crash(w, seed):
    """KOS refuses the repeat of an order whose first sending it still holds: that is not the outcome."""
    s = w.subscriber()
    gate = w.kos.fault("gate", operation="change", lineNumber=s.line, phase="before", count=1)
    a = Asked(s, asynchronous=True).end()
    w.kos.wait_held(gate)
    w.service.kill9()
    refuse = w.kos.fault("result_code", operation="change", lineNumber=s.line, resultCode="2099")
    w.service.boot()
    until(lambda: len(w.kos.calls(operation="change", line=s.line)) >= 3, 10, "repeats")
    w.kos.release(gate)
    w.kos.clear(refuse)
    w.kos.clear()
    result = s.final(a.request_id)
    problems = [] if result["processStatus"] == "COMPLETED" else [f"applied, but settled as {result}"]
    return problems + finish(w, [s])


def repeats_back_off(w, seed):
    """KOS fails every order: repeats come at the pace of the inquiries, not as fast as they fail."""
    s = w.subscriber()
    fault = w.kos.fault("http_status", operation="change", lineNumber=s.line, status=500, phase="before")
    a = Asked(s, asynchronous=True).end()
    pause(1.2)
    sent = len(w.kos.calls(operation="change", line=s.line))
    w.kos.clear(fault)
    s.final(a.request_id)
    problems = [] if sent <= 15 else [f"{sent} orders within 1.2 s"]
    return problems + finish(w, [s])


def horizon_counts_from_the_last_order(w, seed):
    """A repeat that is under way when the first order's horizon passes may still be applied."""
    s = w.subscriber()
    lost = w.kos.fault("reset", operation="change", lineNumber=s.line, phase="before")
    started = time.monotonic()
    a = Asked(s, asynchronous=True).end()
    pause(max(0.0, started + 1.1 - time.monotonic()))
    w.kos.fault("delay", operation="change", lineNumber=s.line, phase="before", delayMs=1300)
    w.kos.control("DELETE", "faults", id=lost)
    s.final(a.request_id)
    pause(1.5)  # the last of them has taken effect
    w.kos.clear()
    return finish(w, [s])


# --- starts ---


def killed_at_the_start(w, seed):
    """Ten starts that are killed within moments, under load; the eleventh has everything."""
    lines, rng = [w.subscriber() for _ in range(12)], random.Random(seed)

    def die():
        for _ in range(10):
            pause(rng.uniform(0.05, 0.25))
            w.service.kill9()
            w.service.start(ready=False) if rng.random() < 0.5 else launch(w)
        pause(0.3)
    problems = load(w, lines, seed, 2, die)
    if w.service.dead():
        w.service.boot()
    return problems + finish(w, lines)


def launch(w):
    """Starts it and looks away."""
    from harness.proc import Process
    from harness.service import SANITIZER_ENV
    s = w.service
    s.starts += 1
    env = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **SANITIZER_ENV, **s.env}
    s.process = Process(f"{s.name}-{s.port}-{s.starts}", s.argv, s.folder, env)


def many_open(w, seed):
    """More open changes than a page of the recovery: those behind the first page do not wait for it to end."""
    first = [w.subscriber() for _ in range(520)]
    rest = [w.subscriber() for _ in range(10)]
    lost = w.kos.fault("reset", operation="change", phase="before")
    many_changes(w, first)
    w.kos.control("DELETE", "faults", id=lost)
    w.kos.fault("applied_reset", operation="change")
    gate = w.kos.fault("gate", operation="change", phase="before")
    ids = many_changes(w, rest)
    w.kos.wait_held(gate, len(rest), 10)
    w.service.kill9()
    w.kos.release(gate)
    w.service.boot()
    for s, id_ in zip(rest, ids):
        s.final(id_, 10)
    w.kos.clear()
    return finish(w, [*rest, *first[::40]], change_again=False) if w.pending() == 0 else []


def many_changes(w, subscribers):
    attempts = [None] * len(subscribers)

    def ask(part):
        for n in range(part, len(subscribers), 8):
            attempts[n] = subscribers[n].change("LTE_PLUS", "LTE_BASIC", asynchronous=True)
    threads = [start_thread(ask, part) for part in range(8)]
    for t in threads:
        t.join(60)
    assert all(a and a.status == 202 for a in attempts), [a for a in attempts if not a or a.status != 202][:3]
    return [a.request_id for a in attempts]


def ended_in_order_under_load(w, seed):
    """SIGTERM and a start, three times under load: as after a crash, nothing is lost."""
    lines = [w.subscriber() for _ in range(12)]

    def end():
        for _ in range(3):
            pause(0.5)
            w.service.process.signal(signal.SIGTERM)
            code = w.service.process.wait(20)
            assert code == 0, f"ended with {code} at SIGTERM"
            w.service.check_log()
            w.service.boot()
    problems = load(w, lines, seed, 2, end)
    return problems + finish(w, lines)


SLOW = {"KOS_SETTLE_HORIZON": "60s"}
DEDUP = {"env": {"KOS_DEDUPLICATES": "true"}, "kos_dedup": True}
CLOCK = {"preload": "clockstep"}

# trial, its world (None: makes its own), in the short selection?
TRIALS = [
    (stopped_while_the_order_is_at_kos, {}, False),
    (stopped_before_the_intent, {}, False),
    (stopped_while_in_doubt, {}, False),
    (clock_steps, CLOCK, True),
    (clock_steps_forward_in_doubt, {**CLOCK, "env": {"KOS_SETTLE_HORIZON": "20s"}}, True),
    (clock_steps_back_in_doubt, CLOCK, True),
    (full_disk, None, True),
    (full_disk_and_a_crash, None, False),
    (failing_fsync, {"preload": "failfsync"}, True),
    (failing_fsync_and_a_crash, {"preload": "failfsync"}, False),
    (disk_that_hangs, {"preload": "failfsync"}, False),
    (disk_that_hangs_and_a_kill, {"preload": "failfsync", **DEDUP}, True),
    (ended_while_the_disk_hangs, {"preload": "failfsync"}, False),
    (ended_when_idle_while_the_disk_hangs, {"preload": "failfsync"}, False),
    (postgres_killed_after_its_commit, {"own_postgres": True}, False),
    (postgres_killed_before_its_commit, {"own_postgres": True}, False),
    (poison_rows, {}, False),
    (changed_elsewhere, {}, True),
    (changed_elsewhere_to_the_target, {}, False),
    (repeat_refused_after_a_crash, DEDUP, True),
    (repeats_back_off, DEDUP, False),
    (horizon_counts_from_the_last_order, DEDUP, False),
    (killed_at_the_start, {}, False),
    (many_open, {"env": SLOW}, False),
    (ended_in_order_under_load, {}, False),
]
BY_NAME = {trial.__name__: (trial, world) for trial, world, _ in TRIALS}


def names(quick):
    return [trial.__name__ for trial, _, short in TRIALS if short or not quick]


def run(session, name, seed):
    """(problems, None or why it was skipped, seconds)"""
    trial, world = BY_NAME[name]
    started, w, problems, skipped = time.monotonic(), None, [], None
    try:
        if world is None:
            problems = trial(session, seed)
        else:
            w = CrashWorld(session, **world)
            problems = trial(w, seed)
    except Skip as e:
        skipped = str(e)
    except Exception as e:
        problems = [f"{type(e).__name__}: {e}", traceback.format_exc(limit=-6)]
    finally:
        if w:
            w.close()
    if w and problems:
        problems.append(f"logs: {w.folder}")
    elif w:
        shutil.rmtree(w.folder, ignore_errors=True)
    return problems, skipped, time.monotonic() - started
