"""What a service may be doing when it dies. Each scenario is run many times: once to see which failpoints it
passes, then once for each of them.

setup() prepares, before the point is armed; act() leads through the points (the service may die in any of its
steps: every answer may be None); heal() takes its faults away, before the service is started again; after() is
what its customer does then. kind: the world that it needs (worlds.py)."""

import http.client
import os
import signal
import uuid

from .rig import PRODUCTS, Subscriber, pause, until

from harness.admin import Admin, socket_of  # noqa: E402


class Scenario:
    kind = "plain"
    linger = 3.0  # how long after act() the point may still be passed
    keyed = True  # asked with an Idempotency-Key, and asked again under it when no answer came
    target = "LTE_PLUS"
    expect = None  # (processStatus, resultCode) of a run in which nobody dies

    def __init__(self, w, number):
        self.w, self.number = w, number
        self.s = w.subscriber()
        self.others = []  # further subscribers, checked as well
        self.key = f"crash-{number}-{uuid.uuid4()}" if self.keyed else None
        self.family = "frontend" if number % 3 == 2 else "core"
        self.attempt = None

    def setup(self):
        self.s.menu()  # the cache holds the old product

    def act(self):
        self.attempt = self.ask()

    def ask(self, **more):
        return self.s.change(self.target, key=self.key, family=self.family, **more)

    def heal(self):
        self.w.heal()

    def after(self):
        """As a customer who got no answer: once more, under the same key."""
        a = self.attempt
        if not a or not a.key or a.status is not None:
            return

        def again():
            self.w.expire_claims()
            b = self.s.again(a)
            assert b.status is not None, b
            return b.status not in (409, 503) or b.code in ("CHANGE_DENIED", "VALIDATION_FAILED", "CURRENT_PRODUCT_MISMATCH")
        until(again, 20, "the same request under the same key is answered", 0.1)

    def left_open(self):
        return ()

    def subscribers(self):
        return [self.s, *self.others]

    def rules_broken(self):
        return []

    # --- what several do ---

    def restart(self):
        """kill -9 and a start, in which the point may be passed. False: it was."""
        self.w.service.kill9()
        return self.w.service.boot()

    def fault(self, kind, operation="change", **members):
        return self.w.kos.fault(kind, operation=operation, lineNumber=self.s.line, **members)


class SyncChange(Scenario):
    """UFR-PROD-040, answered with its result."""
    expect = ("COMPLETED", "0000")


class SyncWithoutKey(Scenario):
    """A customer without Idempotency-Key looks at the menu after the crash, and asks again for what is not there."""
    keyed = False

    def after(self):
        self.w.quiet()
        self.w.expire_claims()
        if self.attempt.status is None and self.s.product() != self.target:
            self.s.change(self.target, intent=self.attempt.intent)


class AsyncChange(Scenario):
    """Prefer: respond-async: acknowledged first, sent later."""
    expect = ("COMPLETED", "0000")

    def act(self):
        self.attempt = self.ask(asynchronous=True)
        if self.attempt.status == 202:
            self.s.result(self.attempt.request_id, wait=2)


class Refused(Scenario):
    """KOS refuses the order."""

    def act(self):
        self.fault("result_code", resultCode="2004", count=1)
        self.attempt = self.ask()


class Invalid(Scenario):
    """UFR-PROD-030: a failed pre-check is recorded."""
    target = "LTE_LEGACY"


class DoubtApplied(Scenario):
    """KOS applies the order and its answer is lost: settled by asking."""

    def act(self):
        self.fault(("applied_reset", "applied_no_answer", "garbage")[self.number % 3], count=1)
        self.attempt = self.ask()
        if self.attempt.status == 202:
            self.s.result(self.attempt.request_id, wait=3)


class DoubtNotApplied(Scenario):
    """The order never takes effect: NOT_APPLIED, but not before the horizon."""

    def act(self):
        self.fault(("reset", "hang", "http_status")[self.number % 3], phase="before", count=1)
        self.attempt = self.ask()
        if self.attempt.status == 202:
            self.s.result(self.attempt.request_id, wait=4)


class LateEffect(Scenario):
    """The order takes effect only after the next start has asked KOS: not to be repeated, not to be given up."""
    kind = "late"

    def act(self):
        self.fault("delay", phase="before", delayMs=1000, count=1)
        self.attempt = self.ask()


class Repeated(Scenario):
    """KOS recognises repeats: still the baseline, so the same requestId is sent again."""
    kind = "dedup"

    def act(self):
        self.fault("reset", phase="before", count=2)
        self.attempt = self.ask()
        if self.attempt.status == 202:
            self.s.result(self.attempt.request_id, wait=4)


