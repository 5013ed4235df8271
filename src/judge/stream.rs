//! One e-process: what the blocks so far say about one kind of failure. Three of them make the evidence of a release.

use serde::{Deserialize, Serialize};

use super::likelihood::ln_likelihood_ratio;

/// The odds that are bet on, in equal shares: how many times those of stable a bad canary's may be.
pub const ODDS: [f64; 7] = [2.0, 3.0, 5.0, 10.0, 30.0, 100.0, 1000.0];

/// More wealth than any threshold asks for; less than what would overflow. Losing the rest keeps the promise.
const WEALTH_MAX: f64 = 1e100;

/// Distinct buckets of one block and how many of them failed; the canary first, then stable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Block {
    pub active: [u32; 2],
    pub failed: [u32; 2],
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Recorded")]
pub struct Stream {
    starts: u32,
    /// By [`ODDS`].
    wealth: [f64; ODDS.len()],
}

/// A stream as a file gives it.
#[derive(Deserialize)]
struct Recorded {
    starts: u32,
    wealth: [f64; ODDS.len()],
}

impl Stream {
    pub const WORDS: usize = 1 + ODDS.len();

    pub fn new() -> Stream {
        Stream::default()
    }

    /// Puts in the next part of the stake, so that a fault that begins late is bet on with fresh money: part m is
    /// 1/(m(m+1)), and all parts together are the whole.
    pub fn start(&mut self) {
        self.starts = self.starts.saturating_add(1);
        let m = f64::from(self.starts);
        for wealth in &mut self.wealth {
            *wealth = (*wealth + 1.0 / (m * (m + 1.0) * ODDS.len() as f64)).min(WEALTH_MAX);
        }
    }

    pub fn starts(&self) -> u32 {
        self.starts
    }

    pub fn block(&mut self, block: Block) {
        let ([n_canary, n_stable], [k_canary, k_stable]) = (block.active, block.failed);
        if k_canary == 0 && k_stable == 0 {
            return;
        }
        for (wealth, w) in self.wealth.iter_mut().zip(ODDS) {
            let ln = wealth.ln() + ln_likelihood_ratio(w, n_canary, n_stable, k_canary, k_stable);
            *wealth = ln.exp().min(WEALTH_MAX);
        }
    }

    /// The evidence: all bets and the stake not put in yet. 1 at first; the chance that it ever reaches x without a true
    /// difference is at most 1/x.
    pub fn e(&self) -> f64 {
        self.wealth.iter().sum::<f64>() + 1.0 / (f64::from(self.starts) + 1.0)
    }

    /// For shared memory: the starts, then the bits of the wealth.
    pub fn to_words(&self) -> [u64; Stream::WORDS] {
        let mut words = [0; Stream::WORDS];
        words[0] = u64::from(self.starts);
        for (word, wealth) in words[1..].iter_mut().zip(self.wealth) {
            *word = wealth.to_bits();
        }
        words
    }

    /// `None` if the words hold what no stream can be.
    pub fn from_words(words: &[u64; Stream::WORDS]) -> Option<Stream> {
        let mut wealth = [0.0; ODDS.len()];
        for (wealth, &word) in wealth.iter_mut().zip(&words[1..]) {
            *wealth = f64::from_bits(word);
        }
        Recorded { starts: u32::try_from(words[0]).ok()?, wealth }.try_into().ok()
    }
}

impl TryFrom<Recorded> for Stream {
    type Error = String;

    fn try_from(Recorded { starts, wealth }: Recorded) -> Result<Stream, String> {
        match wealth.iter().find(|wealth| !(0.0..=WEALTH_MAX).contains(*wealth)) {
            Some(wrong) => Err(format!("{wrong} is no wealth: it is between 0 and 1e100")),
            None => Ok(Stream { starts, wealth }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stakes_add_up_to_one() {
        let mut stream = Stream::new();
        for _ in 0..10_000 {
            assert!((stream.e() - 1.0).abs() < 1e-9);
            stream.start();
        }
    }

    #[test]
    fn nothing_is_bet_before_the_first_start() {
        let mut stream = Stream::new();
        stream.block(Block { active: [2, 18], failed: [2, 0] });
        assert_eq!(stream.e(), 1.0);
    }

    /// A crash at 10 %: each block of two canary users and 18 of stable.
    #[test]
    fn a_crash_needs_few_units() {
        let mut stream = Stream::new();
        stream.start();
        for _ in 0..3 {
            stream.block(Block { active: [2, 18], failed: [2, 0] });
        }
        assert!(stream.e() > 1000.0, "{}", stream.e());
    }

    #[test]
    fn nothing_overflows_whatever_happens() {
        let mut stream = Stream::new();
        for failed in [[10_000, 0], [0, 10_000], [10_000, 0]] {
            for _ in 0..10 {
                stream.start();
                stream.block(Block { active: [10_000, 10_000], failed });
                stream.block(Block { active: [1, 10_000], failed: [u32::MAX / 2, u32::MAX / 2] });
                assert!(stream.e().is_finite() && stream.e() >= 0.0, "{stream:?}");
            }
        }
        assert_eq!(Stream::from_words(&stream.to_words()), Some(stream));
    }
}
