//! Holds court over the releases of a policy: gathers what users met on each, compares it with stable, and says who is to be
//! taken down. Called once a second by the driver; what it forgets when its worker dies is the block that is open.

use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;

use crate::control::{Control, State, Verdict};
use crate::counts::BINS;
use crate::decision::STABLE;
use crate::duration::Seconds;
use crate::generation::Generation;
use crate::judge::burst::is_tripped;
use crate::judge::{
    BlockEnd, Evidence, HOUR, Side, SlowThresholds, block_is_complete, count_block, count_units,
    may_take_down, threshold, turn_hour,
};
use crate::policy::Policy;
use crate::rollback::{Action, Rollback};
use crate::zone::bits::{WORDS, Words};
use crate::zone::{GenerationSlot, PolicySlot};

/// The open blocks of one policy.
#[derive(Debug, Default)]
pub struct Court {
    blocks: HashMap<Generation, Block>,
    /// Verdicts that were only reported, and when.
    reported: HashMap<Generation, Seconds>,
    /// Stable's answers at the beginning of this hour and of the last one.
    bases: Vec<(Seconds, Generation, [u64; BINS])>,
}

/// What has come to a release, and to stable beside it, since the block began.
#[derive(Debug)]
struct Block {
    began: Seconds,
    canary: Tally,
    stable: Tally,
}

