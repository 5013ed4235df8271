//! What operators, ramps and verdicts have made of a policy since its file was read: states, weights, roles. Plain data
//! with the rules that change it; kept in the shared zone and the state file, changed by the API and the driver.

use serde::{Deserialize, Serialize};

use crate::duration::Seconds;
use crate::generation::Generation;
use crate::percent::Percent;

/// What a release may get (design section 8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    #[default]
    Up,
    /// No new pages; open ones go on.
    Drain,
    /// Nothing but the files of open pages.
    Down,
}

/// The runtime side of one policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Control {
    /// Counts every change of weight, state, role or ramp.
    pub epoch: u64,
    /// The generation that the stable name stands for. Another than the one of the file's first line after `promote`, until
    /// the file names other generations.
    pub stable: Generation,
    /// The generations of the file's lines, in their order, then those of earlier files, newest first.
    pub generations: Vec<Standing>,
}

/// How one generation stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    pub generation: Generation,
    pub upstream: String,
    pub version: Option<String>,
    pub state: State,
    /// In force; zero unless the state is `up`.
    pub weight: Percent,
    /// `remember` cookies issued before this time have ended.
    pub enrolled_since: Seconds,
    pub verdict: Option<Verdict>,
}

/// Why a generation was taken down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    pub at: Seconds,
    /// `judge`, `burst`, or who asked for the rollback.
    pub by: String,
    pub reason: String,
    pub evidence: Option<f64>,
}
