"""Idempotency-Key (CONTRACT.md 1): replay, reuse, busy, through restarts."""

import threading
import time

import pytest

from harness import checks
from harness.wait import until
from harness.world import World

ENV = {"LIMITS_RATE": 0}


def test_a_replay_has_the_first_status_and_the_present_result(world, customer, family):
    api = customer.api.on(family)
    first = api.change(customer.body(), Idempotency_Key='"key-1"').expect(200)
    assert "Idempotent-Replayed" not in first.headers
    again = api.change(customer.body(), Idempotency_Key='"key-1"').expect(200)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.data == first.data
    bare = api.change(customer.body(), Idempotency_Key="key-1").expect(200)
    assert bare.headers["Idempotent-Replayed"] == "true", "quoted or bare: the same key"
    assert len(customer.orders()) == 1


def test_a_replay_of_202_keeps_202_and_gives_the_present_result(world, customer, kos, family):
    api = customer.api.on(family)
    gate = kos.fault("gate", operation="change", lineNumber=customer.line)
    first = api.change_async(customer.body(), Idempotency_Key="k").expect(202)
    kos.wait_held(gate)
    running = api.change_async(customer.body(), Idempotency_Key="k").expect(202)
    assert running.headers["Idempotent-Replayed"] == "true" and running.data["requestId"] == first.data["requestId"]
    assert running.data["processStatus"] == "PROCESSING"
    kos.clear(gate)
    until(lambda: api.result(first.data["requestId"]).data["processStatus"] == "COMPLETED")
    ended = api.change_async(customer.body(), Idempotency_Key="k").expect(202)
    assert ended.data["processStatus"] == "COMPLETED" and ended.headers["Idempotent-Replayed"] == "true"
    sync = api.change(customer.body(), Idempotency_Key="k").expect(202)
    assert sync.data["processStatus"] == "COMPLETED"
    assert len(customer.orders()) == 1


def test_a_replay_of_a_recorded_409_is_the_same_error(world, customer, kos, family):
    api = customer.api.on(family)
    first = api.change(customer.body("LTE_LEGACY"), Idempotency_Key="v").expect(409, "VALIDATION_FAILED")
    kos.product("LTE_LEGACY")  # nothing of it is checked again
    again = api.change(customer.body("LTE_LEGACY"), Idempotency_Key="v").expect(409, "VALIDATION_FAILED")
    assert again.headers["Idempotent-Replayed"] == "true"
    volatile = ("timestamp", "correlationId")
    assert {k: v for k, v in again.error.items() if k not in volatile} == {k: v for k, v in first.error.items() if k not in volatile}
    assert api.history().data["pagination"]["totalElements"] == 1


def test_a_replay_of_a_refusal(world, customer, kos, family):
    api = customer.api.on(family)
    kos.fault("result_code", operation="change", lineNumber=customer.line, resultCode="2099", count=1)
    first = api.change(customer.body(), Idempotency_Key="d")
    again = api.change(customer.body(), Idempotency_Key="d")
    assert first.status == again.status == (409 if family == "core" else 200)
    assert again.headers["Idempotent-Replayed"] == "true"
    if family == "core":
        assert again.code == "CHANGE_DENIED" and again.error["resultCode"] == "2099"
        assert again.error["requestId"] == first.error["requestId"] and again.error["details"] == first.error["details"]
    else:
        assert again.data == first.data
    assert len(customer.orders()) <= 1


@pytest.mark.parametrize("change", [{"targetProductCode": "LTE_SLIM"}, {"currentProductCode": "5GX_BASIC"}, {"requestDate": "2024-01-01"}])
def test_another_body_under_the_key_is_422(world, customer, family, change):
    api = customer.api.on(family)
    api.change(customer.body(), Idempotency_Key="one").expect(200)
    api.change({**customer.body(), **change}, Idempotency_Key="one").expect(422, "IDEMPOTENCY_KEY_REUSED")
    assert len(customer.orders()) == 1


def test_the_same_body_in_another_spelling_is_the_same(world, customer):
    """The hash is of the validated fields: dashes, order, blanks and unknown members do not matter."""
    customer.api.change(customer.body(), Idempotency_Key="s").expect(200)
    line = f"{customer.line[:3]}-{customer.line[3:7]}-{customer.line[7:]}"
    body = {"x": 1, "targetProductCode": "LTE_PLUS", "lineNumber": line, "currentProductCode": "LTE_BASIC"}
    assert customer.api.change(body, Idempotency_Key="s").expect(200).headers["Idempotent-Replayed"] == "true"


