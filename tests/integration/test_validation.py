"""UFR-PROD-030 / SCR-007: the pre-check alone; nothing is ordered and nothing recorded."""

import pytest

from harness import checks

PASS = {"PRODUCT_AVAILABLE": "PASS", "OPERATOR_MATCH": "PASS", "LINE_STATUS": "PASS"}


def run(api, body, **more):
    v = api.validate(body, **more).expect(200).data
    return v, checks.validation(v)


def test_ufr_prod_030_scr_007_precheck_passes(world, customer, family):
    v, results = run(customer.api.on(family), customer.body())
    assert v["validationResult"] == "SUCCESS" and results == PASS


@pytest.mark.parametrize("target, failing", [
    ("LTE_LEGACY", {"PRODUCT_AVAILABLE"}),
    ("5GX_PREVIEW", {"PRODUCT_AVAILABLE"}),
    ("OTHER_5G", {"OPERATOR_MATCH"}),
    ("NO_SUCH_PRODUCT", {"PRODUCT_AVAILABLE", "OPERATOR_MATCH"}),  # unknown target: FAIL for both
    ("FEE_UNREADABLE", {"PRODUCT_AVAILABLE", "OPERATOR_MATCH"}),  # dropped from the list, so unknown
])
def test_ufr_prod_030_each_product_check_fails_with_its_reason(world, customer, family, target, failing):
    v, results = run(customer.api.on(family), customer.body(target))
    assert v["validationResult"] == "FAILURE"
    assert {k for k, r in results.items() if r == "FAIL"} == failing
    assert checks.HANGUL.search(v["failureReason"])


def test_ufr_prod_030_line_not_in_use_fails_the_line_check(world, family):
    api = world.known("01034567890", "CUST-0003").on(family)
    v, results = run(api, {"lineNumber": "010-3456-7890", "currentProductCode": "LTE_PLUS", "targetProductCode": "LTE_BASIC"})
    assert v["validationResult"] == "FAILURE" and results["LINE_STATUS"] == "FAIL"
    assert results["PRODUCT_AVAILABLE"] == "PASS"


@pytest.mark.parametrize("what", ["same product", "mismatch", "unknown line"])
def test_ufr_prod_030_200_and_a_reason_also_where_the_order_would_be_409_or_404(world, family, what):
    """200 once the line is the caller's: same product, mismatch, unknown line are FAILURE with a reason."""
    c = world.customer()
    api, body = c.api, c.body()
    if what == "same product":
        body = c.body(target="LTE_BASIC")
    elif what == "mismatch":
        body = c.body(current="5GX_BASIC")
    else:
        api = world.known("01000000000", "CUST-9999")
        body = {**body, "lineNumber": "01000000000"}
    v, _ = run(api.on(family), body)
    assert v["validationResult"] == "FAILURE" and v["failureReason"]


def test_unknown_line_fails_the_line_check(world):
    _, results = run(world.known("01000000000", "CUST-9999"),
                     {"lineNumber": "01000000000", "currentProductCode": "LTE_BASIC", "targetProductCode": "LTE_PLUS"})
    assert results["LINE_STATUS"] == "FAIL"


def test_ufr_prod_030_a_change_in_progress_is_a_failure_with_its_reason(world, customer, kos):
    gate = kos.fault("gate", operation="change", lineNumber=customer.line)
    request_id = customer.api.change_async(customer.body()).expect(202).data["requestId"]
    kos.wait_held(gate)
    v, _ = run(customer.api, customer.body("5GX_BASIC"))
    assert v["validationResult"] == "FAILURE" and v["failureReason"]
    kos.clear(gate)
    assert customer.api.result(request_id, wait=10).data["processStatus"] == "COMPLETED"


def test_nothing_is_ordered_and_nothing_recorded(world, customer, family):
    run(customer.api.on(family), customer.body())
    run(customer.api.on(family), customer.body("LTE_LEGACY"))
    assert not customer.orders()
    assert customer.api.history().expect(200).data["pagination"]["totalElements"] == 0
    assert not world.mvno.events(line=customer.line)


def test_reasons_in_english(world, customer):
    v, _ = run(customer.api, customer.body("LTE_LEGACY"), Accept_Language="en-US,en;q=0.9")
    assert not any(checks.HANGUL.search(d["message"]) for d in v["validationDetails"])
    assert not checks.HANGUL.search(v["failureReason"])


def test_operator_of_the_line_unknown_matches(world):
    c = world.customer(operatorCode=None)
    v, results = run(c.api, c.body("OTHER_5G"))
    assert v["validationResult"] == "SUCCESS" and results == PASS


def test_bad_input_is_400_and_somebody_elses_line_403(world, customer, family):
    api = customer.api.on(family)
    reply = api.validate({"lineNumber": customer.line, "currentProductCode": "LTE_BASIC"}).expect(400, "INVALID_REQUEST")
    assert [f["field"] for f in reply.error["fields"]] == ["targetProductCode"]
    api.validate({**customer.body(), "lineNumber": "01099999999"}).expect(403, "FORBIDDEN")


def test_validation_may_use_the_cache_of_the_screens(world, customer, kos):
    """Only an order's customer data is asked of KOS afresh."""
    customer.api.menu().expect(200)
    run(customer.api, customer.body())
    assert len(kos.calls("inquiry", customer.line)) <= 2
