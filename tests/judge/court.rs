//! The judge of a simulated rollout: the driver's duties (bitmaps, blocks, hours, histogram) around the library's test.

use lobechat_canary::counts::BINS;
use lobechat_canary::judge::{self, BlockEnd, Evidence, SlowThresholds};

use crate::tally::{Tally, Unit};

pub struct Court {
    unit: Unit,
    pub evidence: Evidence,
    fail: Tally,
    slow: Option<Slow>,
    began: u32,
    forgot: u32,
    units: [u32; 2],
}

/// The part that judges times to first byte.
struct Slow {
 unit: Unit,
    tallies: [Tally; 2],
    factor: f64,
    thresholds: [Option<SlowThresholds>; 2],
    /// Of stable: earlier blocks, and the open one.
    histogram: [u64; BINS],
    open: Vec<usize>,
}

/// How the wait for an answer's header ended, in milliseconds.
#[derive(Clone, Copy)]
pub enum Wait {
    Answered(u64),
    /// The client left.
    Aborted(u64),
}

impl Court {
    pub fn new(unit: Unit, slow: Option<(Unit, f64)>) -> Court {
        let slow = slow.map(|(unit, factor)| Slow {
            unit, tallies: [Tally::new(unit), Tally::new(unit)],
            factor,
            thresholds: [None, None],
            histogram: [0; BINS],
            open: Vec::new(),
        });
        let (evidence, fail) = (Evidence::default(), Tally::new(unit));
        Court { unit, evidence, fail, slow, began: 0, forgot: 0, units: [0, 0] }
    }

    #[inline]
    pub fn request(&mut self, side: usize, bucket: u16, failed: bool) {
        self.units[side] += 1;
        self.fail.request(side, bucket, failed);
    }

    /// A request that did not fail took so long.
    pub fn waited(&mut self, side: usize, bucket: u16, wait: Wait) {
        let Some(slow) = &mut self.slow else { return };
        for (tally, thresholds) in slow.tallies.iter_mut().zip(slow.thresholds) {
            let Some(thresholds) = thresholds else { continue };
            let (Wait::Answered(ms) | Wait::Aborted(ms)) = wait;
            let is_slow = match side {
                0 => thresholds.canary_is_slow(ms),
                _ => thresholds.stable_is_slow(ms),
            };
            // Who leaves sooner says nothing.
            if is_slow || matches!(wait, Wait::Answered(_)) {
                tally.request(side, bucket, is_slow);
            }
        }
        if let (1, Wait::Answered(ms)) = (side, wait) {
            slow.open.push(judge::bin(ms));
        }
    }

    /// The end of the second before `now`. True if a block was counted.
    pub fn second(&mut self, now: u32) -> bool {
        let end = judge::block_is_complete(u64::from(now - self.began), self.units[1], self.units[0]);
        if end == BlockEnd::Wait {
            return false;
        }
        if end == BlockEnd::Close {
            self.close();
        } else {
            self.fail.drop_block();
            self.slow.iter_mut().for_each(Slow::drop_block);
        }
        (self.began, self.units) = (now, [0, 0]);
        end == BlockEnd::Close
    }

    /// The beginning of a second.
    pub fn begin(&mut self, now: u32) {
        let hour = self.evidence.begin_hour(u64::from(now));
        let forget = match self.unit {
            Unit::Bucket { recount, .. } if recount != crate::HOUR => now >= self.forgot + recount,
            _ => hour && now > 0,
        };
        if forget {
            self.forgot = now;
            self.fail.forget();
        }
        if let Some(slow) = &mut self.slow {
            let r = match slow.unit { Unit::Bucket { recount, .. } => recount, _ => 3600 };
            if now > 0 && now % r == 0 { slow.tallies.iter_mut().for_each(Tally::forget); }
        }
    }

    fn close(&mut self) {
        let fail = self.fail.close();
        match &mut self.slow {
            None => self.evidence.block(&fail, &[], &[]),
            Some(slow) => {
                let [p50, p90] = slow.close();
                self.evidence.block(&fail, &p50, &p90);
            }
        }
    }
}

impl Slow {
    fn drop_block(&mut self) {
        self.tallies.iter_mut().for_each(|tally| {
            tally.drop_block();
        });
        self.open.clear();
    }

    fn close(&mut self) -> [[judge::Block; 2]; 2] {
        let blocks = self.tallies.each_mut().map(Tally::close);
        self.open.drain(..).for_each(|bin| self.histogram[bin] += 1);
        self.thresholds = [0.5, 0.9].map(|q| SlowThresholds::new(&self.histogram, q, self.factor));
        blocks
    }
}
