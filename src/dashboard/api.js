// Calls the API beside this page. Paths are relative: nobody knows here below which location the page stands.

import { t } from "./words.js";

const PATIENCE = 10_000;

/** What went wrong, in the API's own words where it has said some. */
export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

export async function call(method, path, body) {
  const options = { method, cache: "no-store", headers: { accept: "application/json" }, signal: AbortSignal.timeout(PATIENCE) };
  if (body !== undefined) {
    options.headers["content-type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let response, text;
  try {
    response = await fetch(`v1/${path}`, options);
    text = await response.text();
  } catch (error) {
    const why = error.name === "TimeoutError" ? t("no answer within {n} s", { n: PATIENCE / 1000 }) : error.message;
    throw new Problem(0, t("nginx cannot be reached: {why}.", { why }));
  }
  const json = parse(text);
  if (!response.ok) {
    const answered = t("nginx answered {status} {title}.", { status: response.status, title: response.statusText });
    throw new Problem(response.status, json?.detail ?? json?.title ?? answered);
  }
  if (json === undefined) {
    throw new Problem(response.status, t("The answer is not from the API. Reload this page: a login may have run out."));
  }
  return json;
}

export const policyPath = (policy) => `policies/${encodeURIComponent(policy)}`;
export const releasePath = (policy, release) => `${policyPath(policy)}/releases/${encodeURIComponent(release)}`;

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
