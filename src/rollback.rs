//! The `rollback` directive: whether and how releases are judged. Read by the builder; the judge asks what is a failure,
//! the driver how much evidence is enough.

use crate::config::{arity, quote};
use crate::judge::threshold;

#[derive(Clone, Debug)]
pub struct Rollback {
    /// The chance of a verdict without a difference: 1 - confidence.
    pub alpha: f64,
    /// As written, e.g. `99.9%`.
    pub confidence: String,
    /// Failed connections in a row; 0: off.
    pub burst: u32,
    /// How many times slower than stable a release may be.
    pub ttfb: f64,
    pub fail: FailureCodes,
    pub action: Action,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Down,
    Report,
}

const FORM: &str =
    "rollback on | off [confidence=99.9%] [burst=5] [ttfb=2x] [fail=5xx,470-472] [action=down|report]";

impl Default for Rollback {
    fn default() -> Rollback {
        Rollback {
            alpha: 0.001,
            confidence: "99.9%".to_owned(),
            burst: 5,
            ttfb: 2.0,
            fail: FailureCodes::default(),
            action: Action::Down,
        }
    }
}

impl Rollback {
    /// Parses the words after `rollback`. `None`: off.
    pub fn parse(words: &[&[u8]]) -> Result<Option<Rollback>, String> {
        let parameters = match words {
            [b"off"] => return Ok(None),
            [b"on", parameters @ ..] => parameters,
            _ => return Err(arity("rollback", FORM)),
        };
        let mut rollback = Rollback::default();
        let mut seen = Vec::new();
        for parameter in parameters {
            let text = String::from_utf8_lossy(parameter);
            let Some((key, value)) = text.split_once('=') else {
                return Err(format!(
                    "unknown parameter {} in \"rollback\" directive: write \"{FORM};\"",
                    quote(parameter)
                ));
            };
            if seen.contains(&key.to_owned()) {
                return Err(format!("duplicate parameter {} in \"rollback\" directive", quote(parameter)));
            }
            seen.push(key.to_owned());
            rollback.parameter(key, value).map_err(|hint| {
                format!("invalid parameter {} in \"rollback\" directive: {hint}", quote(parameter))
            })?;
        }
        Ok(Some(rollback))
    }

    /// The evidence that is enough against one of a policy's releases: all but the stable one share the chance of a
    /// verdict without a difference.
    pub fn evidence_needed(&self, releases: usize) -> f64 {
        threshold(self.alpha, releases.saturating_sub(1))
    }

    fn parameter(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "confidence" => {
                self.alpha =
                    alpha(value).ok_or("write a share from 90% to 99.9999%, e.g. \"confidence=99.9%\"")?;
                value.clone_into(&mut self.confidence);
            }
            "burst" => {
                let burst = value.parse().ok().filter(|burst| *burst != 1 && *burst <= 1000);
                self.burst = burst.ok_or("write failed connections in a row, 2 to 1000, or 0 for off")?;
            }
            "ttfb" => {
                let factor = value.strip_suffix('x').and_then(|factor| factor.parse::<f64>().ok());
                let factor = factor.filter(|factor| (1.1..=100.0).contains(factor));
                self.ttfb =
                    factor.ok_or("write how many times slower than stable is too slow, e.g. \"ttfb=2x\"")?;
            }
            "fail" => self.fail = FailureCodes::parse(value)?,
            "action" => {
                self.action = match value {
                    "down" => Action::Down,
                    "report" => Action::Report,
                    _ => return Err("write \"action=down\" or \"action=report\"".to_owned()),
                }
            }
            _ => return Err(format!("write \"{FORM};\"")),
        }
        Ok(())
    }
}

/// The chance that is left, of a share in steps of 0.0001 %: exact, so that 99.9 % asks for a thousand and no more.
fn alpha(text: &str) -> Option<f64> {
    let (whole, fraction) =
        text.strip_suffix('%').map(|number| number.split_once('.').unwrap_or((number, "")))?;
    let is_number = whole.len() == 2
        && fraction.len() <= 4
        && (whole.bytes().chain(fraction.bytes())).all(|b| b.is_ascii_digit());
    let confidence: u32 = format!("{whole}{fraction:0<4}").parse().ok().filter(|_| is_number)?;
    (900_000..1_000_000).contains(&confidence).then(|| f64::from(1_000_000 - confidence) / 1e6)
}

