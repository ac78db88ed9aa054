"""UFR-PROD-020 / SCR-006: the change screen, and the existing frontend's list of products."""

import pytest

from harness import checks

# On sale for MVNO01, in KOS's order; SENIOR_OPEN names no operator and so matches.
ON_SALE = ["5GX_PREMIUM", "5GX_STANDARD", "5GX_BASIC", "LTE_PLUS", "LTE_BASIC", "LTE_SLIM", "KIDS_SAFE", "SENIOR_OPEN"]


def codes(products):
    return [p["productCode"] for p in products]


def test_ufr_prod_020_scr_006_current_product_and_changeable_products_in_one_answer(world, customer):
    screen = customer.api.screen().expect(200).data
    checks.change_screen(screen)
    assert screen["lineNumber"] == customer.line and screen["currentProduct"]["productCode"] == "LTE_BASIC"
    assert codes(screen["products"]) == [c for c in ON_SALE if c != "LTE_BASIC"], "KOS's order, the operator's, not the current"
    plus = next(p for p in screen["products"] if p["productCode"] == "LTE_PLUS")
    assert plus["monthlyFee"] == 45000 and plus["monthlyFeeDifference"] == 12000
    cheaper = next(p for p in screen["products"] if p["productCode"] == "LTE_SLIM")
    assert cheaper["monthlyFeeDifference"] == -11000


def test_ufr_prod_020_every_other_product_is_listed_with_the_reason_it_is_not_offered(world, customer):
    unavailable = {u["productCode"]: u for u in customer.api.screen().expect(200).data["unavailable"]}
    assert {c: u["reasonCode"] for c, u in unavailable.items()} == {
        "LTE_LEGACY": "PRODUCT_AVAILABLE",
        "5GX_PREVIEW": "PRODUCT_AVAILABLE",
        "OTHER_5G": "OPERATOR_MATCH",
        "OTHER_LTE": "OPERATOR_MATCH",
    }
    assert unavailable["LTE_LEGACY"]["productName"] == "LTE 구형 요금제"
    assert all(checks.HANGUL.search(u["reason"]) for u in unavailable.values())


def test_reasons_in_english(world, customer):
    screen = customer.api.screen(Accept_Language="en").expect(200).data
    checks.change_screen(screen)
    assert not any(checks.HANGUL.search(u["reason"]) for u in screen["unavailable"])


def test_products_without_a_readable_code_or_fee_are_dropped_with_a_warning(world, customer):
    screen = customer.api.screen().expect(200).data
    everywhere = codes(screen["products"]) + codes(screen["unavailable"])
    assert "FEE_UNREADABLE" not in everywhere
    assert "코드 없는 상품" not in str(screen)
    warnings = [e for e in world.service.lines() if e["level"] == "warn"]
    assert len(warnings) >= 2, "a warning for each dropped product"


def test_a_line_without_operator_matches_every_product(world):
    """If the product's operator or the line's is unknown it matches, in /change and /available alike."""
    screen = world.known("01067890123", "CUST-0006").screen().expect(200).data
    checks.change_screen(screen)
    assert {"OTHER_5G", "OTHER_LTE"} <= set(codes(screen["products"]))
    assert {u["reasonCode"] for u in screen["unavailable"]} == {"PRODUCT_AVAILABLE"}


def test_a_line_of_another_operator_sees_its_own_products(world):
    screen = world.known("01078901234", "CUST-0007").screen().expect(200).data
    checks.change_screen(screen)
    assert codes(screen["products"]) == ["SENIOR_OPEN", "OTHER_LTE"]


def test_the_current_product_is_in_neither_list_even_when_it_is_not_sold(world):
    screen = world.known("01089012345", "CUST-0008").screen().expect(200).data
    checks.change_screen(screen)
    assert "LTE_LEGACY" not in codes(screen["products"]) + codes(screen["unavailable"])
    assert codes(screen["products"]) == ON_SALE


def test_current_product_unknown_to_the_list(world):
    screen = world.known("01088889999", "CUST-0017").screen().expect(200).data
    checks.change_screen(screen)
    assert screen["products"][0]["monthlyFeeDifference"] == 89000 - 27500


def test_ufr_prod_020_available_is_what_is_on_sale_in_kos_order(world, customer):
    a = customer.front.available().expect(200).data
    checks.available(a)
    assert codes(a["products"]) == ON_SALE + ["OTHER_5G", "OTHER_LTE"]


@pytest.mark.parametrize("current, operator, expected", [
    ("LTE_BASIC", None, [c for c in ON_SALE if c != "LTE_BASIC"] + ["OTHER_5G", "OTHER_LTE"]),
    (None, "MVNO01", ON_SALE),
    ("5GX_PREMIUM", "MVNO01", ON_SALE[1:]),
    (None, "MVNO02", ["SENIOR_OPEN", "OTHER_5G", "OTHER_LTE"]),
    ("UNKNOWN", "NOBODY", ["SENIOR_OPEN"]),
])
def test_available_without_the_current_product_and_by_operator(world, customer, current, operator, expected):
    a = customer.front.available(current, operator).expect(200).data
    checks.available(a)
    assert codes(a["products"]) == expected


def test_available_looks_no_customer_up(world, customer, kos):
    customer.front.available("LTE_BASIC", "MVNO01").expect(200)
    assert not kos.calls("inquiry", customer.line)


@pytest.mark.parametrize("current", ["A B", "x" * 51, "가격"])
def test_available_with_a_product_code_that_is_none_is_400(world, customer, current):
    reply = customer.front.available(current).expect(400, "INVALID_REQUEST")
    assert [f["field"] for f in reply.error["fields"]] == ["currentProductCode"]


