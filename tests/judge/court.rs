//! The judge of a simulated rollout: the duties of the library's court (blocks, hours, what is slow) around its test.

use lobechat_canary::counts::BINS;
use lobechat_canary::judge::{self, BlockEnd, Evidence, SlowThresholds};

use crate::tally::{Memory, Open, Unit};

pub struct Court {
    pub evidence: Evidence,
    open: Open,
    fail: Memory,
    slow: Option<Slow>,
    began: u32,
    weights_moved: bool,
}

/// The part that judges times to first byte.
struct Slow {
    memories: [Memory; 2],
    /// Milliseconds from which answers are slow, by side; 0: not known yet.
    above: [[u64; 2]; 2],
    /// Stable's answers, and how many there were at the beginning of this hour and of the last one.
    bins: [u64; BINS],
    bases: Vec<(u32, [u64; BINS])>,
}

/// How a request ended, and after how many milliseconds.
#[derive(Clone, Copy)]
pub enum End {
    Answered(u64),
    Failed(u64),
    /// The client left before the answer began.
    Aborted(u64),
}

impl End {
    pub fn milliseconds(self) -> u64 {
        let (End::Answered(ms) | End::Failed(ms) | End::Aborted(ms)) = self;
        ms
    }
}

impl Court {
    /// With a unit for slow answers, these are judged as well.
    pub fn new(unit: Unit, slow: Option<Unit>) -> Court {
        let slow = slow.map(|unit| Slow {
            memories: [Memory::new(unit, 1), Memory::new(unit, 2)],
            above: [[0; 2]; 2],
            bins: [0; BINS],
            bases: Vec::new(),
        });
        let (evidence, open, fail) = (Evidence::default(), Open::new(), Memory::new(unit, 0));
        Court { evidence, open, fail, slow, began: 0, weights_moved: true }
    }

    /// A request has ended. `side` is 0 for the canary.
    #[inline]
    pub fn request(&mut self, side: usize, bucket: u16, end: End) {
        let is_slow = match &mut self.slow {
            None => [false; 2],
            Some(slow) => slow.look(side, end),
        };
        // Who leaves early says nothing; who has waited long has seen a slow answer.
        if matches!(end, End::Aborted(_)) && is_slow == [false; 2] {
            return;
        }
        self.open.request(side, bucket, matches!(end, End::Failed(_)), is_slow);
    }

    /// The end of the second before `now`. True if a block was counted.
    pub fn sit(&mut self, now: u32) -> bool {
        if let Some(slow) = &mut self.slow {
            slow.look_back(now);
        }
        if std::mem::take(&mut self.weights_moved) {
            self.adjourn(now - 1);
        }
        let hour = self.evidence.start_if_due(u64::from(now));
        for memory in self.memories() {
            match memory.unit {
                Unit::Bucket { recount: crate::HOUR, .. } if hour => memory.turn(),
                Unit::Bucket { recount, .. } if recount != crate::HOUR && now.is_multiple_of(recount) => {
                    memory.turn()
                }
                _ => {}
            }
        }
        let [canary, stable] = self.open.units();
        let end = judge::block_is_complete(u64::from(now - self.began), stable, canary);
        if end == BlockEnd::Wait {
            return false;
        }
        if end == BlockEnd::Close {
            self.count();
        }
        self.adjourn(now);
        end == BlockEnd::Close
    }

    /// What is open is forgotten at the end of this second. What was decided before is not to be told any more.
    pub fn move_weights(&mut self) {
        self.weights_moved = true;
    }

    /// What a restart leaves: the evidence, by way of the state file.
    pub fn restart(&mut self, now: u32) {
        let json = serde_json::to_string(&self.evidence).unwrap();
        let slow = self.slow.as_ref().map(|slow| slow.memories[0].unit);
        *self = Court::new(self.fail.unit, slow);
        self.evidence = serde_json::from_str(&json).unwrap();
        self.began = now;
    }

    /// Another build takes the place of this one.
    pub fn replace(&mut self, now: u32) {
        self.restart(now);
        self.evidence = Evidence::default();
    }

    /// Forgets what is open, as another worker does that takes over.
    pub fn adjourn(&mut self, now: u32) {
        self.open.clear();
        self.began = now;
    }

    fn memories(&mut self) -> impl Iterator<Item = &mut Memory> {
        std::iter::once(&mut self.fail).chain(self.slow.iter_mut().flat_map(|slow| &mut slow.memories))
    }

    fn count(&mut self) {
        let open = &self.open;
        let strata = |memory: &mut Memory, stream: usize| match open.failed[stream] {
            0 => Default::default(), // nothing is learnt
            _ => memory.count(open),
        };
        let fail = strata(&mut self.fail, 0);
        let slow = self.slow.as_mut().map(|slow| {
            let [p50, p90] = &mut slow.memories;
            [strata(p50, 1), strata(p90, 2)]
        });
        let [p50, p90] = slow.unwrap_or_default();
        self.evidence.block(&fail, &p50, &p90);
    }
}

impl Slow {
    #[inline]
    fn look(&mut self, side: usize, end: End) -> [bool; 2] {
        if let (1, End::Answered(ms)) = (side, end) {
            self.bins[judge::bin(ms)] += 1;
        }
        self.above[side].map(|above| above > 0 && end.milliseconds() >= above)
    }

    /// From stable's answers in this hour and the last one, what is slow from now on.
    fn look_back(&mut self, now: u32) {
        if self.bases.last().is_none_or(|(at, _)| now >= at + crate::HOUR) {
            self.bases.push((now, self.bins));
        }
        if self.bases.len() > 2 {
            self.bases.remove(0);
        }
        let base = self.bases[0].1;
        let recent = std::array::from_fn(|bin| self.bins[bin] - base[bin]);
        for (stream, quantile) in [0.5, 0.9].into_iter().enumerate() {
            let slow = SlowThresholds::new(&recent, quantile, 2.0);
            let (stable, canary) = slow.map_or((0, 0), |slow| (slow.stable_ms, slow.canary_ms));
            (self.above[0][stream], self.above[1][stream]) = (canary, stable);
        }
    }
}
