// The policies of the mock: one for each face that the page has, and traffic that moves their counters.

export class Refusal extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

export function find(policies, name) {
  const policy = policies.find((p) => p.name === name);
  if (!policy) throw new Refusal(404, `there is no policy "${name}": use ${policies.map((p) => p.name).join(", ")}`);
  return policy;
}

export function release(policy, name) {
  const found = policy.releases.find((r) => r.name === name);
  if (!found) throw new Refusal(404, `policy "${policy.name}" has no release "${name}": use ${policy.releases.map((r) => r.name).join(", ")}`);
  return found;
}

const zeros = (names) => Object.fromEntries(names.split(" ").map((name) => [name, 0]));
let generations = 0;

function make(name, version, upstream, more = {}) {
  generations += 1;
  const stable = name === "stable";
  return {
    name, upstream, version, generation: generations.toString(16).padStart(16, "a51f"), stable, state: "up", held_by_file: false, weight: "0%", file_weight: "0%",
    range: null, requests: zeros("route pin remembered split anonymous default"), responses: zeros("1xx 2xx 3xx 4xx 5xx 000"),
    attempts: zeros("ok status connect timeout reset cut no_live aborted stale"), fallbacks_from: 0, fallbacks_to: 0, skew: 0,
    ttfb: { count: 0, sum: 0, p50: null, p90: null, p99: null }, evidence: null, watched_by: stable ? "nothing" : "judge",
    watched_why: stable ? "the others are compared with it" : "", verdict: null, ramp: null, ...more,
  };
}

const evidence = (total, fail, p50, p90) => ({ total, fail, p50, p90, threshold: 1000, blocks: 1284 });
const ROLLBACK = { action: "down", confidence: "99.9%", threshold: 1000, burst: 5, ttfb: 2, fail: ["5xx", "470-472"] };
const policy = (name, releases, more = {}) => ({ name, epoch: 7, persisted: true, hash: "native", salt: `${name}-2.1.26`, fallback: ["stable"], rollback: ROLLBACK, commit: null, releases, ...more });

export function policies() {
  const steps = [["1%", 600], ["5%", 1800], ["25%", 3600], ["50%", null]].map(([weight, seconds]) => ({ weight, seconds }));
  const since = new Date(Date.now() - 1500_000).toISOString().replace(/\.\d+/, "");
  return [
    policy("chat", [
      make("stable", "2.1.25", "lobe_a"),
      make("canary", "2.1.26", "lobe_b", { weight: "10%", file_weight: "10%", evidence: evidence(1.84, 2.7, 0.91, 1.05) }),
    ]),
    policy("docs", [
      make("stable", "1.8.2", "docs_a"),
      make("canary", "1.9.0", "docs_b", {
        weight: "5%", evidence: evidence(8.3, 15.2, 1.1, 1.7),
        ramp: { state: "running", steps, step: 1, since, remaining_seconds: 312, requests: 27, min_requests: 50, waits_for: "23 more requests" },
      }),
    ], { persisted: false }),
    policy("search", [
      make("stable", "2.9.4", "search_a"),
      make("canary", "3.0.0-rc.1", "search_b", {
        state: "down", file_weight: "10%", evidence: evidence(1843.2, 3684.1, 0.8, 1.6),
        verdict: { at: since, by: "judge", reason: "it failed 9 of 61 users while stable failed 1 of 540 in the same seconds", evidence: 1843.2 },
      }),
      make("next", "4.0.0-alpha.2+build.20261124", "10.20.30.40:3210", { state: "drain", held_by_file: true, watched_by: "burst", watched_why: "it gets routed users only, so there is nobody to compare them with" }),
    ]),
    policy("agents", [
      make("stable", "0.13.0", "agents_b"),
      make("canary", "0.12.7", "agents_a", { state: "drain" }),
    ], { rollback: null, persisted: null, commit: ["release stable agents_b version=0.13.0;", "release canary agents_a version=0.12.7 drain;"] }),
  ];
}

/** A fifth of a second of traffic. */
export function step(state) {
  for (const p of state.policies) {
    const rest = p.releases.filter((r) => !r.stable).reduce((sum, r) => sum + parseFloat(r.weight), 0);
    for (const r of p.releases) {
      const share = (r.stable ? 100 - rest : parseFloat(r.weight)) / 100;
      const requests = Math.floor(12 * share + Math.random());
      const bad = p.name === "chat" && !r.stable && state.drift ? 0.3 : 0.002;
      r.requests.split += requests;
      r.requests.pin += requests * 3;
      if (r.stable) r.requests.anonymous += 1;
      for (let n = 0; n < requests; n += 1) {
        const failed = Math.random() < bad;
        r.attempts[failed ? "status" : "ok"] += 1;
        const answering = failed && !r.stable ? p.releases[0] : r;
        answering.responses[failed && r.stable ? "5xx" : "2xx"] += 1;
        if (failed && !r.stable) [r.fallbacks_from, answering.fallbacks_to] = [r.fallbacks_from + 1, answering.fallbacks_to + 1];
      }
      if (requests > 0) r.ttfb = { count: r.attempts.ok, sum: r.attempts.ok * 0.09, p50: 0.0743, p90: 0.297, p99: 1.19 };
      if (r.evidence && state.drift && p.name === "chat") r.evidence.total = Math.min(r.evidence.total * 1.02, 900);
      if (r.ramp?.state === "running" && r.ramp.remaining_seconds > 0 && Math.random() < 0.2) r.ramp.remaining_seconds -= 1;
    }
  }
}
