// What happens to open pages while releases change. Each scenario gets a browser context of its own, a rollout with
// build `a` stable and `b` up at 0 %, and `app`: see next.mjs and lobechat.mjs. pages.mjs runs them.

import assert from "node:assert/strict";

import { eventually } from "./rollout.mjs";

const CHANNEL = "release_channel";

/** A tab whose page is of this build, through the user's share. */
export async function openOn(t, build) {
  await t.rollout.weight(build === "b" ? 100 : 0);
  const tab = await t.tab();
  // Whoever comes for the first time has no id to be split by; the next page is decided by the one he then has.
  const first = await (build === "b" ? tab.pass() : tab.go());
  assert.equal(first, "a", "the first page of a new visitor");
  if (build === "b") assert.equal(await tab.go(), "b", "the second page at 100 %");
  return tab;
}

/** All that a page does comes from its own build. */
async function whole(t, tab, build, what) {
  assert.equal(await t.app.api(tab), build, `the API ${what}`);
  assert.equal(await t.app.lazy(tab), build, `a lazy chunk ${what}`);
  await tab.sound(what);
}

/** A click within the application: whatever is shown then is of one build, which is returned. */
async function click(t, tab, { leaves = false } = {}) {
  const go = () => t.app.navigate(tab);
  // Next.js begins to load what data of another build name, sees that it is another, and loads the page anew.
  const [data, script] = leaves ? await tab.leave(go) : await go();
  assert.equal(data, script, "data and script after a click");
  assert.equal(await tab.shows(), data, "the document and what it shows after a click");
  await tab.sound("a click");
  return data;
}

