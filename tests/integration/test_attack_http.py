"""Attacks on the HTTP layer, black box (issue 5): smuggling, malformed heads, oversized everything, path tricks. Each
carries a whole order of a customer behind or inside it; none may come through. The single cases of the guard are in
test_errors.py and test/unit/http; here it is what a parser in front could have read otherwise, and the end of it all."""

import itertools
import re
import socket
import time

import pytest

from harness import siege as siege_module
from harness.client import raw, request_bytes
from harness.siege import Siege

ENV = {**siege_module.ENV, "LIMITS_RATE": 0, "SERVER_HEADER_TIMEOUT": "3s", "SERVER_BODY_TIMEOUT": "3s"}

JSON = b"Content-Type: application/json\r\n"


@pytest.fixture(scope="module")
def siege(world):
    s = Siege(world)
    yield s
    s.over()


def exchange(port, data, wait=4.0):
    """Everything that comes back until the service ends the connection; None when it does not within `wait`."""
    with socket.create_connection(("127.0.0.1", port), 5) as s:
        s.settimeout(wait)
        try:
            s.sendall(data)
        except OSError:
            pass
        seen = b""
        while True:
            try:
                chunk = s.recv(65536)
            except ConnectionResetError:
                return seen
            except socket.timeout:
                return None if not seen else seen + b"[still open]"
            if not chunk:
                return seen
            seen += chunk


def statuses(seen):
    """Of every answer. A head whose cookies have no room in libmicrohttpd's pool has its refusal's head twice (PITFALLS.md 1): once."""
    seen = seen or b""
    assert b"<html>" not in seen, seen
    doubled = re.match(rb"(HTTP/1\.1 431 [^\n]*\n(?:[^\r\n]+\r\n)*\r\n)\1\{", seen)
    if doubled:
        seen = seen[len(doubled.group(1)):]
    return [int(s) for s in re.findall(rb"(?:^|\r\n\r\n|\}|\n)HTTP/1\.1 (\d{3}) ", seen)]


def auth(siege):
    return f"Authorization: Bearer {siege.victim.token}\r\n".encode()


# --- framing: the head says twice, or unclearly, where the body ends ---

ENCODINGS = ["chunked", "xchunked", "chunked ", "chunked\t", "\x0bchunked", "CHUNKED", "chunked, identity", "identity, chunked", "gzip, chunked", "identity", "",
             '"chunked"', "chunked;q=1", "chunked\x00", "x chunked", ",chunked", "chunked,", "chunked, chunked", "\x85chunked", "chu\tnked", "trailers"]
LENGTHS = ["+5", "-5", "5,5", "5, 6", "0x5", "5 5", "5;", "5.0", "1e1", "", " ", "18446744073709551621", "99999999999999999999999", "\u0665", "5\x0b", "-0", "5_0", "5\x00"]


