//! Fuzz target: tokens, sessions and cookies. See src/token.rs.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &[u8]| checks::token::check(text));
