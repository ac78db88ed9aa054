"""UFR-AUTH-020: who is let in, whose line it is, and who is told "서비스 이용 권한이 없습니다"."""

import base64
import json
import time

import pytest

from harness import checks, tokens
from harness.tokens import SECRET, b64, compact, dashed, sign
from harness.sims import Auth

OTHER_SECRET = "another-secret-of-at-least-thirty-two-bytes"


@pytest.fixture(scope="module")
def me(world):
    return world.customer()


def claims(me, **more):
    now = int(time.time())
    full = {"sub": me.subject, "customerId": me.customer_id, "lineNumber": me.line, "iss": tokens.ISSUER, "exp": now + 600, **more}
    return {k: v for k, v in full.items() if v is not None}


def ask(world, token, family="core", **more):
    return world.api(token, family).menu(**more)


# --- 401 ---


def test_ufr_auth_020_no_token_is_401(world, family):
    for path in ("menu", "history"):
        reply = world.api(None, family).get(world.api(None, family).path(path)).expect(401, "UNAUTHORIZED")
        assert reply.error["message"] == "인증이 필요합니다"
    world.api(None, family).post(world.api(None, family).path("request"), {}).expect(401)
    world.api(None, family).result("0191d3a0-0000-7000-8000-000000000000").expect(401)


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "Token x", "Bearer a b", "Bearer a.b", "Bearer a.b.c.d", "Bearer ..", "bearertoken"])
def test_an_authorization_that_is_no_bearer_token_is_401(world, header):
    reply = world.api().menu(Authorization=header, check=False)
    assert reply.status in ((400, 401) if header == "" else (401,)), reply


