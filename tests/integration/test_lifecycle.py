"""Start, SIGTERM in named phases, logs (issue 2 points 8 and 9), restarts, and an outage of everything at once."""

import concurrent.futures
import json
import re
import socket
import struct
import threading
import time

import pytest
import requests

from harness import checks
from harness.client import raw, request_bytes
from harness.wait import until
from harness.world import World

ENV = {"LIMITS_RATE": 0, "SERVER_DRAIN_DELAY": "1s"}


@pytest.fixture
def service(world):
    """A service of its own, to be ended."""
    n = world.session.number()
    s = world.start_service(name="mortal", JOURNAL_PATH=f"{world.folder}/journal-m{n}")
    yield s
    s.close()


def test_sigterm_not_ready_then_waiting_polls_answered_running_changes_finished_exit_0(world, service, kos):
    running, polling, waiting = world.customer(), world.customer(), world.customer()
    slow = kos.fault("delay", operation="change", lineNumber=running.line, delayMs=2500)
    gate = kos.fault("gate", operation="change", lineNumber=polling.line)
    request_id = polling.api.at(service).change_async(polling.body()).expect(202).data["requestId"]
    kos.wait_held(gate)
    out = {}
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        change = pool.submit(lambda: running.api.at(service).change(running.body()))
        poll = pool.submit(lambda: (polling.api.at(service).result(request_id, wait=30), time.monotonic()))
        until(lambda: kos.calls("change", running.line), 3)
        asked = time.monotonic()
        service.process.signal(15)
        with requests.Session() as s:
            until(lambda: s.get(service.url + "/health/ready", timeout=2).status_code == 503, 2, "DOWN from SIGTERM on")
            assert s.get(service.url + "/health/ready").json()["status"] == "DOWN"
            assert s.get(service.url + "/actuator/health/readiness").json() == {"status": "DOWN"}
            assert s.get(service.url + "/health/live").status_code == 200
        waiting.api.at(service).menu().expect(200)  # still served meanwhile
        reply, when = poll.result(15)
        out["poll"] = reply.expect(200).data
        assert out["poll"]["processStatus"] == "PROCESSING" and when - asked < 6, "answered with the current state"
        out["change"] = change.result(15).expect(200).data
        assert out["change"]["processStatus"] == "COMPLETED", "a running change is finished"
        kos.clear(gate)
    code = service.process.wait(15)
    assert code == 0, service.process.log()[-2000:]
    service.check_log()
    phases = [e["phase"] for e in service.events("shutdown.phase")]
    assert phases[0] == "not ready" and len(phases) >= 4 and len(set(phases)) == len(phases), phases
    assert slow


def test_a_poll_that_comes_after_sigterm_is_told_the_present_state(world, service, kos):
    """It would wait for its 30 s with nobody to wake it, and the end would wait for it."""
    polling = world.customer()
    gate = kos.fault("gate", operation="change", lineNumber=polling.line)
    request_id = polling.api.at(service).change_async(polling.body()).expect(202).data["requestId"]
    kos.wait_held(gate)
    api = polling.api.at(service)
    api.get("/health/ready").expect(200)  # the connection is there before nobody is let in any more
    service.process.signal(15)
    until(lambda: service.events("shutdown.asked"), 5, "SIGTERM is seen")
    began = time.monotonic()
    assert api.result(request_id, wait=30).expect(200).data["processStatus"] == "PROCESSING"
    assert time.monotonic() - began < 5
    kos.clear(gate)
    assert service.process.wait(15) == 0, service.process.log()[-2000:]


def test_after_sigterm_new_connections_are_refused(world, service):
    api = world.api(service=service)
    api.get("/health/live").expect(200)
    service.process.signal(15)

    def refused():
        try:
            socket.create_connection(("127.0.0.1", service.port), 1).close()
        except OSError:
            return True
        return False

    until(refused, 8)
    assert service.process.wait(10) == 0


