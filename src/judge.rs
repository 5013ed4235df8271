//! Whether a release does worse than stable at the same time: a sequential test that may be looked at every second for as
//! long as a rollout lasts. Called once a second by the driver of a policy, for each judged release.
//!
//! The test is a stratified conditional e-process, as in the safe logrank test (ter Schure, Pérez-Ortiz, Ly, Grünwald,
//! arXiv 2011.06931, with ties; Turner, Ly, Grünwald, arXiv 2106.02693 for two proportions), started anew each five
//! minutes with a part of the stake (a mixture over the time of the change, as in Shin, Ramdas, Rinaldo,
//! arXiv 2203.03532). Ville's inequality (1939) bounds the chance that the evidence ever reaches 1/alpha without a true
//! difference by alpha.

mod bitmap;
mod boundary;
pub mod burst;
mod likelihood;
mod stream;
mod ttfb;

pub use bitmap::{Side, WORDS, count_block, count_units, turn_hour};
pub use boundary::{BLOCK_SECONDS, BlockEnd, block_is_complete};
pub use likelihood::{likelihood_ratio, ln_likelihood_ratio};
pub use stream::{Block, ODDS, Stream};
pub use ttfb::{SlowThresholds, bin, quantile_bin};

use serde::{Deserialize, Serialize};

use crate::duration::Seconds;

/// How long a bucket that has failed is not counted again, at least.
pub const HOUR: Seconds = 3_600;

/// How often a part of the stake goes in. Failures that both releases have use up what was bet on large differences, so
/// that a crash would go unseen until the next start.
const STAKE_SECONDS: Seconds = 300;
const STARTS_AN_HOUR: u32 = (HOUR / STAKE_SECONDS) as u32;

/// For how long a success of the release that would take the traffic speaks for it.
const HEIR_SECONDS: Seconds = 60;

/// What speaks against one release generation. Never reset on changes of weight or looks: only a new generation or an
/// operator's `reset` starts afresh.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Failures.
    pub fail: Stream,
    /// Answers slower than `ttfb=` times stable's median.
    pub p50: Stream,
    /// The same for the 90th percentile.
    pub p90: Stream,
    /// Blocks counted.
    pub blocks: u64,
    /// When the next part of the stake is due.
    pub next_start: Seconds,
    /// `blocks` when the last one went in.
    blocks_before: u64,
}

impl Evidence {
    pub const WORDS: usize = 3 * Stream::WORDS + 3;

    /// To call each second before the block is counted: puts in a part of the stake where it is due. True when a new hour
    /// has begun, in which the caller forgets who failed in the last one ([`turn_hour`]). Nothing is due until a block has
    /// come since the last time: that depends on arrivals only, and spares the stake at night.
    pub fn start_if_due(&mut self, now: Seconds) -> bool {
        let first = self.fail.starts() == 0;
        if !first && (now < self.next_start || self.blocks == self.blocks_before) {
            return false;
        }
        for stream in [&mut self.fail, &mut self.p50, &mut self.p90] {
            stream.start();
        }
        self.next_start = now.saturating_add(STAKE_SECONDS);
        self.blocks_before = self.blocks;
        self.fail.starts() % STARTS_AN_HOUR == 1
    }

    /// Counts a closed block, by its strata ([`count_block`]).
    pub fn block(&mut self, fail: &[Block], slow50: &[Block], slow90: &[Block]) {
        for (stream, strata) in [(&mut self.fail, fail), (&mut self.p50, slow50), (&mut self.p90, slow90)] {
            strata.iter().for_each(|&block| stream.block(block));
        }
        self.blocks = self.blocks.saturating_add(1);
    }

    /// An average of e-processes is one, however they depend on each other.
    pub fn total(&self) -> f64 {
        self.fail.e() / 2.0 + self.p50.e() / 4.0 + self.p90.e() / 4.0
    }

    pub fn to_words(&self) -> [u64; Evidence::WORDS] {
        let mut words = [0; Evidence::WORDS];
        let (streams, rest) = words.split_at_mut(3 * Stream::WORDS);
        for (place, stream) in streams.chunks_exact_mut(Stream::WORDS).zip([&self.fail, &self.p50, &self.p90])
        {
            place.copy_from_slice(&stream.to_words());
        }
        rest.copy_from_slice(&[self.blocks, self.next_start, self.blocks_before]);
        words
    }

