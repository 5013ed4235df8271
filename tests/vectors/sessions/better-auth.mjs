// Sessions of better-auth: users sign up and in at a real instance, and its Set-Cookie headers are recorded.
import { FAR, OTHER_SECRET, SECRET, check, decode, earlier, encode, flip, header, line, load, only, part } from "./common.mjs";

// A boxed number: better-call refuses a Max-Age of more than 400 days, but looks at plain numbers only.
const LONG = new Number(FAR);
const COOKIE = "better-auth.session_data";
const PAD = "The quick brown fox jumps over the lazy dog. ";
const NEW = "better-auth@1.7.25";

async function library(maker) {
    const [auth, memory, plugins, cookies, crypto] = await Promise.all(
        ["", "/adapters/memory", "/plugins", "/cookies", "/crypto"].map((path) => load(maker, path)),
    );
    return { ...auth, ...memory, admin: plugins.admin, getCookieCache: cookies.getCookieCache, ...crypto };
}

/** Signs a user up, gives her the role and signs her in; what her browser then holds. */
async function session(options) {
    const { maker = NEW, strategy = "compact", secure = false, secret = SECRET, plugin = true, role } = options;
    const { name = "Ada Lovelace", email = "ada@example.com", bio, life = LONG, cache = LONG, secrets } = options;
    const lib = await library(maker);
    const db = { user: [], session: [], account: [], verification: [] };
    const base = secure ? "https://chat.example.com" : "http://localhost:3210";
    const auth = lib.betterAuth({
        secret,
        secrets,
        baseURL: base,
        database: lib.memoryAdapter(db),
        emailAndPassword: { enabled: true, password: { hash: async (text) => text, verify: async () => true } },
        session: { expiresIn: life, cookieCache: { enabled: true, maxAge: cache, strategy } },
        user: { additionalFields: { username: { type: "string", required: false }, bio: { type: "string", required: false } } },
        plugins: plugin ? [lib.admin()] : [],
        rateLimit: { enabled: false },
        telemetry: { enabled: false },
        logger: { disabled: true },
    });
    const post = (path, body) =>
        auth.handler(
            new Request(`${base}/api/auth/${path}`, {
                method: "POST",
                headers: { "content-type": "application/json", origin: base },
                body: JSON.stringify(body),
            }),
        );
    const password = "correct horse battery";
    const up = await post("sign-up/email", { name, email, password, bio, username: "ada" });
    check(up.status === 200, `sign-up: ${await up.clone().text()}`);
    if (role !== undefined) {
        const context = await auth.$context;
        await context.internalAdapter.updateUser(db.user[0].id, { role });
    }
    const signedIn = await post("sign-in/email", { email, password });
    check(signedIn.status === 200, `sign-in: ${await signedIn.clone().text()}`);
    const all = signedIn.headers.getSetCookie().map((text) => /^([^=]+)=([^;]*)/.exec(text).slice(1));
    const prefix = (secure ? "__Secure-" : "") + COOKIE;
    const cookies = all.filter(([cookie, value]) => cookie.startsWith(prefix) && value);
    const user = db.user[0];
    const claims = { sub: user.id, role: user.role ?? undefined, email: user.email };
    const row = { maker, identity: "better_auth", strategy, secret, cookie: COOKIE, cookies, claims };
    const cached = (sent, key = secret) =>
        lib.getCookieCache(new Headers({ cookie: sent.map((pair) => pair.join("=")).join("; ") }), {
            secret: key,
            strategy,
            isSecure: secure,
        });
    const current = async () => {
        const cookie = all.map((pair) => pair.join("=")).join("; ");
        const answer = await auth.handler(new Request(`${base}/api/auth/get-session`, { headers: { cookie } }));
        const reissued = answer.headers.getSetCookie().some((text) => text.startsWith(prefix));
        return reissued ? "reissued" : await answer.json();
    };
    return { row, cookies, cached, current, lib };
}

/** Records a session that better-auth itself reads back, from its cookie alone and as a whole request. */
async function valid(id, options, change = (cookies) => cookies) {
    const made = await session(options);
    const cookies = change(made.cookies);
    const read = await made.cached(cookies);
    check(read?.user.id === made.row.claims.sub && read.user.email === made.row.claims.email, id);
    if (cookies === made.cookies) {
        const now = await made.current();
        check(now !== "reissued" && now?.user.id === made.row.claims.sub, `${id}: get-session`);
    }
    line(`better_auth/${id}`, { ...made.row, cookies, expect: "valid" });
    return made;
}

