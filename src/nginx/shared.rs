//! A policy's place in the shared zone: its slots, found once when a configuration is put in force, and what is in force,
//! read again whenever somebody has changed it.

use core::cell::{Ref, RefCell};
use std::cell::OnceCell;

use nginx_sys::*;

use super::ext::write_log;
use crate::control::Control;
use crate::in_force::InForce;
use crate::policy::Policy;
use crate::zone::{GenerationSlot, PolicySlot, Zone};

/// One policy in the zone.
#[derive(Debug)]
pub struct Shared {
    slots: OnceCell<Slots>,
    in_force: RefCell<InForce>,
}

/// The slots live as long as the zone, and that as long as the configuration.
#[derive(Debug)]
struct Slots {
    policy: *const PolicySlot,
    /// Of the generations that the lines of the file name, in their order.
    generations: Box<[*const GenerationSlot]>,
    /// The places of these in the zone, by which fallbacks name them.
    places: Box<[usize]>,
}

impl Shared {
    pub fn new(policy: &Policy) -> Shared {
        Shared { slots: OnceCell::new(), in_force: RefCell::new(policy.declared.clone()) }
    }

    /// Called once, in the master, before workers are there.
    pub fn find(&self, zone: &Zone<'_>, policy: &PolicySlot, generations: &[&GenerationSlot]) {
        let places = generations.iter().map(|slot| zone.index_of(slot).unwrap_or_default()).collect();
        let generations = generations.iter().map(|slot| core::ptr::from_ref(*slot)).collect();
        let _ = self.slots.set(Slots { policy, generations, places });
    }

    /// `None` before the configuration is in force.
    pub fn policy(&self) -> Option<&PolicySlot> {
        // SAFETY: see Slots.
        self.slots.get().map(|slots| unsafe { &*slots.policy })
    }

    /// The slot of a line's generation.
    #[inline]
    pub fn generation(&self, line: usize) -> Option<&GenerationSlot> {
        // SAFETY: see Slots.
        self.slots.get()?.generations.get(line).map(|&slot| unsafe { &*slot })
    }

    /// The place of a line's generation in the zone.
    pub fn place(&self, line: usize) -> Option<usize> {
        self.slots.get()?.places.get(line).copied()
    }

    /// What was in force at the last look.
    #[inline]
    pub fn in_force(&self) -> Ref<'_, InForce> {
        self.in_force.borrow()
    }

    /// What is in force now.
    #[inline]
    pub fn refreshed(&self, policy: &Policy) -> Ref<'_, InForce> {
        let in_force = self.in_force.borrow();
        match self.policy() {
            Some(slot) if slot.epoch() != in_force.epoch => {
                drop(in_force);
                self.refresh(policy, slot);
                self.in_force.borrow()
            }
            _ => in_force,
        }
    }

    #[cold]
    #[inline(never)]
    fn refresh(&self, policy: &Policy, slot: &PolicySlot) {
        let Some((epoch, text)) = slot.control() else {
            return; // somebody is changing it: the next request looks again
        };
        match Control::from_bytes(&text) {
            Ok(control) => self.in_force.replace(InForce { epoch, ..control.in_force(policy) }),
            Err(error) => {
                // SAFETY: the cycle's log is live.
                let log = unsafe { (*ngx_cycle).log };
                let message = format!(
                    "policy \"{}\" stays as it was: its control cannot be read: {error}",
                    policy.name
                );
                write_log(log, NGX_LOG_ERR, &message);
                let before = self.in_force.borrow().clone();
                self.in_force.replace(InForce { epoch, ..before })
            }
        };
    }
}
