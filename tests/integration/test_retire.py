"""A slot of the journal is given up (issue 3, point 2): emptied by its owner or, when it has none, by the command."""

import json
import os
import subprocess
import time

import pytest

from harness.admin import Admin, socket_of
from harness.service import SANITIZER_ENV, program
from harness.wait import stays, until
from harness.world import World

ENV = {
    "KOS_CHANGE_DEADLINE": "500ms",
    "KOS_SETTLE_HORIZON": "1500ms",
    "CHANGE_SETTLE_FIRST": "100ms",
    "CHANGE_SETTLE_MAX": "300ms",
    "CHANGE_DEADLINE": "6s",
    "MVNO_DEADLINE": "500ms",
    "MVNO_CONNECT_TIMEOUT": "300ms",
    "MVNO_PROBE": "200ms",
    "MVNO_BREAKER_WAIT": "100ms",
    "LIMITS_RATE": 0,
}


@pytest.fixture
def world(session):
    """Of its own for each test: slots are what it is about."""
    w = World(session, env=ENV)
    yield w
    w.kos.clear()
    w.mvno.clear()
    w.close()


@pytest.fixture
def customer(world):
    return world.customer()


@pytest.fixture
def kos(world):
    return world.kos


@pytest.fixture
def mvno(world):
    return world.mvno


def retire(world, *argv, rc=0, wait=30, **env):
    run = world.run("retire", *argv, "--wait", str(wait), env=world.env(**env), timeout=wait + 40)
    assert run.returncode == rc, f"{run.returncode}\n{run.stdout}\n{run.stderr[-3000:]}"
    return run


def slots(world, service=None):
    found = Admin(socket_of(service or world.service)).get("/admin/slots").data["slots"]
    return {s["slot"]: s for s in found}


def gone(service):
    until(lambda: not service.process.running(), 10, "the instance ends")
    service.check_log()


def fill(world, other, kos, mvno):
    """One of everything that can wait, in the journal of an instance that then dies; what it was."""
    told, settled = world.customer(), world.customer()
    mvno.fault("http_status", operation="results", status=500)
    done = told.api.at(other).change(told.body()).expect(200).data["requestId"]
    gate = kos.fault("gate", operation="change", lineNumber=settled.line, phase="after")
    doubt = settled.api.at(other).change_async(settled.body()).expect(202).data["requestId"]
    kos.wait_held(gate)
    other.kill9()
    kos.clear(gate)
    return told, done, settled, doubt


def test_an_orphan_slot_is_emptied_by_command(world, kos, mvno):
    """Doubts are settled, rows forwarded, events delivered, the cache dropped: as if its owner had come back."""
    other = world.start_service("other")
    told, done, settled, doubt = fill(world, other, kos, mvno)
    before = slots(world)[1]
    assert before["state"] == "orphan" and before["open"] == 1 and before["eventsPending"] >= 1
    mvno.clear()
    run = retire(world, "--slot", "1")
    assert "slot 1: retired" in run.stdout and "no daemon answers" not in run.stderr, run
    for customer, id_ in ((told, done), (settled, doubt)):
        row = world.row(id_)
        assert row["status"] == "COMPLETED" and str(row["instance"]) == before["instance"]
        assert len(mvno.events(request_id=id_)) == 1
        assert len(customer.orders(applied=True)) == 1
        assert customer.api.result(id_).expect(200).data["processStatus"] == "COMPLETED"
        assert customer.api.menu().expect(200).data["currentProduct"]["productCode"] == "LTE_PLUS"
        customer.product = "LTE_PLUS"
        customer.change("LTE_BASIC")  # its line is open again, at the other instance
    after = slots(world)[1]
    assert after["state"] == "retired" and after["instance"] == before["instance"]
    assert {k: after[k] for k in ("open", "historyPending", "callsPending", "linksPending", "eventsPending", "invalidations")} \
        == dict.fromkeys(("open", "historyPending", "callsPending", "linksPending", "eventsPending", "invalidations"), 0)
    world.forwarded()
    run = world.run("verify-history", "--json", "--journal", world.env()["JOURNAL_PATH"])
    assert json.loads(run.stdout)["result"] == "clean", run.stdout
    assert "slot 1: retired already" in retire(world, "--slot", "1").stdout


def test_orphans_are_logged_and_counted_and_a_retired_slot_is_none(world):
    other = world.start_service("other")
    other.kill9()
    world.service.restart()
    assert world.service.wait_log("journal.orphan_slots", slots=1)
    assert world.service.metric("pcs_journal_orphan_slots") == 1
    admin = Admin(socket_of(world.service))
    assert admin.get("/admin/status").data["orphanSlots"] == 1
    assert "slot 1: retired" in retire(world, "--orphans").stdout
    assert "no slot is without an owner" in retire(world, "--orphans").stdout
    world.service.restart()
    until(lambda: world.service.metric("pcs_journal_orphan_slots") == 0, 5)
    assert not world.service.events("journal.orphan_slots")


