// Tokens made by jose, good and bad, one JSON object a line: see README.md. `record` runs it in a directory that
// holds node_modules/jose, claims.jsonl and a foreign key with its certificate.
import * as crypto from "node:crypto";
import { readFileSync } from "node:fs";
import * as jose from "jose";

const MAKER = `jose ${JSON.parse(readFileSync("node_modules/jose/package.json")).version}`;
const END = 3786912000;
const PAYLOAD = { sub: "user-1", role: "user", exp: END };
const RISEN = { sub: "user-1", role: "tester", exp: END };
const utf8 = (text) => new TextEncoder().encode(text);
const encode = jose.base64url.encode;
const set = (...keys) => ({ keys: JSON.stringify({ keys }) });

function add(name, alg, source, token, expect, { payload = PAYLOAD, parameters = "", now = null } = {}) {
  const { keys = null, secret = null } = source;
  const line = { id: `jose/${name}`, maker: MAKER, alg, keys, secret, parameters, token, now, expect };
  const claims = typeof payload === "string" ? payload : JSON.stringify(payload);
  const text = JSON.stringify(line);
  // The claims go in as the token has them: 1e3 must not become 1000 on the way.
  console.log(expect === "valid" ? `${text.slice(0, -1)},"claims":${claims.trim().replace(/[\r\n\t]/g, "")}}` : text);
}

async function pair(alg, kid) {
  if (alg.startsWith("HS")) {
    const secret = crypto.randomBytes(Number(alg.slice(2)) / 16).toString("hex");
    return { alg, kid, secret, key: utf8(secret), jwk: { kty: "oct", k: encode(secret), kid, alg, use: "sig" } };
  }
  const { privateKey, publicKey } = await jose.generateKeyPair(alg, { extractable: true });
  const jwk = { ...(await jose.exportJWK(publicKey)), kid, alg, use: "sig" };
  return { alg, kid, key: privateKey, jwk, pem: await jose.exportSPKI(publicKey) };
}

async function sign({ alg, kid, key }, payload = PAYLOAD, header = {}, options) {
  const head = { alg, kid, ...header };
  if (typeof payload !== "string") return new jose.SignJWT(payload).setProtectedHeader(head).sign(key, options);
  return new jose.CompactSign(utf8(payload)).setProtectedHeader(head).sign(key, options);
}

// A token jose would not make: `header` and `payload` are texts, or parts already encoded.
function byHand({ alg, key }, header, payload, options = {}) {
  const data = `${options.encodedHeader ?? encode(header)}.${options.encodedPayload ?? encode(payload)}`;
  const hash = `sha${alg.slice(2)}`;
  if (alg.startsWith("HS")) return `${data}.${encode(crypto.createHmac(hash, key).update(data).digest())}`;
  const own = key instanceof CryptoKey ? crypto.KeyObject.from(key) : key;
  const padding = alg.startsWith("PS") ? crypto.constants.RSA_PKCS1_PSS_PADDING : undefined;
  const how = { key: own, padding, saltLength: options.saltLength, dsaEncoding: options.dsaEncoding ?? "ieee-p1363" };
  return `${data}.${encode(crypto.sign(own.asymmetricKeyType === "ed25519" ? null : hash, utf8(data), how))}`;
}

const part = (token, at) => token.split(".")[at];
const withPart = (token, at, text) => token.split(".").with(at, text).join(".");
const signature = (token) => Buffer.from(part(token, 2), "base64url");
const withSignature = (token, bytes) => withPart(token, 2, encode(bytes));
const header = (of, more = {}) => JSON.stringify({ alg: of.alg, kid: of.kid, ...more });
const TEXT = JSON.stringify(PAYLOAD);

const ALGORITHMS = ["HS", "RS", "PS", "ES"].flatMap((kind) => ["256", "384", "512"].map((bits) => kind + bits));
ALGORITHMS.push("EdDSA", "Ed25519");
const own = {};
const other = {};

