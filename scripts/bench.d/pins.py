"""The pin cookie of a page that the stable release has served, as the module would set it: src/pin/cookie.rs.

Used by traffic.py for requests, and by scenarios.py, whose policies have the key.
"""

import base64
import hashlib
import hmac
import time

KEY = "a key for nothing but a benchmark, of 32 bytes or more"
FILE = "pin.key"


def _derived(purpose):
    """HKDF with SHA-256 and no salt (RFC 5869), one block."""
    extracted = hmac.digest(bytes(32), KEY.encode(), "sha256")
    return hmac.digest(extracted, purpose + b"\1", "sha256")


def value(policy="default", upstream="lobe_a", version="1.0.0"):
    generation = max(1, int.from_bytes(hashlib.sha256(f"{policy}\0{upstream}\0{version}".encode()).digest()[:8], "big"))
    text = policy.encode() + b"\0" + generation.to_bytes(8, "big") + b"s"
    code = hmac.digest(_derived(b"lobechat-canary pin"), text, "sha256")
    tag = base64.urlsafe_b64encode(code).decode()[:22]
    return f"{generation:016x}.s.{tag}.{int(time.time())}"


COOKIE = f"lobechat_release={value()}"
