//! The bins of the time to first byte: their bounds, and what can be said of a distribution that fell into them. Used by
//! the metrics and the API.

use crate::counts::BINS;

/// The lower bound of a bin in milliseconds: 0 for the first, then 8 ms and quarters of an octave.
pub fn lower(bin: usize) -> f64 {
    match bin {
        0 => 0.0,
        _ => FIRST * 2_f64.powf((bin - 1) as f64 / PER_OCTAVE as f64),
    }
}

/// The upper bound of the first bin, in milliseconds.
const FIRST: f64 = 8.0;
const PER_OCTAVE: usize = 4;

/// The bounds that the histogram shows, each with the number of bins below it: whole octaves from 8 ms to 32.768 s.
pub fn octaves() -> impl Iterator<Item = (f64, usize)> {
    (1..BINS).step_by(PER_OCTAVE).map(|bin| (lower(bin), bin))
}

/// The time in milliseconds below which a share `q` of the answers came, by interpolation in its bin. What fell into the
/// last bin, which has no end, counts as its lower bound. `None` without answers.
pub fn quantile(bins: &[u64], q: f64) -> Option<f64> {
    let rank = bins.iter().sum::<u64>() as f64 * q;
    let mut below = 0.0;
    for (bin, &count) in bins.iter().enumerate().filter(|&(_, &count)| count > 0) {
        if below + count as f64 >= rank {
            let part = if bin + 1 < bins.len() { (rank - below) / count as f64 } else { 0.0 };
            return Some(lower(bin) + (lower(bin + 1) - lower(bin)) * part);
        }
        below += count as f64;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::bin;

    #[test]
    fn bounds() {
        let exact: Vec<f64> = octaves().map(|(bound, _)| bound).collect();
        let powers: Vec<f64> = (3..=15).map(|power| f64::from(1 << power)).collect();
        assert_eq!(exact, powers);
        assert_eq!(octaves().last(), Some((32_768.0, 49)));
        assert!(
            (lower(2) - 9.513_656_920_021_768).abs() < 1e-9 && (1..BINS).all(|b| lower(b) > lower(b - 1))
        );
    }

    /// Times are whole milliseconds, cut off.
    #[test]
    fn bounds_are_those_of_counting() {
        assert_eq!((bin(7), bin(8)), (0, 1));
        for number in 2..BINS {
            let first = lower(number).ceil() as u64;
            assert_eq!((bin(first - 1), bin(first)), (number - 1, number), "{first} ms");
        }
    }

    #[test]
    fn quantiles() {
        let mut bins = vec![0; BINS];
        assert_eq!(quantile(&bins, 0.5), None);
        bins[0] = 10;
        assert_eq!(quantile(&bins, 0.5), Some(4.0));
        assert_eq!(quantile(&bins, 1.0), Some(8.0));
        bins[1] = 10;
        assert_eq!(quantile(&bins, 0.5), Some(8.0));
        assert_eq!(quantile(&bins, 0.75), Some((lower(1) + lower(2)) / 2.0));
        bins[BINS - 1] = 1000;
        assert_eq!(quantile(&bins, 0.9), Some(lower(BINS - 1)));
    }
}