async function everyAlgorithm() {
  for (const alg of ALGORITHMS) {
    own[alg] = await pair(alg, `${alg}-1`);
    other[alg] = await pair(alg, `${alg}-1`);
    const { jwk, pem, secret } = own[alg];
    const token = await sign(own[alg]);
    add(`${alg}/valid`, alg, set(jwk), token, "valid");
    add(secret ? `${alg}/valid_secret` : `${alg}/valid_pem`, alg, secret ? { secret } : { keys: pem }, token, "valid");
    const changed = signature(token);
    changed[changed.length >> 1] ^= 1;
    add(`${alg}/changed_signature`, alg, set(jwk), withSignature(token, changed), "signature");
    const risen = withPart(token, 1, encode(JSON.stringify(RISEN)));
    add(`${alg}/changed_payload`, alg, set(jwk), risen, "signature");
    add(`${alg}/other_key`, alg, set(jwk), await sign(other[alg]), "signature");
  }
}

async function keySets() {
  const { RS256: rsa, ES256: ec, EdDSA: ed, HS256: hs } = own;
  const stranger = { ...other.RS256, kid: "stranger" };
  const second = { ...other.RS256.jwk, kid: "RS256-2" };
  const bare = ({ alg, use, ...jwk }, more = {}) => ({ ...jwk, ...more });
  const plain = bare(rsa.jwk);
  const token = await sign(rsa);
  const unnamed = await sign(rsa, PAYLOAD, { kid: undefined });
  add("keys/kid_absent", "RS256", set(second, ec.jwk, rsa.jwk), unnamed, "valid");
  add("keys/kid_absent_foreign", "RS256", set(ec.jwk, rsa.jwk), await sign(stranger, PAYLOAD, { kid: undefined }), "signature");
  add("keys/kid_nowhere", "RS256", set(bare(plain, { kid: undefined })), unnamed, "valid");
  add("keys/kid_wrong", "RS256", set(rsa.jwk, ec.jwk), await sign(rsa, PAYLOAD, { kid: "RS256-9" }), "key");
  add("keys/kid_other_case", "RS256", set(rsa.jwk), await sign(rsa, PAYLOAD, { kid: "rs256-1" }), "key");
  add("keys/kid_of_other", "RS256", set(rsa.jwk, second), await sign(rsa, PAYLOAD, { kid: "RS256-2" }), "signature");
  const same = [rsa.jwk, { ...ec.jwk, kid: rsa.kid }];
  add("keys/kid_shared_rsa", "RS256", set(...same), token, "valid");
  add("keys/kid_shared_ec", "ES256", set(...same), await sign(ec, PAYLOAD, { kid: rsa.kid }), "valid");
  add("keys/bare", "RS256", set(plain), token, "valid");
  add("keys/bare_PS384", "PS384", set(plain), byHand({ ...rsa, alg: "PS384" }, header(rsa, { alg: "PS384" }), TEXT, { saltLength: 48 }), "valid");
  add("keys/verify", "RS256", set(bare(plain, { key_ops: ["verify"] })), token, "valid");
  add("keys/oct_beside_rsa", "HS256", set(rsa.jwk, hs.jwk), await sign(hs), "valid");

  const x25519 = crypto.generateKeyPairSync("x25519").publicKey.export({ format: "jwk" });
  const koblitz = crypto.generateKeyPairSync("ec", { namedCurve: "secp256k1" }).publicKey.export({ format: "jwk" });
  const unusable = {
    use_enc: bare(plain, { use: "enc" }),
    unknown_kty: bare(plain, { kty: "RSA-NEW" }),
    other_alg: bare(plain, { alg: "RS512" }),
    key_ops: bare(plain, { key_ops: ["encrypt", "wrapKey"] }),
  };
  const crowd = Object.entries(unusable).map(([kid, jwk]) => ({ ...jwk, kid }));
  crowd.push({ ...x25519, kid: "x" }, { ...koblitz, kid: "k" });
  add("keys/several", "RS256", set(...crowd, ed.jwk, rsa.jwk), token, "valid");
  add("keys/several_ed", "EdDSA", set(...crowd, ed.jwk, rsa.jwk), await sign(ed), "valid");
  for (const [why, jwk] of Object.entries(unusable)) {
    add(`keys/${why}_alg`, "RS256", set(jwk, ec.jwk), token, "alg");
    add(`keys/${why}_key`, "RS256", set(jwk, second), token, "key");
    if (why !== "other_alg") add(`keys/${why}_alone`, "RS256", set(jwk), token, "no_keys");
  }
  const small = crypto.generateKeyPairSync("rsa", { modulusLength: 1024 });
  const weak = { ...small.publicKey.export({ format: "jwk" }), kid: "weak", alg: "RS256" };
  const weakToken = byHand({ alg: "RS256", key: small.privateKey }, '{"alg":"RS256","kid":"weak"}', TEXT);
  add("keys/rsa1024", "RS256", set(weak), weakToken, "no_keys");
  add("keys/rsa1024_alg", "RS256", set(weak, ec.jwk), weakToken, "alg");
  add("keys/rsa1024_key", "RS256", set(weak, rsa.jwk), weakToken, "key");
  add("keys/empty", "RS256", set(), token, "no_keys");
}

