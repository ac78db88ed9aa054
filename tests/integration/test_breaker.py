"""Breakers and bulkheads as the customer meets them (BREAKER.md; CONTRACT.md 1: order of checks, 503)."""

import threading
import time

from harness.wait import stays, until
from harness.world import World

ENV = {
    "KOS_BREAKER_WINDOW": 6, "KOS_BREAKER_MINIMUM": 6, "KOS_BREAKER_WAIT": "1500ms", "KOS_BREAKER_HALF_OPEN_PERMITS": 2,
    "KOS_READ_RETRIES": 0, "LIMITS_RATE": 0, "KOS_INQUIRY_DEADLINE": "1s", "KOS_CHANGE_DEADLINE": "1s", "SERVER_THREADS": 2,
}
OUT = "시스템 일시 장애, 잠시 후 재시도"


def trip_inquiries(world):
    fault = world.kos.fault("http_status", operation="inquiry", status=500)
    for _ in range(20):
        world.customer().api.menu()
        if breaker(world, "kos.inquiry") == "open":
            return fault
    raise AssertionError("the breaker never opened")


def breaker(world, name):
    """Its state, as the metrics tell it."""
    for state in ("CLOSED", "OPEN", "HALF_OPEN"):
        if world.service.metric("pcs_breaker_state", breaker=name, state=state) == 1:
            return state.lower()
    return None


def test_open_breaker_answers_503_with_what_is_left_and_leaves_kos_alone(world, kos, mvno):
    cached, ordering = world.customer(), world.customer()
    cached.api.menu().expect(200)
    cached.api.screen().expect(200)
    ordering.api.menu().expect(200)
    fault = trip_inquiries(world)
    opened = time.monotonic()
    seen = kos.stats()["inquiry"]["received"]
    # Cached reads go on; what is not cached says so with the screen's message; a request hears it at once.
    assert "stale" not in cached.api.menu().expect(200).data
    reply = world.customer().api.menu().expect(503, "KOS_UNAVAILABLE")
    assert reply.error["message"] == "상품 변경 요청 메뉴 로딩에 실패하였습니다"
    for api in (ordering.api, ordering.front):
        reply = api.change(ordering.body()).expect(503, "KOS_UNAVAILABLE")
        assert reply.error["message"] == OUT
        assert 1 <= reply.error["retryAfterSeconds"] <= 2, "what the breaker says is left"
    # SAME_PRODUCT and bad input come before the breaker.
    ordering.api.change(ordering.body("LTE_BASIC")).expect(409, "SAME_PRODUCT")
    ordering.api.change({}).expect(400)
    assert kos.stats()["inquiry"]["received"] == seen and not ordering.orders(), "KOS untouched"
    # One event per line and outage, though asked twice and more.
    for _ in range(5):
        ordering.api.change(ordering.body("5GX_BASIC"))
    until(lambda: mvno.events(line=ordering.line), 5)
    world.forwarded()
    assert len(mvno.events(line=ordering.line)) == 1
    # Back again: the first customer is served within the breaker's wait + 1 s.
    kos.clear(fault)
    until(lambda: world.customer().api.menu().status == 200, 5, "recovered")
    assert time.monotonic() - opened < 1.5 * 1.2 + 1.5
    until(lambda: breaker(world, "kos.inquiry") == "closed" or world.customer().api.menu().status != 200, 5, "closed")
    ordering.api.change(ordering.body()).expect(200)


def test_half_open_probes_that_fail_open_it_again(world, kos):
    fault = trip_inquiries(world)
    before = kos.stats()["inquiry"]["received"]
    until(lambda: (world.customer().api.menu().status, kos.stats()["inquiry"]["received"] >= before + 2)[1], 6, "two probes")
    until(lambda: breaker(world, "kos.inquiry") == "open", 3, "open again")
    probed = kos.stats()["inquiry"]["received"]
    assert probed - before <= 4, "bounded probes"
    stays(lambda: kos.stats()["inquiry"]["received"] == probed, 0.5)
    kos.clear(fault)
    until(lambda: world.customer().api.menu().status == 200, 8)
    until(lambda: (world.customer().api.menu(), breaker(world, "kos.inquiry") == "closed")[1], 5)


