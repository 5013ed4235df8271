use crate::court::End;
use crate::report::Runs;
use crate::rollout::{Rollout, total};
use crate::tally::{SHIPPED, Unit};
use crate::traffic::*;
use fastrand::Rng;

fn ms(x: f64) -> u64 {
    (x as u64).min(60_000)
}

#[test]
fn explore2() {
    let n = 1000;
    for (name, llm_share, median, timeouts) in [
        ("llm", 0.2, 3000.0, 0.0),
        ("timeouts .1", 0.0, 200.0, 0.001),
        ("timeouts 1", 0.0, 200.0, 0.01),
        ("timeouts 5", 0.0, 200.0, 0.05),
        ("slow llm", 0.2, 15000.0, 0.0),
    ] {
        for (at, down) in [(100, 0.5), (100, 0.05), (100, 0.01), (3700, 0.01), (7201, 0.01)] {
            let r = Rollout {
                seconds: at + 600,
                enough: total,
                fails: Box::new(|_, _, _| 0.0),
                weight: Box::new(move |now| if now < at { 0.5 } else { down }),
                ends: Some(Box::new(move |rng, _, _| {
                    let x = rng.f64();
                    if x < timeouts {
                        End::Failed(60_000)
                    } else {
                        End::Answered(ms(lognormal(rng, if x < llm_share { median } else { 200.0 })))
                    }
                })),
                ..Default::default()
            };
            Runs::of(&format!("weight to {down} at {at} {name}"), if at > 1000 { 200 } else { n }, &r);
        }
    }
}
