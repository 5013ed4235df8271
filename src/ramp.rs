//! The `ramp` directive: the weights that a release goes through, and how long it stays at each. Read by the builder;
//! the control keeps where it stands.

use crate::config::{arity, quote};
use crate::duration::{self, Seconds};
use crate::percent::Percent;

#[derive(Clone, Debug, PartialEq)]
pub struct Ramp {
    /// The line of the release.
    pub release: usize,
    /// Increasing. All but the last have a time.
    pub steps: Vec<(Percent, Option<Seconds>)>,
    /// Judged requests that a step needs before it ends.
    pub min_requests: u64,
    /// Begins by itself with each new build.
    pub auto: bool,
    /// The words of the line, less the release's name.
    pub text: String,
}

const FORM: &str = "ramp release P time [P time ...] P [min_requests=N] [start=auto]";
const MIN_REQUESTS: u64 = 50;

impl Ramp {
    /// Parses the words after `ramp`: the release's name, and a ramp for release 0.
    pub fn parse<'w>(words: &[&'w [u8]]) -> Result<(&'w [u8], Ramp), String> {
        let [name, rest @ ..] = words else {
            return Err(arity("ramp", FORM));
        };
        let in_ramp = |e: String| format!("{e} in \"ramp\" directive");
        let parameters = rest.iter().position(|word| word.contains(&b'=')).unwrap_or(rest.len());
        let (steps, parameters) = rest.split_at(parameters);
        let text = rest.iter().map(|word| String::from_utf8_lossy(word)).collect::<Vec<_>>().join(" ");
        let mut ramp = Ramp {
            release: 0,
            steps: parse_steps(steps).map_err(in_ramp)?,
            min_requests: MIN_REQUESTS,
            auto: false,
            text,
        };
        for (index, parameter) in parameters.iter().enumerate() {
            let key = parameter.split(|&b| b == b'=').next();
            if parameters[..index].iter().any(|other| other.split(|&b| b == b'=').next() == key) {
                return Err(in_ramp(format!("duplicate parameter {}", quote(parameter))));
            }
            match parameter.strip_prefix(b"min_requests=") {
                Some(number) => {
                    let number = str::from_utf8(number).ok().and_then(|number| number.parse().ok());
                    ramp.min_requests = number.ok_or_else(|| {
                        in_ramp(format!(
                            "invalid number in {}: write e.g. \"min_requests=50\"",
                            quote(parameter)
                        ))
                    })?;
                }
                None if *parameter == b"start=auto" => ramp.auto = true,
                None => {
                    return Err(in_ramp(format!(
                        "unknown parameter {}: write \"{FORM};\"",
                        quote(parameter)
                    )));
                }
            }
        }
        Ok((name, ramp))
    }

    /// The weight of a step.
    pub fn weight(&self, step: usize) -> Percent {
        self.steps.get(step).or(self.steps.last()).map_or(Percent::ZERO, |(weight, _)| *weight)
    }

    /// The last weight.
    pub fn end(&self) -> Percent {
        self.steps.last().map_or(Percent::ZERO, |(weight, _)| *weight)
    }

    /// How long a step lasts; `None` for the last.
    pub fn seconds(&self, step: usize) -> Option<Seconds> {
        self.steps.get(step).and_then(|(_, seconds)| *seconds)
    }

    /// The last step whose weight is not above this one.
    pub fn step_at(&self, weight: Percent) -> usize {
        self.steps.iter().take_while(|(step, _)| *step <= weight).count().saturating_sub(1)
    }
}

fn parse_steps(words: &[&[u8]]) -> Result<Vec<(Percent, Option<Seconds>)>, String> {
    if words.len() < 3 || words.len().is_multiple_of(2) {
        return Err(format!(
            "invalid number of steps: weights and times take turns and a weight ends the line, write \"{FORM};\""
        ));
    }
    let mut steps: Vec<(Percent, Option<Seconds>)> = Vec::new();
    for pair in words.chunks(2) {
        let weight = Percent::parse(&String::from_utf8_lossy(pair[0]))?;
        if weight <= steps.last().map_or(Percent::ZERO, |(last, _)| *last) {
            return Err(format!("weight {weight} is not above the one before: a ramp only goes up"));
        }
        let seconds = pair.get(1).map(|time| duration::parse(time)).transpose()?;
        if seconds == Some(0) {
            return Err(format!("the time at {weight} is 0: leave the step out"));
        }
        steps.push((weight, seconds));
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Ramp, String> {
        Ramp::parse(&line.split(' ').map(str::as_bytes).collect::<Vec<_>>()).map(|(_, ramp)| ramp)
    }

    #[test]
    fn steps_and_parameters() {
        let ramp = parse("canary 1% 10m 5% 30m 50% min_requests=7 start=auto").unwrap();
        let seconds: Vec<_> =
            ramp.steps.iter().map(|(weight, seconds)| (weight.to_string(), *seconds)).collect();
        assert_eq!(seconds, [("1%".into(), Some(600)), ("5%".into(), Some(1800)), ("50%".into(), None)]);
        assert_eq!((ramp.min_requests, ramp.auto), (7, true));
        assert_eq!([0, 1, 2, 9].map(|step| ramp.weight(step).to_string()), ["1%", "5%", "50%", "50%"]);
        let at = |text| ramp.step_at(Percent::parse(text).unwrap());
        assert_eq!([at("0%"), at("1%"), at("4.99%"), at("5%"), at("100%")], [0, 0, 0, 1, 2]);
    }

    #[test]
    fn refusals_say_what_to_write() {
        for (line, hint) in [
            ("canary", "ramp release P time"),
            ("canary 1% 10m", "a weight ends the line"),
            ("canary 5%", "weights and times take turns"),
            ("canary 5% 10m 5%", "only goes up"),
            ("canary 5% 10m 1%", "only goes up"),
            ("canary 0% 10m 1%", "only goes up"),
            ("canary 5% 0s 10%", "leave the step out"),
            ("canary 5 10m 10%", "write \"5%\""),
            ("canary 5% soon 10%", "invalid time \"soon\""),
            ("canary 1% 10m 5% min_requests=few", "min_requests=50"),
            ("canary 1% 10m 5% start=now", "unknown parameter \"start=now\""),
            ("canary 1% 10m 5% start=auto start=auto", "duplicate parameter"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(hint), "{line}: {error}");
        }
    }
}
