//! Who has a slot of the zone, and for how long after the last file that named him. Used by the zone for policies and
//! generations alike.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::duration::Seconds;

/// How long a slot stays with an owner that no file names any more.
pub const KEPT: Seconds = 86_400;

#[derive(Debug, Default)]
#[repr(C)]
pub struct Tenancy {
    /// 0: free.
    owner: AtomicU64,
    /// The last configuration that named the owner, and when it did.
    cycle: AtomicU64,
    seen: AtomicU64,
}

pub trait Slot {
    fn tenancy(&self) -> &Tenancy;
    /// Forgets all of the owner before.
    fn clear(&self);
}

impl Tenancy {
    pub fn owner(&self) -> u64 {
        self.owner.load(Relaxed)
    }

    /// Free, or left by files long gone: workers that still serve an older one may count there.
    fn is_free(&self, cycle: u64, now: Seconds) -> bool {
        self.owner() == 0
            || self.cycle.load(Relaxed) + 2 < cycle && self.seen.load(Relaxed).saturating_add(KEPT) < now
    }
}

pub fn find<S: Slot>(slots: &[S], owner: u64) -> Option<&S> {
    slots.iter().find(|slot| slot.tenancy().owner() == owner)
}

/// The slot of an owner that a configuration names, a new one if need be. Under the lock.
pub fn claim<S: Slot>(slots: &[S], owner: u64, cycle: u64, now: Seconds) -> Option<&S> {
    let slot = find(slots, owner).or_else(|| {
        // As long as there is room, those that may come back keep theirs.
        let free = find(slots, 0).or_else(|| slots.iter().find(|slot| slot.tenancy().is_free(cycle, now)))?;
        free.clear();
        free.tenancy().owner.store(owner, Relaxed);
        Some(free)
    })?;
    slot.tenancy().cycle.store(cycle, Relaxed);
    slot.tenancy().seen.store(now, Relaxed);
    Some(slot)
}

/// Whether all these owners have a slot or would get one.
pub fn has_room<S: Slot>(slots: &[S], owners: impl Iterator<Item = u64>, cycle: u64, now: Seconds) -> bool {
    let lacking = owners.filter(|&owner| find(slots, owner).is_none()).count();
    lacking <= slots.iter().filter(|slot| slot.tenancy().is_free(cycle, now)).count()
}