def test_the_key_is_shared_by_both_families(world, customer):
    first = customer.api.change(customer.body(), Idempotency_Key="f").expect(200).data
    again = customer.front.change(customer.body(), Idempotency_Key="f").expect(200)
    assert again.data["requestId"] == first["requestId"] and again.headers["Idempotent-Replayed"] == "true"


def test_scope_is_the_tokens_subject(world):
    a, b = world.customer(), world.customer()
    a.api.change(a.body(), Idempotency_Key="same").expect(200)
    reply = b.api.change(b.body(), Idempotency_Key="same").expect(200)
    assert "Idempotent-Replayed" not in reply.headers
    # The same subject with another token: the same scope.
    again = world.api(world.token(sub=a.subject, customerId=a.customer_id, lineNumber=a.line, jti="2"))
    assert again.change(a.body(), Idempotency_Key="same").expect(200).headers["Idempotent-Replayed"] == "true"


def test_the_first_still_unanswered_is_change_in_progress(world, customer, kos, family):
    """409 CHANGE_IN_PROGRESS, with requestId and Location once the change is recorded."""
    gate = kos.fault("gate", operation="change", lineNumber=customer.line)
    answers = []
    first = threading.Thread(target=lambda: answers.append(customer.api.another().change(customer.body(), Idempotency_Key="b")))
    first.start()
    kos.wait_held(gate)
    busy = customer.api.on(family).change(customer.body(), Idempotency_Key="b").expect(409, "CHANGE_IN_PROGRESS")
    assert "requestId" in busy.error
    actions = {a["action"]: a.get("href") for a in busy.error["nextActions"]}
    assert actions["WAIT"] == busy.headers["Location"] and "VIEW_HISTORY" in actions  # what to do, and not only in a header
    customer.api.change(customer.body("LTE_SLIM"), Idempotency_Key="b").expect(422, "IDEMPOTENCY_KEY_REUSED")
    kos.clear(gate)
    first.join(10)
    assert answers[0].expect(200).data["requestId"] == busy.error["requestId"]
    assert customer.api.change(customer.body(), Idempotency_Key="b").expect(200).headers["Idempotent-Replayed"] == "true"
    assert len(customer.orders()) == 1


def test_the_first_still_loading_is_change_in_progress_without_id(world, customer, kos):
    gate = kos.fault("gate", operation="inquiry", lineNumber=customer.line)
    answers = []
    first = threading.Thread(target=lambda: answers.append(customer.api.another().change(customer.body(), Idempotency_Key="c")))
    first.start()
    kos.wait_held(gate)
    busy = customer.api.change(customer.body(), Idempotency_Key="c").expect(409, "CHANGE_IN_PROGRESS")
    assert "requestId" not in busy.error and "nextActions" not in busy.error
    kos.clear(gate)
    first.join(10)
    answers[0].expect(200)
    assert len(customer.orders()) == 1


def test_whoever_is_not_the_first_leaves_nothing_of_the_line_in_redis(world, customer):
    """The line's key is asked for while the journal is: what comes of it goes back when the journal says no."""
    key = f"pcs:line:{customer.line}"
    customer.api.change(customer.body(), Idempotency_Key="d").expect(200)
    until(lambda: not world.cache.exists(key), 3, "the first one's")
    for _ in range(5):  # a replay, and another body: the journal knows the key
        customer.api.change(customer.body(), Idempotency_Key="d").expect(200)
        customer.api.change(customer.body("LTE_SLIM"), Idempotency_Key="d").expect(422, "IDEMPOTENCY_KEY_REUSED")
    until(lambda: not world.cache.exists(key), 3, "theirs")
    assert len(customer.orders()) == 1


def test_a_replay_does_not_wait_for_redis(session):
    """What the journal says counts, and counts at once."""
    w = World(session, env={**ENV, "REDIS_DEADLINE": "5s"}, own_redis=True)
    try:
        c = w.customer()
        first = c.api.change(c.body(), Idempotency_Key="e").expect(200)
        w.redis.pause()
        began = time.monotonic()
        again = c.api.change(c.body(), Idempotency_Key="e").expect(200)
        assert again.data["requestId"] == first.data["requestId"] and time.monotonic() - began < 2
    finally:
        w.redis.resume()
        w.close()


