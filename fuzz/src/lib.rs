//! What must hold of the decision core for every input, and stand-ins for the web server around it.
//!
//! The fuzz targets feed it bytes that look for trouble; tests/properties.rs replays what they kept, and
//! tests/identities.rs and tests/vectors.rs use the same stand-ins. Hence no `crate::` paths: this file is
//! also a module there.

pub mod configuration;
pub mod decided;
pub mod expected;
pub mod json;
pub mod layout;
pub mod model;
pub mod recordings;
pub mod request;
pub mod sealing;
pub mod stand_ins;
pub mod token;
pub mod token_policies;
