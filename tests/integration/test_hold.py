"""OUTAGE_MODE=hold (CONTRACT.md 1; issue 4 point 4): a Prefer: respond-async request during an outage is held,
ordered when KOS is back, expires honestly, and can be cancelled until it is sent."""

import threading
import time

import pytest

from harness import checks
from harness.wait import stays, until
from harness.world import World

ENV = {
    "OUTAGE_MODE": "hold", "OUTAGE_MAX_HOLD": "30s", "KOS_BREAKER_WINDOW": 4, "KOS_BREAKER_MINIMUM": 4, "KOS_BREAKER_WAIT": "500ms",
    "KOS_BREAKER_WAIT_MAX": "800ms", "KOS_BREAKER_HALF_OPEN_PERMITS": 1, "KOS_READ_RETRIES": 0, "LIMITS_RATE": 0, "SERVER_THREADS": 1,
}


@pytest.fixture
def outage(world, kos):
    """KOS answers 500 to everything from now on; end() lets it be well again."""

    class Outage:
        def begin(self):
            kos.fault("http_status", status=500)
            until(lambda: (world.customer().api.menu(), world.service.metric("pcs_breaker_state", breaker="kos.inquiry", state="OPEN") == 1)[1], 5)

        def end(self):
            kos.clear()

    yield Outage()
    kos.clear()
    until(lambda: world.customer().api.menu().status == 200, 10, "KOS is well again")


def hold(c, outage, family="core", target="LTE_PLUS", **more):
    c.api.menu().expect(200)
    c.api.screen().expect(200)
    outage.begin()
    reply = c.api.on(family).change_async(c.body(target), **more).expect(202)
    return reply.data


def test_held_is_202_pending_with_expires_at_and_ordered_when_kos_is_back(world, customer, outage, kos, family):
    result = hold(customer, outage, family)
    checks.result(result, family)
    assert result["processStatus"] == "PENDING" and result["resultCode"] == "PENDING" and result["cancellable"] is True
    left = (checks.time(result["expiresAt"]) - checks.time(result["requestedAt"])).total_seconds()
    assert 29 <= left <= 31
    assert {"WAIT", "CANCEL"} <= {a["action"] for a in result["nextActions"]}
    api = customer.api.on(family)
    assert api.result(result["requestId"]).expect(200).data["processStatus"] == "PENDING"
    assert api.history().expect(200).data["history"][0]["processStatus"] == "PENDING"
    api.change_async(customer.body("5GX_BASIC")).expect(409, "CHANGE_IN_PROGRESS")
    assert not world.mvno.events(line=customer.line) and not customer.orders()
    outage.end()
    final = api.result(result["requestId"], wait=15).expect(200).data
    assert final["processStatus"] == "COMPLETED", final
    calls = [x["operation"] for x in kos.calls(request_id=result["requestId"])]
    assert calls[-2:] == ["inquiry", "change"], "checked again first"
    assert len(customer.orders(applied=True)) == 1
    assert world.mvno.event(result["requestId"])["body"]["eventType"] == "product-change.completed"
    assert world.row(result["requestId"])["status"] == "COMPLETED"


def test_without_respond_async_an_outage_is_503(world, customer, outage):
    customer.api.menu()
    customer.api.screen()
    outage.begin()
    customer.api.change(customer.body()).expect(503, "KOS_UNAVAILABLE")
    outage.end()


def test_checked_as_far_as_cached_data_allow(world, customer, outage):
    customer.api.menu().expect(200)
    customer.api.screen().expect(200)
    outage.begin()
    customer.api.change_async(customer.body("LTE_LEGACY")).expect(409, "VALIDATION_FAILED")
    customer.api.change_async(customer.body("LTE_BASIC")).expect(409, "SAME_PRODUCT")
    customer.api.change_async(customer.body(current="5GX_BASIC")).expect(409, "CURRENT_PRODUCT_MISMATCH")
    unknown = world.customer()
    held = unknown.api.change_async(unknown.body()).expect(202).data
    assert held["processStatus"] == "PENDING"
    outage.end()
    assert unknown.api.result(held["requestId"], wait=15).data["processStatus"] == "COMPLETED"


