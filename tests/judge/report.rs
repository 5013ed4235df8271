//! Runs a rollout many times on all cores, prints a line of the table, and says how many false rollbacks chance allows.

use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::rollout::{Rollback, Rollout};

/// The runs of one row, in no order.
pub struct Runs {
    pub name: String,
    pub runs: u64,
    pub rollbacks: Vec<Rollback>,
}

impl Runs {
    /// Runs with the seeds 0 to `runs`, and prints what they measured.
    pub fn of(name: &str, runs: u64, rollout: &Rollout) -> Runs {
        Runs::by(name, runs, &|seed| rollout.run(seed))
    }

    pub fn by(name: &str, runs: u64, run: &(dyn Fn(u64) -> Option<Rollback> + Sync)) -> Runs {
        // One row at a time has all cores, however many tests run.
        static ROW: Mutex<()> = Mutex::new(());
        let _turn = ROW.lock();
        let (began, next) = (Instant::now(), AtomicU64::new(0));
        let work = || {
            let seeds = std::iter::from_fn(|| Some(next.fetch_add(1, Ordering::Relaxed)));
            seeds.take_while(|&seed| seed < runs).filter_map(run).collect::<Vec<Rollback>>()
        };
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
        let rollbacks = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
        });
        let row = Runs { name: name.to_owned(), runs, rollbacks };
        row.print(began.elapsed().as_secs_f64());
        row
    }

    /// Median and 95th percentile over all runs; those without a rollback come last, as `None`.
    pub fn quantiles(&self, of: fn(&Rollback) -> u32) -> [Option<u32>; 2] {
        let mut values: Vec<u32> = self.rollbacks.iter().map(of).collect();
        values.sort_unstable();
        [0.5, 0.95].map(|q| values.get((self.runs as f64 * q) as usize).copied())
    }

    pub fn requests(&self) -> [Option<u32>; 2] {
        self.quantiles(|rollback| rollback.canary_requests)
    }

    pub fn seconds(&self) -> [Option<u32>; 2] {
        self.quantiles(|rollback| rollback.seconds)
    }

    /// Past the harness's capture: the table is a result.
    fn print(&self, took: f64) {
        let cell = |[median, p95]: [Option<u32>; 2]| {
            let text = |value: Option<u32>| value.map_or("-".to_owned(), |value| value.to_string());
            format!("{} ({})", text(median), text(p95))
        };
        let share = 100.0 * self.rollbacks.len() as f64 / self.runs as f64;
        let line = format!(
            "| {} | {} of {} = {share:.3} % | requests {} | users {} | seconds {} | {took:.1} s |\n",
            self.name,
            self.rollbacks.len(),
            self.runs,
            cell(self.requests()),
            cell(self.quantiles(|rollback| rollback.canary_users)),
            cell(self.seconds()),
        );
        std::io::stdout().write_all(line.as_bytes()).unwrap();
    }

    /// Whether so many rollbacks are likely when each run has a chance of `alpha`.
    pub fn keeps(&self, alpha: f64) -> bool {
        self.rollbacks.len() as u64 <= allowed(self.runs, alpha)
    }

    #[track_caller]
    pub fn assert_keeps(&self, alpha: f64) {
        let (got, allowed) = (self.rollbacks.len(), allowed(self.runs, alpha));
        assert!(self.keeps(alpha), "{}: {got} false rollbacks, {allowed} allowed", self.name);
    }

    /// The share of rollbacks in percent is from `low` to `high`.
    #[track_caller]
    pub fn assert_share(&self, low: f64, high: f64) {
        let share = 100.0 * self.rollbacks.len() as f64 / self.runs as f64;
        assert!((low..=high).contains(&share), "{}: {share} % instead of {low} to {high}", self.name);
    }
}

/// A median is within a share of what is documented.
#[track_caller]
pub fn assert_near(name: &str, got: Option<u32>, expected: u32, tolerance: f64) {
    let off = got.map(|got| (f64::from(got) / f64::from(expected) - 1.0).abs());
    assert!(off.is_some_and(|off| off <= tolerance), "{name}: {got:?} instead of {expected}");
}

/// The number that a binomial of `runs` and `chance` exceeds less often than once in 1000.
pub fn allowed(runs: u64, chance: f64) -> u64 {
    let n = runs as f64;
    let (mut ln_term, mut sum, mut k) = (n * (1.0 - chance).ln(), 0.0, 0);
    loop {
        sum += f64::exp(ln_term);
        if sum >= 0.999 {
            return k;
        }
        ln_term += ((n - k as f64) / (k as f64 + 1.0) * chance / (1.0 - chance)).ln();
        k += 1;
    }
}

#[test]
fn chance_allows() {
    assert_eq!([allowed(10_000, 0.001), allowed(1_000, 0.001), allowed(150, 0.001)], [21, 5, 2]);
}
