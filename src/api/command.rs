//! What a caller wants changed, and the answer of the policy's control to it.

use crate::control::{By, Change, Control, Refused, State};
use crate::duration::Seconds;
use crate::percent::Percent;
use crate::policy::Policy;

/// One change of a policy, as it was asked for: releases by the names that the caller used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    Weights { weights: Vec<(String, Percent)>, if_epoch: Option<u64> },
    Rollback { release: String, reason: Option<String> },
    Promote { release: String, reason: Option<String> },
    Reset { release: String, reason: Option<String> },
    State { release: String, state: State, reason: Option<String> },
    RampStart { release: Option<String> },
    RampPause { release: Option<String> },
}

/// Why nothing has changed.
#[derive(Clone, Debug, PartialEq)]
pub enum NotChanged {
    Refused(Refused),
    /// The zone could not take it: a sentence.
    Failed(String),
}

impl Command {
    pub fn apply(
        &self,
        policy: &Policy,
        control: &mut Control,
        who: &str,
        now: Seconds,
    ) -> Result<Change, Refused> {
        let reason = match self {
            Command::Rollback { reason, .. }
            | Command::Promote { reason, .. }
            | Command::Reset { reason, .. }
            | Command::State { reason, .. } => reason.as_deref(),
            Command::Weights { .. } | Command::RampStart { .. } | Command::RampPause { .. } => None,
        };
        let by = By { who, reason, now };
        match self {
            Command::Weights { weights, if_epoch } => control.set_weights(policy, weights, *if_epoch, by),
            Command::Rollback { release, .. } => control.rollback(policy, release, by),
            Command::Promote { release, .. } => control.promote(policy, release, by),
            Command::Reset { release, .. } => control.reset(policy, release, by),
            Command::State { release, state, .. } => control.set_state(policy, release, *state, by),
            Command::RampStart { release } => {
                control.ramp_start(policy, ramped(policy, release.as_deref())?, by)
            }
            Command::RampPause { release } => {
                control.ramp_pause(policy, ramped(policy, release.as_deref())?, by)
            }
        }
    }
}

/// The release that is meant, which goes without saying where there is one ramp.
fn ramped<'a>(policy: &'a Policy, release: Option<&'a str>) -> Result<&'a str, Refused> {
    let name = |line: usize| policy.releases.get(line).map_or("", |release| &*release.name);
    match (release, &policy.ramps[..]) {
        (Some(release), _) => Ok(release),
        (None, [ramp]) => Ok(name(ramp.release)),
        (None, []) => Err(Refused::Conflict(format!(
            "policy \"{}\" has no ramp: write e.g. \"ramp canary 1% 10m 10% 1h 50%;\" in the file",
            policy.name
        ))),
        (None, ramps) => {
            let names: Vec<&str> = ramps.iter().map(|ramp| name(ramp.release)).collect();
            Err(Refused::Invalid(format!("say which ramp: {{\"release\": \"{}\"}}", names.join("\" or \""))))
        }
    }
}
