"""The API's description (issue 6 point 5): complete, its examples true to its schemas, shown at /docs. That real
answers are as described is checked of every answer in every test here (harness/client.py, Described)."""

import json
import re

import jsonschema
import pytest

from harness import checks

METHODS = ("get", "post", "delete")


@pytest.fixture(scope="module")
def text(world):
    return world.api().get("/openapi.json").expect(200).json


def operations(text):
    return [(method, path, op) for path, ops in text["paths"].items() for method, op in ops.items() if method in METHODS]


def media(described, op):
    """Everything of an operation that has examples: (where, content type, media object)."""
    out = []
    if "requestBody" in op:
        out += [("body", type_, m) for type_, m in described.resolve(op["requestBody"])["content"].items()]
    for status, response in op["responses"].items():
        out += [(status, type_, m) for type_, m in described.resolve(response).get("content", {}).items()]
    return out


def examples(m):
    return [m["example"]] if "example" in m else [e["value"] for e in m.get("examples", {}).values()]


def test_every_operation_is_told_whole(world, text):
    """Summary, description, tag, parameters with examples, headers and an example for every body."""
    ids = [op["operationId"] for _, _, op in operations(text)]
    assert len(ids) == len(set(ids)) >= 26
    tags = {t["name"] for t in text["tags"]}
    for method, path, op in operations(text):
        where = f"{method} {path}"
        assert op["summary"] and op["description"].endswith("."), where
        assert set(op["tags"]) <= tags and op["tags"], where
        for p in map(world.described.resolve, op.get("parameters", [])):
            assert p["description"] and "example" in p and p["schema"], f"{where} {p['name']}"
        for name in re.findall(r"\{(\w+)\}", path):
            assert any(p["name"] == name and p["in"] == "path" for p in map(world.described.resolve, op["parameters"])), where
        for status, response in op["responses"].items():
            response = world.described.resolve(response)
            assert response["description"] and "X-Request-ID" in response["headers"], f"{where} {status}"
            if status in ("429", "503") and path.startswith(("/menu", "/change", "/request", "/history", "/api/")):
                assert "Retry-After" in response["headers"], f"{where} {status}"
        for status, type_, m in media(world.described, op):
            assert m.get("schema") and examples(m), f"{where} {status} {type_} has no example"


def test_every_example_is_true_to_its_schema(world, text):
    resolver = jsonschema.RefResolver.from_schema(text)
    count = 0
    for method, path, op in operations(text):
        for status, type_, m in media(world.described, op):
            validator = jsonschema.Draft4Validator(m["schema"], resolver=resolver)
            for value in examples(m):
                problem = jsonschema.exceptions.best_match(validator.iter_errors(value))
                assert not problem, f"{method} {path} {status} {type_}: {problem.message} in {list(problem.path)}"
                count += 1
    assert count > 150


def test_every_example_is_true_to_the_contract_too(world, text):
    """The same checks that real answers go through, which know what a schema cannot say."""
    by_schema = {"Menu": checks.menu, "ChangeScreen": checks.change_screen, "Customer": checks.customer, "Available": checks.available,
                 "Validation": checks.validation, "Result": checks.result, "History": checks.history}
    seen = set()
    for method, path, op in operations(text):
        for status, type_, m in media(world.described, op):
            schema = m["schema"].get("properties", {}).get("data", {}).get("$ref", "").rsplit("/", 1)[-1]
            for value in examples(m):
                if schema in by_schema:
                    checks.no_nulls(value)
                    by_schema[schema](value["data"])
                    seen.add(schema)
                elif m["schema"].get("$ref", "").endswith("/Error"):
                    checks.error(value["error"])
                    seen.add("Error")
    assert seen == {*by_schema, "Error"}


def test_every_error_code_of_the_service_is_described(text):
    """The codes of the contract's table, each in an example."""
    codes = set(re.findall(r'"code": "([A-Z_]+)"', json.dumps(text["components"]["responses"])))
    assert codes == {"INVALID_REQUEST", "UNAUTHORIZED", "FORBIDDEN", "LINE_NOT_FOUND", "REQUEST_NOT_FOUND", "LINE_SUSPENDED", "CURRENT_PRODUCT_UNKNOWN",
                     "VALIDATION_FAILED", "CURRENT_PRODUCT_MISMATCH", "SAME_PRODUCT", "CHANGE_IN_PROGRESS", "CHANGE_DENIED", "NOT_CANCELLABLE", "LENGTH_REQUIRED",
                     "PAYLOAD_TOO_LARGE", "UNSUPPORTED_MEDIA_TYPE", "IDEMPOTENCY_KEY_REUSED", "TOO_MANY_REQUESTS", "HEADERS_TOO_LARGE", "INTERNAL_ERROR",
                     "KOS_UNAVAILABLE", "SERVICE_UNAVAILABLE"}


def test_the_two_families_are_described_alike(text):
    """The same handlers: the same parameters, statuses and schemas, but for the refusal as 200 (contract 1)."""
    pairs = {"/menu": "/menu", "/request": "/change", "/request/validation": "/change/validation", "/request/{requestId}": "/change/{requestId}", "/history": "/history"}
    for core, front in pairs.items():
        ours, theirs = text["paths"][core], text["paths"]["/api/v1/products" + front]
        assert ours.keys() == theirs.keys()
        for method in ours:
            assert ours[method]["parameters"] == theirs[method]["parameters"], core
            assert ours[method]["responses"].keys() == theirs[method]["responses"].keys(), core
    refused = text["paths"]["/api/v1/products/change"]["post"]["responses"]["200"]["content"]["application/json"]["examples"]["denied"]["value"]
    assert refused["success"] is True and refused["data"]["processStatus"] == "FAILED"


def test_docs_is_a_page_of_its_own_resources(world):
    """/docs: nothing from elsewhere, nothing inline, and a policy that says so."""
    page = world.api().get("/docs").expect(200)
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    loaded = re.findall(r'(?:src|href)="([^"#]+)"', page.text)
    assert sorted(loaded) == ["/docs/docs.css", "/docs/docs.js"]
    assert not re.search(r"<script>|<style|\son\w+=", page.text)
    assert world.api().get("/docs/docs.js").headers["Content-Type"].startswith("text/javascript")
    assert world.api().get("/docs/docs.css").headers["Content-Type"].startswith("text/css")
    for file in ("/docs/docs.js", "/docs/docs.css"):
        assert "://" not in world.api().get(file).text.replace("http://www.w3.org/2000/svg", "")
    world.api().get("/docs/other").expect(404, "NOT_FOUND")
