"""UFR-PROD-010 / SCR-005: the change menu, and the customer of the existing frontend."""

import pytest

from harness import checks

# What KOS's inquiry says of it, and what only the list says.
PRODUCT_LTE_BASIC = {
    "productCode": "LTE_BASIC", "productName": "LTE 베이직", "monthlyFee": 33000, "dataAllowance": "10GB",
    "voiceAllowance": "300분", "smsAllowance": "100건", "isAvailable": True, "available": True,
}
ONLY_IN_THE_LIST = {"operatorCode": "MVNO01", "networkType": "LTE", "description": "데이터 10GB"}


def is_lte_basic(product):
    checks.product(product)
    return product.items() >= PRODUCT_LTE_BASIC.items()


def test_ufr_prod_010_scr_005_menu_shows_line_customer_and_current_product(world, customer, family):
    menu = customer.api.on(family).menu().expect(200).data
    items = checks.menu(menu)
    assert menu["lineNumber"] == customer.line
    assert menu["customerId"] == customer.customer_id
    assert menu["customerName"] == "통합시험"
    assert menu["lineStatus"] == "ACTIVE"
    assert menu["contractInfo"] == {"contractDate": "2023-03-01"}
    assert is_lte_basic(menu["currentProduct"])
    assert items["PRODUCT_CHANGE"]["available"] and items["CHANGE_HISTORY"]["available"]


def test_ufr_prod_010_the_frontends_two_customer_paths_answer_the_customer(world, customer):
    by_token = customer.front.get("/api/v1/products/customer").expect(200).data
    by_query = customer.front.customer(customer.line).expect(200).data
    dashed = f"{customer.line[:3]}-{customer.line[3:7]}-{customer.line[7:]}"
    by_path = customer.front.get(f"/api/v1/products/customer/{dashed}").expect(200).data
    checks.customer(by_token)
    assert by_token == by_query == by_path
    assert is_lte_basic(by_token["currentProduct"])


@pytest.mark.parametrize("line, status", [("01034567890", "SUSPENDED"), ("01045678901", "SUSPENDED")])
def test_ufr_prod_010_menu_of_a_line_that_is_not_active(world, family, line, status):
    """3002: 200, lineStatus SUSPENDED, customerId from the token, no currentProduct, the item with its reason."""
    menu = world.known(line, "CUST-FROM-TOKEN").on(family).menu().expect(200).data
    items = checks.menu(menu)
    assert menu["lineStatus"] == status and menu["lineNumber"] == line
    assert menu["customerId"] == "CUST-FROM-TOKEN"
    assert "currentProduct" not in menu
    assert not items["PRODUCT_CHANGE"]["available"] and items["PRODUCT_CHANGE"]["reason"]
    assert items["CHANGE_HISTORY"]["available"]


def test_ufr_prod_010_menu_of_a_line_whose_product_kos_does_not_know(world, family):
    """3003: the same without product."""
    menu = world.known("01056789012", "CUST-0005").on(family).menu().expect(200).data
    items = checks.menu(menu)
    assert "currentProduct" not in menu and not items["PRODUCT_CHANGE"]["available"]


@pytest.mark.parametrize("line, code", [
    ("01034567890", "LINE_SUSPENDED"),
    ("01045678901", "LINE_SUSPENDED"),
    ("01077778888", "LINE_SUSPENDED"),  # 0000 but SUSPENDED: treated like 3002
    ("01022223333", "LINE_SUSPENDED"),  # a word that we do not know: SUSPENDED
    ("01056789012", "CURRENT_PRODUCT_UNKNOWN"),
    ("01099990000", "CURRENT_PRODUCT_UNKNOWN"),  # 0000 without currentProductCode: like 3003
])
def test_the_other_reads_answer_409_for_lines_without_a_menu(world, line, code):
    api = world.known(line, "CUST-X")
    api.screen().expect(409, code)
    api.on("frontend").customer(line).expect(409, code)
    api.on("frontend").get(f"/api/v1/products/customer/{line}").expect(409, code)


