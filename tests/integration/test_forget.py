"""Personal data of a line: `forget` erases it in Redis, PostgreSQL and the journals, and the chain holds (issue 5, point 9)."""

import json
import os
import subprocess

import pytest

from harness.admin import Admin, socket_of
from harness.servers import SERVICE_PASS
from harness.wait import until
from harness.world import World

WORLD = {"own_postgres": True, "own_redis": True}
ENV = {"LIMITS_RATE": 0}
HISTORY = "product_change.product_change_history"
CHAIN = "product_change.product_change_history_chain"
REASON = "asked to be forgotten, ticket 17"


@pytest.fixture
def admin(world):
    return Admin(socket_of(world.service))


@pytest.fixture
def fresh(session):
    """A world of its own, whose servers may be stopped."""
    w = World(session, env=ENV, own_redis=True, own_postgres=True)
    yield w
    w.close()


def forget(admin, line, **more):
    return admin.post("/admin/lines/forget", {"lineNumber": line, "actor": "kim", "reason": REASON, **more})


def command(world, line, *argv, rc=0, **env):
    run = world.run("forget", line, "--reason", REASON, "--actor", "kim", *argv, env={**world.env(), **env})
    assert run.returncode == rc, f"{argv}: {run.returncode}\n{run.stdout}\n{run.stderr}"
    return run


def verify(world, *argv, **env):
    run = world.run("verify-history", "--json", *argv, env={**world.env(), **env})
    return json.loads(run.stdout)


def settled(world, service=None):
    """Everything forwarded and acknowledged: nothing of a line is on its way any more."""
    world.forwarded(service=service)


def in_redis(world, text):
    """Does any key or value of this world's Redis hold the text?"""
    cache = world.cache
    for key in cache.scan_iter():
        instances = cache.type(key) == b"zset"
        values = cache.zrange(key, 0, -1) if instances else [cache.get(key) or b""]
        if any(text.encode() in held for held in (key, *values)):
            return True
    return False


def in_files(folder, text):
    return subprocess.run(["grep", "-rqaF", "--", text, folder]).returncode == 0


def personal(world, line):
    return world.db.rows(f"SELECT * FROM {HISTORY} WHERE line_number = %s", line)


def test_a_line_is_erased_everywhere_and_the_chain_holds(world, admin, customer):
    ids = [customer.change("LTE_PLUS")["requestId"], customer.change("LTE_BASIC")["requestId"]]
    other = world.customer()
    kept = other.change()["requestId"]
    customer.api.menu().expect(200)  # in the cache
    settled(world)
    assert in_redis(world, customer.line) and len(personal(world, customer.line)) == 2
    run = command(world, customer.line)
    assert "PostgreSQL 2 rows and 2 salts, journal 2 rows and 2 events" in run.stdout and "all of it is erased" in run.stdout
    assert customer.line not in run.stdout
    # PostgreSQL
    assert not personal(world, customer.line)
    for id_ in ids:
        [row] = world.db.history(id_)
        assert row["line_number"] == "erased" and row["customer_id"] is None and row["actor"] is None
        assert row["target_product_code"] and row["status"] == "COMPLETED" and row["kos_order_number"]
        [link] = world.db.rows(f"SELECT * FROM {CHAIN} WHERE request_id = %s", id_)
        assert link["salt"] is None and len(link["digests"]) > 0
    [was] = world.db.rows("SELECT * FROM product_change.erasure")
    assert (was["actor"], was["reason"], was["rows"], was["links"]) == ("kim", REASON, 2, 2)
    assert sorted(was["request_ids"]) == sorted(ids)
    # Redis
    assert not in_redis(world, customer.line) and in_redis(world, other.line)
    # what is left tells nothing of whom, and nothing of others is gone
    assert customer.api.result(ids[0]).status == 404
    assert customer.api.history().expect(200).data["history"] == []
    [story] = admin.trace(id=ids[0]).expect(200).data["stories"]
    assert customer.line not in json.dumps(story) and customer.customer_id not in json.dumps(story)
    assert story["history"]["row"]["lineNumber"] == "erased"
    assert other.api.result(kept).expect(200).data["lineNumber"] == other.line
    # the chain
    answer = verify(world)
    assert answer["result"] == "clean" and answer["totals"]["erased"] == 2
    # who and why, masked
    [event] = world.service.wait_log("personal.erased")
    assert event["actor"] == "kim" and event["reason"] == REASON and customer.line not in json.dumps(event)
    # again: harmless
    again = json.loads(command(world, customer.line, "--json").stdout)
    assert again["complete"] and again["journals"][0]["postgresql"]["rows"] == again["journals"][0]["journal"]["rows"] == 0
    # the customer may come back
    customer.product = "LTE_BASIC"
    customer.change("LTE_PLUS")
    settled(world)
    assert verify(world)["result"] == "clean"


