//! Metrics as Prometheus reads them (text format 0.0.4). Served by the API.
//!
//! Every series of every release is there from the start, so that a rate over the first failure is not lost. Label
//! values come from the configuration only, which bounds their number.

pub mod bins;
mod families;
mod text;

pub use self::families::render;

/// What `/metrics` is sent as.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