class RepeatedAfterEffect(Scenario):
    """The first order is delayed at KOS, its repeat is sent meanwhile: one of them counts."""
    kind = "dedup"

    def act(self):
        self.fault("delay", phase="before", delayMs=900, count=1)
        self.attempt = self.ask()
        if self.attempt.status == 202:
            self.s.result(self.attempt.request_id, wait=4)


class Outage(Scenario):
    """KOS does not answer: 503 first, recorded after, MVNO AP is told once."""

    def act(self):
        self.fault("http_status", operation="inquiry", status=500)
        self.attempt = self.ask()


class NotSent(Scenario):
    """KOS is gone by the time the order has its turn: nothing was sent, 503."""
    kind = "narrow"
    keyed = False

    def setup(self):
        super().setup()
        self.first = self.w.subscriber()
        self.others = [self.first]
        self.gate = self.w.kos.fault("gate", operation="change", lineNumber=self.first.line)
        self.first.change(self.target, asynchronous=True)
        self.w.kos.wait_held(self.gate)
        self.inquiries = len(self.w.kos.calls(operation="inquiry", line=self.s.line))

    def act(self):
        import threading
        t = threading.Thread(target=lambda: setattr(self, "attempt", self.ask()))
        t.start()
        try:
            until(lambda: self.w.service.dead() or len(self.w.kos.calls(operation="inquiry", line=self.s.line))
                  > self.inquiries, 3, "the second change is checked")
            pause(0.05)  # it waits for an order's place now
            self.w.kill_kos()
        finally:
            t.join(20)


class Cancelled(Scenario):
    """DELETE of a change that waits for its turn."""
    kind = "narrow"

    def setup(self):
        super().setup()
        self.first = self.w.subscriber()
        self.others = [self.first]
        self.gate = self.w.kos.fault("gate", operation="change", lineNumber=self.first.line)
        self.first.change(self.target, asynchronous=True)
        self.w.kos.wait_held(self.gate)

    def act(self):
        self.attempt = self.ask(asynchronous=True)
        if self.attempt.status == 202:
            self.s.cancel(self.attempt.request_id)
        self.w.kos.clear(self.gate)


class CancelRace(Scenario):
    """DELETE while the order is about to be sent: one of the two happens, never both."""
    kind = "narrow"

    def act(self):
        self.attempt = self.ask(asynchronous=True)
        if self.attempt.status == 202:
            self.s.cancel(self.attempt.request_id)


class Held(Scenario):
    """OUTAGE_MODE=hold: accepted while KOS is out, sent when it is back."""
    kind = "hold"

    def setup(self):
        super().setup()
        self.outage = self.fault("http_status", operation="inquiry", status=500)

    def act(self):
        self.attempt = self.ask(asynchronous=True)
        self.w.kos.clear(self.outage)
        if self.attempt.status == 202:
            self.s.result(self.attempt.request_id, wait=3)


class HeldCancelled(Held):
    """DELETE of a held change."""

    def act(self):
        self.attempt = self.ask(asynchronous=True)
        if self.attempt.status == 202:
            self.s.cancel(self.attempt.request_id)


class Expired(Held):
    """Held for too long."""

    def act(self):
        self.attempt = self.ask(asynchronous=True)
        if self.attempt.status == 202:
            self.s.result(self.attempt.request_id, wait=4)


class HeldInvalid(Held):
    """Held on what was cached; when KOS is back the line has another product: ends without an order."""

    def act(self):
        self.attempt = self.ask(asynchronous=True)
        self.w.kos.customer(self.s.line, productCode="5GX_BASIC")
        self.w.kos.clear(self.outage)
        if self.attempt.status == 202:
            self.s.result(self.attempt.request_id, wait=3)

    def after(self):
        super().after()
        self.w.forget_cached(self.s.line)


class Elsewhere(Scenario):
    """Another instance has the line: busy, until its claim ends."""
    keyed = False

    def act(self):
        self.w.cache.set(f"pcs:line:{self.s.line}", "01890a5d-ac96-774b-bcce-b302099a8057", px=300)
        self.attempt = self.ask()

    def after(self):
        until(lambda: not self.w.cache.get(f"pcs:line:{self.s.line}"), 3, "the other claim ends")


class StaleHold(Scenario):
    """The line's key in Redis is left over from a change that has ended."""

    def setup(self):
        super().setup()
        a = self.s.change("5GX_BASIC")
        self.w.cache.set(f"pcs:line:{self.s.line}", a.request_id, px=1200000)