export const scenarios = {
  async "first visit"(t) {
    const tab = await openOn(t, "b");
    await whole(t, tab, "b", "at 100 %");
    assert.equal(await click(t, tab), "b");
    await t.rollout.weight(0);
    assert.equal(await tab.go(), "a", "the next page at 0 %");
    await whole(t, tab, "a", "at 0 %");
  },

  async "flip, then a lazy chunk"(t) {
    const tab = await openOn(t, "a");
    await t.rollout.weight(100);
    await whole(t, tab, "a", "after 0 % became 100 %");
    assert.equal(await tab.go(), "b", "the next page");
    await t.rollout.weight(0);
    await whole(t, tab, "b", "after 100 % became 0 %");
    assert.equal(await tab.go(), "a", "the next page");
    await tab.sound("two flips");
  },

  async "flip, then a click"(t) {
    for (const [build, weight] of [["a", 100], ["b", 0]]) {
      const tab = await openOn(t, build);
      await t.rollout.weight(weight);
      assert.equal(await click(t, tab), build, `at ${weight} %`);
      await t.forget();
    }
  },

  async "rollback while open"(t) {
    const tab = await openOn(t, "b");
    await t.rollback(tab);
    assert.equal(await t.app.lazy(tab), "b", "a lazy chunk after the rollback");
    await tab.sound("after the rollback");
    // Data come from stable now.
    if (t.app.recovers) assert.equal(await click(t, tab, { leaves: true }), "a");
    assert.equal(await tab.go(), "a", "the next page");
    await whole(t, tab, "a", "after the next page");
  },

  async "hard refresh after rollback"(t) {
    const tab = await openOn(t, "b");
    await t.rollback(tab);
    assert.equal(await tab.again({ hard: true }), "a");
    await whole(t, tab, "a", "after a hard refresh");
  },

  async "two tabs"(t) {
    for (const build of ["a", "b"]) {
      const first = await openOn(t, build);
      // Somebody whose next page is of the other build, while both have users.
      await t.rollout.weight(100);
      if (build === "b") await t.cookie(CHANNEL, "stable");
      const second = await t.tab();
      assert.equal(await second.go(), build === "a" ? "b" : "a", "the second tab");
      // Without a deployment id the last page speaks for both tabs, but no chunk is missing.
      if (t.deployment) await whole(t, first, build, "of the first tab");
      else assert.equal(await t.app.lazy(first), build, "a lazy chunk of the first tab");
      await first.sound("the first tab");
      if (t.app.recovers) {
        const then = await click(t, first, { leaves: !t.deployment });
        if (t.deployment) assert.equal(then, build, "a click in the first tab");
      }
      await second.sound("the second tab");
      await t.forget();
    }
  },

  async "a tester"(t) {
    const tab = await t.tab();
    await t.cookie(CHANNEL, "canary");
    assert.equal(await tab.go(), "b", "a tester at 0 %");
    await t.cookie(CHANNEL, "");
    await whole(t, tab, "b", "after the cookie has gone");
    assert.equal(await tab.go(), "a", "the next page");
    await tab.sound("a tester");
  },

  async "drain"(t) {
    const tab = await openOn(t, "b");
    await t.rollout.state("drain");
    await whole(t, tab, "b", "while it drains");
    assert.equal(await click(t, tab), "b");
    assert.equal(await tab.go(), "a", "the next page");
    await tab.sound("drain");
  },

  async "promotion while open"(t) {
    const other = await t.stranger();
    const old = await openOn({ ...t, tab: other }, "a");
    const tab = await openOn(t, "b");
    await t.rollout.promote();
    for (const [one, build] of [[tab, "b"], [old, "a"]]) {
      await whole(t, one, build, "after the promotion");
      assert.equal(await one.go(), "b", "the next page");
      await one.sound("after the promotion");
    }
  },

  async "reload during a stream"(t) {
    const tab = await openOn(t, "b");
    await t.app.startStream(tab);
    t.rollout.reload();
    await t.rollout.weight(0);
    const { build, times } = await t.app.endStream(tab);
    assert.equal(build, "b", "who streams");
    // One by one: most of them with a pause before, none of which is as long as the whole.
    const gaps = times.slice(1).map((at, n) => at - times[n]);
    const apart = gaps.filter((gap) => gap > 100).length;
    assert.ok(apart > gaps.length * 0.7, `tokens came in lumps: ${times}`);
    assert.equal(await t.app.api(tab), "b", "the API after the reload");
    assert.equal(await click(t, tab), "b");
    assert.equal(await tab.go(), "a", "the next page");
    await tab.sound("after the reload");
  },

  async "service worker"(t) {
    const kept = (tab) => tab.page.evaluate(async (mark) => {
      const names = (await caches.keys()).filter((name) => name.includes(mark));
      const requests = await Promise.all(names.map(async (name) => (await caches.open(name)).keys()));
      return requests.flat().map(({ url }) => decodeURIComponent(new URL(url).pathname));
    }, t.app.precache);
    const holds = (tab, build) => eventually(`the files of build ${build}, and no others, in the worker's cache`, async () => {
      const files = (await kept(tab)).filter((path) => path.startsWith("/_next/static/"));
      return files.length === t.app.precached[build].size && files.every((path) => t.app.precached[build].has(path));
    }, 60_000);
    const tab = await openOn(t, "a");
    await t.app.installWorker(tab);
    await holds(tab, "a");
    assert.equal(await tab.go(), "a");
    assert.ok((await tab.asked(/_next\/static/)).some(({ fromServiceWorker }) => fromServiceWorker), "the worker answers");
    await t.rollout.weight(100);
    await whole(t, tab, "a", "behind a worker");
    assert.equal(await tab.go(), "b", "the next page");
    if (t.app.workers.includes("b")) await holds(tab, "b");
    await whole(t, tab, "b", "behind a worker");
    await t.rollout.weight(0);
    assert.equal(await tab.go(), "a", "the page after that");
    await tab.sound("behind a worker");
  },

  async "manifest"(t) {
    const tab = await openOn(t, "b");
    const cookies = [];
    tab.cdp.on("Network.responseReceivedExtraInfo", ({ requestId, headers }) => {
      const line = Object.entries(headers).find(([name]) => name.toLowerCase() === "set-cookie");
      if (line) cookies.push(`${tab.requests.get(requestId)?.url}: ${line[1]}`);
    });
    const manifest = "/manifest.webmanifest";
    await tab.cdp.send("Page.getAppManifest");
    const status = await tab.page.evaluate(async (path) => (await fetch(path, { credentials: "omit" })).status, manifest);
    assert.equal(status, 200);
    assert.ok((await tab.asked(/manifest\.webmanifest$/)).length > 0, "the manifest has been asked for");
    assert.deepEqual(cookies, []);
    await tab.sound("the manifest");
  },
};

/** Without pin the same steps must show what it is there for, else the assertions above prove nothing. */
export async function broken(t) {
  const tab = await openOn(t, "b");
  await tab.sound("before the flip");
  await t.rollout.weight(0);
  const api = await t.app.api(tab);
  t.app.lazy(tab).catch(() => {});
  const faults = await eventually("a missing chunk", async () => {
    const all = await tab.faults();
    return all.some((fault) => fault.startsWith("404: GET /_next/static/")) && all;
  }, 30_000);
  assert.equal(api, "a", "the API answers from the other build");
  return faults;
}
