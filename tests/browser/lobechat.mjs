// How the scenarios of pages.mjs use two real LobeChat releases, 1.34.6 as build a and 1.50.0 as build b.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { staticFiles } from "./next.mjs";
import { eventually } from "./rollout.mjs";

const BUILDS = { "6AJ_HM-5dtf_Q_MvFWL7-": "a", "ovj5H_917t-1KxdC856kb": "b" };
/** The versions in nginx-conf/lobechat.conf; `expose on` names the one that served. */
const VERSIONS = { "2.1.25": "a", "2.1.26": "b" };
const CHAT = /\/webapi\/chat\/openai$/;
const DISCOVER = /\/discover(\?_rsc=.*)?$/;
const ANSWER = Array.from({ length: 11 }, (_, n) => `tok${n + 1}`).join(" ");

/** Two files of its own that 1.50.0 answers with 404, so that its service worker is never installed. */
const UNSERVED = /\/(page-26c5a33f6b6c18b7|default-0b1b7edce81cc017)\.js$/;

const served = (timing = "") => VERSIONS[/release;desc="(.*?)"/.exec(timing)?.[1]];
const header = (request, name) => Object.entries(request.answer ?? {}).find(([key]) => key.toLowerCase() === name)?.[1];

export class LobeChat {
  home = "/chat";
  quiet = 1500;
  precache = "-precache-";
  workers = ["a"];
  /** 14.2, which 1.34.6 is built with, answers 500 to the router state of 1.50.0. */
  recovers = false;
  /** Nothing of the browser's may ask for pictures and fonts of outside hosts. */
  browser = ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"];

  constructor(dirs) {
    this.files = { a: staticFiles(dirs[0]), b: staticFiles(dirs[1]) };
    const precached = (dir) => {
      const list = readFileSync(join(dir, "public/sw.js"), "utf8");
      return new Set([...list.matchAll(/["'](\/_next\/static\/[^"']+)["']/g)].map(([, path]) => decodeURIComponent(path)));
    };
    this.precached = { a: precached(dirs[0]), b: precached(dirs[1]) };
  }

  buildOf = (html) => BUILDS[/\\"(?:buildId|b)\\":\\"([\w-]{21})\\"/.exec(html)?.[1]];

  /** Whatever stands on outside hosts, what a list says whose parent is not laid out yet, and UNSERVED. */
  tolerates = (text) => text.includes("https://") || text.includes("react-virtuoso") || UNSERVED.test(text);

  ready = ({ page }) => page.locator("textarea").waitFor();

  /** Types until a message leaves: what comes before the page is quite awake stays in the box, or is lost. */
  async #send(tab) {
    const box = tab.page.locator("textarea");
    const before = new Set(tab.requests.values());
    const sent = () => [...tab.requests.values()].find((request) => CHAT.test(request.url) && !before.has(request));
    return eventually("a message to leave", async () => {
      await box.fill("");
      await box.pressSequentially("hello");
      await box.press("Enter");
      return eventually("the request", sent, 5000).catch(() => null);
    }, 60_000);
  }

  /** The first message of a page loads what shows answers; the build of those files, once the answer is there. */
  async lazy(tab) {
    const before = new Set(tab.requests.keys());
    await this.#send(tab);
    await tab.page.getByText(ANSWER).last().waitFor();
    await tab.settle();
    const loaded = [...tab.requests].filter(([id, { url, status }]) => !before.has(id) && status === 200 && url.includes("/_next/static/"));
    assert.ok(loaded.length > 0, "a message loads lazy chunks");
    const page = await tab.shows();
    // The page's own, if some are: whether others are among them, `faults` tells.
    const own = loaded.some(([, { url }]) => this.files[page].has(decodeURIComponent(new URL(url).pathname)));
    return own ? page : "another build";
  }

  async navigate(tab) {
    const before = new Set(tab.requests.keys());
    // As with messages: a click on a page that is not quite awake is lost.
    await eventually("the other page", async () => {
      await tab.page.locator('a[href="/discover"]').first().click();
      return tab.page.waitForURL("**/discover", { timeout: 10_000 }).then(() => true, () => null);
    }, 60_000);
    await tab.page.locator('a[href^="/discover/model"]').first().waitFor();
    await tab.settle();
    const fresh = [...tab.requests].filter(([id]) => !before.has(id)).map(([, request]) => request);
    const data = fresh.filter(({ url, headers, status }) => DISCOVER.test(url) && status === 200 && !("Next-Router-Prefetch" in headers));
    return [served(header(data.at(-1), "server-timing")), await tab.shows()];
  }

  async api({ page }) {
    const path = "/trpc/edge/config.getGlobalConfig";
    const [status, timing] = await page.evaluate(async (url) => {
      const response = await fetch(url);
      return [response.status, response.headers.get("server-timing")];
    }, path);
    assert.equal(status, 200, path);
    return served(timing);
  }

  /** Sends a message; returns when the answer has begun. */
  async startStream(tab) {
    this.message = await this.#send(tab);
    await eventually("the answer's begin", () => this.message.chunks.length > 1);
  }

  async endStream(tab) {
    await eventually("the answer's end", () => this.message.finished);
    await tab.page.getByText(ANSWER).last().waitFor();
    return { build: served(header(this.message, "server-timing")), times: this.message.chunks };
  }

  async installWorker({ page }) {
    await page.evaluate(async () => {
      await navigator.serviceWorker.register("/sw.js");
      await navigator.serviceWorker.ready;
    });
  }
}