def test_nothing_of_the_line_is_left_in_the_files(fresh):
    c = fresh.customer()
    c.change()
    settled(fresh)
    folder = os.path.join(fresh.folder, "journal")
    assert in_files(folder, c.line)
    command(fresh, c.line)
    fresh.service.stop()  # the log is written back
    assert not in_files(folder, c.line) and not in_files(folder, c.subject) and not in_files(folder, c.customer_id)
    assert verify(fresh)["result"] == "clean"
    fresh.service.start()


def test_an_open_change_is_named_and_nothing_is_erased(world, admin, customer, kos):
    customer.change("LTE_PLUS")
    settled(world)
    kos.fault("http_status", operation="change", lineNumber=customer.line, status=500, count=1)
    id_ = customer.api.change_async(customer.body("LTE_BASIC")).expect(202).data["requestId"]
    until(lambda: customer.api.result(id_).data.get("inDoubt"), 3)
    error = forget(admin, customer.line).expect(409, "LINE_BUSY").error
    assert id_ in error["details"] and "open" in error["details"] and "nothing was erased" in error["details"]
    run = command(world, customer.line, rc=1)
    assert id_ in run.stderr and "not all of it" in run.stdout
    assert len(personal(world, customer.line)) == 1
    until(lambda: admin.settle(id_, "not-applied").status == 200, 3)
    settled(world)
    assert forget(admin, customer.line).expect(200).data["postgresql"]["rows"] == 2


def test_a_change_cannot_begin_meanwhile_at_another_instance(world, admin, customer):
    """The line's key in Redis: held by an instance that this journal knows nothing of."""
    customer.change()
    settled(world)
    holder = "01900000-0000-7000-8000-00000000abcd"
    world.cache.set(f"pcs:line:{customer.line}", holder, px=30000)
    error = forget(admin, customer.line).expect(409, "LINE_BUSY").error
    assert holder in error["details"] and "another instance" in error["details"]
    assert len(personal(world, customer.line)) == 1
    world.cache.delete(f"pcs:line:{customer.line}")
    forget(admin, customer.line).expect(200)
    assert not world.cache.exists(f"pcs:line:{customer.line}")  # given back


def test_an_event_that_was_not_delivered_is_named(world, admin, customer, mvno):
    gate = mvno.fault("hang", operation="results", lineNumber=customer.line)
    id_ = customer.change()["requestId"]
    world.row(id_)
    until(lambda: admin.deliveries(state="pending", line=customer.line), 5)
    until(lambda: "MVNO AP has not been told" in forget(admin, customer.line).expect(409, "LINE_BUSY").error["details"], 5)
    assert id_ in forget(admin, customer.line).error["details"]
    mvno.clear(gate)
    mvno.event(id_, 10)
    until(lambda: forget(admin, customer.line).status == 200, 10)


def test_a_dead_letter_is_in_the_way_until_it_is_given_up(world, admin, customer, mvno):
    mvno.fault("http_status", operation="results", lineNumber=customer.line, status=422, body=customer.line, count=1)
    id_ = customer.change()["requestId"]
    until(lambda: admin.deliveries(state="dead", line=customer.line), 5)
    settled(world)
    details = forget(admin, customer.line).expect(409, "LINE_BUSY").error["details"]
    assert "dead letter" in details and id_ in details
    assert "1 dead letters given up" in command(world, customer.line, "--give-up-dead-letters").stdout
    assert not admin.deliveries(state="dead")
    assert verify(world)["result"] == "clean"


def test_without_postgresql_nothing_of_the_journal_is_erased_and_it_can_be_repeated(fresh):
    c = fresh.customer()
    id_ = c.change()["requestId"]
    settled(fresh)
    admin = Admin(socket_of(fresh.service))
    fresh.postgres.stop()
    error = forget(admin, c.line).expect(503, "SERVICE_UNAVAILABLE").error
    assert "PostgreSQL" in error["details"]
    assert "nothing was erased" in error["details"]
    assert c.line in json.dumps(admin.trace(id=id_).expect(200).data["stories"][0]["change"]), "the journal still has it"
    fresh.postgres.start()
    until(lambda: forget(admin, c.line).status == 200, 15)
    assert not personal(fresh, c.line) and verify(fresh)["totals"]["erased"] == 1


