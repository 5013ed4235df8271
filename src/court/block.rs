//! The open block of one release: what users met on it, and on stable beside it. Used by the court.

use std::array;
use std::sync::atomic::Ordering::Relaxed;

use crate::duration::Seconds;
use crate::judge::{BlockEnd, Evidence, Side, block_is_complete, count_block, count_units, turn_hour};
use crate::zone::GenerationSlot;
use crate::zone::bits::{WORDS, Words};

/// What has come to a release, and to stable beside it, since the block began.
#[derive(Debug)]
pub struct Block {
    began: Seconds,
    canary: Tally,
    stable: Tally,
}

/// Buckets that were active, that failed, and that met slow answers.
#[derive(Clone, Debug)]
pub struct Tally {
    active: Words,
    failed: Words,
    slow: [Words; 2],
}

impl Tally {
    pub fn take(slot: &GenerationSlot) -> Tally {
        // A request marks its bucket as active first: what has failed since was active, too.
        let failed = slot.failed.take();
        Tally { active: slot.active.take(), failed, slow: [slot.slow[0].take(), slot.slow[1].take()] }
    }

    pub fn none() -> Tally {
        Tally { active: [0; WORDS], failed: [0; WORDS], slow: [[0; WORDS]; 2] }
    }

    /// The buckets that met answers only, for the judgement of their times, and those of them that met slow ones.
    fn answered(&self, index: usize) -> [Words; 2] {
        [&self.active, &self.slow[index]].map(|words| array::from_fn(|at| words[at] & !self.failed[at]))
    }

    /// Of a bucket's requests in a block, the first says whether the release was slow.
    fn add(&mut self, later: &Tally) {
        for index in 0..WORDS {
            let first = later.active[index] & !self.active[index];
            for (slow, later) in self.slow.iter_mut().zip(&later.slow) {
                slow[index] |= later[index] & first;
            }
            self.active[index] |= later.active[index] | later.failed[index];
            self.failed[index] |= later.failed[index];
        }
    }
}

impl Block {
    pub fn new(now: Seconds) -> Block {
        Block { began: now.saturating_sub(1), canary: Tally::none(), stable: Tally::none() }
    }

    pub fn add(&mut self, canary: &Tally, stable: &Tally) {
        self.canary.add(canary);
        self.stable.add(stable);
    }

    /// If the block is over, counts it: what speaks against the release then.
    pub fn close(&mut self, slot: &GenerationSlot, now: Seconds) -> Option<Evidence> {
        let mut evidence = Evidence::from_words(&slot.evidence.load()).unwrap_or_default();
        if evidence.start_if_due(now) {
            for (this_hour, earlier) in slot.this_hour.iter().zip(&slot.earlier) {
                let (mut hour, mut before) = (this_hour.load(), earlier.load());
                turn_hour(&mut hour, &mut before);
                this_hour.store(&hour);
                earlier.store(&before);
            }
            slot.evidence.store(&evidence.to_words());
        }
        let units = count_units(&self.canary.active);
        let seconds = now.saturating_sub(self.began);
        match block_is_complete(seconds, count_units(&self.stable.active), units) {
            BlockEnd::Wait => return None,
            BlockEnd::Drop => {}
            BlockEnd::Close => {
                let strata = |index: usize, sides: [[Words; 2]; 2]| {
                    let [canary, stable] = sides.each_ref().map(|[active, failed]| Side { active, failed });
                    let mut this_hour = slot.this_hour[index].load();
                    let strata = count_block(canary, stable, &mut this_hour, &slot.earlier[index].load());
                    slot.this_hour[index].store(&this_hour);
                    strata
                };
                let sides = [&self.canary, &self.stable];
                let fail = strata(0, sides.map(|side| [side.active, side.failed]));
                let medians = strata(1, sides.map(|side| side.answered(0)));
                let ninetieths = strata(2, sides.map(|side| side.answered(1)));
                evidence.block(&fail, &medians, &ninetieths);
                slot.evidence.store(&evidence.to_words());
                slot.judged.fetch_add(units.into(), Relaxed);
            }
        }
        *self = Block { began: now, ..Block::new(now) };
        Some(evidence)
    }
}
