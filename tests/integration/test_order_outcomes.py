"""KOS's answers to an order (CONTRACT.md 2): which are an outcome, which leave it in doubt, which were never
sent; and how a doubt is settled. All cases run at the same time, each on a line of its own."""

import concurrent.futures
import time

import pytest

from harness import checks
from harness.wait import stays, until

ENV = {
    "KOS_CHANGE_DEADLINE": "2s",
    "KOS_INQUIRY_DEADLINE": "2s",
    "CHANGE_SETTLE_FIRST": "200ms",
    "CHANGE_SETTLE_MAX": "500ms",
    "KOS_SETTLE_HORIZON": "10m",
    "CHANGE_DEADLINE": "6s",
    "LIMITS_RATE": 0,
    "SERVER_THREADS": 1,
}
DOUBT = "처리 중입니다. 다시 신청하지 마시고 변경 이력에서 결과를 확인해 주세요"

# name -> fault, and what it is: completed, a refusal's code, or doubt with whether KOS applied the order.
COMPLETED, APPLIED, NOT_APPLIED = "completed", "doubt, applied", "doubt, not applied"
CASES = {
    "plain": (None, COMPLETED),
    "chunked": ({"kind": "chunked", "bytes": 7}, COMPLETED),
    "in pieces": ({"kind": "slow_drip", "bytes": 40, "delayMs": 5}, COMPLETED),
    "late but in time": ({"kind": "delay", "delayMs": 400}, COMPLETED),
    "success without data": ({"kind": "null_data"}, COMPLETED),
    **{f"success with {name}": ({"kind": "http_status", "phase": "after", "status": 200, "body": {
        "success": True, "resultCode": "0000", "resultMessage": "ok", "timestamp": "20240102030405", **data}}, COMPLETED) for name, data in {
            "no data member": {},
            "empty data": {"data": {}},
            "null changeInfo": {"data": {"resultCode": "0000", "changeInfo": None}},
            "an order number that is a number": {"data": {"changeInfo": {"kosOrderNumber": 20240001, "effectiveDate": "2024-13-45"}}},
            "snake case": {"data": {"result_code": "0000", "change_info": {"kos_order_number": "KO-1"}}},
        }.items()},
    **{f"refused with {c}": ({"kind": "result_code", "resultCode": c}, c) for c in ("2001", "2002", "2003", "2004", "2005", "2099")},
    **{f"refused by KOS's validation {c}": ({"kind": "result_code", "resultCode": c, "status": 400}, c) for c in ("9001", "9002", "9003", "9004")},
    "applied late": ({"kind": "delay", "phase": "before", "delayMs": 3000}, APPLIED),
    "applied, answer late": ({"kind": "delay", "phase": "after", "delayMs": 3000}, APPLIED),
    "applied, no answer": ({"kind": "applied_no_answer"}, APPLIED),
    "applied, reset": ({"kind": "applied_reset"}, APPLIED),
    "applied, closed": ({"kind": "close", "phase": "after"}, APPLIED),
    "applied, garbage": ({"kind": "garbage"}, APPLIED),
    "applied, cut body": ({"kind": "truncated"}, APPLIED),
    "applied, reset in the body": ({"kind": "reset_mid_body"}, APPLIED),
    "applied, answer without end": ({"kind": "slow_drip", "bytes": 1, "delayMs": 100}, APPLIED),
    "applied, huge answer": ({"kind": "big_body"}, APPLIED),
    "applied, huge chunked answer": ({"kind": "big_body", "chunked": True}, APPLIED),
    "applied, HTTP 500": ({"kind": "http_status", "phase": "after", "status": 500}, APPLIED),
    "applied, data contradicts": ({"kind": "contradiction"}, APPLIED),
    "applied, envelope contradicts": ({"kind": "contradiction", "variant": "envelope"}, APPLIED),
    "applied, success false with 0000": ({"kind": "contradiction", "variant": "success"}, APPLIED),
    "applied, other requestId": ({"kind": "wrong_request_id"}, APPLIED),
    "applied, other line": ({"kind": "wrong_request_id", "variant": "lineNumber"}, APPLIED),
    "applied, other product": ({"kind": "wrong_request_id", "variant": "newProductCode"}, APPLIED),
    "hang": ({"kind": "hang"}, NOT_APPLIED),
    "reset": ({"kind": "reset"}, NOT_APPLIED),
    "closed": ({"kind": "close"}, NOT_APPLIED),
    "HTTP 500": ({"kind": "http_status", "status": 500}, NOT_APPLIED),
    "HTTP 503": ({"kind": "http_status", "status": 503}, NOT_APPLIED),
    "HTTP 429": ({"kind": "http_status", "status": 429}, NOT_APPLIED),
    "HTTP 302": ({"kind": "http_status", "status": 302, "headers": {"Location": "/elsewhere"}}, NOT_APPLIED),
    "HTTP 201": ({"kind": "http_status", "status": 201, "body": {"success": True, "resultCode": "0000", "resultMessage": "ok"}}, NOT_APPLIED),
    "HTTP 404 in HTML": ({"kind": "not_found_html"}, NOT_APPLIED),
    "HTTP 400 with another code": ({"kind": "result_code", "resultCode": "2004", "status": 400}, NOT_APPLIED),
    "HTTP 400 with 9999": ({"kind": "result_code", "resultCode": "9999", "status": 400}, NOT_APPLIED),
    "HTTP 500 with 2099": ({"kind": "result_code", "resultCode": "2099", "status": 500}, NOT_APPLIED),
    "9999": ({"kind": "result_code", "resultCode": "9999"}, NOT_APPLIED),
    "9001 with HTTP 200": ({"kind": "result_code", "resultCode": "9001"}, NOT_APPLIED),
    "a code of the inquiry": ({"kind": "result_code", "resultCode": "3001"}, NOT_APPLIED),
    "an unknown code": ({"kind": "result_code", "resultCode": "XYZ"}, NOT_APPLIED),
    "an empty body": ({"kind": "http_status", "status": 200, "body": ""}, NOT_APPLIED),
    "an empty object": ({"kind": "http_status", "status": 200, "body": {}}, NOT_APPLIED),
    "no resultCode": ({"kind": "http_status", "status": 200, "body": {"success": True, "data": None}}, NOT_APPLIED),
    "success true with 2099": ({"kind": "http_status", "status": 200, "body": {"success": True, "resultCode": "2099", "resultMessage": "x"}}, NOT_APPLIED),
    "success as text": ({"kind": "http_status", "status": 200, "body": {"success": "true", "resultCode": "0000", "resultMessage": "x"}}, NOT_APPLIED),
    "no success": ({"kind": "http_status", "status": 200, "body": {"resultCode": "0000", "resultMessage": "x"}}, NOT_APPLIED),
    "an array": ({"kind": "http_status", "status": 200, "body": []}, NOT_APPLIED),
    "JSON with rubbish behind": ({"kind": "http_status", "status": 200, "contentType": "application/json",
                                  "body": '{"success":true,"resultCode":"0000","resultMessage":"x"} x'}, NOT_APPLIED),
}


