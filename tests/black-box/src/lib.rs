//! What the black-box tests share: a real nginx in a temporary directory, a small HTTP client and backends
//! that behave as no nginx does. Used by tests/suite only; never names the crate under test.

pub mod api;
pub mod backend;
pub mod browser;
pub mod client;
pub mod config;
pub mod crowd;
pub mod dns;
pub mod example;
pub mod gateway;
pub mod load;
pub mod lobechat;
pub mod next_app;
pub mod nginx;
pub mod rollout;
pub mod state;
pub mod token;
pub mod tools;
pub mod vectors;

pub use client::{Connection, Request, Response};
pub use config::{Check, Config};
pub use nginx::Nginx;

use std::time::{Duration, Instant};

/// The longest that anything is waited for. Generous: the machine may be busy, or nginx run under valgrind.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `probe` gives a value.
pub fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
