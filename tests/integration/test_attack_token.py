"""Attacks on tokens, black box (issue 5; UFR-AUTH-020). The service knows a secret, an RSA key and an EC key at once, so that
each may be mistaken for another. Single cases of one secret are in test_identity.py; rotation and key sets are here too."""

import base64
import json
import signal
import time

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from harness import siege as siege_module
from harness import tokens
from harness.client import raw, request_bytes
from harness.siege import Siege
from harness.tokens import SECRET, b64, compact, sign
from harness.wait import until

ENV = {**siege_module.ENV, "LIMITS_RATE": 0}


class Issuer:
    """An RSA and an EC key, as PEM and as JWK set, and what they sign."""

    def __init__(self, folder):
        self.rsa = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.ec = ec.generate_private_key(ec.SECP256R1())
        self.pem = b"".join(self.public_pem(k) for k in (self.rsa, self.ec))
        self.pem_file = folder / "issuer.pem"
        self.pem_file.write_bytes(self.pem)
        self.jwks_file = folder / "jwks.json"

    @staticmethod
    def public_pem(key):
        return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    @staticmethod
    def ec_jwk(key, kid):
        n = key.public_key().public_numbers()
        return {"kty": "EC", "crv": "P-256", "use": "sig", "kid": kid, "x": b64(n.x.to_bytes(32, "big")), "y": b64(n.y.to_bytes(32, "big"))}

    def write_jwks(self, *keys):
        self.jwks_file.write_text(json.dumps({"keys": list(keys)}))

    def rs(self, header, claims, alg=hashes.SHA256(), pad=padding.PKCS1v15()):
        text = f"{b64(compact(header))}.{b64(compact(claims))}"
        return f"{text}.{b64(self.rsa.sign(text.encode(), pad, alg))}"

    def es(self, header, claims, key=None, der=False):
        text = f"{b64(compact(header))}.{b64(compact(claims))}"
        signature = (key or self.ec).sign(text.encode(), ec.ECDSA(hashes.SHA256()))
        if not der:
            r, s = utils.decode_dss_signature(signature)
            signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        return f"{text}.{b64(signature)}"


@pytest.fixture(scope="module")
def issuer(tmp_path_factory):
    return Issuer(tmp_path_factory.mktemp("issuer"))


@pytest.fixture(scope="module")
def siege(world, issuer):
    service = world.start_service(name="keys", JWT_PUBLIC_KEY_FILE=str(issuer.pem_file), JWT_ALGORITHMS="HS256,HS384,HS512,RS256,ES256", JOURNAL_PATH=world.folder + "/journal-keys")
    s = Siege(world, service)
    yield s
    s.over()


def claims(siege, **more):
    v = siege.victim
    full = {"sub": v.subject, "customerId": v.customer_id, "lineNumber": v.line, "iss": tokens.ISSUER, "exp": int(time.time()) + 600, **more}
    return {k: c for k, c in full.items() if c is not None}


def tried(siege, token, status=401):
    """The token on a read and on the victim's order: refused, twice each (nor is it remembered as a good one)."""
    body = compact(siege.victim.body())
    for _ in range(2):
        for data in (request_bytes("GET", "/menu", token),
                     request_bytes("POST", "/request", token, body, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])):
            reply = raw(siege.service.port, data, check=False)
            assert reply is not None and reply.status == status, reply
            assert reply.status == 200 or siege.victim.line not in reply.text
    siege.nothing_was_ordered()


def accepted(siege, token):
    reply = raw(siege.service.port, request_bytes("GET", "/menu", token))
    assert reply.status == 200 and reply.data["lineNumber"] == siege.victim.line, reply


def test_the_three_kinds_of_keys_are_all_in_force(siege, issuer):
    """Else nothing below would prove anything."""
    accepted(siege, sign({"alg": "HS256"}, claims(siege)))
    accepted(siege, issuer.rs({"alg": "RS256"}, claims(siege)))
    accepted(siege, issuer.es({"alg": "ES256"}, claims(siege)))


# --- one key for another ---


def test_a_public_key_is_no_secret(siege, issuer):
    """Key confusion: HMAC keyed with what everybody may read of the RSA and EC keys, in every spelling."""
    for key in (issuer.rsa, issuer.ec):
        public = key.public_key()
        der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        pem = Issuer.public_pem(key)
        body = b"".join(pem.splitlines()[1:-1])
        for secret in (pem, pem.rstrip(b"\n"), pem.replace(b"\n", b"\r\n"), der, body, base64.b64encode(der), issuer.pem, b"", b"\x00" * 32):
            for alg in ("HS256", "HS384", "HS512"):
                tried(siege, sign({"alg": alg}, claims(siege), secret))


