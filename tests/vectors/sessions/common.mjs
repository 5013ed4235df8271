// What both makers share: the lines, faked time and ways to spoil a cookie.
export const SECRET = "a-secret-of-the-recording-0123456789abcdef";
export const OTHER_SECRET = "another-secret-nobody-signed-with-4242424242";
/** Seconds from now until 2090. */
export const FAR = Math.floor(Date.UTC(2090, 0, 1) / 1000) - Math.floor(Date.now() / 1000);

const RealDate = Date;
const seen = new Set();

export function line(id, row) {
    if (seen.has(id)) throw new Error(`two lines named ${id}`);
    seen.add(id);
    const now = Math.floor(RealDate.now() / 1000);
    const { maker, identity, strategy, secret, cookie, cookies, expect, claims } = row;
    const text = JSON.stringify({ id, maker: maker.replace(/@(?=\d)/, " "), identity, strategy, secret, cookie, cookies, now, expect, claims });
    process.stdout.write(text + "\n");
}

/** A module of the package of that version, with the dependencies of that version. */
export async function load(maker, path = "") {
    const { load } = await import(`./${maker}/load.js`);
    return load(maker.slice(0, maker.lastIndexOf("@")) + path);
}

/** Runs `make` with a clock that is `seconds` behind. */
export async function earlier(seconds, make) {
    globalThis.Date = class extends RealDate {
        constructor(...given) {
            if (given.length) super(...given);
            else super(RealDate.now() - seconds * 1000);
        }
        static now() {
            return RealDate.now() - seconds * 1000;
        }
    };
    try {
        return await make();
    } finally {
        globalThis.Date = RealDate;
    }
}

/** Another letter of the base64url alphabet in place `at`; never the last one, whose low bits may be padding. */
export function flip(text, at) {
    if (at < 0) at += text.length;
    return text.slice(0, at) + (text[at] === "A" ? "B" : "A") + text.slice(at + 1);
}

/** The token with its part `index` put through `change`. */
export function part(token, index, change) {
    const parts = token.split(".");
    parts[index] = change(parts[index]);
    return parts.join(".");
}

export const encode = (text) => Buffer.from(text).toString("base64url");
export const decode = (text) => Buffer.from(text, "base64url").toString();

/** The JOSE header with `members` laid over it. */
export function header(token, members) {
    return part(token, 0, (old) => encode(JSON.stringify({ ...JSON.parse(decode(old)), ...members })));
}

export const only = (cookies, change) => [[cookies[0][0], change(cookies[0][1])]];

export function check(holds, what) {
    if (!holds) throw new Error(`not as expected: ${what}`);
}
