"""What else could take the same decision: Lua and njs inside nginx, HAProxy instead of it.

Used by main.py. Each does what the budget's scenario does: the cookie decides, else one user in ten goes to canary.
Only those are measured whose Debian packages are installed; `scripts/bench --peers` installs them.
"""

import os
import shutil
from dataclasses import dataclass, field

from budgets import Budget
from processes import Server, write_files
from scenarios import Scenario

MODULES = "/usr/lib/nginx/modules"

LUA = """
    set_by_lua_block $release {
        local ring = ngx.var.cookie_release_channel
        if ring == "stable" then return "lobe_a" end
        if ring == "canary" then return "lobe_b" end
        local user = ngx.var.cookie_uid
        if user and user ~= "" and ngx.crc32_long("default:" .. user) % 10000 < 1000 then
            return "lobe_b"
        end
        return "lobe_a"
    }"""

NJS = """
function hash(text) {
    let h = 0x811c9dc5;
    for (let i = 0; i < text.length; i++) {
        h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
    }
    return h >>> 0;
}

function release(r) {
    let ring = r.variables.cookie_release_channel;
    if (ring === 'stable') return 'lobe_a';
    if (ring === 'canary') return 'lobe_b';
    let user = r.variables.cookie_uid;
    return user && hash('default:' + user) % 10000 < 1000 ? 'lobe_b' : 'lobe_a';
}

export default { release };
"""


HAPROXY = """
    http-request set-var(txn.ring) req.cook(release_channel)
    http-request set-var(txn.bucket) req.cook(uid),xxh32,mod(10000)
    use_backend lobe_a if { var(txn.ring) -m str stable }
    use_backend lobe_b if { var(txn.ring) -m str canary }
    use_backend lobe_b if { var(txn.bucket) -m int lt 1000 }"""


@dataclass(frozen=True)
class HAProxy:
    """One process, one thread, connections kept alive on both sides, like the nginx beside it."""

    key: str = "haproxy"
    title: str = "HAProxy"
    rules: str = HAPROXY
    files: dict = field(default_factory=dict)  # name: function that yields its lines
    budget: Budget = None
    has_master = False

    def server(self, setting, name=None, single=True, before=(), cpu=None):
        command = lambda _, config: [*before, shutil.which("haproxy"), "-q", "-db", "-f", config]
        return Server(name or self.title, 1, lambda *where: self._render(setting, *where), command, cpu)

    def _render(self, setting, ports, directory):
        write_files(self.files, directory)
        stable, canary, _ = setting.backend.ports
        return f"""
global
    nbthread 1
    maxconn 1000
defaults
    mode http
    http-reuse always
    timeout connect 10s
    timeout client 1h
    timeout server 1h
    timeout http-keep-alive 1h
frontend chat
    bind 127.0.0.1:{ports[0]}
    {self.rules}
    default_backend lobe_a
backend lobe_a
    server a 127.0.0.1:{stable}
backend lobe_b
    server b 127.0.0.1:{canary}
"""


def modules(setting):
    """{name of a peer: the modules that nginx has to load for it}"""
    path = lambda name: os.path.join(MODULES, f"{name}_module.so")
    found = {"Lua": (path("ndk_http"), path("ngx_http_lua")), "njs": (path("ngx_http_js"),)}
    return {name: paths for name, paths in found.items() if setting.debian_nginx and all(map(os.path.exists, paths))}


def missing(setting):
    """What is said of the peers that cannot be measured."""
    if not setting.debian_nginx:
        yield "Lua, njs: their packages fit the nginx of Debian only"
    else:
        for name, package in (("Lua", "libnginx-mod-http-lua"), ("njs", "libnginx-mod-http-js")):
            if name not in modules(setting):
                yield f"{name}: {package} is not installed"
    if not shutil.which("haproxy"):
        yield "HAProxy: haproxy is not installed"


def installed(setting):
    """The peers that can be measured."""
    load, target = modules(setting), "http://$release"
    if "Lua" in load:
        yield Scenario("lua", "Lua: set_by_lua_block", location=LUA, target=target, load=load["Lua"])
    if "njs" in load:
        http, files = "js_import split.js; js_set $release split.release;", {"split.js": NJS.splitlines}
        yield Scenario("njs", "njs: js_set", http=http, target=target, load=load["njs"], files=files)
    if shutil.which("haproxy"):
        yield HAProxy()