class Case:
    def __init__(self, world, name, family):
        self.name, self.family = name, family
        self.fault, self.kind = CASES[name]
        self.customer = world.customer()
        if self.fault:
            world.kos.fault(operation="change", lineNumber=self.customer.line, **self.fault)
        self.api = self.customer.api.on(family)
        self.reply = self.seconds = None

    def run(self):
        start = time.monotonic()
        self.reply = self.api.change(self.customer.body(), timeout=30)
        self.seconds = time.monotonic() - start
        return self


@pytest.fixture(scope="module")
def cases(world):
    """Every case on core; each refusal on the frontend's paths too."""
    all_ = [Case(world, name, "core") for name in CASES]
    all_ += [Case(world, name, "frontend") for name, (_, kind) in CASES.items() if kind not in (APPLIED, NOT_APPLIED)]
    with concurrent.futures.ThreadPoolExecutor(len(all_)) as pool:
        list(pool.map(Case.run, all_))
    return {(c.name, c.family): c for c in all_}


def names(*kinds):
    return [n for n, (_, k) in CASES.items() if k in kinds]


REFUSALS = [n for n, (_, k) in CASES.items() if k not in (COMPLETED, APPLIED, NOT_APPLIED)]


@pytest.mark.parametrize("name", names(COMPLETED))
def test_an_answer_with_0000_completes(world, cases, family, name):
    c = cases[name, family]
    result = c.reply.expect(200).data
    checks.result(result, family)
    assert result["processStatus"] == "COMPLETED" and result["resultCode"] == "0000"
    [order] = c.customer.orders()
    assert order["applied"] and order["requestId"] == result["requestId"]
    if name in ("success without data", "success with no data member", "success with empty data", "success with null changeInfo"):
        assert "kosOrderNumber" not in result, "nothing is invented"
    if name == "success with an order number that is a number":
        assert result["kosOrderNumber"] == "20240001"
    if name == "success with snake case":
        assert result["kosOrderNumber"] == "KO-1"
    assert result["changedProduct"]["productCode"] == "LTE_PLUS"


