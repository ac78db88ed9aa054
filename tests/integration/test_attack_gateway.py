"""Through the real nginx with the shipped template, and as a gateway: header spoofing, smuggling between two parsers, what its log
keeps, and whose identity headers count (issue 5, points 1, 2 and 9)."""

import json
import os
import re
import subprocess
import time

import pytest

from harness import ports, tokens
from harness import siege as siege_module
from harness.client import raw, request_bytes
from harness.proc import Process, wait_until_up
from harness.siege import Siege
from harness.sims import Auth
from harness.tokens import SECRET
from test_attack_http import BIG, JSON, LINES, framings, statuses
from test_attack_http import exchange as send

ENV = {**siege_module.ENV, "LIMITS_RATE": 0, "SERVER_BODY_TIMEOUT": "3s", "SERVER_HEADER_TIMEOUT": "3s"}
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
VICTIM_LINE, MALLORY_LINE = "01012345678", "01023456789"


class Gateway:
    """nginx as `./dev up` renders it, in front of the world's service and the auth simulator."""

    def __init__(self, world, auth):
        self.port = ports.take()
        self.folder = os.path.join(world.folder, "gateway")
        os.makedirs(self.folder)
        os.chmod(self.folder, 0o777)
        script = f'DEV_ROOT={ROOT}; cd "$DEV_ROOT"; . dev.d/common.sh; . dev.d/gateway.sh; PCS_GATEWAY_RATE=100000 gateway_render {self.port} {self.folder} {auth.port} {world.service.port}'
        text = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout
        with open(os.path.join(self.folder, "nginx.conf"), "w") as f:
            f.write(text)
        self.process = Process("nginx", ["nginx", "-p", self.folder + "/", "-e", self.folder + "/error.log", "-c", self.folder + "/nginx.conf"], world.folder, {**os.environ, "TZ": "UTC"})
        wait_until_up(self.process, lambda: raw(self.port, request_bytes("GET", "/healthz"), check=False).status == 200)

    def log(self):
        with open(os.path.join(self.folder, "access.log"), encoding="utf-8") as f:
            return f.read()

    def close(self):
        self.process.stop(seconds=10)


@pytest.fixture(scope="module")
def auth(session, world):
    a = Auth(session.build, world.folder, SECRET)
    yield a
    a.close()


@pytest.fixture(scope="module")
def gateway(world, auth):
    g = Gateway(world, auth)
    yield g
    g.close()


@pytest.fixture(scope="module")
def siege(world, gateway):
    s = Siege(world)
    yield s
    # nginx keeps connections to the service: they are its to close, 30 s later.
    gateway.close()
    s.over()


@pytest.fixture(scope="module")
def mallory(auth):
    return auth.login("user02")["access_token"]


def ask(gateway, path, token, method="GET", headers=(), body=b""):
    return raw(gateway.port, request_bytes(method, path, token, body, [("Content-Length", str(len(body))), *headers] if body else list(headers), host="gateway"), check=False)


def test_the_gateway_lets_the_journey_through(siege, gateway, mallory):
    reply = ask(gateway, "/product/menu", mallory)
    assert reply.status == 200 and reply.data["lineNumber"] == MALLORY_LINE, reply


SPOOFED = ["X-User-ID", "X-User-Role", "X-Line-Number", "X-Customer-ID", "X-User-Permissions", "X-Token-Expires-At", "X-User-Email", "X_User_ID", "X_User_Role", "X-Gateway-Request", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-User", "X-Real-IP", "Forwarded",
           "X-Original-URL", "X-Rewrite-URL", "X-HTTP-Method-Override", "X-Accel-Redirect", "X-Auth-Request-User", "Remote-User", "Proxy-Authorization", "Via"]


@pytest.mark.parametrize("name", SPOOFED)
def test_a_spoofed_header_makes_nobody_somebody_else(siege, gateway, mallory, name):
    for value in ("user01", "ADMIN", VICTIM_LINE, "010-1234-5678", "PRODUCT_CHANGE ADMIN", "9999999999", "127.0.0.1", "/metrics", "/admin/status"):
        for path in ("/product/menu", "/product/history", "/api/v1/products/menu"):
            reply = ask(gateway, path, mallory, headers=[(name, value)])
            assert reply.status == 200 and VICTIM_LINE not in reply.text and "CUST-0001" not in reply.text, (name, value, reply)
        reply = ask(gateway, f"/product/menu?lineNumber={VICTIM_LINE}", mallory, headers=[(name, value)])
        assert reply.status == 403, (name, value, reply)
        assert ask(gateway, "/product/menu", None, headers=[(name, value)]).status == 401, (name, value)
        both = ask(gateway, "/product/menu", mallory, headers=[(name, value), (name, "user02")])
        assert both.status in (200, 400) and VICTIM_LINE not in both.text, (name, both)


