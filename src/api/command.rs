//! What a caller wants changed, and the answer of the policy's control to it.

use crate::control::{Control, State};
use crate::duration::Seconds;
use crate::events::Event;
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

/// What a command has changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub events: Vec<Event>,
}

/// Why a command has changed nothing: a sentence that says what to do first.
#[derive(Clone, Debug, PartialEq)]
pub enum Refused {
    /// 400
    Invalid(String),
    /// 404
    Unknown(String),
    /// 409
    Conflict(String),
}

/// Why nothing has changed.
#[derive(Clone, Debug, PartialEq)]
pub enum NotChanged {
    Refused(Refused),
    /// The zone could not take it: a sentence.
    Failed(String),
}

impl Command {
    pub fn apply(&self, _: &Policy, _: &mut Control, _: &str, _: Seconds) -> Result<Change, Refused> {
        Err(Refused::Conflict(String::new()))
    }
}
