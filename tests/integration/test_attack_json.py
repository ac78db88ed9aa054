"""JSON oddities (issue 5, point 3), after the cases of JSONTestSuite: what must be refused (n), what must be taken (y), and what a
parser may do either way (i); as a member's value and as the whole body. And what a client's text must never become:
a log line, SQL, a Redis key, a KOS body, a header."""

import json

import pytest

from harness import siege as siege_module
from harness.client import raw, request_bytes
from harness.siege import Siege

ENV = {**siege_module.ENV, "LIMITS_RATE": 0}

N = [  # as a value
    b"", b"1 000.0", b"1eE2", b".-1", b".2e-3", b"0.3e+", b"0.3e", b"0.e1", b"0e+", b"0e", b"0E", b"0E+", b"1.0e-", b"1.0e+", b"1.0e", b"-1.0.", b"1eE", b"2.e-3", b"2.e+3", b"2.e3", b"9.e+", b"+1", b"++1234", b"+Inf", b"-01", b"-012", b"-2.", b"-", b"-foo", b"- 1",
    b"-NaN", b"-Infinity", b"Infinity", b"Inf", b"NaN", b"nan", b"0x1", b"0x42", b"0b1", b"0o7", b"012", b"1.", b"1a", b"1.2a", b"1.8011670033376514H-308", b"1+2", b"1_000", b"1,000", b"\xef\xbc\x91", b"1\xe2\x80\x87", b"-1x", b"2e", b"1e1.5", b"0.1.2",
    b'"', b'"\\"', b'"\\', b'"\\x00"', b'"\\u00A"', b'"\\u"', b'"\\u00"', b'"\\uD834\\Dd"', b'"\\uqqqq"', b'"\\a"', b'"\\ "', b'"\\0"', b'"\\v"', b'"\\\'"', b'"\t"', b'"\n"', b'"a\x00a"', b'"new\nline"', b'"\x1f"', b"'single'", b'"a"b', b'"a" "b"', b"abc", b"\\u0020", b"\xc3\xa9",
    b'"\xff"', b'"\xc0\xaf"', b'"\xe0\x80\xaf"', b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"', b'"\xf8\x88\x80\x80\x80"', b'"\xc3"', b'"\x80"', b'"\\ud800"', b'"\\udc00"', b'"\\ud800\\ud800"', b'"\\uDFAA"', b'"\\ud800abc"', b'"\\u0000"',
    b"[", b"]", b"[1", b"[1,", b"[1,]", b"[,1]", b"[,]", b"[1,,2]", b"[,", b"[1 2]", b"[1:2]", b"[\"a\"", b"[1]]", b"[a", b"[*]", b"[\n\n", b"[1\x0b]", b"[1\x0c]", b"[-]", b"[x", b"[true", b"[nul]", b"[\"\x00\"]",
    b"{", b"}", b'{"a"', b'{"a":', b'{"a":}', b'{"a" 1}', b'{"a":1,}', b'{,"a":1}', b'{"a":1,,"b":2}', b"{a:1}", b"{'a':1}", b"{1:1}", b'{"a":1 "b":2}', b'{"a":"b"}/**/', b'{"a":"b"}//', b'{"a":/*c*/1}', b'{"a":1}#', b'{"a"::1}', b'{"a":1;"b":2}', b"{null:1}", b"{[]:1}", b'{"a":1}}', b'{"a":1,"a":1}', b'{"a":1,"\\u0061":2}',
    b"tru", b"nul", b"fals", b"True", b"NULL", b"None", b"undefined", b"true1", b"truefalse", b"null\x00", b"\x00", b"\xef\xbb\xbf1", b"1\xef\xbb\xbf", b"1\x00", b"\xa01", b"\xe2\x81\xa0", b"1;", b"1,2", b"[1],", b"<a/>", b"#1", b"$1", b"`1`", b"[" * 40 + b"]" * 40, b'{"a":' * 40 + b"1" + b"}" * 40,
]
Y = [
    b"0", b"-0", b"-0.0", b"0e+1", b"0e1", b"1E22", b"1E-2", b"1E+2", b"123e45", b"123.456e78", b"-123", b"-1", b"123123e100000"[:8], b"1.7976931348623157e308", b"9007199254740993", b"123456789012345678901234567890", b"0.1", b"1e-400"[:5],
    b'""', b'"a"', b'"\\u0060\\u012a\\u12AB"', b'"\\ud801\\udc37"', b'"\\ud83d\\ude39\\ud83d\\udc8d"', b'"\\"\\\\\\/\\b\\f\\n\\r\\t"', b'"\\\\u0000"', b'"a/*b*/c"', b'"\\u0001"', b'"\\uDBFF\\uDFFE"', b'"\\u200B"', b'"\\u2028"', '"\u2028\u2029"'.encode(), '"€𝄞"'.encode(), '"통합"'.encode(), b'"\x7f"', b'"\xef\xbf\xbf"', b'"\xf4\x8f\xbf\xbf"', b'"\\uFFFF"', b'"\\u0022"', b'" "',
    b"[]", b"[ ]", b"[[]]", b"[1,null,true,false,\"x\",{}]", b" [1] ", b"[1\n,2\t]\r\n", b"{}", b'{"":0}', b'{"a":[]}', b'{"x":[{"id":"x"}]}', b'{"\\u0061":1}', b"true", b"false", b"null", b"\t1\r\n", b"[" * 6 + b"]" * 6,
]
EITHER = [b"[" * 20 + b"]" * 20, b"1e999", b"-1e999", b"1e-9999", b"123123e100000", b"-123123123123123123123123123123", b"0." + b"1" * 3000, b"1" * 3000, b'"' + b"a" * 9000 + b'"', b"[" + b"1," * 3000 + b"1]", b"{" + b",".join(b'"k%d":1' % n for n in range(1500)) + b"}", b"0.4e00669999999999999999999999999999999999999999999999999999999999999999999999999999999969999999006"]


