"""UFR-PROD-040 / SCR-008: a change is asked for, ordered, told, recorded; its result is looked up."""

import datetime
import threading
import time
import uuid

import pytest

from harness import checks
from harness.wait import stays, until

SEOUL = datetime.timezone(datetime.timedelta(hours=9))
ENV = {"KOS_CHANGE_MAX_IN_FLIGHT": 2}


def actions(result):
    return {a["action"]: a for a in result["nextActions"]}


def test_ufr_prod_040_scr_008_a_change_is_carried_out_and_told(world, customer, family):
    api = customer.api.on(family)
    assert api.menu().expect(200).data["currentProduct"]["productCode"] == "LTE_BASIC"
    reply = api.change(customer.body()).expect(200)
    result = reply.data
    checks.result(result, family)
    assert result["processStatus"] == "COMPLETED" and result["resultCode"] == "0000"
    assert result["resultMessage"] == "상품 변경이 완료되었습니다"
    assert result["lineNumber"] == customer.line
    assert (result["currentProductCode"], result["targetProductCode"]) == ("LTE_BASIC", "LTE_PLUS")
    assert result["changedProduct"]["productName"] == "LTE 플러스" and result["changedProduct"]["monthlyFee"] == 45000
    assert result["cancellable"] is False and not result.get("inDoubt")
    assert checks.time(result["processedAt"]) >= checks.time(result["requestedAt"])
    [order] = customer.orders()
    assert order["requestId"] == result["requestId"] and order["applied"]
    assert (order["previous"], order["new"]) == ("LTE_BASIC", "LTE_PLUS")
    assert result["kosOrderNumber"] == order["kosOrderNumber"]
    # The cached customer is dropped: no read that begins now sees the old product.
    assert api.menu().expect(200).data["currentProduct"]["productCode"] == "LTE_PLUS"
    # MVNO AP is told, the history is written, the result can be looked up on both families.
    assert world.mvno.event(result["requestId"])["body"]["eventType"] == "product-change.completed"
    assert world.row(result["requestId"])["status"] == "COMPLETED"
    for other in ("core", "frontend"):
        looked_up = api.on(other).result(result["requestId"]).expect(200).data
        assert {k: v for k, v in looked_up.items() if k != "nextActions"} == {k: v for k, v in result.items() if k != "nextActions"}


def test_dashes_in_the_line_number_are_accepted_and_removed(world, customer):
    body = {**customer.body(), "lineNumber": f"{customer.line[:3]}-{customer.line[3:7]}-{customer.line[7:]}"}
    assert customer.api.change(body).expect(200).data["lineNumber"] == customer.line


