"""Reads when KOS fails (CONTRACT.md 1 and 2): which answers are failures, what the customer is told, stale values."""

import concurrent.futures
import time

import pytest

from harness import checks
from harness.wait import until
from harness.world import World

ENV = {"KOS_INQUIRY_DEADLINE": "700ms", "KOS_LIST_DEADLINE": "700ms", "LIMITS_RATE": 0, "SERVER_THREADS": 1}
MENU, SCREEN = "상품 변경 요청 메뉴 로딩에 실패하였습니다", "상품 변경 화면 접속에 실패하였습니다"
OUT = "시스템 일시 장애, 잠시 후 재시도"

FAILURES = {
    "hang": {"kind": "hang"},
    "delay": {"kind": "delay", "delayMs": 2000},
    "reset": {"kind": "reset"},
    "close": {"kind": "close"},
    "HTTP 500": {"kind": "http_status", "status": 500},
    "HTTP 502": {"kind": "http_status", "status": 502},
    "HTTP 400": {"kind": "result_code", "resultCode": "9001", "status": 400},
    "HTTP 302": {"kind": "http_status", "status": 302, "headers": {"Location": "/x"}},
    "HTTP 201": {"kind": "http_status", "status": 201, "body": {"success": True, "resultCode": "0000"}},
    "404 in HTML": {"kind": "not_found_html"},
    "garbage": {"kind": "garbage"},
    "truncated": {"kind": "truncated"},
    "reset in the body": {"kind": "reset_mid_body"},
    "endless": {"kind": "slow_drip", "bytes": 1, "delayMs": 50},
    "huge": {"kind": "big_body"},
    "huge chunked": {"kind": "big_body", "chunked": True},
    "9999": {"kind": "result_code", "resultCode": "9999"},
    "9001": {"kind": "result_code", "resultCode": "9001"},
    "2001": {"kind": "result_code", "resultCode": "2001"},
    "null data": {"kind": "null_data"},
    "data contradicts": {"kind": "contradiction", "variant": "data"},
    "3001 under HTTP 500": {"kind": "result_code", "resultCode": "3001", "status": 500},
    "empty body": {"kind": "http_status", "status": 200, "body": ""},
    "an array": {"kind": "http_status", "status": 200, "body": []},
    "no envelope": {"kind": "http_status", "status": 200, "body": {"productInfo": {}}},
}


@pytest.fixture(scope="module")
def inquiry_answers(world):
    """Every failure of the inquiry × every endpoint that needs it, all at once, each on its own line."""
    world.customer().api.screen().expect(200)  # the catalogue is cached

    def one(name):
        c = world.customer()
        world.kos.fault(operation="inquiry", lineNumber=c.line, **FAILURES[name])
        start = time.monotonic()
        out = {
            "menu": c.api.menu(),
            "front menu": c.front.menu(),
            "screen": c.api.screen(),
            "customer": c.front.customer(),
            "validation": c.api.validate(c.body()),
            "request": c.api.change(c.body()),
            "front request": c.front.change(c.body()),
        }
        return name, c, out, time.monotonic() - start

    with concurrent.futures.ThreadPoolExecutor(len(FAILURES)) as pool:
        return {name: (c, out, seconds) for name, c, out, seconds in pool.map(one, FAILURES)}


@pytest.mark.parametrize("name", FAILURES)
def test_every_failure_of_the_inquiry_is_503_with_the_screens_message(world, inquiry_answers, name):
    c, out, _ = inquiry_answers[name]
    messages = {"menu": MENU, "front menu": MENU, "customer": MENU, "screen": SCREEN, "request": OUT, "front request": OUT}
    for what, reply in out.items():
        reply.expect(503, "KOS_UNAVAILABLE")
        if what in messages:
            assert reply.error["message"] == messages[what], (what, reply)
    assert not c.orders(), "nothing was ordered"


@pytest.mark.parametrize("name", ["HTTP 500", "hang"])
def test_system_unavailable_once_per_line_and_outage(world, inquiry_answers, name):
    """A request that could not be checked because KOS is out: recorded after, one event per line and outage."""
    c, _, _ = inquiry_answers[name]
    events = until(lambda: world.mvno.events(line=c.line), 5, "event")
    body = events[0]["body"]
    assert body["eventType"] == "product-change.system-unavailable" and body["processResult"] == "장애"
    assert body["message"] == OUT and body["targetProductCode"] == "LTE_PLUS"
    world.forwarded()
    assert len(world.mvno.events(line=c.line)) == 1
    rows = world.db.history(line=c.line)
    assert rows and all(r["status"] == "FAILED" and r["result_code"] == "KOS_UNAVAILABLE" for r in rows)


@pytest.fixture(scope="module")
def listless(session):
    """A service that has never seen a product list: nothing usable is cached, in Redis or in memory."""
    w = World(session, env={**ENV, "LIMITS_RATE": 0})
    yield w
    w.close()


@pytest.mark.parametrize("name", [n for n in FAILURES if n not in ("null data", "data contradicts")])
def test_every_failure_of_the_list_is_503_with_the_screens_message(listless, name):
    c = listless.customer()
    fault = listless.kos.fault(operation="list", **FAILURES[name])
    for reply in (c.front.available(), c.api.screen()):
        assert reply.expect(503, "KOS_UNAVAILABLE").error["message"] == SCREEN
    assert c.api.change(c.body()).expect(503, "KOS_UNAVAILABLE").error["message"] == OUT
    c.api.validate(c.body()).expect(503, "KOS_UNAVAILABLE")
    c.api.menu().expect(200)  # needs no list
    assert not c.orders()
    listless.kos.clear(fault)