def framings(siege):
    """name: head lines of a POST; the order of the victim's is what follows."""
    length = len(siege.order_bytes())
    cl, te = f"Content-Length: {length}\r\n", "Transfer-Encoding: chunked\r\n"
    out = {"CL then TE": cl + te, "TE then CL": te + cl, "TE then CL 0": te + "Content-Length: 0\r\n", "CL 0 then TE": "Content-Length: 0\r\n" + te,
           "two TE": te + te, "TE identity, TE chunked": "Transfer-Encoding: identity\r\n" + te, "TE chunked, TE identity": te + "Transfer-Encoding: identity\r\n",
           "two CL": cl + "Content-Length: 0\r\n", "CL 0 first": "Content-Length: 0\r\n" + cl, "two equal CL": cl + cl, "CL, other case": cl + cl.lower(),
           "TE, space before colon": cl + "Transfer-Encoding : chunked\r\n", "TE, tab before colon": cl + "Transfer-Encoding\t: chunked\r\n",
           "CL, space before colon": f"Content-Length : {length}\r\n", "TE folded": cl + "Transfer-Encoding:\r\n chunked\r\n", "TE folded with tab": cl + "Transfer-Encoding:\r\n\tchunked\r\n",
           "TE behind a folded line": cl + "X: y\r\n Transfer-Encoding: chunked\r\n", "CL glued by folding": "Content-: 5\r\n Length\r\n",
           "TE behind a bare LF": cl + "X: y\nTransfer-Encoding: chunked\r\n", "TE behind a bare CR": cl + "X: y\rTransfer-Encoding: chunked\r\n",
           "TE behind a NUL": cl + "X: y\x00\r\nTransfer-Encoding: chunked\r\n", "NUL in the name": cl + "Transfer-Encoding\x00: chunked\r\n",
           "NUL before the name": cl + "\x00Transfer-Encoding: chunked\r\n", "leading blank in a name": cl + " Transfer-Encoding: chunked\r\n",
           "empty name": cl + ": chunked\r\n", "no colon": cl + "Transfer-Encoding chunked\r\n", "colon twice": cl + "Transfer-Encoding:: chunked\r\n",
           "bare LF lines": cl.replace("\r\n", "\n") + "X: y\n", "CR CR LF": cl.replace("\r\n", "\r\r\n")}
    for value in ENCODINGS:
        out[f"TE {value!r}"] = f"Transfer-Encoding: {value}\r\n"
        out[f"CL and TE {value!r}"] = cl + f"Transfer-Encoding: {value}\r\n"
    for value in LENGTHS:
        out[f"CL {value!r}"] = f"Content-Length: {value}\r\n"
    return out


class _Stub:
    """So that the names are there before anything runs."""

    def order_bytes(self):
        return b"x"


def refused(siege, data, name):
    """One answer, a refusal, the connection ends, and what came behind was not carried out."""
    seen = exchange(siege.service.port, data)
    found = statuses(seen)
    assert seen is not None and not seen.endswith(b"[still open]"), f"{name}: the connection was kept: {seen!r}"
    assert len(found) <= 1, f"{name}: answered {found}"
    assert all(s in (400, 411, 413, 431) for s in found), f"{name}: {seen[:300]!r}"
    siege.nothing_was_ordered()
    return found


@pytest.mark.parametrize("name", sorted(framings(_Stub())))
def test_a_body_whose_end_is_unclear_is_refused_and_ends_the_connection(siege, name):
    head = framings(siege)[name].encode("utf-8")
    chunk = siege.order_bytes()
    for body in (chunk, b"0\r\n\r\n" + chunk, b"%x\r\n" % len(chunk) + chunk + b"\r\n0\r\n\r\n"):
        data = b"POST /request/validation HTTP/1.1\r\nHost: t\r\n" + auth(siege) + JSON + head + b"\r\n" + body
        found = refused(siege, data, name)
        assert found, f"{name}: no answer at all"


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
def test_chunked_bodies_are_never_read(siege, version):
    """411 (RFC 9112 6.3 leaves that to the server): the lenient chunk parser is never reached."""
    chunk = siege.order_bytes()
    for body in (b"0\r\n\r\n" + chunk, b"0;ext=\r\n\r\n" + chunk, b"0\n\n" + chunk, b"5\r\nhello\r\n0\r\nX: y\r\n\r\n" + chunk, b"ffffffffffffffff\r\n" + chunk, b"-1\r\n" + chunk):
        data = f"POST /request/validation {version}\r\nHost: t\r\nTransfer-Encoding: chunked\r\n".encode() + auth(siege) + JSON + b"\r\n" + body
        found = refused(siege, data, body)
        assert found == ([411] if version == "HTTP/1.1" else [400]), found


