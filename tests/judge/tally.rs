//! Counts the blocks of a simulation as `count_block` does, but by lists instead of bitmaps, for speed; and by other units than
//! the shipped one, to show what they would do.

use lobechat_canary::judge::{Block, Side, WORDS, count_block, turn_hour};

/// What is counted.
#[derive(Clone, Copy, PartialEq)]
pub enum Unit {
    /// Each request, which is not valid.
    Request,
    /// Each bucket once a block by its first request, however often it has failed before.
    BucketOfBlock,
    /// A bucket fails once in so many seconds; with strata, those that failed before are compared with each other.
    Bucket { recount: u32, strata: bool },
}

/// As shipped.
pub const SHIPPED: Unit = Unit::Bucket { recount: crate::HOUR, strata: true };

pub struct Tally {
    unit: Unit,
    block: u32,
    period: u32,
    /// By side and bucket, the block in which it was last active, and last failed.
    active: [Vec<u32>; 2],
    failed: [Vec<u32>; 2],
    /// By bucket, the period in which it last failed; 0 for never.
    failed_in: Vec<u32>,
    counts: [Block; 2],
    fresh: Vec<u16>,
}

impl Tally {
    pub fn new(unit: Unit) -> Tally {
        let buckets = || vec![0; 10_000];
        Tally {
            unit,
            block: 1,
            period: 1,
            active: [buckets(), buckets()],
            failed: [buckets(), buckets()],
            failed_in: buckets(),
            counts: Default::default(),
            fresh: Vec::new(),
        }
    }

    /// `side` is 0 for the canary.
    #[inline]
    pub fn request(&mut self, side: usize, bucket: u16, failed: bool) {
        let at = usize::from(bucket);
        let stratum = match self.unit {
            Unit::Request => {
                self.counts[0].active[side] += 1;
                self.counts[0].failed[side] += u32::from(failed);
                return;
            }
            Unit::BucketOfBlock if self.active[side][at] == self.block => return,
            Unit::BucketOfBlock => 0,
            Unit::Bucket { .. } if self.failed_in[at] == self.period => return,
            Unit::Bucket { strata, .. } => usize::from(strata && self.failed_in[at] != 0),
        };
        if self.active[side][at] != self.block {
            self.active[side][at] = self.block;
            self.counts[stratum].active[side] += 1;
        }
        if failed && self.failed[side][at] != self.block {
            self.failed[side][at] = self.block;
            self.counts[stratum].failed[side] += 1;
            self.fresh.push(bucket);
        }
    }

    pub fn close(&mut self) -> [Block; 2] {
        for &bucket in &self.fresh {
            self.failed_in[usize::from(bucket)] = self.period;
        }
        self.drop_block()
    }

    pub fn drop_block(&mut self) -> [Block; 2] {
        self.block += 1;
        self.fresh.clear();
        std::mem::take(&mut self.counts)
    }

    pub fn forget(&mut self) {
        self.period += 1;
    }
}

/// The lists and the bitmaps count the same.
#[test]
fn counts_as_bitmaps_do() {
    let mut rng = fastrand::Rng::with_seed(1);
    let mut tally = Tally::new(SHIPPED);
    let (mut this_hour, mut earlier) = (vec![0; WORDS], vec![0; WORDS]);
    for block in 0..2_000 {
        let mut maps = vec![vec![0_u64; WORDS]; 4];
        for _ in 0..rng.usize(..200) {
            let (side, bucket, failed) = (rng.usize(..2), rng.u16(..500) * 20 + 7, rng.u8(..20) == 0);
            tally.request(side, bucket, failed);
            let (word, bit) = (usize::from(bucket) / 64, 1 << (bucket % 64));
            maps[2 * side][word] |= bit;
            maps[2 * side + 1][word] |= if failed { bit } else { 0 };
        }
        let [canary, stable] = [0, 2].map(|at| Side { active: &maps[at], failed: &maps[at + 1] });
        if block % 7 == 0 {
            tally.drop_block();
            continue;
        }
        assert_eq!(tally.close(), count_block(canary, stable, &mut this_hour, &earlier), "{block}");
        if block % 50 == 49 {
            tally.forget();
            turn_hour(&mut this_hour, &mut earlier);
        }
    }
}
