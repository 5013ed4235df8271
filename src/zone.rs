//! The memory that all workers share, old and new: counters, what is in force, events, the judge's bits. Atomics in fixed
//! slots, found by the hash of a policy's name and by generation, so that workers with different files agree; all
//! zero is the state to begin with. Laid out over nginx's zone by the glue, over plain memory by tests.
//!
//! Requests only load and add. Whatever replaces a whole (a control, an event, a slot's owner) happens under the zone's lock,
//! which belongs to nginx, whose master takes it from a worker that dies.

pub mod bits;
pub mod events;
pub mod generation_slot;
pub mod lease;
pub mod numbers;
pub mod policy_slot;
pub mod snapshot;
pub mod start;
mod tenancy;

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

pub use self::events::EventSlot;
pub use self::generation_slot::GenerationSlot;
pub use self::lease::Lease;
pub use self::numbers::Numbers;
pub use self::policy_slot::PolicySlot;
pub use self::tenancy::KEPT;

use crate::duration::Seconds;
use crate::generation::Generation;

/// Says that the zone is ours, and laid out like this: to change with every field.
pub const LAYOUT: u64 = u64::from_be_bytes(*b"LCanary\x03");

/// How many events are kept.
pub const EVENTS: usize = 64;

#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Header {
    pub layout: AtomicU64,
    pub policies: AtomicU64,
    pub generations: AtomicU64,
    /// Counts the configurations that were put in force.
    pub cycle: AtomicU64,
    pub last_event: AtomicU64,
    /// The key of module cookies where no file has one; all zero without.
    pub cookie_key: Numbers<4>,
    pub lease: Lease,
}

/// The parts of a zone.
#[derive(Clone, Copy, Debug)]
pub struct Zone<'z> {
    pub header: &'z Header,
    pub policies: &'z [PolicySlot],
    pub generations: &'z [GenerationSlot],
    pub events: &'z [EventSlot],
}

/// How many slots there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    pub policies: usize,
    pub generations: usize,
}

impl Layout {
    /// What fits into so many bytes for a file with so many policies; some more may come with a reload.
    pub fn fit(bytes: usize, policies: usize) -> Layout {
        let policies = policies + policies.div_ceil(4).max(2);
        let rest = bytes.saturating_sub(Layout { policies, generations: 0 }.bytes());
        Layout { policies, generations: rest / size_of::<GenerationSlot>() }
    }

    /// The room this takes.
    pub fn bytes(self) -> usize {
        size_of::<Header>()
            + self.policies * size_of::<PolicySlot>()
            + self.generations * size_of::<GenerationSlot>()
            + EVENTS * size_of::<EventSlot>()
    }

    /// The room that a file should have, releases twice: a new version has a slot of its own, and the old one keeps its for
    /// a day.
    pub fn advised(policies: usize, releases: usize) -> usize {
        Layout { generations: 2 * releases, ..Layout::fit(0, policies) }.bytes()
    }
}

impl<'z> Zone<'z> {
    /// The slot of a policy.
    pub fn policy(&self, name: u64) -> Option<&'z PolicySlot> {
        tenancy::find(self.policies, name)
    }

    pub fn generation(&self, generation: Generation) -> Option<&'z GenerationSlot> {
        tenancy::find(self.generations, generation.to_word())
    }

    /// The index of a generation's slot, by which fallbacks name it.
    pub fn index_of(&self, slot: &GenerationSlot) -> Option<usize> {
        self.generations.iter().position(|other| core::ptr::eq(other, slot))
    }

    /// A slot for a policy, a new one if need be. Under the lock.
    pub fn claim_policy(&self, name: u64, now: Seconds) -> Option<&'z PolicySlot> {
        tenancy::claim(self.policies, name, self.header.cycle.load(Relaxed), now)
    }

    /// A slot for a generation, a new one if need be. Under the lock.
    pub fn claim_generation(&self, generation: Generation, now: Seconds) -> Option<&'z GenerationSlot> {
        tenancy::claim(self.generations, generation.to_word(), self.header.cycle.load(Relaxed), now)
    }

    /// Whether the policies and generations of a file to come all have a slot or would get one.
    pub fn has_room(&self, policies: &[u64], generations: &[Generation], now: Seconds) -> bool {
        let cycle = self.header.cycle.load(Relaxed) + 1;
        let generations = generations.iter().map(|generation| generation.to_word());
        tenancy::has_room(self.policies, policies.iter().copied(), cycle, now)
            && tenancy::has_room(self.generations, generations, cycle, now)
    }
}

#[cfg(test)]
pub mod testing {
    use super::*;

    /// A zone in plain memory.
    pub struct Memory {
        header: Header,
        policies: Vec<PolicySlot>,
        generations: Vec<GenerationSlot>,
        events: Vec<EventSlot>,
    }

    impl Memory {
        pub fn new(policies: usize, generations: usize) -> Memory {
            let header = Header::default();
            header.layout.store(LAYOUT, Relaxed);
            Memory {
                header,
                policies: std::iter::repeat_with(Default::default).take(policies).collect(),
                generations: std::iter::repeat_with(Default::default).take(generations).collect(),
                events: std::iter::repeat_with(Default::default).take(EVENTS).collect(),
            }
        }

        pub fn zone(&self) -> Zone<'_> {
            let Memory { header, policies, generations, events } = self;
            Zone { header, policies, generations, events }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_mebibyte_holds_eight_policies_of_four_releases_and_more() {
        // What nginx's own allocator leaves of a zone.
        let layout = Layout::fit((1 << 20) - 16 * 1024, 8);
        assert!(layout.policies >= 8 && layout.generations >= 34, "{layout:?}");
        assert!(layout.bytes() <= 1 << 20);
        assert!(Layout::advised(1, 2) <= 256 * 1024, "{}", Layout::advised(1, 2));
    }

    #[test]
    fn builds_that_may_come_back_keep_their_place_while_there_is_room() {
        let memory = testing::Memory::new(1, 2);
        let zone = memory.zone();
        let [old, new, newer] = [7, 8, 9].map(|word| Generation::from_word(word).unwrap());
        zone.claim_generation(old, 1000).unwrap();
        zone.header.cycle.store(9, Relaxed);
        zone.claim_generation(new, 1001 + KEPT).unwrap();
        assert!(zone.generation(old).is_some());
        zone.claim_generation(newer, 1001 + KEPT).unwrap();
        assert!(zone.generation(old).is_none() && zone.generation(new).is_some());
    }

    #[test]
    fn slots_are_kept_for_a_day_and_two_configurations() {
        let memory = testing::Memory::new(1, 1);
        let zone = memory.zone();
        let (old, new) = (Generation::from_word(7).unwrap(), Generation::from_word(8).unwrap());
        let slot = zone.claim_generation(old, 1000).unwrap();
        slot.shards[3].count_request(0);
        assert_eq!(zone.claim_generation(old, 2000).unwrap().counts().requests[0], 1);
        let late = 2000 + KEPT + 1;
        assert!(zone.claim_generation(new, late).is_none(), "two configurations have not passed");
        zone.header.cycle.store(3, Relaxed);
        assert!(zone.claim_generation(new, late - 1).is_none() && !zone.has_room(&[], &[new], late - 1));
        assert!(zone.has_room(&[], &[new], late));
        assert_eq!(zone.claim_generation(new, late).unwrap().counts().requests[0], 0);
        assert!(zone.generation(old).is_none());
    }
}
