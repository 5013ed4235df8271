//! The split of a policy's releases, and what is said when their weights cannot stand together. Used by the builder.

use crate::config::ConfigError;
use crate::control::State;
use crate::hash::HashMode;
use crate::percent::Percent;
use crate::ramp::Ramp;
use crate::release::Release;
use crate::split::{Anchor, Share, Split, SplitError};

/// The split of the releases of policy `name`.
pub fn split(name: &str, mode: HashMode, releases: &[Release]) -> Result<Split, ConfigError> {
    let share = |(release, r): (usize, &Release)| Share {
        release,
        anchor: r.from.or_else(|| Anchor::default_of(release)),
        weight: if r.state == State::Up { r.weight } else { Percent::ZERO },
    };
    let shares: Vec<Share> = releases.iter().enumerate().skip(1).map(share).collect();
    Split::new(mode, &shares).map_err(|error| explain(&error, name, releases))
}

/// Whether a ramp can come to its end beside the weights of `releases`. The error is a sentence.
pub fn check_ramp(mode: HashMode, ramp: &Ramp, releases: &[Release]) -> Result<(), String> {
    let (name, end) = (&releases[ramp.release].name, ramp.end());
    let part = ramp.steps.iter().find(|(step, _)| mode == HashMode::Unleash && !step.is_whole());
    if let Some((step, _)) = part {
        return Err(format!(
            "the ramp of release \"{name}\" needs whole percents, not {step}: \"hash unleash\" knows no others"
        ));
    }
    split("", mode, releases).map(drop).map_err(|error| {
        let message = error.message;
        format!("the ramp of release \"{name}\" cannot come to {end} beside the others: {message}")
    })
}

fn explain(error: &SplitError, policy: &str, releases: &[Release]) -> ConfigError {
    let (release, message) = said(error, policy, releases);
    ConfigError::at(&releases[release].place, message)
}

/// The same for weights that do not come from the file.
pub fn explain_split(error: &SplitError, policy: &str, releases: &[Release]) -> String {
    said(error, policy, releases).1
}

/// The release at fault, and what to do.
fn said(error: &SplitError, policy: &str, releases: &[Release]) -> (usize, String) {
    let name = |release: usize| &releases[release].name;
    match *error {
        SplitError::NoAnchor { release } => (
            release,
            format!(
                "release \"{}\" has a weight but no place to grow from: the second and third release have one by themselves, give it \"from=P\"",
                name(release)
            ),
        ),
        SplitError::TooMuch { release } => (
            release,
            format!(
                "the weights of policy \"{}\" add up to more than 100%: lower \"weight=\" of release \"{}\" or another",
                policy,
                name(release)
            ),
        ),
        SplitError::PastTop { release, from, weight } => (
            release,
            format!(
                "release \"{}\" with weight={weight} from={from} ends above 100%: lower one of them, or write \"from=top\"",
                name(release)
            ),
        ),
        SplitError::Overlap { release, other } => (
            release,
            format!(
                "the users of release \"{}\" overlap those of release \"{}\": move one of them with \"from=\"",
                name(release),
                name(other)
            ),
        ),
        SplitError::NotWhole { release } => (
            release,
            format!(
                "release \"{}\" needs whole percents in \"weight=\" and \"from=\": \"hash unleash\" knows no others",
                name(release)
            ),
        ),
    }
}