async function algorithms() {
  const { RS256: rsa, ES256: ec, HS256: hs, HS512: long } = own;
  const { alg: _, ...bare } = rsa.jwk;
  const { alg: __, ...ecBare } = ec.jwk;
  const token = await sign(rsa);
  for (const none of ["none", "None", "NONE", "nOnE"]) {
    const head = encode(JSON.stringify({ alg: none, kid: ec.kid }));
    add(`alg/${none}`, none, set(ec.jwk), `${head}.${part(token, 1)}.`, "alg");
    add(`alg/${none}_signed`, none, set(ec.jwk), byHand(ec, header(ec, { alg: none }), TEXT), "alg");
    add(`alg/${none}_secret`, none, { secret: hs.secret }, `${head}.${part(token, 1)}.`, "alg");
  }
  for (const unknown of ["es256", "RS1", "HS1", "ES256K", "RSA-OAEP", "dir"]) {
    add(`alg/unknown_${unknown}`, unknown, set(ecBare), byHand(ec, header(ec, { alg: unknown }), TEXT), "alg");
  }
  add("alg/pem_as_secret", "HS256", { keys: rsa.pem }, await sign({ ...hs, key: utf8(rsa.pem) }, RISEN), "alg");
  add("alg/pem_as_secret_cut", "HS256", { keys: rsa.pem }, await sign({ ...hs, key: utf8(rsa.pem.trim()) }, RISEN), "alg");
  const jwks = set(rsa.jwk);
  add("alg/jwks_as_secret", "HS256", jwks, await sign({ ...hs, kid: rsa.kid, key: utf8(jwks.keys) }, RISEN), "alg");
  const pss = byHand({ ...rsa, alg: "PS256" }, header(rsa, { alg: "PS256" }), TEXT, { saltLength: 32 });
  add("alg/jwk_says_other", "PS256", set(rsa.jwk), pss, "alg");
  add("alg/parameter_other", "PS256", set(bare), pss, "alg", { parameters: "alg=RS256" });
  add("alg/parameter_one", "RS256", set(bare), token, "valid", { parameters: "alg=RS256" });
  add("alg/parameter_two", "PS256", set(bare), pss, "valid", { parameters: "alg=RS256,PS256" });
  add("alg/parameter_pem", "PS256", { keys: rsa.pem }, pss, "alg", { parameters: "alg=RS256" });
  const wide = byHand({ ...own.ES384, alg: "ES256" }, header(own.ES384, { alg: "ES256" }), TEXT);
  const { alg: ___, ...p384 } = own.ES384.jwk;
  add("alg/other_curve", "ES256", set(p384), wide, "alg");
  add("alg/other_kind", "ES256", set(rsa.jwk), await sign({ ...ec, kid: rsa.kid }), "alg");
  add("alg/secret_for_rs", "RS256", { secret: hs.secret }, token, "alg");
  const same = long.secret.slice(0, 40);
  add("alg/secret_enough", "HS256", { secret: same }, await sign({ ...hs, key: utf8(same) }), "valid");
  add("alg/secret_too_short", "HS512", { secret: same }, await sign({ ...long, key: utf8(same) }), "alg");
  add("alg/secret_newline", "HS256", { secret: `${hs.secret}\n` }, await sign(hs), "valid");
}

