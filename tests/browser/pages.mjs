// Open pages in a real Chromium while releases change under them, against a running nginx.
//
// usage: node pages.mjs BASE_URL --builds DIR_A,DIR_B [--app next|lobechat] [--deployment] [--broken]
//                       [--api URL] [--policy chat] [--nginx-pid N] [--access-log FILE] [--only TEXT]
//
// BASE_URL serves nginx-conf/lobechat.conf with build a as its stable release and b as the other; --builds are the
// directories with their .next, to tell whose file is whose. --deployment: both builds have a deployment id.
// --broken: the policy has `pin off`; only checks that pages break then. --only: scenarios whose names hold the text.
//
// By hand, one scenario, with everything started and stopped for it:
//   scripts/test installed pages_next                    all, or with TEST_SCENARIO='two tabs' in front one of them
// or with an nginx of your own on port 8080:
//   dir=$(node next-app/build.mjs | tail -n 1)
//   sleep inf | node next-app/serve.mjs $dir/plain-a $dir/plain-b        prints the two ports to put into upstream {}
//   node pages.mjs http://127.0.0.1:8080/ --builds $dir/plain-a,$dir/plain-b --only 'two tabs'

import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { parseArgs } from "node:util";

import { launch } from "./browser.mjs";
import { LobeChat } from "./lobechat.mjs";
import { NextApp } from "./next.mjs";
import { Rollout } from "./rollout.mjs";
import { broken, scenarios } from "./scenarios.mjs";
import { Visit } from "./visit.mjs";

const text = (value) => ({ type: "string", default: value });
const flag = { type: "boolean", default: false };
const { values: options, positionals: [base] } = parseArgs({
  allowPositionals: true,
  options: {
    builds: text(""), app: text("next"), deployment: flag, broken: flag, api: text(""), policy: text("chat"),
    "nginx-pid": text(""), "access-log": text(""), only: text(process.env.TEST_SCENARIO ?? ""),
  },
});
const dirs = options.builds.split(",");
if (!base?.endsWith("/") || dirs.length !== 2) throw new Error("usage: node pages.mjs BASE_URL/ --builds DIR_A,DIR_B");

const app = options.app === "next" ? new NextApp(dirs) : new LobeChat(dirs);
const rollout = new Rollout(options.api || `${base}canary/`, options.policy, Number(options["nginx-pid"]));
let browser;

const log = () => (options["access-log"] ? readFileSync(options["access-log"], "utf8") : "");

/** What nginx itself says it answered badly, whoever asked: a service worker's requests are in no tab's record. */
function refused(start, lost) {
  const lines = log().slice(start).split("\n").filter(Boolean).map((line) => JSON.parse(line));
  // 499: the browser gave up, as it does with what a page no longer needs.
  return lines.filter(({ status, uri }) => status >= 400 && status !== "499" && !app.tolerates(uri) && !(lost && status === "500"));
}

/** Contexts that are closed at the end, whatever happens. */
class Stage {
  contexts = [];

  async context() {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, locale: "en-US" });
    this.contexts.push(context);
    return context;
  }

  async scenario() {
    let context = await this.context();
    return {
      app, rollout, deployment: options.deployment,
      tab: () => Visit.open(context, app, base),
      rollback: async (tab) => {
        tab.lose();
        this.lost = !app.recovers;
        await rollout.rollback();
      },
      /** Tabs of somebody else. */
      stranger: async () => {
        const other = await this.context();
        return () => Visit.open(other, app, base);
      },
      /** Goes on as somebody new. */
      forget: async () => {
        context = await this.context();
      },
      cookie: (name, value) => (value ? context.addCookies([{ name, value, url: base }]) : context.clearCookies({ name })),
    };
  }

  /** What the user saw when it went wrong. */
  async photograph(name) {
    mkdirSync("screenshots", { recursive: true });
    const pages = this.contexts.flatMap((context) => context.pages());
    const path = (n) => `screenshots/${options.app} ${name} ${n}.png`;
    await Promise.all(pages.map((page, n) => page.screenshot({ path: path(n) }).catch(() => {})));
  }

  close = () => Promise.all(this.contexts.map((context) => context.close()));
}

async function run(scenario, name) {
  const stage = new Stage();
  await rollout.restart();
  const start = log().length;
  try {
    const result = await scenario(await stage.scenario());
    if (!options.broken) assert.deepEqual(refused(start, stage.lost), [], "nginx's own log");
    return result;
  } catch (error) {
    await stage.photograph(name);
    throw error;
  } finally {
    await stage.close();
  }
}

before(async () => {
  browser = await launch(app.browser);
});

after(async () => {
  await browser?.close();
  await rollout.restart();
});

// LobeChat's pages ask for 150 files each; the machine may be busy.
const timeout = 400_000;
if (options.broken) {
  test("without pin the page breaks", { timeout }, async (context) => {
    for (const fault of await run(broken, "broken")) context.diagnostic(fault);
  });
} else {
  for (const [name, scenario] of Object.entries(scenarios)) {
    if (name.includes(options.only)) test(name, { timeout }, () => run(scenario, name));
  }
}
