//! What holds of the decision core for any input: the split and its shares, routes, percentages, visitor cookies,
//! hostile requests and configurations; and a replay of what the fuzz targets have kept.

#![cfg(not(feature = "module"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // the helpers of tests are tests too

#[allow(dead_code)] // tests/vectors.rs uses the rest of it
#[path = "../fuzz/src/lib.rs"]
mod checks;

#[path = "properties/control.rs"]
mod control;
#[path = "properties/hostile.rs"]
mod hostile;
#[path = "properties/ramps.rs"]
mod ramps;
#[path = "properties/rollout.rs"]
mod rollout;
#[path = "properties/runtime.rs"]
mod runtime;
#[path = "properties/shares.rs"]
mod shares;
#[path = "properties/split.rs"]
mod split;
#[path = "properties/values.rs"]
mod values;

/// The hash modes, as a policy names them.
const MODES: [&str; 3] = ["native", "unleash", "split_clients"];

/// Failing inputs are printed in full and belong into a test by name, not into a file of seeds.
fn cases(cases: u32) -> proptest::test_runner::Config {
    proptest::test_runner::Config { cases, failure_persistence: None, ..Default::default() }
}