def test_a_signature_of_one_kind_under_the_name_of_another(siege, issuer):
    good = claims(siege)
    for name in ("HS256", "HS512", "ES256", "RS384", "RS512", "PS256", "none", "None", "nOnE", "", "rs256", "RS256 ", "RS256\u0000", "RSA", "EdDSA", "ES256K", "ES384", "dir"):
        tried(siege, issuer.rs({"alg": name}, good))
    for name in ("HS256", "RS256", "ES384", "none", "es256"):
        tried(siege, issuer.es({"alg": name}, good))
    for name in ("RS256", "ES256", "hs256", "HS1", "none", "HMAC", "HS256 "):
        tried(siege, sign({"alg": name}, good, algorithm="HS256"))
    tried(siege, issuer.rs({"alg": "RS256"}, good, alg=hashes.SHA1()))
    tried(siege, issuer.rs({"alg": "RS256"}, good, alg=hashes.SHA512()))
    tried(siege, issuer.rs({"alg": "RS256"}, good, pad=padding.PSS(padding.MGF1(hashes.SHA256()), 32)))


def test_an_algorithm_that_is_no_text(siege):
    for alg in (None, 1, True, [], ["HS256"], {"alg": "HS256"}):
        tried(siege, sign(compact({"alg": alg}), claims(siege), algorithm="HS256"))


def test_keys_that_a_token_brings_along_are_not_used(siege, issuer):
    """jwk, jku, x5c, x5u, kid with paths and SQL: the header's advice is ignored, or the token is refused; never believed."""
    mallory = Issuer.ec_jwk(ec.generate_private_key(ec.SECP256R1()), "m")
    key = ec.generate_private_key(ec.SECP256R1())
    own = Issuer.ec_jwk(key, "m")
    for extra in ({"jwk": own}, {"jku": "http://127.0.0.1:1/jwks"}, {"x5u": "http://127.0.0.1:1/x"}, {"x5c": ["MIIB"]}, {"kid": "m", "jwk": own}, {"kid": "../../../dev/null"}, {"kid": "' UNION SELECT 'x"}, {"kid": ""}, {"kid": "x" * 1000}, {"x5t": "a"}):
        tried(siege, issuer.es({"alg": "ES256", **extra}, claims(siege), key=key))
        tried(siege, sign({"alg": "HS256", **extra}, claims(siege), b""))
    assert mallory["kid"] == "m"


def test_elliptic_curve_signatures_that_any_key_would_have(siege, issuer):
    """r or s zero (CVE-2022-21449), the group's order, too short, too long, DER instead of r and s."""
    text = f"{b64(compact({'alg': 'ES256'}))}.{b64(compact(claims(siege)))}"
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    full = order.to_bytes(32, "big")
    for signature in (bytes(64), full + full, bytes(32) + full, bytes(31) + b"\x01" + bytes(31) + b"\x01", b"", bytes(63), bytes(65), bytes(128), b"\xff" * 64):
        tried(siege, f"{text}.{b64(signature)}")
    tried(siege, issuer.es({"alg": "ES256"}, claims(siege), der=True))
    head, _, signature = issuer.es({"alg": "ES256"}, claims(siege)).split(".")
    tried(siege, f"{head}.{b64(compact(claims(siege, sub='another')))}.{signature}")


# --- the same token, spelled otherwise ---


@pytest.mark.parametrize("kind", ["HS256", "RS256", "ES256"])
def test_every_character_counts(siege, issuer, kind):
    """Each character of a good token replaced, left out or doubled: 401. So are the unused bits of the last ones."""
    good = {"HS256": lambda: sign({"alg": "HS256"}, claims(siege)), "RS256": lambda: issuer.rs({"alg": "RS256"}, claims(siege)), "ES256": lambda: issuer.es({"alg": "ES256"}, claims(siege))}[kind]()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    variants = []
    for i, c in enumerate(good):
        if c == ".":
            variants += [good[:i] + good[i + 1:], good[:i] + ".." + good[i + 1:], good[:i] + "%2e" + good[i + 1:]]
            continue
        variants.append(good[:i] + alphabet[(alphabet.index(c) + 1) % 64] + good[i + 1:])
        if i % 11 == 0:
            variants += [good[:i] + good[i + 1:], good[:i] + c + good[i:], good[:i] + alphabet[(alphabet.index(c) + 32) % 64] + good[i + 1:]]
    parts = good.split(".")
    for n in range(3):
        for end in ("=", "==", "A", "AA", "AAAA", "!", " ", "\t", "%3d", "\u00e9", "~"):
            variants.append(".".join(p + end if i == n else p for i, p in enumerate(parts)))
    variants += [good.replace("-", "+").replace("_", "/") + "/", good + ".", "." + good, good + ".AAAA", good[::-1], good.upper(), good.lower(), parts[0] + "." + parts[1], parts[0] + ".." + parts[2], parts[1] + "." + parts[0] + "." + parts[2], "a." + good, good + "." + good]
    port = siege.service.port
    for variant in set(variants) - {good}:
        reply = raw(port, request_bytes("GET", "/menu", None, headers=[("Authorization", f"Bearer {variant}")]), check=False)
        if variant.rstrip(" \t") == good:
            assert reply.status == 200  # blanks at a value's end are not of it (RFC 9110 5.5)
            continue
        assert reply is not None and reply.status == 401, (variant, reply)
    accepted(siege, good)