async function headers() {
  const { RS256: rsa, HS256: hs } = own;
  const foreign = { alg: "RS256", kid: rsa.kid, key: crypto.createPrivateKey(readFileSync("foreign.key")) };
  const certificate = new crypto.X509Certificate(readFileSync("foreign.crt"));
  const embedded = {
    jwk: certificate.publicKey.export({ format: "jwk" }),
    jku: "https://foreign.example/jwks.json",
    x5u: "https://foreign.example/foreign.pem",
    x5c: [certificate.raw.toString("base64")],
  };
  for (const [name, value] of Object.entries(embedded)) {
    add(`header/${name}`, "RS256", set(rsa.jwk), await sign(foreign, RISEN, { [name]: value }), "signature");
    add(`header/${name}_ignored`, "RS256", set(rsa.jwk), await sign(rsa, PAYLOAD, { [name]: value }), "valid");
  }
  const hand = (name, text, expect, options) => add(`header/${name}`, "HS256", { secret: hs.secret }, byHand(hs, text, TEXT, options), expect);
  hand("typ", '{"alg":"HS256","typ":"at+jwt"}', "valid");
  hand("white_space", '{"typ":"JWT",\r\n "alg":"HS256"}', "valid");
  const crit = await sign(hs, PAYLOAD, { crit: ["tenant"], tenant: "a" }, { crit: { tenant: true } });
  add("header/crit", "HS256", { secret: hs.secret }, crit, "malformed");
  hand("crit_exp", '{"alg":"HS256","crit":["exp"],"exp":3786912000}', "malformed");
  hand("crit_empty", '{"alg":"HS256","crit":[]}', "malformed");
  hand("crit_null", '{"alg":"HS256","crit":null}', "malformed");
  hand("b64_encoded", '{"alg":"HS256","b64":false,"crit":["b64"]}', "malformed");
  const detached = await new jose.FlattenedSign(utf8(TEXT)).setProtectedHeader({ alg: "HS256", b64: false, crit: ["b64"] }).sign(hs.key);
  add("header/b64", "HS256", { secret: hs.secret }, `${detached.protected}.${TEXT}.${detached.signature}`, "malformed");
  add("header/b64_detached", "HS256", { secret: hs.secret }, `${detached.protected}..${detached.signature}`, "malformed");
  hand("duplicate_alg", '{"alg":"none","alg":"HS256"}', "malformed");
  hand("duplicate_alg_last", '{"alg":"HS256","alg":"none"}', "malformed");
  hand("duplicate_alg_escaped", '{"alg":"none","\\u0061lg":"HS256"}', "malformed");
  hand("duplicate_kid", '{"alg":"HS256","kid":"a","kid":"b"}', "malformed");
  hand("list", '[{"alg":"HS256"}]', "malformed");
  hand("string", '"HS256"', "malformed");
  hand("null", "null", "malformed");
  hand("text", "alg=HS256", "malformed");
  hand("empty", "", "malformed");
  hand("cut", '{"alg":"HS256"', "malformed");
}