def test_an_order_that_hangs_at_sigterm_is_left_in_doubt_and_settled_after_the_restart(world, service, kos):
    c = world.customer()
    gate = kos.fault("gate", operation="change", phase="after", lineNumber=c.line)
    request_id = c.api.at(service).change_async(c.body()).expect(202).data["requestId"]
    kos.wait_held(gate)
    start = time.monotonic()
    service.stop(seconds=20)
    assert time.monotonic() - start < 15, "deadline: over 5 s + a commit"
    kos.clear(gate)
    service.start()
    final = c.api.at(service).result(request_id, wait=15).data
    assert final["processStatus"] == "COMPLETED", final
    assert len(c.orders(applied=True)) == 1


def test_an_accepted_change_lives_through_a_restart(world, kos):
    """Accepted, not sent (the bulkhead is full), then a restart: sent afterwards, once."""
    n = world.session.number()
    s = world.start_service(name="accepted", JOURNAL_PATH=f"{world.folder}/journal-m{n}", KOS_CHANGE_MAX_IN_FLIGHT=1)
    try:
        first, second = world.customer(), world.customer()
        gate = kos.fault("gate", operation="change", lineNumber=first.line)
        ids = [first.api.at(s).change_async(first.body()).expect(202).data["requestId"]]
        kos.wait_held(gate)
        ids.append(second.api.at(s).change_async(second.body()).expect(202).data["requestId"])
        assert second.api.at(s).result(ids[1]).data["cancellable"] is True
        s.kill9()
        kos.clear()
        s.start()
        for c, id_ in ((first, ids[0]), (second, ids[1])):
            assert c.api.at(s).result(id_, wait=20).data["processStatus"] in ("COMPLETED", "FAILED")
        assert second.api.at(s).result(ids[1]).data["processStatus"] == "COMPLETED"
        assert len(second.orders(applied=True)) == 1
    finally:
        s.close()


def test_kill_9_at_random_moments_of_a_load_loses_nothing_and_applies_nothing_twice(world, kos):
    n = world.session.number()
    s = world.start_service(name="killed", JOURNAL_PATH=f"{world.folder}/journal-m{n}", KOS_SETTLE_HORIZON="2s", CHANGE_SETTLE_FIRST="100ms",
                            CHANGE_SETTLE_MAX="300ms", SERVER_DRAIN_DELAY="0")
    try:
        acknowledged = {}
        for pause in (0.15, 0.05, 0.3):
            stop = threading.Event()

            def load():
                while not stop.is_set():
                    c = world.customer()
                    try:
                        reply = c.api.at(s).change(c.body()) if hash(c.line) % 2 else c.api.at(s).change_async(c.body())
                        if reply.status in (200, 202):
                            acknowledged[reply.data["requestId"]] = c
                    except (requests.RequestException, ConnectionError):
                        pass

            threads = [threading.Thread(target=load) for _ in range(4)]
            for t in threads:
                t.start()
            time.sleep(pause)
            s.kill9()
            stop.set()
            for t in threads:
                t.join(20)
            s.start()
        assert len(acknowledged) > 3
        for id_, c in acknowledged.items():
            final = c.api.at(s).result(id_, wait=20).expect(200).data
            applied = len(c.orders(applied=True))
            assert (final["processStatus"], applied) in (("COMPLETED", 1), ("FAILED", 0)), (final, applied)
        world.forwarded(20, service=s)
        for id_ in acknowledged:
            world.row(id_)
            world.mvno.event(id_)
        world.check_invariants()
    finally:
        s.close()


def test_start_to_ready_is_logged_and_quick(world):
    [ready] = world.service.wait_log("start.ready")
    assert ready["milliseconds"] < 2000


# --- logs ---


def test_one_json_line_per_request_with_its_facts(world, customer):
    """time, level, event, correlation id, change id, trace id, route, status, duration, reason."""
    result = customer.api.change(customer.body(), X_Request_ID="log-1", traceparent="00-11111111111111111111111111111111-2222222222222222-01").data
    customer.api.menu("01099999999", X_Request_ID="log-2")
    [line] = world.service.wait_log("http.request", correlationId="log-1")
    assert line["level"] == "info" and checks.time(line["time"])
    assert line["route"] == "/request" and line["method"] == "POST" and line["status"] == 200 and line["milliseconds"] > 0
    assert line["traceId"] == "1" * 32 and line["requestId"] == result["requestId"]
    [line] = world.service.wait_log("http.request", correlationId="log-2")
    assert line["status"] == 403 and line["reason"]


