//! The last events: who changed what, and verdicts with their numbers. Rings of JSON texts, written and read under the lock.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::{Numbers, Zone};

/// Words of text.
const WORDS: usize = 94;

/// The longest event, in bytes.
pub const LONGEST: usize = WORDS * 8;

#[derive(Debug, Default)]
#[repr(C)]
pub struct EventSlot {
    /// 1 for the first event; 0: empty.
    sequence: AtomicU64,
    text: Text<WORDS>,
}

/// Bytes of varying length in words.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Text<const WORDS: usize> {
    length: AtomicU64,
    words: Numbers<WORDS>,
}

impl<const WORDS: usize> Text<WORDS> {
    /// False, and nothing is written, if it is too long.
    pub fn write(&self, text: &[u8]) -> bool {
        if text.len() > WORDS * 8 {
            return false;
        }
        self.length.store(text.len() as u64, Relaxed);
        for (word, chunk) in self.words.iter().zip(text.chunks(8)) {
            let mut bytes = [0; 8];
            bytes[..chunk.len()].copy_from_slice(chunk);
            word.store(u64::from_ne_bytes(bytes), Relaxed);
        }
        true
    }

    pub fn read(&self) -> Vec<u8> {
        let length = usize::try_from(self.length.load(Relaxed)).unwrap_or_default().min(WORDS * 8);
        let words = self.words[..length.div_ceil(8)].iter();
        let mut text: Vec<u8> = words.flat_map(|word| word.load(Relaxed).to_ne_bytes()).collect();
        text.truncate(length);
        text
    }
}

impl Zone<'_> {
    /// Adds an event, whose text `make` writes once its number is known. Under the lock.
    pub fn add_event(&self, make: impl FnOnce(u64) -> Vec<u8>) {
        let sequence = self.header.last_event.load(Relaxed) + 1;
        if let Some(slot) = self.events.get(sequence as usize % self.events.len().max(1))
            && slot.text.write(&make(sequence))
        {
            slot.sequence.store(sequence, Relaxed);
            self.header.last_event.store(sequence, Relaxed);
        }
    }

    /// The events after number `after` that are still there, the oldest first. Under the lock.
    pub fn events_after(&self, after: u64) -> Vec<(u64, Vec<u8>)> {
        let last = self.header.last_event.load(Relaxed);
        let first = last.saturating_sub(self.events.len() as u64) + 1;
        (first.max(after.saturating_add(1))..=last)
            .filter_map(|sequence| {
                let slot = &self.events[sequence as usize % self.events.len()];
                (slot.sequence.load(Relaxed) == sequence).then(|| (sequence, slot.text.read()))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::EVENTS;
    use super::super::testing::Memory;

    #[test]
    fn the_oldest_give_way() {
        let memory = Memory::new(0, 0);
        let zone = memory.zone();
        for _ in 0..EVENTS + 5 {
            zone.add_event(|sequence| format!("event {sequence}").into_bytes());
        }
        let events = zone.events_after(0);
        assert_eq!((events.len(), events[0].0), (EVENTS, 6));
        assert_eq!(events[EVENTS - 1], (69, b"event 69".to_vec()));
        assert_eq!(zone.events_after(68).len(), 1);
        zone.add_event(|_| vec![b'x'; super::LONGEST + 1]);
        assert!(zone.events_after(69).is_empty(), "too long");
    }
}