def test_an_order_inside_a_body_stays_a_body(siege):
    """With a clear length, on every method: one answer for the one request, and the next request on the line is its own."""
    inside = siege.order_bytes()
    after = request_bytes("GET", "/health/live", headers=[("Connection", "close")])
    for method, path, type_ in itertools.product(("GET", "POST", "DELETE", "HEAD", "PUT", "OPTIONS"), ("/menu", "/request/validation", "/nothing"), (JSON, b"")):
        data = f"{method} {path} HTTP/1.1\r\nHost: t\r\nContent-Length: {len(inside)}\r\n".encode() + auth(siege) + type_ + b"\r\n" + inside + after
        seen = exchange(siege.service.port, data)
        found = statuses(seen)
        assert found and found[-1] == 200 and seen.rstrip().endswith(b"}") or len(found) == 1, (method, path, seen)
        assert len(found) <= 2, (method, path, found)
        siege.nothing_was_ordered()


# --- the request line and the head ---

LINES = {
    "HTTP/0.9": b"GET /menu\r\n\r\n", "HTTP/1.2": b"GET /menu HTTP/1.2\r\nHost: t\r\n\r\n", "HTTP/2.0": b"GET /menu HTTP/2.0\r\nHost: t\r\n\r\n",
    "http lower case": b"GET /menu http/1.1\r\nHost: t\r\n\r\n", "HTTP/01.1": b"GET /menu HTTP/01.1\r\nHost: t\r\n\r\n", "HTTP/1.1x": b"GET /menu HTTP/1.1x\r\nHost: t\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "TLS on the plain port": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xaa" * 500, "no path": b"GET HTTP/1.1\r\nHost: t\r\n\r\n",
    "only a method": b"GET\r\n\r\n", "nothing but line ends": b"\r\n\r\n\r\n\r\n", "leading blank": b" GET /menu HTTP/1.1\r\nHost: t\r\n\r\n",
    "tabs": b"GET\t/menu\tHTTP/1.1\r\nHost: t\r\n\r\n", "two blanks": b"GET  /menu HTTP/1.1\r\nHost: t\r\n\r\n", "blank in the path": b"GET /me nu HTTP/1.1\r\nHost: t\r\n\r\n",
    "NUL in the method": b"GE\x00T /menu HTTP/1.1\r\nHost: t\r\n\r\n", "NUL in the path": b"GET /menu\x00/x HTTP/1.1\r\nHost: t\r\n\r\n", "bytes over 127 in the path": b"GET /men\xc3\xbc HTTP/1.1\r\nHost: t\r\n\r\n",
    "control character in the path": b"GET /men\x07u HTTP/1.1\r\nHost: t\r\n\r\n", "DEL in the path": b"GET /menu\x7f HTTP/1.1\r\nHost: t\r\n\r\n", "method with colon": b"GE:T /menu HTTP/1.1\r\nHost: t\r\n\r\n",
    "absolute form": b"GET http://t/menu HTTP/1.1\r\nHost: t\r\n\r\n", "absolute form, other host": b"GET http://evil/menu HTTP/1.1\r\nHost: t\r\n\r\n",
    "authority form": b"CONNECT t:80 HTTP/1.1\r\nHost: t\r\n\r\n", "asterisk form": b"OPTIONS * HTTP/1.1\r\nHost: t\r\n\r\n", "two Hosts": b"GET /menu HTTP/1.1\r\nHost: t\r\nHost: t\r\n\r\n",
    "two Hosts apart": b"GET /menu HTTP/1.1\r\nHost: t\r\nX: y\r\nhost: evil\r\n\r\n", "Host folded": b"GET /menu HTTP/1.1\r\nHost:\r\n t\r\n\r\n", "no Host": b"GET /menu HTTP/1.1\r\nX: y\r\n\r\n",
    "Host with a path": b"GET /menu HTTP/1.1\r\nHost: t/menu\r\n\r\n", "Host with a user": b"GET /menu HTTP/1.1\r\nHost: t@evil\r\n\r\n", "two Hosts in one": b"GET /menu HTTP/1.1\r\nHost: t evil\r\n\r\n",
    "Host of other letters": b"GET /menu HTTP/1.1\r\nHost: \xe2\x84\xaa\r\n\r\n", "Host with a query": b"GET /menu HTTP/1.1\r\nHost: t?x\r\n\r\n", "Host quoted": b'GET /menu HTTP/1.1\r\nHost: "t"\r\n\r\n',
    "CR only": b"GET /menu HTTP/1.1\rHost: t\r\r", "LF only": b"GET /menu HTTP/1.1\nHost: t\n\n", "LF at the end of the head": b"GET /menu HTTP/1.1\r\nHost: t\r\n\n", "mixed line ends": b"GET /menu HTTP/1.1\r\nHost: t\nX: y\r\n\r\n",
    "header before Host without colon": b"GET /menu HTTP/1.1\r\njunk\r\nHost: t\r\n\r\n", "first header line folded": b"GET /menu HTTP/1.1\r\n Host: t\r\nHost: t\r\n\r\n",
    "two Authorizations": b"GET /menu HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer x\r\nAuthorization: Bearer y\r\n\r\n", "two Content-Types": b"POST /request HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\nContent-Type: text/plain\r\nContent-Type: application/json\r\n\r\n{}",
    "two Idempotency-Keys": b"POST /request HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\nIdempotency-Key: a\r\nIdempotency-Key: b\r\n\r\n{}",
    "bad escape": b"GET /request/%zz HTTP/1.1\r\nHost: t\r\n\r\n", "cut escape": b"GET /request/%2 HTTP/1.1\r\nHost: t\r\n\r\n", "escaped NUL": b"GET /request/a%00b HTTP/1.1\r\nHost: t\r\n\r\n",
    "escaped NUL in the query": b"GET /menu?lineNumber=010%00 HTTP/1.1\r\nHost: t\r\n\r\n",
}


