//! Fuzz target: a client's request. See src/request.rs.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &[u8]| checks::request::check(text));
