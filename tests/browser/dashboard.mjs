// Drives the dashboard in a real Chromium, against a running nginx (or the mock).
//
// usage: node dashboard.mjs BASE_URL [--site URL] [--policy chat] [--release canary] [--screenshots DIR]
//
// BASE_URL is the location of the API, with its final slash, and must allow writes. The release must be one that gets a weight
// (no ramp is needed). --site: where the policy is in force; users there are told apart by `user cookie:uid`. The test sends
// traffic there, so that there is something to count. It leaves the release reset, at the weight that it found.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { after, before, test } from "node:test";
import { parseArgs } from "node:util";

import { launch, open, PHONE } from "./browser.mjs";
import { contrast, phone, structure } from "./checks.mjs";

const text = (value) => ({ type: "string", default: value });
const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { site: text(""), policy: text("chat"), release: text("canary"), screenshots: text("screenshots") },
});
const [base] = positionals;
if (!base?.endsWith("/")) throw new Error("usage: node dashboard.mjs BASE_URL [--site URL]; BASE_URL ends in a slash");

const ours = `v1/policies/${options.policy}`;
let browser, opened, page, record, card, found;

async function api(method, path, body) {
  const init = body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } };
  const response = await fetch(base + path, { method, ...init });
  assert.ok(response.ok, `${method} ${path}: ${response.status} ${response.ok ? "" : await response.clone().text()}`);
  return response.json();
}

const state = async () => (await api("GET", ours)).releases.find((r) => r.name === options.release);

