use crate::court::End;
use crate::report::Runs;
use crate::rollout::{Rollout, total};
use crate::tally::{SHIPPED, Unit};
use crate::traffic::*;
use fastrand::Rng;

fn lognormal(rng: &mut Rng, median: f64, sigma: f64) -> f64 {
    let radius = (-2.0 * (1.0 - rng.f64()).ln()).sqrt();
    median * (sigma * radius * (std::f64::consts::TAU * rng.f64()).cos()).exp()
}
fn ms(x: f64) -> u64 {
    (x as u64).min(60_000)
}

#[test]
fn explore() {
    for unit in [Unit::BucketOfBlock, Unit::Bucket { recount: 600, strata: false }, SHIPPED] {
        for (x, runs) in [(2.0, 1000), (2.5, 200), (3.0, 200), (4.0, 200), (10.0, 200)] {
            let r = Rollout {
                slow_unit: unit,
                seconds: 6 * 3600,
                enough: total,
                fails: Box::new(|_, _, _| 0.0),
                ends: Some(Box::new(move |rng, side, _| {
                    End::Answered(ms(lognormal(rng, if side == 0 { 200.0 * x } else { 200.0 }, 1.0)))
                })),
                ..Default::default()
            };
            Runs::of(&format!("ttfb x{x} {}", unit == SHIPPED), runs, &r);
        }
    }
    for unit in [Unit::BucketOfBlock, SHIPPED] {
        for (special, crowd, users, w) in [
            (0.3, Crowd::Strangers, 100, 0.1),
            (0.05, Crowd::Strangers, 100, 0.1),
            (0.3, Crowd::Even(100), 100, 0.03),
            (0.05, Crowd::Regulars(500), 100, 0.1),
        ] {
            for x in [1.0, 2.0] {
                let r = Rollout {
                    slow_unit: unit,
                    enough: total,
                    weight: Box::new(move |_| w),
                    traffic: Traffic { special, crowd, users, ..USUAL },
                    fails: Box::new(|_, _, _| 0.0),
                    ends: Some(Box::new(move |rng, side, kind| {
                        let llm = rng.f64() < [0.05, 0.8][kind];
                        let m = if llm { 2000.0 } else { 40.0 };
                        End::Answered(ms(lognormal(rng, if side == 0 { m * x } else { m }, 1.0)))
                    })),
                    ..Default::default()
                };
                Runs::of(
                    &format!("mix {special} users {users} w {w} x{x} shipped {}", unit == SHIPPED),
                    300,
                    &r,
                );
            }
        }
    }
}
