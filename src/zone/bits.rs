//! A bit for each bucket: which users were active, failed or slow since the driver looked. Set by requests, taken by the
//! judge.

use core::sync::atomic::Ordering::Relaxed;

use super::Numbers;

pub use crate::judge::WORDS;

/// A copy, for the judge.
pub type Words = [u64; WORDS];

#[derive(Debug, Default)]
#[repr(transparent)]
pub struct Bits(Numbers<WORDS>);

impl Bits {
    /// Sets the bit of a bucket. Whether it was not set before.
    #[inline]
    pub fn set(&self, bucket: u16) -> bool {
        let (word, bit) = (usize::from(bucket / 64), 1 << (bucket % 64));
        let Some(word) = self.0.get(word) else {
            return false;
        };
        // Most often it is set: a look costs less than a locked write.
        word.load(Relaxed) & bit == 0 && word.fetch_or(bit, Relaxed) & bit == 0
    }

    /// What has been set since the last call. A bit that is set meanwhile comes with the next call.
    pub fn take(&self) -> Words {
        core::array::from_fn(|index| match self.0[index].load(Relaxed) {
            0 => 0,
            _ => self.0[index].swap(0, Relaxed),
        })
    }

    pub fn load(&self) -> Words {
        self.0.load()
    }

    pub fn store(&self, words: &Words) {
        self.0.store(words);
    }

    pub fn clear(&self) {
        self.store(&[0; WORDS]);
    }
}
