"""`verify-history`: the history of a real service, and what becomes of it in other hands (issue 3, 7)."""

import json
import os

import pytest

from harness.wait import until
from harness.world import World

WORLD = {"own_postgres": True}
ENV = {"LIMITS_RATE": 0}

KEY = "a key of the chain, of thirty-two bytes or more"
HISTORY = "product_change.product_change_history"
CHAIN = "product_change.product_change_history_chain"


def verify(world, *argv, **env):
    """The verdict as JSON; the exit status has to fit it."""
    run = world.run("verify-history", "--json", *argv, env={**world.env(), **env})
    assert run.stdout, run
    answer = json.loads(run.stdout)
    assert run.returncode == {"clean": 0, "findings": 1, "not verified": 2}[answer["result"]], run
    assert len(answer["findings"]) == answer["totals"]["findings"]
    assert ("error" in answer) == (run.returncode == 2)
    assert KEY not in run.stdout + run.stderr
    return answer


def links(world):
    return world.db.rows(f"SELECT * FROM {CHAIN} ORDER BY instance, seq")


@pytest.fixture
def fresh(session):
    """A world of its own, whose history may be spoilt."""
    w = World(session, env=ENV)
    w.invariants = False
    yield w
    w.close()


@pytest.fixture
def spoilt(fresh):
    """Five changes of a service that was stopped; whoever has the superuser's password may do anything to them."""
    for _ in range(5):
        fresh.customer().change()
    fresh.forwarded()
    fresh.service.stop()
    return fresh


def test_every_way_to_end_is_in_the_chain_and_the_chain_holds(world, kos):
    done = world.customer().change()["requestId"]
    refused = world.customer()
    kos.fault("result_code", operation="change", lineNumber=refused.line, resultCode="2099")
    refused.api.change(refused.body()).expect(409, "CHANGE_DENIED")
    suspended = world.customer(lineStatus="SUSPENDED")
    suspended.api.change(suspended.body()).expect(409, "VALIDATION_FAILED")
    world.forwarded()
    until(lambda: len(links(world)) >= 3, 5, "three links")
    answer = verify(world)  # beside the running service
    assert answer["result"] == "clean" and answer["totals"]["rows"] >= 3
    [link] = [x for x in links(world) if x["request_id"] == done]
    row = world.row(done)
    assert link["instance"] == row["instance"] and link["kind"] == 1
    assert len(link["link"]) == 32 and len(link["salt"]) == 16
    # nothing personal is in the chain
    text = " ".join(str(bytes(v) if isinstance(v, memoryview) else v) for v in link.values())
    assert row["line_number"] not in text and row["customer_id"] not in text and row["actor"] not in text


def test_the_chain_goes_on_through_kill_9_and_restarts(world):
    for _ in range(3):
        world.customer().change()
        world.service.kill9()
        world.service.start()
    world.customer().change()
    world.service.restart()
    world.forwarded()
    world.service.stop()
    answer = verify(world)
    assert answer["result"] == "clean" and answer["totals"]["waiting"] == 0
    seqs = [x["seq"] for x in links(world)]
    assert seqs == list(range(1, len(seqs) + 1))
    world.service.start()


def test_the_head_is_logged_at_start_and_end(fresh):
    [first] = fresh.service.events("history.chain_head")
    assert first["seq"] == 0
    fresh.customer().change()
    fresh.forwarded()
    fresh.service.stop()
    last = fresh.service.events("history.chain_head")[-1]
    [link] = links(fresh)
    assert last["seq"] == last["forwarded"] == link["seq"] == 1
    assert last["link"] == bytes(link["link"]).hex() and last["instance"] == link["instance"]


def test_what_was_altered_removed_or_added_is_named(spoilt):
    [a, b, c, d, e] = links(spoilt)
    assert verify(spoilt)["result"] == "clean"
    spoilt.db.rows(f"UPDATE {HISTORY} SET result_code = '2099', status = 'FAILED' WHERE request_id = %s", a["request_id"])
    spoilt.db.rows(f"UPDATE {HISTORY} SET actor = 'nobody' WHERE request_id = %s", b["request_id"])
    spoilt.db.rows(f"DELETE FROM {HISTORY} WHERE request_id = %s", c["request_id"])
    spoilt.db.rows(f"DELETE FROM {CHAIN} WHERE seq = %s", d["seq"])
    spoilt.db.rows(f"DELETE FROM {HISTORY} WHERE request_id = %s", d["request_id"])
    spoilt.db.rows(f"INSERT INTO {HISTORY} SELECT (jsonb_populate_record(h, jsonb_build_object('request_id',"
                   f" gen_random_uuid()))).* FROM {HISTORY} h WHERE request_id = %s", e["request_id"])
    answer = verify(spoilt)
    told = [(f["finding"], f.get("seq"), f.get("requestId"), f.get("what")) for f in answer["findings"]]
    [foreign] = [t for t in told if t[0] == "foreign row"]
    assert told == [("link missing", 4, None, None), ("row altered", 1, a["request_id"], "result"),
                    ("row altered", 2, b["request_id"], "actor"), ("row missing", 3, c["request_id"], None), foreign]
    run = spoilt.run("verify-history")
    assert run.returncode == 1 and "result: 5 findings" in run.stdout
    assert f'row missing: instance "{c["instance"]}" seq 3 request "{c["request_id"]}"' in run.stdout
    assert "\x1b" not in run.stdout


