//! What workers share of one release generation: counters, sharded so that workers do not wait for each other's cache
//! lines, and what the judge needs.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::Numbers;
use super::bits::Bits;
use super::tenancy::{Slot, Tenancy};
use crate::counts::{BINS, CODES, Counts, OUTCOMES, Outcome, REASONS, Ttfb};
use crate::duration::Seconds;
use crate::generation::Generation;
use crate::judge::Evidence;

/// As many as workers usually are; more share them.
pub const SHARDS: usize = 16;

#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct GenerationSlot {
    /// Owned by a generation.
    tenancy: Tenancy,
    pub rollbacks: AtomicU64,
    /// Attempts in a row that failed before the connection stood.
    pub connect_failures: AtomicU64,
    /// Seconds since 1970 at which the first of them failed.
    pub connect_failed_since: AtomicU64,
    /// Seconds since 1970 at which a connection stood, and at which an attempt was answered.
    pub connected: AtomicU64,
    pub answered: AtomicU64,
    /// The epoch of the last reset: what was decided before it, and ends after it, says nothing any more.
    heeded_since: AtomicU64,
    /// Judged requests, one for each bucket and block, and how many there were when the ramp's step began.
    pub judged: AtomicU64,
    judged_before: AtomicU64,
    pub evidence: Numbers<{ Evidence::WORDS }>,
    /// Buckets since the driver last looked.
    pub active: Bits,
    pub failed: Bits,
    /// Slower than stable's median, and than its 90th percentile.
    pub slow: [Bits; 2],
    /// Buckets that have counted as failed, and as slow twice over, on this release or on stable beside it: in this hour,
    /// and in earlier ones.
    pub this_hour: [Bits; 3],
    pub earlier: [Bits; 3],
    pub shards: [Shard; SHARDS],
}

/// The counters of the workers with one number.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Shard {
    requests: Numbers<{ REASONS.len() }>,
    responses: Numbers<{ CODES.len() }>,
    attempts: Numbers<{ OUTCOMES.len() }>,
    skew: AtomicU64,
    /// Milliseconds.
    ttfb_sum: AtomicU64,
    ttfb: Numbers<BINS>,
}

impl Shard {
    /// `reason` is an index into [`REASONS`].
    #[inline]
    pub fn count_request(&self, reason: usize) {
        self.requests.count(reason);
    }

    /// `status` is what the client got; 0: nothing.
    #[inline]
    pub fn count_response(&self, status: usize) {
        let class = status / 100;
        self.responses.count(if (1..=5).contains(&class) { class - 1 } else { CODES.len() - 1 });
    }

    #[inline]
    pub fn count_attempt(&self, outcome: Outcome) {
        self.attempts.count(outcome as usize);
    }

    /// A request that was answered at the first attempt.
    #[inline]
    pub fn count_plain(&self, reason: usize, status: usize, milliseconds: u64) {
        self.count_request(reason);
        self.count_response(status);
        self.count_attempt(Outcome::Ok);
        self.count_ttfb(milliseconds);
    }

    #[inline]
    pub fn count_ttfb(&self, milliseconds: u64) {
        self.ttfb.count(crate::judge::bin(milliseconds));
        self.ttfb_sum.fetch_add(milliseconds, Relaxed);
    }

    fn numbers(&self) -> impl Iterator<Item = &AtomicU64> {
        let counters = self.requests.iter().chain(self.responses.iter()).chain(self.attempts.iter());
        counters.chain([&self.skew, &self.ttfb_sum]).chain(self.ttfb.iter())
    }
}

impl GenerationSlot {
    /// The counters for worker number `worker`.
    #[inline]
    pub fn shard(&self, worker: usize) -> &Shard {
        &self.shards[worker % SHARDS]
    }

    /// The sums over all workers.
    pub fn counts(&self) -> Counts {
        let sum =
            |pick: &dyn Fn(&Shard) -> &AtomicU64| self.shards.iter().map(|s| pick(s).load(Relaxed)).sum();
        Counts {
            requests: core::array::from_fn(|index| sum(&|shard| &shard.requests[index])),
            responses: core::array::from_fn(|index| sum(&|shard| &shard.responses[index])),
            attempts: core::array::from_fn(|index| sum(&|shard| &shard.attempts[index])),
            skew: sum(&|shard| &shard.skew),
            ttfb: Ttfb { bins: self.ttfb_bins().to_vec(), sum: sum(&|shard| &shard.ttfb_sum) },
            rollbacks: self.rollbacks.load(Relaxed),
        }
    }

    /// The times to first byte, over all workers.
    pub fn ttfb_bins(&self) -> [u64; BINS] {
        core::array::from_fn(|bin| self.shards.iter().map(|shard| shard.ttfb[bin].load(Relaxed)).sum())
    }

    /// Adds what a snapshot has, in a slot that is new.
    pub fn add(&self, counts: &Counts) {
        let shard = &self.shards[0];
        let numbers = counts.requests.iter().chain(&counts.responses).chain(&counts.attempts);
        let numbers = numbers.chain([&counts.skew, &counts.ttfb.sum]).chain(&counts.ttfb.bins);
        shard.numbers().zip(numbers).for_each(|(counter, &number)| {
            counter.fetch_add(number, Relaxed);
        });
        self.rollbacks.fetch_add(counts.rollbacks, Relaxed);
    }

