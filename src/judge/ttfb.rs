//! Times to first byte: their bins, and what counts as slow. The bin is found on the way of a request, thresholds are set by
//! the driver from the histogram of stable's earlier blocks.

use crate::counts::BINS;

/// 2^63 times 2^(1/4), 2^(1/2) and 2^(3/4), rounded up: where the quarters of an octave begin.
const QUARTERS: [u64; 3] = [0x9837_f051_8db8_a970, 0xb504_f333_f9de_6485, 0xd744_fcca_d69d_6af5];

/// Where bin 1 begins, in milliseconds.
const FIRST: u64 = 8;

/// A canary's answer is never slow up to here, in milliseconds.
const FLOOR: u64 = 50;

/// Fewer answers say nothing about a quantile.
const ANSWERS_MIN: u64 = 20;

/// The bin of a time in milliseconds: 0 below 8 ms, then quarters of an octave; the last is open.
#[inline]
pub fn bin(ms: u64) -> usize {
    if ms < FIRST {
        return 0;
    }
    let octave = ms.ilog2() - FIRST.ilog2();
    let mantissa = ms << ms.leading_zeros();
    let quarter = QUARTERS.iter().filter(|&&quarter| mantissa >= quarter).count();
    (1 + 4 * octave as usize + quarter).min(BINS - 1)
}

/// The bin in which the quantile `q` (0 to 1) lies; `None` for an empty histogram.
pub fn quantile_bin(histogram: &[u64; BINS], q: f64) -> Option<usize> {
    let total: u64 = histogram.iter().sum();
    let rank = ((q * total as f64).ceil() as u64).clamp(1, total.max(1));
    let mut below = 0;
    histogram.iter().position(|count| {
        below += count;
        below >= rank
    })
}

/// From which times on answers are slow, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlowThresholds {
    pub stable_ms: u64,
    pub canary_ms: u64,
}

impl SlowThresholds {
    /// The end of the bin that holds stable's quantile is stable's threshold t; the canary's is `factor` times t, and more
    /// than 50 ms. The hypothesis that the test can reject is then exactly: the odds that the canary takes `factor` * t or
    /// longer are at most the odds that stable takes t or longer. It holds whenever the canary is at most `factor` times
    /// as slow as stable. With a factor of 2 the canary's threshold is four bins further up.
    ///
    /// `None` while there is too little to know, or when the quantile lies in the open bin (55 s and more).
    pub fn new(histogram: &[u64; BINS], q: f64, factor: f64) -> Option<SlowThresholds> {
        if histogram.iter().sum::<u64>() < ANSWERS_MIN {
            return None;
        }
        let stable_ms = end(quantile_bin(histogram, q)?)?;
        // Times are whole milliseconds, cut off. From a whole t on, times twice as long are never below 2 t.
        let canary_ms = (stable_ms as f64 * factor).ceil() as u64;
        Some(SlowThresholds { stable_ms, canary_ms: canary_ms.max(FLOOR + 1) })
    }

    pub fn stable_is_slow(&self, ms: u64) -> bool {
        ms >= self.stable_ms
    }

    pub fn canary_is_slow(&self, ms: u64) -> bool {
        ms >= self.canary_ms
    }
}

/// The first millisecond past a bin; `None` for the open one.
fn end(bin: usize) -> Option<u64> {
    if bin + 1 >= BINS {
        return None;
    }
    let (octave, quarter) = (bin as u32 / 4, bin % 4);
    let start = FIRST << octave;
    Some(match quarter.checked_sub(1) {
        None => start,
        // start * 2^(quarter/4), rounded up; the constants are 2^63 times as much.
        Some(at) => (u128::from(start) * u128::from(QUARTERS[at])).div_ceil(1 << 63) as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quarters_of_an_octave() {
        let bins = [0, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 19, 20, 22, 23, 26, 27, 31, 32, 1000, 65_535];
        let expected = [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 28, 52];
        assert_eq!(bins.map(bin), expected);
        assert_eq!(bin(u64::MAX), BINS - 1);
        for ms in FIRST..200_000 {
            let exact = 1.0 + ((ms as f64 / 8.0).log2() * 4.0 + 1e-9).floor();
            assert_eq!(bin(ms), (exact as usize).min(BINS - 1), "{ms}");
        }
    }

    #[test]
    fn ends_are_where_the_next_bin_begins() {
        for at in 0..BINS - 1 {
            let end = end(at).unwrap();
            assert_eq!((bin(end - 1), bin(end)), (at, at + 1), "{end}");
        }
        assert_eq!(end(BINS - 1), None);
    }

    #[test]
    fn twice_is_a_shift_of_four_bins() {
        for at in 8..BINS - 5 {
            let mut histogram = [0; BINS];
            histogram[at] = 20;
            let slow = SlowThresholds::new(&histogram, 0.5, 2.0).unwrap();
            assert_eq!(slow.stable_ms, end(at).unwrap());
            // Rounded to whole milliseconds, each by itself.
            assert!(slow.canary_ms.abs_diff(end(at + 4).unwrap()) <= 1, "{slow:?}");
            assert!(!slow.stable_is_slow(slow.stable_ms - 1) && slow.stable_is_slow(slow.stable_ms));
            assert!(!slow.canary_is_slow(slow.canary_ms - 1) && slow.canary_is_slow(slow.canary_ms));
        }
    }

    /// A canary of exactly `factor` times stable's times is never slow where stable is not, whole milliseconds or not.
    #[test]
    fn exactly_the_factor_is_allowed() {
        for at in 0..BINS - 1 {
            let mut histogram = [0; BINS];
            histogram[at] = 100;
            for factor in [1.0, 1.5, 2.0, 2.7, 10.0] {
                let slow = SlowThresholds::new(&histogram, 0.9, factor).unwrap();
                for tenth in slow.stable_ms * 10 - 25..slow.stable_ms * 10 + 25 {
                    let time = tenth as f64 / 10.0;
                    let [stable, canary] = [time, time * factor].map(|time| time as u64);
                    assert!(slow.stable_is_slow(stable) || !slow.canary_is_slow(canary), "{slow:?} {time}");
                }
            }
        }
    }

    #[test]
    fn quantiles() {
        let mut histogram = [0; BINS];
        assert_eq!(quantile_bin(&histogram, 0.5), None);
        assert_eq!(SlowThresholds::new(&histogram, 0.5, 2.0), None);
        (histogram[3], histogram[10], histogram[20]) = (50, 40, 10);
        let at = [0.0, 0.01, 0.5, 0.51, 0.9, 0.91, 1.0].map(|q| quantile_bin(&histogram, q));
        assert_eq!(at, [3, 3, 3, 10, 10, 20, 20].map(Some));
    }

    #[test]
    fn nothing_is_slow_up_to_50_ms_or_past_the_last_bin() {
        let mut histogram = [0; BINS];
        histogram[0] = 100;
        let slow = SlowThresholds::new(&histogram, 0.5, 2.0).unwrap();
        assert!(slow.stable_is_slow(8) && !slow.canary_is_slow(50) && slow.canary_is_slow(51));
        histogram[BINS - 1] = 1000;
        assert_eq!(SlowThresholds::new(&histogram, 0.5, 2.0), None);
    }
}
