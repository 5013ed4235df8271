//! One simulated rollout: traffic, a scenario, and the judge over it.

use fastrand::Rng;
use lobechat_canary::judge::Evidence;

use crate::court::{Court, Wait};
use crate::tally::{SHIPPED, Unit};
use crate::traffic::{Audience, KINDS, Traffic, USUAL};

/// What happens during a rollout. Times are seconds since it began, sides are 0 for the canary and 1 for stable.
pub struct Rollout {
    pub traffic: Traffic,
    pub seconds: u32,
    /// The fault is there from here on, and only what comes later counts as time to verdict.
    pub from: u32,
    pub weight: Box<dyn Fn(u32) -> f64 + Sync>,
    /// By time, side and kind of user: the chance that a request fails.
    pub fails: Box<dyn Fn(u32, usize, usize) -> f64 + Sync>,
    /// By side and kind of user: the time to first byte.
    pub wait: Option<Box<dyn Fn(&mut Rng, usize, usize) -> Wait + Sync>>,
    pub unit: Unit,
    pub slow_unit: Unit,
    /// The evidence that ends it: of failures alone, or the total of the three streams.
    pub ends: fn(&Evidence) -> bool,
    /// What happens to the evidence at the start of a second.
    pub interlude: Option<fn(u32, &mut Court)>,
}

/// `E_fail` alone, as in the table.
pub fn failures_alone(evidence: &Evidence) -> bool {
    evidence.fail.e() >= 1000.0
}

/// As shipped, at the default confidence.
pub fn total(evidence: &Evidence) -> bool {
    evidence.total() >= lobechat_canary::judge::threshold(0.001, 1)
}

impl Default for Rollout {
    fn default() -> Rollout {
        Rollout {
            traffic: USUAL,
            seconds: crate::HOUR,
            from: 0,
            weight: Box::new(|_| 0.1),
            fails: Box::new(|_, _, _| 0.01),
            wait: None,
            unit: SHIPPED,
            slow_unit: SHIPPED,
            ends: failures_alone,
            interlude: None,
        }
    }
}

/// A rollback, and what it took since the fault began.
#[derive(Clone, Copy, Debug)]
pub struct Rollback {
    pub seconds: u32,
    pub canary_requests: u32,
    pub canary_users: u32,
}

impl Rollout {
    /// `None` when nothing was rolled back in the time given.
    pub fn run(&self, seed: u64) -> Option<Rollback> {
        let mut rng = Rng::with_seed(seed);
        let mut audience = Audience::new(self.traffic, &mut rng);
        let mut court = Court::new(self.unit, self.wait.is_some().then_some((self.slow_unit, 2.0)));
        let (mut requests, mut users) = (0, Users::default());
        for now in 0..self.seconds {
            court.begin(now);
            if let Some(interlude) = self.interlude {
                interlude(now, &mut court);
            }
            if now == self.from {
                (requests, users) = (0, Users::default());
            }
            let canary_below = ((self.weight)(now) * 10_000.0) as u16;
            let chances = self.chances(now);
            for _ in 0..audience.requests(&mut rng) {
                let random = rng.u64(..);
                let user = audience.sender(random as u32, now, &mut rng);
                let side = usize::from(user.bucket >= canary_below);
                let failed = random >> 32 < chances[side][user.kind];
                court.request(side, user.bucket, failed);
                if let (Some(wait), false) = (&self.wait, failed) {
                    court.waited(side, user.bucket, wait(&mut rng, side, user.kind));
                }
                if side == 0 {
                    requests += 1;
                    users.add(user.bucket);
                }
            }
            if court.second(now + 1) && (self.ends)(&court.evidence) {
                let seconds = (now + 1).saturating_sub(self.from);
                return Some(Rollback { seconds, canary_requests: requests, canary_users: users.number });
            }
        }
        None
    }

    /// Chances of failure by side and kind, on the scale of 32 bits.
    fn chances(&self, now: u32) -> [[u64; KINDS]; 2] {
        let chance = |side, kind| ((self.fails)(now, side, kind) * f64::from(u32::MAX)).ceil() as u64;
        [[chance(0, 0), chance(0, 1)], [chance(1, 0), chance(1, 1)]]
    }
}

/// Distinct buckets.
struct Users {
    seen: Vec<bool>,
    number: u32,
}

impl Default for Users {
    fn default() -> Users {
        Users { seen: vec![false; 10_000], number: 0 }
    }
}

impl Users {
    fn add(&mut self, bucket: u16) {
        let seen = &mut self.seen[usize::from(bucket)];
        self.number += u32::from(!*seen);
        *seen = true;
    }
}