@pytest.mark.parametrize("name", sorted(framings(type("S", (), {"order_bytes": lambda self: b"x"})())))
def test_two_parsers_in_a_row_never_see_a_third_request(siege, gateway, mallory, name):
    """What nginx makes of an unclear body reaches the service as one clear request or not at all: the order inside is never a request
    of its own, and the next customer on the kept connection gets their own answer."""
    head = framings(siege)[name].encode("utf-8")
    inside = siege.order_bytes()
    for body in (inside, b"0\r\n\r\n" + inside):
        data = b"POST /product/request/validation HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer " + mallory.encode() + b"\r\n" + JSON + head + b"\r\n" + body
        send(gateway.port, data, wait=1.0)
        reply = ask(gateway, "/product/menu", mallory)
        assert reply.status == 200 and reply.data["lineNumber"] == MALLORY_LINE, (name, reply)
    siege.nothing_was_ordered()


def test_malformed_and_oversized_heads_through_the_gateway(siege, gateway, mallory):
    for data in [d + siege.order_bytes() for d in LINES.values()] + [make(mallory).replace(b" /", b" /product/", 1) for make, _ in BIG.values()]:
        found = statuses(send(gateway.port, data, wait=1.0))
        assert all(s != 200 or b"HTTP/0.9" not in data for s in found)
        siege.nothing_was_ordered()
    assert ask(gateway, "/product/menu", mallory).status == 200


@pytest.mark.parametrize("path", ["/product/metrics", "/product/health/ready", "/product/admin/status", "/admin/status", "/metrics", "/product/..%2fmetrics", "/product/%2e%2e/metrics", "/product//metrics", "/product/x/../metrics", "/product/%6detrics", "/product;/metrics", "/product/./metrics", "/product/menu/..%2f..%2fmetrics",
                                  "/product/actuator/health", "/api/v1/products/../../../metrics", "/api/v1/products/..%2f..%2f..%2fmetrics", "/_auth", "/_error/401", "/product\\metrics"])
def test_what_is_not_for_outside_stays_inside(siege, gateway, mallory, path):
    for token in (None, mallory):
        reply = ask(gateway, path, token)
        assert reply.status in (400, 401, 404) and b"pcs_" not in reply.body and b"neighbours" not in reply.body, (path, reply)


def test_the_gateways_log_knows_no_line_no_name_and_no_token(siege, gateway, mallory):
    for path in (f"/product/menu?lineNumber={MALLORY_LINE}", f"/api/v1/products/customer/{MALLORY_LINE}", "/api/v1/products/customer/010-2345-6789", f"/product/history?lineNumber={VICTIM_LINE}&x={mallory}", f"/product/{MALLORY_LINE}", f"/{VICTIM_LINE}/{MALLORY_LINE}?a",
                 "/api/v1/products/customer/%30%31%30-2345-6789"):
        ask(gateway, path, mallory, headers=[("X-Request-ID", f"r-{MALLORY_LINE}"), ("Referer", f"http://x/{MALLORY_LINE}"), ("User-Agent", VICTIM_LINE)])
    log = gateway.log()
    assert len(log.splitlines()) > 100 and all(json.loads(line)["status"] for line in log.splitlines())
    error_log = open(os.path.join(gateway.folder, "error.log")).read()
    for text in (log, error_log):
        assert not re.search(r"(?<![0-9a-f])010-?\d{4}-?\d{4}(?![0-9a-f])", text), re.search(r".{80}(?<![0-9a-f])010-?\d{4}-?\d{4}(?![0-9a-f])", text)
        assert mallory not in text and "eyJ" not in text and "홍길동" not in text and "김영희" not in text


# --- identity headers: only where a setting names the peer ---


def named(world, peers, name, **env):
    return world.start_service(name=name, AUTH_HEADER_PEERS=peers, JOURNAL_PATH=f"{world.folder}/journal-{name}", **env)


@pytest.fixture(scope="module")
def trusting(world):
    service = named(world, "192.0.2.1, 127.0.0.0/8", "trusting")
    yield service
    service.stop()


def told(world, service, path="/menu", token=None, method="GET", **headers):
    return world.api(token, service=service)(method, path, check=False, **headers)


def test_a_named_gateway_tells_who_is_calling(world, siege, trusting):
    c = world.customer()
    who = {"X_User_ID": "gw-user", "X_Customer_ID": c.customer_id, "X_Line_Number": tokens.dashed(c.line), "X_Token_Expires_At": str(int(time.time()) + 100)}
    reply = told(world, trusting, **who).expect(200)
    assert reply.data["lineNumber"] == c.line
    told(world, trusting, f"/menu?lineNumber={VICTIM_LINE}", **who).expect(403, "FORBIDDEN")
    told(world, trusting, f"/menu?lineNumber={c.line}", X_User_ID="boss", X_User_Role="ADMIN").expect(200)
    told(world, trusting, X_User_ID="boss", X_User_Role="ADMIN").expect(400)
    result = world.api(None, service=trusting).change(c.body("LTE_LEGACY"), check=False, **{k: v for k, v in who.items()}).expect(409, "VALIDATION_FAILED")
    siege.on_purpose(rows=1, service=trusting)
    told(world, trusting, f"/request/{result.error['requestId']}", **who).expect(200)
    told(world, trusting, f"/request/{result.error['requestId']}", X_User_ID="other", X_Line_Number=VICTIM_LINE).expect(404)


