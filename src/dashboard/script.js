// The dashboard: asks the API every two seconds, and shows what it says. Asks less when it fails, and not at all while nobody looks.

import { call } from "./api.js";
import { Events } from "./events.js";
import { arrange, byId, put, show } from "./page.js";
import { PolicyView } from "./policy.js";
import { language, t, timeOfDay, translate } from "./words.js";

const INTERVAL = 2_000;
const LONGEST = 30_000;

const views = new Map();
const events = new Events();
let timer = null;
let asking = false;
let failures = 0;
let fresh = null; // when the last answer came

document.documentElement.lang = language;
translate(document);

function showPolicies(policies, write) {
  const now = performance.now();
  arrange(byId("policies"), policies.map((policy) => viewOf(policy.name).root));
  for (const policy of policies) viewOf(policy.name).update(policy, now);
  put(byId("access"), write ? t("read-write") : t("read-only"));
  byId("access").title = write ? "" : t("Read-only: lobechat_canary_api has no \"write\" here, or does not let you in.");
  show(byId("no-policies"), policies.length === 0);
  document.title = title(policies);
}

function viewOf(name) {
  let view = views.get(name);
  if (!view) views.set(name, (view = new PolicyView(name, (policy) => (policy ? take(policy) : poll()))));
  return view;
}

/** What a change has answered: newer than any answer that is still under way. */
let generation = 0;
async function take(policy) {
  generation += 1;
  viewOf(policy.name).update(policy, performance.now());
  await poll();
}

/** So that a tab in the background tells of trouble. */
function title(policies) {
  const down = policies.flatMap((policy) => policy.releases.filter((release) => release.state === "down").map((release) => `${policy.name}/${release.name}`));
  return down.length > 0 ? `▼ ${down.join(", ")} · Canary` : "Canary";
}

async function poll() {
  if (asking) await asking;
  asking = ask();
  await asking;
  asking = null;
}

async function ask() {
  clearTimeout(timer);
  const began = generation;
  try {
    const [{ policies, write }, news] = await Promise.all([call("GET", "policies"), call("GET", `events?after=${events.last}`)]);
    if (generation === began) showPolicies(policies, write);
    events.add(news.last < events.last ? await call("GET", "events") : news);
    failures = 0;
    fresh = new Date();
    show(byId("trouble"), false);
    document.body.classList.remove("stale");
    put(byId("freshness-text"), t("Live, {time}", { time: timeOfDay(fresh) }));
  } catch (problem) {
    failures += 1;
    tellTrouble(problem);
  }
  next();
}

function pause() {
  return Math.min(LONGEST, INTERVAL * 2 ** Math.min(failures, 10));
}

function next() {
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(poll, failures > 0 ? pause() : INTERVAL);
}

function tellTrouble(problem) {
  document.body.classList.add("stale");
  put(byId("trouble-text"), problem.message);
  const seconds = pause() / 1000;
  const since = fresh ? t("What you see is from {time}.", { time: timeOfDay(fresh) }) : t("Nothing has been read yet.");
  put(byId("trouble-next"), `${since} ${t("Next try in {n} s.", { n: seconds })}`);
  put(byId("freshness-text"), t("Not live"));
  show(byId("trouble"), true);
}

byId("retry").addEventListener("click", poll);
document.addEventListener("visibilitychange", () => {
  if (document.hidden) clearTimeout(timer);
  else poll();
});
poll();
