"""Issue 7, point 6: backup and restore of journal and history, and what is lost when each is lost, as docs/operations.md
("Backup and restore") tells it."""

import json
import os
import shutil
import sqlite3
import stat
import subprocess
import threading

import pytest

from harness.admin import Admin, socket_of
from harness.servers import PG_BIN, SUPERPASS, SUPERUSER
from harness.wait import until
from harness.world import World

ENV = {"LIMITS_RATE": 0, "KOS_SETTLE_HORIZON": "3s"}


@pytest.fixture
def world(session):
    w = World(session, env=ENV, own_redis=True, own_postgres=True)
    yield w
    w.close()


def command(world, *argv, rc=0, timeout=90, **env):
    run = world.run(*argv, env={**world.env(), **env}, timeout=timeout)
    assert run.returncode == rc, f"{argv}: {run.returncode}\n{run.stdout}\n{run.stderr}"
    return run


def verify(world, *argv):
    return json.loads(world.run("verify-history", "--json", *argv, env=world.env()).stdout)


def slot(world, number=0):
    return os.path.join(world.env()["JOURNAL_PATH"], str(number))


def lose(service, folder):
    """The machine is gone, and its disk."""
    service.kill9()
    shutil.rmtree(folder)


def restore(backup, folder):
    """As the manual has it: the copied folder is put in the slot's place."""
    shutil.copytree(backup, folder)
    os.chmod(folder, 0o700)


def ids(world, line):
    return [str(r["request_id"]) for r in world.db.history(line=line)]


def test_a_copy_of_a_journal_in_use_is_whole_and_nobody_else_can_read_it(world, tmp_path):
    customers = [world.customer() for _ in range(4)]
    done, ending = [], threading.Event()

    def work(c):
        while not ending.is_set():
            done.append(c.change("LTE_PLUS" if c.product == "LTE_BASIC" else "LTE_BASIC")["requestId"])

    threads = [threading.Thread(target=work, args=(c,)) for c in customers]
    for t in threads:
        t.start()
    try:
        until(lambda: len(done) > 40, 20)
        before = list(done)
        run = command(world, "backup", str(tmp_path / "copy"), "--json")
    finally:
        ending.set()
        for t in threads:
            t.join()
    copy = tmp_path / "copy" / "0"
    assert json.loads(run.stdout)["directory"] == str(copy)
    assert stat.S_IMODE(os.stat(copy).st_mode) == 0o700
    assert {n: stat.S_IMODE(os.stat(copy / n).st_mode) for n in os.listdir(copy)} == {"journal.db": 0o600, "chain": 0o600}
    assert not os.path.exists(os.path.join(slot(world), "backup.db")), "taken away"
    db = sqlite3.connect(f"file:{copy}/journal.db?immutable=1", uri=True)
    held = {r[0] for r in db.execute("SELECT request_id FROM settled")}
    db.close()
    assert set(before) <= held, "what was acknowledged before is in it"
    # it never overwrites
    assert "File exists" in command(world, "backup", str(tmp_path / "copy"), rc=1).stderr
    world.forwarded()
    assert verify(world, "--journal", str(tmp_path / "copy"))["result"] == "clean"


def test_a_lost_journal_is_restored_with_all_that_waited_in_it(world, tmp_path):
    """Rows and events that nobody has got yet, and a doubt. Nothing happened between the copy and the loss: nothing is lost."""
    admin = Admin(socket_of(world.service))
    told = world.customer()
    first = told.change()["requestId"]
    world.row(first)
    world.mvno.event(first)
    doubtful = world.customer()
    world.kos.fault("http_status", operation="change", lineNumber=doubtful.line, status=500, count=1)
    doubt = doubtful.api.change_async(doubtful.body()).expect(202).data["requestId"]
    until(lambda: doubtful.api.result(doubt).data.get("inDoubt"), 3)
    world.postgres.stop()
    world.mvno.fault("hang", operation="results")
    waiting = [world.customer() for _ in range(3)]
    ids_ = [c.change()["requestId"] for c in waiting]
    command(world, "backup", str(tmp_path / "copy"))
    before = len(world.kos.orders())
    lose(world.service, slot(world))
    world.mvno.clear()
    world.postgres.start()
    restore(tmp_path / "copy" / "0", slot(world))
    world.service.start()
    for c, id_ in zip(waiting, ids_):
        assert world.row(id_, 20)["line_number"] == c.line
        world.mvno.event(id_, 20)
        assert c.api.result(id_).expect(200).data["processStatus"] == "COMPLETED"
    # the doubt is asked about at KOS, and the line is open afterwards
    until(lambda: doubtful.api.result(doubt).data["processStatus"] == "FAILED", 20)
    assert doubtful.api.result(doubt).data["resultCode"] == "NOT_APPLIED"
    doubtful.change()
    world.forwarded()
    assert len(world.kos.orders()) == before + 1, "restoring orders nothing"
    assert len(world.mvno.events(request_id=first)) == 1
    assert verify(world)["result"] == "clean"
    assert not admin.doubts()


