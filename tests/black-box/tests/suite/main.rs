//! The black-box suite, one module a topic. One binary, so that it links once.

mod conditions;
mod config_errors;
mod config_places;
mod corners;
mod delegation;
mod enrolments;
mod examples;
mod expose;
mod fallback;
mod fallback_protocols;
mod fallback_rules;
mod harness;
mod hostile;
mod identities;
mod identity_errors;
mod key_files;
mod lobechat;
mod one_decision;
mod policies;
mod protocols;
mod reload_storm;
mod shared_caches;
mod split;
mod variables;
mod visitors;
