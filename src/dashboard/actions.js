// What an operator can do to a release: the weight form, the buttons, and the dialog that asks before anything drastic.

import { Problem, call, policyPath, releasePath } from "./api.js";
import { announce, byId, put, putOrHide, show } from "./page.js";
import { t } from "./words.js";

// Each asks first. The texts say what will happen to whom.
const QUESTIONS = {
  rollback: { title: "Roll back {release} {version}?", ok: "Roll back", danger: true, text: "Its weight becomes 0% and its state down, in every worker at once. Open pages leave it, but for their assets. It stays down until it is reset." },
  promote: { title: "Promote {release} {version}?", ok: "Promote", text: "Its build becomes the stable one, and the stable build of now takes this name and drains. Nobody's open page moves. The judge and the ramp end. Then two lines are to be committed." },
  reset: { title: "Reset {release} {version}?", ok: "Reset", text: "It is up again at 0%, with no evidence against it, and its ramp stands paused at its start. Only opt-in and role routes reach it until it gets a weight." },
  drain: { title: "Drain {release} {version}?", ok: "Drain", text: "It gets no new pages. Open pages go on." },
  down: { title: "Take {release} {version} down?", ok: "Take it down", danger: true, text: "Everybody leaves it, open pages too, but for their assets." },
  up: { title: "Open {release} {version}?", ok: "Open it", text: "Its state becomes up: opt-in and role routes reach it again." },
};

/** Which buttons a release has. */
function offered(release) {
  const held = release.held_by_file;
  const { state, ramp } = release;
  return {
    weight: state === "up",
    rollback: state !== "down",
    "ramp/start": state === "up" && ramp?.state === "paused",
    "ramp/pause": ramp?.state === "running",
    up: state === "drain" && !held,
    reset: !held,
    promote: state !== "down",
    drain: state !== "drain" && !held,
    down: state !== "down" && !held,
  };
}

/** Connects the controls of a release. `context` holds the newest policy, and `refresh` for what a change answers. */
export function bind(view, name, context) {
  const { slots, root } = view;
  const current = () => context.policy.releases.find((release) => release.name === name);
  let edited = null; // the epoch that somebody saw who began to type a weight
  const ids = { error: `error-${context.policy.name}-${name}`, held: `held-${context.policy.name}-${name}` };
  slots.error.id = ids.error;
  slots.held.id = ids.held;
  slots.weight.setAttribute("aria-describedby", ids.error);
  slots.actions.setAttribute("aria-label", t("Change {release}", { release: name }));
  const buttons = [...root.querySelectorAll("[data-do]")];
  for (const button of buttons) button.setAttribute("aria-label", `${button.textContent} ${name}`.trim());

  const fail = (text) => putOrHide(slots.error, text);
  const clear = () => {
    fail("");
    slots.weight.removeAttribute("aria-invalid");
  };

  slots.weight.addEventListener("input", () => (edited ??= context.policy.epoch));
  slots.weightForm.addEventListener("submit", async (event) => {
    event.preventDefault();
    clear();
    const weight = readWeight(slots.weight.value);
    if (weight.error) {
      slots.weight.setAttribute("aria-invalid", "true");
      slots.weight.focus();
      return fail(weight.error);
    }
    const epoch = edited ?? context.policy.epoch;
    try {
      const policy = await call("PATCH", policyPath(context.policy.name), { weights: { [name]: weight.text }, if_epoch: epoch });
      edited = null;
      await context.refresh(policy);
      announce(t("{release} is at {weight}", { release: name, weight: weight.text }));
    } catch (problem) {
      // Also when it was refused, somebody may have changed something: show what is now.
      await context.refresh();
      const moved = problem instanceof Problem && problem.status === 409 && context.policy.epoch !== epoch;
      if (moved) edited = null;
      slots.weight.setAttribute("aria-invalid", "true");
      fail(moved ? `${t("Somebody else has changed this policy since; you now see it as it is ({release} at {weight}). Set again if you still want to.", { release: name, weight: current().weight })} ${problem.message}` : problem.message);
    }
  });

  for (const button of buttons.filter((b) => b.type === "button")) {
    button.addEventListener("click", async () => {
      clear();
      const action = button.dataset.do;
      const question = QUESTIONS[action];
      const policy = context.policy.name;
      try {
        const done = question ? await ask(question, policy, current(), (reason) => send(action, policy, name, reason)) : await send(action, policy, name);
        if (!done) return;
        edited = null;
        await context.refresh(done);
        // A button that has done its work may be gone.
        if (button.hidden) root.querySelector("h3").focus();
      } catch (problem) {
        fail(problem.message);
        await context.refresh();
      }
    });
  }

  /** Shows what may be done now. */
  view.offer = (release, write) => {
    const can = offered(release);
    show(slots.actions, write && !release.stable);
    for (const button of buttons) show(button, can[button.dataset.do]);
    show(slots.weightForm, can.weight);
    show(slots.first, can.weight || can.rollback);
    const label = release.ramp?.step > 0 || release.ramp?.since ? t("Go on with the ramp") : t("Start the ramp");
    put(slots.rampStart, label);
    slots.rampStart.setAttribute("aria-label", `${label} ${name}`);
    putOrHide(slots.held, release.held_by_file && t("The configuration file holds this state: change it there, then reload nginx."));
    if (edited === null && document.activeElement !== slots.weight) slots.weight.value = release.weight.replace("%", "");
  };
}

