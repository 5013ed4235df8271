//! Fuzz target: the text of a policy. See src/configuration.rs.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &[u8]| checks::configuration::check(text));
