//! The HTTP API over a stand-in for shared memory: what can be read, what can be changed and by whom, what is refused and
//! how; the metrics, as promtool reads them; and explanations beside decisions.

#![cfg(not(feature = "module"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // the helpers of tests are tests too

#[allow(dead_code)] // other tests use the rest of it
#[path = "../fuzz/src/lib.rs"]
mod checks;

#[path = "api/access.rs"]
mod access;
#[path = "api/bodies.rs"]
mod bodies;
#[path = "api/changes.rs"]
mod changes;
#[path = "api/explained_pages.rs"]
mod explained_pages;
#[path = "api/explanations.rs"]
mod explanations;
#[path = "api/failures.rs"]
mod failures;
#[path = "api/metrics.rs"]
mod metrics;
#[path = "api/reading.rs"]
mod reading;
#[path = "api/runtime.rs"]
mod runtime;
