"""Verifies a recording with pyjwt: every token recorded as valid must give its claims, every other must be refused."""

import datetime
import json
import re
import sys
import warnings
from unittest import mock

import jwt

warnings.simplefilter("ignore", jwt.InsecureKeyLengthWarning)

# pyjwt knows no algorithm of that name.
UNKNOWN = re.compile(r"/Ed25519/")
# What pyjwt lets pass: duplicate members, padding, a number in a string, NaN, a key or secret that is too short.
LENIENT = re.compile(r"/duplicate|_padding$|/(exp|nbf|iat)/string$|payload/nan$|keys/rsa1024|alg/secret_too_short$")


class Clock(datetime.datetime):
    fixed = None

    @classmethod
    def now(cls, tz=None):
        return super().now(tz) if cls.fixed is None else cls.fromtimestamp(cls.fixed, tz)


def verify(record):
    words = dict(word.split("=", 1) for word in record["parameters"].split())
    header = jwt.get_unverified_header(record["token"])
    allowed = words["alg"].split(",") if "alg" in words else [header["alg"]]
    options = {"verify_aud": "aud" in words, "require": words.get("require", "").split(",") if "require" in words else []}
    Clock.fixed = record["now"]
    failures = []
    for key in candidates(record, header):
        try:
            return jwt.decode(
                record["token"],
                key,
                algorithms=allowed,
                options=options,
                issuer=words.get("iss"),
                audience=words.get("aud"),
                leeway=int(words.get("leeway", "0s")[:-1]),
            )
        except (jwt.PyJWTError, TypeError, ValueError) as failure:
            failures.append(f"{type(failure).__name__}: {failure}")
    raise jwt.InvalidTokenError("; ".join(failures) or "no key")


def candidates(record, header):
    if record["secret"] is not None:
        return [record["secret"].removesuffix("\n")]
    if record["keys"].startswith("-----"):
        return [record["keys"]]
    kid, alg = header.get("kid"), header["alg"]
    return [
        jwt.PyJWK(jwk, alg).key
        for jwk in json.loads(record["keys"])["keys"]
        if (kid is None or jwk.get("kid") == kid) and fits(jwk, alg)
    ]


def fits(jwk, alg):
    """What pyjwt leaves to its caller."""
    kind = {"HS": "oct", "RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}.get(alg[:2])
    usable = jwk.get("use", "sig") == "sig" and "verify" in jwk.get("key_ops", ["verify"])
    curve = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "EdDSA": "Ed25519"}.get(alg, jwk.get("crv"))
    return usable and jwk["kty"] == kind and jwk.get("alg", alg) == alg and jwk.get("crv") == curve


def main():
    wrong = 0
    with open(sys.argv[1], encoding="utf-8") as file:
        records = [json.loads(line) for line in file]
    for record in records:
        if UNKNOWN.search(record["id"]):
            continue
        try:
            answer = verify(record)
            accepted = True
        except Exception as failure:
            answer = f"{type(failure).__name__}: {failure}"
            accepted = False
        if record["expect"] == "valid":
            good = accepted and answer == record["claims"]
        else:
            good = not accepted or LENIENT.search(record["id"])
        if not good:
            wrong += 1
            print(f"pyjwt: {record['id']} is recorded as {record['expect']}, but pyjwt says {answer}", file=sys.stderr)
    return 1 if wrong else 0


with mock.patch("jwt.api_jwt.datetime", Clock):
    sys.exit(main())
