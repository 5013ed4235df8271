// One policy on the page: what it is about, the lines to commit after a promotion, and its releases.

import { bind } from "./actions.js";
import { announce, arrange, copy, put, putOrHide, show, stamp } from "./page.js";
import { Rates } from "./rates.js";
import { ReleaseView, stateWord } from "./release.js";
import { t } from "./words.js";

export class PolicyView {
  #slots;
  #rates = new Rates();
  #releases = new Map();
  #context;
  #said = new Map();

  /** `refresh(policy)` is called with what a change has answered, or without to ask again. */
  constructor(name, refresh) {
    const { root, slots } = stamp("policy-template");
    this.root = root;
    this.#slots = slots;
    this.#context = { policy: { name }, refresh };
    root.dataset.policy = name;
    slots.name.id = `policy-${name}`;
    root.setAttribute("aria-labelledby", slots.name.id);
    slots.copy.addEventListener("click", async () => {
      const said = await copy(slots.lines.textContent, slots.lines);
      put(slots.copy, said);
      announce(said);
      setTimeout(() => put(slots.copy, t("Copy the lines")), 3000);
    });
  }

  update(policy, now) {
    this.#context.policy = policy;
    this.#rates.add(now, policy.releases);
    const slots = this.#slots;
    put(slots.name, policy.name);
    put(slots.epoch, String(policy.epoch), policy.epoch);
    putOrHide(slots.persisted, saved(policy.persisted));
    slots.persisted.dataset.bad = policy.persisted === false;
    put(slots.rollback, rollbackWords(policy.rollback));
    putOrHide(slots.fallback, policy.fallback.length > 0 && t("fallback to {names}", { names: policy.fallback.join(", ") }));
    put(slots.split, t("hash {hash}, salt {salt}", policy));
    show(slots.commit, Boolean(policy.commit));
    put(slots.lines, (policy.commit ?? []).join("\n"));
    arrange(slots.releases, policy.releases.map((release) => this.#view(release).root));
    for (const release of policy.releases) {
      const view = this.#releases.get(release.name);
      view.update(release, policy, this.#rates);
      view.offer(release, policy.write);
      this.#tell(policy, release);
    }
  }

  #view(release) {
    let view = this.#releases.get(release.name);
    if (!view) {
      view = new ReleaseView(release.name);
      bind(view, release.name, this.#context);
      this.#releases.set(release.name, view);
    }
    return view;
  }

  /** Says aloud what somebody who cannot see the page would otherwise miss. */
  #tell(policy, release) {
    const { weight, state } = release;
    const text = t("{policy}, {release}: {weight}, {state}", { policy: policy.name, release: release.name, weight, state: stateWord(state) });
    const before = this.#said.get(release.name);
    this.#said.set(release.name, text);
    if (before !== undefined && before !== text) announce(text);
  }
}

function saved(persisted) {
  if (persisted === null) return t("no state file: a restart forgets");
  return persisted ? t("saved") : t("not saved yet");
}

function rollbackWords(rollback) {
  if (!rollback) return t("rollback off");
  const words = rollback.action === "report" ? t("rollback only reports, at {confidence}", rollback) : t("rollback at {confidence}", rollback);
  return rollback.burst ? `${words}, burst\u00a0${rollback.burst}` : words;
}