def test_menu_with_0000_and_another_status_keeps_what_kos_gave(world):
    """Not ACTIVE with 0000 is treated like 3002, but with what was given."""
    menu = world.known("01077778888", "CUST-0016").menu().expect(200).data
    items = checks.menu(menu)
    assert menu["lineStatus"] == "SUSPENDED" and menu["customerName"] == "배수지"
    assert menu["currentProduct"]["productCode"] == "5GX_BASIC"
    assert not items["PRODUCT_CHANGE"]["available"]
    unknown = world.known("01022223333", "CUST-0011").menu().expect(200).data
    checks.menu(unknown)
    assert unknown["lineStatus"] == "SUSPENDED" and unknown["customerName"] == "조은별"


def test_menu_with_0000_and_terminated_says_terminated(world):
    c = world.customer(lineStatus="TERMINATED", answersInactive=True)
    menu = c.api.menu().expect(200).data
    items = checks.menu(menu)
    assert menu["lineStatus"] == "TERMINATED" and not items["PRODUCT_CHANGE"]["available"]
    c.api.screen().expect(409, "LINE_SUSPENDED")


def test_menu_with_0000_and_no_product_code_is_like_3003(world, family):
    menu = world.known("01099990000", "CUST-0018").on(family).menu().expect(200).data
    items = checks.menu(menu)
    assert "currentProduct" not in menu and not items["PRODUCT_CHANGE"]["available"]


def test_absent_line_status_is_active(world):
    menu = world.known("01044445555", "CUST-0013").menu().expect(200).data
    items = checks.menu(menu)
    assert menu["lineStatus"] == "ACTIVE" and items["PRODUCT_CHANGE"]["available"]
    assert "contractInfo" not in menu, "nothing is invented"


def test_unknown_line_is_404_on_every_read(world, family):
    """3001: LINE_NOT_FOUND on every read."""
    api = world.known("01000000000", "CUST-9999")
    api.on(family).menu().expect(404, "LINE_NOT_FOUND")
    api.screen().expect(404, "LINE_NOT_FOUND")
    api.on("frontend").customer().expect(404, "LINE_NOT_FOUND")


def test_untidy_numbers_and_times_are_normalised(world):
    """Numbers as decimals and text, a date without dashes, an odd timestamp, a traceId that is a number."""
    c = world.known("01011112222", "CUST-0010").on("frontend").customer().expect(200).data
    checks.customer(c)
    product = c["currentProduct"]
    assert product["monthlyFee"] == 55000
    assert product["dataAllowance"] in ("50", "50GB")  # text stays; a number as text is still text
    assert product["voiceAllowance"] == "600분"
    assert c["contractInfo"]["contractDate"] == "2023-04-15"


def test_missing_name_and_fee_come_from_the_catalogue(world):
    c = world.known("01033334444", "CUST-0012").on("frontend").customer().expect(200).data
    checks.customer(c)
    assert c["currentProduct"]["productName"] == "LTE 베이직" and c["currentProduct"]["monthlyFee"] == 33000
    assert c["currentProduct"]["dataAllowance"] == "10GB"


def test_contract_date_with_a_time_is_a_date(world):
    c = world.known("01023456789", "CUST-0002").on("frontend").customer().expect(200).data
    assert c["contractInfo"]["contractDate"] == "2022-11-15"


def test_current_product_that_the_list_does_not_have_is_shown_as_kos_gave_it(world):
    c = world.known("01088889999", "CUST-0017").on("frontend").customer().expect(200).data
    checks.customer(c)
    assert c["currentProduct"]["productName"] == "사라진 요금제" and c["currentProduct"]["monthlyFee"] == 27500


def test_a_product_that_is_no_longer_sold_is_not_available(world):
    c = world.known("01089012345", "CUST-0008").on("frontend").customer().expect(200).data
    assert c["currentProduct"]["productCode"] == "LTE_LEGACY" and c["currentProduct"]["available"] is False


def test_a_current_products_missing_fields_come_from_the_catalogue(world, customer):
    """KOS's inquiry gives no network type, operator and description: the catalogue does."""
    assert customer.front.customer().expect(200).data["currentProduct"] == {**PRODUCT_LTE_BASIC, **ONLY_IN_THE_LIST}
    assert customer.api.menu().expect(200).data["currentProduct"] == {**PRODUCT_LTE_BASIC, **ONLY_IN_THE_LIST}
    assert customer.api.screen().expect(200).data["currentProduct"] == {**PRODUCT_LTE_BASIC, **ONLY_IN_THE_LIST}


