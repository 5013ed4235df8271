//! The likelihood ratio of one block: how much better odds of `w` explain which of the failures fell on the canary. Used by
//! the streams of evidence.

/// `f_w(k_c) / f_1(k_c)` of Fisher's noncentral hypergeometric distribution, given all that failed. Its mean is at most 1
/// for any true odds up to 1. Capped to what a float can hold.
pub fn likelihood_ratio(w: f64, n_canary: u32, n_stable: u32, k_canary: u32, k_stable: u32) -> f64 {
    ln_likelihood_ratio(w, n_canary, n_stable, k_canary, k_stable).exp().min(f64::MAX)
}

/// The logarithm of [`likelihood_ratio`].
pub fn ln_likelihood_ratio(w: f64, n_canary: u32, n_stable: u32, k_canary: u32, k_stable: u32) -> f64 {
    let (k_canary, k_stable) = (k_canary.min(n_canary), k_stable.min(n_stable));
    let k = k_canary + k_stable;
    // Nobody failed, everybody failed, or there is nobody to compare with: nothing is learnt.
    if k == 0 || n_canary == 0 || n_stable == 0 || k == n_canary + n_stable {
        return 0.0;
    }
    if k == 1 {
        let (n_canary, n_stable) = (f64::from(n_canary), f64::from(n_stable));
        let odds = if k_canary == 1 { w } else { 1.0 };
        return (odds * (n_canary + n_stable) / (w * n_canary + n_stable)).ln();
    }
    // f_w / f_1 = w^k_c / E[w^J] with J hypergeometric; both sums over j are taken relative to their first term.
    let lowest = k.saturating_sub(n_stable);
    let (mut plain, mut tilted) = (Sum::new(), Sum::new());
    for j in lowest..k.min(n_canary) {
        let up = f64::from(n_canary - j) * f64::from(k - j);
        let down = f64::from(j + 1) * f64::from(n_stable - (k - j) + 1);
        plain.next(up / down);
        tilted.next(up / down * w);
    }
    f64::from(k_canary - lowest) * w.ln() - (tilted.ln() - plain.ln())
}

/// A sum of terms given by the ratios between them, which rise and then fall; scaled down when it grows, so that it
/// never overflows. A term that underflows is past the largest one, and so are all after it.
struct Sum {
    term: f64,
    sum: f64,
    scale: f64,
}

impl Sum {
    const LARGE: f64 = 1e250;

    fn new() -> Sum {
        Sum { term: 1.0, sum: 1.0, scale: 0.0 }
    }

    fn next(&mut self, ratio: f64) {
        self.term *= ratio;
        self.sum += self.term;
        if self.sum > Sum::LARGE {
            self.term /= Sum::LARGE;
            self.sum /= Sum::LARGE;
            self.scale += Sum::LARGE.ln();
        }
    }

    fn ln(&self) -> f64 {
        self.sum.ln() + self.scale
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::ODDS;

    fn choose(n: u32, k: u32) -> f64 {
        (0..k).map(|i| f64::from(n - i) / f64::from(i + 1)).product()
    }

    /// The probability of `k_canary` straight from the definition.
    fn density(w: f64, n: [u32; 2], k: u32, k_canary: u32) -> f64 {
        let term = |j: u32| choose(n[0], j) * choose(n[1], k - j) * w.powi(j as i32);
        term(k_canary) / (k.saturating_sub(n[1])..=k.min(n[0])).map(term).sum::<f64>()
    }

    #[test]
    fn equals_the_definition() {
        for n_canary in 1..=7_u32 {
            for n_stable in 1..=9_u32 {
                for k in 0..=n_canary + n_stable {
                    for j in k.saturating_sub(n_stable)..=k.min(n_canary) {
                        for w in ODDS {
                            let n = [n_canary, n_stable];
                            let expected = density(w, n, k, j) / density(1.0, n, k, j);
                            let got = likelihood_ratio(w, n_canary, n_stable, j, k - j);
                            assert!(
                                (got / expected - 1.0).abs() < 1e-9,
                                "{w} {n:?} {k} {j}: {got} {expected}"
                            );
                        }
                    }
                }
            }
        }
    }

    /// The mean is 1 at equal odds, and less where the canary does better.
    #[test]
    fn is_fair_at_equal_odds_and_loses_below() {
        for (n, k) in [([1, 1], 1_u32), ([2, 18], 1), ([2, 18], 3), ([5, 5], 5), ([9, 2], 4), ([40, 60], 30)]
        {
            for w in ODDS {
                let mean = |odds: f64| -> f64 {
                    (k.saturating_sub(n[1])..=k.min(n[0]))
                        .map(|j| density(odds, n, k, j) * likelihood_ratio(w, n[0], n[1], j, k - j))
                        .sum()
                };
                assert!((mean(1.0) - 1.0).abs() < 1e-9, "{n:?} {k} {w}: {}", mean(1.0));
                assert!(mean(0.9) < 1.0 && mean(0.1) < mean(0.9), "{n:?} {k} {w}");
            }
        }
    }

    #[test]
    fn large_blocks_stay_finite() {
        for (n_canary, n_stable) in [(10_000, 10_000), (1, 10_000), (10_000, 1), (100, 9_900)] {
            for k_canary in [0, 1, n_canary / 2, n_canary] {
                for k_stable in [0, 1, n_stable / 2, n_stable] {
                    for w in ODDS {
                        let ln = ln_likelihood_ratio(w, n_canary, n_stable, k_canary, k_stable);
                        let ratio = likelihood_ratio(w, n_canary, n_stable, k_canary, k_stable);
                        assert!(ln.is_finite() && ratio.is_finite() && ratio >= 0.0, "{ln} {ratio}");
                    }
                }
            }
        }
        // All of the canary failed and half of stable: close to the ratio of independent requests.
        let ln = ln_likelihood_ratio(3.0, 10, 9_990, 10, 4_995);
        assert!((ln - 10.0 * (3.0_f64 / 2.0).ln()).abs() < 0.02, "{ln}");
    }
}
