//! From the zone to the state file and back: what is saved, and how a new zone begins from it or from the zone before.

use core::sync::atomic::Ordering::Relaxed;

use super::{GenerationSlot, PolicySlot, Zone, policy_slot};
use crate::control::Control;
use crate::duration::Seconds;
use crate::generation::Generation;
use crate::judge::Evidence;
use crate::state_file::{SavedGeneration, SavedPolicy, StateFile, Writer};

impl Zone<'_> {
    /// All that is to be saved. `names` are the policies of the file in force. Under the lock.
    pub fn snapshot(&self, names: &[&str], writer: Writer, now: Seconds) -> StateFile {
        let mut state = StateFile::new(writer, now);
        for name in names {
            if let Some(saved) = self.saved_policy(name) {
                state.policies.insert((*name).to_owned(), saved);
            }
        }
        let key = self.header.cookie_key.load();
        state.cookie_key = (key != [0; 4]).then_some(key);
        let events = self.events_after(0).into_iter();
        state.events = events.filter_map(|(_, text)| serde_json::from_slice(&text).ok()).collect();
        state
    }

    /// What a zone holds of one policy.
    pub fn saved_policy(&self, name: &str) -> Option<SavedPolicy> {
        let slot = self.policy(policy_slot::name(name))?;
        let control = Control::from_bytes(&slot.control()?.1).ok()?;
        let generations = control.generations.iter().map(|standing| standing.generation);
        let saved =
            generations.filter_map(|generation| Some((generation, self.generation(generation)?.saved())));
        let of = |index: usize| self.generations.get(index)?.generation();
        let fallbacks = slot.fallbacks().filter_map(|(from, to, count)| Some((of(from)?, of(to)?, count)));
        Some(SavedPolicy {
            generations: saved.collect(),
            fallbacks: fallbacks.filter(|f| f.2 > 0).collect(),
            control,
        })
    }

    /// Puts into a slot that is new what was saved of its generation. Under the lock.
    pub fn restore_generation(&self, slot: &GenerationSlot, saved: &SavedGeneration) {
        slot.add(&saved.counts);
        slot.judged.store(saved.judged, Relaxed);
        if let Ok(words) = <[u64; Evidence::WORDS]>::try_from(&saved.evidence[..])
            && Evidence::from_words(&words).is_some()
        {
            slot.evidence.store(&words);
        }
    }

    /// The same for the pairs of a policy, once its generations have slots. Under the lock.
    pub fn restore_fallbacks(&self, slot: &PolicySlot, fallbacks: &[(Generation, Generation, u64)]) {
        let index = |generation| self.generation(generation).and_then(|slot| self.index_of(slot));
        for &(from, to, count) in fallbacks {
            if let (Some(from), Some(to)) = (index(from), index(to)) {
                slot.add_fallbacks(from, to, count);
            }
        }
    }

    /// Events of before, in a zone that has none. Numbers go on where they were, as readers ask for what comes after the last
    /// one that they have seen. Under the lock.
    pub fn restore_events(&self, events: &[serde_json::Value]) {
        let last = events.last().and_then(|event| event.get("seq")?.as_u64());
        if let Some(before) = last.and_then(|last| last.checked_sub(events.len() as u64)) {
            self.header.last_event.store(before, Relaxed);
        }
        for event in events {
            self.add_event(|sequence| {
                let mut event = event.clone();
                if let Some(object) = event.as_object_mut() {
                    object.insert("seq".to_owned(), sequence.into());
                }
                event.to_string().into_bytes()
            });
        }
    }
}

impl GenerationSlot {
    fn saved(&self) -> SavedGeneration {
        SavedGeneration {
            counts: self.counts(),
            judged: self.judged_in_step(),
            evidence: self.evidence.load().to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::EVENTS;
    use super::super::testing::Memory;

    #[test]
    fn numbers_of_events_go_on() {
        let (before, after) = (Memory::new(0, 0), Memory::new(0, 0));
        let event = |sequence: u64| format!("{{\"seq\":{sequence},\"text\":\"x\"}}").into_bytes();
        (0..EVENTS + 9).for_each(|_| before.zone().add_event(event));
        let saved = before.zone().snapshot(&[], Default::default(), 7).events;
        after.zone().restore_events(&saved);
        assert_eq!(after.zone().events_after(0), before.zone().events_after(0));
        after.zone().add_event(event);
        assert_eq!(after.zone().events_after(EVENTS as u64 + 9)[0].0, EVENTS as u64 + 10);
    }
}