def test_a_customer_id_that_kos_does_not_give_is_the_tokens(world, family):
    """Contract section 1, Customer: customerId is always there for the line's own customer; nothing is invented for an ADMIN, whose
    id is not the customer's."""
    for record in ({}, {"lineStatus": "SUSPENDED"}):
        c = world.customer(inquiry={"customerInfo": {"customerId": "$omit"}}, **record)
        boss = world.admin(customerId="CUST-OF-THE-ADMIN").on(family)
        for reads in range(2):  # from KOS, then from the cache
            mine, bosss = c.api.on(family).menu().expect(200).data, boss.menu(c.line).expect(200).data
            assert mine["customerId"] == c.customer_id and mine["lineNumber"] == c.line
            assert list(mine)[:2] == ["customerId", "lineNumber"]
            assert "customerId" not in bosss and bosss["lineNumber"] == c.line
        if not record:
            assert c.front.customer().expect(200).data["customerId"] == c.customer_id
            assert c.api.screen().expect(200).data["customerId"] == c.customer_id


def test_the_menu_of_a_suspended_line_shows_no_admins_customer_id(world, family):
    """3002: customerId from the token, when the line is the token's."""
    menu = world.admin(customerId="CUST-OF-THE-ADMIN").on(family).menu("01034567890").expect(200).data
    assert "customerId" not in menu and menu["lineStatus"] == "SUSPENDED"


def test_current_product_without_name_and_fee_anywhere_is_like_3003(world):
    c = world.customer(product="NOWHERE", inquiry={"productInfo": {"currentProductName": "$omit", "monthlyFee": None}})
    menu = c.api.menu().expect(200).data
    checks.menu(menu)
    assert "currentProduct" not in menu
    c.api.screen().expect(409, "CURRENT_PRODUCT_UNKNOWN")


@pytest.mark.parametrize("given, shown", [
    ({"dataAllowance": -1, "voiceAllowance": -1, "smsAllowance": -1}, ("무제한", "무제한", "무제한")),
    ({"dataAllowance": 3, "voiceAllowance": 40, "smsAllowance": 50}, ("3GB", "40분", "50건")),
    ({"dataAllowance": "매일 2GB", "voiceAllowance": "집전화 무료", "smsAllowance": "기본 제공"},
     ("매일 2GB", "집전화 무료", "기본 제공")),
])
def test_allowances_become_text(world, given, shown):
    """-1 무제한, n nGB / n분 / n건, text stays."""
    c = world.customer(inquiry={"productInfo": given})
    p = c.front.customer().expect(200).data["currentProduct"]
    assert (p["dataAllowance"], p["voiceAllowance"], p["smsAllowance"]) == shown


def test_allowances_of_the_list_become_text_and_null_is_no_information(world, customer):
    products = {p["productCode"]: p for p in customer.front.available().expect(200).data["products"]}
    assert products["5GX_PREMIUM"]["dataAllowance"] == "무제한"
    assert products["LTE_PLUS"]["dataAllowance"] == "100GB"  # 100.0
    assert products["LTE_SLIM"]["dataAllowance"] == "1.5GB+1Mbps"
    assert products["KIDS_SAFE"]["dataAllowance"] == products["KIDS_SAFE"]["smsAllowance"] == "정보 없음"


@pytest.mark.parametrize("fee, won", [(45000, 45000), ("45000.00", 45000), ({"$raw": "4.5E4"}, 45000), ({"$raw": "0"}, 0),
                                      ("45000", 45000)])
def test_a_readable_fee_is_a_whole_number_of_won(world, fee, won):
    c = world.customer(inquiry={"productInfo": {"monthlyFee": fee}})
    assert c.front.customer().expect(200).data["currentProduct"]["monthlyFee"] == won


@pytest.mark.parametrize("fee", ["협의", "-1", -100, {"$raw": "100.5"}, "1e3x", "", "45,000", True])
def test_an_unreadable_fee_comes_from_the_catalogue(world, fee):
    c = world.customer(inquiry={"productInfo": {"monthlyFee": fee}})
    assert c.front.customer().expect(200).data["currentProduct"]["monthlyFee"] == 33000


