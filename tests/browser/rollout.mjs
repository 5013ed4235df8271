// Changes a rollout through the module's API, and reloads nginx. For the scenarios of pages.mjs.

import assert from "node:assert/strict";

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export async function eventually(what, probe, patience = 15_000) {
  const end = Date.now() + patience;
  for (;;) {
    const last = await probe();
    if (last) return last;
    if (Date.now() > end) assert.fail(`waited in vain for ${what}`);
    await pause(50);
  }
}

/** One policy with a stable release and one other. Builds are `a`, stable in the file, and `b`. */
export class Rollout {
  constructor(api, policy, pid) {
    Object.assign(this, { path: `${api}v1/policies/${policy}`, pid });
  }

  async ask(method, path, body) {
    const init = body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } };
    const response = await fetch(this.path + path, { method, ...init });
    assert.ok(response.ok, `${method} ${this.path}${path}: ${response.status} ${response.ok ? "" : await response.clone().text()}`);
    return response.json();
  }

  async releases() {
    const { releases } = await this.ask("GET", "");
    return { stable: releases.find((release) => release.stable), canary: releases.find((release) => !release.stable) };
  }

  async canary() {
    return `/releases/${encodeURIComponent((await this.releases()).canary.name)}`;
  }

  /** What part of the users build `b` gets, in percent. */
  async weight(percent) {
    const { canary } = await this.releases();
    await this.ask("PATCH", "", { weights: { [canary.name]: `${percent}%` } });
  }

  rollback = async () => this.ask("POST", `${await this.canary()}/rollback`);
  state = async (state) => this.ask("PUT", `${await this.canary()}/state`, { state });
  reset = async () => this.ask("POST", `${await this.canary()}/reset`);
  promote = async () => this.ask("POST", `${await this.canary()}/promote`);

  /** As the file has it: build `a` stable, `b` up at 0 %. */
  async restart() {
    this.first ??= (await this.releases()).stable.version;
    await this.reset();
    if ((await this.releases()).stable.version === this.first) return;
    await this.promote();
    await this.reset();
  }

  /** New workers; those that still serve somebody stay until that ends. */
  reload() {
    assert.ok(this.pid, "this scenario needs --nginx-pid");
    process.kill(this.pid, "SIGHUP");
  }
}
