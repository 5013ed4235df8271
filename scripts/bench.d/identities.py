"""What is measured of verified identity: the policies that read tokens, and the requests that bear them.

Used by measure_identity.py. The same policy with other ways to verify stands in identity_peers.py.
"""

from dataclasses import replace

from budgets import REMEMBERED_TOKEN, TOKEN_BY_ITSELF
from processes import Failure
from scenarios import EXACT, Scenario, policy
from tokens import encode
from traffic import SHAPES, USER, Client

CANARY_COOKIE = EXACT[1]
ROLE = "route canary if claim:role = tester;"
# So few places and so many tokens that each has been pushed out when its turn comes again: all are first ones.
PLACES, TOKENS = 4, 10


class Identities:
    """Policies that verify with the keys of `keyring`."""

    def __init__(self, keyring):
        self.keyring = keyring
        hs256, jwks = "identity jwt secret=jwt.secret", "identity jwt keys=jwks.json"
        self.remembered = self._policy("jwt", "module: JWT (HS256), remembered", hs256, budget=TOKEN_BY_ITSELF)
        self.pinned = self._policy("jwt-pin", "module: the same + pin", hs256, pin=True, budget=REMEMBERED_TOKEN)
        self.jwks = self._policy("jwks", "module: JWT by a JWK Set, remembered", jwks)
        self.first = self._policy("first", "module: JWT (HS256), first", f"{hs256} cache={PLACES}")
        self.first_jwks = self._policy("first-jwks", "module: JWT by a JWK Set, first", f"{jwks} cache={PLACES}")
        self.cookie = self._policy("cookie", "token in a cookie", f"{hs256} from=cookie:token")
        self.better_auth = self._policy("better-auth", "better-auth session", "identity better_auth secret=jwt.secret")
        keyed = f"cookie_key cookie.key; {hs256}"
        self.enrol = self._policy("remember", "remember cookie", keyed, role=ROLE.replace(";", " remember=30d;"))
        self.keep = self._policy("keep", "keep cookie", keyed, users="user claim:sub keep=30d;")

    def _policy(self, key, title, identity, role=ROLE, users="user claim:sub;", pin=False, **rest):
        location = policy(f"{identity};", CANARY_COOKIE, role, users=users, pin=pin)
        return Scenario(key, title, location=location, target="http://lobechat_canary", module=True,
                        files=self.keyring.files(), **rest)

    def of(self, algorithm):
        """(policy that remembers the tokens of an algorithm, policy that does not)"""
        return (self.remembered, self.first) if algorithm == "HS256" else (self.jwks, self.first_jwks)

    def others(self, setting):
        """(what, policy, request) for what else is remembered once verified"""
        user = self.keyring.token("HS256")
        tester = self.keyring.token("HS256", role="tester")
        session = self.keyring.better_auth_session()
        enrolment, kept = self._issued(self.enrol, tester, setting), self._issued(self.keep, user, setting)
        return (
            ("JWT (RS256)", self.jwks, bearing("40", self.keyring.token("RS256"))),
            ("JWT (ES256)", self.jwks, bearing("40", self.keyring.token("ES256"))),
            ("JWT (HS256) in a cookie", self.cookie, _with_cookie(f"token={user}")),
            ("better-auth session", self.better_auth, _with_cookie(f"better-auth.session_data={session}")),
            ("remember cookie, no token", self.enrol, replace(_with_cookie(enrolment), release="canary")),
            ("keep cookie, no token", self.keep, _with_cookie(kept)),
            ("keep cookie and JWT (HS256)", self.keep, replace(_with_cookie(kept), tokens=(user,))),
        )

    def _issued(self, scenario, token, setting):
        """The cookie that a gateway sets for a token; it is good at another one with the same key as well."""
        with scenario.server(setting) as server, Client(server.port) as client:
            answer = client.request(bearing("40", token).texts()[0])
        cookies = [line for line in answer.split(b"\r\n") if line.lower().startswith(b"set-cookie:")]
        if len(cookies) != 1:
            raise Failure(f"{server.name} did not set one cookie:\n{answer.decode('latin-1')}")
        return cookies[0].split(b":", 1)[1].split(b";")[0].strip().decode()


def bearing(shape, *tokens, release="stable"):
    """A request with tokens in its Authorization header, which take turns."""
    return replace(SHAPES[shape], tokens=tokens, release=release)


def _with_cookie(cookie):
    return replace(SHAPES["40"], cookie=f"{cookie}; {USER}")


def fresh(keyring, algorithm):
    """A request with a token that has not been seen for long."""
    return bearing("40", *(keyring.token(algorithm, number=n) for n in range(TOKENS)))


def check(gateway, keyring, algorithm, setting):
    """A gateway that takes bad tokens, or none, has not done the work that is measured."""
    user, tester = (keyring.token(algorithm, role=role) for role in ("user", "tester"))
    signed, _, signature = tester.rpartition(".")
    head, payload = signed.split(".")
    none = encode(b'{"alg":"none","typ":"JWT"}')
    cases = {
        "a user's token": (user, "stable"),
        "a tester's token": (tester, "canary"),
        "a tester's token under a user's signature": (f"{signed}.{user.rpartition('.')[2]}", "stable"),
        "a tester's token without signature": (f"{signed}.", "stable"),
        "a tester's token of algorithm none": (f"{none}.{payload}.", "stable"),
        "a tester's token that has expired": (keyring.token(algorithm, role="tester", life=-60), "stable"),
        "a tester's token that is cut": (f"{head}.{payload[:-4]}.{signature}", "stable"),
    }
    with gateway.server(setting) as server, Client(server.port) as client:
        for what, (token, release) in cases.items():
            request = replace(bearing("40", token, release=release), cookie=USER)  # with a pin the page would decide
            client.expect(request, f"{gateway.title}, given {what},")