/// Buckets that were active, that failed, and that met slow answers.
#[derive(Clone, Debug)]
struct Tally {
    active: Words,
    failed: Words,
    slow: [Words; 2],
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
        let tallies: Vec<Tally> = bench.generations.iter().map(|slot| Tally::take(slot)).collect();
        let stable_line = control.line_of(STABLE);
        let (Some(stable), Some(stable_slot)) =
            (tallies.get(stable_line), bench.generations.get(stable_line))
        else {
            return Vec::new();
        };
        self.look_for_slow(rollback, control, bench, stable_slot, now);
        let names: Vec<usize> = (1..policy.releases.len()).collect();
        let mut sentences = Vec::new();
        for name in names.iter().copied() {
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
                Some(evidence) if evidence.total() >= threshold(rollback.alpha, names.len()) => {
                    Some(by_evidence(&evidence, threshold(rollback.alpha, names.len()), slot, stable_slot))
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
        let bins = stable.counts().ttfb.bins;
        let bins: [u64; BINS] = std::array::from_fn(|index| bins.get(index).copied().unwrap_or_default());
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

impl Tally {
    fn take(slot: &GenerationSlot) -> Tally {
        // A request marks its bucket as active first: what has failed since was active, too.
        let failed = slot.failed.take();
        Tally { active: slot.active.take(), failed, slow: [slot.slow[0].take(), slot.slow[1].take()] }
    }

    fn none() -> Tally {
        Tally { active: [0; WORDS], failed: [0; WORDS], slow: [[0; WORDS]; 2] }
    }

    /// Of a bucket's requests in a block, the first says whether the release was slow.
    fn add(&mut self, later: &Tally) {
        for index in 0..WORDS {
            let first = later.active[index] & !self.active[index];
            for (slow, later) in self.slow.iter_mut().zip(&later.slow) {
                slow[index] |= later[index] & first;
            }
            self.active[index] |= later.active[index] | later.failed[index];
            self.failed[index] |= later.failed[index];
        }
    }
}

impl Block {
    fn new(now: Seconds) -> Block {
        Block { began: now.saturating_sub(1), canary: Tally::none(), stable: Tally::none() }
    }

    fn add(&mut self, canary: &Tally, stable: &Tally) {
        self.canary.add(canary);
        self.stable.add(stable);
    }

    /// If the block is over, counts it: what speaks against the release then.
    fn close(&mut self, slot: &GenerationSlot, now: Seconds) -> Option<Evidence> {
        let mut evidence = Evidence::from_words(&slot.evidence.load()).unwrap_or_default();
        if evidence.begin_hour(now) {
            for (this_hour, earlier) in slot.this_hour.iter().zip(&slot.earlier) {
                let (mut hour, mut before) = (this_hour.load(), earlier.load());
                turn_hour(&mut hour, &mut before);
                this_hour.store(&hour);
                earlier.store(&before);
            }
            slot.evidence.store(&evidence.to_words());
        }
        let units = count_units(&self.canary.active);
        let seconds = now.saturating_sub(self.began);
        match block_is_complete(seconds, count_units(&self.stable.active), units) {
            BlockEnd::Wait => return None,
            BlockEnd::Drop => {}
            BlockEnd::Close => {
                let strata = |index: usize, canary: &Words, stable: &Words| {
                    let mut this_hour = slot.this_hour[index].load();
                    let canary = Side { active: &self.canary.active, failed: canary };
                    let stable = Side { active: &self.stable.active, failed: stable };
                    let strata = count_block(canary, stable, &mut this_hour, &slot.earlier[index].load());
                    slot.this_hour[index].store(&this_hour);
                    strata
                };
                let fail = strata(0, &self.canary.failed, &self.stable.failed);
                let medians = strata(1, &self.canary.slow[0], &self.stable.slow[0]);
                let ninetieths = strata(2, &self.canary.slow[1], &self.stable.slow[1]);
                evidence.block(&fail, &medians, &ninetieths);
                slot.evidence.store(&evidence.to_words());
                slot.judged.fetch_add(units.into(), Relaxed);
            }
        }
        *self = Block { began: now, ..Block::new(now) };
        Some(evidence)
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

type Found = (Verdict, serde_json::Map<String, serde_json::Value>);

fn by_evidence(evidence: &Evidence, needed: f64, slot: &GenerationSlot, stable: &GenerationSlot) -> Found {
    let total = evidence.total();
    let parts = [
        (evidence.fail.e() / 2.0, "fails more often"),
        (evidence.p50.e() / 4.0, "is slower"),
        (evidence.p90.e() / 4.0, "is slower"),
    ];
    let most = parts.iter().fold(parts[0], |most, part| if part.0 > most.0 { *part } else { most });
    let reason =
        format!("{} than stable at the same time: evidence {total:.0}, {needed:.0} is enough", most.1);
    let mut numbers = serde_json::Map::new();
    for (name, value) in [
        ("evidence", total),
        ("threshold", needed),
        ("fail", evidence.fail.e()),
        ("p50", evidence.p50.e()),
        ("p90", evidence.p90.e()),
    ] {
        numbers.insert(name.to_owned(), rounded(value));
    }
    numbers.insert("blocks".to_owned(), evidence.blocks.into());
    for (name, slot) in [("release", slot), ("stable", stable)] {
        let counts = slot.counts();
        let failed: u64 = counts.attempts[1..=6].iter().sum();
        numbers.insert(format!("{name}_attempts"), counts.attempts.iter().sum::<u64>().into());
        numbers.insert(format!("{name}_failed"), failed.into());
    }
    (Verdict { at: 0, by: "judge".to_owned(), reason, evidence: Some(total) }, numbers)
}

fn rounded(value: f64) -> serde_json::Value {
    ((value * 100.0).round() / 100.0).into()
}

fn by_burst(
    rollback: &Rollback,
    slot: &GenerationSlot,
    stable: &GenerationSlot,
    now: Seconds,
) -> Option<Found> {
    let in_a_row = u32::try_from(slot.connect_failures.load(Relaxed)).unwrap_or(u32::MAX);
    let since = slot.connect_failed_since.load(Relaxed);
    let connected = stable.connected.load(Relaxed);
    if !is_tripped(in_a_row, since, rollback.burst, now, (connected > 0).then_some(connected)) {
        return None;
    }
    let reason = format!("{in_a_row} connections in a row failed while those to stable stood");
    let mut numbers = serde_json::Map::new();
    numbers.insert("in_a_row".to_owned(), in_a_row.into());
    numbers.insert("burst".to_owned(), rollback.burst.into());
    Some((Verdict { at: 0, by: "burst".to_owned(), reason, evidence: None }, numbers))
}