function send(action, policy, release, reason) {
  const because = reason ? { reason } : {};
  switch (action) {
    case "ramp/start":
    case "ramp/pause":
      return call("POST", `${policyPath(policy)}/${action}`, { release });
    case "up":
    case "drain":
    case "down":
      return call("PUT", `${releasePath(policy, release)}/state`, { state: action, ...because });
    default:
      return call("POST", `${releasePath(policy, release)}/${action}`, because);
  }
}

/** A number of percent as somebody types it, in the API's spelling. */
function readWeight(typed) {
  const text = typed.trim().replace(/\s*%$/, "").replace(",", ".");
  if (!/^\d+(\.\d+)?$/.test(text)) return { error: t("\"{typed}\" is no percentage: write a number from 0 to 100, such as 10 or 0.5.", { typed }) };
  if (/\.\d\d0*[1-9]/.test(text)) return { error: t("\"{typed}\" is too fine: the smallest step is 0.01.", { typed }) };
  if (Number(text) > 100) return { error: t("\"{typed}\" is too much: write a number from 0 to 100.", { typed }) };
  return { text: `${text}%` };
}

/** Asks in the dialog. Gives what `act` has answered, or nothing when it was cancelled; an error stays in the dialog. */
function ask(question, policy, release, act) {
  const dialog = byId("dialog");
  const [form, ok, cancel, reason, error] = ["form", "ok", "cancel", "reason", "error"].map((part) => byId(`dialog-${part}`));
  const names = { release: release.name, version: release.version ?? "" };
  put(byId("dialog-title"), `${policy}: ${t(question.title, names).replace(/ (?=[?？])/, "")}`);
  put(byId("dialog-text"), t(question.text));
  put(ok, t(question.ok));
  ok.classList.toggle("danger", Boolean(question.danger));
  reason.value = "";
  show(error, false);
  return new Promise((resolve) => {
    let answer = null;
    form.onsubmit = async (event) => {
      event.preventDefault();
      ok.disabled = true;
      show(error, false);
      try {
        answer = await act(reason.value.trim());
        dialog.close();
      } catch (problem) {
        putOrHide(error, problem.message);
      } finally {
        ok.disabled = false;
      }
    };
    cancel.onclick = () => dialog.close();
    dialog.onclose = () => resolve(answer);
    dialog.showModal();
    reason.focus();
  });
}