    /// Judged requests since the ramp came to its step.
    pub fn judged_in_step(&self) -> u64 {
        self.judged.load(Relaxed).saturating_sub(self.judged_before.load(Relaxed))
    }

    /// Under the lock.
    pub fn begin_step(&self) {
        self.judged_before.store(self.judged.load(Relaxed), Relaxed);
    }

    /// A connection stood, and perhaps was answered.
    #[inline]
    pub fn note_connected(&self, now: Seconds, is_answered: bool) {
        // Written once a second at most, so that workers need not wait for each other.
        if self.connected.load(Relaxed) != now {
            self.connected.store(now, Relaxed);
        }
        if is_answered && self.answered.load(Relaxed) != now {
            self.answered.store(now, Relaxed);
        }
        if self.connect_failures.load(Relaxed) != 0 {
            self.end_connect_failures();
        }
    }

    #[cold]
    pub fn note_connect_failed(&self, now: Seconds) {
        if self.connect_failures.fetch_add(1, Relaxed) == 0 {
            self.connect_failed_since.store(now, Relaxed);
        }
    }

    pub fn end_connect_failures(&self) {
        self.connect_failures.store(0, Relaxed);
    }

    /// What became of a user of the split, for the judge. Of several requests between two looks the first says whether
    /// the release was slow.
    #[inline]
    pub fn judged(&self, bucket: u16, failed: bool, is_slow: [bool; 2]) {
        let first = self.active.set(bucket);
        if failed {
            self.failed.set(bucket);
        } else if first && is_slow != [false; 2] {
            let slow = self.slow.iter().zip(is_slow).filter(|(_, is_slow)| *is_slow);
            slow.for_each(|(bits, _)| {
                bits.set(bucket);
            });
        }
    }

    /// Whether a request that was decided at this epoch says something of the release as it is now.
    #[inline]
    pub fn heeds(&self, epoch: u64) -> bool {
        epoch >= self.heeded_since.load(Relaxed)
    }

    /// Forgets what the judge knows, and will not hear of what was decided before this epoch.
    pub fn forget(&self, epoch: u64) {
        self.heeded_since.store(epoch, Relaxed);
        self.clear_judged();
    }

    fn clear_judged(&self) {
        self.evidence.store(&[0; Evidence::WORDS]);
        self.connect_failures.store(0, Relaxed);
        let bits = self.slow.iter().chain(&self.this_hour).chain(&self.earlier);
        bits.chain([&self.active, &self.failed]).for_each(Bits::clear);
    }

    /// `None`: the slot is free.
    pub fn generation(&self) -> Option<Generation> {
        Generation::from_word(self.tenancy.owner())
    }
}

impl Slot for GenerationSlot {
    fn tenancy(&self) -> &Tenancy {
        &self.tenancy
    }

    fn clear(&self) {
        self.clear_judged();
        self.heeded_since.store(0, Relaxed);
        let own = [&self.rollbacks, &self.connected, &self.answered, &self.judged, &self.judged_before];
        own.into_iter().chain(self.shards.iter().flat_map(Shard::numbers)).for_each(|n| n.store(0, Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_lose_no_count() {
        let slot = GenerationSlot::default();
        std::thread::scope(|scope| {
            for worker in 0..8 {
                let slot = &slot;
                scope.spawn(move || {
                    for round in 0..10_000_u64 {
                        let shard = slot.shard(worker % 4);
                        shard.count_request(3);
                        shard.count_response(200);
                        shard.count_attempt(Outcome::Ok);
                        shard.count_ttfb(round % 1000);
                    }
                });
            }
        });
        let counts = slot.counts();
        assert_eq!((counts.requests[3], counts.responses[1], counts.attempts[0]), (80_000, 80_000, 80_000));
        assert_eq!(counts.ttfb.bins.iter().sum::<u64>(), 80_000);
        let copy = GenerationSlot::default();
        copy.add(&counts);
        assert_eq!(copy.counts(), counts);
    }

    #[test]
    fn what_was_decided_before_a_reset_is_not_heeded() {
        let slot = GenerationSlot::default();
        assert!(slot.heeds(0));
        slot.judged(3, true, [false; 2]);
        slot.note_connect_failed(5);
        slot.forget(7);
        assert!(!slot.heeds(6) && slot.heeds(7) && slot.heeds(8));
        assert_eq!((slot.failed.take()[0], slot.connect_failures.load(Relaxed)), (0, 0));
    }

    #[test]
    fn status_classes() {
        let shard = Shard::default();
        for status in [0, 101, 200, 304, 404, 499, 500, 599, 600, 999] {
            shard.count_response(status);
        }
        let classes: Vec<u64> = shard.responses.iter().map(|n| n.load(Relaxed)).collect();
        assert_eq!(classes, [1, 1, 1, 2, 2, 3]);
    }
}