async function eventually(what, probe, patience = 10_000) {
  const end = Date.now() + patience;
  for (;;) {
    const last = await probe();
    if (last) return last;
    if (Date.now() > end) assert.fail(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Requests of many users, one after the other, until it is told to stop. */
function traffic() {
  let going = Boolean(options.site);
  const loop = (async () => {
    for (let n = 0; going; n += 1) {
      const response = await fetch(options.site, { headers: { cookie: `uid=user-${n}`, accept: "text/html" } });
      await response.arrayBuffer();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  })();
  return async () => {
    going = false;
    await loop;
  };
}

const slot = (name) => card.locator(`[data-f=${name}]`);
const value = async (name, where = card) => Number(await where.locator(`[data-f=${name}]`).getAttribute("value"));

before(async () => {
  found = await state();
  assert.ok(found && !found.stable, `policy ${options.policy} has a release ${options.release} beside the stable one`);
  await api("POST", `${ours}/releases/${options.release}/reset`);
  await api("PATCH", ours, { weights: { [options.release]: "10%" } });
  mkdirSync(options.screenshots, { recursive: true });
  browser = await launch();
  opened = await open(browser, base);
  ({ page, record } = opened);
  card = page.locator(`[data-policy="${options.policy}"] [data-release="${options.release}"]`);
  await card.waitFor();
});

after(async () => {
  await browser?.close();
  await api("POST", `${ours}/releases/${options.release}/reset`);
  await api("PATCH", ours, { weights: { [options.release]: found.weight } });
});

test("is served with a strict policy", () => {
  const headers = opened.response.headers();
  const policy = headers["content-security-policy"];
  for (const rule of ["default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"]) {
    assert.ok(policy?.split(/;\s*/).includes(rule), `"${rule}" in ${policy}`);
  }
  assert.match(headers["content-type"], /^text\/html/);
});

test("shows what the API says", async () => {
  const { policies } = await api("GET", "v1/policies");
  for (const policy of policies) {
    const section = page.locator(`[data-policy="${policy.name}"]`);
    assert.equal(await value("epoch", section), policy.epoch);
    assert.equal(await section.locator("article").count(), policy.releases.length);
    for (const release of policy.releases) {
      const article = section.locator(`[data-release="${release.name}"]`);
      const shown = (name) => article.locator(`[data-f=${name}]`).innerText();
      assert.equal(await shown("target"), release.weight);
      assert.equal(await shown("version"), release.version ?? "");
      assert.equal(await shown("upstream"), release.upstream);
      assert.equal(await shown("state"), { up: "Up", drain: "Draining", down: "Down" }[release.state]);
      assert.equal(await article.locator("[data-f=evidenceBox]").isVisible(), Boolean(release.evidence && policy.rollback && !release.stable));
      assert.equal(await article.locator("[data-f=verdict]").isVisible(), Boolean(release.verdict));
      assert.equal(await article.locator("[data-f=ramp]").isVisible(), Boolean(release.ramp));
    }
  }
});

test("computes shares and error rates from the counters", async () => {
  const stop = traffic();
  record.answers.length = 0;
  await page.reload();
  await eventually("eight seconds of counters", () => record.answers.length >= 5, 30_000);
  await stop();
  // The page has shown an answer before the next one comes: compare right after one.
  const seen = record.answers.length;
  await eventually("another answer", () => record.answers.length > seen);
  await page.waitForTimeout(300);
  const counters = ({ json }) => json.policies.find((p) => p.name === options.policy).releases;
  const [first, last] = [counters(record.answers[0]), counters(record.answers.at(-1))];
  const difference = (name, count) => count(last.find((r) => r.name === name)) - count(first.find((r) => r.name === name));
  const all = last.reduce((sum, r) => sum + difference(r.name, (o) => o.requests.split), 0);
  assert.ok(all > 100, `only ${all} split requests came: the test needs --site`);
  for (const { name, ttfb, fallbacks_from, fallbacks_to, stable } of last) {
    const shown = (figure) => value(figure, page.locator(`[data-policy="${options.policy}"] [data-release="${name}"]`));
    const share = difference(name, (r) => r.requests.split) / all;
    assert.ok(share > 0 && Math.abs((await shown("live")) - share) < 1e-9, `${name}: ${await shown("live")}, not ${share}`);
    const failed = difference(name, ({ attempts: a }) => a.status + a.connect + a.timeout + a.reset + a.cut + a.no_live);
    const judged = failed + difference(name, (r) => r.attempts.ok);
    assert.ok(judged > 0 && Math.abs((await shown("errors")) - failed / judged) < 1e-9, `${name}: errors`);
    assert.equal(await shown("p50"), ttfb.p50);
    assert.equal(await shown("p90"), ttfb.p90);
    assert.equal(await shown("saved"), stable ? fallbacks_to : fallbacks_from);
  }
});

test("refuses a bad weight without asking the API", async () => {
  for (const [typed, said] of [["lots", /no percentage/], ["101", /too much/], ["0.001", /too fine/], ["-1", /no percentage/]]) {
    record.requests.length = 0;
    await slot("weight").fill(typed);
    await slot("weight").press("Enter");
    assert.match(await slot("error").innerText(), said);
    assert.equal(await slot("weight").getAttribute("aria-invalid"), "true");
    assert.ok(await slot("weight").evaluate((input) => input === document.activeElement));
    assert.ok(!record.requests.some((request) => request.method !== "GET"));
  }
  assert.equal((await state()).weight, "10%");
});

test("tells when somebody else was faster, then sets the weight", async () => {
  record.expected.add("409");
  await slot("weight").fill("40");
  await api("PATCH", ours, { weights: { [options.release]: "15%" } });
  await eventually("the change of somebody else", async () => (await slot("target").innerText()) === "15%");
  assert.equal(await slot("weight").inputValue(), "40", "what is being typed stays");
  await slot("weight").press("Enter");
  await slot("error").waitFor();
  const said = await slot("error").innerText();
  assert.match(said, /Somebody else has changed this policy.*canary at 15%|Somebody else.* at 15%/);
  // The API's own sentence stands behind ours.
  assert.match(said, /want to\. \S+/);
  assert.equal((await state()).weight, "15%");
  record.expected.delete("409");

  await slot("weight").fill("25");
  await card.getByRole("button", { name: /^Set/ }).click();
  await eventually("25% on the page", async () => (await slot("target").innerText()) === "25%");
  assert.equal((await state()).weight, "25%");
  assert.ok(await slot("error").isHidden());
});

test("shows what the API refuses in its own words", async () => {
  record.expected.add("400");
  const detail = "what the API said: write it otherwise";
  await page.route(`**/${ours}`, (route) =>
    route.request().method() === "PATCH"
      ? route.fulfill({ status: 400, contentType: "application/problem+json", body: JSON.stringify({ type: "about:blank", title: "Bad Request", status: 400, detail }) })
      : route.continue(),
  );
  await slot("weight").fill("33");
  await slot("weight").press("Enter");
  await eventually("the sentence", async () => (await slot("error").innerText()) === detail);
  await page.unroute(`**/${ours}`);
  record.expected.delete("400");
});

test("rolls back by mouse, with a reason", async () => {
  const dialog = page.getByRole("dialog");
  await card.getByRole("button", { name: "Roll back" }).click();
  await dialog.waitFor();
  assert.match(await dialog.innerText(), new RegExp(`Roll back ${options.release}`));
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "hidden" });
  assert.equal((await state()).state, "up");
  assert.ok(await card.getByRole("button", { name: "Roll back" }).evaluate((button) => button === document.activeElement), "focus returns");

  await card.getByRole("button", { name: "Roll back" }).click();
  await dialog.getByRole("textbox").fill("blank pages");
  await page.screenshot({ path: `${options.screenshots}/dialog.png` });
  await dialog.getByRole("button", { name: "Roll back" }).click();
  await dialog.waitFor({ state: "hidden" });
  const now = await state();
  assert.deepEqual([now.state, now.weight], ["down", "0%"]);
  assert.equal(await slot("state").innerText(), "Down");
  await eventually("the reason in the verdict", async () => (await slot("verdict").innerText()).includes("blank pages"));
  assert.ok(await card.getByRole("button", { name: "Roll back" }).isHidden());
  assert.ok(await card.locator("h3").evaluate((heading) => heading === document.activeElement), "focus stays in the card");
  await eventually("the event", async () => /rollback.*blank pages/is.test(await page.locator("#events li").first().innerText()));
  assert.match(await page.title(), new RegExp(`${options.policy}/${options.release}`));
  assert.match(await page.locator("#announce").innerText(), /Down/);
});

test("resets by keyboard alone", async () => {
  await page.locator("h1").click();
  const focused = () => page.evaluate(() => [document.activeElement.closest("[data-policy]")?.dataset.policy, document.activeElement.closest("[data-release]")?.dataset.release, document.activeElement.dataset.do]);
  const wanted = [options.policy, options.release, "reset"].join();
  for (let presses = 0; (await focused()).join() !== wanted; presses += 1) {
    assert.ok(presses < 200, "Tab reaches the button");
    await page.keyboard.press("Tab");
  }
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  assert.notEqual(outline, "none", "the focus is visible");
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor();
  await page.keyboard.type("fixed");
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor({ state: "hidden" });
  assert.deepEqual([(await state()).state, await slot("state").innerText()], ["up", "Up"]);
});

test("says when nginx does not answer, and goes on when it does", async () => {
  record.expected.add("net::ERR_FAILED");
  const trouble = page.locator("#trouble");
  await page.route("**/v1/**", (route) => route.abort());
  await trouble.waitFor();
  assert.match(await trouble.innerText(), /cannot be reached.*Next try in \d+ s/s);
  assert.equal(await page.locator("#freshness-text").innerText(), "Not live");
  // Each failure doubles the pause: 4 s, 8 s, not one request every 2 s.
  record.requests.length = 0;
  await page.waitForTimeout(7000);
  assert.ok(record.requests.length <= 4, `${record.requests.length} requests in 7 s`);
  await page.unroute("**/v1/**");
  await page.getByRole("button", { name: "Try now" }).click();
  await trouble.waitFor({ state: "hidden" });
  record.expected.delete("net::ERR_FAILED");
});

test("asks nothing while nobody looks", async () => {
  const look = (hidden) =>
    page.evaluate((to) => {
      Object.defineProperty(document, "hidden", { configurable: true, get: () => to });
      document.dispatchEvent(new Event("visibilitychange"));
    }, hidden);
  await look(true);
  await page.waitForTimeout(500);
  record.requests.length = 0;
  await page.waitForTimeout(4500);
  assert.equal(record.requests.length, 0);
  await look(false);
  await eventually("a request", () => record.requests.length > 0, 1000);
});

for (const [name, settings] of [
  ["light", {}],
  ["dark", { colorScheme: "dark" }],
  ["phone", PHONE],
  ["phone-dark", { ...PHONE, colorScheme: "dark" }],
  ["chinese", { locale: "zh-CN" }],
]) {
  test(`is sound and readable: ${name}`, async () => {
    const other = await open(browser, base, settings);
    await other.page.locator("[data-release]").first().waitFor();
    await eventually("a second answer", () => other.record.answers.length > 1);
    assert.deepEqual(await other.page.evaluate(structure), []);
    assert.deepEqual(await other.page.evaluate(contrast), []);
    if (settings.isMobile) assert.deepEqual(await other.page.evaluate(phone), []);
    await other.page.screenshot({ path: `${options.screenshots}/${name}.png`, fullPage: true });
    assert.deepEqual(other.record.faults, []);
    await other.context.close();
  });
}

test("asked nobody else, broke no policy, logged no error", () => {
  assert.deepEqual(record.faults, []);
  const { origin } = new URL(base);
  const foreign = record.requests.filter(({ url }) => !url.startsWith("data:") && new URL(url).origin !== origin);
  assert.deepEqual(foreign, []);
});
