"""In doubt, settled: past the horizon, with a KOS that recognises repeats, after a kill, and when the order was
never sent."""

import threading
import time

import pytest

from harness.admin import Admin, socket_of
from harness.wait import stays, until
from harness.world import World

ENV = {
    "KOS_CHANGE_DEADLINE": "500ms",
    "CHANGE_SETTLE_FIRST": "100ms",
    "CHANGE_SETTLE_MAX": "300ms",
    "KOS_SETTLE_HORIZON": "1500ms",
    "CHANGE_DEADLINE": "6s",
    "PRECHECK_MAX_AGE": "1h",
    "LIMITS_RATE": 0,
}


def test_still_baseline_at_the_horizon_is_not_applied(world, customer, kos):
    """FAILED NOT_APPLIED after at least two inquiries; one event product-change.failed; the line is open."""
    kos.fault("http_status", operation="change", lineNumber=customer.line, status=500, count=1)
    id_ = customer.api.change_async(customer.body()).expect(202).data["requestId"]
    until(lambda: customer.api.result(id_).data.get("inDoubt"), 3)
    final = customer.api.result(id_, wait=10).data
    assert final["processStatus"] == "FAILED" and final["resultCode"] == "NOT_APPLIED", final
    assert final["resultMessage"] == "상품 변경에 실패하였습니다"
    event = world.mvno.event(id_)["body"]
    assert event["eventType"] == "product-change.failed" and event["resultCode"] == "NOT_APPLIED" and event["processResult"] == "실패"
    row = world.row(id_)
    assert row["status"] == "FAILED" and row["result_code"] == "NOT_APPLIED"
    inquiries = [c for c in kos.calls("inquiry", customer.line) if c["requestId"] == id_]
    assert len(inquiries) >= 2
    customer.change()


def test_inquiries_that_fail_settle_nothing(world, customer, kos):
    """Only an answer settles: with the inquiry out the doubt stays past the horizon."""
    customer.api.menu().expect(200)  # precheck.max_age: the order needs no inquiry
    kos.fault("http_status", operation="change", lineNumber=customer.line, status=500, count=1)
    broken = kos.fault("http_status", operation="inquiry", lineNumber=customer.line, status=500)
    id_ = customer.api.change_async(customer.body()).expect(202).data["requestId"]
    stays(lambda: customer.api.result(id_).data["processStatus"] == "PROCESSING", 2.2, "in doubt")
    kos.clear(broken)
    assert customer.api.result(id_, wait=10).data["resultCode"] == "NOT_APPLIED"


def test_an_order_applied_between_is_found(world, customer, kos):
    """Gate before the effect, released after the answer's deadline: applied late, found by inquiry."""
    gate = kos.fault("gate", operation="change", phase="before", lineNumber=customer.line)
    id_ = customer.api.change_async(customer.body()).expect(202).data["requestId"]
    until(lambda: customer.api.result(id_).data.get("inDoubt"), 3)
    kos.clear(gate)
    assert customer.api.result(id_, wait=10).data["processStatus"] == "COMPLETED"
    assert len(customer.orders(applied=True)) == 1


def test_an_answer_without_a_product_past_the_horizon_goes_to_the_operators_list(world, customer, kos):
    customer.api.menu().expect(200)
    kos.fault("http_status", operation="change", lineNumber=customer.line, status=500, count=1)
    kos.fault("result_code", operation="inquiry", lineNumber=customer.line, resultCode="3002")
    id_ = customer.api.change_async(customer.body()).expect(202).data["requestId"]
    until(lambda: "CONTACT_SUPPORT" in [a["action"] for a in customer.api.result(id_).data["nextActions"]], 8)
    assert customer.api.result(id_).data["processStatus"] == "PROCESSING"
    assert not world.mvno.events(request_id=id_)


def test_kill_9_between_order_and_outcome_then_restart_is_settled(world, kos):
    """After a crash every SENDING without outcome is in doubt, and settled by asking."""
    applied, not_applied, waiting = world.customer(), world.customer(), world.customer()
    kos.fault("gate", operation="change", phase="after", lineNumber=applied.line)
    kos.fault("hang", operation="change", phase="before", lineNumber=not_applied.line)
    ids = [c.api.change_async(c.body(), Idempotency_Key="kill").expect(202).data["requestId"] for c in (applied, not_applied)]
    until(lambda: len(kos.calls("change", applied.line)) + len(kos.calls("change", not_applied.line)) == 2)
    world.service.kill9()
    kos.clear()
    world.service.start()
    first = applied.api.another().result(ids[0], wait=10).expect(200).data
    assert first["processStatus"] == "COMPLETED", first
    second = not_applied.api.another().result(ids[1], wait=10).expect(200).data
    assert second["resultCode"] == "NOT_APPLIED", second
    for c, id_ in zip((applied, not_applied), ids):
        assert c.api.another().change_async(c.body(), Idempotency_Key="kill").expect(202).data["requestId"] == id_
        assert len(world.mvno.events(request_id=id_) or [world.mvno.event(id_)]) == 1
        world.row(id_)
    assert len(applied.orders(applied=True)) == 1 and not not_applied.orders(applied=True)
    waiting.api.another().change(waiting.body()).expect(200)