def test_kos_is_asked_with_the_changes_id_and_our_headers(world, customer, kos):
    """requestId is the change's id on every call of a change; X-Request-ID is the HTTP request's."""
    reply = customer.api.change(customer.body(), X_Request_ID="order-1",
                                traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").expect(200)
    calls = [c for c in kos.calls(line=customer.line)]
    assert [c["operation"] for c in calls] == ["inquiry", "change"]
    for call in calls:
        assert call["requestId"] == reply.data["requestId"]
        assert call["headers"]["X-Request-ID"] == "order-1"
        assert call["headers"]["X-Service-Name"] == "product-change-service"
        assert call["headers"]["traceparent"].split("-")[1] == "0af7651916cd43dd8448eb211c80319c"


def test_an_orders_customer_is_asked_of_kos_afresh(world, customer, kos):
    """precheck.max_age 0: the cache is for screens. A change elsewhere is a mismatch, although cached."""
    customer.api.menu().expect(200)
    kos.customer(customer.line, productCode="5GX_BASIC")
    customer.api.change(customer.body()).expect(409, "CURRENT_PRODUCT_MISMATCH")
    assert not customer.orders()


@pytest.mark.parametrize("code", ["2001", "2002", "2003", "2004", "2005", "2099"])
def test_ufr_prod_040_scr_008_a_refusal_is_told_with_its_reason_and_what_to_do(world, kos, family, code):
    """409 CHANGE_DENIED on core, 200 with Result FAILED on the existing frontend's paths."""
    c = world.customer()
    kos.fault("result_code", operation="change", lineNumber=c.line, resultCode=code)
    reply = c.api.on(family).change(c.body())
    if family == "core":
        error = reply.expect(409, "CHANGE_DENIED").error
        assert error["message"] == "상품 변경에 실패하였습니다" and error["resultCode"] == code
        assert error["details"] and error["nextActions"]
        request_id = error["requestId"]
    else:
        result = reply.expect(200).data
        checks.result(result, family)
        assert result["processStatus"] == "FAILED" and result["resultCode"] == code
        request_id = result["requestId"]
    result = c.api.on(family).result(request_id).expect(200).data
    assert result["processStatus"] == "FAILED" and result["resultCode"] == code and result["failureReason"]
    assert result["resultMessage"] == "상품 변경에 실패하였습니다"
    if code in ("2003", "2004", "2005"):
        assert "CHOOSE_ANOTHER" in actions(result)
    assert world.mvno.event(request_id)["body"]["eventType"] == "product-change.failed"
    assert world.row(request_id)["result_code"] == code


def test_details_of_a_refusal_are_koss_reason(world, kos, customer):
    body = {"success": False, "resultCode": "2004", "resultMessage": "판매 종료된 요금제라서 안 됩니다", "data": None}
    kos.fault("http_status", operation="change", lineNumber=customer.line, status=200, body=body, contentType="application/json")
    error = customer.api.change(customer.body()).expect(409, "CHANGE_DENIED").error
    assert error["details"] == "판매 종료된 요금제라서 안 됩니다"


def test_refused_by_the_customer_of_the_data_file(world):
    api = world.known("01090123456", "CUST-0009")
    body = {"lineNumber": "01090123456", "currentProductCode": "LTE_PLUS", "targetProductCode": "LTE_BASIC"}
    error = api.change(body).expect(409, "CHANGE_DENIED").error
    assert error["resultCode"] == "2099"


def test_english_answers_korean_history(world, kos, customer):
    """English for Accept-Language: en, answers only: history and events are stored in Korean."""
    kos.fault("result_code", operation="change", lineNumber=customer.line, resultCode="2004")
    error = customer.api.change(customer.body(), Accept_Language="en").expect(409, "CHANGE_DENIED").error
    assert not checks.HANGUL.search("".join(a["label"] for a in error["nextActions"]))
    assert checks.HANGUL.search(world.row(error["requestId"])["result_message"])
    assert checks.HANGUL.search(world.mvno.event(error["requestId"])["body"]["message"])
    result = customer.api.result(error["requestId"], Accept_Language="en").data
    assert not checks.HANGUL.search(result["resultMessage"] + result["failureReason"])


# --- Prefer: respond-async, ?wait= ---


def test_respond_async_answers_202_and_wait_answers_as_soon_as_it_is_final(world, customer, kos, family):
    api = customer.api.on(family)
    gate = kos.fault("gate", operation="change", lineNumber=customer.line)
    reply = api.change_async(customer.body()).expect(202)
    assert reply.headers["Preference-Applied"] == "respond-async"
    result = reply.data
    checks.result(result, family)
    assert result["processStatus"] == "PROCESSING" and result["resultMessage"] == "상품 변경이 진행되었습니다"
    assert reply.headers["Location"] == api.change_path(result["requestId"])
    kos.wait_held(gate)
    assert api.result(result["requestId"]).expect(200).data["processStatus"] == "PROCESSING"
    seen = []
    waiter = threading.Thread(target=lambda: seen.append((api.another().result(result["requestId"], wait=30), time.monotonic())))
    waiter.start()
    time.sleep(0.3)
    assert not seen, "it waits while the change runs"
    released = time.monotonic()
    kos.clear(gate)
    waiter.join(10)
    final, when = seen[0]
    assert final.expect(200).data["processStatus"] == "COMPLETED" and when - released < 2
    assert "Preference-Applied" not in final.headers


def test_wait_that_runs_out_answers_the_present_state(world, customer, kos):
    gate = kos.fault("gate", operation="change", lineNumber=customer.line)
    request_id = customer.api.change_async(customer.body()).expect(202).data["requestId"]
    kos.wait_held(gate)
    start = time.monotonic()
    assert customer.api.result(request_id, wait=1).expect(200).data["processStatus"] == "PROCESSING"
    assert 0.9 < time.monotonic() - start < 2.5
    start = time.monotonic()
    customer.api.result(request_id, wait=0).expect(200)
    assert time.monotonic() - start < 0.7
    kos.clear(gate)


@pytest.mark.parametrize("wait", ["-1", "31", "abc", "1.5", "", "1e1", "99999999999999999999"])
def test_wait_out_of_range_or_unreadable_is_400(world, customer, wait):
    reply = customer.api.get(customer.api.change_path(str(uuid.uuid4())), params={"wait": wait}).expect(400, "INVALID_REQUEST")
    assert [f["field"] for f in reply.error["fields"]] == ["wait"]


def test_respond_async_does_the_precheck_first(world, customer):
    customer.api.change_async(customer.body("LTE_LEGACY")).expect(409, "VALIDATION_FAILED")
    customer.api.change_async(customer.body("LTE_BASIC")).expect(409, "SAME_PRODUCT")
    customer.api.change_async(customer.body(current="5GX_BASIC")).expect(409, "CURRENT_PRODUCT_MISMATCH")


@pytest.mark.parametrize("prefer", ["wait=5", "handling=lenient, wait=1", "return=minimal"])
def test_prefer_wait_is_ignored(world, customer, prefer):
    reply = customer.api.change(customer.body(), Prefer=prefer).expect(200)
    assert reply.data["processStatus"] == "COMPLETED" and "wait" not in reply.headers.get("Preference-Applied", "")


def test_respond_async_among_other_preferences(world, customer):
    reply = customer.api.change(customer.body(), Prefer="wait=5, Respond-Async").expect(202)
    assert reply.headers["Preference-Applied"] == "respond-async"
    assert customer.api.result(reply.data["requestId"], wait=10).data["processStatus"] == "COMPLETED"


# --- who may see a change ---


def test_somebody_elses_change_is_404_on_both_families(world, customer, family):
    request_id = customer.change()["requestId"]
    other = world.customer().api.on(family)
    other.result(request_id).expect(404, "REQUEST_NOT_FOUND")
    other.cancel(request_id).expect(404, "REQUEST_NOT_FOUND")
    assert other.result(request_id).error["message"] == other.result(str(uuid.uuid4())).error["message"]


@pytest.mark.parametrize("id_", ["1", "not-a-uuid", "0191d3a0-0000-7000-8000-00000000000g", "0191d3a0000070008000000000000000x"])
def test_a_request_id_that_is_no_uuid_is_404(world, customer, family, id_):
    customer.api.on(family).get(f"{customer.api.on(family).path('request')}/{id_}").expect(404, "REQUEST_NOT_FOUND")
    customer.api.on(family).cancel(id_).expect(404, "REQUEST_NOT_FOUND")


def test_an_unknown_request_id_is_404(world, customer, family):
    customer.api.on(family).result("01890a5d-ac96-774b-bcce-b302099a8057").expect(404, "REQUEST_NOT_FOUND")
    customer.api.on(family).result(str(uuid.uuid4())).expect(404, "REQUEST_NOT_FOUND")


def test_an_admin_sees_and_orders_for_any_line(world, customer):
    admin = world.admin()
    result = admin.change(customer.body()).expect(200).data
    assert admin.result(result["requestId"]).expect(200).data["lineNumber"] == customer.line
    assert customer.api.result(result["requestId"]).expect(200).data["processStatus"] == "COMPLETED"
    assert world.row(result["requestId"])["actor"] == "admin"


# --- 409s before the order ---


@pytest.mark.parametrize("target, failing", [("LTE_LEGACY", "PRODUCT_AVAILABLE"), ("OTHER_LTE", "OPERATOR_MATCH")])
def test_ufr_prod_030_a_failed_precheck_is_recorded_without_event(world, customer, family, target, failing):
    reply = customer.api.on(family).change(customer.body(target)).expect(409, "VALIDATION_FAILED")
    error = reply.error
    assert error["message"] == "상품 사전 체크에 실패하였습니다" and error["details"]
    assert checks.validation_details(error["checks"])[failing] == "FAIL"
    result = customer.api.on(family).result(error["requestId"]).expect(200).data
    assert result["processStatus"] == "FAILED" and result["resultCode"] == "VALIDATION_FAILED"
    row = world.row(error["requestId"])
    assert row["status"] == "FAILED" and row["result_code"] == "VALIDATION_FAILED"
    assert {v["checkType"]: v["result"] for v in row["validation"]}[failing] == "FAIL"
    assert not customer.orders() and not world.mvno.events(line=customer.line)
    assert customer.api.history().data["pagination"]["totalElements"] == 1


def test_line_not_active_is_validation_failed_and_recorded(world, family):
    c = world.customer(lineStatus="SUSPENDED")
    error = c.api.on(family).change(c.body()).expect(409, "VALIDATION_FAILED").error
    assert checks.validation_details(error["checks"])["LINE_STATUS"] == "FAIL"
    assert c.api.result(error["requestId"]).data["resultCode"] == "VALIDATION_FAILED"


def test_0000_but_not_active_is_validation_failed(world):
    c = world.customer(lineStatus="PAUSED", answersInactive=True)
    error = c.api.change(c.body()).expect(409, "VALIDATION_FAILED").error
    assert checks.validation_details(error["checks"])["LINE_STATUS"] == "FAIL"


def test_same_product_and_mismatch_are_not_recorded(world, customer, family):
    api = customer.api.on(family)
    assert "requestId" not in api.change(customer.body("LTE_BASIC")).expect(409, "SAME_PRODUCT").error
    assert "requestId" not in api.change(customer.body(current="5GX_BASIC")).expect(409, "CURRENT_PRODUCT_MISMATCH").error
    assert api.history().data["pagination"]["totalElements"] == 0
    assert not customer.orders()


def test_unknown_line_is_404_and_not_recorded(world, family):
    api = world.known("01000000000", "CUST-9999").on(family)
    body = {"lineNumber": "01000000000", "currentProductCode": "LTE_BASIC", "targetProductCode": "LTE_PLUS"}
    assert "requestId" not in api.change(body).expect(404, "LINE_NOT_FOUND").error
    assert api.history().data["pagination"]["totalElements"] == 0


def test_current_product_unknown_is_409_and_not_recorded(world, family):
    """3003: 409 CURRENT_PRODUCT_UNKNOWN, not recorded."""
    c = world.customer(product=None, inquiryResult="3003")
    reply = c.api.on(family).change(c.body(current="LTE_BASIC")).expect(409, "CURRENT_PRODUCT_UNKNOWN")
    assert "requestId" not in reply.error
    assert c.api.history().data["pagination"]["totalElements"] == 0


def test_change_in_progress_names_the_change_that_runs(world, customer, kos, family):
    gate = kos.fault("gate", operation="change", lineNumber=customer.line)
    request_id = customer.api.change_async(customer.body()).expect(202).data["requestId"]
    kos.wait_held(gate)
    reply = customer.api.on(family).change(customer.body("5GX_BASIC")).expect(409, "CHANGE_IN_PROGRESS")
    assert reply.error["requestId"] == request_id
    assert reply.headers["Location"] == customer.api.on(family).change_path(request_id)
    # Ahead of SAME_PRODUCT and of the load.
    customer.api.change(customer.body("LTE_BASIC")).expect(409, "CHANGE_IN_PROGRESS")
    assert customer.api.history().data["pagination"]["totalElements"] == 1, "not recorded"
    kos.clear(gate)
    assert customer.api.result(request_id, wait=10).data["processStatus"] == "COMPLETED"
    customer.product = "LTE_PLUS"
    customer.change("5GX_BASIC")


# --- DELETE ---


def test_a_change_that_has_ended_cannot_be_cancelled(world, customer, family):
    result = customer.change()
    reply = customer.api.on(family).cancel(result["requestId"]).expect(409, "NOT_CANCELLABLE")
    assert customer.api.result(result["requestId"]).data["processStatus"] == "COMPLETED"
    assert reply.error["path"].endswith(result["requestId"])


def test_a_change_that_has_been_sent_cannot_be_cancelled(world, customer, kos, family):
    gate = kos.fault("gate", operation="change", lineNumber=customer.line)
    request_id = customer.api.change_async(customer.body()).expect(202).data["requestId"]
    kos.wait_held(gate)
    assert customer.api.result(request_id).data["cancellable"] is False
    customer.api.on(family).cancel(request_id).expect(409, "NOT_CANCELLABLE")
    kos.clear(gate)
    assert customer.api.result(request_id, wait=10).data["processStatus"] == "COMPLETED"


def test_a_change_that_waits_to_be_sent_is_cancelled(world, kos, family):
    """The bulkhead is full (two orders held): the third waits, can be cancelled, and is never sent."""
    gate = kos.fault("gate", operation="change")
    holders = [world.customer() for _ in range(2)]
    ids = [h.api.change_async(h.body()).expect(202).data["requestId"] for h in holders]
    kos.wait_held(gate, 2)
    c = world.customer()
    api = c.api.on(family)
    waiting = api.change_async(c.body()).expect(202).data
    state = api.result(waiting["requestId"]).expect(200).data
    assert state["cancellable"] is True and "CANCEL" in actions(state)
    result = api.cancel(waiting["requestId"]).expect(200).data
    checks.result(result, family)
    assert result["processStatus"] == "FAILED" and result["resultCode"] == "CANCELLED"
    kos.clear(gate)
    for h, id_ in zip(holders, ids):
        assert h.api.result(id_, wait=10).data["processStatus"] == "COMPLETED"
    assert world.mvno.event(waiting["requestId"])["body"]["eventType"] == "product-change.failed"
    assert world.row(waiting["requestId"])["result_code"] == "CANCELLED"
    stays(lambda: not c.orders(), 0.3, "the cancelled change is not sent")
    assert api.cancel(waiting["requestId"]).status in (200, 409)
    c.change()


# --- history ---


def test_scr_008_history_is_newest_first_in_pages(world, family):
    c = world.customer()
    api = c.api.on(family)
    ids = []
    for target in ("LTE_PLUS", "5GX_BASIC", "LTE_SLIM", "LTE_BASIC", "LTE_PLUS"):
        ids.append(c.change(target)["requestId"])
    ids.append(c.api.change(c.body("LTE_LEGACY")).expect(409).error["requestId"])
    ids.reverse()
    first = api.history(size=4).expect(200).data
    assert [h["requestId"] for h in first["history"]] == ids[:4]
    assert first["pagination"] == {"page": 1, "size": 4, "totalElements": 6, "totalPages": 2, "hasNext": True, "hasPrevious": False}
    second = api.history(size=4, page=2).expect(200).data
    assert [h["requestId"] for h in second["history"]] == ids[4:]
    assert second["pagination"]["hasNext"] is False and second["pagination"]["hasPrevious"] is True
    beyond = api.history(size=4, page=9).expect(200).data
    assert beyond["history"] == [] and beyond["pagination"]["totalElements"] == 6
    assert api.history().data["pagination"]["size"] == 10
    failed, done = first["history"][0], first["history"][1]
    assert failed["processStatus"] == "FAILED" and failed["resultCode"] == "VALIDATION_FAILED"
    assert (done["currentProductName"], done["targetProductName"]) == ("LTE 베이직", "LTE 플러스")
    assert done["resultMessage"] == "상품 변경이 완료되었습니다" and done["lineNumber"] == c.line
    # The same once PostgreSQL has the rows and the journal none: each once.
    world.forwarded()
    assert [h["requestId"] for h in api.history().data["history"]] == ids


def test_history_shows_a_running_change(world, customer, kos):
    gate = kos.fault("gate", operation="change", lineNumber=customer.line)
    request_id = customer.api.change_async(customer.body()).expect(202).data["requestId"]
    kos.wait_held(gate)
    [item] = customer.api.history().expect(200).data["history"]
    assert item["requestId"] == request_id and item["processStatus"] == "PROCESSING" and "processedAt" not in item
    kos.clear(gate)
    assert customer.api.result(request_id, wait=10).data["processStatus"] == "COMPLETED"
    [item] = customer.api.history().expect(200).data["history"]
    assert item["processStatus"] == "COMPLETED"


def test_history_by_date_in_seoul_inclusive(world, customer):
    """startDate and endDate are days in Asia/Seoul, inclusive."""
    request_id = customer.change()["requestId"]
    world.row(request_id)
    rows = [("2024-02-29T14:59:59.999Z", "01"), ("2024-02-29T15:00:00Z", "02"), ("2024-03-01T14:59:59.999Z", "03"),
            ("2024-03-01T15:00:00Z", "04")]
    for at, n in rows:
        world.db.rows(
            "INSERT INTO product_change.product_change_history (request_id, requested_at, line_number, target_product_code,"
            " current_product_code, status, result_code, result_message, processed_at, instance) VALUES"
            " (%s, %s, %s, 'LTE_PLUS', 'LTE_BASIC', 'COMPLETED', '0000', '상품 변경이 완료되었습니다', %s, 'old')",
            f"018df5e0-0000-7000-8000-{customer.line}{n[1]}", at, customer.line, at)
    def ids(**params):
        return [h["requestId"][-1] for h in customer.api.history(**params).expect(200).data["history"]]
    assert ids(startDate="2024-03-01", endDate="2024-03-01") == ["3", "2"]
    assert ids(startDate="2024-03-01", endDate="2024-03-02") == ["4", "3", "2"]
    assert ids(endDate="2024-02-29") == ["1"]
    today = datetime.datetime.now(SEOUL).date().isoformat()
    assert request_id in [h["requestId"] for h in customer.api.history(startDate=today).data["history"]]
    assert customer.api.history().data["pagination"]["totalElements"] == 5


@pytest.mark.parametrize("params, field", [
    ({"page": "0"}, "page"), ({"page": "x"}, "page"), ({"size": "0"}, "size"), ({"size": "101"}, "size"), ({"size": ""}, "size"),
    ({"startDate": "2024-2-1"}, "startDate"), ({"startDate": "2024-02-30"}, "startDate"), ({"endDate": "yesterday"}, "endDate"),
    ({"startDate": "2024-03-02", "endDate": "2024-03-01"}, "startDate"), ({"lineNumber": "123"}, "lineNumber"),
])
def test_bad_parameters_of_the_history_are_400_with_fields(world, customer, family, params, field):
    reply = customer.api.on(family).history(**params).expect(400, "INVALID_REQUEST")
    assert field in [f["field"] for f in reply.error["fields"]]


def test_history_of_somebody_else_is_403(world, customer, family):
    other = world.customer()
    customer.api.on(family).history(lineNumber=other.line).expect(403, "FORBIDDEN")
    assert customer.api.on(family).history(lineNumber=customer.line).expect(200)


# --- hrefs ---


def test_location_and_href_carry_the_public_prefix_on_the_core_family(world, kos):
    """Absolute paths of the family that was called, on the core family preceded by SERVER_PUBLIC_PREFIX."""
    c = world.customer()
    service = world.start_service(name="prefixed", SERVER_PUBLIC_PREFIX="/product", JOURNAL_PATH=world.folder + "/journal-p")
    try:
        api = c.api.at(service)
        reply = api.change_async(c.body()).expect(202)
        request_id = reply.data["requestId"]
        assert reply.headers["Location"] == f"/product/request/{request_id}"
        final = api.result(request_id, wait=10).data
        assert all(a["href"].startswith("/product/") for a in final["nextActions"] if "href" in a)
        front = api.on("frontend").result(request_id).data
        assert all(a["href"].startswith("/api/v1/products/") for a in front["nextActions"] if "href" in a)
        gate = kos.fault("gate", operation="change", lineNumber=c.line)
        second = api.change_async(c.body("5GX_BASIC", current="LTE_PLUS")).expect(202).data["requestId"]
        kos.wait_held(gate)
        conflict = api.change(c.body("LTE_SLIM", current="LTE_PLUS")).expect(409, "CHANGE_IN_PROGRESS")
        assert conflict.headers["Location"] == f"/product/request/{second}"
        kos.clear()
        until(lambda: api.result(second).data["processStatus"] == "COMPLETED")
        menu = api.menu().expect(200).data
        assert menu["currentProduct"]["productCode"] == "5GX_BASIC"
    finally:
        service.stop()
