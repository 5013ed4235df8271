//! What is counted of one release generation: summed over workers by the shared zone, read by metrics, the API and the
//! state file.

use serde::{Deserialize, Serialize};

/// The values of the label `reason`, in the order of their counters.
pub const REASONS: [&str; 6] = ["route", "pin", "remembered", "split", "anonymous", "default"];

/// The values of the label `code`: the classes of status codes that clients got, `000` for none.
pub const CODES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "000"];

/// How an attempt to get an answer from a release ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Outcome {
    /// An answer with a status that is no failure, or to a request that belongs to a page of another build.
    Ok,
    /// An answer with a status of `fail=` (default 5xx and 470-472).
    Status,
    /// Refused, unreachable, or timed out before the connection stood.
    Connect,
    /// Timed out once the connection stood.
    Timeout,
    /// Closed or reset before the answer's header, or with one that is no HTTP.
    Reset,
    /// The answer broke off after it had begun. A stream has counted as `Ok` before, when it began.
    Cut,
    /// No server of the upstream was there to ask: all down, busy or failed lately.
    NoLive,
    /// The client left before the answer began.
    Aborted,
    /// A kept connection that the release had closed already; nginx asked again, nobody's fault.
    Stale,
}

/// What nginx writes down of an attempt.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// Of the answer, or the one that nginx gives instead; 0: neither came before the client left.
    pub status: usize,
    pub is_connected: bool,
    /// Milliseconds to the header of the answer; `None`: it never came.
    pub ttfb: Option<u64>,
}

impl Outcome {
    /// `is_failure`: what the policy says of the status of an answer.
    pub fn of(attempt: Attempt, is_failure: impl Fn(usize) -> bool) -> Outcome {
        const GATEWAY_TIMEOUT: usize = 504;
        match attempt {
            Attempt { ttfb: Some(_), status, .. } if is_failure(status) => Outcome::Status,
            Attempt { ttfb: Some(_), .. } => Outcome::Ok,
            Attempt { status: 0, .. } => Outcome::Aborted,
            Attempt { is_connected: false, .. } => Outcome::Connect,
            Attempt { status: GATEWAY_TIMEOUT, .. } => Outcome::Timeout,
            Attempt { .. } => Outcome::Reset,
        }
    }

    /// Whether the release did not do what was asked of it.
    pub fn is_failure(self) -> bool {
        !matches!(self, Outcome::Ok | Outcome::Aborted | Outcome::Stale)
    }
}

/// The values of the label `outcome`, in the order of [`Outcome`].
pub const OUTCOMES: [&str; 9] =
    ["ok", "status", "connect", "timeout", "reset", "cut", "no_live", "aborted", "stale"];

/// The number of bins of the time to first byte: below 8 ms, then quarters of an octave.
pub const BINS: usize = 53;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Client requests by the reason for which this generation was chosen.
    pub requests: [u64; REASONS.len()],
    /// Client requests that this generation answered in the end, by the class of the status that the client got.
    pub responses: [u64; CODES.len()],
    pub attempts: [u64; OUTCOMES.len()],
    /// Requests that belonged to a page of another release.
    pub skew: u64,
    pub ttfb: Ttfb,
    /// By verdicts and by operators.
    pub rollbacks: u64,
}

/// Times from the start of an attempt to the header of its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ttfb {
    pub bins: Vec<u64>,
    /// Milliseconds.
    pub sum: u64,
}

impl Default for Ttfb {
    fn default() -> Ttfb {
        Ttfb { bins: vec![0; BINS], sum: 0 }
    }
}
