//! Simulated traffic: users who come, stay for a session, send requests and leave.

use std::sync::LazyLock;

use fastrand::Rng;

/// Kinds of users a scenario can tell apart.
pub const KINDS: usize = 2;

/// A user's place in the split, and whether they are one of the few that a scenario treats differently.
#[derive(Clone, Copy, Default)]
pub struct User {
    pub bucket: u16,
    pub kind: usize,
}

/// Who comes at a session's start.
#[derive(Clone, Copy)]
pub enum Crowd {
    /// Somebody new.
    Strangers,
    /// One of so many, who come back with their old bucket.
    Regulars(usize),
    /// One of so many with evenly spaced buckets in random order: exactly the weight's share is on the canary.
    Even(usize),
}

#[derive(Clone, Copy)]
pub struct Traffic {
    /// Active at a time.
    pub users: usize,
    /// Judged requests per second, of all.
    pub rate: f64,
    /// Mean length of a session in seconds.
    pub session: f64,
    pub crowd: Crowd,
    /// The share of users of kind 1.
    pub special: f64,
}

/// What the figures of the table were made with.
pub const USUAL: Traffic =
    Traffic { users: 100, rate: 20.0, session: 600.0, crowd: Crowd::Strangers, special: 0.0 };

/// The active users of one run.
pub struct Audience {
    traffic: Traffic,
    regulars: Vec<User>,
    seats: Vec<(User, u32)>,
    arrivals: Vec<f64>,
}

impl Audience {
    pub fn new(traffic: Traffic, rng: &mut Rng) -> Audience {
        let regulars = match traffic.crowd {
            Crowd::Strangers => Vec::new(),
            Crowd::Regulars(number) => (0..number).map(|_| stranger(traffic, rng)).collect(),
            Crowd::Even(number) => even(number, traffic, rng),
        };
        let mut audience =
            Audience { traffic, regulars, seats: Vec::new(), arrivals: cumulative_poisson(traffic.rate) };
        audience.seats = (0..traffic.users).map(|seat| audience.arrive(seat, 0, rng)).collect();
        audience
    }

    fn arrive(&self, seat: usize, now: u32, rng: &mut Rng) -> (User, u32) {
        let user = match self.traffic.crowd {
            Crowd::Strangers => stranger(self.traffic, rng),
            // All of them are there, always.
            Crowd::Even(number) if number == self.traffic.users => self.regulars[seat],
            Crowd::Regulars(number) | Crowd::Even(number) => self.regulars[rng.usize(..number)],
        };
        let stay = -self.traffic.session * (1.0 - rng.f64()).ln();
        (user, now.saturating_add(1 + stay as u32))
    }

    /// The number of requests in the next second.
    pub fn requests(&self, rng: &mut Rng) -> usize {
        let chance = rng.f64();
        self.arrivals.partition_point(|&up_to| up_to < chance)
    }

    /// Who sends a request; `random` has 32 random bits.
    pub fn sender(&mut self, random: u32, now: u32, rng: &mut Rng) -> User {
        let seat = ((u64::from(random) * self.seats.len() as u64) >> 32) as usize;
        let (user, leaves) = self.seats[seat];
        if leaves > now {
            return user;
        }
        self.seats[seat] = self.arrive(seat, now, rng);
        self.seats[seat].0
    }
}

fn stranger(traffic: Traffic, rng: &mut Rng) -> User {
    User { bucket: rng.u16(..10_000), kind: usize::from(rng.f64() < traffic.special) }
}

fn even(number: usize, traffic: Traffic, rng: &mut Rng) -> Vec<User> {
    let mut users: Vec<User> = (0..number)
        .map(|i| User { bucket: (i * 10_000 / number) as u16, ..stranger(traffic, rng) })
        .collect();
    rng.shuffle(&mut users);
    users
}

fn cumulative_poisson(mean: f64) -> Vec<f64> {
    let (mut ln_term, mut sum) = (-mean, 0.0);
    (0..(mean + 12.0 * mean.sqrt() + 12.0) as usize)
        .map(|k| {
            sum += f64::exp(ln_term);
            ln_term += (mean / (k as f64 + 1.0)).ln();
            sum
        })
        .collect()
}

/// A time in milliseconds from a lognormal distribution with sigma 1. After a minute nginx gives up.
pub fn lognormal(rng: &mut Rng, median: f64) -> u64 {
    // Drawn once, for speed.
    static DRAWS: LazyLock<Vec<f64>> = LazyLock::new(|| {
        let mut rng = Rng::with_seed(1);
        let mut draw = || {
            let radius = (-2.0 * (1.0 - rng.f64()).ln()).sqrt();
            (radius * (std::f64::consts::TAU * rng.f64()).cos()).exp()
        };
        (0..1 << 14).map(|_| draw()).collect()
    });
    ((median * DRAWS[rng.usize(..DRAWS.len())]) as u64).min(60_000)
}
