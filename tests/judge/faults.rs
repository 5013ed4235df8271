//! Releases that fail more often: how soon they fall. The figures in the comments are those of the first simulation, by
//! which the test was chosen; it counted a bucket again after ten minutes.

use crate::report::{Runs, assert_near};
use crate::rollout::Rollout;
use crate::tally::Unit;
use crate::traffic::{Traffic, USUAL};
use crate::{HOUR, MINUTE};

const TEN_MINUTES: Unit = Unit::Bucket { recount: 10 * MINUTE, strata: false };

/// From `from` on the canary fails so often, before that and on stable it is 1 %.
fn fault(chance: f64, weight: f64, from: u32) -> Rollout {
    Rollout {
        from,
        seconds: from + 12 * HOUR,
        weight: Box::new(move |_| weight),
        fails: Box::new(move |now, side, _| if side == 0 && now >= from { chance } else { 0.01 }),
        ..Default::default()
    }
}

/// The medians of canary requests and of seconds.
fn assert_medians(name: &str, runs: u64, rollout: &Rollout, expected: [u32; 2]) {
    let row = Runs::of(name, runs, rollout);
    assert_near(name, row.requests()[0], expected[0], 0.2);
    assert_near(name, row.seconds()[0], expected[1], 0.25);
}

#[test]
fn five_percent_at_ten() {
    let by = |unit| Rollout { unit, ..fault(0.05, 0.1, 0) };
    // 270, 2 min.
    assert_medians("5 %, w 10 %, request", 1_000, &by(Unit::Request), [254, 131]);
    // 900, 8 min.
    assert_medians("5 %, w 10 %, bucket, 10 min", 1_000, &by(TEN_MINUTES), [760, 400]);
    assert_medians("5 %, w 10 %", 1_000, &fault(0.05, 0.1, 0), [774, 400]);
}

#[test]
fn five_percent_at_one() {
    let by = |unit| Rollout { unit, ..fault(0.05, 0.01, 0) };
    // 230, 24 min.
    assert_medians("5 %, w 1 %, request", 500, &by(Unit::Request), [219, 21 * MINUTE]);
    // 1910, 2.7 h.
    assert_medians("5 %, w 1 %, bucket, 10 min", 500, &by(TEN_MINUTES), [1_090, 97 * MINUTE]);
    assert_medians("5 %, w 1 %", 500, &fault(0.05, 0.01, 0), [1_950, 3 * HOUR]);
}

/// The judge leaves out the second in which the weight is set. Without it 6, 12 and 44 requests.
#[test]
fn a_crash() {
    for (weight, expected) in [(0.1, [8, 4]), (0.5, [22, 2]), (0.9, [62, 4])] {
        let name = format!("100 %, w {} %", weight * 100.0);
        assert_medians(&name, 2_000, &fault(1.0, weight, 0), expected);
    }
}

#[test]
fn a_crash_at_one_percent() {
    // 165, 20 min; 4, 2 s.
    for (users, rate, expected) in [(100, 20.0, [165, 21 * MINUTE]), (1_000, 200.0, [6, 3])] {
        let rollout = Rollout { traffic: Traffic { users, rate, ..USUAL }, ..fault(1.0, 0.01, 0) };
        assert_medians(&format!("100 %, w 1 %, {users} users"), 1_000, &rollout, expected);
    }
}

/// In the middle of an hour most users have failed once, and do not count until the next.
#[test]
fn late_faults() {
    let (begins, middle) = (3 * HOUR, 3 * HOUR + 32 * MINUTE);
    // 23 min, 42 s.
    assert_medians("5 %, w 10 %, from 3 h", 300, &fault(0.05, 0.1, begins), [2_520, 1_330]);
    assert_medians("5 %, w 10 %, from 3 h 32 min", 300, &fault(0.05, 0.1, middle), [3_460, 1_710]);
    assert_medians("100 %, w 10 %, from 3 h", 500, &fault(1.0, 0.1, begins), [16, 8]);
    assert_medians("100 %, w 10 %, from 3 h 32 min", 500, &fault(1.0, 0.1, middle), [1_070, 567]);
}
