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
mod tests {
    use super::*;
    use crate::config::Place;
    use crate::config::testing::TestEnvironment;
    use crate::judge::Evidence;
    use crate::policy::PolicyBuilder;
    use crate::zone::start::Started;
    use crate::zone::testing::Memory;

    fn policy(lines: &str) -> Policy {
        let mut builder = PolicyBuilder::new(b"chat", Place::default()).unwrap();
        let releases =
            "release stable a version=1.0.0\nrelease canary b version=1.1.0 weight=50%\nuser cookie:uid\n";
        for line in (releases.to_owned() + lines).lines() {
            let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            builder.directive(&words, &Place::default(), &mut TestEnvironment).unwrap();
        }
        builder.finish(&mut TestEnvironment).unwrap()
    }

    /// A policy in a zone, and a clock.
    struct Trial<'z> {
        policy: Policy,
        started: Started<'z>,
        court: Court,
        now: Seconds,
    }

    impl<'z> Trial<'z> {
        fn new(memory: &'z Memory, lines: &str) -> Trial<'z> {
            let policy = policy(lines);
            memory.zone().begin_cycle();
            let started = memory.zone().start(&policy, None, 1000).unwrap();
            Trial { policy, started, court: Court::default(), now: 1000 }
        }

        /// One second: these buckets meet each release, so many of them a failure, after so many milliseconds.
        fn second(&mut self, users: u16, failed: [u16; 2], milliseconds: [u64; 2]) -> Vec<Sentence> {
            self.now += 1;
            for (line, slot) in self.started.generations.iter().enumerate() {
                let slow = self.started.policy.slow_above(line == 0);
                for user in 0..users {
                    let bucket = (self.now as u16 * 37 + user) % 5000 + if line == 0 { 5000 } else { 0 };
                    let is_slow = slow.map(|above| above > 0 && milliseconds[line] >= above);
                    slot.shards[0].count_ttfb(milliseconds[line]);
                    slot.judged(bucket, user < failed[line], is_slow);
                    slot.note_connected(self.now, true);
                }
            }
            self.sit()
        }

        fn sit(&mut self) -> Vec<Sentence> {
            let generations = self.started.generations.clone();
            let bench = Bench { policy: self.started.policy, generations };
            let rollback = self.policy.rollback.clone().unwrap();
            let control = &self.started.reloaded.control;
            self.court.sit(&self.policy, &rollback, control, &bench, self.now)
        }

        /// The seconds to the first verdict.
        fn until_verdict(
            &mut self,
            limit: u64,
            failed: [u16; 2],
            milliseconds: [u64; 2],
        ) -> Option<(u64, Sentence)> {
            (1..=limit).find_map(|second| Some((second, self.second(20, failed, milliseconds).pop()?)))
        }
    }

    #[test]
    fn a_release_that_fails_falls_within_seconds() {
        let memory = Memory::new(1, 2);
        let mut trial = Trial::new(&memory, "rollback on");
        assert!(trial.until_verdict(30, [0, 0], [30, 30]).is_none());
        let (seconds, sentence) = trial.until_verdict(10, [0, 20], [30, 30]).unwrap();
        assert!(
            seconds <= 3 && sentence.action.is_ok() && sentence.release == 1,
            "{seconds} s: {sentence:?}"
        );
        assert!(sentence.verdict.reason.contains("fails more often") && sentence.verdict.by == "judge");
        assert!(sentence.numbers["evidence"].as_f64().unwrap() >= 1000.0);
    }

    #[test]
    fn a_release_that_is_slow_falls_a_healthy_or_equally_sick_one_does_not() {
        let memory = Memory::new(1, 2);
        let mut trial = Trial::new(&memory, "rollback on");
        assert!(trial.until_verdict(60, [0, 0], [30, 55]).is_none(), "less than twice as slow");
        assert!(trial.until_verdict(60, [10, 10], [30, 30]).is_none(), "an outage of both");
        let (_, sentence) = trial.until_verdict(30, [0, 0], [30, 400]).unwrap();
        assert!(sentence.verdict.reason.contains("is slower"), "{}", sentence.verdict.reason);
    }

    #[test]
    fn nobody_is_taken_down_without_an_heir_or_leave() {
        let memory = Memory::new(1, 2);
        let mut trial = Trial::new(&memory, "rollback on action=report");
        let (_, sentence) = trial.until_verdict(10, [0, 20], [30, 30]).unwrap();
        assert_eq!(sentence.action, Err("action=report"));
        assert!(trial.until_verdict(100, [0, 20], [30, 30]).is_none(), "said once an hour");

        let memory = Memory::new(1, 2);
        let mut trial = Trial::new(&memory, "rollback on");
        trial.second(20, [0, 0], [30, 30]);
        trial.now += 61;
        let [_, canary] = trial.started.generations[..] else { panic!() };
        (0..9).for_each(|_| canary.note_connect_failed(trial.now));
        assert!(trial.sit().is_empty(), "stable has not connected either");
    }

    #[test]
    fn a_burst_needs_a_stable_release_that_connects() {
        let memory = Memory::new(1, 2);
        let mut trial = Trial::new(&memory, "rollback on burst=5");
        let [stable, canary] = trial.started.generations[..] else { panic!() };
        trial.now += 1;
        (0..4).for_each(|_| canary.note_connect_failed(trial.now));
        stable.note_connected(trial.now, true);
        assert!(trial.sit().is_empty(), "four are not five");
        canary.note_connect_failed(trial.now);
        let sentence = trial.sit().pop().unwrap();
        assert_eq!((sentence.verdict.by.as_str(), sentence.action), ("burst", Ok(())));
        canary.note_connected(trial.now, true);
        assert!(trial.sit().is_empty(), "a connection that stands ends the run");
    }

    #[test]
    fn an_adjourned_court_has_forgotten_who_came_before() {
        let memory = Memory::new(1, 2);
        let mut trial = Trial::new(&memory, "rollback on");
        let [stable, canary] = trial.started.generations[..] else { panic!() };
        let mut come = |slot: &GenerationSlot, adjourned: bool| {
            trial.now += 1;
            adjourned.then(|| trial.court.adjourn());
            slot.judged(7, false, [false; 2]);
            trial.sit();
            Evidence::from_words(&canary.evidence.load()).unwrap().blocks
        };
        assert_eq!((come(canary, false), come(stable, true), come(canary, false)), (0, 0, 1));
    }
}