@pytest.mark.parametrize("name", REFUSALS)
def test_an_answer_with_2xxx_or_koss_own_validation_is_a_refusal(world, cases, family, name):
    c = cases[name, family]
    if family == "core":
        error = c.reply.expect(409, "CHANGE_DENIED").error
        assert error["resultCode"] == c.kind
        request_id = error["requestId"]
    else:
        result = c.reply.expect(200).data
        assert result["processStatus"] == "FAILED" and result["resultCode"] == c.kind
        request_id = result["requestId"]
    assert c.api.result(request_id).data["resultCode"] == c.kind
    event = world.mvno.event(request_id)["body"]
    assert event["eventType"] == "product-change.failed" and event["resultCode"] == c.kind
    assert not c.customer.orders(applied=True)


def test_koss_own_validation_is_logged_as_our_bug(world, cases):
    levels = {e["level"] for e in world.service.lines() if "9002" in str(e)}
    assert levels & {"error", "warn"}, "400 with 9002 is our bug: somebody has to be told"


def is_doubt(reply):
    result = reply.expect(202).data
    assert result["processStatus"] == "PROCESSING" and result["inDoubt"] is True, reply
    assert result["resultMessage"] == DOUBT and "nextCheckAt" in result, reply
    assert result["cancellable"] is False
    return result


@pytest.mark.parametrize("name", names(NOT_APPLIED))
def test_everything_else_is_in_doubt_and_nothing_is_told(world, cases, name):
    """202, inDoubt, line closed, no event, no history row; asked again by inquiry under the same requestId."""
    c = cases[name, "core"]
    assert 5.0 < c.seconds < 6.5, f"a synchronous request settles for what is left of its time: {c.seconds}"
    result = is_doubt(c.reply)
    id_ = result["requestId"]
    is_open = c.api.result(id_).expect(200).data
    assert is_open["processStatus"] == "PROCESSING" and is_open["inDoubt"] is True
    c.api.change(c.customer.body("LTE_SLIM")).expect(409, "CHANGE_IN_PROGRESS")
    assert not world.mvno.events(request_id=id_) and not world.db.history(id_)
    assert [h["processStatus"] for h in c.api.history().data["history"]] == ["PROCESSING"]
    calls = world.kos.calls(line=c.customer.line)
    assert len([x for x in calls if x["operation"] == "change"]) == 1, "never ordered again by itself"
    inquiries = [x for x in calls if x["operation"] == "inquiry"]
    assert len(inquiries) >= 3 and {x["requestId"] for x in inquiries} == {id_}
    assert "WAIT" in [a["action"] for a in result["nextActions"]]