def test_without_redis_nothing_is_erased(fresh):
    c = fresh.customer()
    c.change()
    settled(fresh)
    admin = Admin(socket_of(fresh.service))
    fresh.redis.stop()
    error = forget(admin, c.line).expect(503, "SERVICE_UNAVAILABLE").error
    assert "Redis" in error["details"] and "nothing was erased" in error["details"]
    assert len(personal(fresh, c.line)) == 1
    fresh.redis.start()
    until(lambda: forget(admin, c.line).status == 200, 15)


def test_a_schema_without_the_function_is_told(fresh):
    c = fresh.customer()
    c.change()
    settled(fresh)
    fresh.db.rows("DROP FUNCTION product_change.erase_line")
    error = forget(Admin(socket_of(fresh.service)), c.line).expect(503, "SERVICE_UNAVAILABLE").error
    assert "erase_line" in error["details"] and "42883" in error["details"] and "repeat it" in error["details"]
    assert len(personal(fresh, c.line)) == 1
    c.product = "LTE_PLUS"
    c.change("LTE_BASIC")  # the line is open again


def test_every_journal_of_the_folder_with_and_without_a_daemon(fresh):
    c = fresh.customer()
    second = fresh.start_service("second")
    c.change()
    c.api.at(second).change(c.body("LTE_BASIC")).expect(200)
    settled(fresh)
    settled(fresh, second)
    second.kill9()
    second.start()  # takes up its slot again
    settled(fresh, second)
    second.stop()
    run = command(fresh, c.line)
    assert "slot 0 (daemon)" in run.stdout and "slot 1 (without a daemon)" in run.stdout and "all of it" in run.stdout
    folder = os.path.join(fresh.folder, "journal")
    assert not in_files(os.path.join(folder, "1"), c.line)
    assert not personal(fresh, c.line)
    answer = verify(fresh)
    assert answer["result"] == "clean" and answer["totals"]["erased"] == 2
    second.start()
    c.product = "LTE_BASIC"
    c.change()


def test_without_any_daemon(fresh):
    c = fresh.customer()
    c.change()
    settled(fresh)
    fresh.service.stop()
    assert "(without a daemon)" in command(fresh, c.line).stdout
    assert not personal(fresh, c.line) and not in_redis(fresh, c.line)
    assert not in_files(os.path.join(fresh.folder, "journal"), c.line)
    assert verify(fresh)["totals"]["erased"] == 1
    run = command(fresh, c.line, rc=1, REDIS_PORT="1")
    assert "Redis cannot be reached" in run.stderr and "nothing was erased" in run.stderr
    run = command(fresh, c.line, rc=1, DB_PASSWORD="wrong")
    assert "PostgreSQL" in run.stderr and SERVICE_PASS not in run.stderr
    fresh.service.start()


def test_journals_of_other_hosts_are_named(fresh, tmp_path):
    c = fresh.customer()
    elsewhere = fresh.start_service("elsewhere", JOURNAL_PATH=str(tmp_path / "journal"))
    c.change()
    c.api.at(elsewhere).change(c.body("LTE_BASIC")).expect(200)
    settled(fresh)
    settled(fresh, elsewhere)
    run = command(fresh, c.line, rc=1)
    instance = elsewhere.events("start.ready")[0]["instance"]
    assert f"instance {instance} had 1 rows" in run.stdout and "not all of it" in run.stdout
    assert in_files(str(tmp_path), c.line)
    run = command(fresh, c.line, JOURNAL_PATH=str(tmp_path / "journal"))
    assert "journal 1 rows" in run.stdout
    assert verify(fresh, "--journal", str(tmp_path / "journal"))["totals"]["erased"] == 2


@pytest.mark.parametrize("body, field", [
    ({}, "lineNumber"), ({"lineNumber": "010"}, "lineNumber"), ({"actor": ""}, "actor"), ({"reason": "x\n"}, "reason"),
    ({"reason": "of 010-7777-6666"}, "reason"), ({"giveUpDeadLetters": 1}, "giveUpDeadLetters")])
def test_bad_requests_are_told(admin, body, field):
    full = {"lineNumber": "01077776666", "actor": "kim", "reason": "r"} if body else {}
    error = admin.post("/admin/lines/forget", {**full, **body}).expect(400, "INVALID_REQUEST").error
    assert [f["field"] for f in error["fields"]] == [field]


@pytest.mark.parametrize("argv, rc", [
    (["01077776666"], 2), (["0107777", "--reason", "r"], 2), (["01077776666", "x", "--reason", "r"], 2),
    (["01077776666", "--reason", "of 01077776666"], 2), (["01077776666", "--reason", "r", "--slot", "5"], 3)])
def test_wrong_use_is_told(world, argv, rc):
    run = world.run("forget", *argv)
    assert run.returncode == rc and run.stderr and not run.stdout, run