@pytest.mark.parametrize("name", sorted(LINES))
def test_a_head_that_makes_no_sense_is_refused_and_ends_the_connection(siege, name):
    """An order behind it on the same connection is not read. (Empty lines before a request line are skipped: RFC 9112 2.2.)"""
    data = LINES[name]
    if data.strip(b"\r\n") == b"":
        seen = exchange(siege.service.port, data, wait=5)
        assert not statuses(seen) or statuses(seen) == [400], seen
        return
    seen = exchange(siege.service.port, data + siege.order_bytes())
    found = statuses(seen)
    assert len(found) <= 1 and all(s in (400, 404, 405, 501, 505) for s in found), (found, seen)
    siege.nothing_was_ordered()


def test_a_complete_order_cut_at_every_byte_orders_nothing(siege):
    """Whatever prefix arrives before the connection ends, no order is made of it."""
    whole = siege.order_bytes()
    for n in range(0, len(whole), 7):
        with socket.create_connection(("127.0.0.1", siege.service.port), 5) as s:
            s.sendall(whole[:n])
            s.shutdown(socket.SHUT_WR)
            s.settimeout(5)
            try:
                while s.recv(4096):
                    pass
            except OSError:
                pass
    siege.nothing_was_ordered()


# --- oversized everything ---

BIG = {
    "path of 5 000": (lambda t: request_bytes("GET", "/" + "a" * 5000, t), (404, 431)), "path of 100 000": (lambda t: request_bytes("GET", "/" + "a" * 100000, t), (400, 414, 431)),
    "query of 5 000": (lambda t: request_bytes("GET", "/menu?x=" + "a" * 5000, t), (200, 403, 431)), "query of 1 000 parameters": (lambda t: request_bytes("GET", "/menu?" + "&".join(f"a{n}=1" for n in range(1000)), t), (431,)),
    "query of 400 empty parameters": (lambda t: request_bytes("GET", "/menu?" + "&" * 400, t), (431,)),
    "500 headers": (lambda t: request_bytes("GET", "/menu", t, headers=[(f"X-{n}", "y") for n in range(500)]), (431,)),
    "2 000 headers of one letter": (lambda t: request_bytes("GET", "/menu", t, headers=[("a", "b")] * 2000), (431,)),
    "a header of 1 MB": (lambda t: request_bytes("GET", "/menu", t, headers=[("X-A", "x" * 1_000_000)]), (431,)), "a header name of 6 000": (lambda t: request_bytes("GET", "/menu", t, headers=[("X" * 6000, "y")]), (431,)),
    "a method of 3 000": (lambda t: request_bytes("M" * 3000, "/menu", t), (405, 431)), "Host of 6 000": (lambda t: request_bytes("GET", "/menu", t, host="h" * 6000), (431,)),
    "300 cookies": (lambda t: request_bytes("GET", "/menu", t, headers=[("Cookie", "; ".join(f"c{n}=v" for n in range(300)))]), (431,)),
    "a cookie of semicolons": (lambda t: request_bytes("GET", "/menu", t, headers=[("Cookie", ";" * 4000)]), (431,)),
    "Accept of commas": (lambda t: request_bytes("GET", "/menu", t, headers=[("Accept", "," * 4000), ("Accept-Language", "," * 500)]), (200, 431)),
    "Accept-Language of 100 lines": (lambda t: request_bytes("GET", "/menu", t, headers=[("Accept-Language", "x" * 20)] * 60), (200, 431)),
    "X-Request-ID of 4 000": (lambda t: request_bytes("GET", "/menu", t, headers=[("X-Request-ID", "x" * 4000)]), (200, 431)),
    "token of 5 000": (lambda t: request_bytes("GET", "/menu", "a" * 5000), (401, 431)), "Idempotency-Key of 4 000": (lambda t: request_bytes("POST", "/request", t, b"{}", [("Content-Type", "application/json"), ("Content-Length", "2"), ("Idempotency-Key", "k" * 4000)]), (400, 431)),
    "body of 4 GiB announced": (lambda t: request_bytes("POST", "/request", t, b"{}", [("Content-Type", "application/json"), ("Content-Length", "4294967298")]), (413,)),
    "body of 2^63 announced": (lambda t: request_bytes("POST", "/request", t, b"{}", [("Content-Type", "application/json"), ("Content-Length", "9223372036854775807")]), (413,)),
    "body of 8 MB sent": (lambda t: request_bytes("POST", "/request", t, b"x" * 8_000_000, [("Content-Type", "application/json"), ("Content-Length", "8000000")]), (413,)),
    "a GET with 8 MB": (lambda t: request_bytes("GET", "/menu", t, b"x" * 8_000_000, [("Content-Length", "8000000")]), (413,)),
    "a request id of 3 000": (lambda t: request_bytes("GET", "/request/" + "9" * 3000, t), (404, 431)), "a line number of 3 000": (lambda t: request_bytes("GET", "/api/v1/products/customer/" + "0" * 3000, t), (400, 431)),
}


