"""Tokens made by pyjwt, good and bad, one JSON object a line: see README.md. `record` runs it in a directory that
holds claims.jsonl and a foreign key with its certificate."""

import base64
import json
import os
import secrets
import warnings

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

warnings.simplefilter("ignore", jwt.InsecureKeyLengthWarning)

MAKER = f"pyjwt {jwt.__version__}"
END = 3786912000
PAYLOAD = {"sub": "user-1", "role": "user", "exp": END}
RISEN = {"sub": "user-1", "role": "tester", "exp": END}
COMPACT = (",", ":")
TEXT = json.dumps(PAYLOAD, separators=COMPACT)
SIGNERS = jwt.algorithms.get_default_algorithms()
CURVES = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
ALGORITHMS = [kind + bits for kind in ("HS", "RS", "PS", "ES") for bits in ("256", "384", "512")] + ["EdDSA"]
own = {}
other = {}


class Key:
    def __init__(self, alg, kid):
        self.alg, self.kid, self.secret, self.pem = alg, kid, None, None
        if alg.startswith("HS"):
            self.secret = secrets.token_hex(int(alg[2:]) // 16)
            self.key = self.secret.encode()
            public = self.key
        else:
            self.key = private_key(alg)
            public = self.key.public_key()
            self.pem = pem(public)
        self.jwk = SIGNERS[alg].to_jwk(public, as_dict=True) | {"kid": kid}


def private_key(alg):
    if alg in CURVES:
        return ec.generate_private_key(CURVES[alg])
    return ed25519.Ed25519PrivateKey.generate() if alg == "EdDSA" else rsa.generate_private_key(65537, 2048)


def pem(public):
    how = serialization.PublicFormat.SubjectPublicKeyInfo
    return public.public_bytes(serialization.Encoding.PEM, how).decode()


def add(name, alg, source, token, expect, claims=TEXT, parameters="", now=None):
    keys, secret = source.get("keys"), source.get("secret")
    line = {"id": f"pyjwt/{name}", "maker": MAKER, "alg": alg, "keys": keys, "secret": secret}
    line |= {"parameters": parameters, "token": token, "now": now, "expect": expect}
    text = json.dumps(line, separators=COMPACT)
    # The claims go in as the token has them: 1e3 must not become 1000.0 on the way.
    if expect == "valid":
        flat = claims.strip().translate({ord(white): None for white in "\r\n\t"})
        text = f'{text[:-1]},"claims":{flat}}}'
    print(text)


def jwks(*keys):
    return {"keys": json.dumps({"keys": keys}, separators=COMPACT)}


def sign(of, payload=PAYLOAD, **header):
    return jwt.encode(payload, of.key, of.alg, headers={"kid": of.kid} | header)


def encode(data):
    return base64.urlsafe_b64encode(data.encode() if isinstance(data, str) else data).rstrip(b"=").decode()


def parts(token):
    return token.split(".")


def with_part(token, at, text):
    all_parts = parts(token)
    return ".".join(all_parts[:at] + [text] + all_parts[at + 1 :])


def signature(token):
    return base64.urlsafe_b64decode(parts(token)[2] + "==")


def with_signature(token, data):
    return with_part(token, 2, encode(data))


def by_hand(of, header, payload=TEXT, alg=None, key=None, encoded_header=None, encoded_payload=None):
    """A token pyjwt would not make: `header` and `payload` are texts, or parts already encoded."""
    data = f"{encoded_header or encode(header)}.{encoded_payload or encode(payload)}"
    return f"{data}.{encode(SIGNERS[alg or of.alg].sign(data.encode(), key or of.key))}"


def header(of, **more):
    return json.dumps({"alg": of.alg, "kid": of.kid} | more, separators=COMPACT)


def every_algorithm():
    for alg in ALGORITHMS:
        key = own[alg] = Key(alg, f"{alg}-1")
        other[alg] = Key(alg, key.kid)
        keys = jwks(key.jwk)
        token = sign(key)
        unnamed = jwt.encode(PAYLOAD, key.key, alg)
        add(f"{alg}/valid", alg, keys, token, "valid")
        if key.secret:
            add(f"{alg}/valid_secret", alg, {"secret": key.secret}, unnamed, "valid")
        else:
            add(f"{alg}/valid_pem", alg, {"keys": key.pem}, unnamed, "valid")
        changed = bytearray(signature(token))
        changed[len(changed) // 2] ^= 1
        add(f"{alg}/changed_signature", alg, keys, with_signature(token, changed), "signature")
        risen = with_part(token, 1, encode(json.dumps(RISEN)))
        add(f"{alg}/changed_payload", alg, keys, risen, "signature")
        add(f"{alg}/other_key", alg, keys, sign(other[alg]), "signature")


def key_sets():
    """Of P-256 keys, where jose's are of RSA keys."""
    key, second, ed, hs = own["ES256"], other["ES256"], own["EdDSA"], own["HS256"]
    second.kid = "ES256-2"
    second.jwk["kid"] = second.kid
    token = sign(key)
    unnamed = jwt.encode(PAYLOAD, key.key, key.alg)
    bare = {name: value for name, value in key.jwk.items() if name not in ("key_ops", "use", "alg")}
    add("keys/kid_absent", "ES256", jwks(second.jwk, ed.jwk, key.jwk), unnamed, "valid")
    foreign = jwt.encode(PAYLOAD, second.key, key.alg)
    add("keys/kid_absent_foreign", "ES256", jwks(ed.jwk, key.jwk), foreign, "signature")
    add("keys/kid_wrong", "ES256", jwks(key.jwk, ed.jwk), sign(key, kid="ES256-9"), "key")
    add("keys/kid_of_other", "ES256", jwks(key.jwk, second.jwk), sign(key, kid=second.kid), "signature")
    same = jwks(ed.jwk | {"kid": key.kid}, bare)
    add("keys/kid_shared", "ES256", same, token, "valid")
    add("keys/oct_beside_ec", "HS256", jwks(key.jwk, hs.jwk), sign(hs), "valid")
    unusable = {
        "use_enc": bare | {"use": "enc"},
        "unknown_kty": bare | {"kty": "EC-NEW"},
        "other_alg": bare | {"alg": "ES384"},
        "key_ops": bare | {"key_ops": ["deriveKey"]},
    }
    crowd = [jwk | {"kid": kid} for kid, jwk in unusable.items()]
    point = x25519.X25519PrivateKey.generate().public_key().public_bytes_raw()
    crowd.append({"kty": "OKP", "crv": "X25519", "x": encode(point), "kid": "x"})
    add("keys/several", "ES256", jwks(*crowd, key.jwk, own["RS256"].jwk), token, "valid")
    add("keys/several_rsa", "RS256", jwks(*crowd, key.jwk, own["RS256"].jwk), sign(own["RS256"]), "valid")
    for why, jwk in unusable.items():
        add(f"keys/{why}_alg", "ES256", jwks(jwk, ed.jwk), token, "alg")
        add(f"keys/{why}_key", "ES256", jwks(jwk, second.jwk), token, "key")
    small = rsa.generate_private_key(65537, 1024)
    weak = SIGNERS["RS256"].to_jwk(small.public_key(), as_dict=True) | {"kid": "weak"}
    weak_token = by_hand(own["RS256"], '{"alg":"RS256","kid":"weak"}', key=small)
    add("keys/rsa1024", "RS256", jwks(weak), weak_token, "no_keys")
    add("keys/rsa1024_pem", "RS256", {"keys": pem(small.public_key())}, weak_token, "no_keys")
    add("keys/rsa1024_alg", "RS256", jwks(weak, key.jwk), weak_token, "alg")
    add("keys/rsa1024_key", "RS256", jwks(weak, own["RS256"].jwk), weak_token, "key")


def algorithms():
    key, hs, rs, ps = own["ES256"], own["HS256"], own["RS256"], own["PS256"]
    for none in ("none", "None", "NONE", "nOnE"):
        head = encode(header(key, alg=none))
        made = jwt.encode(PAYLOAD, None, "none") if none == "none" else f"{head}.{encode(TEXT)}."
        add(f"alg/{none}", none, jwks(key.jwk), made, "alg")
        add(f"alg/{none}_signed", none, jwks(key.jwk), by_hand(key, header(key, alg=none)), "alg")
        add(f"alg/{none}_secret", none, {"secret": hs.secret}, made, "alg")
    # pyjwt takes no PEM text for a secret.
    text = json.dumps(RISEN)
    head = '{"alg":"HS256","typ":"JWT"}'
    add("alg/pem_as_secret", "HS256", {"keys": rs.pem}, by_hand(hs, head, text, key=rs.pem.encode()), "alg")
    cut = rs.pem.strip().encode()
    add("alg/pem_as_secret_cut", "HS256", {"keys": rs.pem}, by_hand(hs, head, text, key=cut), "alg")
    head = header(hs, kid=key.kid)
    keys = jwks(key.jwk)
    add("alg/jwks_as_secret", "HS256", keys, by_hand(hs, head, text, key=keys["keys"].encode()), "alg")
    rs_says = jwks(rs.jwk | {"alg": "RS256"})
    pss = jwt.encode(PAYLOAD, rs.key, "PS256", headers={"kid": rs.kid})
    add("alg/jwk_says_other", "PS256", rs_says, pss, "alg")
    add("alg/parameter_other", "PS256", jwks(rs.jwk), pss, "alg", parameters="alg=RS256")
    add("alg/parameter_two", "PS256", jwks(rs.jwk), pss, "valid", parameters="alg=RS256,PS256")
    add("alg/parameter_pem", "PS256", {"keys": ps.pem}, sign(own["PS256"]), "alg", parameters="alg=RS256")
    wide = by_hand(own["ES384"], header(own["ES384"], alg="ES256"))
    add("alg/other_curve", "ES256", jwks(own["ES384"].jwk), wide, "alg")
    add("alg/secret_for_es", "ES256", {"secret": hs.secret}, sign(key), "alg")
    short = own["HS512"].secret[:40]
    add("alg/secret_too_short", "HS512", {"secret": short}, jwt.encode(PAYLOAD, short, "HS512"), "alg")
    add("alg/secret_newline", "HS256", {"secret": f"{hs.secret}\n"}, sign(hs), "valid")


def headers():
    key, hs, secret = own["RS256"], own["HS256"], {"secret": own["HS256"].secret}
    with open("foreign.key", "rb") as file:
        foreign = serialization.load_pem_private_key(file.read(), None)
    with open("foreign.crt", "rb") as file:
        certificate = x509.load_pem_x509_certificate(file.read())
    embedded = {
        "jwk": SIGNERS["RS256"].to_jwk(certificate.public_key(), as_dict=True),
        "jku": "https://foreign.example/jwks.json",
        "x5u": "https://foreign.example/foreign.pem",
        "x5c": [base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()],
    }
    for name, value in embedded.items():
        token = jwt.encode(RISEN, foreign, "RS256", headers={"kid": key.kid, name: value})
        add(f"header/{name}", "RS256", jwks(key.jwk), token, "signature")
    add("header/typ", "HS256", secret, sign(hs, typ="at+jwt"), "valid")
    # pyjwt announces no extension it does not know, and leaves a detached payload out.
    add("header/crit", "HS256", secret, by_hand(hs, header(hs, crit=["tenant"], tenant="a")), "malformed")
    detached = jwt.api_jws.PyJWS().encode(TEXT.encode(), hs.key, "HS256", is_payload_detached=True)
    add("header/b64", "HS256", secret, with_part(detached, 1, TEXT), "malformed")
    add("header/b64_detached", "HS256", secret, detached, "malformed")
    add("header/b64_encoded", "HS256", secret, by_hand(hs, header(hs, b64=False, crit=["b64"])), "malformed")
    for name, text in {
        "duplicate_alg": '{"alg":"none","alg":"HS256"}',
        "duplicate_alg_last": '{"alg":"HS256","alg":"none"}',
        "list": '[{"alg":"HS256"}]',
        "text": "HS256",
    }.items():
        add(f"header/{name}", "HS256", secret, by_hand(hs, text), "malformed")


def encodings():
    hs, token = own["HS256"], sign(own["HS256"])
    body = encode('{"sub":"user-1","role":"tester","exp":3786912000}')  # a byte over groups of three
    loose = body[:-1] + chr(ord(body[-1]) + 1)
    for name, text in {
        "payload_padding": by_hand(hs, header(hs), encoded_payload=body + "=="),
        "payload_bits": by_hand(hs, header(hs), encoded_payload=loose),
        "payload_space": by_hand(hs, header(hs), encoded_payload=f"{body[:8]} {body[8:]}"),
        "signature_padding": f"{token}=",
        "signature_bits": token[:-1] + chr(ord(token[-1]) + 1),
        "two_parts": token[: token.rindex(".")],
        "four_parts": f"{token}.{parts(token)[2]}",
        "jwe": jwe(hs),
    }.items():
        add(f"encoding/{name}", "HS256", {"secret": hs.secret}, text, "malformed")


def jwe(of):
    head, nonce = encode('{"alg":"dir","enc":"A256GCM"}'), os.urandom(12)
    sealed = AESGCM(of.key).encrypt(nonce, TEXT.encode(), head.encode())
    return f"{head}..{encode(nonce)}.{encode(sealed[:-16])}.{encode(sealed[-16:])}"


def signatures():
    key, ed, hs, ps = own["ES256"], own["EdDSA"], own["HS256"], own["PS256"]
    raw = sign(key)
    r, s = signature(raw)[:32], signature(raw)[32:]
    der = utils.encode_dss_signature(int.from_bytes(r), int.from_bytes(s))
    bad = {"es256_der": (key, der), "es256_short": (key, r + s[:-1]), "es256_long": (key, r + s + b"\0")}
    bad |= {"es256_padded": (key, b"\0" + r + b"\0" + s), "es256_zero": (key, bytes(64))}
    data = sign(ps).rpartition(".")[0].encode()
    for length in (0, 20, padding.calculate_max_pss_salt_length(ps.key, hashes.SHA256())):
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), length)
        bad[f"ps256_salt_{length}"] = (ps, ps.key.sign(data, pss, hashes.SHA256()))
    bad["ed_truncated"] = (ed, signature(sign(ed))[:-1])
    bad["hs_truncated"] = (hs, signature(sign(hs))[:16])
    for name, (of, data) in bad.items():
        token = raw if of is key else sign(of)
        add(f"signature/{name}", of.alg, jwks(of.jwk), with_signature(token, data), "signature")


def claims():
    key = own["EdDSA"]
    keys = jwks(key.jwk)
    with open("claims.jsonl", encoding="utf-8") as file:
        cases = [json.loads(line) for line in file]
    for case in cases:
        if "payload" in case:
            token, text = sign(key, case["payload"]), json.dumps(case["payload"])
        else:
            text = case["text"]
            token = jwt.api_jws.PyJWS().encode(text.encode(), key.key, key.alg, headers={"kid": key.kid})
        add(case["name"], key.alg, keys, token, case["expect"], text, case.get("parameters", ""), case["now"])


for make in (every_algorithm, key_sets, algorithms, headers, encodings, signatures, claims):
    make()