def test_everything_else_leaves_the_key_free(world, customer, kos):
    """400, 403, 404, SAME_PRODUCT, CURRENT_PRODUCT_MISMATCH, CHANGE_IN_PROGRESS, 503: the key can be used again."""
    key = {"Idempotency_Key": "free"}
    customer.api.change({**customer.body(), "targetProductCode": ""}, **key).expect(400)
    customer.api.change({**customer.body(), "lineNumber": "01099999999"}, **key).expect(403)
    customer.api.change(customer.body("LTE_BASIC"), **key).expect(409, "SAME_PRODUCT")
    customer.api.change(customer.body(current="5GX_BASIC"), **key).expect(409, "CURRENT_PRODUCT_MISMATCH")
    fault = kos.fault("http_status", operation="inquiry", lineNumber=customer.line, status=500)
    customer.api.change(customer.body("LTE_SLIM"), **key).expect(503, "KOS_UNAVAILABLE")
    kos.clear(fault)
    reply = customer.api.change(customer.body(), **key).expect(200)
    assert "Idempotent-Replayed" not in reply.headers


def test_many_at_once_with_one_key_order_once(world, customer):
    answers = []

    def click():
        answers.append(customer.api.another().change(customer.body(), Idempotency_Key="many"))

    threads = [threading.Thread(target=click) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(15)
    statuses = sorted(a.status for a in answers)
    assert statuses[0] == 200 and set(statuses) <= {200, 409}, answers
    assert all(a.code == "CHANGE_IN_PROGRESS" for a in answers if a.status == 409)
    assert len({a.data["requestId"] for a in answers if a.status == 200}) == 1
    assert len(customer.orders()) == 1


def test_a_cancelled_change_is_replayed_as_it_is_now(world, customer, kos):
    """With 200/202 the change's present Result."""
    gate = kos.fault("gate", operation="change", lineNumber=customer.line)
    first = customer.api.change_async(customer.body(), Idempotency_Key="p").expect(202).data
    kos.wait_held(gate)
    kos.clear(gate)
    final = customer.api.result(first["requestId"], wait=10).data
    again = customer.api.change_async(customer.body(), Idempotency_Key="p").expect(202)
    checks.result(again.data)
    assert again.data == final
    assert again.headers["Preference-Applied"] == "respond-async"


@pytest.mark.parametrize("key", ["k" * 255, '"' + "q" * 255 + '"', "한글-열쇠", "a b c", '"semi;colon"'])
def test_keys_of_255_characters_and_odd_ones(world, customer, key):
    first = customer.api.change(customer.body(), check=False, Idempotency_Key=key.encode()).expect(200)
    again = customer.api.change(customer.body(), check=False, Idempotency_Key=key.encode()).expect(200)
    assert again.headers["Idempotent-Replayed"] == "true" and again.data == first.data


# Last: it restarts the service.
def test_keys_live_through_a_restart_and_an_empty_redis(world):
    done, refused, open_ = world.customer(), world.customer(), world.customer()
    first = done.api.change(done.body(), Idempotency_Key="r").expect(200).data
    error = refused.api.change(refused.body("LTE_LEGACY"), Idempotency_Key="r").expect(409).error
    world.service.stop()
    world.cache.flushdb()
    world.service.start()
    again = done.api.another().change(done.body(), Idempotency_Key="r").expect(200)
    assert again.headers["Idempotent-Replayed"] == "true" and again.data["requestId"] == first["requestId"]
    again = refused.api.another().change(refused.body("LTE_LEGACY"), Idempotency_Key="r").expect(409, "VALIDATION_FAILED")
    assert again.headers["Idempotent-Replayed"] == "true" and again.error["requestId"] == error["requestId"]
    assert again.error["checks"] == error["checks"]
    done.api.another().change(done.body("LTE_SLIM"), Idempotency_Key="r").expect(422, "IDEMPOTENCY_KEY_REUSED")
    assert open_.api.another().change(open_.body(), Idempotency_Key="r").expect(200)
    assert len(done.orders()) == 1