@pytest.mark.parametrize("name", sorted(BIG))
def test_oversized_everything_is_answered_or_refused_never_more(siege, name):
    make, allowed = BIG[name]
    for _ in range(5):
        seen = exchange(siege.service.port, make(siege.victim.token).replace(b"\r\nHost", b"\r\nConnection: close\r\nHost", 1))
        found = statuses(seen)
        assert len(found) <= 1 and all(s in allowed for s in found), (name, found, (seen or b"")[:200])
    assert found, f"{name}: no answer"
    siege.nothing_was_ordered()


# --- paths ---

PATHS = ["/menu/", "/menu//", "//menu", "/./menu", "/x/../menu", "/..;/menu", "/menu;x=1", "/menu%00", "/menu%20", "/menu%2f", "/menu%09", "/%6denu", "/MENU", "/menu.json", "/menu%3f", "/menu%23", "/menu\\", "/\\menu",
         "/%2e/menu", "/%2e%2e/menu", "/%252e%252e/menu", "/..%2fmenu", "/..%5cmenu", "/%c0%ae%c0%ae/menu", "/%uff0e/menu", "/api/v1/products/../../../menu", "/api/v1//products/menu", "/product/menu", "/api/v1/products/menu/..",
         "/admin", "/admin/", "/admin/status", "/admin/breakers", "/admin/doubts", "/admin/deliveries", "/admin/slots", "/admin/trace", "/admin/metrics", "/ADMIN/status", "/%61dmin/status", "/health/live/../../admin/status",
         "/metrics/", "/metrics/x", "/metrics%2f", "/openapi.json/", "/health", "/health/", "/actuator", "/actuator/env", "/actuator/heapdump", "/.env", "/.git/config", "/etc/passwd", "/server-status", "/debug/pprof", "/_sim/stats",
         "/request/validation/x", "/request/a/b", "/request//", "/request/%2e%2e%2fmetrics", "/favicon.ico", "/robots.txt", "/?x=/menu", "/*", "/menu#x"]


