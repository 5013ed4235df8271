//! Puts a configuration in force: gives its policies and releases their slots, brings over what was before, and publishes
//! what the reload makes of it. Called by the glue in the master, once the configuration is known to be good.

use core::sync::atomic::Ordering::Relaxed;

use super::{GenerationSlot, PolicySlot, Zone, policy_slot};
use crate::control::{Control, Reloaded};
use crate::duration::Seconds;
use crate::policy::Policy;
use crate::state_file::SavedPolicy;

/// A policy's slots, and what became of it.
pub struct Started<'z> {
    pub policy: &'z PolicySlot,
    /// In the order of the file's lines.
    pub generations: Vec<&'z GenerationSlot>,
    pub reloaded: Reloaded,
}

impl<'z> Zone<'z> {
    /// Begins a configuration: to be called before its policies are started. Under the lock.
    pub fn begin_cycle(&self) {
        self.header.cycle.fetch_add(1, Relaxed);
    }

    /// Whether no configuration has been in force here before.
    pub fn is_new(&self) -> bool {
        self.header.cycle.load(Relaxed) == 0
    }

    /// `saved` is what a state file or the zone before has of the policy; what this zone has goes first. Under the lock. The error
    /// is a sentence.
    pub fn start(
        &self,
        policy: &Policy,
        saved: Option<&SavedPolicy>,
        now: Seconds,
    ) -> Result<Started<'z>, String> {
        let name = policy_slot::name(&policy.name);
        let full = || format!("the zone has no slot left for policy \"{}\"", policy.name);
        let known = self.policy(name).and_then(PolicySlot::control);
        let known = known.and_then(|(_, text)| Control::from_bytes(&text).ok());
        let is_new = known.is_none();
        let stored = known.as_ref().or(saved.map(|saved| &saved.control));
        let reloaded = Control::reload(policy, stored, now);
        let slot = self.claim_policy(name, now).ok_or_else(full)?;
        let mut generations = Vec::new();
        for generation in policy.generations() {
            let had = self.generation(generation).is_some();
            let claimed = self.claim_generation(generation, now).ok_or_else(full)?;
            if !had {
                if let Some(index) = self.index_of(claimed) {
                    self.policies.iter().for_each(|policy| policy.forget_fallbacks(index));
                }
                if let Some(saved) = saved.and_then(|saved| saved.generations.get(&generation)) {
                    self.restore_generation(claimed, saved);
                }
            }
            generations.push(claimed);
        }
        for generation in &reloaded.steps_began {
            self.generation(*generation).into_iter().for_each(GenerationSlot::begin_step);
        }
        if let Some(saved) = saved.filter(|_| is_new) {
            self.restore_fallbacks(slot, &saved.fallbacks);
        }
        if slot.epoch() != reloaded.control.epoch {
            self.publish(slot, &reloaded.control)?;
        }
        Ok(Started { policy: slot, generations, reloaded })
    }

    /// Puts a control in force. Under the lock.
    pub fn publish(&self, slot: &PolicySlot, control: &Control) -> Result<(), String> {
        let text = control.to_bytes(policy_slot::LONGEST).filter(|text| slot.publish(control.epoch, text));
        text.map(drop)
            .ok_or_else(|| "its control does not fit into the zone: it has too many releases".to_owned())
    }
}
