"""A KOS that nobody here wrote (CONTRACT.md 2): bytes that a simulator does not say. What matters: a customer is never told of
an outcome that KOS did not give for that order, and KOS never gets an order twice."""

import gzip
import json

import pytest

from harness.strange import StrangeKos, envelope, later
from harness.world import World, new_line
from harness.wait import until

# One reactor, so that a request finds the connection of the one before it.
ENV = {"SERVER_THREADS": 1, "LIMITS_RATE": 0, "CHANGE_DEADLINE": "6s", "CHANGE_SETTLE_FIRST": "100ms", "CHANGE_SETTLE_MAX": "300ms",
       "KOS_CHANGE_DEADLINE": "1s", "KOS_INQUIRY_DEADLINE": "1s"}


@pytest.fixture(scope="module")
def strange():
    kos = StrangeKos()
    yield kos
    kos.close()


@pytest.fixture(scope="module")
def world(session, strange):
    w = World(session, env={**ENV, "KOS_BASE_URL": strange.url})
    yield w
    w.close()


@pytest.fixture
def customer(world, strange):
    def make():
        c = world.customer(product="A", line=new_line())
        strange.lines[c.line] = "A"
        return c
    make().api.screen().expect(200)  # the catalogue is cached
    return make


STALE = json.dumps(envelope(None)).encode()  # "0000" that names no order


def refuse(request):
    request.say(request.whole(envelope(None, "2004")))


def test_what_goes_over_the_wire(strange, customer):
    """Members, headers, the change's id on every call, a length and nothing chunked, no Expect."""
    c = customer()
    reply = c.api.change(c.body("B", "A")).expect(200)
    [inquiry], [order] = strange.got("inquiry", c.line), strange.got("change", c.line)
    id_ = reply.data["requestId"]
    assert inquiry.body == {"lineNumber": c.line, "requestId": id_}
    assert order.body == {"lineNumber": c.line, "currentProductCode": "A", "targetProductCode": "B", "requestId": id_}
    for r in (inquiry, order):
        assert r.headers["content-length"] == str(len(r.raw)) and not {"expect", "transfer-encoding"} & r.headers.keys()
        assert r.headers["content-type"] == "application/json" and r.headers["x-service-name"] == "product-change-service"
        assert r.headers["x-request-id"] == reply.headers["X-Request-ID"] and len(r.headers["traceparent"]) == 55


def test_a_second_answer_to_an_order_is_nobodys_outcome(strange, customer):
    """The next order on that connection is refused; what lay there said 0000."""
    first, second = customer(), customer()
    said = []
    strange.plan("change", first.line, lambda r: (r.say(r.whole(r.answer())), said.append(later(r, r.whole(STALE), 0.05)))[0])
    first.api.change(first.body("B", "A")).expect(200)
    until(lambda: said, 5, "KOS has answered")[0].join()
    strange.plan("change", second.line, refuse)
    second.api.change(second.body("B", "A")).expect(409, "CHANGE_DENIED")
    assert len(strange.got("change", second.line)) == 1


@pytest.mark.parametrize("operation", ["inquiry", "list"])
def test_the_answer_to_a_read_is_no_answer_to_an_order(strange, customer, operation):
    """Doubled by KOS and read in place of the order's: in doubt, and settled by asking."""
    c = customer()

    def another(r):
        body = strange.inquiry(r) if operation == "inquiry" else strange.list(r)
        r.say(r.whole(body))
    strange.plan("change", c.line, another)
    result = c.api.change(c.body("B", "A"), timeout=20).expect(202).data
    assert result["inDoubt"] is True and len(strange.got("change", c.line)) == 1


def test_a_408_on_an_idle_connection_hurts_nobody(strange, customer):
    c, other = customer(), customer()
    said = []
    timeout = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    strange.plan("inquiry", c.line, lambda r: (r.say(r.whole(r.answer())), said.append(later(r, timeout, 0.05)))[0])
    c.api.menu().expect(200)
    until(lambda: said, 5, "KOS has answered")[0].join()
    before = strange.connections
    other.api.change(other.body("B", "A")).expect(200)
    assert len(strange.got("inquiry", other.line)) == 1 and len(strange.got("change", other.line)) == 1
    assert strange.connections > before


def cut(r):
    whole = r.whole(r.answer())
    r.say(whole[:-1])
    return True


FINE = {
    "HTTP/1.0": lambda r: r.say(r.whole(r.answer(), http="1.0")) or True,
    "byte by byte": lambda r: r.say(r.whole(r.answer()), 1),
    "100 and 103 before it": lambda r: r.say(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + r.whole(r.answer())),
    "no length, closed": lambda r: r.say(b"HTTP/1.1 200 OK\r\n\r\n" + json.dumps(r.answer()).encode()) or True,
    "twice in one write": lambda r: r.say(r.whole(r.answer()) * 2),
    "a number of 0 as code": lambda r: r.say(r.whole({**r.answer(), "resultCode": 0})),
}
LOST = {  # applied by KOS, which the answer does not say: settled by asking
    "with a byte order mark": lambda r: r.say(r.whole(b"\xef\xbb\xbf" + json.dumps(r.answer()).encode())),
    "compressed unasked": lambda r: r.say(r.whole(gzip.compress(json.dumps(r.answer()).encode()), Content_Encoding="gzip")),
    "its length in characters": lambda r: r.say(r.whole(r.answer(), length=len(json.dumps(r.answer(), ensure_ascii=False)))),
    "a member twice": lambda r: r.say(r.whole(json.dumps(r.answer()).encode()[:-1] + b',"resultCode":"2004"}')),
    "the last byte missing": cut,
    "reset": lambda r: r.answer() and r.reset() or True,
    "a redirect": lambda r: r.say(r.whole(r.answer(), 307, Location=r.path)),
}


@pytest.mark.parametrize("name", [*FINE, *LOST])
def test_an_applied_order_is_completed_whatever_the_bytes(world, strange, customer, name):
    """One order, one event; the customers after it are served."""
    c, after = customer(), customer()
    strange.plan("change", c.line, {**FINE, **LOST}[name])
    result = c.api.change(c.body("B", "A"), timeout=20).expect(200).data
    assert result["processStatus"] == "COMPLETED" and len(strange.got("change", c.line)) == 1
    if name in FINE:
        assert len(strange.got("inquiry", c.line)) == 1, "its answer was clear"
    after.api.change(after.body("B", "A")).expect(200)
    events = until(lambda: world.mvno.events(request_id=result["requestId"]), 5, "event")
    assert len(events) == 1 and events[0]["body"]["eventType"] == "product-change.completed"
