//! What happens to the rollout and must not matter: reloads, restarts, promotions, and weights that go up and down while
//! requests are under way.

use crate::court::{Court, End};
use crate::report::Runs;
use crate::rollout::{Rollout, total};
use crate::traffic::lognormal;
use crate::{HOUR, MINUTE};

const ALPHA: f64 = 0.001;

/// A reload every ten minutes: another worker drives. Every hour a restart, after which nobody knows who has failed.
fn reload(now: u32, court: &mut Court) {
    match now {
        0 => {}
        _ if now.is_multiple_of(HOUR) => court.restart(now),
        _ if now.is_multiple_of(10 * MINUTE) => court.adjourn(now),
        _ => {}
    }
}

fn promote(now: u32, court: &mut Court) {
    if now == HOUR / 2 {
        court.replace(now);
    }
}

#[test]
fn reloads_and_restarts() {
    let rollout = Rollout { interlude: Some(reload), seconds: 3 * HOUR, ..Default::default() };
    Runs::of("equal: reloads and restarts, 3 h", 3_000, &rollout).assert_keeps(ALPHA);
}

/// The promise is to each build.
#[test]
fn a_promotion() {
    let rollout = Rollout { interlude: Some(promote), ..Default::default() };
    Runs::of("equal: two builds, one after the other", 10_000, &rollout).assert_keeps(2.0 * ALPHA);
}

#[test]
fn weights_up_and_down() {
    let weights = [0.5, 0.01, 0.25, 0.02, 0.9, 0.05];
    let rollout = Rollout {
        weight: Box::new(move |now| weights[(now / (5 * MINUTE)) as usize % weights.len()]),
        fails: Box::new(|now, _, _| if now % (7 * MINUTE) < MINUTE { 0.1 } else { 0.01 }),
        ..Default::default()
    };
    Runs::of("equal: weights up and down", 5_000, &rollout).assert_keeps(ALPHA);
}

/// Of what was under way as the weight went down, the last to end are time-outs and slow answers.
#[test]
fn a_weight_that_falls_while_requests_are_under_way() {
    for (timeouts, llm) in [(0.05, 0.0), (0.01, 0.0), (0.0, 0.2)] {
        let ends = move |rng: &mut fastrand::Rng| {
            let dice = rng.f64();
            let median = if dice < timeouts + llm { 15_000.0 } else { 200.0 };
            if dice < timeouts { End::Failed(60_000) } else { End::Answered(lognormal(rng, median)) }
        };
        let rollout = Rollout {
            seconds: 10 * MINUTE,
            weight: Box::new(|now| if now < 100 { 0.5 } else { 0.01 }),
            fails: Box::new(|_, _, _| 0.0),
            ends: Some(Box::new(move |rng, _, _| ends(rng))),
            enough: total,
            ..Default::default()
        };
        let name = format!("equal: 50 to 1 %, {timeouts} time out, {llm} LLM");
        Runs::of(&name, 3_000, &rollout).assert_keeps(ALPHA);
    }
}