def test_the_list_is_back_when_kos_is(listless):
    """The first customer after the outage is served, and an empty list is an answer too."""
    body = {"success": True, "resultCode": "0000", "resultMessage": "ok",
            "data": {"result_code": "0000", "result_message": "ok", "product_count": 0, "products": []}}
    fault = listless.kos.fault("http_status", operation="list", status=200, body=body)
    c = listless.customer()
    first = c.front.available()
    listless.kos.clear(fault)
    if first.status == 200:
        assert first.data == {"products": [], "totalCount": 0}
    else:
        assert c.api.screen().expect(200).data["totalCount"] > 0


def test_answers_of_koss_business_are_no_failures_and_only_0000_is_cached(world, kos):
    c = world.customer(inquiryResult="3001")
    c.api.menu().expect(404, "LINE_NOT_FOUND")
    c.api.menu().expect(404, "LINE_NOT_FOUND")
    assert len(kos.calls("inquiry", c.line)) == 2, "3xxx is not cached"


def test_reads_are_retried_within_their_deadline(world, kos):
    """Retries only where they are safe: a read whose first attempt was reset is answered by the second."""
    c = world.customer()
    kos.fault("reset", operation="inquiry", lineNumber=c.line, count=1)
    assert c.api.menu().status in (200, 503)
    assert c.api.menu().expect(200)


@pytest.fixture(scope="module")
def stale_world(session):
    w = World(session, env={"CACHE_CUSTOMER_SOFT_AGE": "1s", "CACHE_CATALOGUE_SOFT_AGE": "1s", "KOS_INQUIRY_DEADLINE": "500ms",
                            "KOS_LIST_DEADLINE": "500ms"})
    yield w
    w.close()


def test_past_its_soft_age_a_value_is_fetched_again_and_served_stale_if_kos_fails(stale_world):
    """Header Age and, in data, stale and ageSeconds; both absent otherwise."""
    w = stale_world
    c = w.customer()
    for reply in (c.api.menu(), c.api.screen(), c.front.customer(), c.front.available()):
        assert "stale" not in reply.expect(200).data and "Age" not in reply.headers
    time.sleep(1.1)
    w.kos.customer(c.line, productCode="5GX_BASIC")
    assert c.api.menu().expect(200).data["currentProduct"]["productCode"] == "5GX_BASIC", "fetched again"
    c.api.screen().expect(200)
    c.front.available().expect(200)
    time.sleep(1.1)
    w.kos.fault("http_status", status=500)
    for reply in (c.api.menu(), c.front.menu(), c.api.screen(), c.front.customer(), c.front.available()):
        data = reply.expect(200).data
        assert data["stale"] is True and data["ageSeconds"] >= 1, reply
        assert int(reply.headers["Age"]) == data["ageSeconds"]
    checks.menu(c.api.menu().data)
    checks.change_screen(c.api.screen().data)
    # The pre-check says that it is of old facts.
    reply = c.api.validate(c.body(current="5GX_BASIC")).expect(200)
    assert reply.data["stale"] is True and int(reply.headers["Age"]) == reply.data["ageSeconds"] >= 1, reply
    # An order is never checked against a stale customer.
    c.api.change(c.body(current="5GX_BASIC")).expect(503, "KOS_UNAVAILABLE")
    w.kos.clear()
    data = c.api.menu().expect(200).data
    assert "stale" not in data
    assert "stale" not in c.api.validate(c.body(current="5GX_BASIC")).expect(200).data


def test_deadlines_as_the_contract_has_them(session):
    """Defaults: inquiry and list 3 s, order 5 s, POST /request within 9 s, always."""
    w = World(session, env={"KOS_READ_RETRIES": 0})
    try:
        reading, ordering, both = w.customer(), w.customer(), w.customer()
        ordering.api.screen().expect(200)
        w.kos.fault("hang", operation="inquiry", lineNumber=reading.line)
        w.kos.fault("hang", operation="change", phase="before", lineNumber=ordering.line)
        w.kos.fault("delay", operation="inquiry", lineNumber=both.line, delayMs=2800)
        w.kos.fault("hang", operation="change", phase="before", lineNumber=both.line)

        def timed(fn, body=None):
            start = time.monotonic()
            reply = fn(body) if body else fn()
            return reply, time.monotonic() - start

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            menu = pool.submit(timed, reading.api.menu)
            refused = pool.submit(timed, reading.api.another().change, reading.body())
            doubt = pool.submit(timed, ordering.api.change, ordering.body())
            slow = pool.submit(timed, both.api.change, both.body())
            reply, seconds = menu.result()
            reply.expect(503) and None
            assert 2.7 < seconds < 4.2, seconds
            reply, seconds = refused.result()
            reply.expect(503)
            assert 2.7 < seconds < 4.2, seconds
            until(lambda: len(w.kos.calls("change", ordering.line)) == 1)
            for future in (doubt, slow):
                reply, seconds = future.result()
                assert seconds < 9.0, "within 9 s, always"
                assert reply.status in (202, 503), reply
                if future is doubt:
                    assert reply.expect(202).data["inDoubt"] is True and seconds > 5
        aborted = w.kos.stats()["change"]
        assert aborted["applied"] == 0
    finally:
        w.kos.clear()
        w.close()
