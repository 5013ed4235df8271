//! What workers share of one policy: its control, fallbacks, failed tokens, and what the judge calls slow.

use core::sync::atomic::{
    AtomicU64, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed, Ordering::Release, fence,
};

use openssl::sha::sha256;

use super::Numbers;
use super::events::Text;
use super::tenancy::{Slot, Tenancy};
use crate::failure::Failure;
use crate::hash::first_word;
use crate::identity::Kind;

/// The longest control, in bytes.
pub const LONGEST: usize = WORDS * 8;

const WORDS: usize = 1024;

/// Pairs of releases between which requests fell back.
const PAIRS: usize = 32;

#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct PolicySlot {
    /// Owned by [`name`].
    tenancy: Tenancy,
    /// The epoch of the control in force, and in the lowest bit which of the two texts it is.
    published: AtomicU64,
    /// The last epoch that the state file has.
    pub persisted: AtomicU64,
    /// Milliseconds above which the judge calls an answer slow, for its median and its 90th percentile: on stable, then on
    /// the others. 0: it does not know yet.
    pub slow: [Numbers<2>; 2],
    identity_failures: Numbers<{ Kind::COUNT * Failure::COUNT }>,
    pairs: Numbers<PAIRS>,
    fallbacks: Numbers<PAIRS>,
    controls: [Text<WORDS>; 2],
}

/// The name of a policy as slots have it.
pub fn name(policy: &str) -> u64 {
    first_word(&sha256(policy.as_bytes())).max(1)
}

impl PolicySlot {
    /// The epoch in force; 0: none yet.
    #[inline]
    pub fn epoch(&self) -> u64 {
        self.published.load(Acquire) >> 1
    }

    /// Puts a control in force. False, and nothing changes, if it is too long. Under the lock.
    pub fn publish(&self, epoch: u64, control: &[u8]) -> bool {
        let index = (self.published.load(Relaxed) & 1) ^ 1;
        // Whoever reads what is written next must see that the other text has been put in force.
        fence(Release);
        let written = self.controls[index as usize].write(control);
        if written {
            self.published.store(epoch << 1 | index, Release);
        }
        written
    }

    /// The control in force and its epoch, without the lock: `None` while there is none, or when it changes again and again.
    pub fn control(&self) -> Option<(u64, Vec<u8>)> {
        for _ in 0..8 {
            let published = self.published.load(Acquire);
            if published >> 1 == 0 {
                return None;
            }
            let text = self.controls[(published & 1) as usize].read();
            // A writer overwrites this text only after it has put the other in force.
            fence(Acquire);
            if self.published.load(Relaxed) == published {
                return Some((published >> 1, text));
            }
        }
        None
    }

    pub fn count_identity_failure(&self, kind: Kind, failure: Failure) {
        self.identity_failures[kind as usize * Failure::COUNT + failure as usize].fetch_add(1, Relaxed);
    }

    pub fn identity_failures(&self, kind: Kind, failure: Failure) -> u64 {
        self.identity_failures[kind as usize * Failure::COUNT + failure as usize].load(Relaxed)
    }

    /// Counts requests that went from one generation to another, by the indices of their slots.
    pub fn add_fallbacks(&self, from: usize, to: usize, count: u64) {
        let key = (from as u64) << 32 | to as u64 | 1 << 63;
        for (pair, fallbacks) in self.pairs.iter().zip(self.fallbacks.iter()) {
            let found = match pair.load(Relaxed) {
                0 => pair.compare_exchange(0, key, AcqRel, Relaxed).map_or_else(|other| other, |_| key),
                other => other,
            };
            if found == key {
                fallbacks.fetch_add(count, Relaxed);
                return;
            }
        }
    }

    /// From, to, and how many.
    pub fn fallbacks(&self) -> impl Iterator<Item = (usize, usize, u64)> {
        self.pairs.iter().zip(self.fallbacks.iter()).filter_map(|(pair, fallbacks)| {
            let key = pair.load(Relaxed);
            let (from, to) = ((key >> 32) as usize & 0x7fff_ffff, (key & 0xffff_ffff) as usize);
            (key != 0).then(|| (from, to, fallbacks.load(Relaxed)))
        })
    }

    /// Forgets the pairs that a slot is part of, before it gets another generation. Under the lock.
    pub fn forget_fallbacks(&self, slot: usize) {
        for (pair, fallbacks) in self.pairs.iter().zip(self.fallbacks.iter()) {
            let key = pair.load(Relaxed);
            if key != 0
                && ((key >> 32) as usize & 0x7fff_ffff == slot || (key & 0xffff_ffff) as usize == slot)
            {
                fallbacks.store(0, Relaxed);
            }
        }
    }

    pub fn slow_above(&self, stable: bool) -> [u64; 2] {
        self.slow[usize::from(!stable)].load()
    }
}

impl Slot for PolicySlot {
    fn tenancy(&self) -> &Tenancy {
        &self.tenancy
    }

    fn clear(&self) {
        self.published.store(0, Relaxed);
        self.persisted.store(0, Relaxed);
        let numbers = self.identity_failures.iter().chain(self.pairs.iter()).chain(self.fallbacks.iter());
        numbers.chain(self.slow.iter().flat_map(|slow| slow.iter())).for_each(|n| n.store(0, Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_see_whole_controls() {
        let slot = PolicySlot::default();
        assert_eq!(slot.control(), None);
        let text = |epoch: u64| vec![epoch as u8; 3000 + epoch as usize % 100];
        assert!(slot.publish(1, &text(1)));
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut last = 0;
                while last < 20_000 {
                    if let Some((epoch, read)) = slot.control() {
                        assert!(epoch >= last && read == text(epoch), "epoch {epoch} after {last}");
                        last = epoch;
                    }
                }
            });
            for epoch in 2..=20_000 {
                assert!(slot.publish(epoch, &text(epoch)));
            }
            reader.join().unwrap();
        });
        assert!(!slot.publish(30_000, &[0; LONGEST + 1]) && slot.epoch() == 20_000);
    }

    #[test]
    fn fallbacks_by_pair() {
        let slot = PolicySlot::default();
        slot.add_fallbacks(0, 1, 2);
        slot.add_fallbacks(1, 0, 1);
        slot.add_fallbacks(0, 1, 3);
        assert_eq!(slot.fallbacks().collect::<Vec<_>>(), [(0, 1, 5), (1, 0, 1)]);
        slot.forget_fallbacks(9);
        assert_eq!(slot.fallbacks().map(|(.., count)| count).sum::<u64>(), 6);
    }
}
