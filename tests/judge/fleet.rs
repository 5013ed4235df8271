//! Two nginx with half of the users each, and a judge each.

use crate::HOUR;
use crate::report::{Runs, assert_near};
use crate::rollout::{Rollback, Rollout};
use crate::traffic::{Traffic, USUAL};

fn half(canary: f64) -> Rollout {
    Rollout {
        traffic: Traffic { users: 50, rate: 10.0, ..USUAL },
        seconds: HOUR,
        fails: Box::new(move |_, side, _| [canary, 0.01][side]),
        ..Default::default()
    }
}

/// The first verdict and the second, if both come.
fn both(rollout: &Rollout, seed: u64) -> [Option<Rollback>; 2] {
    let mut verdicts = [2 * seed, 2 * seed + 1].map(|seed| rollout.run(seed));
    verdicts.sort_by_key(|verdict| verdict.map_or(u32::MAX, |rollback| rollback.seconds));
    verdicts
}

#[test]
fn two_nginx() {
    let equal = half(0.01);
    let either = Runs::by("two nginx: equal, either", 5_000, &|seed| both(&equal, seed)[0]);
    either.assert_keeps(2.0 * 0.001);
    let crash = half(1.0);
    for (index, name, expected) in
        [(0, "two nginx: 100 %, the first", 7), (1, "two nginx: 100 %, the second", 33)]
    {
        let row = Runs::by(name, 1_000, &|seed| both(&crash, seed)[index]);
        assert_near(name, row.seconds()[0], expected, 0.25);
    }
}