def test_an_old_copy_is_retired_beside_a_new_journal(world, tmp_path):
    """Changes after the copy: what PostgreSQL has stays as it is; what only the lost journal had is lost, and is named."""
    kept = world.customer()
    first = kept.change("LTE_PLUS")["requestId"]
    doubtful = world.customer()
    world.kos.fault("http_status", operation="change", lineNumber=doubtful.line, status=500, count=1)
    doubt = doubtful.api.change_async(doubtful.body()).expect(202).data["requestId"]
    until(lambda: doubtful.api.result(doubt).data.get("inDoubt"), 3)
    command(world, "backup", str(tmp_path / "copy"))
    second = kept.change("LTE_BASIC")["requestId"]  # after the copy, and forwarded
    world.row(second)
    until(lambda: world.db.history(line=doubtful.line), 20, "the doubt was settled after the copy")
    world.forwarded()
    world.postgres.stop()
    only_here = world.customer()
    lost = only_here.change()["requestId"]  # after the copy, and in the lost journal alone
    world.mvno.event(lost)
    orders, settled = len(world.kos.orders()), world.mvno.events(request_id=doubt)
    assert len(settled) == 1
    lose(world.service, slot(world))
    world.postgres.start()
    world.service.start()  # customers go on at once, with a new journal
    kept.product = "LTE_BASIC"
    kept.change("LTE_PLUS")
    restore(tmp_path / "copy" / "0", slot(world, 1))
    run = command(world, "retire", "--slot", "1", "--reason", "restored", "--wait", "60")
    assert run.returncode == 0
    world.forwarded()
    # nothing was ordered, nothing is there twice, what PostgreSQL has is as it was
    assert len(world.kos.orders()) == orders + 1
    assert first in ids(world, kept.line) and second in ids(world, kept.line)
    assert len(world.db.history(doubt)) == 1 and world.db.history(doubt)[0]["result_code"] == "NOT_APPLIED"
    # the row of the lost journal: the customer has the product, MVNO AP was told, the history does not know
    assert not world.db.history(lost) and only_here.at_kos() == "LTE_PLUS"
    # the change that the copy had open was settled a second time: the chain shows that a journal was set back
    answer = verify(world)
    assert answer["result"] == "findings"
    assert {f["finding"] for f in answer["findings"]} <= {"row altered", "link out of order", "link altered", "row missing",
                                                          "link missing", "foreign row"}
    events = world.mvno.events(request_id=doubt)
    assert {e["body"]["processResult"] for e in events} == {"실패"}, "told again at the most, never otherwise"
    world.invariants = False  # one request, two events: what a journal that was set back may do


def test_an_old_copy_without_anything_open_leaves_the_chain_whole(world, tmp_path):
    c = world.customer()
    c.change()
    world.forwarded()
    command(world, "backup", str(tmp_path / "copy"))
    c.change("LTE_BASIC")
    world.forwarded()
    lose(world.service, slot(world))
    world.service.start()
    c.change("LTE_PLUS")
    restore(tmp_path / "copy" / "0", slot(world, 1))
    command(world, "retire", "--slot", "1", "--reason", "restored", "--wait", "60")
    world.forwarded()
    assert len(ids(world, c.line)) == 3
    assert verify(world)["result"] == "clean"


