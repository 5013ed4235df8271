//! Why the glue could not change a policy.

use crate::control::Refused;

/// Why nothing has changed.
#[derive(Clone, Debug, PartialEq)]
pub enum NotChanged {
    Refused(Refused),
    /// The zone could not take it: a sentence.
    Failed(String),
}