/// Status codes that are failures of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureCodes {
    bits: [u64; 10],
    /// As written.
    pub text: Vec<String>,
}

impl Default for FailureCodes {
    /// Server errors, and those of LobeChat's own for a model or plugin that fails.
    fn default() -> FailureCodes {
        let mut codes = FailureCodes { bits: [0; 10], text: vec!["5xx".to_owned(), "470-472".to_owned()] };
        (500..600).chain(470..=472).for_each(|code| codes.insert(code));
        codes
    }
}

impl FailureCodes {
    fn parse(text: &str) -> Result<FailureCodes, String> {
        let hint = || "write status codes from 400 to 599, e.g. \"fail=5xx,470-472\"".to_owned();
        let mut codes = FailureCodes { bits: [0; 10], text: Vec::new() };
        for part in text.split(',') {
            let (first, last) = match part {
                "4xx" => (400, 499),
                "5xx" => (500, 599),
                _ => {
                    let (first, last) = part.split_once('-').unwrap_or((part, part));
                    let number = |text: &str| text.parse::<usize>().ok().filter(|_| text.len() == 3);
                    (number(first).ok_or_else(hint)?, number(last).ok_or_else(hint)?)
                }
            };
            if first < 400 || last > 599 || first > last {
                return Err(hint());
            }
            (first..=last).for_each(|code| codes.insert(code));
            codes.text.push(part.to_owned());
        }
        Ok(codes)
    }

    fn insert(&mut self, code: usize) {
        if let Some(word) = self.bits.get_mut(code / 64) {
            *word |= 1 << (code % 64);
        }
    }

    #[inline]
    pub fn contains(&self, status: usize) -> bool {
        self.bits.get(status / 64).is_some_and(|word| word >> (status % 64) & 1 != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Option<Rollback>, String> {
        Rollback::parse(&line.split(' ').filter(|w| !w.is_empty()).map(str::as_bytes).collect::<Vec<_>>())
    }

    #[test]
    fn defaults_and_parameters() {
        assert!(parse("off").unwrap().is_none());
        let on = parse("on").unwrap().unwrap();
        assert_eq!((on.alpha, on.burst, on.ttfb, on.action), (0.001, 5, 2.0, Action::Down));
        let codes: Vec<usize> = (0..1000).filter(|&code| on.fail.contains(code)).collect();
        assert_eq!((codes.len(), &codes[..4]), (103, &[470, 471, 472, 500][..]));
        let on =
            parse("on confidence=99% burst=0 ttfb=1.5x fail=503,429-431,5xx action=report").unwrap().unwrap();
        assert_eq!(on.alpha, 0.01);
        let alphas = ["90%", "99.9%", "99.90%", "99.9999%"].map(|text| alpha(text).unwrap());
        assert_eq!(alphas, [0.1, 0.001, 0.001, 0.000_001]);
        assert_eq!((on.burst, on.ttfb, on.action), (0, 1.5, Action::Report));
        assert!(on.fail.contains(430) && on.fail.contains(599) && !on.fail.contains(470));
    }

    #[test]
    fn refusals_say_what_to_write() {
        for (line, hint) in [
            ("", "rollback on | off"),
            ("maybe", "rollback on | off"),
            ("off burst=5", "rollback on | off"),
            ("on confidence=0.999", "confidence=99.9%"),
            ("on confidence=50%", "from 90% to 99.9999%"),
            ("on confidence=1e2%", "confidence=99.9%"),
            ("on confidence=100%", "confidence=99.9%"),
            ("on confidence=99.99999%", "confidence=99.9%"),
            ("on confidence=+9%", "confidence=99.9%"),
            ("on burst=1", "2 to 1000"),
            ("on ttfb=2", "ttfb=2x"),
            ("on ttfb=1x", "ttfb=2x"),
            ("on ttfb=nanx", "ttfb=2x"),
            ("on fail=", "fail=5xx,470-472"),
            ("on fail=200", "from 400 to 599"),
            ("on fail=503-501", "from 400 to 599"),
            ("on action=page", "action=report"),
            ("on strict", "unknown parameter"),
            ("on speed=2x", "write \"rollback on"),
            ("on burst=5 burst=6", "duplicate parameter"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(hint), "{line}: {error}");
        }
    }
}