def pg(world, program_, *argv, **more):
    env = {**os.environ, "PGPASSWORD": SUPERPASS}
    run = subprocess.run([os.path.join(PG_BIN, program_), "-h", "127.0.0.1", "-p", str(world.postgres.port), "-U", SUPERUSER,
                          *argv], env=env, capture_output=True, text=True, timeout=60, **more)
    assert run.returncode == 0, run.stderr
    return run


def test_a_lost_history_comes_back_from_its_dump_and_the_journal(world, tmp_path):
    """pg_dump, changes, the loss, the dump again: what came after it is in the journal for journal.retention."""
    c = world.customer()
    early = c.change("LTE_PLUS")["requestId"]
    world.forwarded()
    dump = str(tmp_path / "dump")
    pg(world, "pg_dump", "-Fc", "-f", dump, world.db.name)
    late = [c.change("LTE_BASIC")["requestId"], c.change("LTE_PLUS")["requestId"]]
    gone = world.customer()  # changed and forgotten after the dump: its row comes back bare
    bare = gone.change()["requestId"]
    world.mvno.event(bare)
    world.forwarded()
    until(lambda: world.run("forget", gone.line, "--reason", "ticket 17", env=world.env()).returncode == 0, 10, "what waits for MVNO AP is told")
    calls = world.db.calls(late[0])
    assert calls
    assert "in use by a running process" in command(world, "forward", rc=1).stderr
    world.service.stop()
    pg(world, "dropdb", world.db.name)
    pg(world, "createdb", "-O", "pcs_migrate", world.db.name)
    pg(world, "pg_restore", "-d", world.db.name, dump)
    assert ids(world, c.line) == [early]
    answer = verify(world)  # what is missing is named
    assert answer["result"] == "findings" and {f["finding"] for f in answer["findings"]} == {"tail cut"}
    told = json.loads(command(world, "forward", "--json").stdout)
    assert told["slot"] == 0 and told["rows"] == 4 and told["calls"] >= len(calls), told
    again = json.loads(command(world, "forward", "--json").stdout)
    assert (again["rows"], again["calls"]) == (0, 0), "they wait already"
    world.service.start()
    world.forwarded(20)
    assert sorted(ids(world, c.line)) == sorted([early, *late])
    assert len(world.db.calls(late[0])) == len(calls)
    row, = world.db.history(bare)
    assert (row["line_number"], row["customer_id"], row["actor"], row["status"]) == ("erased", None, None, "COMPLETED")
    answer = verify(world)
    assert answer["result"] == "clean", answer
    # the service may write as before: rights came with the dump
    c.change("LTE_BASIC")
    world.forwarded()
    # a retired slot keeps its rows, too; what waits in it is nobody's until it is retired again
    world.service.stop()
    command(world, "retire", "--slot", "0", "--wait", "60")
    assert json.loads(command(world, "forward", "--json").stdout)["rows"] == 5
    found = json.loads(command(world, "slots", "--json").stdout)["slots"]
    assert [(s["state"], s["historyPending"]) for s in found] == [("orphan", 5)], found
    command(world, "retire", "--orphans", "--wait", "60")
    assert len(ids(world, c.line)) == 4 and verify(world)["result"] == "clean"
    world.service.start()


def test_a_lost_redis_loses_nothing(world):
    c = world.customer()
    id_ = c.change()["requestId"]
    world.forwarded()
    world.cache.flushall()
    assert c.api.result(id_).expect(200).data["processStatus"] == "COMPLETED"
    assert c.api.menu().expect(200).data["currentProduct"]["productCode"] == "LTE_PLUS"
    c.change("LTE_BASIC")


def test_backup_without_a_daemon_and_wrong_use(world, tmp_path):
    world.customer().change()
    world.forwarded()
    world.service.stop()
    run = command(world, "backup", str(tmp_path / "copy"))
    assert "no daemon runs" in run.stderr and "checked" in run.stdout
    command(world, "backup", rc=2)
    command(world, "backup", str(tmp_path / "nowhere" / "copy"), rc=1)
    command(world, "backup", str(tmp_path / "x"), "--slot", "7", rc=3)
    world.service.start()