def test_a_retired_slot_that_is_taken_again_goes_on_with_its_instance_and_chain(world, kos, mvno):
    other = world.start_service("other")
    first = world.customer()
    first.api.at(other).change(first.body(), Idempotency_Key='"kept"').expect(200)
    instance = Admin(socket_of(other, 1)).get("/admin/status").data["service"]["instance"]
    other.kill9()
    retire(world, "--slot", "1")
    again = world.start_service("again")
    status = Admin(socket_of(again, 1)).get("/admin/status").data
    assert status["service"]["slot"] == 1 and status["service"]["instance"] == instance
    # the key's 24 hours are kept by the file
    replay = first.api.at(again).change(first.body(), Idempotency_Key='"kept"').expect(200)
    assert replay.headers["Idempotent-Replayed"] == "true" and len(first.orders()) == 1
    second = world.customer()
    id_ = second.api.at(again).change(second.body()).expect(200).data["requestId"]
    assert str(world.row(id_)["instance"]) == instance
    world.forwarded(service=again)
    run = world.run("verify-history", "--json", "--journal", world.env()["JOURNAL_PATH"])
    assert json.loads(run.stdout)["result"] == "clean", run.stdout


def test_what_cannot_be_finished_is_told_with_its_reason_and_nothing_is_lost(world, kos, mvno):
    other = world.start_service("other")
    told, done, settled, doubt = fill(world, other, kos, mvno)
    run = retire(world, "--slot", "1", rc=1, wait=4)
    assert "not empty" in run.stderr and "MVNO AP does not take them" in run.stderr, run.stderr[-800:]
    run = retire(world, "--slot", "1", "--json", rc=1, wait=2)
    answer = json.loads(run.stdout)
    assert answer["retired"] is False and answer["slot"] == 1 and any("events" in line for line in answer["left"])
    assert slots(world)[1]["state"] == "orphan"
    mvno.clear()
    assert json.loads(retire(world, "--slot", "1", "--json").stdout) == {"left": [], "slot": 1, "retired": True}
    for id_ in (done, doubt):
        assert len(mvno.events(request_id=id_)) == 1 and world.row(id_)["status"] == "COMPLETED"


