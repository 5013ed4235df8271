// A browser tab and a record of all it asked for, by the page that asked. For the scenarios of pages.mjs.

import assert from "node:assert/strict";

import { pause } from "./rollout.mjs";

const ASSETS = /^\/(?:_next\/static|_?spa)\//;

/** What one tab did. `app` tells builds apart: see next.mjs and lobechat.mjs. */
export class Visit {
  static async open(context, app, base) {
    const page = await context.newPage();
    const visit = new Visit(page, app, base);
    visit.cdp = await context.newCDPSession(page);
    visit.listen();
    await visit.cdp.send("Network.enable");
    return visit;
  }

  constructor(page, app, base) {
    Object.assign(this, { page, app, base, requests: new Map(), documents: new Map(), left: new Set(), lost: new Set(), console: [], last: Date.now() });
  }

  listen() {
    const { cdp, page } = this;
    // Since every request names its loader, which is one per document, none is counted to a page that it is not of.
    cdp.on("Network.requestWillBeSent", ({ requestId, loaderId, type, request, redirectResponse }) => {
      this.last = Date.now();
      if (type === "Document") this.document = loaderId;
      if (redirectResponse) this.requests.set(`${requestId} before ${request.url}`, { ...this.requests.get(requestId), status: redirectResponse.status });
      this.requests.set(requestId, { url: request.url, method: request.method, headers: request.headers, type, loaderId, chunks: [] });
    });
    cdp.on("Network.responseReceived", ({ requestId, response, type }) => {
      const { status, headers, mimeType, fromServiceWorker } = response;
      Object.assign(this.requests.get(requestId) ?? {}, { status, answer: headers, mimeType, fromServiceWorker, type });
    });
    cdp.on("Network.dataReceived", ({ requestId, timestamp }) => this.requests.get(requestId)?.chunks.push(Math.round(timestamp * 1000)));
    cdp.on("Network.loadingFinished", async ({ requestId }) => {
      this.last = Date.now();
      const request = this.requests.get(requestId);
      if (!request) return;
      request.finished = true;
      if (request.type !== "Document") return;
      const body = cdp.send("Network.getResponseBody", { requestId }).then(({ body }) => body, () => "");
      this.documents.set(request.loaderId, body.then((html) => this.app.buildOf(html)));
    });
    cdp.on("Network.loadingFailed", ({ requestId, errorText, canceled }) => {
      this.last = Date.now();
      Object.assign(this.requests.get(requestId) ?? {}, { error: errorText, canceled });
    });
    page.on("pageerror", (error) => this.console.push(`uncaught: ${error.stack}`));
    page.on("console", (message) => {
      if (message.type() === "error") this.console.push(`console: ${message.text()} (${message.location().url})`);
    });
  }

  /** Returns once nothing new has been asked for a while. */
  async settle(quiet = this.app.quiet) {
    const end = Date.now() + 30_000;
    while (Date.now() - this.last < quiet && Date.now() < end) await pause(50);
  }

  /** Loads a page as a click on a bookmark does; returns the build that made it. */
  async go(path = this.app.home) {
    const response = await this.page.goto(new URL(path, this.base).href);
    await this.app.ready(this);
    await this.settle();
    return this.app.buildOf(await response.text());
  }

  /** Loads a page that is left before it is there; returns the build that made it. */
  async pass(path = this.app.home) {
    const response = await this.page.goto(new URL(path, this.base).href, { waitUntil: "commit" });
    return this.app.buildOf(await response.text());
  }

  /** The reload button, with the cache passed by (`hard`) or not. */
  async again({ hard = false } = {}) {
    await this.cdp.send("Network.setCacheDisabled", { cacheDisabled: hard });
    await this.page.reload();
    await this.app.ready(this);
    await this.settle();
    await this.cdp.send("Network.setCacheDisabled", { cacheDisabled: false });
    return this.shows();
  }

  /** The build of the document that is shown. */
  async shows() {
    return this.app.buildOf(await this.page.content());
  }

  /** Does something that may lead to another page: what the first one loads just before is gone with it. */
  async leave(action) {
    const before = this.document;
    const result = await action();
    await this.settle();
    if (this.document !== before) this.left.add(before);
    return result;
  }

  /** The page's release is taken down: what it asks for besides its files comes from the other one now. */
  lose() {
    if (!this.app.recovers) this.lost.add(this.document);
  }

  /** A fault that the page's own application makes of the other release's data. */
  #excused({ loaderId, status, url }) {
    return this.lost.has(loaderId) && (status < 400 || (status === 500 && url.includes("_rsc=")));
  }

  async asked(pattern) {
    await this.settle();
    return [...this.requests.values()].filter(({ url }) => pattern.test(url));
  }

  /** All that a user could suffer from, a line each. */
  async faults() {
    await this.settle();
    const lost = this.lost.size > 0 ? /status of 500 .*_rsc=/ : /^$/;
    const faults = this.console.filter((line) => !this.app.tolerates(line) && !lost.test(line));
    for (const request of this.requests.values()) {
      const url = new URL(request.url);
      if (!/^https?:$/.test(url.protocol) || this.app.tolerates(request.url)) continue;
      if (this.#excused(request)) continue;
      const name = `${request.method} ${url.pathname}${url.search}`;
      if (url.origin !== new URL(this.base).origin) faults.push(`asked somebody else: ${request.url}`);
      else if (request.error && !request.canceled) faults.push(`failed: ${name}: ${request.error}`);
      else if (request.status >= 400) faults.push(`${request.status}: ${name}`);
      const build = await this.documents.get(request.loaderId);
      if (ASSETS.test(url.pathname) && request.status === 200 && !this.left.has(request.loaderId)) faults.push(...this.mixed(url, build));
    }
    return faults;
  }

  /** A hash-named file that the page's own build does not have. */
  mixed(url, build) {
    const path = decodeURIComponent(url.pathname);
    if (!build) return [`a page of no build asked for ${path}`];
    if (this.app.files[build].has(path)) return [];
    const other = ["a", "b"].find((name) => this.app.files[name].has(path));
    return [other ? `mixed: a page of build ${build} loaded ${path} of ${other}` : `nobody's file: ${path}`];
  }

  async sound(what) {
    assert.deepEqual(await this.faults(), [], what);
  }
}
