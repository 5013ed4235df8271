// Sessions of Auth.js: @auth/core's own encode, its chunking SessionStore and, for a re-issue, its whole handler.
import { pathToFileURL } from "node:url";
import { FAR, OTHER_SECRET, SECRET, check, encode as base64url, earlier, flip, header, line, load, only, part } from "./common.mjs";

const COOKIE = "authjs.session-token";
const NEW = "@auth/core@0.37.2";
const OLD = "@auth/core@0.20.0";
const ADA = { name: "Ada Lovelace", email: "ada@example.com", picture: null, sub: "user_ada", userId: "user_ada" };
const QUIET = { debug() {}, warn() {}, error() {} };

async function library(maker) {
    const store = await import(pathToFileURL(`${maker}/node_modules/@auth/core/lib/utils/cookie.js`));
    return { ...(await load(maker, "/jwt")), ...store, core: await load(maker) };
}

async function session(token, options = {}) {
    const { maker = NEW, secure = false, secret = SECRET, secrets = [secret], base = COOKIE, maxAge = FAR } = options;
    const lib = await library(maker);
    const name = (secure ? "__Secure-" : "") + base;
    const value = await lib.encode({ token, secret: maker === OLD ? secret : secrets, maxAge, salt: name });
    const store = new lib.SessionStore({ name, options: {} }, {}, QUIET);
    const cookies = store.chunk(value, {}).map((cookie) => [cookie.name, encodeURIComponent(cookie.value)]);
    const strategy = JSON.parse(Buffer.from(value.split(".")[0], "base64url")).enc;
    const read = async (sent, key = secret, salt = name) => {
        const joined = new lib.SessionStore({ name: salt, options: {} }, Object.fromEntries(sent), QUIET).value;
        return lib.decode({ token: joined, secret: key, salt });
    };
    const claims = { sub: token.sub, role: token.role, email: token.email };
    return { row: { maker, identity: "authjs", strategy, secret, cookie: base, cookies, claims }, cookies, read };
}

async function valid(id, token, options, change = (cookies) => cookies) {
    const made = await session(token, options);
    const cookies = change(made.cookies);
    check((await made.read(cookies)).sub === token.sub, id);
    line(`authjs/${id}`, { ...made.row, cookies, expect: "valid" });
    return made;
}

async function refused(id, made, expect, cookies, secret = made.row.secret, salt = undefined) {
    const read = await made.read(cookies, secret, salt).catch(() => null);
    check(!read, `${id} is refused`);
    line(`authjs/${id}`, { ...made.row, cookies, secret, expect, claims: undefined });
}

/** GET /api/auth/session, as LobeChat's pages ask for it: the answer holds the same session, encrypted anew. */
async function reissued(made) {
    const { core, decode } = await library(NEW);
    const answer = await core.Auth(
        new Request("http://localhost:3210/api/auth/session", { headers: { cookie: made.cookies[0].join("=") } }),
        { secret: SECRET, trustHost: true, basePath: "/api/auth", providers: [], session: { maxAge: FAR }, logger: QUIET },
    );
    const pairs = answer.headers.getSetCookie().map((text) => /^([^=]+)=([^;]*)/.exec(text).slice(1));
    const cookies = pairs.filter(([name]) => name === COOKIE);
    check(cookies.length === 1 && cookies[0][1] !== made.cookies[0][1], "a new ciphertext");
    check((await decode({ token: cookies[0][1], secret: SECRET, salt: COOKIE })).sub === ADA.sub, "the same user");
    return cookies;
}