def test_what_has_changed_meanwhile_fails_when_it_is_looked_at_again(world, customer, outage, kos):
    result = hold(customer, outage)
    kos.customer(customer.line, productCode="5GX_BASIC")
    outage.end()
    final = customer.api.result(result["requestId"], wait=15).data
    assert final["processStatus"] == "FAILED" and final["failureReason"], final
    assert not customer.orders()
    assert world.row(result["requestId"])["status"] == "FAILED"


def test_held_is_cancelled_and_never_sent(world, customer, outage, family):
    result = hold(customer, outage, family)
    api = customer.api.on(family)
    cancelled = api.cancel(result["requestId"]).expect(200).data
    checks.result(cancelled, family)
    assert cancelled["processStatus"] == "FAILED" and cancelled["resultCode"] == "CANCELLED" and cancelled["cancellable"] is False
    event = world.mvno.event(result["requestId"])["body"]
    assert event["eventType"] == "product-change.failed" and event["processResult"] == "실패" and event["resultCode"] == "CANCELLED"
    outage.end()
    until(lambda: world.customer().api.menu().status == 200, 10)
    stays(lambda: not customer.orders(), 0.5)
    row = world.row(result["requestId"])
    assert row["status"] == "FAILED" and row["result_code"] == "CANCELLED"
    assert customer.api.change(customer.body()).expect(200), "the line is free again"


def test_a_cancelled_change_is_held_no_longer(world, customer, outage):
    """Neither in the gauge nor in the pace: the outage goes on, the change is over."""
    before = world.service.metric("pcs_changes_held")
    result = hold(customer, outage)
    until(lambda: world.service.metric("pcs_changes_held") == before + 1, 3)
    customer.api.cancel(result["requestId"]).expect(200)
    until(lambda: world.service.metric("pcs_changes_held") == before, 3, "the gauge while KOS is out")
    again = customer.api.change_async(customer.body()).expect(202).data
    assert again["requestId"] != result["requestId"], "the line is free again at once"
    customer.api.cancel(again["requestId"]).expect(200)
    outage.end()


def test_cancelling_while_a_poll_waits_answers_the_poll(world, customer, outage):
    result = hold(customer, outage)
    seen = []
    t = threading.Thread(target=lambda: seen.append((customer.api.another().result(result["requestId"], wait=30), time.monotonic())))
    t.start()
    time.sleep(0.3)
    cancelled = time.monotonic()
    customer.api.cancel(result["requestId"]).expect(200)
    t.join(10)
    assert seen[0][0].data["resultCode"] == "CANCELLED" and seen[0][1] - cancelled < 2
    outage.end()


def test_replay_of_a_held_request(world, customer, outage):
    result = hold(customer, outage, Idempotency_Key="held")
    again = customer.api.change_async(customer.body(), Idempotency_Key="held").expect(202)
    assert again.headers["Idempotent-Replayed"] == "true" and again.data["requestId"] == result["requestId"]
    customer.api.change_async(customer.body("LTE_SLIM"), Idempotency_Key="held").expect(422, "IDEMPOTENCY_KEY_REUSED")
    outage.end()
    assert customer.api.result(result["requestId"], wait=15).data["processStatus"] == "COMPLETED"


def test_held_lives_through_kill_9(world, customer, outage):
    result = hold(customer, outage)
    world.service.kill9()
    world.service.start()
    customer.api = world.api(customer.token)
    state = customer.api.result(result["requestId"]).expect(200).data
    assert state["processStatus"] in ("PENDING", "PROCESSING") and state["cancellable"] is True, state
    outage.end()
    assert customer.api.result(result["requestId"], wait=20).data["processStatus"] == "COMPLETED"
    assert len(customer.orders(applied=True)) == 1


