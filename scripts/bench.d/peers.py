"""What else could take the same decision: Lua and njs inside nginx, HAProxy instead of it.

Used by main.py. Each does what the budget's scenario does: the cookie decides, else one user in ten goes to canary.
Only those are measured whose Debian packages are installed; `scripts/bench --peers` installs them.
"""

import os
import shutil
from dataclasses import dataclass

from processes import Server
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


@dataclass(frozen=True)
class HAProxy:
    """One process, one thread, connections kept alive on both sides, like the nginx beside it."""

    key: str = "haproxy"
    title: str = "HAProxy"
    budget: bool = False
    has_master = False

    def server(self, setting, name=None, single=True, before=(), cpu=None):
        command = lambda _, config: [*before, shutil.which("haproxy"), "-q", "-db", "-f", config]
        return Server(name or self.title, 1, lambda ports, _: self._render(setting, ports), command, cpu)

    def _render(self, setting, ports):
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
    http-request set-var(txn.ring) req.cook(release_channel)
    http-request set-var(txn.bucket) req.cook(uid),xxh32,mod(10000)
    use_backend lobe_a if {{ var(txn.ring) -m str stable }}
    use_backend lobe_b if {{ var(txn.ring) -m str canary }}
    use_backend lobe_b if {{ var(txn.bucket) -m int lt 1000 }}
    default_backend lobe_a
backend lobe_a
    server a 127.0.0.1:{stable}
backend lobe_b
    server b 127.0.0.1:{canary}
"""


def installed(setting):
    """(the peers that can be measured, what is said of the others)"""
    peers, missing = [], []
    lua, njs = (os.path.join(MODULES, f"ngx_http_{name}_module.so") for name in ("lua", "js"))
    if not setting.debian_nginx:
        missing.append("Lua, njs: their packages fit the nginx of Debian only")
    else:
        if os.path.exists(lua):
            load = (os.path.join(MODULES, "ndk_http_module.so"), lua)
            peers.append(Scenario("lua", "Lua: set_by_lua_block", location=LUA, target="http://$release", load=load))
        else:
            missing.append("Lua: libnginx-mod-http-lua is not installed")
        if os.path.exists(njs):
            http = "js_import split.js; js_set $release split.release;"
            peers.append(
                Scenario("njs", "njs: js_set", http=http, target="http://$release", load=(njs,),
                         files={"split.js": NJS.splitlines})
            )
        else:
            missing.append("njs: libnginx-mod-http-js is not installed")
    if shutil.which("haproxy"):
        peers.append(HAProxy())
    else:
        missing.append("HAProxy: haproxy is not installed")
    return peers, missing
