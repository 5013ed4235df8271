// One release on the page: shares, errors, times, who watches it, its verdict and its ramp.

import { arrange, element, put, putOrHide, show, stamp } from "./page.js";
import { duration, exact, count, figure, latency, moment, points, share, t } from "./words.js";

const STATES = { up: "Up", drain: "Draining", down: "Down" };
const WATCHERS = { judge: "The judge watches", burst: "Only burst watches", nothing: "Nobody watches" };
const RAMPS = { running: "running", paused: "paused", done: "done", ended: "ended" };

export const stateWord = (state) => t(STATES[state] ?? state);

export class ReleaseView {
  constructor(name) {
    const { root, slots } = stamp("release-template");
    this.root = root;
    this.slots = slots;
    root.dataset.release = name;
    put(slots.name, name);
  }

  update(release, policy, rates) {
    const { slots, root } = this;
    root.dataset.state = release.state;
    root.dataset.stable = release.stable;
    root.setAttribute("aria-label", `${policy.name}, ${release.name}`);
    put(slots.version, release.version ?? "");
    put(slots.state, stateWord(release.state));
    put(slots.role, release.stable ? t("Stable, gets the rest, from") : t("from"));
    put(slots.upstream, release.upstream);
    put(slots.generation, release.generation);
    this.#share(release, rates);
    this.#figures(release, rates);
    this.#verdict(release);
    this.#watch(release, policy);
    this.#ramp(release.ramp);
    this.#counters(release);
  }