class RecoverDoubt(Scenario):
    """A crash while the order is at KOS; the next start settles it, if it lives."""

    def setup(self):
        super().setup()
        self.fault("gate", phase="before", count=1)
        self.attempt = self.ask(asynchronous=True)
        until(lambda: self.w.kos.orders() is not None and self.w.kos.faults()["faults"][-1]["waiting"] == 1, 5, "sent")

    def act(self):
        if not self.restart():
            return
        self.w.kos.clear()
        self.s.result(self.attempt.request_id, wait=3)


class RecoverHeld(Held):
    """A crash while changes are held; the next start goes on with them."""

    def setup(self):
        super().setup()
        self.attempt = self.ask(asynchronous=True)

    def act(self):
        if self.restart():
            self.w.kos.clear(self.outage)
            self.s.result(self.attempt.request_id, wait=3)


class RecoverUntold(Scenario):
    """A crash with rows, events and invalidations that nobody has taken yet."""

    def setup(self):
        super().setup()
        self.lock = self.w.db.server.connect(self.w.db.name)
        self.lock.autocommit = False
        self.lock.cursor().execute("LOCK TABLE product_change.product_change_history IN ACCESS EXCLUSIVE MODE")
        self.w.mvno.fault("http_status", status=500)
        self.w.redis.stop()
        self.attempt = self.ask()

    def act(self):
        if self.restart():
            self.unblock()
            until(lambda: self.w.service.dead() or self.w.pending() == 0, 10, "forwarded")

    def unblock(self):
        self.lock.close()
        self.w.heal()

    def heal(self):
        self.unblock()


class RedisOut(Scenario):
    """Redis is away during the change: the cached customer is dropped as soon as it is back."""

    def act(self):
        self.w.redis.stop()
        self.attempt = self.ask()
        self.w.redis.start()


class Undelivered(Scenario):
    """MVNO AP takes the event, but not at once."""

    def act(self):
        kind = ("http_status", "reset", "hang")[self.number % 3]
        self.w.mvno.fault(kind, phase=("before", "after")[self.number % 2], count=2,
                          **({"status": 500} if kind == "http_status" else {}))
        self.attempt = self.ask()


class Poison(Scenario):
    """PostgreSQL refuses one row of a batch: it is kept aside, the others go on."""
    linger = 6.0
    keyed = False

    def setup(self):
        super().setup()
        self.others = [self.w.subscriber() for _ in range(3)]
        self.poisoned = self.others[1]
        self.name = f"poison_{self.poisoned.line}"
        self.w.db.rows(f"ALTER TABLE product_change.product_change_history ADD CONSTRAINT {self.name}"
                       f" CHECK (line_number <> '{self.poisoned.line}') NOT VALID")
        self.blocker = self.w.db.server.connect(self.w.db.name)
        self.blocker.autocommit = False
        self.blocker.cursor().execute("LOCK TABLE product_change.product_change_history IN ACCESS EXCLUSIVE MODE")
        self.attempts = [s.change(self.target) for s in (self.s, *self.others)]

    def act(self):
        self.blocker.close()
        until(lambda: self.w.service.dead() or self.w.service.metric("pcs_journal_pending") == 0, 10, "forwarded")

    def heal(self):
        self.blocker.close()
        super().heal()

    def after(self):
        pass

    def subscribers(self):
        return [self.s, *[o for o in self.others if o is not self.poisoned]]

    def rules_broken(self):
        id_ = next(a.request_id for a in self.attempts if a.line == self.poisoned.line)
        self.w.db.rows(f"ALTER TABLE product_change.product_change_history DROP CONSTRAINT {self.name}")
        reply = self.poisoned.result(id_)
        told = self.w.mvno.events(request_id=id_)
        out = []
        if reply is None or reply.status != 200 or reply.data["processStatus"] != "COMPLETED":
            out.append(f"the poisoned change is not to be looked up: {reply!r}")
        if len(told) != 1:
            out.append(f"the poisoned change was told {len(told)} times")
        self.w.told = [t for t in self.w.told if t.request_id != id_]
        return out


class FirstStart(Scenario):
    """The journal's file is made."""
    kind = "fresh"

    def setup(self):
        self.w.service.kill9()
        folder = os.path.join(self.w.folder, f"journal-{self.number}")
        os.makedirs(folder)
        self.w.journals_left.add(self.w.service.env["JOURNAL_PATH"])
        self.w.service.env["JOURNAL_PATH"] = folder

    def act(self):
        if self.w.service.boot():
            self.attempt = self.ask()