@pytest.mark.parametrize("header", ["Bearer  {}", "Bearer\t{}", "Bearer {}, {}", "Bearer {} x", "Bearer {};x", "Bearer={}", "Bearer:{}", "JWT {}", "{}", "Basic {}", "Bearer \"{}\"", "Bearer Bearer {}", "Token token={}", "Negotiate {}", "bearer{}"])
def test_the_scheme_is_bearer_and_one_blank(siege, header):
    token = sign({"alg": "HS256"}, claims(siege))
    reply = raw(siege.service.port, request_bytes("GET", "/menu", None, headers=[("Authorization", header.format(token, token))]), check=False)
    assert reply.status == 401, reply


def test_a_token_elsewhere_is_none(siege):
    token = sign({"alg": "HS256"}, claims(siege))
    for query in (f"access_token={token}", f"token={token}", f"jwt={token}", f"Authorization=Bearer%20{token}"):
        assert raw(siege.service.port, request_bytes("GET", f"/menu?{query}"), check=False).status == 401
    for name in ("Cookie", "X-Authorization", "X-Access-Token", "Proxy-Authorization", "X-Forwarded-Authorization", "X-Auth-Token", "Authorization-", "X-User-Token"):
        for value in (f"Bearer {token}", f"Authorization=Bearer {token}", f"access_token={token}"):
            assert raw(siege.service.port, request_bytes("GET", "/menu", None, headers=[(name, value)]), check=False).status == 401


# --- claims ---

BAD_CLAIMS = {
    "exp long ago": {"exp": 1}, "exp a second ago": {"exp": int(time.time()) - 1}, "exp zero": {"exp": 0}, "exp negative": {"exp": -1}, "exp true": {"exp": True}, "exp text": {"exp": "9999999999"}, "exp array": {"exp": [9999999999]}, "exp object": {"exp": {}},
    "nbf far ahead": {"nbf": 9999999999}, "nbf text": {"nbf": "1"}, "iat far ahead": {"iat": 9999999999}, "iat text": {"iat": "1"}, "iss array": {"iss": [tokens.ISSUER]}, "iss prefix": {"iss": tokens.ISSUER + "x"}, "iss other case": {"iss": tokens.ISSUER.upper()},
    "type REFRESH": {"type": "REFRESH"}, "type number": {"type": 1}, "type array": {"type": ["ACCESS"]}, "sub empty": {"sub": ""}, "sub number": {"sub": 1}, "sub object": {"sub": {"a": 1}}, "sub with line end": {"sub": "a\nb"}, "sub with NUL": {"sub": "a\u0000b"},
    "sub of 256": {"sub": "s" * 256}, "customerId number": {"customerId": 5}, "customerId array": {"customerId": ["C"]}, "lineNumber number": {"lineNumber": 1012345678}, "lineNumber array": {"lineNumber": ["01012345678"]}, "lineNumbers text": {"lineNumbers": "01012345678"},
    "lineNumbers of objects": {"lineNumbers": [{}]}, "17 lines": {"lineNumbers": [f"010{n:08d}" for n in range(17)]}, "permissions number": {"permissions": 1}, "permissions object": {"permissions": {"PRODUCT_CHANGE": True}}, "permissions of numbers": {"permissions": [1]},
}


@pytest.mark.parametrize("what", sorted(BAD_CLAIMS))
def test_claims_of_a_wrong_kind_are_401(siege, what):
    tried(siege, sign({"alg": "HS512"}, claims(siege, **BAD_CLAIMS[what])))


RAW_PAYLOADS = [b"", b"null", b"[]", b"1", b'"x"', b"{", b"{}x", b"{} ", b"\xef\xbb\xbf{}", b'{"sub":"\xff"}', b"[" * 4000, b'{"a":' * 200 + b"1" + b"}" * 200, b'{"exp":1e999,"sub":"a","lineNumber":"01012345678"}', b'{"exp":99999999999999999999999999}',
                b'{"exp":NaN}', b'{"exp":0x7fffffff}', b'{"exp":9999999999,"exp":9999999999,"sub":"a"}', b'{"exp":9999999999,"sub":"a","s\\u0075b":"b"}', b"{'exp':9999999999}", b'{"exp":9999999999,}', b'{"exp":09999999999}', b'{"exp":9999999999,"sub":"\\ud800"}']


