"""Bearer tokens, made here from RFC 7515 alone: nothing of the service or of the auth simulator."""

import base64
import hashlib
import hmac
import json
import time

SECRET = "integration-test-secret-of-more-than-64-bytes-so-that-HS512-is-at-home-here"
ISSUER = "phonebill-auth-service"
HASHES = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def sign(header, claims, secret=SECRET, algorithm=None):
    """A JWS of exactly these members; algorithm: what it is really signed with (default: the header's)."""
    head = b64(header if isinstance(header, bytes) else compact(header))
    body = b64(claims if isinstance(claims, bytes) else compact(claims))
    text = f"{head}.{body}".encode()
    algorithm = algorithm or header.get("alg")
    if algorithm not in HASHES:
        return f"{head}.{body}."
    key = secret if isinstance(secret, bytes) else secret.encode()
    return f"{head}.{body}.{b64(hmac.new(key, text, HASHES[algorithm]).digest())}"


def dashed(line):
    return f"{line[:3]}-{line[3:7]}-{line[7:]}"


def token(secret=SECRET, alg="HS512", header=None, ttl=3600, **claims):
    """A token like the production issuer's (HS512, lineNumber with dashes, no permissions) with the given
    claims on top; a claim given as None is left out."""
    now = int(time.time())
    full = {"sub": "user", "iss": ISSUER, "iat": now, "exp": now + ttl, "type": "ACCESS", **claims}
    full = {k: v for k, v in full.items() if v is not None}
    return sign(header or {"alg": alg}, full, secret)