def test_business_answers_do_not_open_a_breaker(world, kos):
    for code in ("3001", "3002", "3003") * 4:
        world.customer(inquiryResult=code).api.menu()
    for _ in range(8):
        c = world.customer()
        kos.fault("result_code", operation="change", lineNumber=c.line, resultCode="2004")
        c.api.change(c.body()).expect(409, "CHANGE_DENIED")
    for _ in range(8):  # KOS's own validation is our bug, not its failure: not counted at all
        c = world.customer()
        kos.fault("result_code", operation="change", lineNumber=c.line, resultCode="9001", status=400)
        c.api.change(c.body()).expect(409, "CHANGE_DENIED")
    assert breaker(world, "kos.inquiry") == "closed" and breaker(world, "kos.change") == "closed"


def test_order_breaker_open_is_503_before_the_load(world, kos):
    """inquiry or order breaker OPEN: 503, only looked at, KOS untouched."""
    fault = kos.fault("http_status", operation="change", status=500)
    lines = []
    for _ in range(12):
        c = world.customer()
        lines.append(c)
        if c.api.change_async(c.body()).status == 503:
            break
        time.sleep(0.02)
    until(lambda: breaker(world, "kos.change") == "open", 3)
    c = world.customer()
    calls = len(kos.calls("inquiry", c.line))
    c.api.change(c.body()).expect(503, "KOS_UNAVAILABLE")
    assert len(kos.calls("inquiry", c.line)) == calls == 0
    assert c.api.menu().expect(200), "reads are not concerned"
    kos.clear(fault)
    until(lambda: c.api.change(c.body()).status == 200, 8, "ordered again")
    world.invariants = True


def test_bulkhead_full_is_503_and_reads_do_not_starve_orders(session):
    """Calls in flight and a bounded queue per operation; over it 503 + Retry-After at once."""
    w = World(session, env={"KOS_INQUIRY_MAX_IN_FLIGHT": 2, "KOS_INQUIRY_MAX_QUEUE": 1, "KOS_CHANGE_MAX_IN_FLIGHT": 1, "KOS_CHANGE_MAX_QUEUE": 0,
                            "PRECHECK_MAX_AGE": "1h", "SERVER_THREADS": 1})
    try:
        ordering, second, cached = w.customer(), w.customer(), w.customer()
        for c in (ordering, second, cached):
            c.api.menu().expect(200)
        cached.api.screen().expect(200)
        gate = w.kos.fault("gate", operation="inquiry")
        readers = [w.customer() for _ in range(3)]
        answers = []
        threads = [threading.Thread(target=lambda r=r: answers.append(r.api.menu())) for r in readers]
        for t in threads:
            t.start()
        w.kos.wait_held(gate, 2)
        until(lambda: w.service.metric("pcs_bulkhead_queued") >= 1, 3, "one waits")
        start = time.monotonic()
        w.customer().api.menu().expect(503)
        assert time.monotonic() - start < 1, "at once"
        assert w.kos.stats()["inquiry"]["maxConcurrent"] <= 2
        cached.api.menu().expect(200)
        assert ordering.api.change(ordering.body()).expect(200), "orders have their own"
        w.kos.clear(gate)
        for t in threads:
            t.join(10)
        assert [a.status for a in answers] == [200, 200, 200]
        gate = w.kos.fault("gate", operation="change")
        held = second.api.change_async(second.body()).expect(202).data["requestId"]
        w.kos.wait_held(gate)
        reply = cached.api.change(cached.body())
        assert reply.status == 503 and not cached.orders(), reply
        w.kos.clear(gate)
        assert second.api.result(held, wait=10).data["processStatus"] == "COMPLETED"
    finally:
        w.kos.clear()
        w.close()


def test_reads_that_fill_the_inquirys_queue_do_not_starve_orders(session):
    """An order asks KOS for the customer afresh: in a queue of its own, before the reads that wait."""
    w = World(session, env={"KOS_INQUIRY_MAX_IN_FLIGHT": 1, "KOS_INQUIRY_MAX_QUEUE": 3, "LIMITS_RATE": 0, "SERVER_THREADS": 2})
    stop = threading.Event()
    try:
        w.customer().api.screen().expect(200)
        ordering = [w.customer() for _ in range(3)]
        w.kos.fault("delay", operation="inquiry", delayMs=150)
        statuses = []

        def keep_reading():
            while not stop.is_set():
                statuses.append(w.customer().api.menu().status)

        threads = [threading.Thread(target=keep_reading) for _ in range(8)]
        for t in threads:
            t.start()
        until(lambda: statuses.count(503) > 5 and w.service.metric("pcs_bulkhead_queued", bulkhead="kos.inquiry") >= 2, 10, "the queue is full")
        for c in ordering:
            start = time.monotonic()
            c.api.change(c.body()).expect(200)
            assert time.monotonic() - start < 2.5
        assert 200 in statuses, "nor do orders starve reads"
    finally:
        stop.set()
        for t in threads:
            t.join(10)
        w.kos.clear()
        w.close()


