//! A share of users as operators write it: `0%` to `100%` in steps of `0.01%`.
//! Used by the `release` directive and by everything that computes ranges.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A share in basis points (hundredths of a percent), 0 to 10000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Percent(u16);

impl Percent {
    pub const ZERO: Percent = Percent(0);
    pub const FULL: Percent = Percent(10_000);

    /// Basis points, 0 to 10000.
    pub fn basis_points(self) -> u16 {
        self.0
    }

    /// `None` above 100 %.
    pub fn from_basis_points(points: u16) -> Option<Percent> {
        (points <= Self::FULL.0).then_some(Percent(points))
    }

    /// `None` above 100 %.
    pub fn checked_add(self, other: Percent) -> Option<Percent> {
        self.0.checked_add(other.0).and_then(Self::from_basis_points)
    }

    /// What is left to 100 %.
    pub fn rest(self) -> Percent {
        Self::FULL.minus(self)
    }

    /// 0 % if `other` is larger.
    pub fn minus(self, other: Percent) -> Percent {
        Percent(self.0.saturating_sub(other.0))
    }

    pub fn is_whole(self) -> bool {
        self.0.is_multiple_of(100)
    }

    /// Parses `12%`, `0.5%`, `0.01%`. The error is a sentence that shows the right spelling.
    pub fn parse(text: &str) -> Result<Percent, String> {
        let Some(number) = text.strip_suffix('%') else {
            return Err(missing_sign(text));
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |s: &str| !s.is_empty() && s.len() <= 9 && s.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(fraction) {
            return Err(format!(
                "invalid percentage \"{text}\": write a number and a percent sign, e.g. \"10%\""
            ));
        }
        if fraction.trim_end_matches('0').len() > 2 {
            return Err(format!("invalid percentage \"{text}\": the smallest step is 0.01%"));
        }
        let hundredths = fraction.bytes().chain(*b"00").take(2).fold(0, |n, b| n * 10 + u64::from(b - b'0'));
        let points = whole.bytes().fold(0, |n, b| n * 10 + u64::from(b - b'0')) * 100 + hundredths;
        u16::try_from(points)
            .ok()
            .and_then(Self::from_basis_points)
            .ok_or_else(|| format!("invalid percentage \"{text}\": it must be between 0% and 100%"))
    }
}

/// `25` surely means `25%`; `0.25` may mean `25%` or `0.25%`, so the sentence shows both.
fn missing_sign(text: &str) -> String {
    let ratio = text.parse::<f64>().ok().filter(|n| text.contains('.') && (0.0..1.0).contains(n));
    let of_ratio = ratio.map(|n| n * 10_000.0).filter(|points| (points - points.round()).abs() < 1e-6);
    let spellings =
        of_ratio.map(|points| format!("{}%", points.round() / 100.0)).into_iter().chain([format!("{text}%")]);
    let right = spellings
        .filter(|spelling| Percent::parse(spelling).is_ok())
        .map(|spelling| format!("\"{spelling}\""));
    let hint = match right.collect::<Vec<_>>() {
        right if right.is_empty() => "a number and a percent sign, e.g. \"10%\"".to_owned(),
        right => right.join(" or "),
    };
    format!("invalid percentage \"{text}\": write {hint}")
}

impl From<Percent> for String {
    fn from(percent: Percent) -> String {
        percent.to_string()
    }
}

impl TryFrom<String> for Percent {
    type Error = String;

    fn try_from(text: String) -> Result<Percent, String> {
        Percent::parse(&text)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 100, self.0 % 100) {
            (whole, 0) => write!(f, "{whole}%"),
            (whole, part) if part % 10 == 0 => write!(f, "{whole}.{}%", part / 10),
            (whole, part) => write!(f, "{whole}.{part:02}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_it_prints() {
        for points in 0..=10_000 {
            let percent = Percent(points);
            assert_eq!(Percent::parse(&percent.to_string()), Ok(percent));
        }
        assert_eq!(Percent::parse("12.50%"), Ok(Percent(1250)));
        assert_eq!(Percent::parse("1.000%"), Ok(Percent(100)));
    }

    #[test]
    fn refuses_with_the_right_spelling() {
        for (text, hint) in [
            ("10", "write \"10%\""),
            ("0.25", "write \"25%\" or \"0.25%\""),
            ("1", "write \"1%\""),
            ("+5", "percent sign"),
            ("1e1", "percent sign"),
            (".5", "write \"50%\""),
            ("0.00001", "percent sign"),
            ("canary", "percent sign"),
            ("", "percent sign"),
            ("%", "percent sign"),
            ("-1%", "percent sign"),
            (".5%", "percent sign"),
            ("1.%", "percent sign"),
            ("1e1%", "percent sign"),
            ("10.001%", "smallest step is 0.01%"),
            ("100.01%", "between 0% and 100%"),
            ("655.37%", "between 0% and 100%"),
            ("999999999%", "between 0% and 100%"),
            ("9999999999%", "percent sign"),
        ] {
            let error = Percent::parse(text).unwrap_err();
            assert!(error.contains(hint) && error.contains(text), "{text}: {error}");
        }
    }
}
