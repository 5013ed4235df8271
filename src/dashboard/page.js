// Small things that everything on the page is built with: templates, their slots, and changes that touch only what differs.

import { t } from "./words.js";

export const byId = (id) => document.getElementById(id);

/** A copy of a template: its element, and what is marked `data-f` in it, by name. */
export function stamp(id) {
  const root = byId(id).content.firstElementChild.cloneNode(true);
  const slots = {};
  for (const element of root.querySelectorAll("[data-f]")) slots[element.dataset.f] = element;
  return { root, slots };
}

/** Sets the text where it differs, so that a selection or a screen reader's place survives. `value`: for programs. */
export function put(element, text, value) {
  if (element.textContent !== text) element.textContent = text;
  if (value !== undefined && element.getAttribute("value") !== String(value)) element.setAttribute("value", value);
}

export function show(element, visible) {
  if (element.hidden === visible) element.hidden = !visible;
}

/** Shows a text, or hides the element when there is none. */
export function putOrHide(element, text) {
  put(element, text ?? "");
  show(element, Boolean(text));
}

/** Makes `parent` hold exactly `children`, in this order, moving as little as it can. */
export function arrange(parent, children) {
  children.forEach((child, index) => {
    if (parent.children[index] !== child) parent.insertBefore(child, parent.children[index] ?? null);
  });
  while (parent.children.length > children.length) parent.lastElementChild.remove();
}

export function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

/** Lets a screen reader say it. */
export function announce(text) {
  byId("announce").textContent = text;
}

/** Copies a text, also where the page came over plain HTTP and has no clipboard API. */
export async function copy(text, source) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const range = document.createRange();
    range.selectNodeContents(source);
    const selection = getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
    if (!document.execCommand("copy")) return t("Selected: copy it with your keyboard");
  }
  return t("Copied");
}
