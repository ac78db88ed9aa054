"""The customer's side. Every answer is checked against what CONTRACT.md 1 says of all answers: the envelope
or the error's form, its language, X-Request-ID, Location, Retry-After, and the route's list of statuses."""

import http.client
import io
import json
import re
import socket
import weakref

import jsonschema
import requests

from . import checks

VALID_ID = re.compile(r"^[A-Za-z0-9._:-]{1,128}$")

# The two families of paths (CONTRACT.md 1, first table).
FAMILIES = {
    "core": {"menu": "/menu", "validation": "/request/validation", "request": "/request", "history": "/history"},
    "frontend": {
        "menu": "/api/v1/products/menu",
        "validation": "/api/v1/products/change/validation",
        "request": "/api/v1/products/change",
        "history": "/api/v1/products/history",
    },
}


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body
        self.family = None

    @property
    def text(self):
        return self.body.decode("utf-8")

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def data(self):
        assert self.status < 400, f"{self.status}: {self.text}"
        return self.json["data"]

    @property
    def error(self):
        assert self.status >= 400, f"{self.status}: {self.text}"
        return self.json.get("error", self.json)

    @property
    def code(self):
        return self.error["code"]

    def __repr__(self):
        return f"<{self.status} {self.text[:600]}>"

    def expect(self, status, code=None):
        """The status, and the error's code; itself, to go on with."""
        assert self.status == status, f"wanted {status} {code or ''}, got {self!r}"
        if code:
            assert self.code == code, f"wanted {code}, got {self!r}"
        return self


OPEN_PATHS = re.compile(r"^/(health/(live|ready)|metrics|openapi\.json|actuator/health(/liveness|/readiness)?|docs(/docs\.(js|css))?)$")
RETRIED = (429, 503)


def check_reply(reply, method, path, sent):
    """What holds for every answer. sent: the request's headers, names in lower case."""
    plain = path.split("?")[0]
    family = "frontend" if plain.startswith("/api/v1/") else "core"
    reply.family = family
    assert 200 <= reply.status < 600
    assert "X-Request-ID" in reply.headers, f"{method} {path}: no X-Request-ID: {dict(reply.headers)}"
    id_, given = reply.headers["X-Request-ID"], sent.get("x-request-id")
    assert VALID_ID.match(id_), id_
    if given and VALID_ID.match(given) and reply.status not in (400, 431):
        assert id_ == given, f"X-Request-ID {given} came back as {id_}"
    if (OPEN_PATHS.match(plain) and reply.status in (200, 503)) or reply.status == 204:
        return
    type_ = reply.headers.get("Content-Type", "").split(";")[0]
    value = reply.json
    if reply.status < 400:
        assert type_ == "application/json", type_
        assert set(value) == {"success", "data"} and value["success"] is True, reply
        checks.no_nulls(value["data"])
        if reply.status == 202:
            assert "Location" in reply.headers and int(reply.headers["Retry-After"]) >= 1, reply
            if value["data"]["processStatus"] in ("PENDING", "PROCESSING"):  # never only in a header
                assert value["data"]["retryAfterSeconds"] == int(reply.headers["Retry-After"]), reply
            checks.result(value["data"], family)
            assert reply.headers["Location"].endswith(value["data"]["requestId"]), reply
        return
    if "application/problem+json" in sent.get("accept", ""):
        assert type_ == "application/problem+json", type_
        error = dict(value)
        assert error.pop("type") == f"urn:pcs:{error['code']}", value
        assert error.pop("title") == error["message"] and error.pop("status") == reply.status, value
        assert error.pop("detail", None) == error.get("details"), value
    else:
        assert type_ == "application/json", type_
        assert set(value) == {"success", "error"} and value["success"] is False, reply
        error = value["error"]
    checks.error(error, family)
    assert error["correlationId"] == id_, reply
    assert error["path"].split("?")[0].endswith(plain) or reply.status in (400, 431), reply
    english = sent.get("accept-language", "").lower().startswith("en")
    assert bool(checks.HANGUL.search(error["message"])) != english, f"language: {reply}"
    if reply.status in RETRIED:
        assert int(reply.headers["Retry-After"]) == error["retryAfterSeconds"], reply
    else:
        assert "retryAfterSeconds" not in error or "Retry-After" in reply.headers, reply
    assert ("Location" in reply.headers) == ("requestId" in error), f"requestId and Location go together: {reply}"
    if "requestId" in error:
        assert reply.headers["Location"].endswith(error["requestId"]), reply
    if reply.status == 503:
        assert "requestId" not in error, reply
    if reply.status == 405:
        assert "Allow" in reply.headers, reply


