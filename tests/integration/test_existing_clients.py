"""Existing clients (issue 6 point 4, CONTRACT.md 1): every call of /api/v1/products/… as the operator's web frontend
makes it and as the operator's gateway passes it on, its answer field by field; the actuator paths that the gateway
probes. The gateway sends X-User-ID, X-Token-Expires-At, X-Request-ID, X-Gateway-Request, X-Forwarded-* and
Authorization unchanged; X-User-Role may be absent."""

import time
import uuid

import pytest

from harness import checks, tokens

ENV = {"LIMITS_RATE": 0, "SERVER_PUBLIC_PREFIX": "/product"}
BASE = "/api/v1/products"

STANDARD = {"productCode": "5GX_STANDARD", "productName": "5GX 스탠다드", "monthlyFee": 75000, "dataAllowance": "200GB", "voiceAllowance": "무제한",
            "smsAllowance": "무제한", "isAvailable": True, "available": True, "operatorCode": "MVNO01", "networkType": "5G", "description": "데이터 200GB"}
PREMIUM = {"productCode": "5GX_PREMIUM", "productName": "5GX 프리미엄", "monthlyFee": 89000, "dataAllowance": "무제한", "voiceAllowance": "무제한",
           "smsAllowance": "무제한", "isAvailable": True, "available": True, "operatorCode": "MVNO01", "networkType": "5G", "description": "데이터, 음성, 문자 무제한"}


class Client:
    """The frontend behind the operator's gateway."""

    def __init__(self, world, role=None, **members):
        self.c = world.customer(product="5GX_STANDARD", **members)
        self.api, self.role = self.c.front, role
        self.line = tokens.dashed(self.c.line)

    def __call__(self, method, path, body=None, **more):
        id_ = str(uuid.uuid4())
        headers = {"X-User-ID": self.c.subject, "X-Token-Expires-At": str(int(time.time()) + 3600), "X-Request-ID": id_, "X-Gateway-Request": "true",
                   "X-Forwarded-For": "203.0.113.9", "X-Forwarded-Host": "shop.example", "X-Forwarded-Proto": "https", "X-Forwarded-Port": "443",
                   "X-User-Role": self.role, "Accept": "application/json, text/plain, */*"}
        reply = self.api(method, BASE + path, body, **headers, **more)
        assert reply.headers["X-Request-ID"] == id_
        return reply

    def get(self, path, **more):
        return self("GET", path, **more)

    def change_body(self, target="5GX_PREMIUM", **more):
        """As the frontend fills it in: the line with dashes, and the dates."""
        return {"lineNumber": self.line, "currentProductCode": "5GX_STANDARD", "targetProductCode": target,
                "requestDate": time.strftime("%Y-%m-%dT%H:%M:%S"), **more}


@pytest.fixture(params=[None, "USER"], ids=["no role", "role"])
def client(request, world):
    return Client(world, request.param)


def exactly(value, **expected):
    assert value == expected, {k: (value.get(k), expected.get(k)) for k in {*value, *expected} if value.get(k) != expected.get(k)}


def customer_of(client, **more):
    return {"customerId": client.c.customer_id, "lineNumber": client.c.line, "customerName": "통합시험", "lineStatus": "ACTIVE", "currentProduct": STANDARD,
            "contractInfo": {"contractDate": "2023-03-01"}, **more}


# --- reads ---

def test_menu(client):
    exactly(client.get("/menu").expect(200).data, **customer_of(client, menuItems=[
        {"menuId": "PRODUCT_CHANGE", "menuName": "상품 변경", "available": True}, {"menuId": "CHANGE_HISTORY", "menuName": "변경 이력", "available": True}]))


def test_customer_by_query_by_path_and_by_token(client):
    """Dashes in the query and in the path; with one line in the token the parameter may be absent."""
    for path in (f"/customer?lineNumber={client.line}", f"/customer?lineNumber={client.c.line}", f"/customer/{client.line}", f"/customer/{client.c.line}", "/customer"):
        exactly(client.get(path).expect(200).data, **customer_of(client))


def test_available(client):
    """On sale, not the current one, of the operator; `available` is what that frontend reads. KOS's order."""
    data = client.get("/available?currentProductCode=5GX_STANDARD&operatorCode=MVNO01").expect(200).data
    assert data.keys() == {"products", "totalCount"} and data["totalCount"] == len(data["products"]) == 7
    assert [p["productCode"] for p in data["products"]] == ["5GX_PREMIUM", "5GX_BASIC", "LTE_PLUS", "LTE_BASIC", "LTE_SLIM", "KIDS_SAFE", "SENIOR_OPEN"]
    exactly(data["products"][0], **PREMIUM)
    for p in data["products"]:
        assert p["available"] is True and p["isAvailable"] is True and type(p["monthlyFee"]) is int
    kids = next(p for p in data["products"] if p["productCode"] == "KIDS_SAFE")
    assert (kids["dataAllowance"], kids["voiceAllowance"], kids["smsAllowance"]) == ("정보 없음",) * 3 and "description" not in kids
    everything = client.get("/available").expect(200).data
    assert {"5GX_STANDARD", "OTHER_5G", "OTHER_LTE"} <= {p["productCode"] for p in everything["products"]} and everything["totalCount"] == 10
    assert not {"LTE_LEGACY", "5GX_PREVIEW"} & {p["productCode"] for p in everything["products"]}


