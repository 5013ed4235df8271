//! Clients that leave before the answer begins.

use fastrand::Rng;

use crate::court::End;
use crate::report::{Runs, assert_near};
use crate::rollout::{Rollout, total};
use crate::traffic::lognormal;

const ALPHA: f64 = 0.001;

/// Who waits for `patience` milliseconds on average, for an answer that comes after `answer`.
fn patient(rng: &mut Rng, patience: f64, answer: u64) -> End {
    let leaves = (-patience * (1.0 - rng.f64()).ln()) as u64;
    if answer <= leaves { End::Answered(answer) } else { End::Aborted(leaves) }
}

fn rollout(ends: impl Fn(&mut Rng, usize) -> End + Sync + 'static) -> Rollout {
    Rollout { enough: total, ends: Some(Box::new(move |rng, side, _| ends(rng, side))), ..Default::default() }
}

#[test]
fn aborts_on_both_sides() {
    for (times, patience) in [(1.0, 300.0), (1.0, 3_000.0), (2.0, 1_000.0)] {
        let rollout = rollout(move |rng, side| {
            let answer = lognormal(rng, [200.0 * times, 200.0][side]);
            patient(rng, patience, answer)
        });
        let name = format!("aborts: TTFB x{times}, patience {} s", patience / 1000.0);
        Runs::of(&name, 1_000, &rollout).assert_keeps(ALPHA);
    }
}

#[test]
fn a_canary_that_hangs() {
    let rollout = rollout(|rng, side| match side {
        0 => patient(rng, 10_000.0, 60_000),
        _ => End::Answered(lognormal(rng, 200.0)),
    });
    let name = "aborts: the canary hangs, clients leave after 10 s";
    let runs = Runs::of(name, 1_000, &rollout);
    assert_near(name, runs.seconds()[0], 16, 0.25);
}