@pytest.mark.parametrize("end", ["kill9", "stop"])
def test_the_order_of_a_doubt_is_in_the_log_of_calls_however_the_process_ends(session, end):
    """CONTRACT.md 5: one row for each call of a change. The order that got no answer is the one that support looks for; it
    does not wait for the first inquiry that settles the doubt."""
    w = World(session, env={**ENV, "CHANGE_SETTLE_FIRST": "60s", "CHANGE_SETTLE_MAX": "60s"})
    try:
        c = w.customer()
        w.kos.fault("http_status", operation="change", lineNumber=c.line, status=500, count=1)
        id_ = c.api.change_async(c.body()).expect(202).data["requestId"]
        until(lambda: c.api.result(id_).data.get("inDoubt"), 3)
        getattr(w.service, end)()
        w.service.start()
        calls = until(lambda: w.db.calls(id_), 5, "calls")
        assert [(x["operation"], x["http_status"]) for x in calls] == [("inquiry", 200), ("change", 500)]
        story = w.run("trace", id_).stdout
        assert "change #1  http 500" in story, story
        Admin(socket_of(w.service)).settle(id_, "not-applied").expect(200)
    finally:
        w.close()


def test_the_order_was_never_sent_503_and_a_system_unavailable_event(world, customer, kos, mvno):
    """Refused connection: not sent, 503 without requestId and Location, the key stays free; recorded after."""
    customer.api.menu().expect(200)  # young enough for the pre-check: KOS is needed for the order only
    customer.api.screen().expect(200)
    kos.stop()
    try:
        reply = customer.api.change(customer.body(), Idempotency_Key="n").expect(503, "KOS_UNAVAILABLE")
        assert reply.error["message"] == "시스템 일시 장애, 잠시 후 재시도"
        assert "requestId" not in reply.error and "Location" not in reply.headers
        until(lambda: mvno.events(line=customer.line), 5, "event")
        [row] = until(lambda: world.db.history(line=customer.line), 8, "row")
        assert row["status"] == "FAILED" and row["result_code"] == "KOS_UNAVAILABLE"
        event = mvno.events(line=customer.line)[0]["body"]
        assert event["eventType"] == "product-change.system-unavailable" and event["processResult"] == "장애"
        assert event["requestId"] == str(row["request_id"])
        [item] = customer.api.history().expect(200).data["history"]
        assert item["resultCode"] == "KOS_UNAVAILABLE" and item["processStatus"] == "FAILED"
        assert customer.api.result(item["requestId"]).data["resultCode"] == "KOS_UNAVAILABLE"
    finally:
        kos.start()
        kos.customer(customer.line, customerId=customer.customer_id, customerName="통합시험", operatorCode="MVNO01", lineStatus="ACTIVE", productCode="LTE_BASIC")
    reply = until(lambda: (lambda r: r if r.status != 503 else None)(customer.api.change(customer.body(), Idempotency_Key="n")), 10)
    reply.expect(200)
    assert "Idempotent-Replayed" not in reply.headers, "a 503 always leaves the key free"
    assert len(customer.orders(applied=True)) == 1


@pytest.fixture(scope="module")
def dedup_world(session):
    w = World(session, env={**ENV, "KOS_DEDUPLICATES": "true", "KOS_SETTLE_HORIZON": "10m"}, kos_dedup=True)
    yield w
    w.close()


def test_a_kos_that_recognises_repeats_is_asked_again_under_the_same_id(dedup_world):
    """kos.deduplicates: baseline -> repeat under the same requestId; a clear answer is the outcome."""
    w = dedup_world
    c = w.customer()
    w.kos.fault("http_status", operation="change", lineNumber=c.line, status=500, count=1)
    result = c.api.change(c.body(), timeout=20).expect(200).data
    assert result["processStatus"] == "COMPLETED"
    calls = w.kos.calls("change", c.line)
    assert len(calls) >= 2 and {x["requestId"] for x in calls} == {result["requestId"]}
    assert len(c.orders(applied=True)) == 1
    assert len(w.mvno.events(request_id=result["requestId"]) or [w.mvno.event(result["requestId"])]) == 1