    /// `None` if the words hold what no evidence can be.
    pub fn from_words(words: &[u64; Evidence::WORDS]) -> Option<Evidence> {
        let (streams, rest) = words.as_chunks::<{ Stream::WORDS }>();
        let ([fail, p50, p90], [blocks, next_start, blocks_before]) = (streams, rest) else { return None };
        Some(Evidence {
            fail: Stream::from_words(fail)?,
            p50: Stream::from_words(p50)?,
            p90: Stream::from_words(p90)?,
            blocks: *blocks,
            next_start: *next_start,
            blocks_before: *blocks_before,
        })
    }
}

/// The evidence that takes a release down: `alpha` is 1 - confidence, shared by the judged releases of a policy.
pub fn threshold(alpha: f64, canaries: usize) -> f64 {
    canaries.max(1) as f64 / alpha
}

/// Whether the release that would take the traffic lives: it had a successful attempt lately. Otherwise a verdict is
/// reported only.
pub fn may_take_down(now: Seconds, heir_last_success: Option<Seconds>) -> bool {
    heir_last_success.is_some_and(|at| now.saturating_sub(at) <= HEIR_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crash() -> [Block; 1] {
        [Block { active: [2, 18], failed: [2, 0] }]
    }

    #[test]
    fn stakes_go_in_each_five_minutes_with_a_block_and_twelve_make_an_hour() {
        let mut evidence = Evidence::default();
        assert!(
            evidence.start_if_due(1_000) && !evidence.start_if_due(1_001) && !evidence.start_if_due(4_600)
        );
        assert_eq!((evidence.fail.starts(), evidence.next_start), (1, 1_300));
        for start in 1..=12 {
            evidence.block(&[], &[], &[]);
            let due = 1_000 + 300 * start;
            assert!(
                !evidence.start_if_due(due - 1) && evidence.start_if_due(due) == (start == 12),
                "{start}"
            );
            assert!(!evidence.start_if_due(due + 9_000), "without a block");
        }
        assert_eq!((evidence.fail.starts(), evidence.next_start), (13, 4_900));
    }

    #[test]
    fn weighs_failures_half_and_slowness_a_quarter_each() {
        let mut evidence = Evidence::default();
        evidence.start_if_due(0);
        assert!((evidence.total() - 1.0).abs() < 1e-12);
        evidence.block(&crash(), &[], &[]);
        let fail = evidence.fail.e();
        assert!(fail > 20.0 && (evidence.total() - (fail / 2.0 + 0.5)).abs() < 1e-12);
        evidence.block(&[], &crash(), &crash());
        assert!((evidence.total() - fail).abs() < 1e-9);
    }

    #[test]
    fn words_and_json_keep_everything_and_refuse_nonsense() {
        let mut evidence = Evidence::default();
        evidence.start_if_due(7);
        evidence.block(&crash(), &[], &crash());
        assert_eq!(Evidence::from_words(&evidence.to_words()), Some(evidence.clone()));
        let json = serde_json::to_string(&evidence).unwrap();
        let back: Evidence = serde_json::from_str(&json).unwrap();
        assert!((back.total() / evidence.total() - 1.0).abs() < 1e-12 && back.next_start == 307, "{json}");
        assert!(serde_json::from_str::<Evidence>(&json.replace("\"starts\":1", "\"starts\":-1")).is_err());
        for (word, bits) in [(1, f64::NAN), (2, f64::INFINITY), (Stream::WORDS + 1, -1.0)] {
            let mut words = evidence.to_words();
            words[word] = bits.to_bits();
            assert_eq!(Evidence::from_words(&words), None, "{bits}");
        }
    }

    #[test]
    fn threshold_is_shared_by_the_canaries() {
        assert_eq!(threshold(0.001, 1), 1000.0);
        assert_eq!(threshold(0.001, 3), 3000.0);
        assert_eq!(threshold(0.05, 0), 20.0);
    }

    #[test]
    fn no_verdict_without_a_living_heir() {
        assert!(may_take_down(100, Some(40)) && !may_take_down(100, Some(39)) && !may_take_down(100, None));
    }
}