class BrokenDisk(Scenario):
    """fsync fails while a change is written: nothing is promised, and what may be on disk is taken back."""
    kind = "fsync"

    def act(self):
        self.w.break_fsync()
        self.attempt = self.ask()
        if self.attempt.status is not None and not self.attempt.nothing_ordered():
            raise AssertionError(f"promised although it could not be written: {self.attempt}")
        self.w.mend_fsync()

    def heal(self):
        self.w.mend_fsync()
        super().heal()


class BrokenDiskAtOutcome(Scenario):
    """fsync fails while the order is at KOS: the outcome cannot be written, so it is not told."""
    kind = "fsync"

    def act(self):
        import threading
        gate = self.fault("gate", phase="before", count=1)
        t = threading.Thread(target=lambda: setattr(self, "attempt", self.ask()))
        t.start()
        try:
            until(lambda: self.w.service.dead() or self.w.kos.waiting(gate), 3, "sent")
            self.w.break_fsync()
            self.w.kos.clear(gate)
            pause(0.4)
        finally:
            self.w.mend_fsync()
            t.join(20)

    def heal(self):
        self.w.mend_fsync()
        super().heal()


class Shutdown(Scenario):
    """SIGTERM while an order is at KOS and another change waits."""
    kind = "narrow"

    def act(self):
        import threading
        self.fault("delay", phase="before", delayMs=300, count=1)
        self.other = Subscriber(self.w, self.w.customer("LTE_BASIC"))
        self.others = [self.other]
        t = threading.Thread(target=lambda: setattr(self, "attempt", self.ask()))
        t.start()
        self.other.change(self.target, asynchronous=True)
        self.w.service.process.signal(signal.SIGTERM)
        t.join(20)
        self.w.service.process.wait(15)
        if self.w.service.process.popen.returncode == 0:
            self.w.service.check_log()
            self.w.service.boot()


class Retired(Scenario):
    """The slot is given up while an order is at KOS: the mark is there only when nothing is left, whenever it dies."""
    kind = "retire"  # a journal without refused rows of other scenarios: those keep a slot

    def act(self):
        self.fault("delay", phase="before", delayMs=200, count=1)
        self.attempt = self.ask(asynchronous=True)
        try:
            Admin(socket_of(self.w.service)).post("/admin/retire", {"actor": "crash"}).expect(202)
        except (OSError, http.client.HTTPException):
            if not self.w.service.wait_dead(2):
                raise
        code = self.w.service.process.wait(20)
        if code is None:
            raise AssertionError(f"asked to give its slot up, it goes on: {self.left()}")
        assert code in (0, -signal.SIGKILL), f"giving its slot up it ended with {code}"
        if code == 0:
            assert os.path.exists(self.mark()), "it ended, but its slot is not marked"
            self.w.service.check_log()
            self.w.service.boot()
            assert not os.path.exists(self.mark()), "in use, but marked as given up"

    def left(self):
        status = Admin(socket_of(self.w.service)).get("/admin/status").data
        return {k: status[k] for k in ("retiring", "journal", "backlog")}

    def mark(self):
        return os.path.join(self.w.service.env["JOURNAL_PATH"], "0", "retired")

    def heal(self):
        if self.w.service.dead() and os.path.exists(self.mark()):
            run = self.w.run("retire", "--slot", "0", env=self.w.service.env)
            assert "retired already" in run.stdout, run
        super().heal()


ALL = [SyncChange, AsyncChange, Invalid, Refused, DoubtApplied, DoubtNotApplied, Repeated, RepeatedAfterEffect, LateEffect,
       SyncWithoutKey, Outage, NotSent, Cancelled, CancelRace, Held, HeldCancelled, Expired, HeldInvalid, Elsewhere,
       StaleHold, RecoverDoubt, RecoverHeld, RecoverUntold, RedisOut, Undelivered, Poison, FirstStart, BrokenDisk,
       BrokenDiskAtOutcome, Shutdown, Retired]

# The worlds that they need: settings, whether KOS recognises repeats, and what is preloaded.
KINDS = {
    "plain": {},
    "dedup": {"env": {"KOS_DEDUPLICATES": "true"}, "kos_dedup": True},
    "late": {"env": {"KOS_SETTLE_HORIZON": "4s"}},
    "narrow": {"env": {"KOS_CHANGE_MAX_IN_FLIGHT": "1"}},
    "hold": {"env": {"OUTAGE_MODE": "hold", "OUTAGE_MAX_HOLD": "1200ms"}},
    "fresh": {},
    "retire": {},
    "fsync": {"preload": "failfsync"},
}

__all__ = ["ALL", "KINDS", "PRODUCTS", "Scenario"]
