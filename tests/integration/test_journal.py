"""The journal as a customer meets it (DESIGN.md; issue 3 point 8): full, it takes nothing new and loses nothing."""

import concurrent.futures
import contextlib
import json
import os
import sqlite3
import time

from harness.admin import Admin
from harness.wait import until
from harness.world import World


def test_a_full_journal_answers_503_before_kos_is_asked_and_outcomes_still_fit(session):
    """503 SERVICE_UNAVAILABLE: nothing was ordered; not ready; reads go on; open changes get their outcome."""
    w = World(session, start=False, env={"LIMITS_RATE": 0, "JOURNAL_MAX_SIZE": "4MiB", "JOURNAL_RESERVE": "2MiB", "CHANGE_SETTLE_FIRST": "100ms", "CHANGE_SETTLE_MAX": "500ms"})
    try:
        w.service = w.start_service()
        held = w.customer()
        cached = w.customer()
        cached.api.screen().expect(200)
        gate = w.kos.fault("gate", operation="change", lineNumber=held.line)
        id_ = held.api.change_async(held.body()).expect(202).data["requestId"]
        w.kos.wait_held(gate)
        began = time.monotonic()

        def one(_):
            c = w.customer()
            return c, c.api.change(c.body())

        done, refused = [], []
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            while not refused and time.monotonic() - began < 40:
                for c, reply in pool.map(one, range(48)):
                    (done if reply.status == 200 else refused).append((c, reply))
        assert refused, "4 MiB hold for ever"
        for c, reply in refused:
            reply.expect(503, "SERVICE_UNAVAILABLE")
        c, reply = one(0)
        reply.expect(503, "SERVICE_UNAVAILABLE")
        assert not c.orders(), "503 means: nothing was ordered"
        assert w.api().get("/health/ready").expect(503).json["status"] == "DOWN"
        assert w.api().get("/actuator/health/readiness").expect(503).json == {"status": "DOWN"}
        assert w.api().get("/health/live").expect(200).json["status"] == "UP"
        cached.api.menu().expect(200)
        cached.api.validate(cached.body()).expect(200)
        w.kos.clear(gate)
        final = until(lambda: (lambda r: r if r["processStatus"] == "COMPLETED" else None)(held.api.result(id_, wait=5).data), 12, "the outcome fits")
        assert final["resultCode"] == "0000"
        w.row(id_)
        w.mvno.event(id_)
        for c, reply in done[-5:]:
            w.row(reply.data["requestId"])
            assert len(c.orders(applied=True)) == 1
    finally:
        w.kos.clear()
        w.close()


def test_the_journals_files_are_for_its_owner_alone(session):
    """Customers' data: nobody else reads it."""
    w = World(session)
    try:
        w.customer().change()
        slot = os.path.join(w.folder, "journal", "0")
        for name in os.listdir(slot):
            mode = os.stat(os.path.join(slot, name)).st_mode & 0o077
            assert mode == 0, (name, oct(mode))
    finally:
        w.close()


def refused(w, *words):
    """It does not start: the process ends with 1 and a sentence that names the file."""
    run = w.run(env=w.env(SERVER_PORT="0"), timeout=20)
    assert run.returncode == 1, run
    reason = next(json.loads(line)["reason"] for line in run.stderr.splitlines() if '"start.refused"' in line)
    for word in (os.path.join(w.folder, "journal", "0", "journal.db"), *words):
        assert word in reason, reason


def test_a_damaged_journal_is_kept_and_never_skipped_until_an_operator_decides(session):
    """Not ready, a clear message, the file as it was; moved away by hand, the next start has a journal of its own."""
    w = World(session)
    try:
        w.customer().change()
        slot = os.path.join(w.folder, "journal", "0")
        instance = Admin(os.path.join(slot, "admin.sock")).get("/admin/status").data["service"]["instance"]
        w.service.stop()
        file = os.path.join(slot, "journal.db")
        with open(file, "r+b") as f:
            f.write(b"this is no SQLite database at all, whatever its name may say....")
        with open(file, "rb") as f:
            damaged = f.read()
        for _ in range(2):
            refused(w, "damaged", "left as it is")
            assert os.listdir(os.path.join(w.folder, "journal")) == ["0"], "another slot was taken instead"
            with open(file, "rb") as f:
                assert f.read() == damaged
        aside = os.path.join(w.folder, "journal", "damaged-0")
        os.rename(slot, aside)
        w.service.start()
        assert Admin(os.path.join(slot, "admin.sock")).get("/admin/status").data["service"]["instance"] != instance
        w.customer().change()
        with open(os.path.join(aside, "journal.db"), "rb") as f:
            assert f.read() == damaged
    finally:
        w.close()


def test_a_journal_of_a_newer_version_is_refused_and_an_older_one_goes_on(session):
    w = World(session)
    try:
        c = w.customer()
        id_ = c.change()["requestId"]
        w.service.stop()
        file = os.path.join(w.folder, "journal", "0", "journal.db")
        with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            db.execute(f"PRAGMA user_version={version + 1}")
        refused(w, f"version {version + 1}", "newer program")
        with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as db:  # as version 2 left it
            for name in ("chain_head_stays", "settled_seq_is_new", "call_newest_stays"):
                db.execute(f"DROP TRIGGER {name}")
            db.execute("DELETE FROM meta WHERE name='seq_floor'")
            db.execute("PRAGMA user_version=2")
        w.service.start()
        assert w.api(c.token).result(id_).expect(200).data["processStatus"] == "COMPLETED"
        w.customer().change()
        w.forwarded()
        run = w.run("verify-history", "--json", "--journal", os.path.join(w.folder, "journal"))
        assert json.loads(run.stdout)["result"] == "clean", run.stdout
    finally:
        w.close()


RULE = 4096  # bytes a change: docs/operations.md, Size


def journal_bytes(w):
    """Of the file alone: the log is written back when nothing was done for a second."""
    log = os.path.join(w.folder, "journal", "0", "journal.db-wal")
    until(lambda: not os.path.exists(log) or os.path.getsize(log) == 0, 10, "the log is written back")
    return os.path.getsize(os.path.join(w.folder, "journal", "0", "journal.db"))


def test_the_sizing_rule_holds(session):
    """Issue 3 point 8: what a change takes while nobody takes rows or events, with key, KOS calls, event and link; measured."""
    w = World(session, env={"LIMITS_RATE": 0, "MVNO_BASE_URL": "", "DB_PORT": "1"})
    try:
        count = 400

        def one(n):
            c = w.customer()
            c.api.change(c.body(), Idempotency_Key=f"size-{n}-{os.urandom(16).hex()}").expect(200)

        one(-1)
        before = journal_bytes(w)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(one, range(count)))
        each = (journal_bytes(w) - before) / count
        print(f"{each:.0f} bytes a change")
        assert RULE / 2 < each <= RULE, f"{each:.0f} bytes a change; docs/operations.md says {RULE}"
        assert w.service.metric("pcs_journal_pending", sink="history") == count + 1
    finally:
        w.close()
