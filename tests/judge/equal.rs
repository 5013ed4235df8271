//! Two releases that fail alike: whatever the rate, the traffic and what happens to both.

use crate::report::Runs;
use crate::rollout::Rollout;
use crate::traffic::{Crowd, Traffic, USUAL};
use crate::{HOUR, MINUTE};

const ALPHA: f64 = 0.001;

#[test]
fn independent_failures() {
    for p in [0.001, 0.01, 0.05] {
        let rollout = Rollout { fails: Box::new(move |_, _, _| p), ..Default::default() };
        Runs::of(&format!("equal: independent, w 10 %, p {} %", p * 100.0), 10_000, &rollout)
            .assert_keeps(ALPHA);
    }
}

#[test]
fn a_shared_outage() {
    let fails = |now, _, _| if now % (10 * MINUTE) < 30 { 1.0 } else { 0.01 };
    let rollout = Rollout { fails: Box::new(fails), ..Default::default() };
    Runs::of("equal: 30 s of 100 % each 10 min", 10_000, &rollout).assert_keeps(ALPHA);
    // One that is half an outage tells the judge something each second.
    let fails = |now, _, _| if now % (10 * MINUTE) < 30 { 0.5 } else { 0.01 };
    let rollout = Rollout { fails: Box::new(fails), ..Default::default() };
    Runs::of("equal: 30 s of 50 % each 10 min", 3_000, &rollout).assert_keeps(ALPHA);
}

#[test]
fn a_ramp_while_the_rate_drifts() {
    let part = |now: u32| f64::from(now / MINUTE) / f64::from(HOUR / MINUTE);
    let rollout = Rollout {
        weight: Box::new(move |now| 0.01 + 0.49 * part(now)),
        fails: Box::new(move |now, _, _| 0.005 + 0.025 * part(now)),
        ..Default::default()
    };
    Runs::of("equal: 1 to 50 % in 60 steps, p 0.5 to 3 %", 10_000, &rollout).assert_keeps(ALPHA);
}

#[test]
fn three_loads() {
    for (rate, runs) in [(2.0, 10_000), (20.0, 2_000), (200.0, 500)] {
        let traffic = Traffic { rate, users: (5.0 * rate) as usize, ..USUAL };
        let rollout = Rollout { traffic, ..Default::default() };
        Runs::of(&format!("equal: {rate} requests/s"), runs, &rollout).assert_keeps(ALPHA);
    }
}

#[test]
fn three_users_on_the_canary() {
    for (name, special, runs) in [("", 0.0, 10_000), (", 5 % of users fail 60 %", 0.05, 3_000)] {
        let traffic = Traffic { users: 30, crowd: Crowd::Even(30), special, ..USUAL };
        let fails = |_, _, kind| [0.01, 0.6][kind];
        let rollout = Rollout { traffic, fails: Box::new(fails), ..Default::default() };
        Runs::of(&format!("equal: 3 users on the canary{name}"), runs, &rollout).assert_keeps(ALPHA);
    }
}