def test_product_with_all_fields_and_products_with_fewer(world, customer):
    products = {p["productCode"]: p for p in customer.front.available().expect(200).data["products"]}
    assert products["5GX_STANDARD"] == {
        "productCode": "5GX_STANDARD", "productName": "5GX 스탠다드", "monthlyFee": 75000, "dataAllowance": "200GB",
        "voiceAllowance": "무제한", "smsAllowance": "무제한", "isAvailable": True, "available": True,
        "operatorCode": "MVNO01", "networkType": "5G", "description": "데이터 200GB",
    }
    assert "description" not in products["KIDS_SAFE"] and "operatorCode" not in products["SENIOR_OPEN"]
    assert products["SENIOR_OPEN"]["productName"] == '시니어 "열린" 요금제'
    assert {c: p["monthlyFee"] for c, p in products.items()} == {
        "5GX_PREMIUM": 89000, "5GX_STANDARD": 75000, "5GX_BASIC": 55000, "LTE_PLUS": 45000, "LTE_BASIC": 33000,
        "LTE_SLIM": 22000, "KIDS_SAFE": 19800, "SENIOR_OPEN": 16500, "OTHER_5G": 60000, "OTHER_LTE": 30000}


def test_the_core_family_has_no_customer_and_no_available(world, customer):
    customer.api.get("/customer").expect(404, "NOT_FOUND")
    customer.api.get("/available").expect(404, "NOT_FOUND")
    customer.api.get("/api/v1/products/change").expect(405, "METHOD_NOT_ALLOWED")


def test_an_operator_is_named_as_kos_names_it(world):
    """Contract section 1, available: operator = operatorCode when given; what form KOS's operators have is not said."""
    c = world.customer(operatorCode="알뜰 통신/1")
    products = c.front.available(operator="알뜰 통신/1").expect(200).data
    assert codes(products["products"]) == codes(c.front.available(operator="NOBODY").expect(200).data["products"])
    assert "SENIOR_OPEN" in codes(products["products"]) and "LTE_PLUS" not in codes(products["products"])


def test_default_operator_is_the_operator_of_products_that_name_none(world):
    """A product's operator is the catalogue's operator_code, else KOS_DEFAULT_OPERATOR."""
    c = world.customer()
    service = world.start_service(name="default-operator", KOS_DEFAULT_OPERATOR="MVNO02", REDIS_DATABASE="0",
                                  JOURNAL_PATH=world.folder + "/journal-2")
    try:
        screen = c.api.at(service).screen().expect(200).data
        assert "SENIOR_OPEN" not in codes(screen["products"])
        assert {"SENIOR_OPEN": "OPERATOR_MATCH"}.items() <= {u["productCode"]: u["reasonCode"] for u in screen["unavailable"]}.items()
        a = c.api.at(service).available(operator="MVNO01").expect(200).data
        assert "SENIOR_OPEN" not in codes(a["products"])
        v = c.api.at(service).validate(c.body("SENIOR_OPEN")).expect(200).data
        assert checks.validation(v)["OPERATOR_MATCH"] == "FAIL"
    finally:
        service.stop()


def listed(world, products, **data):
    """A fresh service's screen of what a KOS list of these products gives."""
    body = {"success": True, "resultCode": "0000", "resultMessage": "ok", "data": {**data, "products": products}}
    world.kos.fault("http_status", operation="list", status=200, body=body)
    n = world.session.number()
    service = world.start_service(name=f"listed-{n}", REDIS_DATABASE=str(world.session.redis_database()), JOURNAL_PATH=f"{world.folder}/journal-l{n}")
    try:
        return world.customer().front.at(service).available().expect(200).data["products"]
    finally:
        world.kos.clear()
        service.stop()


def test_untidy_lists_are_normalised(world):
    """Snake and camel case, numbers as text and decimals, missing names, codes and fees, a product that comes twice."""
    camel = {"productCode": "CAMEL", "productName": "카멜", "monthlyFee": "1000.0", "dataAllowance": 1, "networkType": "5G", "status": "ACTIVE"}
    snake = {"product_code": "SNAKE", "product_name": "스네이크", "monthly_fee": "2000", "voice_allowance": "30", "status": "ACTIVE"}
    nameless = {"product_code": "NAMELESS", "product_name": None, "monthly_fee": 3000, "status": "ACTIVE"}
    dropped = [{"product_name": "코드 없음", "monthly_fee": 1, "status": "ACTIVE"}, {"product_code": "NO FEE!", "monthly_fee": 1, "status": "ACTIVE"},
               {"product_code": "NEGATIVE", "monthly_fee": -1, "status": "ACTIVE"}, {"product_code": "HALF", "monthly_fee": "0.5", "status": "ACTIVE"},
               {"product_code": "", "monthly_fee": 1, "status": "ACTIVE"}, {"product_code": "NULL_FEE", "monthly_fee": None, "status": "ACTIVE"}, None, 5, "x", []]
    products = listed(world, [camel, snake, nameless, *dropped], product_count="many")
    assert codes(products) == ["CAMEL", "SNAKE", "NAMELESS"]
    by = {p["productCode"]: p for p in products}
    checks.product(by["CAMEL"])
    checks.product(by["SNAKE"])
    checks.product(by["NAMELESS"])
    assert by["CAMEL"]["monthlyFee"] == 1000 and by["CAMEL"]["dataAllowance"] == "1GB" and by["CAMEL"]["networkType"] == "5G"
    assert by["SNAKE"]["monthlyFee"] == 2000 and by["SNAKE"]["dataAllowance"] == "정보 없음"


def test_an_empty_list_is_an_answer(world):
    assert listed(world, []) == []