def test_a_cut_tail_is_found_by_the_journal_and_by_a_head_from_the_log(spoilt, tmp_path):
    last = spoilt.service.events("history.chain_head")[-1]
    instance = last["instance"]
    spoilt.db.rows(f"WITH cut AS (DELETE FROM {CHAIN} WHERE seq > 3 RETURNING request_id) DELETE FROM {HISTORY}"
                   " WHERE request_id::text IN (SELECT request_id FROM cut)")
    answer = verify(spoilt)
    assert [(f["finding"], f["seq"], f["until"]) for f in answer["findings"]] == [("tail cut", 4, 5)]
    # from elsewhere: without the journal there is no key and no head
    elsewhere = {"JOURNAL_PATH": str(tmp_path)}
    answer = verify(spoilt, **elsewhere)
    assert answer["result"] == "not verified" and answer["totals"]["unverified"] == 3
    assert answer["totals"]["withoutHead"] == 1
    # with a copy of the slot's file, and with the head only
    (tmp_path / "copy" / "0").mkdir(parents=True)
    with open(os.path.join(spoilt.folder, "journal", "0", "chain")) as f:
        (tmp_path / "copy" / "0" / "chain").write_text(f.read())
    assert [f["finding"] for f in verify(spoilt, "--journal", str(tmp_path / "copy"), **elsewhere)["findings"]] == ["tail cut"]
    head = f"{last['seq']}:{last['link']}"
    assert [f["finding"] for f in verify(spoilt, "--head", f"{instance}:{head}", **elsewhere)["findings"]] == ["tail cut"]
    assert [f["finding"] for f in verify(spoilt, "--head", head, "--instance", instance, **elsewhere)["findings"]] == ["tail cut"]


def test_the_key_can_be_a_setting(session, tmp_path):
    w = World(session, env={**ENV, "HISTORY_CHAIN_KEY": KEY})
    w.issued.append(KEY)  # must not be in any log
    w.customer().change()
    w.forwarded()
    w.service.stop()
    with open(os.path.join(w.folder, "journal", "0", "chain")) as f:
        assert "key" not in f.read()
    assert verify(w)["result"] == "clean"
    file = tmp_path / "key"
    file.write_text(KEY + "\n")
    head = w.service.events("history.chain_head")[-1]
    elsewhere = {"JOURNAL_PATH": str(tmp_path), "HISTORY_CHAIN_KEY": "another key, and as long as it has to be"}
    assert verify(w, **elsewhere)["result"] == "not verified"
    answer = verify(w, "--key-file", str(file), "--head", f"{head['instance']}:{head['seq']}:{head['link']}", **elsewhere)
    assert answer["result"] == "clean" and answer["totals"]["withoutHead"] == 0
    run = w.run("--check-config", env={**w.env(), "HISTORY_CHAIN_KEY": "too short"})
    assert run.returncode == 1 and "HISTORY_CHAIN_KEY" in run.stderr
    w.close()


def test_two_instances_have_a_chain_each(fresh):
    second = fresh.start_service("second")
    for service in (fresh.service, second):
        for _ in range(2):
            c = fresh.customer()
            c.api.at(service).change(c.body()).expect(200)
    for service in (fresh.service, second):
        fresh.forwarded(service=service)
        service.stop()
    answer = verify(fresh)
    assert answer["result"] == "clean"
    assert (answer["totals"]["instances"], answer["totals"]["rows"], answer["totals"]["withoutHead"]) == (2, 4, 0)
    [a, b] = sorted({x["instance"] for x in links(fresh)})
    assert verify(fresh, "--instance", a)["totals"]["rows"] == 2
    # a chain that is gone altogether
    fresh.db.rows(f"DELETE FROM {CHAIN} WHERE instance = %s", b)
    fresh.db.rows(f"DELETE FROM {HISTORY} WHERE instance = %s", b)
    assert [(f["finding"], f["instance"]) for f in verify(fresh)["findings"]] == [("tail cut", b)]


def test_what_cannot_be_done_ends_with_2(world):
    answer = verify(world, DB_NAME="postgres")
    assert answer["result"] == "not verified" and "migrate" in answer["error"]
    assert "connect" in verify(world, DB_PORT="1")["error"] or verify(world, DB_PORT="1")["error"]
    for argv in (["--from", "0"], ["--from", "x"], ["--rows-since", "2026-02-30"], ["--head", "5:12"], ["--head", "nonsense"],
                 ["--key-file", "/nowhere"], ["--what"], ["word"], ["--instance"]):
        run = world.run("verify-history", *argv)
        assert run.returncode == 2 and run.stderr and not run.stdout, (argv, run)