def test_a_repeat_of_an_applied_order_is_applied_once(dedup_world):
    w = dedup_world
    c = w.customer()
    w.kos.fault("applied_reset", operation="change", lineNumber=c.line, count=1)
    assert c.api.change(c.body(), timeout=20).expect(200).data["processStatus"] == "COMPLETED"
    assert len(c.orders(applied=True)) == 1


def test_a_refusal_of_a_repeat_is_no_outcome(dedup_world):
    """The first may have been applied after all: ask again."""
    w = dedup_world
    c = w.customer()
    first = w.kos.fault("hang", operation="change", lineNumber=c.line, count=1)
    refusal = w.kos.fault("result_code", operation="change", lineNumber=c.line, resultCode="2004", count=1)
    id_ = c.api.change_async(c.body()).expect(202).data["requestId"]
    until(lambda: len(w.kos.calls("change", c.line)) >= 2, 5)
    state = c.api.result(id_).data
    assert state["resultCode"] != "2004", state
    assert first != refusal
    final = c.api.result(id_, wait=15).data
    assert final["processStatus"] == "COMPLETED", final
    assert len(c.orders(applied=True)) == 1


def test_double_click_orders_once(world, customer, kos):
    """The second request's inquiry is answered after the first has finished (DESIGN.md, claim before read)."""
    fresh = world.start_service(name="fresh", PRECHECK_MAX_AGE="0", JOURNAL_PATH=world.folder + "/journal-dc", KOS_CHANGE_DEADLINE="5s")
    try:
        gate = kos.fault("gate", operation="inquiry", phase="after", lineNumber=customer.line, count=1)
        answers = []

        def click(n):
            answers.append((n, customer.api.at(fresh).change(customer.body())))

        first = threading.Thread(target=click, args=(1,))
        first.start()
        kos.wait_held(gate)
        second = threading.Thread(target=click, args=(2,))
        second.start()
        second.join(10)
        time.sleep(0.2)
        kos.release()
        first.join(10)
        by = dict(answers)
        assert sorted(r.status for r in by.values()) == [200, 409], answers
        denied = next(r for r in by.values() if r.status == 409)
        assert denied.code in ("CHANGE_IN_PROGRESS", "CURRENT_PRODUCT_MISMATCH")
        assert len(customer.orders()) == 1 and len(customer.orders(applied=True)) == 1
    finally:
        kos.clear()
        fresh.stop()


def test_double_click_whose_second_inquiry_read_the_old_product(world, customer, kos):
    """Both on their way at once, the inquiries held, the second answered last: still one order."""
    fresh = world.start_service(name="fresh2", PRECHECK_MAX_AGE="0", JOURNAL_PATH=world.folder + "/journal-dc2", KOS_CHANGE_DEADLINE="5s",
                                REDIS_PORT="1")
    try:
        gate = kos.fault("gate", operation="inquiry", phase="after", lineNumber=customer.line)
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(customer.api.at(fresh).change(customer.body()))) for _ in range(2)]
        for t in threads:
            t.start()
        kos.wait_held(gate)
        stays(lambda: kos.waiting(gate) <= 2, 0.3)
        kos.release(gate, count=1)
        until(lambda: answers, 5)
        kos.clear()
        for t in threads:
            t.join(10)
        assert sorted(r.status for r in answers) == [200, 409], answers
        assert len(customer.orders()) == 1
    finally:
        kos.clear()
        fresh.stop()


def test_a_doubt_settled_within_the_request_is_told_and_replayed_alike(world, kos, family):
    """NOT_APPLIED inside the 9 s: told as a refusal is, 409 on core and 200 FAILED on /api/v1; a replay has that status."""
    c = world.customer()
    kos.fault("http_status", operation="change", lineNumber=c.line, status=500, count=1)
    api = c.api.on(family)
    first = api.change(c.body(), Idempotency_Key="na")
    again = api.change(c.body(), Idempotency_Key="na")
    assert again.headers["Idempotent-Replayed"] == "true"
    if family == "core":
        assert first.expect(409, "CHANGE_DENIED").error["resultCode"] == "NOT_APPLIED"
        assert again.expect(409, "CHANGE_DENIED").error["requestId"] == first.error["requestId"]
        assert again.error["resultCode"] == "NOT_APPLIED" and again.error["details"] == first.error["details"]
    else:
        assert first.expect(200).data["resultCode"] == "NOT_APPLIED" and again.expect(200).data == first.data
