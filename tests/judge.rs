//! Simulations of the judge of releases: how often it rolls back a release that is no worse, and how soon one that is.
//! Time is simulated, seeds are fixed. Each row prints what it measured, captured or not, and asserts the promise: with no true
//! difference, the chance that a rollout is ever rolled back is at most 1 - confidence.

#![cfg(not(feature = "module"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // the helpers of tests are tests too

#[path = "judge/aborts.rs"]
mod aborts;
#[path = "judge/changes.rs"]
mod changes;
#[path = "judge/clusters.rs"]
mod clusters;
#[path = "judge/court.rs"]
mod court;
#[path = "judge/equal.rs"]
mod equal;
#[path = "judge/faults.rs"]
mod faults;
#[path = "judge/fleet.rs"]
mod fleet;
#[path = "judge/report.rs"]
mod report;
#[path = "judge/rollout.rs"]
mod rollout;
#[path = "judge/slow.rs"]
mod slow;
#[path = "judge/tally.rs"]
mod tally;
#[path = "judge/traffic.rs"]
mod traffic;

const MINUTE: u32 = 60;
const HOUR: u32 = 3_600;
