//! Progressive delivery inside nginx: which release answers a request.
//!
//! The crate has two halves. The decision core (every module here but `nginx`) is pure Rust: no `unsafe`,
//! no nginx types, no I/O of its own; it parses policies and decides. The glue (`nginx`) gives it requests
//! and carries out what it decides; it is left out of unit tests, because nginx's symbols exist only inside
//! a running nginx.

#![deny(unsafe_code)]

pub mod algorithm;
pub mod api;
pub mod attempts;
pub mod beginning;
pub mod cache;
pub mod cache_control;
pub mod claims;
pub mod condition;
pub mod config;
pub mod control;
pub mod cookie;
pub mod cookie_keys;
pub mod counts;
pub mod court;
pub mod decision;
pub mod duration;
pub mod events;
pub mod explain;
pub mod failure;
pub mod fallback;
pub mod generation;
pub mod hash;
pub mod identity;
pub mod in_force;
pub mod inputs;
pub mod json;
pub mod judge;
pub mod jwe;
pub mod jwk;
pub mod jws;
pub mod keep;
pub mod mac;
pub mod metrics;
pub mod murmur3;
pub mod navigation;
pub mod percent;
pub mod pin;
pub mod policy;
pub mod ramp;
pub mod regular_file;
pub mod release;
pub mod remember;
pub mod rfc3339;
pub mod rollback;
pub mod route;
pub mod set_cookie;
pub mod source;
pub mod split;
pub mod state_file;
pub mod text;
pub mod user;
pub mod value_set;
pub mod visitor;
pub mod zone;

#[cfg(all(feature = "module", not(test)))]
#[allow(unsafe_code)]
mod nginx;
