// The audit at the foot of the page: the newest events first.

import { announce, byId, put, putOrHide, show, stamp } from "./page.js";
import { figure, moment, t } from "./words.js";

const KEPT = 100;

export class Events {
  /** The number of the last one that is shown. */
  last = 0;
  #list = byId("events");

  add({ events, last }) {
    if (last < this.last) this.#list.replaceChildren(); // nginx has begun to count anew
    const first = this.last === 0;
    this.last = last;
    for (const event of events) this.#list.prepend(row(event));
    while (this.#list.children.length > KEPT) this.#list.lastElementChild.remove();
    const verdict = events.findLast((event) => event.kind === "verdict");
    if (verdict && !first) announce(`${verdict.policy}: ${verdict.text}`);
    show(byId("events-section"), true);
    show(byId("no-events"), this.#list.children.length === 0);
  }
}

function row(event) {
  const { root, slots } = stamp("event-template");
  root.dataset.kind = event.kind;
  put(slots.at, moment(event.at));
  slots.at.dateTime = event.at;
  put(slots.kind, t(`event ${event.kind}`).replace(/^event /, ""));
  put(slots.text, `${event.policy}: ${event.text}`);
  put(slots.by, t("by {by}", { by: event.by }));
  const numbers = Object.entries(event.numbers ?? {}).map(([name, n]) => `${name} ${typeof n === "number" ? figure(n) : n}`);
  putOrHide(slots.reason, [event.reason && `“${event.reason}”`, ...numbers].filter(Boolean).join(" · "));
  return root;
}