@pytest.mark.parametrize("headers, status", [
    ({"X_Line_Number": "01055550000"}, 401), ({"X_User_ID": ""}, 401), ({"X_User_ID": "u"}, 403), ({"X_User_ID": "u", "X_User_Role": "USER"}, 403), ({"X_User_ID": "u", "X_User_Role": "admin"}, 403), ({"X_User_ID": "u", "X_User_Role": "USER, ADMIN"}, 401),
    ({"X_User_ID": "u, v", "X_Line_Number": "01055550000"}, 401), ({"X_User_ID": "u", "X_Line_Number": "01055550000, 01055550001"}, 401), ({"X_User_ID": "u" * 256, "X_Line_Number": "01055550000"}, 401), ({"X_User_ID": "u", "X_Line_Number": "555"}, 403),
    ({"X_User_ID": "u", "X_Line_Number": "01055550000", "X_Token_Expires_At": "1"}, 401), ({"X_User_ID": "u", "X_Line_Number": "01055550000", "X_Token_Expires_At": "x"}, 401), ({"X_User_ID": "u", "X_Line_Number": "01055550000", "X_Token_Expires_At": "-1"}, 401),
    ({"X_User_ID": "u", "X_Line_Number": "01055550000", "X_User_Permissions": "BILL_INQUIRY"}, 403), ({"X_User_ID": b"\xff\xfe", "X_Line_Number": "01055550000"}, 401), ({"X_User_ID": 'a","role":"ADMIN', "X_Line_Number": "555"}, 401),
])
def test_what_a_named_gateway_says_is_held_to_the_rules_of_claims(world, trusting, headers, status):
    told(world, trusting, **headers).expect(status)


def test_the_token_decides_where_there_is_one(world, trusting):
    """A gateway that names another user than the token: 401. It cannot make more of a token than it is; a bad token is not healed."""
    c, other = world.customer(), world.customer()
    told(world, trusting, token=c.token, X_User_ID=c.subject).expect(200)
    told(world, trusting, token=c.token, X_User_ID=other.subject).expect(401, "UNAUTHORIZED")
    reply = told(world, trusting, token=c.token, X_User_ID=c.subject, X_User_Role="ADMIN", X_Line_Number=other.line).expect(200)
    assert reply.data["lineNumber"] == c.line
    told(world, trusting, f"/menu?lineNumber={other.line}", token=c.token, X_User_ID=c.subject, X_User_Role="ADMIN").expect(403)
    told(world, trusting, token=c.token[:-2], X_User_ID=c.subject, X_Line_Number=c.line).expect(401)


@pytest.mark.parametrize("name", ["X-User-ID", "X-User-Role", "X-Customer-ID", "X-Line-Number", "X-User-Permissions", "X-Token-Expires-At"])
def test_an_identity_header_given_twice_is_refused(world, trusting, name):
    """400, also where they are ignored: a proxy that appends must not be taken for one that replaces."""
    c = world.customer()
    for service in (trusting, world.service):
        for second in (name, name.lower()):
            for token in (None, c.token):
                reply = raw(service.port, request_bytes("GET", "/menu", token, headers=[(name, "a"), ("X", "y"), (second, "a")]), check=False)
                assert reply.status == 400, reply


def test_nobody_else_is_believed(world):
    """By default nobody; with a setting the peers that it names, by the connection's address and not by a header's."""
    c = world.customer()
    who = {"X_User_ID": "gw", "X_User_Role": "ADMIN", "X_Line_Number": c.line, "X_Customer_ID": "C"}
    elsewhere = named(world, "192.0.2.1,10.0.0.0/8,2001:db8::/32", "elsewhere")
    try:
        for service in (world.service, elsewhere):
            told(world, service, f"/menu?lineNumber={c.line}", **who).expect(401)
            told(world, service, f"/menu?lineNumber={c.line}", **who, X_Forwarded_For="192.0.2.1", X_Real_IP="10.0.0.1", Forwarded="for=192.0.2.1").expect(401)
            told(world, service, token=c.token, X_User_ID="somebody-else").expect(200)
    finally:
        elsewhere.stop()


def test_peers_that_are_none_are_named(world):
    for bad in ("gateway.example", "10.0.0.0/33", "10.0.0.1/8", "1.2.3", "*"):
        result = world.run("--check-config", env=world.env(AUTH_HEADER_PEERS=bad))
        assert result.returncode == 1 and "auth.header_peers" in result.stderr and bad in result.stderr, result