def test_line_numbers_are_masked_tokens_and_secrets_never_there(world, customer, kos):
    """010****5678; looked for in every log at every end of a service, here once more by hand."""
    customer.front.get(f"/api/v1/products/customer/{customer.line}").expect(200)
    customer.api.change(customer.body(), Idempotency_Key="log-key")
    customer.api.get(f"/history?lineNumber={customer.line}&page=0")
    raw(world.service.port, request_bytes("GET", f"/nothing/{customer.line}?token={customer.token}", customer.token), check=False)
    raw(world.service.port, request_bytes(customer.line, "/menu", customer.token), check=False)  # a method, by its form
    kos.fault("garbage", operation="inquiry", lineNumber=customer.line)
    world.cache.flushdb()
    customer.api.menu()
    masked = f"010****{customer.line[-4:]}"
    until(lambda: masked in world.service.process.log(), 3)
    world.service.check_log()


def test_what_a_client_sends_cannot_forge_a_log_line(world, customer):
    raw(world.service.port, request_bytes("GET", '/menu?x=%0a{"level":"error"}', customer.token), check=False)
    customer.api.menu(User_Agent='x"} {"event":"forged"')
    assert not world.service.events("forged")
    world.service.check_log()


def test_a_client_that_is_gone_before_its_answer_leaves_no_line_number_behind(world, customer):
    """Issue 5, point 9: libmicrohttpd tells with its path what it could not send, and the path can be a line number."""
    data = request_bytes("GET", f"/api/v1/products/customer/{customer.line}", customer.token) * 8
    told = lambda: [e for e in world.service.events("http.library") if "Failed to send" in e["text"]]  # noqa: E731
    deadline = time.monotonic() + 20
    while not told():
        assert time.monotonic() < deadline, "the library has nothing to say of a reset: this test proves nothing"
        with socket.create_connection(("127.0.0.1", world.service.port), 5) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.sendall(data)
    world.service.check_log()


def test_probes_do_not_fill_the_log(world):
    """Of the probes, not of what the tests before left to be written late: the lines name their route."""
    probes = ("/health/live", "/metrics")
    for _ in range(20):
        for path in probes:
            world.api().get(path).expect(200)
    world.api().get("/nothing", X_Request_ID="after-the-probes")  # its line is later than theirs would be
    until(lambda: world.service.events("http.request", correlationId="after-the-probes"), 3)
    assert [line for line in world.service.lines() if line.get("route") in probes] == []


def test_log_level(world):
    s = world.start_service(name="quiet", LOG_LEVEL="error", JOURNAL_PATH=world.folder + "/journal-quiet", SERVER_DRAIN_DELAY="0")
    try:
        world.customer().api.at(s).menu().expect(200)
        assert all(e["level"] == "error" for e in s.lines()), s.lines()
    finally:
        s.stop()


# --- the whole journey ---


def journey(world, c):
    """The menu, the screen, the pre-check, the change, its result: as a customer goes."""
    menu = c.front.menu().expect(200).data
    checks.menu(menu)
    screen = c.api.screen().expect(200).data
    checks.change_screen(screen)
    target = next(p["productCode"] for p in screen["products"] if p["productCode"] != menu["currentProduct"]["productCode"])
    body = c.body(target, current=menu["currentProduct"]["productCode"])
    assert c.front.validate(body).expect(200).data["validationResult"] == "SUCCESS"
    result = c.front.change(body).expect(200).data
    assert result["processStatus"] == "COMPLETED"
    assert c.front.result(result["requestId"]).expect(200).data["processStatus"] == "COMPLETED"
    assert c.front.menu().expect(200).data["currentProduct"]["productCode"] == target
    c.product = target
    return result["requestId"]