@pytest.mark.parametrize("number", range(len(RAW_PAYLOADS)))
def test_payloads_that_are_no_strict_json_are_401(siege, number):
    tried(siege, sign({"alg": "HS256"}, RAW_PAYLOADS[number]))


def test_a_token_of_exactly_4_kib_and_one_byte_more(siege):
    for size, status in ((4096, 200), (4097, 401)):
        filler = 0
        token = ""
        while len(token) < size:
            filler += max(1, (size - len(token)) * 3 // 4)
            token = sign({"alg": "HS256"}, claims(siege, filler="x" * filler))
            if len(token) > size:  # base64 moves in steps: the header takes up what is left
                filler -= 3
                for pad in range(1, 12):
                    token = sign({"alg": "HS256", "pad": "y" * pad}, claims(siege, filler="x" * (filler - 9)))
                    if len(token) == size:
                        break
                break
        if len(token) != size:
            continue
        assert raw(siege.service.port, request_bytes("GET", "/menu", token), check=False).status == status


# --- keys that change (point 1: JWKS, kid, two keys at once, rotation by SIGHUP, the memory emptied) ---


def test_rotation_two_keys_at_once_then_the_old_one_out(world, issuer):
    """A JWK set by SIGHUP: old; old and new; new. A token of the old key that was remembered is refused from then on."""
    old, new = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer.write_jwks(Issuer.ec_jwk(old, "2025"))
    c = world.customer()
    service = world.start_service(name="rotation", JWT_SECRET="", JWT_JWKS_FILE=str(issuer.jwks_file), JOURNAL_PATH=world.folder + "/journal-rotation")
    try:
        def status(key, kid):
            full = {"sub": c.subject, "customerId": c.customer_id, "lineNumber": c.line, "iss": tokens.ISSUER, "exp": int(time.time()) + 600}
            held = kept.setdefault((kid, id(key)), issuer.es({"alg": "ES256", **({"kid": kid} if kid else {})}, full, key=key))
            return world.api(held, service=service).menu(check=False).status

        def reload(*keys):
            before = len(service.events("reload.done"))
            issuer.write_jwks(*keys)
            service.process.signal(signal.SIGHUP)
            until(lambda: len(service.events("reload.done")) > before, 5, "reloaded")

        kept = {}
        assert status(old, "2025") == 200 and status(new, "2026") == 401
        until(lambda: status(old, "2025") == 200 and service.metric("pcs_token_memory_total", result="hit") >= 4, 10, "remembered, on each reactor")
        reload(Issuer.ec_jwk(old, "2025"), Issuer.ec_jwk(new, "2026"))
        assert status(old, "2025") == 200 and status(new, "2026") == 200
        assert status(new, "2025") == 401 and status(old, "2026") == 401, "the kid chooses among our keys"
        assert status(old, None) == 200 and status(new, None) == 200, "without a kid each is tried"
        assert status(old, "2027") == 401
        reload(Issuer.ec_jwk(new, "2026"))
        assert status(old, "2025") == 401 and status(old, None) == 401, "its memory went with its key"
        assert status(new, "2026") == 200
        issuer.jwks_file.write_text('{"keys": [')  # half a file: the keys in force stay
        service.process.signal(signal.SIGHUP)
        until(lambda: service.events("reload.keys_refused") or service.events("reload.refused"), 5, "refused")
        assert status(new, "2026") == 200 and status(old, "2025") == 401
    finally:
        service.stop()


def test_a_secret_is_rotated_with_the_one_before_it(world, tmp_path):
    """jwt.previous_secret: both are accepted; without it the old one is out at once, remembered or not."""
    import secrets

    first, second = secrets.token_hex(32), secrets.token_hex(32)
    config = tmp_path / "service.yaml"
    config.write_text(f"jwt:\n  secret: {first}\n")
    c = world.customer()
    service = world.start_service(name="secrets", config=str(config), JWT_SECRET="", JOURNAL_PATH=world.folder + "/journal-secrets")
    service.never_in_log = [first, second]
    try:
        full = {"sub": c.subject, "customerId": c.customer_id, "lineNumber": c.line, "iss": tokens.ISSUER, "exp": int(time.time()) + 600}
        old, new = sign({"alg": "HS256"}, full, first), sign({"alg": "HS256"}, full, second)

        def statuses():
            return [world.api(t, service=service).menu(check=False).status for t in (old, new)]

        def reload(text):
            before = len(service.events("reload.done"))
            config.write_text(text)
            service.process.signal(signal.SIGHUP)
            until(lambda: len(service.events("reload.done")) > before, 5, "reloaded")

        assert statuses() == [200, 401]
        reload(f"jwt:\n  secret: {second}\n  previous_secret: {first}\n")
        assert statuses() == [200, 200]
        reload(f"jwt:\n  secret: {second}\n")
        assert statuses() == [401, 200]
    finally:
        service.stop()
