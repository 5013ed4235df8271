"""Keys and signed tokens, as an application would hand them out; made anew in each run, so that they have not expired.

Used by identities.py and identity_peers.py. HMAC is Python's own; keys of RSA and P-256 and their signatures come from the
openssl command.
"""

import base64
import hashlib
import hmac
import json
import os
import subprocess
import time

from processes import Failure

SECRET = "bench-8Jx2vQm4Rk7Tn1Wb5Yd9Zf3Hc6Lg0Sp"
COOKIE_KEY = "bench-3Fq7Ks1Xu5Mv9Ah2Dj6Gw0Pz4Rt8Bn"
# A user whom every scenario sends to stable, whatever its hash: so all of them do the same work afterwards.
USER_ID = "user_2nHq7TzW4kXv9RbYc1Lp6Md3SfG-10"
MAKE_KEY = {
    "RS256": ("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"),
    "ES256": ("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"),
}


class Keyring:
    """A secret and a pair of keys for each public-key algorithm."""

    def __init__(self, directory):
        self.paths = {algorithm: os.path.join(directory, f"{algorithm}.pem") for algorithm in MAKE_KEY}
        for algorithm, command in MAKE_KEY.items():
            _openssl(*command, "-out", self.paths[algorithm])
        self.now = int(time.time())

    # === what gateways verify with

    def files(self):
        """{name: function that yields its lines}, for a Scenario"""
        return {
            "jwt.secret": lambda: [SECRET],
            "jwks.json": lambda: [json.dumps({"keys": [self._rsa_jwk(), self._ec_jwk()]})],
            "cookie.key": lambda: [COOKIE_KEY],
        }

    def public_pem(self, algorithm):
        return _openssl("pkey", "-in", self.paths[algorithm], "-pubout").decode()

    def _rsa_jwk(self):
        modulus = _openssl("rsa", "-in", self.paths["RS256"], "-noout", "-modulus").decode().strip()
        n = encode(bytes.fromhex(modulus.removeprefix("Modulus=")))
        return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": key_id("RS256"), "n": n, "e": "AQAB"}

    def _ec_jwk(self):
        der = _openssl("pkey", "-in", self.paths["ES256"], "-pubout", "-outform", "DER")
        x, y = encode(der[-64:-32]), encode(der[-32:])  # the point ends the structure
        return {"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": key_id("ES256"), "x": x, "y": y}

    # === what clients send

    def token(self, algorithm, role="user", number=0, life=86_400):
        """A JSON Web Token of the size that they have in practice; another `number`, another token of this length."""
        head = {"alg": algorithm, "typ": "JWT"}
        if algorithm in MAKE_KEY:
            head["kid"] = key_id(algorithm)
        claims = {
            "sub": USER_ID, "role": role, "email": "maria.musterfrau@example.com", "name": "Maria Musterfrau",
            "iss": "https://auth.example.com", "aud": "lobechat", "iat": self.now - number, "exp": self.now + life,
        }
        signed = ".".join(encode(_json(part)) for part in (head, claims))
        return f"{signed}.{encode(self._sign(algorithm, signed.encode()))}"

    def better_auth_session(self):
        """The value of better-auth's cookie cache in its strategy `compact`; as src/identity/better_auth.rs reads it."""
        expires = (self.now + 300) * 1000
        session = {
            "session": {"id": "pWc4Zk8Tn2Vb6Xm0Rq5Ls9Jd3Hf7Gy1A", "userId": USER_ID, "token": "k" * 32,
                        "expiresAt": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(self.now + 604_800)),
                        "ipAddress": "", "userAgent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Firefox/128.0"},
            "user": {"id": USER_ID, "name": "Maria Musterfrau", "email": "maria.musterfrau@example.com",
                     "emailVerified": True, "role": "user"},
            "updatedAt": self.now * 1000, "version": "1",
        }
        code = self._sign("HS256", _json({**session, "expiresAt": expires}))
        return encode(_json({"session": session, "expiresAt": expires, "signature": encode(code)}))

    def _sign(self, algorithm, text):
        if algorithm == "HS256":
            return hmac.digest(SECRET.encode(), text, hashlib.sha256)
        signature = _openssl("dgst", "-sha256", "-sign", self.paths[algorithm], text=text)
        return _raw(signature) if algorithm == "ES256" else signature


def key_id(algorithm):
    return f"2026-{algorithm.lower()}"


def encode(octets):
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def _json(value):
    return json.dumps(value, separators=(",", ":")).encode()


def _raw(der):
    """The two numbers of an ECDSA signature, 32 bytes each, from a DER sequence of two short integers."""
    r_end = 4 + der[3]
    return b"".join(number.lstrip(b"\0").rjust(32, b"\0") for number in (der[4:r_end], der[r_end + 2 :]))


def _openssl(*arguments, text=b""):
    done = subprocess.run(["openssl", *arguments], input=text, capture_output=True, check=False)
    if done.returncode:
        raise Failure(f"openssl {arguments[0]}: {done.stderr.decode().strip()}")
    return done.stdout
