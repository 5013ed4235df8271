"""What else could verify a JSON Web Token and route by it: Lua and njs inside nginx, HAProxy instead of it.

Used by measure_identity.py. Each does what the module's policy does: the cookie decides, else the role in a token that
is signed and has not expired, else one user in ten by the token's `sub` goes to canary. njs and HAProxy have
nowhere to remember a token; Lua can, with lua-resty-lrucache, and is measured with and without.
"""

import os
import shutil

from peers import HAProxy, modules
from scenarios import Scenario
from tokens import SECRET

LUA_LIBRARY = "/usr/lib/x86_64-linux-gnu/lua/5.1"

LUA = f"""
local hmac = require "openssl.hmac"
local json = require "cjson.safe"
local decode = require("ngx.base64").decode_base64url
local cache = require("resty.lrucache").new(1024)

local function claims_of(token)
    local signed, head, payload, code = token:match("^(([%w_-]+)%.([%w_-]+))%.([%w_-]+)$")
    if not signed then return nil end
    head = json.decode(decode(head) or "")
    if type(head) ~= "table" or head.alg ~= "HS256" then return nil end
    if hmac.new("{SECRET}", "sha256"):final(signed) ~= decode(code) then return nil end
    local claims = json.decode(decode(payload) or "")
    if type(claims) ~= "table" or type(claims.exp) ~= "number" then return nil end
    return claims
end

local function remembered(token)
    local claims = cache:get(token)
    if not claims then
        claims = claims_of(token)
        if claims then cache:set(token, claims) end
    end
    return claims
end

local function release(verify)
    if ngx.var.cookie_release_channel == "canary" then return "lobe_b" end
    local token = (ngx.var.http_authorization or ""):match("^[Bb]earer (.+)$")
    local claims = token and verify(token)
    if claims and claims.exp > ngx.time() then
        if claims.role == "tester" then return "lobe_b" end
        if claims.sub and ngx.crc32_long("default:" .. claims.sub) % 10000 < 1000 then return "lobe_b" end
    end
    return "lobe_a"
end

return {{
    each = function() return release(claims_of) end,
    remembered = function() return release(remembered) end,
}}
"""

NJS = f"""
import crypto from 'crypto';

function hash(text) {{
    let h = 0x811c9dc5;
    for (let i = 0; i < text.length; i++) {{
        h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
    }}
    return h >>> 0;
}}

function parsed(part) {{
    return JSON.parse(Buffer.from(part, 'base64url').toString());
}}

function claimsOf(token) {{
    let parts = token.split('.');
    if (parts.length !== 3 || parsed(parts[0]).alg !== 'HS256') return null;
    let own = crypto.createHmac('sha256', '{SECRET}').update(parts[0] + '.' + parts[1]).digest('base64url');
    return own === parts[2] ? parsed(parts[1]) : null;
}}

function release(r) {{
    if (r.variables.cookie_release_channel === 'canary') return 'lobe_b';
    let header = r.variables.http_authorization;
    if (!header || !header.startsWith('Bearer ')) return 'lobe_a';
    let claims = null;
    try {{
        claims = claimsOf(header.substring(7));
    }} catch (e) {{
    }}
    if (!claims || !(claims.exp > Date.now() / 1000)) return 'lobe_a';
    if (claims.role === 'tester') return 'lobe_b';
    return claims.sub && hash('default:' + claims.sub) % 10000 < 1000 ? 'lobe_b' : 'lobe_a';
}}

export default {{ release }};
"""

HAPROXY = """
    http-request set-var(txn.ring) req.cook(release_channel)
    http-request set-var(txn.jwt) http_auth_bearer
    http-request set-var(txn.now) date
    http-request set-var(txn.alg) var(txn.jwt),jwt_header_query('$.alg')
    acl is_algorithm var(txn.alg) -m str {algorithm}
    acl is_signed var(txn.jwt),jwt_verify({algorithm},"{key}") -m int 1
    http-request set-var(txn.left) var(txn.jwt),jwt_payload_query('$.exp','int'),sub(txn.now) if is_algorithm is_signed
    acl is_valid var(txn.left) -m int gt 0
    http-request set-var(txn.role) var(txn.jwt),jwt_payload_query('$.role') if is_valid
    http-request set-var(txn.bucket) var(txn.jwt),jwt_payload_query('$.sub'),xxh32,mod(10000) if is_valid
    use_backend lobe_b if {{ var(txn.ring) -m str canary }}
    use_backend lobe_b if {{ var(txn.role) -m str tester }}
    use_backend lobe_b if {{ var(txn.bucket) -m int lt 1000 }}"""


def _lua_lacks():
    """The packages of Debian that Lua needs for HMAC-SHA256 and JSON; nginx's own ngx.hmac_sha1 is SHA-1 alone."""
    needed = {"lua-luaossl": "_openssl.so", "lua-cjson": "cjson.so"}
    return [name for name, file in needed.items() if not os.path.exists(os.path.join(LUA_LIBRARY, file))]


def missing(setting):
    """What is said of a peer that is there and cannot do this; peers.missing names those that are not there."""
    if "Lua" in modules(setting) and _lua_lacks():
        yield f"Lua with JWT: {', '.join(_lua_lacks())} not installed"
    if "njs" in modules(setting):
        yield "njs with RS256 or ES256: its WebCrypto answers with promises, for which js_set does not wait"


def installed(setting):
    """The peers that can verify HS256."""
    load = modules(setting)
    if "Lua" in load and not _lua_lacks():
        for key, title in (("each", "Lua: luaossl, each time"), ("remembered", "Lua: luaossl, remembered")):
            yield Scenario(
                f"lua-{key}", title, target="http://$release", load=load["Lua"], files={"jwt.lua": LUA.splitlines},
                http='lua_package_path "$prefix/?.lua;;"; init_by_lua_block { require "jwt" }',
                location=f'set_by_lua_block $release {{ return require("jwt").{key}() }}',
            )
    if "njs" in load:
        yield Scenario("njs", "njs: createHmac, each time", http="js_import jwt.js; js_set $release jwt.release;",
                       target="http://$release", load=load["njs"], files={"jwt.js": NJS.splitlines})
    yield from haproxy("HS256", SECRET)


def haproxy(algorithm, key, files=None):
    """It takes a secret as it is, and a public key from a file."""
    if shutil.which("haproxy"):
        rules = HAPROXY.format(algorithm=algorithm, key=key)
        title = f"HAProxy: jwt_verify ({algorithm}), each time"
        yield HAProxy(f"haproxy-{algorithm}", title, rules, files or {})
