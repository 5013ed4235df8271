use fastrand::Rng;
use crate::court::Wait;
use crate::report::Runs;
use crate::rollout::{Rollout, total};
use crate::tally::{Unit, SHIPPED};
use crate::traffic::*;

fn lognormal(rng: &mut Rng, median: f64, sigma: f64) -> f64 {
    let radius = (-2.0 * (1.0 - rng.f64()).ln()).sqrt();
    median * (sigma * radius * (std::f64::consts::TAU * rng.f64()).cos()).exp()
}

#[test]
fn explore() {
    for unit in [Unit::Bucket{recount:60,strata:true},Unit::Bucket{recount:300,strata:true},Unit::Bucket{recount:600,strata:true},Unit::Bucket{recount:600,strata:false}] {
        for (x, runs) in [(2.0, 1000), (2.5, 300), (3.0, 300), (4.0, 300), (10.0, 300)] {
            let r = Rollout { slow_unit: unit, ends: total, fails: Box::new(|_,_,_| 0.0), wait: Some(Box::new(move |rng, side, _| Wait::Answered(lognormal(rng, if side == 0 { 200.0 * x } else { 200.0 }, 1.0) as u64))), ..Default::default() };
            Runs::of(&format!("ttfb x{x} {}", unit == SHIPPED), runs, &r);
        }
        for (special, crowd, users, w) in [(0.3, Crowd::Strangers, 100, 0.1), (0.05, Crowd::Strangers, 100, 0.1), (0.3, Crowd::Even(100), 100, 0.03), (0.3, Crowd::Regulars(500), 100, 0.1), (0.05, Crowd::Regulars(500), 100, 0.1)] {
            for x in [1.0, 2.0] {
            let r = Rollout { slow_unit: unit, ends: total, weight: Box::new(move |_| w), traffic: Traffic { special, crowd, users, ..USUAL }, fails: Box::new(|_,_,_| 0.0), wait: Some(Box::new(move |rng, side, kind| { let llm = rng.f64() < [0.05, 0.8][kind]; let m = if llm { 2000.0 } else { 40.0 }; Wait::Answered(lognormal(rng, if side == 0 { m * x } else { m }, 1.0) as u64)})), ..Default::default() };
            Runs::of(&format!("mix {special} users {users} w {w} x{x} shipped {}", unit == SHIPPED), 300, &r);
            }
        }
    }
}
