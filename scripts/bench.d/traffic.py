"""The requests of a benchmark, the releases that answer them, and a client that sends one request after another.

Used by instructions.py and memory.py; cpu.py has h2load send the same requests.
"""

import socket
import time
from dataclasses import dataclass

import pins
from budgets import OF_API, OF_NAVIGATION
from processes import Failure, Server

# What Firefox sends with a navigation, beside Host and Cookie.
NAVIGATION = (
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("Accept-Language", "en-US,en;q=0.5"),
    ("Accept-Encoding", "gzip, deflate, br"),
    ("Upgrade-Insecure-Requests", "1"),
    ("Sec-Fetch-Dest", "document"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-Site", "none"),
    ("Priority", "u=0, i"),
)
# What it sends for a script of that page.
BROWSER = (
    NAVIGATION[0],
    ("Accept", "*/*"),
    *NAVIGATION[2:4],
    ("Referer", "https://chat.example.com/chat"),
    ("Sec-Fetch-Dest", "script"),
    ("Sec-Fetch-Mode", "no-cors"),
    ("Sec-Fetch-Site", "same-origin"),
    ("Priority", "u=2"),
)
# And with a call of that page's API.
DATA = tuple({"Sec-Fetch-Dest": (n, "empty"), "Sec-Fetch-Mode": (n, "cors")}.get(n, (n, v)) for n, v in BROWSER)
PAGE, SCRIPT = "/chat", "/_next/static/chunks/4bd1b696-0a1b2c3d4e5f6a7b.js"
API = "/trpc/lambda/user.getUserState?batch=1&input=%7B%220%22%3A%7B%22json%22%3Anull%7D%7D"
# A user whom every scenario sends to stable, whatever its hash: so all of them do the same work afterwards.
USER = "release_channel=beta; uid=user-0000000-7"
# Real session cookies come before the ones an operator adds.
SESSION = "session=" + "eyJhbGciOiJkaXIifQ" * 120
VISITOR = "lobechat_visitor=0123456789abcdef0123456789abcdef."


@dataclass(frozen=True)
class Shape:
    """One kind of request."""

    title: str
    cookie: str
    headers: tuple = BROWSER
    tokens: tuple = ()  # each request bears the next of these
    release: str = "stable"  # which has to answer
    path: str = SCRIPT
    allowance: int = 0  # instructions on top of the scenario's budget; none: it has no budget

    def lines(self, token=None):
        """Its headers; without `token` those of the first request."""
        token = token or next(iter(self.tokens), None)
        bearer = (("Authorization", f"Bearer {token}"),) if token else ()
        return (*self.headers, *bearer, ("Cookie", self.cookie))

    def texts(self):
        return [self._text(token) for token in self.tokens or (None,)]

    def _text(self, token):
        head = f"GET {self.path} HTTP/1.1\r\nHost: chat.example.com\r\n"
        return (head + "".join(f"{name}: {value}\r\n" for name, value in self.lines(token)) + "\r\n").encode()


# The page that it belongs to came from stable.
PINNED = f"{USER}; {pins.COOKIE}"


def _long(cookie):
    return f"{SESSION[: 2048 - len(cookie) - 2]}; {cookie}"


SHAPES = {
    "bare": Shape("bare", USER, (("User-Agent", "h2load nghttp2/1.52.0"),), allowance=None),
    "40": Shape("40 B", USER),
    "2k": Shape("2 KB", _long(USER)),
    # With the pin of the page.
    "file": Shape("file", PINNED),
    "file-2k": Shape("file, 2 KB", _long(PINNED)),
    # Who has logged in after his first page has the session behind the pin.
    "file-early": Shape("file, pin first", f"{pins.COOKIE}; {USER}; {SESSION}"[:2048]),
    "api": Shape("API call", PINNED, DATA, path=API, allowance=OF_API),
    "page": Shape("page", PINNED, NAVIGATION, path=PAGE, allowance=OF_NAVIGATION),
    "first": Shape("first visit", USER, NAVIGATION, path=PAGE),
    "visitor": Shape("known", f"{VISITOR}{int(time.time()) // 86400}; {pins.COOKIE}", NAVIGATION, path=PAGE),
}
assert len(USER) == 40 and len(BROWSER) == len(NAVIGATION) == 9
assert len(SHAPES["2k"].cookie) == len(SHAPES["file-2k"].cookie) == 2048


def pick(*keys):
    return {key: SHAPES[key] for key in keys}


FOR_EVER = "keepalive_requests 1000000000; keepalive_timeout 1h;"


def backend(nginx, cpu=None):
    """Both releases and a count of connections, in one nginx of its own: answers as small as can be."""

    def render(ports, _):
        stable, canary, status = ports
        answer = "default_type text/html; location / {{ return 200 {0}; }} location /_next/ {{ default_type text/javascript; return 200 {0}; }} location /trpc/ {{ default_type application/json; return 200 {0}; }}"
        return f"""
            daemon off; master_process off; pid nginx.pid; error_log stderr warn;
            events {{ worker_connections 1024; }}
            http {{
                access_log off; {FOR_EVER}
                server {{ listen 127.0.0.1:{stable}; {answer.format("stable")} }}
                server {{ listen 127.0.0.1:{canary}; {answer.format("canary")} }}
                server {{ listen 127.0.0.1:{status}; location / {{ stub_status; }} }}
            }}"""

    return Server("the backend", 3, render, nginx_command(nginx), cpu)


def nginx_command(binary, *before):
    return lambda directory, config: [*before, binary, "-e", "stderr", "-p", directory, "-c", config]


def connections_accepted(status_port):
    """By the backend so far; asking is one more."""
    with Client(status_port) as client:
        return int(client.request(b"GET / HTTP/1.1\r\nHost: status\r\n\r\n").split(b"\r\n\r\n")[1].split()[7])


class Client:
    """One connection, one request at a time: the event loop takes the same turns for each."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def request(self, text):
        self.socket.sendall(text)
        answer = self.socket.recv(65536)
        while not _complete(answer):
            more = self.socket.recv(65536)
            if not more:
                raise Failure(f"the connection was closed after {answer!r}")
            answer += more
        if not answer.startswith(b"HTTP/1.1 200"):
            raise Failure(f"an answer that is none of the releases':\n{answer.decode('latin-1')}")
        return answer

    def expect(self, shape, name):
        """A gateway that routes wrongly is not worth measuring."""
        answer = self.request(shape.texts()[0])
        if not answer.endswith(f"\r\n\r\n{shape.release}".encode()):
            raise Failure(f"{name} did not choose the {shape.release} release:\n{answer.decode('latin-1')}")
        return answer

    def repeat(self, shape, count):
        texts = shape.texts()
        for n in range(count):
            self.request(texts[n % len(texts)])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


def _complete(answer):
    head, blank, body = answer.partition(b"\r\n\r\n")
    if not blank:
        return False
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return len(body) >= int(value)
    raise Failure(f"an answer without Content-Length:\n{head.decode('latin-1')}")
