//! Progressive delivery inside nginx: which release answers a request.
//!
//! The crate has two halves. The decision core (every module here but `nginx`) is pure Rust: no `unsafe`,
//! no nginx types, no I/O of its own; it parses policies and decides. The glue (`nginx`) gives it requests
//! and carries out what it decides; it is left out of unit tests, because nginx's symbols exist only inside
//! a running nginx.

#![deny(unsafe_code)]

pub mod cache_control;
pub mod condition;
pub mod config;
pub mod cookie;
pub mod decision;
pub mod hash;
pub mod inputs;
pub mod murmur3;
pub mod navigation;
pub mod percent;
pub mod policy;
pub mod release;
pub mod route;
pub mod source;
pub mod split;
pub mod user;
pub mod value_set;
pub mod visitor;

#[cfg(all(feature = "module", not(test)))]
#[allow(unsafe_code)]
mod nginx;