@pytest.mark.parametrize("timestamps", ["local", "array", "odd", "none"])
def test_odd_times_never_reject_a_body(world, kos, timestamps):
    kos.settings(timestamps=timestamps)
    try:
        checks.menu(world.customer().api.menu().expect(200).data)
    finally:
        kos.settings(timestamps="local")


@pytest.mark.parametrize("failure_data", ["null", "absent", "present"])
def test_failure_envelopes_with_any_kind_of_data(world, kos, failure_data):
    """Envelope failures under HTTP 200; data null, absent, or there."""
    kos.settings(failureData=failure_data)
    try:
        world.known("01000000000").screen().expect(404, "LINE_NOT_FOUND")
        world.known("01034567890").screen().expect(409, "LINE_SUSPENDED")
        world.known("01056789012").screen().expect(409, "CURRENT_PRODUCT_UNKNOWN")
    finally:
        kos.settings(failureData="null")


@pytest.mark.parametrize("kind", ["chunked", "slow_drip"])
def test_answers_may_be_chunked_or_come_in_pieces(world, kos, kind):
    c = world.customer()
    kos.fault(kind, operation="inquiry", lineNumber=c.line, bytes=50, **({"delayMs": 5} if kind == "slow_drip" else {}))
    assert is_lte_basic(c.api.menu().expect(200).data["currentProduct"])


def test_a_second_read_comes_from_the_cache(world, customer, kos):
    first = customer.api.menu().expect(200).data
    assert customer.front.menu().expect(200).data == first
    assert len(kos.calls("inquiry", customer.line)) == 1


def test_kos_is_asked_with_our_headers_and_the_correlation_id(world, customer, kos):
    """Inquiries outside a change send the correlation id; X-Request-ID, X-Service-Name and traceparent go along."""
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    customer.api.menu(X_Request_ID="menu:test-1._", traceparent=f"00-{trace}-00f067aa0ba902b7-01").expect(200)
    [call] = kos.calls("inquiry", customer.line)
    assert call["requestId"] == "menu:test-1._"
    h = call["headers"]
    assert h["X-Request-ID"] == "menu:test-1._" and h["X-Service-Name"] == "product-change-service"
    assert h["Content-Type"].startswith("application/json")
    version, trace_id, span, flags = h["traceparent"].split("-")
    assert (version, trace_id, flags) == ("00", trace, "01") and span != "00f067aa0ba902b7"


def test_an_inquiry_in_snake_case_is_read_too(world, kos):
    c = world.customer()
    body = {"success": True, "resultCode": "0000", "resultMessage": "ok", "data": {
        "request_id": "x", "proc_status": "SUCCESS", "result_code": "0000",
        "product_info": {"line_number": c.line, "current_product_code": "LTE_BASIC", "current_product_name": "LTE 베이직", "monthly_fee": "33000"},
        "customer_info": {"customer_name": "통합시험", "customer_id": c.customer_id, "operator_code": "MVNO01", "line_status": "ACTIVE"}}}
    kos.fault("http_status", operation="inquiry", lineNumber=c.line, status=200, body=body)
    menu = c.api.menu().expect(200).data
    checks.menu(menu)
    assert menu["customerId"] == c.customer_id and menu["currentProduct"]["monthlyFee"] == 33000


def test_an_answer_about_another_line_is_not_shown(world, kos):
    """A customer never sees somebody else's data, whatever KOS mixes up."""
    c = world.customer()
    kos.fault("wrong_request_id", operation="inquiry", variant="lineNumber", lineNumber=c.line)
    c.api.menu().expect(503, "KOS_UNAVAILABLE")
    c.api.change(c.body()).expect(503, "KOS_UNAVAILABLE")
    assert not c.orders()


def test_a_kos_whose_name_cannot_be_resolved(world):
    service = world.start_service(name="no-dns", KOS_BASE_URL="http://kos.invalid:1", REDIS_DATABASE="60", JOURNAL_PATH=world.folder + "/journal-dns")
    try:
        c = world.customer()
        c.api.at(service).menu(timeout=10).expect(503, "KOS_UNAVAILABLE")
        c.api.at(service).change(c.body(), timeout=10).expect(503, "KOS_UNAVAILABLE")
    finally:
        service.stop()
