// The API without nginx: what it says moves, and what it is told it does. To work on the page, and to see states that take
// a real nginx hours. Tests end up against the real one; this is what they are written with.
//
// usage: node mock.mjs [--port N] [--read-only] [--drift]    (prints its address; --drift: the canary of "chat" fails)

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";

import { find, release, policies, Refusal, step } from "./mock-state.mjs";

const PREFIX = "/canary/";
const PAGE = new URL("../../src/dashboard/", import.meta.url);
const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const TYPES = { html: "text/html; charset=utf-8", css: "text/css; charset=utf-8", js: "text/javascript; charset=utf-8" };

const flag = (name) => process.argv.includes(name);
const port = flag("--port") ? Number(process.argv[process.argv.indexOf("--port") + 1]) : 0;
const write = !flag("--read-only");
const state = { policies: policies(), events: [], drift: flag("--drift") };

function log(request, policy, r, kind, text, reason) {
  const by = basicUser(request) ?? request.socket.remoteAddress;
  state.events.push({ seq: state.events.length + 1, at: now(), policy: policy.name, release: r?.name ?? null, version: r?.version ?? null, kind, by, text, reason: reason ?? null, numbers: null });
  policy.epoch += 1;
}

const now = () => new Date().toISOString().replace(/\.\d+/, "");
const basicUser = (request) => request.headers.authorization && Buffer.from(request.headers.authorization.split(" ")[1], "base64").toString().split(":")[0];
const points = (text) => {
  const number = /^(\d+(?:\.\d{1,2})?)%$/.exec(text)?.[1];
  if (number === undefined) throw new Refusal(400, `invalid percentage "${text}": write a number and a percent sign, e.g. "10%"`);
  if (Number(number) > 100) throw new Refusal(400, `invalid percentage "${text}": it must be between 0% and 100%`);
  return Number(number);
};

function setWeights(request, policy, { weights, if_epoch }) {
  if (if_epoch !== undefined && if_epoch !== policy.epoch) throw new Refusal(409, `the policy is at epoch ${policy.epoch}, not ${if_epoch}: read it again`);
  for (const [name, weight] of Object.entries(weights ?? {})) {
    const r = release(policy, name);
    if (r.stable) throw new Refusal(409, `"${name}" is the stable release and gets the rest: promote another one instead`);
    const value = points(weight);
    if (r.state !== "up") throw new Refusal(409, `"${name}" is ${r.state}: reset it before it can get a weight`);
    const rest = policy.releases.filter((o) => !o.stable && o !== r).reduce((sum, o) => sum + parseFloat(o.weight), 0);
    if (rest + value > 100) throw new Refusal(400, `the weights add up to ${rest + value}%: at most 100% is possible`);
    log(request, policy, r, "weight", `${name} from ${r.weight} to ${weight}`);
    r.weight = weight;
    if (r.ramp?.state === "running") r.ramp.state = "paused";
  }
}

function setState(request, policy, r, wanted, reason) {
  if (r.stable) throw new Refusal(409, `"${r.name}" is the stable release: promote another one first`);
  if (r.held_by_file) throw new Refusal(409, `the configuration file holds "${r.name}" in ${r.state}: change it there and reload`);
  log(request, policy, r, "state", `${r.name} from ${r.state} to ${wanted}`, reason);
  r.state = wanted;
  if (wanted !== "up") r.weight = "0%";
}

function act(request, policy, r, action, reason) {
  if (r.stable) throw new Refusal(409, `"${r.name}" is the stable release: promote another one instead`);
  if (action === "rollback") {
    log(request, policy, r, "rollback", `${r.name} rolled back`, reason);
    Object.assign(r, { state: "down", weight: "0%", verdict: { at: now(), by: state.events.at(-1).by, reason: reason ?? "", evidence: null } });
    if (r.ramp) r.ramp.state = "ended";
  } else if (action === "reset") {
    log(request, policy, r, "reset", `${r.name} reset`, reason);
    Object.assign(r, { state: "up", weight: "0%", verdict: null });
    if (r.ramp) Object.assign(r.ramp, { state: "paused", step: 0, waits_for: null, since: null, remaining_seconds: null });
  } else if (action === "promote") {
    const stable = policy.releases[0];
    for (const key of ["upstream", "version", "generation", "requests", "attempts", "responses", "ttfb"]) [stable[key], r[key]] = [r[key], stable[key]];
    Object.assign(r, { state: "drain", weight: "0%", evidence: null, ramp: null });
    log(request, policy, r, "promote", `${stable.name} is now ${stable.version}`, reason);
    policy.commit = [`release ${stable.name} ${stable.upstream} version=${stable.version};`, `release ${r.name} ${r.upstream} version=${r.version} drain;`];
  } else throw new Refusal(404, `there is no "${action}": use rollback, promote or reset`);
}

