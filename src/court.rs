//! Holds court over the releases of a policy: gathers what users met on each, compares it with stable, and says who is to be
//! taken down. Called once a second by the driver; what it forgets when its worker dies is the block that is open.

mod block;
mod found;

use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;

use self::block::{Block, Tally};
use self::found::{by_burst, by_evidence};
use crate::control::{Control, State, Verdict};
use crate::counts::BINS;
use crate::decision::STABLE;
use crate::duration::Seconds;
use crate::generation::Generation;
use crate::judge::{HOUR, SlowThresholds, may_take_down};
use crate::policy::Policy;
use crate::rollback::{Action, Rollback};
use crate::zone::{GenerationSlot, PolicySlot};

/// The open blocks of one policy.
#[derive(Debug, Default)]
pub struct Court {
    blocks: HashMap<Generation, Block>,
    /// Verdicts that were only reported, and when.
    reported: HashMap<Generation, Seconds>,
    /// Stable's answers at the beginning of this hour and of the last one.
    bases: Vec<(Seconds, Generation, [u64; BINS])>,
    /// Of the weights under which the open blocks began.
    epoch: Option<u64>,
}

/// A verdict.
#[derive(Clone, Debug)]
pub struct Sentence {
    /// The index of the release's name.
    pub release: usize,
    pub verdict: Verdict,
    pub numbers: serde_json::Map<String, serde_json::Value>,
    /// Whether the release is to be taken down, or why it is only reported.
    pub action: Result<(), &'static str>,
}

/// The slots of a policy, in the order of the file's lines.
pub struct Bench<'z> {
    pub policy: &'z PolicySlot,
    pub generations: Vec<&'z GenerationSlot>,
}

impl Court {
    /// Takes what has come since the last call, and judges. `rollback` is the policy's.
    pub fn sit(
        &mut self,
        policy: &Policy,
        rollback: &Rollback,
        control: &Control,
        bench: &Bench<'_>,
        now: Seconds,
    ) -> Vec<Sentence> {
        let mut tallies: Vec<Tally> = bench.generations.iter().map(|slot| Tally::take(slot)).collect();
        if self.epoch.replace(control.epoch).is_some_and(|epoch| epoch != control.epoch) {
            self.adjourn();
            tallies.fill(Tally::none());
        }
        let stable_line = control.line_of(STABLE);
        let (Some(stable), Some(stable_slot)) =
            (tallies.get(stable_line), bench.generations.get(stable_line))
        else {
            return Vec::new();
        };
        self.look_for_slow(rollback, control, bench, stable_slot, now);
        let needed = rollback.evidence_needed(policy.releases.len());
        let mut sentences = Vec::new();
        for name in 1..policy.releases.len() {
            let line = control.line_of(name);
            let (Some(tally), Some(slot), Some(standing)) =
                (tallies.get(line), bench.generations.get(line), control.declared().get(line))
            else {
                continue;
            };
            if standing.state != State::Up {
                self.blocks.remove(&standing.generation);
                continue;
            }
            let block = self.blocks.entry(standing.generation).or_insert_with(|| Block::new(now));
            block.add(tally, stable);
            let found = match block.close(slot, now) {
                Some(evidence) if evidence.total() >= needed => {
                    Some(by_evidence(&evidence, needed, slot, stable_slot))
                }
                _ => by_burst(rollback, slot, stable_slot, now),
            };
            if let Some((verdict, numbers)) = found {
                let sentence = Sentence {
                    release: name,
                    verdict: Verdict { at: now, ..verdict },
                    numbers,
                    action: may_act(rollback, stable_slot, now),
                };
                sentences.extend(self.pronounce(standing.generation, sentence, now));
            }
        }
        sentences
    }

    /// Forgets what is open.
    pub fn adjourn(&mut self) {
        self.blocks.clear();
    }

    /// What is only reported is said once an hour.
    fn pronounce(&mut self, generation: Generation, sentence: Sentence, now: Seconds) -> Option<Sentence> {
        if sentence.action.is_err() {
            let last = self.reported.insert(generation, now);
            if let Some(last) = last.filter(|last| now < last + HOUR) {
                self.reported.insert(generation, last);
                return None;
            }
        }
        Some(sentence)
    }

    /// From stable's answers in this hour and the last one, what is slow from now on.
    fn look_for_slow(
        &mut self,
        rollback: &Rollback,
        control: &Control,
        bench: &Bench<'_>,
        stable: &GenerationSlot,
        now: Seconds,
    ) {
        let bins = stable.ttfb_bins();
        self.bases.retain(|(_, generation, _)| *generation == control.stable);
        if self.bases.last().is_none_or(|(at, ..)| now >= at + HOUR) {
            self.bases.push((now, control.stable, bins));
        }
        if self.bases.len() > 2 {
            self.bases.remove(0);
        }
        let Some((_, _, base)) = self.bases.first() else {
            return;
        };
        let recent = std::array::from_fn(|index| bins[index].saturating_sub(base[index]));
        for (index, quantile) in [0.5, 0.9].into_iter().enumerate() {
            let slow = SlowThresholds::new(&recent, quantile, rollback.ttfb);
            let (own, others) = slow.map_or((0, 0), |slow| (slow.stable_ms, slow.canary_ms));
            bench.policy.slow[0][index].store(own, Relaxed);
            bench.policy.slow[1][index].store(others, Relaxed);
        }
    }
}

fn may_act(rollback: &Rollback, stable: &GenerationSlot, now: Seconds) -> Result<(), &'static str> {
    let answered = stable.answered.load(Relaxed);
    match rollback.action {
        Action::Report => Err("action=report"),
        Action::Down if may_take_down(now, (answered > 0).then_some(answered)) => Ok(()),
        Action::Down => Err("stable, which would take its traffic, has not answered for a minute"),
    }
}

#[cfg(test)]
mod tests;