@pytest.mark.parametrize("path", PATHS)
def test_only_the_exact_paths_are_served(siege, path):
    """404 with and without a token, for reading and for writing; nothing of the operator's surface is on this port."""
    for method, token in itertools.product(("GET", "POST", "PUT", "DELETE"), (None, siege.victim.token)):
        reply = raw(siege.service.port, request_bytes(method, path, token, headers=[("Content-Length", "0")]), check=False)
        assert reply.status in (404, 400) or (reply.status in (401, 405) and path.startswith("/request/")), (method, path, reply)
        assert b"pcs_" not in reply.body and b"kos.inquiry" not in reply.body


@pytest.mark.parametrize("value", ["0191d3a0-0000-7000-8000-000000000000%0d%0aX-Evil:%201", "%0d%0a%0d%0aHTTP/1.1%20200%20OK", "'%20OR%20'1'='1", "..%2f..%2f", "%22%3e%3cscript%3e", "%F0%9F%98%80", "%ff%fe", "$%7bjndi:ldap://x%7d", "%25s%25n", "a" * 400])
def test_what_stands_in_a_path_comes_back_in_no_header_and_only_escaped(siege, value):
    for path in (f"/request/{value}", f"/api/v1/products/change/{value}", f"/api/v1/products/customer/{value}", f"/menu?lineNumber={value}", f"/history?startDate={value}&page={value}", f"/nothing/{value}"):
        reply = raw(siege.service.port, request_bytes("GET", path, siege.victim.token), check=False)
        assert reply.status in (400, 404), (path, reply)
        assert "X-Evil" not in reply.headers and "Location" not in reply.headers
        assert reply.headers["Content-Type"].startswith("application/json") and reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.json["success"] is False
    siege.nothing_was_ordered()


@pytest.mark.parametrize("name", ["X-Request-ID", "Idempotency-Key", "traceparent", "Accept-Language", "Accept", "Origin", "Prefer", "User-Agent", "Referer", "X-Forwarded-For", "X-HTTP-Method-Override", "X-Original-URL", "X-Rewrite-URL", "Forwarded", "Range", "If-None-Match", "Upgrade", "Connection", "TE", "Cookie"])
def test_hostile_header_values_change_nothing(siege, name):
    """Not the route, not the method, not the answer's head; nothing of them is believed."""
    for value in ("/metrics", "DELETE", "'; DROP TABLE x; --", "${jndi:ldap://x}", "%s%n%s", '"', "\\", "a" * 300, "h2c", "websocket", "../../etc/passwd", "\xff\xfe", "bytes=0-0,0-0,0-0"):
        seen = exchange(siege.service.port, request_bytes("GET", "/menu", siege.victim.token).replace(b"\r\n\r\n", b"\r\n" + name.encode() + b": " + value.encode("latin-1") + b"\r\nConnection: close\r\n\r\n"))
        found = statuses(seen)
        assert found == [200], (name, value, seen)
        assert siege.victim.line.encode() in seen and b"pcs_" not in seen
    siege.nothing_was_ordered()
