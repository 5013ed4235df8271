//! One simulated rollout: traffic, a scenario, and the judge over it.

use fastrand::Rng;
use lobechat_canary::judge::Evidence;

use crate::court::{Court, End};
use crate::tally::{SHIPPED, Unit};
use crate::traffic::{Audience, KINDS, Traffic, USUAL};

type Ends = dyn Fn(&mut Rng, usize, usize) -> End + Sync;

/// What happens during a rollout. Times are seconds since it began, sides are 0 for the canary and 1 for stable.
pub struct Rollout {
    pub traffic: Traffic,
    pub seconds: u32,
    /// The fault is there from here on, and only what comes later counts as time to verdict.
    pub from: u32,
    pub weight: Box<dyn Fn(u32) -> f64 + Sync>,
    /// By time, side and kind of user: the chance that a request fails at once.
    pub fails: Box<dyn Fn(u32, usize, usize) -> f64 + Sync>,
    /// By side and kind of user: how the others end. It is known only then.
    pub ends: Option<Box<Ends>>,
    pub unit: Unit,
    pub slow_unit: Unit,
    /// The evidence that is enough: of failures alone, or the total of the three streams.
    pub enough: fn(&Evidence) -> bool,
    /// What happens to the court at the start of a second.
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
            ends: None,
            unit: SHIPPED,
            slow_unit: SHIPPED,
            enough: failures_alone,
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
        let mut court = Court::new(self.unit, self.ends.is_some().then_some(self.slow_unit));
        let (mut requests, mut users, mut late) = (0, Users::default(), Late::default());
        let mut canary_below = 0;
        for now in 0..self.seconds {
            if let Some(interlude) = self.interlude {
                interlude(now, &mut court);
            }
            if now == self.from {
                (requests, users) = (0, Users::default());
            }
            let weight = ((self.weight)(now) * 10_000.0).round() as u16;
            if weight != canary_below {
                canary_below = weight;
                late = Late::default();
                court.move_weights();
            }
            late.arrive(now, &mut court);
            let chances = self.chances(now);
            for _ in 0..audience.requests(&mut rng) {
                let random = rng.u64(..);
                let user = audience.sender(random as u32, now, &mut rng);
                let side = usize::from(user.bucket >= canary_below);
                let failed = random >> 32 < chances[side][user.kind];
                if side == 0 {
                    requests += 1;
                    users.add(user.bucket);
                }
                match &self.ends {
                    _ if failed => court.request(side, user.bucket, End::Failed(0)),
                    None => court.request(side, user.bucket, End::Answered(0)),
                    Some(ends) => {
                        let end = ends(&mut rng, side, user.kind);
                        match (end.milliseconds() + rng.u64(..1000)) / 1000 {
                            0 => court.request(side, user.bucket, end),
                            seconds => late.add(now + seconds as u32, (side, user.bucket, end)),
                        }
                    }
                }
            }
            if court.sit(now + 1) && (self.enough)(&court.evidence) {
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

/// Requests that end in a later second, in a ring. After its length nginx has given up.
struct Late(Vec<Vec<(usize, u16, End)>>);

impl Default for Late {
    fn default() -> Late {
        Late(vec![Vec::new(); 64])
    }
}

impl Late {
    fn add(&mut self, at: u32, ended: (usize, u16, End)) {
        let place = at as usize % self.0.len();
        self.0[place].push(ended);
    }

    fn arrive(&mut self, now: u32, court: &mut Court) {
        let place = now as usize % self.0.len();
        self.0[place].drain(..).for_each(|(side, bucket, end)| court.request(side, bucket, end));
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
