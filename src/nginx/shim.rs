//! The functions of shim.h, as bindgen declares them.

#![allow(non_camel_case_types)]

include!(concat!(env!("OUT_DIR"), "/shim.rs"));