def test_single_flight_any_number_of_misses_make_one_call(session):
    w = World(session, env={"SERVER_THREADS": 1})
    try:
        c = w.customer()
        gate = w.kos.fault("gate", operation="inquiry", lineNumber=c.line)
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(c.api.another().menu())) for _ in range(20)]
        for t in threads:
            t.start()
        w.kos.wait_held(gate)
        stays(lambda: w.kos.waiting(gate) == 1, 0.3, "one call")
        w.kos.clear(gate)
        for t in threads:
            t.join(10)
        assert [a.status for a in answers] == [200] * 20
        assert len(w.kos.calls("inquiry", c.line)) == 1
    finally:
        w.close()


def claims(w):
    """How often the journal was asked whether a line is free."""
    return w.service.metric("pcs_journal_operations_total", verb="claim") or 0


def test_open_breaker_asks_the_journal_and_redis_only_where_they_could_change_the_answer(session):
    """The order of the checks (CONTRACT.md 1) with nobody to wait for: Idempotency-Key, CHANGE_IN_PROGRESS, SAME_PRODUCT,
    breaker. An instance that is alone on its Redis knows its own lines."""
    w = World(session, env={**ENV, "KOS_BREAKER_WAIT": "60s", "KOS_CHANGE_DEADLINE": "5s"})
    try:
        running, kept = w.customer(), w.customer()
        gate = w.kos.fault("gate", operation="change")
        held = running.api.change_async(running.body()).expect(202).data["requestId"]
        w.kos.wait_held(gate)
        trip_inquiries(w)
        seen = w.kos.stats()["inquiry"]["received"]

        def at_once():
            c, before = w.customer(), claims(w)
            error = c.api.change(c.body()).expect(503, "KOS_UNAVAILABLE").error
            assert error["message"] == OUT and error["retryAfterSeconds"] >= 1 and "requestId" not in error
            return claims(w) == before

        until(at_once, 5, "it knows that it is alone")
        before = claims(w)
        c = w.customer()
        c.api.change(c.body("LTE_BASIC")).expect(409, "SAME_PRODUCT")
        assert claims(w) == before
        # A line with a change of its own: asked, and told which.
        for api in (running.api, running.front):
            reply = api.change(running.body("5GX_BASIC")).expect(409, "CHANGE_IN_PROGRESS")
            assert reply.error["requestId"] == held
        assert running.api.change(running.body("LTE_BASIC")).expect(409).code == "CHANGE_IN_PROGRESS", "before SAME_PRODUCT"
        w.kos.clear(gate)
        assert running.api.result(held, wait=10).data["processStatus"] == "COMPLETED"
        running.api.change(running.body("5GX_BASIC", "LTE_PLUS")).expect(503, "KOS_UNAVAILABLE")
        # A key: asked; a 503 leaves it free.
        before = claims(w)
        for _ in range(2):
            kept.api.change(kept.body(), **{"Idempotency-Key": "k-1"}).expect(503, "KOS_UNAVAILABLE")
        kept.api.change(kept.body("5GX_BASIC"), **{"Idempotency-Key": "k-1"}).expect(503, "KOS_UNAVAILABLE")
        assert claims(w) == before + 3
        # Another instance, gone for half an hour: its line keys may still be there.
        holder = "01900000-0000-7000-8000-00000000abcd"
        w.cache.zadd("pcs:instances", {"another": int(time.time() * 1000) - 1800000})
        until(lambda: not at_once(), 5, "it is seen")
        c = w.customer()
        w.cache.set(f"pcs:line:{c.line}", holder, px=30000)
        c.api.change(c.body()).expect(409, "CHANGE_IN_PROGRESS")
        # Forgotten when none of its keys can be left.
        w.cache.zadd("pcs:instances", {"another": int(time.time() * 1000) - 3700000})
        until(at_once, 6, "alone again")
        assert w.kos.stats()["inquiry"]["received"] == seen, "KOS untouched"
    finally:
        w.kos.clear()
        w.close()
