// What happened to one policy lately: differences between counters, over at most the last minute.

const WINDOW = 60_000;
// A timer is never quite on time.
const SLACK = 1_500;

/** Outcomes of attempts that are failures of the release. Aborted and stale ones are nobody's. */
export const FAILURES = ["status", "connect", "timeout", "reset", "cut", "no_live"];

export class Rates {
  #samples = [];

  /** Takes what the API has just said; `time` in milliseconds. */
  add(time, releases) {
    const counts = new Map(releases.map((r) => [r.generation, { requests: r.requests, attempts: r.attempts }]));
    // Counters that shrink or begin anew have no difference to those before.
    this.#samples = this.#samples.filter((old) => time - old.time <= WINDOW + SLACK && continues(old.counts, counts));
    this.#samples.push({ time, counts });
  }

  /** Over how many seconds `of` counts; 0 while there is one sample only. */
  get seconds() {
    return (this.#samples.at(-1).time - this.#samples[0].time) / 1000;
  }

  /** Of one generation: its split requests, their share of all of the policy (null without any), attempts, failures by outcome. */
  of(generation) {
    const [first, last] = [this.#samples[0].counts, this.#samples.at(-1).counts];
    const splits = (g) => last.get(g).requests.split - first.get(g).requests.split;
    const all = [...last.keys()].reduce((sum, g) => sum + splits(g), 0);
    const attempts = (outcome) => (last.get(generation).attempts[outcome] ?? 0) - (first.get(generation).attempts[outcome] ?? 0);
    const failures = FAILURES.map((outcome) => [outcome, attempts(outcome)]).filter(([, count]) => count > 0);
    const failed = failures.reduce((sum, [, count]) => sum + count, 0);
    const judged = attempts("ok") + failed;
    return {
      split: splits(generation),
      share: all > 0 ? splits(generation) / all : null,
      judged,
      failed,
      failures,
      errors: judged > 0 ? failed / judged : null,
    };
  }
}

function continues(before, after) {
  if (before.size !== after.size) return false;
  return [...after].every(([generation, now]) => {
    const then = before.get(generation);
    return then && grows(then.requests, now.requests) && grows(then.attempts, now.attempts);
  });
}

const grows = (then, now) => Object.entries(now).every(([key, count]) => count >= (then[key] ?? 0));
