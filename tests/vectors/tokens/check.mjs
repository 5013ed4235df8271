// Verifies a recording with jose: every token recorded as valid must give its claims, every other must be refused.
import { readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import * as jose from "jose";

// What jose lets pass: duplicate members, loose base64url, a secret shorter than the digest, an `iat` to come.
const LENIENT = /\/(duplicate|encoding\/(header|payload|signature)_(padding|bits|space|tab)$|alg\/secret_too_short$|iat\/(next|leeway_over|far)$)/;

async function verify({ keys, secret, token, parameters, now }) {
  const words = Object.fromEntries(parameters.split(" ").map((word) => word.split("=")));
  const options = {
    currentDate: now === null ? undefined : new Date(now * 1000),
    clockTolerance: words.leeway ? Number.parseInt(words.leeway) : 0,
    issuer: words.iss,
    audience: words.aud,
    requiredClaims: words.require?.split(","),
    algorithms: words.alg?.split(","),
  };
  const failures = [];
  for (const key of await candidates(keys, secret, jose.decodeProtectedHeader(token))) {
    try {
      return (await jose.jwtVerify(token, key, options)).payload;
    } catch (failure) {
      failures.push(failure.message);
    }
  }
  throw new Error(failures.join(", ") || "no key");
}

async function candidates(keys, secret, { alg, kid }) {
  if (secret !== null) return [new TextEncoder().encode(secret.replace(/\n$/, ""))];
  if (keys.startsWith("-----")) return [await jose.importSPKI(keys, alg)];
  const set = JSON.parse(keys);
  // jose takes public keys only from a set.
  const shared = set.keys.filter((jwk) => jwk.kty === "oct" && jwk.kid === kid && (jwk.alg ?? alg) === alg);
  if (shared.length) return Promise.all(shared.map((jwk) => jose.importJWK(jwk, alg)));
  try {
    return [await jose.createLocalJWKSet(set)({ alg, kid })];
  } catch (failure) {
    if (failure.code !== "ERR_JWKS_MULTIPLE_MATCHING_KEYS") throw failure;
    const several = [];
    for await (const key of failure) several.push(key);
    return several;
  }
}

let wrong = 0;
for (const line of readFileSync(process.argv[2], "utf8").trim().split("\n")) {
  const record = JSON.parse(line);
  const claims = await verify(record).catch((failure) => failure);
  const accepted = !(claims instanceof Error);
  const good = record.expect === "valid" ? isDeepStrictEqual(claims, record.claims) : !accepted || LENIENT.test(record.id);
  if (good) continue;
  wrong += 1;
  console.error(`jose: ${record.id} is recorded as ${record.expect}, but jose says`, claims);
}
process.exitCode = wrong ? 1 : 0;