# Headers that the network's layer adds; all others have to be described.
OF_THE_TRANSPORT = {"date", "content-type", "content-length", "connection", "keep-alive", "vary",
                    "access-control-allow-origin", "access-control-expose-headers"}


class Described:
    """What /openapi.json says: which statuses a route may answer with, and what their headers and bodies look like."""

    def __init__(self, text):
        self.text = text
        self.routes = []
        for path, operations in text["paths"].items():
            pattern = re.compile(re.sub(r"\{\w+\}", "[^/]+", path) + "$")
            for method, operation in operations.items():
                self.routes.append((method.upper(), path, pattern, operation.get("responses", {})))
        # Paths without parameters first: /request/validation is no requestId.
        self.routes.sort(key=lambda r: "{" in r[1])
        self.validators = {}

    def resolve(self, node):
        while "$ref" in node:
            ref, node = node["$ref"], self.text
            for part in ref[2:].split("/"):
                node = node[part.replace("~1", "/").replace("~0", "~")]
        return node

    def check_headers(self, where, response, headers):
        """Every header is described, those that are always there are there, and their values are what they should be."""
        described = {name.lower(): self.resolve(h) for name, h in response.get("headers", {}).items()}
        unknown = {name.lower() for name in headers} - described.keys() - OF_THE_TRANSPORT
        assert not unknown, f"{where}: headers {sorted(unknown)} are not in the OpenAPI text"
        for name, header in described.items():
            if name not in headers:
                assert not header.get("required"), f"{where}: the header {name} is missing"
                continue
            schema, value = header["schema"], headers[name]
            if schema["type"] == "integer":
                assert value.isdigit() and int(value) >= schema.get("minimum", 0), f"{where}: {name}: {value}"
            if "pattern" in schema:
                assert re.search(schema["pattern"], value), f"{where}: {name}: {value}"

    def validator(self, method, path, status, responses, type_):
        key = (method, path, status, type_)
        if key not in self.validators:
            response = self.resolve(responses[str(status)])
            content = response.get("content", {})
            schema = content.get(type_, {}).get("schema")
            assert schema is not None or not content, f"{method} {path} {status}: {type_} is not in the OpenAPI text"
            resolver = jsonschema.RefResolver.from_schema(self.text)
            self.validators[key] = schema and jsonschema.Draft4Validator(schema, resolver=resolver)
        return self.validators[key]

    def check(self, method, path, reply):
        for m, route, pattern, responses in self.routes:
            if m == method and pattern.match(path):
                assert str(reply.status) in responses, f"{method} {path}: {reply.status} is not in the OpenAPI text"
                self.check_headers(f"{method} {path} {reply.status}", self.resolve(responses[str(reply.status)]), reply.headers)
                type_ = reply.headers.get("Content-Type", "").split(";")[0]
                if type_.endswith("json") and reply.body:
                    validator = self.validator(m, route, reply.status, responses, type_)
                    if validator:
                        problem = jsonschema.exceptions.best_match(validator.iter_errors(reply.json))
                        assert not problem, f"{method} {path} {reply.status} against the OpenAPI text: {problem.message} in {list(problem.path)}"
                return


