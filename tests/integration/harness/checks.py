"""The objects of CONTRACT.md 1, field by field: each check takes one and fails with what is wrong in it."""

import datetime
import re
import uuid

TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
DATE = re.compile(r"^\d{4}-\d\d-\d\d$")
LINE = re.compile(r"^010\d{8}$")
CODE = re.compile(r"^[A-Za-z0-9_.-]{1,50}$")
HANGUL = re.compile("[가-힣]")

ACTIONS = {"WAIT", "RETRY", "CHOOSE_ANOTHER", "CANCEL", "VIEW_MENU", "VIEW_HISTORY", "CONTACT_SUPPORT"}
CHECK_TYPES = ["PRODUCT_AVAILABLE", "OPERATOR_MATCH", "LINE_STATUS"]


def members(value, required, optional=(), where="object"):
    assert isinstance(value, dict), f"{where} is no object: {value!r}"
    missing = set(required) - value.keys()
    unknown = value.keys() - set(required) - set(optional)
    assert not missing, f"{where} lacks {sorted(missing)}: {value}"
    assert not unknown, f"{where} has {sorted(unknown)}, which the contract does not name: {value}"
    for name, member in value.items():
        assert member is not None, f"{where}.{name} is null; what is not given is absent"


def no_nulls(value, where="data"):
    if isinstance(value, dict):
        for k, v in value.items():
            assert v is not None, f"{where}.{k} is null; what is not given is absent"
            no_nulls(v, f"{where}.{k}")
    elif isinstance(value, list):
        for n, v in enumerate(value):
            no_nulls(v, f"{where}[{n}]")


def texts(value, *names):
    for name in names:
        if name in value:
            assert isinstance(value[name], str) and value[name], f"{name} is no text: {value}"


def time(text):
    assert isinstance(text, str) and TIME.match(text), f"no RFC 3339 time in UTC with milliseconds: {text!r}"
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=datetime.timezone.utc)


def won(value, minimum=0):
    assert type(value) is int, f"no whole number of won: {value!r}"
    assert minimum is None or value >= minimum, value


def request_id(text):
    assert isinstance(text, str) and uuid.UUID(text).version == 7 and str(uuid.UUID(text)) == text, f"no UUIDv7: {text!r}"


def product(p, extra=()):
    members(p, ["productCode", "productName", "monthlyFee", "dataAllowance", "voiceAllowance", "smsAllowance",
                "isAvailable", "available", *extra], ["operatorCode", "networkType", "description"], "Product")
    texts(p, "productCode", "productName", "dataAllowance", "voiceAllowance", "smsAllowance", "operatorCode",
          "networkType", "description")
    assert CODE.match(p["productCode"]), p
    won(p["monthlyFee"])
    assert isinstance(p["isAvailable"], bool) and p["available"] is p["isAvailable"], p


def contract_info(c):
    members(c, ["contractDate"], ["termEndDate", "earlyTerminationFee"], "contractInfo")
    assert DATE.match(c["contractDate"]), c


def customer(c, optional=(), required=("currentProduct",), extra=()):
    members(c, ["customerId", "lineNumber", "lineStatus", *required, *extra],
            ["customerName", "contractInfo", "stale", "ageSeconds", *optional], "Customer")
    texts(c, "customerId", "customerName")
    assert LINE.match(c["lineNumber"]), c
    assert c["lineStatus"] in ("ACTIVE", "SUSPENDED", "TERMINATED"), c
    if "currentProduct" in c:
        product(c["currentProduct"])
    if "contractInfo" in c:
        contract_info(c["contractInfo"])
    stale(c)


def stale(data):
    assert ("stale" in data) == ("ageSeconds" in data), data
    if "stale" in data:
        assert data["stale"] is True and type(data["ageSeconds"]) is int and data["ageSeconds"] >= 0, data


def menu(m):
    customer(m, required=(), optional=("currentProduct",), extra=("menuItems",))
    assert [i["menuId"] for i in m["menuItems"]] == ["PRODUCT_CHANGE", "CHANGE_HISTORY"], m["menuItems"]
    for item in m["menuItems"]:
        members(item, ["menuId", "menuName", "available"], ["reason"], "menuItem")
        texts(item, "menuName", "reason")
        assert isinstance(item["available"], bool)
        assert ("reason" in item) == (not item["available"]), item
    return {i["menuId"]: i for i in m["menuItems"]}


def change_screen(s):
    customer(s, extra=("products", "totalCount", "unavailable"))
    assert s["totalCount"] == len(s["products"])
    current = s["currentProduct"]
    for p in s["products"]:
        product(p, extra=("monthlyFeeDifference",))
        won(p["monthlyFeeDifference"], None)
        assert p["monthlyFeeDifference"] == p["monthlyFee"] - current["monthlyFee"], p
        assert p["available"] is True and p["productCode"] != current["productCode"], p
    for u in s["unavailable"]:
        members(u, ["productCode", "productName", "reasonCode", "reason"], (), "unavailable")
        texts(u, "productCode", "productName", "reason")
        assert u["reasonCode"] in ("PRODUCT_AVAILABLE", "OPERATOR_MATCH"), u
        assert u["productCode"] != current["productCode"], u


def available(a):
    members(a, ["products", "totalCount"], ["stale", "ageSeconds"], "Available")
    assert a["totalCount"] == len(a["products"])
    for p in a["products"]:
        product(p)
        assert p["available"] is True, p
    stale(a)


