//! The court in a zone, with a clock.

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
    assert!(seconds <= 3 && sentence.action.is_ok() && sentence.release == 1, "{seconds} s: {sentence:?}");
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

/// A request counts when it has ended: after a weight has gone down, what ends on the canary is what has taken long.
#[test]
fn what_was_met_under_other_weights_is_forgotten() {
    let memory = Memory::new(1, 2);
    let mut trial = Trial::new(&memory, "rollback on");
    let [_, canary] = trial.started.generations[..] else { panic!() };
    let blocks = || Evidence::from_words(&canary.evidence.load()).unwrap().blocks;
    trial.second(20, [0, 0], [30, 30]);
    trial.second(20, [0, 0], [30, 30]);
    let before = blocks();
    canary.judged(7, true, [false; 2]);
    trial.started.reloaded.control.epoch += 1;
    trial.second(20, [0, 20], [30, 30]);
    assert_eq!((before, blocks()), (2, 2));
    trial.second(20, [0, 0], [30, 30]);
    assert_eq!((blocks(), canary.this_hour[0].load().iter().sum::<u64>()), (3, 0));
}

#[test]
fn who_met_a_failure_says_nothing_of_slowness() {
    let memory = Memory::new(1, 2);
    let mut trial = Trial::new(&memory, "rollback on");
    for _ in 0..30 {
        trial.second(20, [0, 0], [30, 30]);
    }
    let [_, canary] = trial.started.generations[..] else { panic!() };
    trial.second(20, [18, 0], [30, 400]);
    // All 20 of the canary are slow; of stable only two have had an answer in time, and none a slow one.
    let evidence = Evidence::from_words(&canary.evidence.load()).unwrap();
    let expected = crate::judge::likelihood_ratio(2.0, 20, 2, 20, 0);
    let first = f64::from_bits(evidence.p50.to_words()[1]);
    assert!((first * 14.0 / expected - 1.0).abs() < 1e-9, "{first} {expected}");
}