@pytest.mark.parametrize("name", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_is_case_insensitive(world, me, name):
    """RFC 9110: authentication schemes are."""
    ask(world, None, Authorization=f"{name} {me.token}").expect(200)


@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
def test_the_three_default_algorithms(world, me, alg):
    ask(world, sign({"alg": alg, "typ": "JWT"}, claims(me))).expect(200)
    ask(world, sign({"alg": alg}, claims(me))).expect(200)  # without typ is fine


FORGED = {
    "alg none": lambda me: sign({"alg": "none"}, claims(me)),
    "alg None": lambda me: sign({"alg": "nOnE"}, claims(me)),
    "alg none with our signature": lambda me: sign({"alg": "none"}, claims(me), algorithm="HS256"),
    "other key": lambda me: sign({"alg": "HS512"}, claims(me), OTHER_SECRET),
    "other algorithm than it says": lambda me: sign({"alg": "HS512"}, claims(me), algorithm="HS256"),
    "RS256 signed with our secret": lambda me: sign({"alg": "RS256"}, claims(me), algorithm="HS256"),
    "hs256 in lower case": lambda me: sign({"alg": "hs256"}, claims(me), algorithm="HS256"),
    "no alg": lambda me: sign({"typ": "JWT"}, claims(me), algorithm="HS256"),
    "crit": lambda me: sign({"alg": "HS256", "crit": ["exp"], "exp": 1}, claims(me)),
    "no signature": lambda me: sign({"alg": "HS256"}, claims(me)).rsplit(".", 1)[0] + ".",
    "cut signature": lambda me: sign({"alg": "HS256"}, claims(me))[:-4],
    "padded signature": lambda me: sign({"alg": "HS256"}, claims(me)) + "=",
    "longer signature": lambda me: sign({"alg": "HS256"}, claims(me)) + "AAAA",
    "claims of another token": lambda me: _swap_claims(me),
    "expired": lambda me: sign({"alg": "HS512"}, claims(me, exp=int(time.time()) - 120)),
    "no exp": lambda me: sign({"alg": "HS512"}, claims(me, exp=None)),
    "exp as text": lambda me: sign({"alg": "HS512"}, claims(me, exp=str(int(time.time()) + 600))),
    "exp null": lambda me: sign({"alg": "HS512"}, compact({**claims(me), "exp": None})),
    "not yet": lambda me: sign({"alg": "HS512"}, claims(me, nbf=int(time.time()) + 600)),
    "wrong issuer": lambda me: sign({"alg": "HS512"}, claims(me, iss="somebody")),
    "no issuer": lambda me: sign({"alg": "HS512"}, claims(me, iss=None)),
    "refresh token": lambda me: sign({"alg": "HS512"}, claims(me, type="REFRESH")),
    "no subject": lambda me: sign({"alg": "HS512"}, claims(me, sub=None)),
    "duplicate claim": lambda me: sign({"alg": "HS512"}, compact(claims(me))[:-1] + b',"lineNumber":"01099999999"}'),
    "duplicate header": lambda me: sign(b'{"alg":"HS256","alg":"none"}', claims(me), algorithm="HS256"),
    "claims no object": lambda me: sign({"alg": "HS512"}, b'["x"]'),
    "claims no JSON": lambda me: sign({"alg": "HS512"}, b"{"),
    "claims with rubbish behind": lambda me: sign({"alg": "HS512"}, compact(claims(me)) + b"x"),
}


def _swap_claims(me):
    good = sign({"alg": "HS256"}, claims(me)).split(".")
    return ".".join([good[0], b64(compact(claims(me, lineNumber="01099999999"))), good[2]])


@pytest.mark.parametrize("what", sorted(FORGED))
def test_ufr_auth_020_forged_expired_and_malformed_tokens_are_401(world, me, what):
    """Configuration chooses the algorithm, never the token."""
    token = FORGED[what](me)
    ask(world, token).expect(401, "UNAUTHORIZED")
    ask(world, token).expect(401, "UNAUTHORIZED")  # nor is it remembered as a good one


def test_a_token_is_refused_once_it_has_expired_though_it_is_remembered(world, me):
    token = sign({"alg": "HS512"}, claims(me, exp=int(time.time()) + 2))
    ask(world, token).expect(200)
    deadline = time.monotonic() + 35
    while ask(world, token).status == 200:
        assert time.monotonic() < deadline, "still taken"
        time.sleep(0.2)


# --- claims ---


@pytest.mark.parametrize("change, status", [
    ({"sub": None, "userId": "u1"}, 200),
    ({"sub": "s", "userId": "u1"}, 200),
    ({"type": "ACCESS"}, 200),
    ({"type": "access"}, 401),
    ({"permissions": ["PRODUCT_CHANGE"]}, 200),
    ({"permissions": ["BILL_INQUIRY", "PRODUCT_CHANGE"]}, 200),
    ({"permissions": "BILL_INQUIRY PRODUCT_CHANGE"}, 200),
    ({"permissions": ["BILL_INQUIRY"]}, 403),
    ({"permissions": "PRODUCT_CHANGES"}, 403),
    ({"permissions": []}, 403),
    ({"permissions": ""}, 403),
    ({"permissions": ["product_change"]}, 403),
    ({"lineNumber": None}, 403),  # no line and not ADMIN
    ({"lineNumber": None, "lineNumbers": []}, 403),
    ({"lineNumber": "02-123-4567"}, 403),
    ({"nbf": 1}, 200),
    ({"exp": 9999999999}, 200),
])
def test_ufr_auth_020_claims(world, me, change, status):
    reply = ask(world, sign({"alg": "HS512"}, claims(me, **change)))
    if change.get("lineNumber") == "02-123-4567":
        assert reply.status in (401, 403), reply
        return
    reply.expect(status)
    if status == 403:
        assert reply.code == "FORBIDDEN" and reply.error["message"] == "서비스 이용 권한이 없습니다"


def test_the_production_issuers_token(world):
    """HS512, iss phonebill-auth-service, lineNumber with dashes, no permissions claim."""
    c = world.customer()
    token = sign({"alg": "HS512"}, claims(c, lineNumber=dashed(c.line), type="ACCESS"))
    assert ask(world, token).expect(200).data["lineNumber"] == c.line


def test_the_auth_simulators_token(world, session):
    """What a login gives works here: an issuer that we share no code with."""
    auth = Auth(session.build, world.folder, SECRET)
    try:
        login = auth.login("user01")
        menu = ask(world, login["access_token"]).expect(200).data
        checks.menu(menu)
        assert menu["lineNumber"] == "01012345678" and menu["customerId"] == "CUST-0001"
        ask(world, login["refresh_token"]).expect(401)
        admin = auth.login("admin", "admin1234!")
        world.api(admin["access_token"]).menu("01012345678").expect(200)
    finally:
        auth.close()


# --- whose line ---


def test_somebody_elses_line_is_403_before_anything_is_looked_up(world, kos, family):
    """The same whether it exists or not."""
    mine, other = world.customer(), world.customer()
    api = mine.api.on(family)
    nobody = "01099998888"
    answers = []
    for line in (other.line, nobody):
        answers.append(api.menu(line).expect(403, "FORBIDDEN"))
        api.history(lineNumber=line).expect(403, "FORBIDDEN")
        mine.front.customer(line).expect(403, "FORBIDDEN")
        mine.front.get(f"/api/v1/products/customer/{line}").expect(403, "FORBIDDEN")
        mine.api.screen(line).expect(403, "FORBIDDEN")
        api.validate({**mine.body(), "lineNumber": line}).expect(403, "FORBIDDEN")
        api.change({**mine.body(), "lineNumber": line}).expect(403, "FORBIDDEN")
    plain = [{k: v for k, v in a.error.items() if k not in ("timestamp", "correlationId")} for a in answers]
    assert plain[0] == plain[1], "not a hint whether the line exists"
    assert not kos.calls(line=other.line) and not kos.calls(line=nobody)


def test_the_lines_parameter_may_be_absent_with_one_line_and_may_have_dashes(world, family):
    c = world.customer()
    assert c.api.on(family).menu().data["lineNumber"] == c.line
    assert c.api.on(family).menu(dashed(c.line)).data["lineNumber"] == c.line
    assert c.front.customer().data["lineNumber"] == c.line
    assert c.api.on(family).history(lineNumber=dashed(c.line)).expect(200)


@pytest.mark.parametrize("line", ["0101234567", "abc", "01112345678", "010-12-345678x"])
def test_a_line_number_that_is_none_is_400(world, family, line):
    c = world.customer()
    reply = c.api.on(family).menu(line).expect(400, "INVALID_REQUEST")
    assert [f["field"] for f in reply.error["fields"]] == ["lineNumber"]
    reply = c.front.get(f"/api/v1/products/customer/{line}").expect(400, "INVALID_REQUEST")


def test_a_token_with_several_lines_must_name_one(world, family):
    a, b, other = world.customer(), world.customer(), world.customer()
    token = world.token(sub="two-lines", customerId="CUST-2", lineNumber=None, lineNumbers=[dashed(a.line), b.line])
    api = world.api(token, family)
    for reply in (api.menu(), api.history(), api.on("frontend").customer(), api.on("core").screen()):
        assert [f["field"] for f in reply.expect(400, "INVALID_REQUEST").error["fields"]] == ["lineNumber"]
    for c in (a, b):
        assert api.menu(c.line).data["lineNumber"] == c.line
        assert api.history(lineNumber=c.line).expect(200)
        assert api.on("frontend").get(f"/api/v1/products/customer/{c.line}").data["lineNumber"] == c.line
    api.menu(other.line).expect(403, "FORBIDDEN")
    result = api.change(b.body()).expect(200).data
    api.result(result["requestId"]).expect(200)
    a.api.on(family).result(result["requestId"]).expect(404, "REQUEST_NOT_FOUND")


def test_several_lines_of_which_one_may_be_absent(world):
    """With one line in lineNumbers the parameter may be absent."""
    c = world.customer()
    api = world.api(world.token(sub="one", customerId="C", lineNumber=None, lineNumbers=[c.line]))
    assert api.menu().expect(200).data["lineNumber"] == c.line


@pytest.mark.parametrize("kind", [{"role": "ADMIN"}, {"permissions": ["ADMIN"]}, {"permissions": "ADMIN BILL_INQUIRY"}])
def test_an_admin_acts_on_any_line_and_must_name_it(world, family, kind):
    """role = ADMIN, or ADMIN in permissions, which then needs no PRODUCT_CHANGE."""
    c = world.customer()
    api = world.api(world.token(sub="root", customerId=None, lineNumber=None, **kind), family)
    for reply in (api.menu(), api.history(), api.on("frontend").customer(), api.on("core").screen()):
        assert [f["field"] for f in reply.expect(400, "INVALID_REQUEST").error["fields"]] == ["lineNumber"]
    assert api.menu(c.line).expect(200).data["lineNumber"] == c.line
    assert api.on("core").screen(c.line).expect(200)
    assert api.on("frontend").get(f"/api/v1/products/customer/{c.line}").expect(200)
    assert api.validate(c.body()).expect(200).data["validationResult"] == "SUCCESS"
    assert api.on("frontend").available().expect(200)
    result = api.change(c.body()).expect(200).data
    assert api.history(lineNumber=c.line).data["history"][0]["requestId"] == result["requestId"]


def test_an_admin_with_a_line_of_their_own_must_name_it_too(world, family):
    """must name it in every read that takes lineNumber (else 400)"""
    c = world.customer()
    api = world.api(world.token(sub="root2", customerId="C", lineNumber=c.line, role="ADMIN"), family)
    api.menu().expect(400, "INVALID_REQUEST")
    api.menu(c.line).expect(200)
    api.menu(world.customer().line).expect(200)


@pytest.mark.parametrize("role", ["admin", "USER", "ADMINISTRATOR", ["ADMIN"], 1])
def test_other_roles_are_no_admins(world, role):
    c, other = world.customer(), world.customer()
    reply = world.api(world.token(sub="x", customerId="C", lineNumber=c.line, role=role)).menu(other.line)
    assert reply.status in ((401, 403) if not isinstance(role, str) else (403,)), reply


def test_a_role_admin_without_the_permission_is_let_in_or_not(world):
    """A permissions claim must contain PRODUCT_CHANGE when present; ADMIN in it needs none."""
    c = world.customer()
    world.api(world.token(sub="y", customerId="C", lineNumber=c.line, permissions=["BILL_INQUIRY"])).menu().expect(403)


# --- configuration of its own ---


def test_audience_permission_and_algorithms_as_configured(world):
    """aud when configured; permissions always with AUTH_REQUIRE_PERMISSION; JWT_ALGORITHMS."""
    c = world.customer()
    service = world.start_service(name="strict", JWT_AUDIENCE="product-change", AUTH_REQUIRE_PERMISSION="true", JWT_ALGORITHMS="HS256",
                                  JOURNAL_PATH=world.folder + "/journal-strict")
    try:
        good = claims(c, aud="product-change", permissions=["PRODUCT_CHANGE"])

        def status(alg="HS256", **change):
            full = {k: v for k, v in {**good, **change}.items() if v is not None}
            return world.api(sign({"alg": alg}, full), service=service).menu().status

        assert status() == 200
        assert status(aud=["x", "product-change"]) == 200
        assert status(aud="other") == 401 and status(aud=None) == 401 and status(aud=["x"]) == 401
        assert status(permissions=None) == 403
        assert status(alg="HS512") == 401 and status(alg="HS384") == 401
    finally:
        service.stop()


def test_public_key_tokens_and_no_confusion_with_hmac(world, tmp_path):
    """JWT_PUBLIC_KEY_FILE: the key's own algorithm; an HS256 token signed with the public PEM is forged."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    file = tmp_path / "issuer.pem"
    file.write_bytes(pem)
    c = world.customer()
    service = world.start_service(name="rs256", JWT_SECRET="", JWT_PUBLIC_KEY_FILE=str(file), JOURNAL_PATH=world.folder + "/journal-rs")
    try:
        text = f'{b64(compact({"alg": "RS256"}))}.{b64(compact(claims(c)))}'
        signature = key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        world.api(f"{text}.{b64(signature)}", service=service).menu().expect(200)
        world.api(f"{text}.{b64(signature)}=", service=service).menu().expect(401)
        world.api(sign({"alg": "HS256"}, claims(c), pem), service=service).menu().expect(401)
        world.api(sign({"alg": "HS512"}, claims(c), SECRET), service=service).menu().expect(401)
        world.api(sign({"alg": "none"}, claims(c)), service=service).menu().expect(401)
    finally:
        service.stop()


def test_jwks_file(world, tmp_path):
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, utils

    key = ec.generate_private_key(ec.SECP256R1())
    numbers = key.public_key().public_numbers()
    jwk = {"kty": "EC", "crv": "P-256", "kid": "k1", "alg": "ES256", "use": "sig", "x": b64(numbers.x.to_bytes(32, "big")), "y": b64(numbers.y.to_bytes(32, "big"))}
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps({"keys": [jwk]}))
    c = world.customer()
    service = world.start_service(name="es256", JWT_SECRET="", JWT_JWKS_FILE=str(file), JOURNAL_PATH=world.folder + "/journal-es")
    try:
        def made(kid):
            text = f'{b64(compact({"alg": "ES256", "kid": kid}))}.{b64(compact(claims(c)))}'
            r, s = utils.decode_dss_signature(key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
            return f"{text}.{b64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"
        world.api(made("k1"), service=service).menu().expect(200)
        world.api(made("k2"), service=service).menu().expect(401)
    finally:
        service.stop()


def test_jwt_secret_is_used_as_the_bytes_it_is(world):
    """Not base64-decoded, not trimmed."""
    secret = base64.b64encode(b"forty-eight bytes of a secret that looks encoded").decode() + " "
    c = world.customer()
    service = world.start_service(name="secret", JWT_SECRET=secret, JOURNAL_PATH=world.folder + "/journal-secret")
    try:
        world.api(sign({"alg": "HS512"}, claims(c), secret), service=service).menu().expect(200)
        world.api(sign({"alg": "HS512"}, claims(c), secret.strip()), service=service).menu().expect(401)
        world.api(sign({"alg": "HS512"}, claims(c), base64.b64decode(secret)), service=service).menu().expect(401)
    finally:
        service.stop()