async function encodings() {
  const { HS256: hs, RS256: rsa } = own;
  const token = await sign(hs);
  const bad = (name, text) => add(`encoding/${name}`, "HS256", { secret: hs.secret }, text, "malformed");
  // Signed as they stand, so that only a strict decoder refuses them; both parts are a byte over groups of three.
  const head = encode('{"alg":"HS256" }');
  const body = encode('{"sub":"user-1","role":"tester","exp":3786912000}');
  const loose = (text) => text.slice(0, -1) + String.fromCharCode(text.charCodeAt(text.length - 1) + 1);
  for (const [name, options] of Object.entries({
    header_padding: { encodedHeader: `${head}==` },
    header_bits: { encodedHeader: loose(head) },
    header_space: { encodedHeader: `${head.slice(0, 4)} ${head.slice(4)}` },
    payload_padding: { encodedPayload: `${body}==` },
    payload_bits: { encodedPayload: loose(body) },
    payload_space: { encodedPayload: `${body.slice(0, 8)} ${body.slice(8)}` },
    payload_tab: { encodedPayload: `${body.slice(0, 8)}\t${body.slice(8)}` },
    payload_plus: { encodedPayload: Buffer.from('{ "sub":"~~~???>>>","exp":3786912000}').toString("base64").replace(/=/g, "") },
    payload_one_over: { encodedPayload: `${encode('{"sub":"user-1","exp":3786912000   }')}A` },
    payload_percent: { encodedPayload: `${body}%3D` },
  })) bad(name, byHand(hs, '{"alg":"HS256"}', TEXT, options));
  bad("signature_padding", `${token}=`);
  bad("signature_bits", loose(token));
  bad("signature_space", `${token.slice(0, -9)} ${token.slice(-9)}`);
  bad("two_parts", token.slice(0, token.lastIndexOf(".")));
  bad("four_parts", `${token}.${part(token, 2)}`);
  bad("final_dot", `${token}.`);
  bad("first_dot", `.${token}`);
  bad("dots", "..");
  bad("word", "tester");
  const jwe = new jose.EncryptJWT(PAYLOAD).setProtectedHeader({ alg: "dir", enc: "A256GCM" });
  bad("jwe", await jwe.encrypt(hs.key));
  const wrapped = new jose.EncryptJWT(PAYLOAD).setProtectedHeader({ alg: "RSA-OAEP-256", enc: "A256GCM", kid: rsa.kid });
  const recipient = await jose.importSPKI(rsa.pem, "RSA-OAEP-256");
  add("encoding/jwe_rsa", "RSA-OAEP-256", set(rsa.jwk), await wrapped.encrypt(recipient), "malformed");
}

async function signatures() {
  const { ES256: ec, EdDSA: ed, HS256: hs, RS256: rsa, PS256: pss } = own;
  const bad = (name, of, token) => add(`signature/${name}`, of.alg, set(of.jwk), token, "signature");
  const raw = await sign(ec);
  const [r, s] = [signature(raw).subarray(0, 32), signature(raw).subarray(32)];
  const zero = Buffer.alloc(1);
  bad("es256_der", ec, byHand(ec, header(ec), TEXT, { dsaEncoding: "der" }));
  bad("es256_short", ec, withSignature(raw, signature(raw).subarray(0, 63)));
  bad("es256_long", ec, withSignature(raw, Buffer.concat([r, s, zero])));
  bad("es256_padded", ec, withSignature(raw, Buffer.concat([zero, r, zero, s])));
  bad("es256_half", ec, withSignature(raw, r));
  bad("es256_zero", ec, withSignature(raw, Buffer.alloc(64)));
  for (const saltLength of [0, 20, 222]) bad(`ps256_salt_${saltLength}`, pss, byHand(pss, header(pss), TEXT, { saltLength }));
  for (const [name, of] of Object.entries({ ed, hs, rsa })) {
    const token = await sign(of);
    bad(`${name}_truncated`, of, withSignature(token, signature(token).subarray(0, -1)));
    bad(`${name}_longer`, of, withSignature(token, Buffer.concat([signature(token), zero])));
    bad(`${name}_empty`, of, withPart(token, 2, ""));
  }
}

async function claims() {
  for (const line of readFileSync("claims.jsonl", "utf8").trim().split("\n")) {
    const { name, expect, now, parameters, payload, text } = JSON.parse(line);
    const token = await sign(own.ES256, payload ?? text);
    add(name, "ES256", set(own.ES256.jwk), token, expect, { payload: payload ?? text, parameters, now });
  }
  const roles = Array.from({ length: 100 }, (_, at) => `group-${at}`);
  add("claims/many", "ES256", set(own.ES256.jwk), await sign(own.ES256, { ...PAYLOAD, roles }), "valid", { payload: { ...PAYLOAD, roles } });
  const latin1 = encode(Buffer.from('{"sub":"Zo\xeb","exp":3786912000}', "latin1"));
  add("payload/not_utf8", "HS256", { secret: own.HS256.secret }, byHand(own.HS256, '{"alg":"HS256"}', "", { encodedPayload: latin1 }), "malformed");
}

for (const make of [everyAlgorithm, keySets, algorithms, headers, encodings, signatures, claims]) await make();
