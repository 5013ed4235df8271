//! The lease of the driver: which worker judges, ramps and saves. A worker that dies lets it run out, one that exits gives
//! it up. Used by the glue's driver.

use core::sync::atomic::{AtomicU64, Ordering::AcqRel, Ordering::Relaxed};

/// Milliseconds for which a worker that does not renew it keeps the lease.
pub const TERM: u64 = 2000;

/// The holder's process id in the low 24 bits (Linux has at most 22), above it the end in tenths of a second.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct Lease(AtomicU64);

const PID: u64 = (1 << 24) - 1;

/// Nobody's, for good.
const RETIRED: u64 = u64::MAX;

impl Lease {
    /// Takes or renews it. `now` is in milliseconds; true: `pid` has it.
    pub fn take(&self, pid: u32, now: u64) -> bool {
        let old = self.0.load(Relaxed);
        if old == RETIRED {
            return false;
        }
        let (holder, end) = (old & PID, (old >> 24) * 100);
        // A clock that was set back must not lock everybody out.
        let is_over = end <= now || end > now + 2 * TERM;
        if holder != u64::from(pid) && holder != 0 && !is_over {
            return false;
        }
        let new = ((now + TERM) / 100) << 24 | u64::from(pid) & PID;
        self.0.compare_exchange(old, new, AcqRel, Relaxed).is_ok()
    }

    /// Another zone has taken the place of this one: what its last workers still count must not be saved over that.
    pub fn retire(&self) {
        self.0.store(RETIRED, Relaxed);
    }

    /// Gives it up, if `pid` has it. Whether it had.
    pub fn give_up(&self, pid: u32) -> bool {
        let old = self.0.load(Relaxed);
        old & PID == u64::from(pid) && self.0.compare_exchange(old, 0, AcqRel, Relaxed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time() {
        let lease = Lease::default();
        assert!(lease.take(1, 10_000) && !lease.take(2, 10_000) && lease.take(1, 11_000));
        assert!(!lease.take(2, 12_900), "renewed at 11 s, so it lasts to 13 s");
        assert!(lease.take(2, 13_000) && !lease.take(1, 13_100), "the dead one's has run out");
        assert!(!lease.give_up(1) && lease.give_up(2) && lease.take(1, 13_200));
        assert!(lease.take(2, 5_000), "the clock was set back");
    }

    #[test]
    fn a_retired_one_is_nobodys() {
        let lease = Lease::default();
        assert!(lease.take(1, 10_000));
        lease.retire();
        assert!(!lease.take(1, 10_500) && !lease.take(2, 60_000) && !lease.give_up(1));
    }
}
