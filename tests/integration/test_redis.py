"""The cache (CONTRACT.md 4, DESIGN.md): TTLs, leases, garbage, down at start and at any time, two instances."""

import json
import socket
import threading
import time

import pytest

from harness.admin import Admin, socket_of
from harness.client import request_bytes
from harness.wait import stays, until
from harness.world import World

WORLD = {"own_redis": True}
ENV = {"LIMITS_RATE": 0, "REDIS_DEADLINE": "200ms", "SERVER_THREADS": 1}


@pytest.fixture
def cache(world):
    return world.cache


def keys(cache):
    return {k.decode(): cache.pttl(k) for k in cache.keys("*")}


def keys_of(cache, line):
    """A customer's keys: a line number is in the key or it is not; what appears with a read is the customer's."""
    return [k for k in keys(cache) if line in k]


def entries(cache, known=()):
    """The keys beside the known ones, as soon as no lease is among them: an answer does not wait for its entry's SET."""

    def now():
        new = set(cache.keys("*")) - set(known)
        values = [cache.get(k) for k in new if cache.type(k) == b"string"]
        return new if new and not any(v is None or v.startswith(b"lease:") for v in values) else None

    return until(now, 5, "the entry is in Redis")


def test_ttl_of_customer_and_catalogue_with_jitter_that_only_shortens(world, cache):
    """Customer 4 h, catalogue 24 h; at the most 10 % shorter."""
    cache.flushdb()
    first = world.customer()
    first.api.screen().expect(200)
    others = [world.customer() for _ in range(12)]
    for c in others:
        c.api.menu().expect(200)
    entries(cache)
    ttls = sorted(t / 1000 for t in keys(cache).values())
    hours = [t / 3600 for t in ttls]
    assert all(h > 0 for h in hours), "every key ends by itself"
    customers = [h for h in hours if h <= 4]
    catalogue = [h for h in hours if h > 4]
    assert len(customers) >= 13 and all(3.599 <= h <= 4 for h in customers), customers
    assert catalogue and all(21.59 <= h <= 24 for h in catalogue), catalogue
    assert len({round(h, 3) for h in customers}) > 3, "they do not all end at once"


def test_a_miss_takes_a_lease_for_8_seconds(world, customer, cache, kos):
    cache.flushdb()
    gate = kos.fault("gate", operation="inquiry", lineNumber=customer.line)
    reader = threading.Thread(target=lambda: customer.api.another().menu())
    reader.start()
    kos.wait_held(gate)
    leases = {k: t for k, t in keys(cache).items() if cache.type(k) == b"string" and cache.get(k).startswith(b"lease:")}
    assert len(leases) == 1 and 0 < list(leases.values())[0] <= 8000, keys(cache)
    kos.clear(gate)
    reader.join(10)
    [key] = leases
    until(lambda: not cache.get(key).startswith(b"lease:"), 2, "filled")


def test_a_read_that_began_before_a_change_cannot_put_the_old_product_back(world, customer, kos, cache):
    """The fill stores only if the value is still its lease; the change has deleted the key."""
    cache.flushdb()
    gate = kos.fault("gate", operation="inquiry", phase="after", lineNumber=customer.line, count=1)
    old = []
    reader = threading.Thread(target=lambda: old.append(customer.api.another().menu()))
    reader.start()
    kos.wait_held(gate)
    customer.change("LTE_PLUS")
    assert customer.api.menu().expect(200).data["currentProduct"]["productCode"] == "LTE_PLUS", "later readers start their own"
    kos.clear(gate)
    reader.join(10)
    assert old[0].status == 200
    for _ in range(3):
        assert customer.api.menu().expect(200).data["currentProduct"]["productCode"] == "LTE_PLUS"


def test_no_read_after_the_answer_sees_the_old_product_with_readers_all_the_time(world, customer):
    stop, wrong = threading.Event(), []
    answered = {"product": None, "at": 0.0}

    def read():
        api = customer.api.another()
        while not stop.is_set():
            expected = answered["product"]
            seen = api.menu()
            if expected and seen.status == 200 and answered["product"] == expected and seen.data["currentProduct"]["productCode"] != expected:
                wrong.append((expected, seen.data["currentProduct"]["productCode"]))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for t in readers:
        t.start()
    for target in ("LTE_PLUS", "5GX_BASIC", "LTE_SLIM", "LTE_BASIC", "5GX_STANDARD", "LTE_PLUS", "LTE_BASIC"):
        answered["product"] = None
        customer.change(target)
        answered["product"] = target
        time.sleep(0.05)
    stop.set()
    for t in readers:
        t.join(10)
    assert not wrong, wrong


