//! What must hold of the decision core for every input, and stand-ins for the web server around it.
//!
//! The fuzz targets feed it bytes that look for trouble; tests/corpus.rs replays what they kept, and
//! tests/properties.rs and tests/vectors.rs use the same stand-ins. Hence no `crate::` paths: this file is
//! also a module there.

pub mod configuration;
pub mod decided;
pub mod layout;
pub mod model;
pub mod request;
pub mod stand_ins;