# --- the pre-check ---

def test_validation(client):
    exactly(client("POST", "/change/validation", client.change_body()).expect(200).data, validationResult="SUCCESS", validationDetails=[
        {"checkType": "PRODUCT_AVAILABLE", "result": "PASS", "message": "판매 중인 상품입니다"},
        {"checkType": "OPERATOR_MATCH", "result": "PASS", "message": "통신사가 일치합니다"},
        {"checkType": "LINE_STATUS", "result": "PASS", "message": "사용 중인 회선입니다"}])
    failed = client("POST", "/change/validation", client.change_body("OTHER_5G")).expect(200).data
    assert failed["validationResult"] == "FAILURE" and [d["result"] for d in failed["validationDetails"]] == ["PASS", "FAIL", "PASS"]
    assert failed["failureReason"] == "고객님의 통신사에서 이용할 수 없는 상품입니다" and failed.keys() == {"validationResult", "validationDetails", "failureReason"}


# --- the change ---

def test_change_is_a_result_with_the_new_product(client, world):
    reply = client("POST", "/change", client.change_body(), Idempotency_Key=str(uuid.uuid4())).expect(200)
    data = reply.data
    assert data.keys() == {"requestId", "lineNumber", "processStatus", "currentProductCode", "targetProductCode", "requestedAt", "processedAt", "resultCode",
                           "resultMessage", "changedProduct", "kosOrderNumber", "cancellable", "nextActions"}
    exactly({k: data[k] for k in ("lineNumber", "processStatus", "currentProductCode", "targetProductCode", "resultCode", "resultMessage", "cancellable")},
            lineNumber=client.c.line, processStatus="COMPLETED", currentProductCode="5GX_STANDARD", targetProductCode="5GX_PREMIUM", resultCode="0000",
            resultMessage="상품 변경이 완료되었습니다", cancellable=False)
    exactly(data["changedProduct"], **PREMIUM)
    assert checks.time(data["requestedAt"]) <= checks.time(data["processedAt"])
    # hrefs are of the family that was called, and without the gateway's prefix of the other one
    assert [(a["action"], a["href"]) for a in data["nextActions"]] == [("VIEW_MENU", BASE + "/menu"), ("VIEW_HISTORY", BASE + "/history")]
    looked = client.get(f"/change/{data['requestId']}").expect(200).data
    exactly(looked, **data)
    assert client.get("/menu").data["currentProduct"] == PREMIUM
    assert len(client.c.orders()) == 1


def test_kos_refusal_is_200_with_a_failed_result(client, kos):
    """That frontend shows its failure screen only for 200 (the core path says 409 CHANGE_DENIED)."""
    kos.fault("result_code", operation="change", lineNumber=client.c.line, resultCode="2099", count=1)
    data = client("POST", "/change", client.change_body()).expect(200).data
    assert data.keys() == {"requestId", "lineNumber", "processStatus", "currentProductCode", "targetProductCode", "requestedAt", "processedAt", "resultCode",
                           "resultMessage", "failureReason", "cancellable", "nextActions"}
    assert (data["processStatus"], data["resultCode"], data["resultMessage"], data["cancellable"]) == ("FAILED", "2099", "상품 변경에 실패하였습니다", False)
    assert data["failureReason"] and data["nextActions"][0]["action"] == "RETRY"
    assert client.get(f"/change/{data['requestId']}").expect(200).data["processStatus"] == "FAILED"
    assert client.c.at_kos() == "5GX_STANDARD"


def test_what_is_no_order_stays_an_error_on_this_family(client):
    """Only KOS's refusal is 200: the pre-check's failure is 409 here too, and says which check."""
    error = client("POST", "/change", client.change_body("LTE_LEGACY")).expect(409, "VALIDATION_FAILED").error
    assert error["message"] == "상품 사전 체크에 실패하였습니다" and [c["result"] for c in error["checks"]] == ["FAIL", "PASS", "PASS"]
    client("POST", "/change", client.change_body("5GX_STANDARD")).expect(409, "SAME_PRODUCT")
    client("POST", "/change", {**client.change_body(), "currentProductCode": "LTE_BASIC"}).expect(409, "CURRENT_PRODUCT_MISMATCH")
    client("POST", "/change", {**client.change_body(), "changeEffectiveDate": "2099-01-01"}).expect(400, "INVALID_REQUEST")
    client("POST", "/change", {**client.change_body(), "lineNumber": "010-9999-8888"}).expect(403, "FORBIDDEN")
    assert not client.c.orders()


