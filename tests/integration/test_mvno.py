"""Events to MVNO AP (CONTRACT.md 3): members, signature, order, outages, dead letters."""

import base64
import hashlib
import hmac
import json
import time
import uuid

import pytest

from harness import checks
from harness.admin import Admin, socket_of
from harness.wait import stays, until
from harness.world import World

ENV = {"MVNO_DEADLINE": "500ms", "MVNO_CONNECT_TIMEOUT": "300ms", "MVNO_PROBE": "200ms", "MVNO_BREAKER_WAIT": "100ms", "LIMITS_RATE": 0}
REQUIRED = {"eventId", "eventType", "requestId", "lineNumber", "currentProductCode", "targetProductCode", "processResult", "resultCode", "message",
            "occurredAt"}


def header(event, name):
    return {k.lower(): v for k, v in event["headers"].items()}[name]


def verify(event, secret):
    """Standard Webhooks, made here: v1,<base64 of HMAC-SHA256 over id.timestamp.body>."""
    key = base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()
    text = f'{header(event, "webhook-id")}.{header(event, "webhook-timestamp")}.'.encode() + event["rawBody"].encode()
    wanted = "v1," + base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()
    assert header(event, "webhook-signature") == wanted
    assert abs(int(header(event, "webhook-timestamp")) - time.time()) < 120


def check_event(event, secret):
    verify(event, secret)
    body = event["body"]
    assert json.loads(event["rawBody"]) == body
    assert REQUIRED <= body.keys() <= REQUIRED | {"failureReason"}, body
    assert header(event, "webhook-id") == body["eventId"]
    uuid.UUID(body["eventId"])
    checks.time(body["occurredAt"])
    assert header(event, "content-type").startswith("application/json")
    return body


def test_ufr_prod_040_completed(world, customer, mvno):
    result = customer.change()
    event = mvno.event(result["requestId"])
    body = check_event(event, mvno.secret)
    assert body == {
        "eventId": body["eventId"], "eventType": "product-change.completed", "requestId": result["requestId"], "lineNumber": customer.line,
        "currentProductCode": "LTE_BASIC", "targetProductCode": "LTE_PLUS", "processResult": "정상", "resultCode": "0000",
        "message": "상품 변경이 완료되었습니다", "occurredAt": body["occurredAt"],
    }
    assert abs(checks.time(body["occurredAt"]) - checks.time(result["processedAt"])).total_seconds() < 2


def test_ufr_prod_040_failed(world, customer, kos, mvno):
    kos.fault("result_code", operation="change", lineNumber=customer.line, resultCode="2099")
    error = customer.api.change(customer.body(), Accept_Language="en").expect(409).error
    body = check_event(mvno.event(error["requestId"]), mvno.secret)
    assert (body["eventType"], body["processResult"], body["resultCode"]) == ("product-change.failed", "실패", "2099")
    assert body["message"] == "상품 변경에 실패하였습니다" and checks.HANGUL.search(body["failureReason"])


def test_ufr_prod_040_system_unavailable(world, customer, kos, mvno):
    kos.fault("http_status", operation="inquiry", lineNumber=customer.line, status=500)
    customer.api.change(customer.body()).expect(503)
    [event] = until(lambda: mvno.events(line=customer.line), 5)
    body = check_event(event, mvno.secret)
    assert (body["eventType"], body["processResult"]) == ("product-change.system-unavailable", "장애")
    assert body["message"] == "시스템 일시 장애, 잠시 후 재시도"


def test_an_outage_of_orders_is_not_over_when_an_inquiry_succeeds(world, customer, kos, mvno):
    """One system-unavailable a line and outage, though inquiries (of a doubt, of other requests) go well all the time."""
    admin = Admin(socket_of(world.service))
    doubtful = world.customer()

    def outages():
        return [e for e in mvno.events(line=customer.line) if e["body"]["eventType"] == "product-change.system-unavailable"]

    kos.fault("http_status", operation="change", lineNumber=doubtful.line, status=500, phase="before", count=1)
    open_ = doubtful.api.change_async(doubtful.body()).expect(202).data["requestId"]
    until(lambda: doubtful.api.result(open_).data.get("inDoubt"), 5)
    admin.switch("kos.change", "forced-open", actor="test").expect(200)
    try:
        customer.api.change(customer.body()).expect(503, "KOS_UNAVAILABLE")
        until(outages, 5)
        asked = len(kos.calls(operation="inquiry", line=doubtful.line))
        admin.post(f"/admin/changes/{open_}/check").expect(202)
        until(lambda: len(kos.calls(operation="inquiry", line=doubtful.line)) > asked, 5, "an inquiry that succeeds")
        until(lambda: [c for c in admin.trace(id=open_).data["stories"][0]["kosCalls"]][asked:], 5, "and is looked at")
        customer.api.change(customer.body()).expect(503, "KOS_UNAVAILABLE")
        stays(lambda: len(outages()) == 1, 1)
    finally:
        admin.switch("kos.change", "closed", actor="test")
    customer.change()  # an order is taken: the outage is over
    admin.switch("kos.change", "forced-open", actor="test").expect(200)
    try:
        customer.api.change(customer.body("LTE_BASIC")).expect(503, "KOS_UNAVAILABLE")
        until(lambda: len(outages()) == 2, 5, "the next outage is told")
    finally:
        admin.switch("kos.change", "closed", actor="test")
        admin.settle(open_, "not-applied")


