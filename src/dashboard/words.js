// The page's own words, in English and Chinese, and how it spells numbers and times. What the API says stays as it is.

import { ZH } from "./zh.js";

const chinese = /^zh\b/i.test(navigator.language);
const LANGUAGE = chinese ? navigator.language : "en";

/** The text in the reader's language, with `{name}` filled in. */
export function t(text, values = {}) {
  const pattern = (chinese && ZH[text]) || text;
  return pattern.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** Translates what the page's HTML holds. */
export function translate(root) {
  for (const element of root.querySelectorAll("[data-t]")) element.textContent = t(element.textContent);
  for (const template of root.querySelectorAll("template")) translate(template.content);
}

export const language = chinese ? "zh-CN" : "en";

const number = (options) => new Intl.NumberFormat(LANGUAGE, options);
const whole = number({ maximumFractionDigits: 0 });
const short = number({ maximumSignificantDigits: 3 });
const compact = number({ notation: "compact", maximumSignificantDigits: 3 });
const clock = new Intl.DateTimeFormat(LANGUAGE, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const dayAndClock = new Intl.DateTimeFormat(LANGUAGE, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

export const count = (n) => (n < 100_000 ? whole.format(n) : compact.format(n));
export const exact = (n) => whole.format(n);
/** A figure of the judge: three digits, as large as it may be. */
export const figure = (n) => (n < 100_000 ? short.format(n) : n.toExponential(1));
export const unknown = "–";

/** A share from 0 to 1. */
export function share(part) {
  if (part === null) return unknown;
  const percent = part * 100;
  const digits = percent === 0 || percent >= 10 ? 1 : percent >= 1 ? 2 : 3;
  return `${number({ maximumFractionDigits: digits }).format(percent)}%`;
}

/** A percentage as the API spells it: `10%`. */
export const points = (text) => Number.parseFloat(text);

/** A duration in seconds, as measured. */
export function latency(seconds) {
  if (seconds === null || seconds === undefined) return unknown;
  return seconds < 0.9995 ? `${short.format(seconds * 1000)}\u00a0ms` : `${short.format(seconds)}\u00a0s`;
}

/** A duration in whole seconds, as configured: `1 h 30 min`. */
export function duration(seconds) {
  const parts = [[86_400, t("d")], [3600, t("h")], [60, t("min")], [1, t("s")]];
  const words = [];
  for (const [size, unit] of parts) {
    const many = Math.floor(seconds / size);
    seconds -= many * size;
    if (many > 0) words.push(`${many}\u00a0${unit}`);
  }
  return words.slice(0, 2).join(" ") || `0 ${t("s")}`;
}

/** A moment: the time of day, with the date unless it is today. */
export function moment(rfc3339) {
  const at = new Date(rfc3339);
  return (at.toDateString() === new Date().toDateString() ? clock : dayAndClock).format(at);
}

export const timeOfDay = (at) => clock.format(at);
