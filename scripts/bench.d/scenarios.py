"""What is measured: the nginx configurations, from a plain proxy_pass to a policy with a million values.

Used by main.py, which hands them to instructions.py, cpu.py and memory.py. What the peers do stands in peers.py.
"""

from dataclasses import dataclass, field, replace

import pins
from budgets import ROUTE, ROUTE_BY_ITSELF, Budget
from processes import Server, write_files
from traffic import FOR_EVER, nginx_command


@dataclass(frozen=True)
class Scenario:
    """One gateway: `http` stands at the http level, `location` before the pass."""

    key: str
    title: str
    http: str = ""
    location: str = ""
    target: str = "http://lobe_a"
    module: bool = False
    budget: Budget = None
    load: tuple = ()
    files: dict = field(default_factory=dict)  # name: function that yields its lines
    releases: int = 2
    has_master = True

    def server(self, setting, name=None, single=True, before=(), cpu=None):
        """Runs it, as one process for callgrind, else as master and worker."""
        command = nginx_command(setting.nginx, *before)
        render = lambda ports, directory: self._render(setting, ports, directory, single)
        return Server(name or self.title, 1, render, command, cpu)

    def _render(self, setting, ports, directory, single):
        write_files({pins.FILE: lambda: (pins.KEY,), **self.files}, directory)
        load = self.load + ((setting.module,) if self.module else ())
        stable, canary, _ = setting.backend.ports
        upstreams = [("lobe_a", stable), ("lobe_b", canary)]
        upstreams += [(f"lobe_{n}", canary) for n in range(3, self.releases + 1)]
        return f"""
            {"".join(f"load_module {path}; " for path in load)}
            daemon off; {"master_process off;" if single else ""} worker_processes 1;
            pid nginx.pid; error_log stderr warn;
            events {{ worker_connections 1024; }}
            http {{
                access_log off; {FOR_EVER}
                {"".join(_upstream(name, port) for name, port in upstreams)}
                {self.http}
                server {{
                    listen 127.0.0.1:{ports[0]};
                    proxy_http_version 1.1;
                    proxy_set_header Connection "";
                    proxy_set_header Host $host;
                    location / {{
                        {self.location}
                        proxy_pass {self.target};
                    }}
                }}
            }}"""


def _upstream(name, port):
    return f"upstream {name} {{ server 127.0.0.1:{port}; keepalive 32; {FOR_EVER} }}\n"


def policy(*lines, name="", users="user cookie:uid;", pin=False):
    """The block of a policy with two releases, 90 to 10."""
    pinning = f"pin on; cookie_key {pins.FILE};" if pin else "pin off;"
    text = "\n".join((pinning, "release stable lobe_a version=1.0.0;", "release canary lobe_b version=1.1.0 weight=10%;", users, *lines))
    return f"lobechat_canary {name} {{ {text} }}"


def routed(key, title, *lines, pin=False, **rest):
    return Scenario(key, title, location=policy(*lines, pin=pin), target="http://lobechat_canary", module=True, **rest)


def mapped(key, title, *lines):
    """What people use: the cookie decides, else the user's share."""
    http = f"""
        split_clients $cookie_uid $by_user {{ 10% lobe_b; * lobe_a; }}
        map $cookie_release_channel $release {{ default $by_user; {" ".join(lines)} }}"""
    return Scenario(key, title, http=http, target="http://$release")


EXACT = ("route stable if cookie:release_channel = stable;", "route canary if cookie:release_channel = canary;")
REGEX = (EXACT[0], "route canary if cookie:release_channel ~* canary;")
TEN = (
    *EXACT,
    "route canary if cookie:ring in insider|beta-tester;",
    "route canary if header:x-user-tier = premium;",
    "route canary if header:x-user-tier in gold|platinum;",
    "route canary if header:x-region = eu and header:x-device = mobile;",
    "route canary if arg:release = canary;",
    "route canary if cookie:staff;",
    "route canary if $remote_addr = 192.0.2.7;",
    "route stable if header:x-robot;",
)

