//! From bitmaps of buckets to the numbers of a block. Called by the driver when a block closes, on copies of the words that
//! all workers set.

use super::stream::Block;
use crate::hash::BUCKETS;

/// The words of a bitmap with a bit for each bucket.
pub const WORDS: usize = (BUCKETS as usize).div_ceil(u64::BITS as usize);

/// What came to one release during a block.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// Buckets with a judged request.
    pub active: &'a [u64],
    /// Those of them with one that failed (or was slow).
    pub failed: &'a [u64],
}

/// Counts the distinct active buckets of both releases that have not failed this hour, and how many of them failed now,
/// and marks those in `this_hour`. A bucket counts one failure an hour, so that retries, one broken user or a script count once.
///
/// Buckets that failed in an `earlier` hour are a stratum of their own, the second: somebody who fails every hour is
/// compared with others who do. Otherwise a broken user who happens to be on a small canary would be counted against
/// it again each hour, until it falls.
pub fn count_block(canary: Side, stable: Side, this_hour: &mut [u64], earlier: &[u64]) -> [Block; 2] {
    let mut strata = [Block::default(); 2];
    for (i, this_hour) in this_hour.iter_mut().enumerate() {
        let word = |bitmap: &[u64]| bitmap.get(i).copied().unwrap_or_default();
        let earlier = word(earlier);
        let mut failed_now = 0;
        for (side, release) in [canary, stable].iter().enumerate() {
            let failed = word(release.failed) & !*this_hour;
            let active = (word(release.active) & !*this_hour) | failed;
            for (block, mask) in strata.iter_mut().zip([!earlier, earlier]) {
                block.active[side] += (active & mask).count_ones();
                block.failed[side] += (failed & mask).count_ones();
            }
            failed_now |= failed;
        }
        *this_hour |= failed_now;
    }
    strata
}

/// The distinct active buckets of a release, for the end of the block.
pub fn count_units(active: &[u64]) -> u32 {
    active.iter().map(|word| word.count_ones()).sum()
}

/// A new hour: who failed in the last one has failed earlier, and may count again.
pub fn turn_hour(this_hour: &mut [u64], earlier: &mut [u64]) {
    for (this_hour, earlier) in this_hour.iter_mut().zip(earlier) {
        *earlier |= *this_hour;
        *this_hour = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bitmap(buckets: &[usize]) -> Vec<u64> {
        let mut words = vec![0; WORDS];
        buckets.iter().for_each(|b| words[b / 64] |= 1 << (b % 64));
        words
    }

    fn count(canary: [&[usize]; 2], stable: [&[usize]; 2], hour: &mut [u64], earlier: &[u64]) -> [Block; 2] {
        let [canary, stable] = [canary, stable].map(|side| side.map(bitmap));
        count_block(
            Side { active: &canary[0], failed: &canary[1] },
            Side { active: &stable[0], failed: &stable[1] },
            hour,
            earlier,
        )
    }

    #[test]
    fn a_bucket_fails_once_an_hour() {
        let (mut hour, mut earlier) = (bitmap(&[]), bitmap(&[]));
        let canary: [&[usize]; 2] = [&[0, 63, 64, 999], &[64]];
        let stable: [&[usize]; 2] = [&[5000, 9999], &[9999]];
        let first = Block { active: [4, 2], failed: [1, 1] };
        assert_eq!(count(canary, stable, &mut hour, &earlier), [first, Block::default()]);
        let again = Block { active: [3, 1], failed: [0, 0] };
        assert_eq!(count(canary, stable, &mut hour, &earlier), [again, Block::default()]);
        turn_hour(&mut hour, &mut earlier);
        assert_eq!((count_units(&hour), count_units(&earlier)), (0, 2));
        let strangers = Block { active: [3, 1], failed: [0, 0] };
        let known = Block { active: [1, 1], failed: [1, 1] };
        assert_eq!(count(canary, stable, &mut hour, &earlier), [strangers, known]);
    }

    /// Two tabs of one user, one page of each release: neither side goes first.
    #[test]
    fn a_bucket_on_both_sides_counts_on_both() {
        let mut hour = bitmap(&[]);
        let both: [&[usize]; 2] = [&[7], &[7]];
        let block = Block { active: [1, 1], failed: [1, 1] };
        assert_eq!(count(both, both, &mut hour, &bitmap(&[])), [block, Block::default()]);
        assert_eq!(count(both, both, &mut hour, &bitmap(&[])), [Block::default(); 2]);
    }

    #[test]
    fn who_failed_was_active() {
        let (none, some): ([&[usize]; 2], [&[usize]; 2]) = ([&[], &[]], [&[], &[3]]);
        assert_eq!(count(some, none, &mut bitmap(&[]), &bitmap(&[]))[0].active, [1, 0]);
    }
}