function change(request, [policyName, kind, name, action], body) {
  if (!write) throw new Refusal(403, "this location is read-only: write \"lobechat_canary_api write;\" to change things from this machine");
  const site = request.headers["sec-fetch-site"];
  if (site && site !== "same-origin" && site !== "none") throw new Refusal(403, "a browser may only write from the same origin");
  const policy = find(state.policies, policyName);
  if (request.method === "PATCH" && !kind) setWeights(request, policy, body);
  else if (request.method === "PUT" && action === "state") setState(request, policy, release(policy, name), body.state ?? body, body.reason);
  else if (request.method === "POST" && kind === "releases") act(request, policy, release(policy, name), action, body?.reason);
  else if (request.method === "POST" && kind === "ramp") {
    const r = policy.releases.find((o) => o.ramp && (!body?.release || body.release === o.name));
    if (!r) throw new Refusal(409, `"${policyName}" has no ramp: write one with "ramp canary 1% 10m 50%;"`);
    log(request, policy, r, "ramp", `ramp ${name}`);
    r.ramp.state = name === "start" ? "running" : "paused";
  } else throw new Refusal(405, "use GET, PATCH, POST or PUT where the documentation says so");
  return view(policy);
}

const rest = (policy) => 100 - policy.releases.filter((r) => !r.stable).reduce((sum, r) => sum + parseFloat(r.weight), 0);
const view = (policy) => ({ ...policy, write, releases: policy.releases.map((r) => (r.stable ? { ...r, weight: `${rest(policy)}%`, file_weight: `${rest(policy)}%` } : r)) });

async function answer(request, url) {
  const [version, what, ...rest] = url.pathname.slice(PREFIX.length).split("/");
  if (version !== "v1") throw new Refusal(404, "there is nothing here");
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString();
  if (text && request.headers["content-type"] !== "application/json") throw new Refusal(415, "send the body as Content-Type: application/json");
  if (what === "events") {
    const after = Number(url.searchParams.get("after") ?? 0);
    return { events: state.events.filter((e) => e.seq > after), last: state.events.length };
  }
  if (what !== "policies") throw new Refusal(404, "there is nothing here");
  if (request.method !== "GET") return change(request, rest, text ? JSON.parse(text) : undefined);
  if (rest.length === 0) return { policies: state.policies.map(view), write };
  const policy = find(state.policies, rest[0]);
  if (rest[1] === "explain") return { policy: policy.name, epoch: policy.epoch, release: "stable", version: policy.releases[0].version, upstream: policy.releases[0].upstream, reason: "anonymous", rule: null, bucket: null, user: null, identity: null, steps: [{ step: "user", text: "claim:sub, visitor", outcome: "no match", detail: "the request has no user id" }] };
  return view(policy);
}

async function file(url) {
  const name = url.pathname.slice(PREFIX.length) || "index.html";
  const type = TYPES[/^[a-z]+\.(html|css|js)$/.exec(name)?.[1]];
  return type && { type, body: await readFile(new URL(name, PAGE)) };
}

const server = createServer(async (request, response) => {
  const url = new URL(request.url, "http://localhost");
  try {
    const page = request.method === "GET" && url.pathname.startsWith(PREFIX) && (await file(url).catch(() => null));
    if (page) return response.writeHead(200, { "content-type": page.type, "content-security-policy": POLICY, "x-content-type-options": "nosniff" }).end(page.body);
    const json = JSON.stringify(await answer(request, url));
    response.writeHead(200, { "content-type": "application/json" }).end(json);
  } catch (error) {
    const status = error instanceof Refusal ? error.status : 500;
    response.writeHead(status, { "content-type": "application/problem+json" }).end(JSON.stringify({ type: "about:blank", title: "Refused", status, detail: error.message }));
  }
});
server.listen(port, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}${PREFIX}`));
setInterval(() => step(state), 200);
for (const [kind, text, by] of [["reload", "canary 2.1.26 is new: it starts from the file at 10%", "reload"], ["weight", "canary from 5% to 10%", "alice"]]) {
  state.events.push({ seq: state.events.length + 1, at: now(), policy: "chat", release: "canary", version: "2.1.26", kind, by, text, reason: null, numbers: null });
}
state.events.push({ seq: 3, at: now(), policy: "search", release: "canary", version: "3.0.0-rc.1", kind: "verdict", by: "judge", text: "canary taken down: it fails more users than stable", reason: null, numbers: { evidence: 1843.2, fail: 3684.1, p50: 0.8, p90: 1.6 } });