/** Records what better-auth itself refuses. */
async function refused(id, made, expect, cookies, secret = made.row.secret) {
    let read = null;
    try {
        read = await made.cached(cookies, secret);
    } catch {
        // Some versions throw where others answer null.
    }
    check(!read, `${id} is refused`);
    line(`better_auth/${id}`, { ...made.row, cookies, secret, expect, claims: undefined });
}

const edit = (cookies, change) => only(cookies, (value) => encode(change(decode(value))));

async function spoiled(strategy) {
    const made = await valid(`${strategy}/to-spoil`, { strategy, role: "user" });
    const spoil = (id, expect, change) => refused(`${strategy}/${id}`, made, expect, only(made.cookies, change));
    await refused(`${strategy}/wrong-secret`, made, strategy === "jwe" ? "key" : "signature", made.cookies, OTHER_SECRET);
    await spoil("not-base64url", "malformed", (value) => value.slice(0, 20) + "!" + value.slice(21));
    await spoil("half", "malformed", (value) => value.slice(0, value.length >> 1));
    if (strategy === "compact") {
        const text = (id, expect, change) => refused(`compact/${id}`, made, expect, edit(made.cookies, change));
        await text("role-changed", "signature", (old) => old.replace('"role":"user"', '"role":"admin"'));
        await text("expiry-changed", "signature", (old) => old.replace(/"expiresAt":(\d)(\d+),"sig/, '"expiresAt":9$2,"sig'));
        await text("signature-changed", "signature", (old) => old.replace(/"signature":"./, (start) => flip(start, -1)));
        await text("signature-cut", "signature", (old) => old.replace(/"signature":".{4}/, '"signature":"'));
        await text("no-signature", "malformed", (old) => old.replace(/,"signature":"[^"]*"/, ""));
        await text("not-json", "malformed", (old) => old.slice(0, -1));
        await text("array", "malformed", () => "[1,2,3]");
        return;
    }
    const last = strategy === "jwt" ? 2 : 4;
    await spoil("signature-changed", "signature", (token) => part(token, last, (old) => flip(old, 3)));
    await spoil("signature-cut", strategy === "jwt" ? "signature" : "malformed", (token) => part(token, last, (old) => old.slice(4)));
    await spoil("header-changed", "signature", (token) => header(token, { extra: 1 }));
    await spoil("part-too-many", "malformed", (token) => token + ".AAAA");
    await spoil("part-too-few", "malformed", (token) => token.slice(0, token.lastIndexOf(".")));
    await spoil("header-not-json", "malformed", (token) => part(token, 0, () => encode("no header")));
    if (strategy === "jwt") {
        const admin = (old) => encode(decode(old).replace('"role":"user"', '"role":"admin"'));
        await spoil("role-changed", "signature", (token) => part(token, 1, admin));
        await spoil("alg-none", "alg", (token) => part(header(token, { alg: "none" }), 2, () => ""));
        await spoil("alg-rs256", "alg", (token) => header(token, { alg: "RS256" }));
    } else {
        await spoil("ciphertext-changed", "signature", (token) => part(token, 3, (old) => flip(old, 40)));
        await spoil("iv-changed", "signature", (token) => part(token, 2, (old) => flip(old, 3)));
        await spoil("kid-changed", "key", (token) => header(token, { kid: "AAAA" }));
        await spoil("enc-other", "alg", (token) => header(token, { enc: "A128CBC-HS256" }));
        await spoil("alg-other", "alg", (token) => header(token, { alg: "A256KW" }));
        await spoil("key-not-empty", "malformed", (token) => part(token, 1, () => "AAAA"));
    }
}

/** Tokens with a good signature that are no session of this moment. */
async function unfit(made) {
    const { signJWT, symmetricEncodeJWT } = made.lib;
    const { session: of, user } = await made.cached(made.cookies);
    const payloads = [
        ["no-user", "claims", { session: of, updatedAt: 1, version: "1" }],
        ["user-without-id", "claims", { session: of, user: { ...user, id: undefined }, updatedAt: 1, version: "1" }],
        ["not-yet", "not_yet", { session: of, user, updatedAt: 1, version: "1", nbf: Math.floor(Date.now() / 1000) + FAR - 60 }],
    ];
    for (const [id, expect, payload] of payloads) {
        const jwt = await signJWT(payload, SECRET, FAR);
        const jwe = await symmetricEncodeJWT(payload, SECRET, "better-auth-session", FAR);
        for (const [strategy, token] of Object.entries({ jwt, jwe })) {
            const other = await session({ strategy });
            await refused(`${strategy}/${id}`, other, expect, [[COOKIE, token]]);
        }
    }
}

async function chunks(strategy) {
    const two = await valid(`${strategy}/two-chunks`, { strategy, role: "tester", bio: PAD.repeat(58) });
    check(two.cookies.length === 2, "two chunks");
    const three = await valid(
        `${strategy}/three-chunks-out-of-order`,
        { strategy, secure: true, role: "tester", name: "Grace Hopper".repeat(20), bio: PAD.repeat(118) },
        ([a, b, c]) => [c, a, b],
    );
    check(three.cookies.length === 3, "three chunks");
    const [first, second] = two.cookies;
    await refused(`${strategy}/last-chunk-missing`, two, "malformed", [first]);
    await refused(`${strategy}/first-chunk-missing`, two, "malformed", [second]);
    await refused(`${strategy}/chunks-swapped`, two, "malformed", [[first[0], second[1]], [second[0], first[1]]]);
    const other = await session({ strategy, role: "tester", bio: PAD.repeat(58) });
    await refused(`${strategy}/chunk-of-another`, two, "signature", [first, other.cookies[1]]);
}

export async function betterAuthLines() {
    const names = {
        emoji: "Zoë 🦀👩‍🚀 𝒜𝒹𝒶",
        cjk: "林黛玉 ゼロ 김",
        quotes: 'Robert "Bob" \\ O\'Brien \\" {"role":"admin"}',
        controls: "tab\tline\nbell\u0007del\u007f nul\u0000 \u2028\u2029</script>",
        imitation: '"},"updatedAt":1,"version":"1"},"expiresAt":1,"signature":"x',
    };
    for (const strategy of ["compact", "jwt", "jwe"]) {
        await valid(`${strategy}/plain`, { strategy });
        await valid(`${strategy}/secure`, { strategy, secure: true });
        await valid(`${strategy}/role-absent`, { strategy, plugin: false });
        await valid(`${strategy}/role-null`, { strategy, role: null });
        await valid(`${strategy}/role-admin`, { strategy, role: "admin" });
        await valid(`${strategy}/role-list`, { strategy, role: "admin,tester" });
        await valid(`${strategy}/secret-16`, { strategy, secret: "sixteen-bytes-ok" });
        await valid(`${strategy}/secret-64`, { strategy, secret: "0123456789abcdef".repeat(4) });
        await valid(`${strategy}/secret-utf8`, { strategy, secret: "пароль-密码-🔑-long-enough-for-all" });
        const secrets = [{ version: 2, value: SECRET }, { version: 1, value: OTHER_SECRET }];
        await valid(`${strategy}/secrets-rotated`, { strategy, secrets });
        for (const [id, name] of Object.entries(names)) await valid(`${strategy}/name-${id}`, { strategy, name });
        await valid(`${strategy}/lobehub`, { maker: "better-auth@1.6.22", strategy, secure: true, role: "tester" });
        await valid(`${strategy}/older`, { maker: "better-auth@1.4.22", strategy, role: "tester" });
        const old = await earlier(86400, () => session({ strategy, life: 604800, cache: 600 }));
        check((await old.current()) === "reissued", "an expired cookie is re-issued");
        line(`better_auth/${strategy}/expired`, { ...old.row, expect: "expired", claims: undefined });
        const over = await earlier(864000, () => session({ strategy, life: 604800 }));
        await refused(`${strategy}/session-over`, over, "expired", over.cookies);
        await chunks(strategy);
        await spoiled(strategy);
    }
    await valid("compact/two-chunks-older", { maker: "better-auth@1.4.22", secure: true, role: "tester", bio: PAD.repeat(58) });
    await valid("compact/oldest", { maker: "better-auth@1.3.34", role: "tester" });
    await valid("compact/oldest-secure", { maker: "better-auth@1.3.34", role: "admin,tester", secure: true });
    const made = await session({});
    await unfit(made);
}