def test_ufr_prod_010_020_030_040_the_journey_end_to_end(world, customer):
    id_ = journey(world, customer)
    assert customer.front.history().expect(200).data["history"][0]["requestId"] == id_
    assert world.mvno.event(id_) and world.row(id_)["status"] == "COMPLETED"


def test_redis_postgresql_and_mvno_stopped_one_after_the_other_the_journey_goes_on_nothing_twice(session):
    """Issue 2, shown by: stop Redis, then PostgreSQL, then MVNO AP; start them; the backlog reaches them."""
    w = World(session, own_redis=True, own_postgres=True, env={"LIMITS_RATE": 0})
    try:
        c = w.customer()
        ids = [journey(w, c)]
        w.redis.stop()
        ids.append(journey(w, c))
        w.postgres.stop()
        ids.append(journey(w, c))
        w.mvno.stop()
        ids.append(journey(w, c))
        assert w.api().get("/health/ready").expect(200).json["status"] == "DEGRADED"
        w.service.restart()
        c.api = w.api(c.token)
        c.front = c.api.on("frontend")
        ids.append(journey(w, c))
        w.mvno.start()
        w.postgres.start()
        w.redis.start()
        until(lambda: len(w.mvno.events(line=c.line)) == len(ids), 15, "every event")
        assert [e["body"]["requestId"] for e in w.mvno.events(line=c.line)] == ids, "in order"
        for id_ in ids:
            w.row(id_, 15)
        w.forwarded(20)
        assert len(w.db.history(line=c.line)) == len(ids)
        assert len(c.orders(applied=True)) == len(ids)
        until(lambda: c.api.history().status == 200, 10)
        assert [h["requestId"] for h in c.api.history().data["history"]] == ids[::-1]
        ids.append(journey(w, c))
        until(lambda: w.api().get("/health/ready").json["status"] == "UP", 10)
        until(lambda: len(w.mvno.events(line=c.line)) == len(ids), 10)
        assert all(e["deliveries"] == 1 for e in w.mvno.events(line=c.line)), "nothing twice"
    finally:
        w.close()


def test_the_caller_who_hangs_up_before_the_intent_orders_nothing(world, customer, kos):
    """Caller seen to be gone before the intent is handed to the journal: nothing is ordered."""
    gate = kos.fault("gate", operation="inquiry", lineNumber=customer.line)
    body = json.dumps(customer.body()).encode()
    s = socket.create_connection(("127.0.0.1", world.service.port), 5)
    s.sendall(request_bytes("POST", "/request", customer.token, body, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]))
    kos.wait_held(gate)
    s.close()
    time.sleep(0.3)
    kos.clear(gate)
    time.sleep(0.5)
    assert not customer.orders()
    until(lambda: customer.api.change(customer.body()).status == 200, 5, "the line is free again")


def test_the_caller_who_hangs_up_after_it_changes_nothing(world, customer, kos):
    gate = kos.fault("gate", operation="change", lineNumber=customer.line)
    body = json.dumps(customer.body()).encode()
    s = socket.create_connection(("127.0.0.1", world.service.port), 5)
    s.sendall(request_bytes("POST", "/request", customer.token, body, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]))
    kos.wait_held(gate)
    s.close()
    kos.clear(gate)
    [order] = until(lambda: customer.orders(applied=True), 5)
    assert customer.api.result(order["requestId"], wait=5).data["processStatus"] == "COMPLETED"
    assert world.row(order["requestId"]) and world.mvno.event(order["requestId"])
    assert re.match("[0-9a-f-]{36}$", order["requestId"])


def test_what_looks_for_personal_data_finds_it():
    """The scan of every log, metric and KOS call note at every service's end (harness/service.py, harness/world.py)."""
    from harness.service import personal

    for text in ('{"line":"01012345678"}', "x 010-1234-5678 y", 'pcs_x{line="01012345678"} 1', "CUST-0001", "a 홍길동 b"):
        assert personal(text), text
    for text in ("010****5678", "01a206c3-d275-7112-a99b-545017ae196b", "pcs_http_requests_total 101012345678", '{"milliseconds":0.101}'):
        assert not personal(text), text