@pytest.mark.parametrize("name", names(APPLIED))
def test_an_order_that_was_applied_is_settled_within_the_same_request(world, cases, name):
    """Target at KOS: COMPLETED; one event, one row, applied once."""
    c = cases[name, "core"]
    assert c.seconds < 6.5
    result = c.reply.expect(200).data
    checks.result(result, "core")
    assert result["processStatus"] == "COMPLETED" and not result.get("inDoubt")
    assert len(c.customer.orders(applied=True)) == 1
    assert world.mvno.event(result["requestId"])["body"]["eventType"] == "product-change.completed"
    assert world.row(result["requestId"])["status"] == "COMPLETED"
    assert c.api.menu().data["currentProduct"]["productCode"] == "LTE_PLUS"


def test_doubts_are_settled_when_koss_answer_becomes_known(world, cases):
    """Applied long after the answer was lost: settled by inquiry, told once, the line open again."""
    c = cases["hang", "core"]
    id_ = c.reply.data["requestId"]
    world.kos.clear()
    world.kos.customer(c.customer.line, productCode="LTE_PLUS")
    final = c.api.result(id_, wait=10).data
    assert final["processStatus"] == "COMPLETED"
    assert world.mvno.event(id_)["body"]["resultCode"] == "0000"
    assert world.row(id_)["status"] == "COMPLETED"
    c.customer.product = "LTE_PLUS"
    c.customer.change("LTE_SLIM")


def test_a_third_product_stays_on_the_operators_list(world, cases):
    """Neither baseline nor target: nobody is told anything; the customer may ask support."""
    c = cases["HTTP 500", "core"]
    id_ = c.reply.data["requestId"]
    world.kos.customer(c.customer.line, productCode="5GX_BASIC")
    until(lambda: "CONTACT_SUPPORT" in [a["action"] for a in c.api.result(id_).data["nextActions"]], 5, "on the list")
    assert c.api.result(id_).data["processStatus"] == "PROCESSING"
    stays(lambda: not world.mvno.events(request_id=id_), 0.5)
    c.api.change(c.customer.body(current="5GX_BASIC")).expect(409, "CHANGE_IN_PROGRESS")


def test_kos_log_has_every_call_of_a_change(world, cases):
    """kos_integration_log: request_id, operation, attempt, http_status, result_code, outcome, milliseconds, breaker_state, at."""
    done, refused = cases["plain", "core"], cases["refused with 2004", "core"]
    rows = until(lambda: (lambda r: r if len(r) >= 2 else None)(world.db.calls(done.reply.data["requestId"])), 8, "rows of the calls")
    assert [r["operation"] for r in rows] == ["inquiry", "change"]
    for r in rows:
        assert r["http_status"] == 200 and r["result_code"] == "0000" and r["outcome"] and r["milliseconds"] >= 0
        assert r["breaker_state"] and r["at"] is not None
    rows = until(lambda: world.db.calls(refused.reply.error["requestId"])[1:], 8)
    assert rows[0]["result_code"] == "2004"
    doubt = cases["reset", "core"].reply.data["requestId"]
    rows = until(lambda: world.db.calls(doubt)[3:], 8)
    order = [r for r in world.db.calls(doubt) if r["operation"] == "change"]
    assert len(order) == 1 and order[0]["http_status"] in (None, 0) and order[0]["outcome"] != rows[0]["outcome"]
    inquiries = [r["attempt"] for r in world.db.calls(doubt) if r["operation"] == "inquiry"]
    assert inquiries == sorted(inquiries)
    text = str(world.db.rows("SELECT * FROM product_change.kos_integration_log"))
    assert done.customer.line not in text and "통합시험" not in text, "no personal data"


def test_metrics_count_results_and_doubts(world, cases):
    assert world.service.metric("pcs_changes_total", result="completed") >= len(names(COMPLETED, APPLIED))
    assert world.service.metric("pcs_changes_total", result="refused") >= len(REFUSALS)
    assert world.service.metric("pcs_journal_in_doubt") >= len(names(NOT_APPLIED)) - 2