def test_a_doubt_that_waits_for_an_operator_is_named_and_can_be_decided_meanwhile(world, customer, kos):
    other = world.start_service("other")
    gate = kos.fault("hang", operation="change", lineNumber=customer.line, phase="before")
    id_ = customer.api.at(other).change_async(customer.body()).expect(202).data["requestId"]
    kos.wait_held(gate)
    other.kill9()
    kos.customer(customer.line, productCode="5GX_PREMIUM")
    env = {"PATH": os.environ["PATH"], **SANITIZER_ENV, **world.env()}
    p = subprocess.Popen([program(world.build), "retire", "--slot", "1", "--wait", "40"], env=env, text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        admin = Admin(socket_of(other, 1))

        def listed():
            try:
                return admin.doubts().get(id_, {}).get("onOperatorList")
            except OSError:
                return False  # not listening yet
        until(listed, 15, "on the operator's list")
        stays(lambda: p.poll() is None, 1)
        run = world.run("settle", id_, "--slot", "1", "--outcome", "not-applied", "--reason", "changed at the desk")
        assert run.returncode == 0, run
        out, err = p.communicate(timeout=30)
    finally:
        p.kill()
    assert p.returncode == 0, f"{out}\n{err[-2000:]}"
    assert f"{id_} line {customer.line}: waits for an operator" in out and "slot 1: retired" in out
    assert world.row(id_)["result_code"] == "NOT_APPLIED"
    kos.clear(gate)


def test_dead_letters_keep_a_slot_unless_it_is_said_that_they_may_stay(world, customer, mvno):
    other = world.start_service("other")
    mvno.fault("http_status", operation="results", lineNumber=customer.line, status=410)
    customer.api.at(other).change(customer.body()).expect(200)
    until(lambda: Admin(socket_of(other, 1)).deliveries(state="dead"), 5)
    other.kill9()
    run = retire(world, "--slot", "1", rc=1, wait=2)
    assert "1 dead letters" in run.stderr, run.stderr[-500:]
    retire(world, "--slot", "1", "--leave-dead")
    assert slots(world)[1]["eventsDead"] == 1 and slots(world)[1]["state"] == "retired"


def test_a_running_instance_is_retired_it_takes_nothing_new_and_ends_when_it_is_empty(world, customer, kos, mvno):
    """For scale-down: 503 for new changes, not ready, reads go on, what is open ends, then it ends with 0."""
    other = world.start_service("other")
    api = customer.api.at(other)
    gate = kos.fault("gate", operation="change", lineNumber=customer.line, phase="after")
    id_ = api.change_async(customer.body()).expect(202).data["requestId"]
    kos.wait_held(gate)
    kos.fault("http_status", operation="inquiry", lineNumber=customer.line, status=500)  # nothing settles it
    late = world.customer()
    env = {"PATH": os.environ["PATH"], **SANITIZER_ENV, **world.env()}
    p = subprocess.Popen([program(world.build), "retire", "--slot", "1", "--wait", "40", "--reason", "scale-down"], env=env,
                         text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        other.wait_log("retire.asked", reason="scale-down")
        until(lambda: world.api(service=other).get("/health/ready").status == 503, 5, "not ready")
        refused = late.api.at(other).change(late.body()).expect(503, "SERVICE_UNAVAILABLE")
        assert refused.error["retryAfterSeconds"] and not late.orders()
        assert late.api.at(other).menu().expect(200) and api.result(id_).expect(200)
        assert Admin(socket_of(other, 1)).get("/admin/status").data["retiring"] is True
        stays(lambda: other.process.running() and p.poll() is None, 1)
        kos.clear()
        out, err = p.communicate(timeout=30)
    finally:
        p.kill()
    assert p.returncode == 0 and "slot 1: retired" in out, f"{out}\n{err[-2000:]}"
    gone(other)
    assert other.process.popen.returncode == 0
    assert other.events("journal.retired") and world.row(id_)["status"] == "COMPLETED"
    assert len(mvno.events(request_id=id_)) == 1
    late.change()  # at the one that is left
    assert slots(world)[1]["state"] == "retired"


def test_retiring_can_be_taken_back(world, customer, kos):
    other = world.start_service("other")
    kos.fault("applied_reset", operation="change", lineNumber=customer.line)
    kos.fault("gate", operation="change", lineNumber=customer.line, phase="after")
    id_ = customer.api.at(other).change_async(customer.body()).expect(202).data["requestId"]
    until(lambda: customer.orders(), 5)
    kos.fault("http_status", operation="inquiry", lineNumber=customer.line, status=500)  # nothing settles it
    run = retire(world, "--slot", "1", rc=1, wait=2)
    assert "changes that wait for their turn" in run.stderr or "changes in doubt" in run.stderr, run.stderr
    assert "takes no new changes" in run.stderr
    run = world.run("retire", "--slot", "1", "--cancel")
    assert run.returncode == 0 and "takes new changes again" in run.stdout, run
    until(lambda: world.api(service=other).get("/health/ready").status == 200, 5, "ready again")
    fresh = world.customer()
    fresh.api.at(other).change(fresh.body()).expect(200)
    kos.clear()
    until(lambda: customer.api.at(other).result(id_).data["processStatus"] != "PROCESSING", 10)
    time.sleep(0.5)
    assert other.process.running()


def test_slots_are_seen_when_nobody_runs(world, customer, mvno):
    """Issue 7: PcsOrphanSlot's command, on a machine whose only instance is dead."""
    mvno.fault("hang", operation="results")
    customer.change()
    world.service.kill9()
    run = world.run("slots", "--json", env=world.env())
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)["slots"]
    assert [(s["slot"], s["state"], s["eventsPending"]) for s in found] == [(0, "orphan", 1)], found
    assert "slot 0" in world.run("slots", env=world.env()).stdout
    assert world.run("slots", "--slot", "0", env=world.env()).returncode == 3
    mvno.clear()
    world.service.start()


def test_a_damaged_journal_is_named_and_left_as_it_is(world):
    """No "run it again": that would not help."""
    other = world.start_service("other")
    other.stop()
    file = os.path.join(world.env()["JOURNAL_PATH"], "1", "journal.db")
    with open(file, "r+b") as f:
        f.write(b"this is no SQLite database at all, whatever its name may say....")
    run = retire(world, "--slot", "1", rc=1)
    assert "is damaged" in run.stderr and "left as it is" in run.stderr and "run it again" not in run.stderr, run.stderr
    assert "damaged" in slots(world)[1]["reason"]


def test_wrong_use_is_told(world):
    for argv in ((), ("--slot", "1", "--orphans"), ("--slot", "x"), ("--slot", "1", "--wait", "soon"), ("--orphans", "--cancel"),
                 ("--slot", "1", "more"), ("--slot", "0", "--socket", "/x")):
        run = world.run("retire", *argv)
        assert run.returncode == 2 and "usage" in run.stderr, run
    run = world.run("retire", "--slot", "7")
    assert run.returncode == 1 and "holds no journal" in run.stderr
    admin = Admin(socket_of(world.service))
    admin.post("/admin/retire", {"reason": "no actor"}).expect(400, "INVALID_REQUEST")
    admin.post("/admin/retire", {"actor": "kim", "leaveDead": 1}).expect(400, "INVALID_REQUEST")
    assert admin.get("/admin/status").data["retiring"] is False
