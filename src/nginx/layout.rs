//! Does Rust see nginx's structures as the C compiler does? bindgen has been wrong before, so the module
//! asks at each start, before it touches anything: the configuration hooks call [`mismatch`].

use core::mem::{offset_of, size_of};

use nginx_sys::*;

struct Structure {
    name: &'static str,
    size: usize,
    fields: &'static [Field],
}

struct Field {
    name: &'static str,
    offset: usize,
    size: usize,
}

const fn pointee_size<S, F>(_: fn(*const S) -> *const F) -> usize {
    size_of::<F>()
}

macro_rules! layout_fields {
    ($(
        $(#[$condition:meta])*
        $structure:ident: $( $field:ident $(. $nested:ident)* ),+ $(,)?;
    )+) => {
        const STRUCTURES: &[Structure] = &[$(
            $(#[$condition])*
            Structure {
                name: stringify!($structure),
                size: size_of::<$structure>(),
                fields: &[$(
                    Field {
                        name: concat!(stringify!($field) $(, ".", stringify!($nested))*),
                        offset: offset_of!($structure, $field $(. $nested)*),
                        size: pointee_size(|s: *const $structure| {
                            // SAFETY: never called; only the type of its result is used.
                            unsafe { &raw const (*s).$field $(. $nested)* }
                        }),
                    },
                )+],
            },
        )+];
    };
}

include!("layout_fields.rs");

// Made by build.rs from the same list, in the same order: for each structure offset and size of each of its
// fields, then its own size.
unsafe extern "C" {
    static canary_layout: usize;
    static canary_layout_length: usize;
}

/// The first structure or field that Rust and the C compiler see differently, as a sentence.
pub fn mismatch() -> Option<String> {
    // SAFETY: the C source defines both, and `canary_layout` as an array of that length.
    let compiled = unsafe { core::slice::from_raw_parts(&raw const canary_layout, canary_layout_length) };
    let mut compiled = compiled.iter().copied();
    for structure in STRUCTURES {
        let name = structure.name;
        let mut differ = |what: &str, rust: usize| match compiled.next() {
            Some(c) if c == rust => None,
            Some(c) => Some(format!(
                "{what} of {name} is {c} for the C compiler and {rust} for Rust: \
                 this build of the module cannot be used, build it again with scripts/build"
            )),
            None => Some(format!("{name} is missing in the table of the C compiler")),
        };
        for field in structure.fields {
            let found = differ(&format!("the offset of field {}", field.name), field.offset)
                .or_else(|| differ(&format!("the size of field {}", field.name), field.size));
            if found.is_some() {
                return found;
            }
        }
        // Last, because a field that has moved says more than its struct that has grown.
        if let found @ Some(_) = differ("the size", structure.size) {
            return found;
        }
    }
    compiled.next().map(|_| "the table of the C compiler has more entries than Rust's".to_owned())
}
