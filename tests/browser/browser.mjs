// A real Chromium for the test, and a record of everything a page must not do.

import { spawnSync } from "node:child_process";
import { chromium } from "playwright-core";

// Nothing of the browser's own may go to a network.
const ARGUMENTS = [
  "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
  "--disable-sync", "--disable-default-apps", "--disable-domain-reliability", "--no-pings",
];

export async function launch(more = []) {
  const found = spawnSync("sh", ["-c", "command -v chromium"], { encoding: "utf8" }).stdout.trim();
  const executablePath = process.env.CHROMIUM || found;
  if (!executablePath) throw new Error("there is no chromium: run scripts/setup browser, or set CHROMIUM to its path");
  // Chromium's sandbox does not run as root. A new profile directory is made and removed by each launch.
  return chromium.launch({ executablePath, headless: true, chromiumSandbox: process.getuid() !== 0, args: [...ARGUMENTS, ...more] });
}

export const PHONE = { viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };

/** Opens the dashboard. `record` holds what went wrong, and each answer of `v1/policies` with its time. */
export async function open(browser, base, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, locale: "en-GB", reducedMotion: "reduce", ...options });
  const page = await context.newPage();
  const record = { faults: [], requests: [], answers: [], expected: new Set() };
  await context.exposeFunction("violated", (text) => record.faults.push(`Content-Security-Policy: ${text}`));
  await context.addInitScript(() =>
    document.addEventListener("securitypolicyviolation", (event) => window.violated(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`)),
  );
  page.on("pageerror", (error) => record.faults.push(`uncaught: ${error.stack}`));
  page.on("console", (message) => {
    if (!["error", "warning"].includes(message.type())) return;
    // The browser itself logs each answer above 399 so; a test says which ones it provokes.
    const status = /^Failed to load resource: .*?(\d{3}|net::\w+)/.exec(message.text())?.[1];
    if (!record.expected.has(status)) record.faults.push(`console: ${message.text()} (${message.location().url})`);
  });
  page.on("request", (request) => record.requests.push({ url: request.url(), method: request.method(), at: Date.now() }));
  page.on("response", async (response) => {
    if (response.url() !== `${base}v1/policies` || !response.ok()) return;
    const json = await response.json().catch(() => null);
    if (json) record.answers.push({ at: Date.now(), json });
  });
  const response = await page.goto(base);
  return { context, page, record, response };
}
