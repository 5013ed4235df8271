// How the scenarios of pages.mjs use our own application, next-app/.

import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join, relative } from "node:path";

/** The paths of all hash-named files of a Next.js build, as a browser would ask for them, decoded. */
export function staticFiles(dir) {
  const root = join(dir, ".next/static");
  const entries = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return new Set(entries.map((entry) => `/_next/static/${relative(root, join(entry.parentPath, entry.name))}`));
}

const text = async (page, selector) => (await page.locator(selector).textContent()).trim();

export class NextApp {
  home = "/";
  /** No request for so many milliseconds: the page is done. */
  quiet = 400;
  tokens = 20;
  /** What the names of a worker's caches for its own build hold. */
  precache = "build-";
  /** The builds whose service worker can be installed. */
  workers = ["a", "b"];
  /** Data of another build lead to a whole page of that build, without a fault. */
  recovers = true;

  constructor(dirs) {
    this.files = { a: staticFiles(dirs[0]), b: staticFiles(dirs[1]) };
    this.precached = this.files;
  }

  buildOf = (html) => /<html[^>]* data-build="(\w+)"/.exec(html)?.[1];
  tolerates = () => false;
  ready = ({ page }) => page.locator("body[data-ready]").waitFor({ state: "attached" });

  /** Loads a chunk that the page has not needed so far; the build whose code then ran. */
  async lazy({ page }) {
    await page.locator("#lazy").click();
    await page.locator("#panel").waitFor();
    return (await text(page, "#panel")).replace("panel of ", "");
  }

  /** A click on a link; which builds made the data and the script of what is shown then. */
  async navigate({ page }) {
    await page.locator("#item").click();
    await page.locator("#shown").waitFor();
    const shown = /data of (\w+), script of (\w+)/.exec(await text(page, "#shown"));
    return [shown[1], shown[2]];
  }

  /** The build that answers the page's API. */
  async api({ page }) {
    await page.locator("#ask").click();
    await page.locator("#api:not(:empty)").waitFor();
    return text(page, "#api");
  }

  /** Starts a stream and returns once the first token is there. */
  async startStream({ page }) {
    await page.locator("#listen").click();
    await page.waitForFunction(() => document.querySelector("#tokens").textContent.length > 2);
  }

  /** Waits for its end; the build that sent it, and when each token arrived, in milliseconds. */
  async endStream({ page }) {
    const all = async () => JSON.parse(await text(page, "#tokens"));
    for (let n = 0; n < 200 && (await all()).length < this.tokens; n += 1) await page.waitForTimeout(50);
    const tokens = await all();
    const build = tokens[0].text.slice(0, 1);
    assert.deepEqual(tokens.map((token) => token.text), Array.from({ length: this.tokens }, (_, n) => `${build}${n}`));
    return { build, times: tokens.map((token) => token.at) };
  }

  async installWorker({ page }) {
    await page.locator("#install").click();
    await page.locator("#worker:not(:empty)").waitFor();
  }
}