def test_accepted_is_kept_however_late_the_next_start_is(world, customer, outage):
    """DESIGN.md, kill -9: 202 is on disk before it is told, also when the process ends that moment and is started again
    later than a request lives (then what has no 202 is not sent: its caller may have been told 503)."""
    customer.api.menu().expect(200)
    customer.api.screen().expect(200)
    outage.begin()
    asked = time.monotonic()
    reply = customer.api.change_async(customer.body()).expect(202)
    world.service.kill9()
    until(lambda: time.monotonic() - asked > 9.5, 15, "longer than a request lives")
    world.service.start()
    customer.api = world.api(customer.token)
    state = customer.api.result(reply.data["requestId"]).expect(200).data
    assert state["processStatus"] in ("PENDING", "PROCESSING"), state
    outage.end()
    assert customer.api.result(reply.data["requestId"], wait=20).data["processStatus"] == "COMPLETED"
    assert len(customer.orders(applied=True)) == 1


def test_expires_honestly(session):
    """FAILED EXPIRED and an event after outage.max_hold; never ordered."""
    w = World(session, env={**ENV, "OUTAGE_MAX_HOLD": "1500ms"})
    try:
        c = w.customer()
        c.api.menu().expect(200)
        c.api.screen().expect(200)
        w.kos.fault("http_status", status=500)
        until(lambda: (w.customer().api.menu(), w.service.metric("pcs_breaker_state", breaker="kos.inquiry", state="OPEN") == 1)[1], 5)
        result = c.api.change_async(c.body()).expect(202).data
        final = c.api.result(result["requestId"], wait=10).data
        assert final["processStatus"] == "FAILED" and final["resultCode"] == "EXPIRED", final
        assert checks.time(final["processedAt"]) >= checks.time(result["expiresAt"])
        event = w.mvno.event(result["requestId"])["body"]
        assert event["eventType"] == "product-change.failed" and event["resultCode"] == "EXPIRED"
        assert w.row(result["requestId"])["result_code"] == "EXPIRED"
        c.api.cancel(result["requestId"]).expect(409, "NOT_CANCELLABLE")
        w.kos.clear()
        until(lambda: w.customer().api.menu().status == 200, 10)
        stays(lambda: not c.orders(), 0.3)
        c.change()
    finally:
        w.kos.clear()
        w.close()


def test_what_expires_while_kos_is_asked_is_never_ordered(session):
    """KOS is back at the last moment: the customer was told expiresAt, so nothing is sent after it."""
    w = World(session, env={**ENV, "OUTAGE_MAX_HOLD": "3s"})
    try:
        c = w.customer()
        c.api.menu().expect(200)
        c.api.screen().expect(200)
        out = w.kos.fault("http_status", status=500)
        until(lambda: (w.customer().api.menu(), w.service.metric("pcs_breaker_state", breaker="kos.inquiry", state="OPEN") == 1)[1], 5)
        result = c.api.change_async(c.body()).expect(202).data
        gate = w.kos.fault("gate", operation="inquiry", lineNumber=c.line, phase="before")
        w.kos.control("DELETE", f"faults?id={out}")
        w.kos.wait_held(gate)
        until(lambda: time.time() > checks.time(result["expiresAt"]).timestamp(), 5)
        w.kos.clear(gate)
        final = c.api.result(result["requestId"], wait=10).data
        assert final["processStatus"] == "FAILED" and final["resultCode"] == "EXPIRED", final
        assert not c.orders()
    finally:
        w.kos.clear()
        w.close()


def test_default_is_refuse(session):
    w = World(session, env={**ENV, "OUTAGE_MODE": ""})
    try:
        c = w.customer()
        c.api.screen().expect(200)
        w.kos.fault("http_status", status=500)
        c.api.change_async(c.body()).expect(503, "KOS_UNAVAILABLE")
    finally:
        w.kos.clear()
        w.close()
