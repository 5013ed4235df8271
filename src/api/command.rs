//! Stand-ins for the commands of `Control` until they are merged.
use crate::events::Event;

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