@pytest.fixture(scope="module")
def siege(world):
    s = Siege(world)
    yield s
    s.over()


def post(siege, body, path="/request/validation"):
    reply = raw(siege.service.port, request_bytes("POST", path, siege.victim.token, body, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]))
    assert reply is not None, body[:200]
    return reply


def around(siege, value, name=b'"x"'):
    """The victim's order with one member more; first, in the middle and last."""
    members = [b'"%s":"%s"' % (k.encode(), v.encode()) for k, v in siege.victim.body().items()]
    for place in (0, 2, 3):
        yield b"{" + b",".join(members[:place] + [name + b":" + value] + members[place:]) + b"}"


@pytest.mark.parametrize("number", range(len(N)), ids=[repr(v[:24]) for v in N])
def test_what_is_no_json_is_400_and_orders_nothing(siege, number):
    for body in [*around(siege, N[number]), N[number]]:
        for path in ("/request/validation", "/request"):
            reply = post(siege, body, path)
            assert reply.status == 400 and reply.code == "INVALID_REQUEST", (body[:200], reply)
    siege.nothing_was_ordered()


@pytest.mark.parametrize("number", range(len(Y)), ids=[repr(v[:24]) for v in Y])
def test_what_is_json_is_taken_in_a_member_that_nobody_knows(siege, number):
    for body in around(siege, Y[number]):
        reply = post(siege, body)
        assert reply.status == 200 and reply.data["validationResult"] == "SUCCESS", (body[:200], reply)


@pytest.mark.parametrize("number", range(len(EITHER)), ids=[repr(v[:24]) for v in EITHER])
def test_what_a_parser_may_refuse_is_taken_or_refused(siege, number):
    for body in around(siege, EITHER[number]):
        reply = post(siege, body)
        assert reply.status in (200, 400), (body[:200], reply)
        assert reply.status == 400 or reply.data["validationResult"] == "SUCCESS"