  #share(release, rates) {
    const { slots } = this;
    const { share: live, split } = rates.of(release.generation);
    const target = points(release.weight);
    put(slots.live, share(live), live ?? "");
    put(slots.target, release.weight, target / 100);
    slots.liveBar.style.width = `${(live ?? 0) * 100}%`;
    slots.targetMark.style.left = `${target}%`;
    const { seconds } = rates;
    let note;
    if (seconds === 0) note = t("measuring…");
    else if (live === null) note = t("no split requests in the last {n} s", { n: Math.round(seconds) });
    else note = t("{split} split requests in the last {n} s", { split: count(split), n: Math.round(seconds) });
    if (!release.stable && release.file_weight !== release.weight && !release.ramp) {
      note += ` · ${t("the file says {weight}", { weight: release.file_weight })}`;
    }
    put(slots.liveNote, note);
  }

  #figures(release, rates) {
    const { slots } = this;
    const { errors, failed, judged, failures } = rates.of(release.generation);
    put(slots.errors, share(errors), errors ?? "");
    // A single failure is no reason for alarm.
    slots.errorsBox.dataset.bad = errors >= 0.01 && failed > 1;
    const kinds = failures.map(([outcome, many]) => `${outcome} ${exact(many)}`).join(", ");
    put(slots.errorsNote, errors === null ? t("no attempts in the last {n} s", { n: Math.round(rates.seconds) }) : `${t("{failed} of {judged} attempts", { failed: exact(failed), judged: exact(judged) })}${kinds && `: ${kinds}`}`);
    put(slots.p50, latency(release.ttfb.p50), release.ttfb.p50 ?? "");
    put(slots.p90, latency(release.ttfb.p90), release.ttfb.p90 ?? "");
    const saved = release.stable ? release.fallbacks_to : release.fallbacks_from;
    put(slots.savedLabel, release.stable ? t("Took over") : t("Saved by fallback"));
    put(slots.saved, count(saved), saved);
  }

  #verdict({ verdict, state }) {
    const { slots } = this;
    show(slots.verdict, Boolean(verdict));
    if (!verdict) return;
    const by = verdict.by;
    put(slots.verdictTitle, state === "down" ? t("Taken down by {by}", { by }) : t("Reported by {by}", { by }));
    put(slots.verdictReason, verdict.reason || t("No reason was given."));
    put(slots.verdictAt, moment(verdict.at));
    slots.verdictAt.dateTime = verdict.at;
    put(slots.verdictEvidence, verdict.evidence === null ? "" : ` · ${t("evidence {n}", { n: figure(verdict.evidence) })}`);
  }

  #watch(release, policy) {
    const { slots } = this;
    // There is nothing to watch of the release that the others are compared with.
    show(slots.watch, !release.stable && Boolean(policy.rollback));
    slots.watch.dataset.by = release.watched_by;
    put(slots.watchedBy, t(WATCHERS[release.watched_by] ?? release.watched_by) + (release.watched_why ? ":" : ""));
    putOrHide(slots.watchedWhy, release.watched_why);
    const { evidence } = release;
    show(slots.evidenceBox, Boolean(evidence));
    if (!evidence) return;
    const { total, threshold } = evidence;
    // Evidence is a product of odds: only its logarithm grows evenly. Below 1 it speaks for the release.
    const part = Math.min(1, Math.max(0, Math.log(total) / Math.log(threshold)));
    slots.gaugeBar.style.width = `${part * 100}%`;
    slots.gauge.dataset.level = part >= 1 ? "over" : part > 1 / 3 ? "high" : "low";
    const text = t("Evidence {n}", { n: figure(total) });
    const limit = t("acts at {n}", { n: figure(threshold) });
    const attributes = { "aria-label": t("Evidence on a log scale"), "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": Math.round(part * 100), "aria-valuetext": `${text}, ${limit}` };
    for (const [name, value] of Object.entries(attributes)) slots.gauge.setAttribute(name, value);
    put(slots.evidence, text);
    put(slots.threshold, limit);
    const parts = { fail: figure(evidence.fail), p50: figure(evidence.p50), p90: figure(evidence.p90), blocks: count(evidence.blocks) };
    put(slots.evidenceParts, t("failures {fail} · p50 {p50} · p90 {p90} · {blocks} blocks", parts));
  }

  #ramp(ramp) {
    const { slots } = this;
    show(slots.ramp, Boolean(ramp));
    if (!ramp) return;
    slots.ramp.dataset.state = ramp.state;
    put(slots.rampState, t(RAMPS[ramp.state] ?? ramp.state));
    const steps = ramp.steps.map((step, index) => {
      const item = slots.steps.children[index] ?? element("li");
      put(item, step.seconds === null ? step.weight : `${step.weight} · ${duration(step.seconds)}`);
      const active = ramp.state === "running" || ramp.state === "paused";
      item.className = active && index === ramp.step ? "now" : index < ramp.step || ramp.state === "done" ? "past" : "";
      if (active && index === ramp.step) item.setAttribute("aria-current", "step");
      else item.removeAttribute("aria-current");
      return item;
    });
    arrange(slots.steps, steps);
    put(slots.rampNext, rampWords(ramp));
  }

  #counters(release) {
    const { slots } = this;
    const groups = [[t("Requests by reason"), release.requests], [t("Answers by status"), release.responses], [t("Attempts by outcome"), release.attempts]];
    const lists = groups.map(([title, counters], index) => {
      const list = slots.counters.children[index] ?? element("dl");
      const cells = [element("dt", title, { class: "title" })];
      for (const [name, many] of Object.entries(counters)) cells.push(element("dt", name), element("dd", exact(many)));
      if (index === 0) cells.push(element("dt", t("skew")), element("dd", exact(release.skew)));
      // Rebuilt only when something has moved.
      if (list.textContent !== cells.map((cell) => cell.textContent).join("")) list.replaceChildren(...cells);
      return list;
    });
    arrange(slots.counters, lists);
  }
}

function rampWords(ramp) {
  const step = t("Step {n} of {all}", { n: ramp.step + 1, all: ramp.steps.length });
  if (ramp.state === "done") return t("The last step stays.");
  if (ramp.state === "ended") return t("The ramp has ended.");
  if (ramp.state === "paused") return t("{step}, paused.", { step });
  const waits = [];
  if (ramp.remaining_seconds) waits.push(t("{time} left", { time: duration(ramp.remaining_seconds) }));
  if (ramp.waits_for) waits.push(t("waits for {what}", { what: ramp.waits_for }));
  return [step, ...waits].join(" · ");
}