class Api:
    """Requests of one caller; described: every answer is compared with the OpenAPI text too."""

    alive = weakref.WeakSet()

    def __init__(self, url, token=None, described=None, family="core"):
        Api.alive.add(self)
        self.url, self.token, self.described, self.family = url, token, described, family
        self.session = requests.Session()
        self.session.trust_env = False

    def on(self, family):
        """The same caller on the other family of paths; a new connection, so also for another thread."""
        return Api(self.url, self.token, self.described, family)

    def another(self):
        return self.on(self.family)

    def at(self, service):
        return Api(service.url, self.token, self.described, self.family)

    def __call__(self, method, path, body=None, timeout=20, check=True, params=None, **headers):
        headers = {k.replace("_", "-"): v for k, v in headers.items() if v is not None}
        if self.token and "Authorization" not in headers:
            headers["Authorization"] = f"Bearer {self.token}"
        data = body
        if body is not None and not isinstance(body, (bytes, str)):
            data = json.dumps(body, ensure_ascii=False)
        if isinstance(data, str):
            data = data.encode()
        if data is not None:
            headers.setdefault("Content-Type", "application/json")
        answer = self.session.request(method, self.url + path, data=data, headers=headers, timeout=timeout,
                                      params=params, allow_redirects=False)
        reply = Reply(answer.status_code, answer.headers, answer.content)
        if check:
            check_reply(reply, method, path, {k.lower(): v for k, v in headers.items()})
            if self.described:
                self.described.check(method, path.split("?")[0], reply)
        return reply

    def get(self, path, **more):
        return self("GET", path, **more)

    def post(self, path, body, **more):
        return self("POST", path, body, **more)

    def path(self, name):
        return FAMILIES[self.family][name]

    def change_path(self, request_id):
        return f"{self.path('request')}/{request_id}"

    def menu(self, line=None, **more):
        return self.get(self.path("menu"), params={"lineNumber": line} if line else None, **more)

    def screen(self, line=None, **more):
        return self.get("/change", params={"lineNumber": line} if line else None, **more)

    def customer(self, line=None, **more):
        return self.get("/api/v1/products/customer", params={"lineNumber": line} if line else None, **more)

    def available(self, current=None, operator=None, **more):
        params = {k: v for k, v in (("currentProductCode", current), ("operatorCode", operator)) if v}
        return self.get("/api/v1/products/available", params=params, **more)

    def validate(self, body, **more):
        return self.post(self.path("validation"), body, **more)

    def change(self, body, **more):
        return self.post(self.path("request"), body, **more)

    def change_async(self, body, **more):
        return self.post(self.path("request"), body, Prefer="respond-async", **more)

    def result(self, request_id, wait=None, **more):
        reply = self.get(self.change_path(request_id), params={"wait": wait} if wait is not None else None,
                         timeout=40, **more)
        if reply.status == 200:
            checks.result(reply.data, self.family)
        return reply

    def cancel(self, request_id, **more):
        return self("DELETE", self.change_path(request_id), **more)

    def history(self, **params):
        reply = self.get(self.path("history"), params=params or None)
        if reply.status == 200:
            checks.history(reply.data)
            assert int(reply.headers["X-Total-Count"]) == reply.data["pagination"]["totalElements"], reply
        return reply


def raw(port, data, seconds=5, check=True, count=1):
    """Sends bytes as they are and reads `count` answers; None where the connection ended without one."""
    replies = []
    with socket.create_connection(("127.0.0.1", port), seconds) as s:
        s.settimeout(seconds)
        try:
            s.sendall(data)
        except OSError:
            pass  # answered and closed before all of it was taken
        stream = s.makefile("rb")
        for _ in range(count):
            replies.append(_read_answer(stream))
            if replies[-1] is None:
                break
            if check:
                check_reply(replies[-1], *_asked(data))
    return replies[0] if count == 1 else replies


def _asked(data):
    """Method, path and headers of a request as far as they can be made out."""
    head = data.split(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    words = head[0].split(" ")
    headers = dict((n.strip().lower(), v.strip()) for n, _, v in (line.partition(":") for line in head[1:]))
    return words[0], words[1] if len(words) > 1 else "", headers


def _read_answer(stream):
    try:
        line = stream.readline()
        if not line:
            return None
        assert line.startswith(b"HTTP/1.1 "), line
        status = int(line.split(b" ")[1])
        headers = http.client.parse_headers(stream)
        length = int(headers.get("Content-Length", "0"))
        body = stream.read(length)
    except ConnectionResetError:
        return None
    found = requests.structures.CaseInsensitiveDict(headers.items())
    return Reply(status, found, body)


def request_bytes(method, path, token=None, body=b"", headers=(), version="HTTP/1.1", host="test"):
    """A request head and body; headers: (name, value) pairs after the usual ones."""
    out = io.BytesIO()
    out.write(f"{method} {path} {version}\r\n".encode())
    if host:
        out.write(f"Host: {host}\r\n".encode())
    if token:
        out.write(f"Authorization: Bearer {token}\r\n".encode())
    for name, value in headers:
        out.write(f"{name}: {value}\r\n".encode())
    out.write(b"\r\n" + body)
    return out.getvalue()