def test_kos_out_is_503_with_what_that_frontend_needs_in_the_body(client, kos):
    """One real gateway drops headers: when to come back is in the body too."""
    kos.fault("http_status", lineNumber=client.c.line, status=500)
    error = client("POST", "/change", client.change_body()).expect(503, "KOS_UNAVAILABLE").error
    assert error["message"] == "시스템 일시 장애, 잠시 후 재시도" and error["retryAfterSeconds"] >= 1 and "requestId" not in error
    error = client.get("/menu").expect(503, "KOS_UNAVAILABLE").error
    assert error["message"] == "상품 변경 요청 메뉴 로딩에 실패하였습니다" and error["path"] == BASE + "/menu"


def test_accepted_is_shown_by_its_path_and_can_be_waited_for(client, kos):
    gate = kos.fault("gate", operation="change", phase="after", lineNumber=client.c.line)
    reply = client("POST", "/change", client.change_body(), Prefer="respond-async").expect(202)
    path = f"{BASE}/change/{reply.data['requestId']}"
    assert reply.headers["Location"] == path and reply.data["processStatus"] == "PROCESSING"
    assert reply.data["nextActions"][0] == {"action": "WAIT", "label": "처리 결과 기다리기", "href": path}
    client("DELETE", path.removeprefix(BASE)).expect(409, "NOT_CANCELLABLE")
    kos.clear(gate)
    assert client.get(f"/change/{reply.data['requestId']}?wait=10").expect(200).data["processStatus"] == "COMPLETED"


# --- history ---

def test_history(client, world):
    made = client("POST", "/change", client.change_body()).expect(200).data
    world.forwarded()
    reply = client.get(f"/history?lineNumber={client.line}&page=1&size=10").expect(200)
    exactly(reply.data["pagination"], page=1, size=10, totalElements=1, totalPages=1, hasNext=False, hasPrevious=False)
    assert reply.headers["X-Total-Count"] == "1"
    exactly(reply.data["history"][0], requestId=made["requestId"], lineNumber=client.c.line, processStatus="COMPLETED", currentProductCode="5GX_STANDARD",
            currentProductName="5GX 스탠다드", targetProductCode="5GX_PREMIUM", targetProductName="5GX 프리미엄", requestedAt=made["requestedAt"],
            processedAt=made["processedAt"], resultCode="0000", resultMessage="상품 변경이 완료되었습니다")
    today = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 9 * 3600))
    assert client.get(f"/history?startDate={today}&endDate={today}").data["pagination"]["totalElements"] == 1
    assert client.get("/history?endDate=2020-01-01").data["pagination"]["totalElements"] == 0


# --- the gateway's headers ---

def test_the_gateways_identity_headers_are_no_credentials(client, world):
    """Who somebody is comes from the token alone: headers that say otherwise change nothing."""
    other = Client(world)
    forged = {"X-User-ID": other.c.subject, "X-User-Role": "ADMIN", "X-Line-Number": other.c.line}
    assert client.api("GET", BASE + "/menu", **forged).data["lineNumber"] == client.c.line
    client.api("GET", f"{BASE}/customer/{other.c.line}", **forged).expect(403, "FORBIDDEN")
    client.api("GET", BASE + "/menu", **forged, Authorization="").expect(401, "UNAUTHORIZED")
    # What the gateway says of the token's end is not believed either: exp is in the token.
    client.api("GET", BASE + "/menu", **{"X-Token-Expires-At": "1"}).expect(200)
    old = world.token(sub=client.c.subject, lineNumber=client.line, ttl=-100)
    client.api("GET", BASE + "/menu", Authorization=f"Bearer {old}", **{"X-Token-Expires-At": "9999999999"}).expect(401, "UNAUTHORIZED")


def test_authorization_of_the_production_issuer(world):
    """HS512 without permissions claim, the line with dashes, no typ in the header: let in."""
    c = Client(world)
    claims = {"sub": c.c.subject, "customerId": c.c.customer_id, "lineNumber": c.line, "iss": tokens.ISSUER, "type": "ACCESS", "exp": int(time.time()) + 600}
    token = tokens.sign({"alg": "HS512"}, claims)
    world.issued.append(token)
    assert c.api("GET", BASE + "/customer", Authorization=f"Bearer {token}").expect(200).data["lineNumber"] == c.c.line


@pytest.mark.parametrize("path", ["/actuator/health", "/actuator/health/liveness", "/actuator/health/readiness"])
def test_actuator_paths_as_the_gateway_probes_them(world, path):
    """Without a token and without an envelope."""
    reply = world.api().get(path, **{"X-Gateway-Request": "true"}).expect(200)
    assert reply.json == {"status": "UP"} and reply.headers["Content-Type"].startswith("application/json")