async function spoiled(prefix, options) {
    const made = await valid(`${prefix}to-spoil`, ADA, options);
    const spoil = (id, expect, change) => refused(prefix + id, made, expect, only(made.cookies, change));
    // Without a kid in the header only the tag tells that the key is another.
    const wrong = prefix ? "signature" : "key";
    await refused(`${prefix}wrong-secret`, made, wrong, made.cookies, OTHER_SECRET);
    const renamed = [[`__Secure-${COOKIE}`, made.cookies[0][1]]];
    await refused(`${prefix}renamed`, made, wrong, renamed, SECRET, `__Secure-${COOKIE}`);
    await spoil("ciphertext-changed", "signature", (token) => part(token, 3, (old) => flip(old, 40)));
    await spoil("ciphertext-last-changed", "signature", (token) => part(token, 3, (old) => flip(old, -2)));
    await spoil("tag-changed", "signature", (token) => part(token, 4, (old) => flip(old, 3)));
    await spoil("iv-changed", "signature", (token) => part(token, 2, (old) => flip(old, 3)));
    await spoil("header-changed", "signature", (token) => header(token, { extra: 1 }));
    await spoil("enc-other", "alg", (token) => header(token, { enc: "A128GCM" }));
    await spoil("alg-other", "alg", (token) => header(token, { alg: "A256KW" }));
    await spoil("part-too-few", "malformed", (token) => token.slice(0, token.lastIndexOf(".")));
    await spoil("not-base64url", "malformed", (token) => part(token, 3, (old) => "!" + old.slice(1)));
    await spoil("header-not-json", "malformed", (token) => part(token, 0, () => base64url("no header")));
    await spoil("key-not-empty", "malformed", (token) => part(token, 1, () => "AAAA"));
    if (prefix) return;
    await spoil("kid-changed", "key", (token) => header(token, { kid: "AAAA" }));
    await spoil("kid-removed", "signature", (token) => header(token, { kid: undefined }));
}

export async function authjsLines() {
    const plain = await valid("plain", ADA);
    line("authjs/reissued", { ...plain.row, cookies: await reissued(plain), expect: "valid" });
    await valid("secure", ADA, { secure: true });
    await valid("newest", ADA, { maker: "@auth/core@0.41.3" });
    await valid("newest-secure", ADA, { maker: "@auth/core@0.41.3", secure: true });
    await valid("other-name", ADA, { base: "chat.session" });
    await valid("no-email", { sub: "user_bob", name: "Bob" });
    await valid("role", { ...ADA, role: "tester" });
    await valid("roles", { ...ADA, role: "tester", roles: ["a", "b"] });
    await valid("name", { ...ADA, name: 'Zoë 🦀 "Bob" \\ 林黛玉' });
    await valid("secret-16", ADA, { secret: "sixteen-bytes-ok" });
    await valid("secret-64", ADA, { secret: "0123456789abcdef".repeat(4) });
    await valid("secret-utf8", ADA, { secret: "пароль-密码-🔑" });
    await valid("secrets-rotated", ADA, { secrets: [SECRET, OTHER_SECRET] });
    await valid("gcm", { ...ADA, role: "tester" }, { maker: OLD });
    await valid("gcm-secure", ADA, { maker: OLD, secure: true });
    const now = () => Math.floor(Date.now() / 1000);
    const past = await earlier(86400, () => session(ADA, { maxAge: 3600 }));
    await refused("expired", past, "expired", past.cookies);
    const future = await session({ ...ADA, nbf: now() + FAR - 60 });
    await refused("not-yet", future, "not_yet", future.cookies);
    await spoiled("");
    await spoiled("gcm/", { maker: OLD });

    const groups = (count) => Array.from({ length: count }, (_, at) => `group-${at}-of-the-company`);
    const two = await valid("two-chunks", { ...ADA, role: "tester", groups: groups(130) });
    check(two.cookies.length === 2, "two chunks");
    const three = await valid("three-chunks-out-of-order", { ...ADA, groups: groups(220) }, { secure: true }, ([a, b, c]) => [c, a, b]);
    check(three.cookies.length === 3, "three chunks");
    const [first, second] = two.cookies;
    await refused("last-chunk-missing", two, "malformed", [first]);
    await refused("first-chunk-missing", two, "malformed", [second]);
    await refused("chunks-swapped", two, "malformed", [[first[0], second[1]], [second[0], first[1]]]);
    const other = await session({ ...ADA, role: "tester", groups: groups(130) });
    await refused("chunk-of-another", two, "signature", [first, other.cookies[1]]);
}