PLAIN = Scenario("plain", "plain proxy_pass")
LOADED = Scenario("loaded", "plain, module loaded", module=True)
MAP = mapped("map", "map + split_clients", "stable lobe_a;", "canary lobe_b;")
HASH = routed("hash", "module: user split")
SPLIT = routed("route", "module: cookie route + user split", EXACT[1], budget=ROUTE_BY_ITSELF)
JUDGE = {"http": "lobechat_canary_zone lobechat_canary:1m state=off;"}
JUDGED = routed("judged", "module: the same, judged", EXACT[1], "rollback on;", budget=ROUTE_BY_ITSELF, **JUDGE)
PINNED = routed("pin", "module: cookie route + user split + pin", EXACT[1], pin=True, budget=ROUTE)
PINNED_JUDGED = routed("pin-judged", PINNED.title + ", judged", EXACT[1], "rollback on;", pin=True, budget=ROUTE, **JUDGE)
TWO = routed("two", "module: two cookie routes + user split", *EXACT)

MAIN = (PLAIN, LOADED, MAP, HASH, SPLIT, JUDGED, TWO, routed("ten", "module: ten routes that miss", *TEN))
QUICK = (PLAIN, MAP, HASH, SPLIT, JUDGED)
OF_PAGES = (PLAIN, PINNED, PINNED_JUDGED)

# Not in the table of the budgets: what else a policy may be asked to do, in a row each.
HEADERS = """
    proxy_set_header Connection "";
    proxy_set_header Host $host;
    proxy_set_header X-Release $lobechat_canary_release;
    proxy_set_header X-Release-Version $lobechat_canary_version;
    proxy_set_header X-Release-Reason $lobechat_canary_reason;"""
MORE = (
    mapped("map-regex", "map with a regex + split_clients", "stable lobe_a;", '"~*canary" lobe_b;'),
    routed("regex", "module: cookie routes, one a regex", *REGEX),
    replace(SPLIT, key="variable", title="module: $lobechat_canary_upstream", budget=None,
            target="http://$lobechat_canary_upstream"),
    replace(SPLIT, key="expose", title="module: expose on", budget=None, location=policy(*EXACT, "expose on;")),
    replace(SPLIT, key="headers", title="module: three variables to the backend", budget=None,
            location=policy(*EXACT) + HEADERS),
)
# For navigations that get text/html, which is where cookies are set.
VISITOR = replace(HASH, key="visitor", title="module: split by visitor cookie", location=policy(users="user visitor;", pin=True))


def growth():
    """(what grows, scenarios with the count as their title)"""
    return (
        ("routes on one cookie", [routes(n, "cookie:release_channel = ring-{}") for n in (1, 10, 100)]),
        ("routes on a cookie each", [routes(n, "cookie:ring-{} = on") for n in (1, 10, 100)]),
        ("routes on a header each", [routes(n, "header:x-ring-{} = on") for n in (1, 10, 100)]),
        ("releases", [releases(n) for n in (2, 4, 8)]),
        ("policies", [policies(n) for n in (1, 10, 100)]),
        ("lines of a file", [lines_of_a_file(n) for n in (1_000, 100_000, 1_000_000)]),
    )


def routes(count, condition):
    lines = (f"route canary if {condition.format(n)};" for n in range(count))
    return routed(f"routes-{count}", str(count), *lines)


def releases(count):
    more = (f"release r{n} lobe_{n} weight=5% from={n * 10}%;" for n in range(3, count + 1))
    return routed(f"releases-{count}", str(count), *more, *EXACT, releases=count)


def policies(count):
    """The others stand in a server of their own, so that nginx's own search for a location stays what it was."""
    others = "".join(
        f"location /{n}/ {{ {policy(*EXACT, name=f'p{n}')} proxy_pass http://lobechat_canary; }}\n"
        for n in range(1, count)
    )
    others = f"server {{ listen unix:others.sock; {others} }}" if others else ""
    return replace(SPLIT, key=f"policies-{count}", title=str(count), budget=None, http=others)


def lines_of_a_file(count):
    values = lambda: (f"member-{n:08}" for n in range(count))
    return routed(f"lines-{count}", f"{count:_}".replace("_", " "), "route canary if cookie:uid in file:members;",
                  files={"members": values})
