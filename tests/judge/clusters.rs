//! A few broken users who fail again and again, on whichever side they are.

use crate::report::Runs;
use crate::rollout::Rollout;
use crate::tally::{SHIPPED, Unit};
use crate::traffic::{Crowd, Traffic, USUAL};
use crate::{HOUR, MINUTE};

const ALPHA: f64 = 0.001;

/// A share of the users fails so often; the others 0.1 %.
fn broken(users: f64, fail: f64, weight: f64) -> Rollout {
    Rollout {
        traffic: Traffic { special: users, ..USUAL },
        weight: Box::new(move |_| weight),
        fails: Box::new(move |_, _, kind| [0.001, fail][kind]),
        ..Default::default()
    }
}

#[test]
fn a_few_broken_users() {
    for users in [0.001, 0.003, 0.01] {
        for fail in [0.6, 0.98] {
            for weight in [0.1, 0.01] {
                let [users_percent, percent, w] = [users, fail, weight].map(|share| share * 100.0);
                let name = format!("clusters: {users_percent} % of users fail {percent} %, w {w} %");
                Runs::of(&name, 2_000, &broken(users, fail, weight)).assert_keeps(ALPHA);
            }
        }
    }
}

/// What the unit does. The first line is the mutation check: with requests as units the promise does not hold.
#[test]
fn units() {
    let row = |name: &str, runs, unit| {
        let name = format!("clusters: 1 % of users fail 60 %, {name}");
        Runs::of(&name, runs, &Rollout { unit, ..broken(0.01, 0.6, 0.1) })
    };
    let requests = row("request", 2_000, Unit::Request);
    assert!(!requests.keeps(ALPHA));
    requests.assert_share(25.0, 45.0);
    row("bucket once a minute", 2_000, Unit::Bucket { recount: MINUTE, strata: false })
        .assert_share(4.0, 20.0);
    row("bucket once an hour", 3_000, Unit::Bucket { recount: HOUR, strata: false }).assert_keeps(ALPHA);
    row("bucket once an hour, known ones apart", 10_000, SHIPPED).assert_keeps(ALPHA);
}

#[test]
fn a_day() {
    let day = |crowd, weight, unit| Rollout {
        traffic: Traffic { special: 0.003, crowd, ..USUAL },
        seconds: 24 * HOUR,
        fails: Box::new(move |_, _, kind| [0.0, 0.98][kind]),
        unit,
        ..broken(0.003, 0.98, weight)
    };
    let name = "clusters: 0.3 % of users fail 98 %, 24 h";
    Runs::of(&format!("{name}, w 1 %"), 150, &day(Crowd::Strangers, 0.01, SHIPPED)).assert_share(0.0, 0.0);
    // The same people come back, and some of them fail every hour.
    let crowd = Crowd::Regulars(500);
    let apart = Runs::of(&format!("{name}, the same 500 users, w 10 %"), 300, &day(crowd, 0.1, SHIPPED));
    apart.assert_keeps(ALPHA);
    let unit = Unit::Bucket { recount: HOUR, strata: false };
    let together = Runs::of(&format!("{name}, the same, known ones not apart"), 150, &day(crowd, 0.1, unit));
    assert!(!together.keeps(ALPHA));
}