def test_no_event_for_what_is_refused_before(world, customer, mvno):
    customer.api.change(customer.body("LTE_LEGACY")).expect(409, "VALIDATION_FAILED")
    customer.api.change(customer.body("LTE_BASIC")).expect(409, "SAME_PRODUCT")
    customer.api.change(customer.body(current="5GX_BASIC")).expect(409, "CURRENT_PRODUCT_MISMATCH")
    customer.api.validate(customer.body()).expect(200)
    world.forwarded()
    assert not mvno.events(line=customer.line)


def test_events_of_a_line_come_in_order(world, customer, mvno):
    fault = mvno.fault("delay", delayMs=60)
    targets = ["LTE_PLUS", "5GX_BASIC", "LTE_SLIM", "LTE_BASIC", "5GX_PREMIUM", "LTE_PLUS"]
    ids = [customer.change(t)["requestId"] for t in targets]
    until(lambda: len(mvno.events(line=customer.line)) == len(ids), 8)
    assert [e["body"]["requestId"] for e in mvno.events(line=customer.line)] == ids
    mvno.clear(fault)


@pytest.mark.parametrize("fault", [
    {"kind": "http_status", "status": 500}, {"kind": "http_status", "status": 503}, {"kind": "http_status", "status": 429, "headers": {"Retry-After": "0"}},
    {"kind": "http_status", "status": 302, "headers": {"Location": "/x"}}, {"kind": "http_status", "status": 404}, {"kind": "http_status", "status": 401},
    {"kind": "hang"}, {"kind": "reset"}, {"kind": "close"},
], ids=lambda f: f"{f['kind']} {f.get('status', '')}")
def test_the_destinations_own_failures_cost_nothing_and_all_is_delivered_when_it_is_back(world, mvno, fault):
    """Probe, no attempt consumed; every event comes later with the same id, freshly signed; the answer never waits."""
    c, other = world.customer(), world.customer()
    number = mvno.fault(**fault)
    start = time.monotonic()
    ids = [c.change(t)["requestId"] for t in ("LTE_PLUS", "5GX_BASIC")] + [other.change()["requestId"]]
    assert time.monotonic() - start < 3, "the customer's answer never waits for a delivery"
    until(lambda: [f for f in mvno.faults()["faults"] if f["id"] == number and f["hits"] >= 2], 6, "tried and probed")
    assert not mvno.events(line=c.line)
    hits = [f["hits"] for f in mvno.faults()["faults"] if f["id"] == number][0]
    assert hits < 40, "probed, not hammered"
    mvno.clear()
    until(lambda: len(mvno.events(line=c.line)) == 2 and mvno.events(line=other.line), 8, "delivered")
    events = mvno.events(line=c.line)
    assert [e["body"]["requestId"] for e in events] == ids[:2], "in order"
    for e in events + mvno.events(line=other.line):
        check_event(e, mvno.secret)
    world.forwarded()


@pytest.mark.parametrize("status", [410, 400, 422])
def test_the_events_own_failure_is_a_dead_letter_and_the_line_goes_on(world, customer, mvno, status):
    mvno.fault("http_status", status=status, count=1, lineNumber=customer.line)
    lost = customer.change("LTE_PLUS")["requestId"]
    told = customer.change("5GX_BASIC")["requestId"]
    assert mvno.event(told)["body"]["targetProductCode"] == "5GX_BASIC"
    stays(lambda: not mvno.events(request_id=lost), 0.5, "never sent again")
    world.forwarded()
    assert world.row(lost)["status"] == "COMPLETED", "the change itself is not concerned"


def test_signed_afresh_on_every_attempt_with_the_same_id(world, customer, mvno):
    fault = mvno.fault("http_status", status=500)
    request_id = customer.change()["requestId"]
    until(lambda: [f for f in mvno.faults()["faults"] if f["id"] == fault and f["hits"] >= 2], 6)
    time.sleep(1.1)  # into another second: webhook-timestamp is in seconds
    mvno.clear()
    event = mvno.event(request_id, 8)
    attempts = mvno.attempts(header(event, "webhook-id"))
    assert len(attempts) >= 2 and attempts[-1]["outcome"] == "accepted", attempts
    assert len({a["timestamp"] for a in attempts}) >= 2, "the timestamp is the attempt's"
    assert len({a["signature"] for a in attempts}) == len({a["timestamp"] for a in attempts}), "and the signature goes with it"
    check_event(event, mvno.secret)