@pytest.mark.parametrize("space", [b" ", b"\n", b"\t", b"\r", b"\r\n\t "])
def test_white_space_around_everything(siege, space):
    body = json.dumps(siege.victim.body()).encode().replace(b"{", space + b"{" + space).replace(b":", space + b":" + space).replace(b"}", space + b"}" + space)
    assert post(siege, body).status == 200


@pytest.mark.parametrize("name", [b'"__proto__"', b'"constructor"', b'""', b'"lineNumber\\u0000"', b'"LineNumber"', b'" lineNumber"', b'"lineNumber "', '"ｌineNumber"'.encode(), b'"line\\u200bNumber"', b'"$where"', b'"requestId"', b'"customerId"', b'"role"'])
def test_names_that_are_nearly_ours_are_unknown_ones(siege, name):
    """Not taken for the real member, whatever they hold; \\u0000 is refused."""
    for body in around(siege, b'"01099999999"', name):
        reply = post(siege, body)
        assert (reply.status == 400) if b"u0000" in name else (reply.status == 200 and reply.data["validationResult"] == "SUCCESS"), reply


@pytest.mark.parametrize("member", ["lineNumber", "currentProductCode", "targetProductCode", "requestDate", "changeEffectiveDate"])
def test_every_known_member_with_every_kind_of_value(siege, member):
    """Anything but the text that is expected: 400 that names the member (or 403 for a line that is not the caller's)."""
    for value in (None, True, 0, 1e3, [], {}, [siege.victim.line], {"$ne": 1}, "", " ", "\u0000", "x" * 5000, "' OR 1=1 --", "%s%n", "../..", "LTE_PLUS\r\nX: y", "LTE_PLUS\u0000", "<script>", "${7*7}", "LTE PLUS", "\u202eSULP_ETL", "ＬＴＥ_ＰＬＵＳ", "LTE_PLUS;DROP"):
        if value is None and member in ("requestDate", "changeEffectiveDate"):
            continue
        body = json.dumps({**siege.victim.body(), member: value}).encode()
        reply = post(siege, body, "/request")
        assert reply.status == 400, (member, value, reply)
        if "fields" in reply.error:
            assert [f["field"] for f in reply.error["fields"]] == (["body"] if "\u0000" in str(value) else [member]), reply
    siege.nothing_was_ordered()


def test_what_a_client_says_is_bound_never_spliced(world, siege):
    """Subjects, customer ids, keys and names full of quotes and commands: kept as they are wherever they go."""
    nasty = "x'; DROP TABLE product_change.product_change_history; --\" \\ $1 %s {} \u2028 한글"
    c = world.customer()
    api = world.api(world.token(sub=nasty, customerId=nasty, lineNumber=c.line), service=siege.service)
    # A change that the pre-check refuses: recorded, and nothing is ordered.
    reply = api.change(c.body("LTE_LEGACY"), Idempotency_Key='"k\\"; FLUSHALL"').expect(409, "VALIDATION_FAILED")
    request_id = reply.error["requestId"]
    row = world.row(request_id)
    assert row["customer_id"] in (nasty, c.customer_id), row
    api.change(c.body("LTE_LEGACY"), Idempotency_Key='"k\\"; FLUSHALL"').expect(409, "VALIDATION_FAILED")
    assert not [k for k in world.cache.keys("*") if b"FLUSHALL" in k or b"DROP" in k], "a client's text in a Redis key"
    assert not c.orders()
    siege.on_purpose(rows=1)


def test_product_codes_of_every_allowed_character_reach_kos_as_they_are(world, siege):
    """[A-Za-z0-9_.-]{1,50} and nothing else is let through, so nothing needs guessing at the carrier."""
    code = "aZ09_.-" + "x" * 43
    reply = post(siege, json.dumps({**siege.victim.body(), "targetProductCode": code}).encode())
    assert reply.status == 200 and reply.data["validationResult"] == "FAILURE"
    assert not siege.victim.orders()
