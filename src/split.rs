//! Anchored ranges: which users a release gets at its weight.
//!
//! Each release grows from an anchor of its own that only the file moves, so raising one weight moves users
//! from the stable release into that release and never between two others; lowering it gives back the last
//! to come, first. Stacked ranges (as in `split_clients`) would shift every range behind the one that grows.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::hash::HashMode;
use crate::percent::Percent;

/// Where a release's range starts, and the way it grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Anchor {
    /// Grows up from here.
    Up(Percent),
    /// Grows down from 100 %.
    Top,
}

impl Anchor {
    /// The anchor of a release without `from=`: of the releases after the stable one, the first grows up
    /// from 0, the second down from the top, and further ones have none.
    pub fn default_of(release: usize) -> Option<Anchor> {
        match release {
            1 => Some(Anchor::Up(Percent::ZERO)),
            2 => Some(Anchor::Top),
            _ => None,
        }
    }
}

/// As `from=` has it.
impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Anchor::Up(from) => from.fmt(f),
            Anchor::Top => f.write_str("top"),
        }
    }
}

/// What a release other than the stable one asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Index of the release in its policy.
    pub release: usize,
    /// `None` only while the weight is 0.
    pub anchor: Option<Anchor>,
    pub weight: Percent,
}

/// Why shares cannot stand together. Names releases by index; the caller knows their names and lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SplitError {
    NoAnchor { release: usize },
    TooMuch { release: usize },
    PastTop { release: usize, from: Percent, weight: Percent },
    Overlap { release: usize, other: usize },
    NotWhole { release: usize },
}

