//! How a request would be decided, step by step. Called by the API with the request that asks.

use serde::Serialize;

/// What is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExplainQuery {
    /// As a navigation, whatever the request is.
    pub navigation: bool,
    /// With another path and query than the request's own.
    pub uri: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    pub policy: String,
    pub epoch: u64,
    pub release: String,
    pub version: Option<String>,
    pub upstream: String,
    pub reason: &'static str,
    pub rule: Option<String>,
    pub bucket: Option<u16>,
    /// The hash that logs show, never the id.
    pub user: Option<String>,
    pub identity: Option<String>,
    pub steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    pub step: &'static str,
    pub text: String,
    pub outcome: &'static str,
    pub detail: String,
}
