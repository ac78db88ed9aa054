"""A short while of everything at once: many customers, KOS and MVNO AP failing at random, Redis going and coming.
Afterwards every acknowledged change has exactly one truth everywhere. (tests/crash has the long form, with kill -9.)"""

import collections
import os
import random
import threading
import time

import requests

from harness import checks
from harness.wait import until
from harness.world import World

SEED = int(os.environ.get("PCS_ITEST_SEED", "0")) or random.randrange(1, 10**6)
SECONDS = float(os.environ.get("PCS_ITEST_CHAOS_SECONDS", "6"))


def test_random_faults_of_every_neighbour_leave_one_truth(session):
    """Nothing lost, nothing twice, no event contradicted: KOS's, MVNO AP's and PostgreSQL's own records agree."""
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    w = World(session, own_redis=True, env={
        "LIMITS_RATE": 0, "KOS_INQUIRY_DEADLINE": "600ms", "KOS_LIST_DEADLINE": "600ms", "KOS_CHANGE_DEADLINE": "800ms", "KOS_SETTLE_HORIZON": "2s",
        "CHANGE_SETTLE_FIRST": "100ms", "CHANGE_SETTLE_MAX": "300ms", "CHANGE_DEADLINE": "6s", "MVNO_DEADLINE": "400ms", "MVNO_CONNECT_TIMEOUT": "300ms",
        "REDIS_DEADLINE": "100ms"})
    try:
        w.customer().api.screen().expect(200)
        for kind in ("applied_reset", "reset", "garbage", "truncated", "close", "null_data"):
            w.kos.fault(kind, operation="change", rate=0.04)
        w.kos.fault("http_status", operation="change", rate=0.05, status=500)
        w.kos.fault("result_code", operation="change", rate=0.05, resultCode="2099")
        w.kos.fault("delay", operation="change", rate=0.05, delayMs=1200)
        w.kos.fault("http_status", operation="inquiry", rate=0.05, status=500)
        w.kos.fault("reset", operation="inquiry", rate=0.03)
        w.mvno.fault("http_status", rate=0.1, status=500)
        w.mvno.fault("reset", rate=0.05, phase="after")
        stop, seen, lock = threading.Event(), {}, threading.Lock()

        def click(r):
            while not stop.is_set():
                c = w.customer()
                family = r.choice(["core", "frontend"])
                for target in r.sample(["LTE_PLUS", "5GX_BASIC", "LTE_SLIM", "LTE_LEGACY"], 2):
                    api = c.api.on(family)
                    send = api.change_async if r.random() < 0.5 else api.change
                    try:
                        reply = send(c.body(target), Idempotency_Key=f"k{r.random()}" if r.random() < 0.5 else None)
                    except requests.RequestException:
                        continue
                    assert reply.status in (200, 202, 409, 503), reply
                    id_ = reply.data["requestId"] if reply.status < 400 else reply.error.get("requestId")
                    if id_ and reply.status != 503 and not (reply.status == 409 and reply.code == "CHANGE_IN_PROGRESS"):
                        with lock:
                            seen[id_] = c
                    if reply.status == 200 and reply.data["processStatus"] == "COMPLETED":
                        c.product = target
                        menu = api.menu()
                        assert menu.status == 503 or menu.data["currentProduct"]["productCode"] == target, menu

        errors = []

        def guarded(r):
            try:
                click(r)
            except BaseException as e:
                errors.append(e)

        threads = [threading.Thread(target=guarded, args=(random.Random(rng.random()),)) for _ in range(8)]
        for t in threads:
            t.start()
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline and not errors:
            time.sleep(rng.uniform(0.3, 1.0))
            if rng.random() < 0.5:
                w.redis.stop()
                time.sleep(rng.uniform(0.1, 0.6))
                w.redis.start()
            else:
                w.redis.pause()
                time.sleep(rng.uniform(0.1, 0.4))
                w.redis.resume()
        stop.set()
        for t in threads:
            t.join(30)
        assert not errors, errors[0]
        w.kos.clear()
        w.mvno.clear()
        assert len(seen) > 20, "there was a load"
        api = w.admin()

        def last(id_):
            final = api.result(id_, wait=5).expect(200).data
            checks.result(final)
            return final if final["processStatus"] in ("COMPLETED", "FAILED") else None

        finals = {id_: until(lambda: last(id_), 30, f"{id_} settled") for id_ in seen}
        w.forwarded(30)
        orders, events = collections.Counter(), collections.defaultdict(list)
        for order in w.kos.orders(applied=True):
            orders[order["requestId"]] += 1
        for event in w.mvno.events():
            events[event["body"]["requestId"]].append(event["body"])
        rows = {str(r["request_id"]): r for r in w.db.rows("SELECT * FROM product_change.product_change_history")}
        for id_, final in finals.items():
            completed = final["processStatus"] == "COMPLETED"
            assert orders[id_] == (1 if completed else 0), final
            assert (rows[id_]["status"], rows[id_]["result_code"]) == (final["processStatus"], final["resultCode"])
            assert len(events[id_]) == (0 if final["resultCode"] == "VALIDATION_FAILED" else 1), (final, events[id_])
            assert not events[id_] or (events[id_][0]["eventType"] == "product-change.completed") == completed, final
        for c in set(seen.values()):
            assert api.menu(c.line).expect(200).data["currentProduct"]["productCode"] == c.at_kos(), "the cache tells the truth"
        # Every order that KOS applied is a change that we know.
        for id_ in orders:
            assert rows[id_]["status"] == "COMPLETED", id_
        w.check_invariants()
    finally:
        w.kos.clear()
        w.mvno.clear()
        w.close()