GARBAGE = [b"", b"garbage", b"\x00\xff" * 100, b"lease:", b'{"lineNumber":"x"}', b"x" * 100000]


@pytest.mark.parametrize("garbage", GARBAGE, ids=lambda g: repr(g[:12]))
def test_garbage_in_the_cache_is_a_miss(world, customer, cache, garbage):
    customer.api.screen().expect(200)
    for key in entries(cache):
        cache.set(key, garbage, px=60000)
    customer.api.menu().expect(200)
    customer.api.screen().expect(200)
    customer.front.available().expect(200)
    customer.change()
    cache.flushdb()


def test_cut_and_flipped_entries_are_misses(world, customer, cache):
    """An entry is never trusted without its checksum."""
    customer.api.screen().expect(200)
    for key in entries(cache):
        if cache.type(key) != b"string":
            continue
        value = bytearray(cache.get(key))
        for broken in (bytes(value[: len(value) // 2]), bytes(value[:-1]), bytes(value[:-5]) + b"XXXXX", bytes(value[:40]) + b"9" + bytes(value[41:])):
            cache.set(key, broken, px=60000)
            assert customer.api.menu().expect(200).data["currentProduct"]["productName"] == "LTE 베이직"
            customer.api.screen().expect(200)
    cache.flushdb()


@pytest.mark.parametrize("kind", ["list", "hash", "set"])
def test_keys_of_another_type_are_misses(world, customer, cache, kind):
    customer.api.screen().expect(200)
    for key in entries(cache):
        cache.delete(key)
        {"list": lambda: cache.rpush(key, "x"), "hash": lambda: cache.hset(key, "a", "b"), "set": lambda: cache.sadd(key, "x")}[kind]()
    customer.api.menu().expect(200)
    customer.api.screen().expect(200)
    customer.change()
    cache.flushdb()


def test_somebody_elses_entry_under_our_key_is_not_served(world, cache):
    """Keys swapped behind our back: a customer never sees another's data."""
    a, b = world.customer("LTE_BASIC"), world.customer("5GX_BASIC")
    cache.flushdb()
    a.api.menu().expect(200)
    keys_a = entries(cache)
    b.api.menu().expect(200)
    keys_b = entries(cache, known=keys_a)
    for ka in keys_a:
        for kb in keys_b:
            va, vb = cache.get(ka), cache.get(kb)
            cache.set(ka, vb, px=60000)
            cache.set(kb, va, px=60000)
            assert a.api.menu().expect(200).data["lineNumber"] == a.line
            assert b.api.menu().expect(200).data["lineNumber"] == b.line
    cache.flushdb()


def test_the_line_is_claimed_while_a_change_runs_and_free_afterwards(world, customer, kos, cache):
    cache.flushdb()
    gate = kos.fault("gate", operation="change", lineNumber=customer.line)
    request_id = customer.api.change_async(customer.body()).expect(202).data["requestId"]
    kos.wait_held(gate)
    holders = [k for k in cache.keys("*") if cache.type(k) == b"string" and cache.get(k) == request_id.encode()]
    assert len(holders) == 1 and 12_000 < cache.pttl(holders[0]) <= 20 * 60 * 1000
    kos.clear(gate)
    customer.api.result(request_id, wait=10)
    until(lambda: not cache.exists(holders[0]), 3, "deleted by its holder")


def test_a_claim_that_redis_made_late_is_given_back(world, customer, cache):
    """Nobody heard of it, and its request is over: it must not keep the line from the next one for twelve seconds."""
    customer.api.menu().expect(200)
    world.redis.pause()
    try:
        customer.api.change(customer.body(target="LTE_BASIC")).expect(409, "SAME_PRODUCT")
    finally:
        world.redis.resume()
    until(lambda: world.service.metric("pcs_redis_link_up") >= 1, 8)
    until(lambda: not cache.exists(f"pcs:line:{customer.line}"), 3, "the key that was made late")
    customer.change()


def test_a_claim_whose_caller_hung_up_is_given_back(session):
    w = World(session, env={**ENV, "REDIS_DEADLINE": "5s"}, own_redis=True)
    try:
        c = w.customer()
        c.api.menu().expect(200)
        claims = lambda: Admin(socket_of(w.service)).get("/admin/status").data["journal"]["claims"]  # noqa: E731
        body = json.dumps(c.body()).encode()
        head = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        w.redis.pause()
        s = socket.create_connection(("127.0.0.1", w.service.port), 5)
        s.sendall(request_bytes("POST", "/request", c.token, body, head))
        until(lambda: claims() == 1, 3, "claimed here, and asked of Redis")
        s.close()
        until(lambda: claims() == 0, 3, "the caller is seen to be gone")
        w.redis.resume()
        until(lambda: w.service.metric("pcs_redis_link_up") >= 1, 8)
        until(lambda: not w.cache.exists(f"pcs:line:{c.line}"), 3, "the key that nobody waited for")
        c.change()
    finally:
        w.redis.resume()
        w.close()


def test_completed_is_told_when_redis_has_dropped_the_customer_and_not_before(session):
    """CONTRACT.md 4: no read that begins after the answer, on any instance, sees the old product while Redis can be reached,
    however slow it is within its deadline."""
    w = World(session, env={**ENV, "REDIS_DEADLINE": "5s"}, own_redis=True)
    told = []
    try:
        c = w.customer()
        c.api.menu().expect(200)
        gate = w.kos.fault("gate", operation="change", lineNumber=c.line)
        t = threading.Thread(target=lambda: told.append(c.api.change(c.body())))
        t.start()
        w.kos.wait_held(gate)
        w.redis.pause()
        w.kos.clear(gate)
        until(lambda: c.at_kos() == "LTE_PLUS", 3)
        stays(lambda: not told, 0.5)
        w.redis.resume()
        t.join(10)
        assert told and told[0].status == 200, told
    finally:
        w.redis.resume()
        w.kos.clear()
        w.close()


def test_a_slow_redis_costs_its_deadline_and_no_more(world, customer):
    """Redis has its own deadline: it never fails a request."""
    customer.api.menu().expect(200)
    world.redis.pause()
    try:
        start = time.monotonic()
        customer.api.menu().expect(200)
        assert time.monotonic() - start < 2
        other = world.customer()
        start = time.monotonic()
        assert other.api.change(other.body()).expect(200).data["processStatus"] == "COMPLETED"
        assert time.monotonic() - start < 5
    finally:
        world.redis.resume()
    until(lambda: world.service.metric("pcs_redis_link_up") >= 1, 8)
    assert other.api.menu().expect(200).data["currentProduct"]["productCode"] == "LTE_PLUS"


def test_redis_down_in_the_middle_the_journey_goes_on_and_the_line_is_right_when_it_is_back(world, customer, kos):
    """While Redis is away this instance bypasses the cache for the changed line, until the key is gone."""
    customer.api.menu().expect(200)
    values = {k: (world.cache.get(k), world.cache.pttl(k)) for k in world.cache.keys("*") if world.cache.type(k) == b"string"}
    world.redis.stop()
    start = time.monotonic()
    customer.api.menu().expect(200)
    customer.api.screen().expect(200)
    result = customer.change("LTE_PLUS")
    assert time.monotonic() - start < 6
    assert customer.api.menu().data["currentProduct"]["productCode"] == "LTE_PLUS"
    customer.api.history().expect(200)
    customer.api.result(result["requestId"]).expect(200)
    ready = world.api().get("/health/ready").expect(200).json
    assert ready["status"] == "DEGRADED" and "DOWN" in ready["neighbours"].values()
    password, world.redis.password = world.redis.password, "nobody-else-knows-it"  # the service is not let in yet
    world.redis.start()
    door = world.redis.client(world.cache.connection_pool.connection_kwargs["db"])
    for key, (value, ttl) in values.items():  # it comes back with what it had: the old product
        door.set(key, value, px=max(ttl, 1000))
    door.config_set("requirepass", password)
    world.redis.password = password
    until(lambda: world.service.metric("pcs_journal_pending", sink="invalidations") == 0, 10, "invalidated")
    for _ in range(5):
        assert customer.api.menu().expect(200).data["currentProduct"]["productCode"] == "LTE_PLUS"
    until(lambda: world.api().get("/health/ready").json["status"] == "UP", 10)


def test_without_redis_a_metric_says_that_a_line_could_not_be_guarded_and_the_fresh_inquiry_narrows_it(world, customer, kos):
    """Issue 3, point 4: another instance that read the line before does not order on what it read."""
    unguarded = world.service.metric("pcs_change_unguarded_total")
    customer.change("LTE_SLIM")
    assert world.service.metric("pcs_change_unguarded_total") == unguarded, "with Redis every line was guarded"
    other = world.start_service("other")
    world.redis.stop()
    try:
        customer.change("LTE_PLUS")
        assert world.service.metric("pcs_change_unguarded_total") == unguarded + 1
        stale = customer.api.at(other).change(customer.body("LTE_BASIC", current="LTE_SLIM"))
        stale.expect(409, "CURRENT_PRODUCT_MISMATCH")
        assert other.metric("pcs_change_unguarded_total") == 1
        assert len(customer.orders(applied=True)) == 2 and customer.at_kos() == "LTE_PLUS"
    finally:
        world.redis.start()
        until(lambda: world.api().get("/health/ready").json["status"] == "UP", 10)
        other.stop()


def test_redis_down_at_start(session):
    w = World(session, own_redis=True, start=False)
    try:
        w.redis.stop()
        w.service = w.start_service()
        c = w.customer()
        c.api.menu().expect(200)
        c.api.screen().expect(200)
        result = c.change()
        assert c.api.menu().data["currentProduct"]["productCode"] == "LTE_PLUS"
        assert w.mvno.event(result["requestId"]) and w.row(result["requestId"])
        assert w.api().get("/health/ready").expect(200).json["status"] == "DEGRADED"
        w.redis.start()
        until(lambda: w.api().get("/health/ready").json["status"] == "UP", 10)
        other = w.customer()

        def cached():
            other.api.menu().expect(200)
            seen = len(w.kos.calls("inquiry", other.line))
            other.api.menu().expect(200)
            return len(w.kos.calls("inquiry", other.line)) == seen

        until(cached, 8, "cached again")
    finally:
        w.close()


def test_wrong_password_is_a_miss_and_is_logged(world, customer):
    service = world.start_service(name="wrong-password", REDIS_PASSWORD="not-the-password-of-it", JOURNAL_PATH=world.folder + "/journal-pw")
    try:
        customer.api.at(service).menu().expect(200)
        until(lambda: [e for e in service.lines() if e["level"] in ("warn", "error") and "redis" in e["event"]], 5)
        assert "not-the-password-of-it" not in service.process.log()
    finally:
        service.stop()


# --- two instances on one Redis ---


@pytest.fixture(scope="module")
def second(world):
    service = world.start_service(name="second", JOURNAL_PATH=world.folder + "/journal-2")
    yield service
    service.stop()


def test_a_change_on_one_instance_is_seen_by_every_read_on_the_other(world, second, customer):
    there = customer.api.at(second)
    assert there.menu().expect(200).data["currentProduct"]["productCode"] == "LTE_BASIC"
    for target in ("LTE_PLUS", "5GX_BASIC", "LTE_SLIM"):
        customer.change(target)
        assert there.menu().expect(200).data["currentProduct"]["productCode"] == target
        assert there.screen().expect(200).data["currentProduct"]["productCode"] == target


def test_a_value_cached_by_one_instance_serves_the_other(world, second, customer, kos):
    customer.api.menu().expect(200)
    customer.api.at(second).menu().expect(200)
    assert len(kos.calls("inquiry", customer.line)) == 1


def test_a_read_under_way_on_one_instance_while_the_other_changes(world, second, customer, kos):
    there = customer.api.at(second)
    world.cache.flushdb()
    gate = kos.fault("gate", operation="inquiry", phase="after", lineNumber=customer.line, count=1)
    reader = threading.Thread(target=lambda: there.another().menu())
    reader.start()
    kos.wait_held(gate)
    customer.change("LTE_PLUS")
    kos.clear(gate)
    reader.join(10)
    for _ in range(3):
        assert there.menu().expect(200).data["currentProduct"]["productCode"] == "LTE_PLUS"
        assert customer.api.menu().data["currentProduct"]["productCode"] == "LTE_PLUS"


def test_one_open_change_per_line_between_instances(world, second, customer, kos):
    gate = kos.fault("gate", operation="change", lineNumber=customer.line)
    request_id = customer.api.change_async(customer.body()).expect(202).data["requestId"]
    kos.wait_held(gate)
    busy = customer.api.at(second).change(customer.body("LTE_SLIM")).expect(409, "CHANGE_IN_PROGRESS")
    assert busy.error.get("requestId") in (request_id, None)
    kos.clear(gate)
    assert customer.api.result(request_id, wait=10).data["processStatus"] == "COMPLETED"
    until(lambda: customer.api.at(second).change(customer.body("LTE_SLIM", current="LTE_PLUS")).status == 200, 5)
    assert len(customer.orders()) == 2


def test_result_and_key_are_shared_between_instances(world, second, customer, kos):
    """req:{id} and idem:{hash} in Redis, best effort."""
    there = customer.api.at(second)
    gate = kos.fault("gate", operation="change", lineNumber=customer.line)
    request_id = customer.api.change_async(customer.body(), Idempotency_Key="shared").expect(202).data["requestId"]
    kos.wait_held(gate)
    assert there.result(request_id).expect(200).data["processStatus"] == "PROCESSING"
    early = there.change_async(customer.body(), Idempotency_Key="shared").expect(202)
    assert early.data["requestId"] == request_id and early.headers["Idempotent-Replayed"] == "true", "it was answered, though it runs"
    kos.clear(gate)
    assert there.result(request_id, wait=10).expect(200).data["processStatus"] == "COMPLETED"
    again = there.change_async(customer.body(), Idempotency_Key="shared")
    assert again.expect(202).data["requestId"] == request_id and again.headers["Idempotent-Replayed"] == "true"
    there.change_async(customer.body("LTE_SLIM"), Idempotency_Key="shared").expect(422, "IDEMPOTENCY_KEY_REUSED")
    other = world.customer()
    other.api.at(second).result(request_id).expect(404, "REQUEST_NOT_FOUND")
    assert len(customer.orders()) == 1


def test_what_redis_says_of_a_key_or_a_line_tells_nobody_of_anothers_change(world, second, customer, cache):
    """Issue 5: Redis is input too. A key, or a line, that leads to another's change; then that change with our body's hash."""
    there, stranger = customer.api.at(second), world.customer()
    mine = customer.api.change(customer.body(), Idempotency_Key="poisoned").expect(200).data["requestId"]
    theirs = stranger.change(Idempotency_Key="poisoned")["requestId"]
    ids = {k: cache.get(k).decode() for k in until(lambda: len(cache.keys("pcs:idem:*")) >= 2 and cache.keys("pcs:idem:*"), 5, "both keys are shared")}
    key = next(k for k, id_ in ids.items() if id_ == mine)
    record = json.loads(until(lambda: cache.get(f"pcs:req:{theirs}"), 5, "the change is shared"))
    my_record = json.loads(until(lambda: cache.get(f"pcs:req:{mine}"), 5, "the change is shared"))

    def refused(reply, status, code):
        reply.expect(status, code)
        assert stranger.line not in reply.text and theirs not in reply.text and theirs not in str(reply.headers), reply

    again = there.change(customer.body(), Idempotency_Key="poisoned").expect(200)
    assert again.data["requestId"] == mine and again.headers["Idempotent-Replayed"] == "true"
    cache.set(key, theirs)
    for forged in ({}, {"body_hash": my_record["body_hash"]}, {"body_hash": my_record["body_hash"], "idem_key": my_record["idem_key"]},
                   {"body_hash": my_record["body_hash"], "line": customer.line}):
        cache.set(f"pcs:req:{theirs}", json.dumps({**record, **forged}))
        refused(there.change(customer.body(), Idempotency_Key="poisoned"), 422, "IDEMPOTENCY_KEY_REUSED")
    cache.set(f"pcs:req:{theirs}", json.dumps(my_record))  # another id's record
    refused(there.change(customer.body(), Idempotency_Key="poisoned"), 409, "CHANGE_IN_PROGRESS")
    nowhere_else = theirs[:-12] + "0123456789ab"
    cache.set(f"pcs:req:{nowhere_else}", json.dumps({**record, "request_id": nowhere_else, "state": "SENDING"}))
    cache.set(f"pcs:line:{customer.line}", nowhere_else, px=60000)
    busy = there.change(customer.body("LTE_SLIM", current="LTE_PLUS")).expect(409, "CHANGE_IN_PROGRESS")
    assert "requestId" not in busy.error and stranger.line not in busy.text, busy
    assert len(customer.orders()) == 1
    cache.flushdb()


def test_the_same_double_click_on_two_instances(world, second, customer, kos):
    gate = kos.fault("gate", operation="inquiry", phase="after", lineNumber=customer.line, count=1)
    answers = []
    threads = [threading.Thread(target=lambda a=a: answers.append(a.change(customer.body()))) for a in (customer.api.another(), customer.api.at(second))]
    threads[0].start()
    kos.wait_held(gate)
    threads[1].start()
    threads[1].join(10)
    kos.clear(gate)
    threads[0].join(10)
    assert sorted(r.status for r in answers) == [200, 409], answers
    stays(lambda: len(customer.orders()) == 1, 0.2)