def test_an_event_whose_answer_was_lost_is_told_again_unchanged(world, customer, mvno):
    """At least once: accepted, but the answer never came; the same id and body again."""
    mvno.fault("reset", phase="after", count=1, lineNumber=customer.line)
    request_id = customer.change()["requestId"]
    event = mvno.event(request_id)
    until(lambda: mvno.events(request_id=request_id)[0]["deliveries"] >= 2, 8)
    assert mvno.events(request_id=request_id)[0]["changed"] in (0, False)
    assert event["body"]["requestId"] == request_id


def test_one_line_that_hangs_does_not_hold_up_others(world, mvno):
    stuck, free = world.customer(), world.customer()
    mvno.fault("hang", lineNumber=stuck.line, count=1)
    stuck.change()
    assert mvno.event(free.change()["requestId"], 4)
    until(lambda: mvno.events(line=stuck.line), 8)


def test_the_backlog_of_an_outage_lives_through_a_restart(world, customer, mvno):
    mvno.stop()
    ids = [customer.change(t)["requestId"] for t in ("LTE_PLUS", "5GX_BASIC")]
    world.service.restart()
    customer.api = world.api(customer.token)
    ids.append(customer.change("LTE_SLIM")["requestId"])
    assert world.api().get("/health/ready").json["neighbours"], "still ready"
    mvno.start()
    until(lambda: len(mvno.events(line=customer.line)) == 3, 8)
    assert [e["body"]["requestId"] for e in mvno.events(line=customer.line)] == ids
    world.forwarded()
    world.service.restart()
    stays(lambda: all(e["deliveries"] == 1 for e in mvno.events(line=customer.line)), 0.5, "nothing twice")


def test_a_late_delivery_joins_the_trace_of_its_change(world, customer, mvno, kos):
    """Issue 7, point 2: the trace is in the journal, so an event, and an inquiry about a doubt, of a process that was started
    later belong to the request of the customer; each with a span of its own."""
    trace, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    mvno.stop()
    kos.fault("http_status", operation="change", lineNumber=customer.line, status=500, count=1)
    id_ = customer.api.change_async(customer.body(), traceparent=f"00-{trace}-{span}-01").expect(202).data["requestId"]
    until(lambda: customer.api.result(id_).data.get("inDoubt"), 5)
    world.service.kill9()
    kos.customer(customer.line, customerId=customer.customer_id, productCode="LTE_PLUS", lineStatus="ACTIVE", operatorCode="MVNO01")
    seen = len(kos.calls(operation="inquiry", line=customer.line))
    world.service.start()
    customer.api = world.api(customer.token)
    until(lambda: customer.api.result(id_).data["processStatus"] == "COMPLETED", 15)
    mvno.start()
    sent = [header(mvno.event(id_, 15), "traceparent")]
    sent += [c["headers"]["traceparent"] for c in kos.calls(operation="inquiry", line=customer.line)[seen:]]
    assert len(sent) >= 2
    for one in sent:
        version, of, by, flags = one.split("-")
        assert (version, of, flags) == ("00", trace, "01") and by != span, one
    assert len(set(sent)) == len(sent)


def test_a_whsec_secret_is_base64_decoded(session):
    secret = "whsec_" + base64.b64encode(b"thirty-two bytes of webhook key!").decode()
    w = World(session, mvno_secret=secret)
    try:
        c = w.customer()
        verify(w.mvno.event(c.change()["requestId"]), secret)
    finally:
        w.close()


def test_without_a_secret_unsigned_and_warned_without_a_url_events_wait(session, world):
    w = World(session, env={"MVNO_WEBHOOK_SECRET": "", "MVNO_BASE_URL": ""})
    try:
        warned = [e for e in w.service.lines() if e["level"] == "warn" and ("secret" in str(e).lower() or "sign" in str(e).lower())]
        c = w.customer()
        request_id = c.change()["requestId"]
        w.row(request_id)
        stays(lambda: not w.mvno.events(), 0.3)
        w.service.stop()
        w.mvno.stop()
        unsigned = type(w.mvno)(w.build, w.folder)
        unsigned.stop()
        unsigned.argv, unsigned.env = ["--lax"], {k: v for k, v in unsigned.env.items() if k != "MVNO_WEBHOOK_SECRET"}
        unsigned.start()
        w.service.env["MVNO_BASE_URL"] = unsigned.url
        w.service.start()
        event = unsigned.event(request_id, 8)
        assert "webhook-signature" not in {k.lower() for k in event["headers"] if event["headers"][k]}
        warned = warned or [e for e in w.service.lines() if e["level"] == "warn" and "secret" in str(e).lower()]
        assert warned, "sent without webhook-signature, warned"
        unsigned.close()
        w.mvno.start()
    finally:
        w.close()