def validation_details(details):
    assert [d["checkType"] for d in details] == CHECK_TYPES, details
    for d in details:
        members(d, ["checkType", "result", "message"], (), "validationDetails")
        assert d["result"] in ("PASS", "FAIL"), d
        texts(d, "message")
    return {d["checkType"]: d["result"] for d in details}


def validation(v):
    members(v, ["validationResult", "validationDetails"], ["failureReason"], "Validation")
    results = validation_details(v["validationDetails"])
    assert v["validationResult"] in ("SUCCESS", "FAILURE"), v
    assert ("failureReason" in v) == (v["validationResult"] == "FAILURE"), v
    texts(v, "failureReason")
    return results


def result(r, family=None):
    members(r, ["requestId", "lineNumber", "processStatus", "currentProductCode", "targetProductCode", "requestedAt",
                "resultCode", "resultMessage", "cancellable", "nextActions"],
            ["processedAt", "failureReason", "changedProduct", "kosOrderNumber", "inDoubt", "nextCheckAt", "expiresAt",
                "retryAfterSeconds"],
            "Result")
    request_id(r["requestId"])
    assert LINE.match(r["lineNumber"]), r
    assert r["processStatus"] in ("PENDING", "PROCESSING", "COMPLETED", "FAILED"), r
    texts(r, "resultCode", "resultMessage", "failureReason", "kosOrderNumber")
    time(r["requestedAt"])
    final = r["processStatus"] in ("COMPLETED", "FAILED")
    assert ("processedAt" in r) == final, r
    for name in ("processedAt", "nextCheckAt", "expiresAt"):
        if name in r:
            time(r[name])
    assert isinstance(r["cancellable"], bool) and not (final and r["cancellable"]), r
    if "inDoubt" in r:
        assert isinstance(r["inDoubt"], bool) and not (final and r["inDoubt"]), r
    if r["processStatus"] == "COMPLETED":
        assert r["resultCode"] == "0000" and "failureReason" not in r, r
    if r["processStatus"] == "FAILED":
        assert r["resultCode"] != "0000" and "failureReason" in r, r
        assert "changedProduct" not in r, r
    if r["processStatus"] == "PENDING":
        assert r["resultCode"] == "PENDING" and "expiresAt" in r, r
    if r["processStatus"] == "PROCESSING":
        assert r["resultCode"] == "PROCESSING", r
    if "changedProduct" in r:
        product(r["changedProduct"])
        assert r["changedProduct"]["productCode"] == r["targetProductCode"], r
    actions(r["nextActions"], family)
    assert r["cancellable"] == any(a["action"] == "CANCEL" for a in r["nextActions"]), r


def actions(list_, family=None):
    assert isinstance(list_, list) and list_, list_
    for a in list_:
        members(a, ["action", "label"], ["href"], "nextAction")
        assert a["action"] in ACTIONS, a
        texts(a, "label", "href")
        if "href" in a:
            assert a["href"].startswith("/"), a
            if family == "frontend":
                assert a["href"].startswith("/api/v1/products/"), a
            elif family == "core":
                assert not a["href"].startswith("/api/v1/"), a


def history(h):
    members(h, ["history", "pagination"], (), "History")
    for item in h["history"]:
        members(item, ["requestId", "lineNumber", "processStatus", "currentProductCode", "targetProductCode",
                       "requestedAt", "resultCode", "resultMessage"],
                ["currentProductName", "targetProductName", "processedAt"], "history item")
        request_id(item["requestId"])
        time(item["requestedAt"])
        assert item["processStatus"] in ("PENDING", "PROCESSING", "COMPLETED", "FAILED"), item
    p = h["pagination"]
    members(p, ["page", "size", "totalElements", "totalPages", "hasNext", "hasPrevious"], (), "pagination")
    assert p["totalPages"] == -(-p["totalElements"] // p["size"]), p
    assert p["hasNext"] == (p["page"] < p["totalPages"]), p
    assert p["hasPrevious"] == (p["page"] > 1 and p["totalElements"] > 0 or p["page"] > 1), p
    times = [i["requestedAt"] for i in h["history"]]
    assert times == sorted(times, reverse=True), "not newest first"
    ids = [i["requestId"] for i in h["history"]]
    assert len(ids) == len(set(ids)), "one change twice"


ERROR_REQUIRED = ["code", "message", "timestamp", "path", "correlationId"]
ERROR_OPTIONAL = ["details", "fields", "checks", "resultCode", "nextActions", "requestId", "retryAfterSeconds"]


def error(e, family=None, extra=()):
    members(e, [*ERROR_REQUIRED, *extra], ERROR_OPTIONAL, "error")
    texts(e, "code", "message", "details", "path", "correlationId", "resultCode")
    time(e["timestamp"])
    if "fields" in e:
        assert isinstance(e["fields"], list) and e["fields"], e
        for f in e["fields"]:
            members(f, ["field", "message"], (), "fields")
            texts(f, "field", "message")
    if "checks" in e:
        validation_details(e["checks"])
    if "nextActions" in e:
        actions(e["nextActions"], family)
    if "requestId" in e:
        request_id(e["requestId"])
    if "retryAfterSeconds" in e:
        assert type(e["retryAfterSeconds"]) is int and e["retryAfterSeconds"] >= 1, e
