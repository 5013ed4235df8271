//! Keeps panics out of C: since Rust 1.81 one that leaves an `extern "C"` function aborts the process, which
//! during a reload is nginx's master.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `entry`; a panic becomes `failure`. The panic's message goes to stderr, hence to the error log.
pub fn guard<T>(failure: T, entry: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(entry)).unwrap_or(failure)
}