impl SplitError {
    /// The release at fault.
    pub fn release(&self) -> usize {
        match *self {
            SplitError::NoAnchor { release }
            | SplitError::TooMuch { release }
            | SplitError::PastTop { release, .. }
            | SplitError::Overlap { release, .. }
            | SplitError::NotWhole { release } => release,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Range {
    release: usize,
    start: u64,
    end: u64,
}

/// The ranges in force. Users outside of all of them belong to the stable release.
#[derive(Clone, Debug, Default)]
pub struct Split {
    mode: HashMode,
    ranges: Box<[Range]>,
}

impl Split {
    /// Lays out the ranges on the scale of `mode`.
    pub fn new(mode: HashMode, shares: &[Share]) -> Result<Split, SplitError> {
        let mut placed: Vec<(usize, Percent, Percent)> = Vec::new();
        let mut total = Percent::ZERO;
        for share in shares {
            if mode == HashMode::Unleash && !share.is_whole() {
                return Err(SplitError::NotWhole { release: share.release });
            }
            if share.weight == Percent::ZERO {
                continue;
            }
            total = total.checked_add(share.weight).ok_or(SplitError::TooMuch { release: share.release })?;
            let (start, end) = share.ends()?;
            if let Some(&(other, ..)) = placed.iter().find(|&&(_, s, e)| start < e && s < end) {
                return Err(SplitError::Overlap { release: share.release, other });
            }
            placed.push((share.release, start, end));
        }
        placed.sort_unstable_by_key(|&(_, start, _)| start);
        Ok(Split { mode, ranges: lay_out(mode, &placed) })
    }

    /// The release whose range holds `position` (of [`HashMode::place`]); `None` is the stable one.
    #[inline]
    pub fn release_at(&self, position: u32) -> Option<usize> {
        let position = u64::from(position);
        self.ranges.iter().find(|r| r.start <= position && position < r.end).map(|r| r.release)
    }

    /// The same, with the first position of its range and the first one behind it.
    pub fn range_at(&self, position: u32) -> Option<(usize, u64, u64)> {
        let position = u64::from(position);
        let range = self.ranges.iter().find(|r| r.start <= position && position < r.end)?;
        Some((range.release, range.start, range.end))
    }

    pub fn mode(&self) -> HashMode {
        self.mode
    }
}

/// Puts ranges and the gaps between them, in their order, side by side on the scale of `mode`. `split_clients` rounds
/// each share down by itself, the stable one between two others too; its `*` takes what is left, the last value
/// included.
fn lay_out(mode: HashMode, placed: &[(usize, Percent, Percent)]) -> Box<[Range]> {
    let (mut reached, mut position) = (Percent::ZERO, 0);
    let range = |&(release, from, to): &(usize, Percent, Percent)| {
        let start = position + mode.width(from.minus(reached));
        let end = start + mode.width(to.minus(from));
        (reached, position) = (to, end);
        Range { release, start, end: if to == Percent::FULL { u64::from(u32::MAX) + 1 } else { end } }
    };
    placed.iter().map(range).collect()
}

impl Share {
    fn ends(&self) -> Result<(Percent, Percent), SplitError> {
        match self.anchor {
            None => Err(SplitError::NoAnchor { release: self.release }),
            Some(Anchor::Top) => Ok((self.weight.rest(), Percent::FULL)),
            Some(Anchor::Up(from)) => from
                .checked_add(self.weight)
                .map(|end| (from, end))
                .ok_or(SplitError::PastTop { release: self.release, from, weight: self.weight }),
        }
    }

    fn is_whole(&self) -> bool {
        self.weight.is_whole() && !matches!(self.anchor, Some(Anchor::Up(from)) if !from.is_whole())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn percent(text: &str) -> Percent {
        Percent::parse(text).unwrap()
    }

    fn share(release: usize, anchor: Option<Anchor>, weight: &str) -> Share {
        Share { release, anchor, weight: percent(weight) }
    }

    #[test]
    fn first_grows_from_zero_second_from_the_top() {
        let shares = [share(1, Anchor::default_of(1), "10%"), share(2, Anchor::default_of(2), "0.01%")];
        let split = Split::new(HashMode::Native, &shares).unwrap();
        for (position, release) in [(0, Some(1)), (999, Some(1)), (1000, None), (9998, None), (9999, Some(2))]
        {
            assert_eq!(split.release_at(position), release, "{position}");
        }
    }

    #[test]
    fn refuses_what_cannot_stand_together() {
        let up = |text| Some(Anchor::Up(percent(text)));
        let cases = [
            (vec![share(3, None, "1%")], SplitError::NoAnchor { release: 3 }),
            (
                vec![share(1, up("0%"), "60%"), share(2, Some(Anchor::Top), "50%")],
                SplitError::TooMuch { release: 2 },
            ),
            (
                vec![share(1, up("95%"), "10%")],
                SplitError::PastTop { release: 1, from: percent("95%"), weight: percent("10%") },
            ),
            (
                vec![share(1, up("0%"), "30%"), share(2, up("20%"), "10%")],
                SplitError::Overlap { release: 2, other: 1 },
            ),
        ];
        for (shares, error) in cases {
            assert_eq!(Split::new(HashMode::Native, &shares).unwrap_err(), error);
        }
        let part = [share(1, up("0%"), "0.5%")];
        assert_eq!(Split::new(HashMode::Unleash, &part).unwrap_err(), SplitError::NotWhole { release: 1 });
    }

    #[test]
    fn no_anchor_is_needed_at_zero() {
        assert!(Split::new(HashMode::Native, &[share(3, None, "0%")]).is_ok());
    }

    #[test]
    fn split_clients_bounds_are_nginx_s() {
        let first = [share(1, Some(Anchor::Up(Percent::ZERO)), "0.5%")];
        let split = Split::new(HashMode::SplitClients, &first).unwrap();
        assert_eq!(split.release_at(21_474_835), Some(1));
        assert_eq!(split.release_at(21_474_836), None);
        let last = Split::new(HashMode::SplitClients, &[share(1, Some(Anchor::Top), "98%")]).unwrap();
        assert_eq!(last.release_at(u32::MAX), Some(1));
    }
}
