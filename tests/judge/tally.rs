//! Counts the blocks of a simulation as `count_block` does, but by lists instead of bitmaps, for speed; and by other units than
//! the shipped one, to show what they would do.

use lobechat_canary::judge::{Block, Side, WORDS, count_block, turn_hour};

const BUCKETS: usize = 10_000;

/// What is counted.
#[derive(Clone, Copy, PartialEq)]
pub enum Unit {
    /// Each request, which is not valid.
    Request,
    /// Each bucket once a block, however often it has failed before.
    BucketOfBlock,
    /// A bucket fails once in so many seconds; with strata, those that failed before are compared with each other.
    Bucket { recount: u32, strata: bool },
}

/// As shipped.
pub const SHIPPED: Unit = Unit::Bucket { recount: crate::HOUR, strata: true };

/// What is counted apart: failures, and answers slower than stable's median and its 90th percentile.
pub const STREAMS: usize = 3;

/// What came from one bucket to one side.
#[derive(Clone, Copy)]
struct Entry {
    bucket: u16,
    requests: u32,
    failed: u32,
    slow: [bool; 2],
}

/// The open block: the canary's entries, then stable's.
pub struct Open {
    entries: [Vec<Entry>; 2],
    /// By side and bucket, the number of the block in which it was last active, and the index of its entry there.
    places: [Vec<(u32, u32)>; 2],
    number: u32,
    /// How many failures it has, by stream.
    pub failed: [u32; STREAMS],
}

impl Open {
    pub fn new() -> Open {
        let places = || vec![(0, 0); BUCKETS];
        Open { entries: Default::default(), places: [places(), places()], number: 1, failed: [0; STREAMS] }
    }

    /// `side` is 0 for the canary. Of a bucket's requests in a block, the first says whether the release was slow.
    #[inline]
    pub fn request(&mut self, side: usize, bucket: u16, failed: bool, slow: [bool; 2]) {
        let (place, entries) = (&mut self.places[side][usize::from(bucket)], &mut self.entries[side]);
        if place.0 != self.number {
            *place = (self.number, entries.len() as u32);
            let slow = if failed { [false; 2] } else { slow };
            self.failed[1] += u32::from(slow[0]);
            self.failed[2] += u32::from(slow[1]);
            entries.push(Entry { bucket, requests: 0, failed: 0, slow });
        }
        let entry = &mut entries[place.1 as usize];
        entry.requests += 1;
        entry.failed += u32::from(failed);
        self.failed[0] += u32::from(failed);
    }

    /// Distinct buckets by side.
    pub fn units(&self) -> [u32; 2] {
        self.entries.each_ref().map(|entries| entries.len() as u32)
    }

    pub fn clear(&mut self) {
        self.entries.iter_mut().for_each(Vec::clear);
        self.number += 1;
        self.failed = [0; STREAMS];
    }
}

/// Who has failed already, for one stream.
pub struct Memory {
    pub unit: Unit,
    stream: usize,
    period: u32,
    /// By bucket, the period in which it last failed; 0 for never.
    failed_in: Vec<u32>,
}

impl Memory {
    pub fn new(unit: Unit, stream: usize) -> Memory {
        Memory { unit, stream, period: 1, failed_in: vec![0; BUCKETS] }
    }

    pub fn count(&mut self, open: &Open) -> [Block; 2] {
        let mut strata = [Block::default(); 2];
        for (side, entries) in open.entries.iter().enumerate() {
            for entry in entries {
                let Some(failed) = self.failed(entry) else { continue };
                let (stratum, active, failed) = match (self.unit, self.failed_in[usize::from(entry.bucket)]) {
                    (Unit::Request, _) => (0, entry.requests, failed),
                    (Unit::BucketOfBlock, _) => (0, 1, failed.min(1)),
                    (_, last) if last == self.period => continue,
                    (Unit::Bucket { strata, .. }, last) => {
                        (usize::from(strata && last != 0), 1, failed.min(1))
                    }
                };
                strata[stratum].active[side] += active;
                strata[stratum].failed[side] += failed;
            }
        }
        for entry in open.entries.iter().flatten() {
            if self.failed(entry).is_some_and(|failed| failed > 0) {
                self.failed_in[usize::from(entry.bucket)] = self.period;
            }
        }
        strata
    }

    /// `None`: who met a failure says nothing of slowness.
    fn failed(&self, entry: &Entry) -> Option<u32> {
        match self.stream {
            0 => Some(entry.failed),
            slow => (entry.failed == 0).then_some(u32::from(entry.slow[slow - 1])),
        }
    }

    /// Who has failed may fail again.
    pub fn turn(&mut self) {
        self.period += 1;
    }
}

/// The lists and the bitmaps count the same.
#[test]
fn counts_as_bitmaps_do() {
    let mut rng = fastrand::Rng::with_seed(1);
    let (mut open, mut memory) = (Open::new(), Memory::new(SHIPPED, 0));
    let (mut this_hour, mut earlier) = (vec![0; WORDS], vec![0; WORDS]);
    for block in 0..2_000 {
        let mut maps = vec![vec![0_u64; WORDS]; 4];
        for _ in 0..rng.usize(..200) {
            let (side, bucket, failed) = (rng.usize(..2), rng.u16(..500) * 20 + 7, rng.u8(..20) == 0);
            open.request(side, bucket, failed, [false; 2]);
            let (word, bit) = (usize::from(bucket) / 64, 1 << (bucket % 64));
            maps[2 * side][word] |= bit;
            maps[2 * side + 1][word] |= if failed { bit } else { 0 };
        }
        let [canary, stable] = [0, 2].map(|at| Side { active: &maps[at], failed: &maps[at + 1] });
        if block % 50 == 49 {
            memory.turn();
            turn_hour(&mut this_hour, &mut earlier);
        }
        if block % 7 > 0 {
            let expected = count_block(canary, stable, &mut this_hour, &earlier);
            assert_eq!(memory.count(&open), expected, "{block}");
        }
        open.clear();
    }
}
