//! The words of simple directives: one of some choices, once in a block. Used by the builder.

use crate::config::{Place, arity, quote};

pub fn parse_flag(text: &[u8]) -> Option<bool> {
    match text {
        b"on" => Some(true),
        b"off" => Some(false),
        _ => None,
    }
}

pub fn one_of<T>(
    directive: &str,
    words: &[&[u8]],
    choices: &str,
    parse: fn(&[u8]) -> Option<T>,
) -> Result<T, String> {
    let [word] = words else {
        return Err(arity(directive, &format!("{directive} {choices}")));
    };
    parse(word)
        .ok_or_else(|| format!("invalid value {} in \"{directive}\" directive: write {choices}", quote(word)))
}

pub fn once<T>(directive: &str, slot: &mut Option<T>, value: T) -> Result<(), String> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("\"{directive}\" directive is duplicate: a policy has one")),
    }
}

pub fn at(place: &Place) -> String {
    format!("{}:{}", place.file, place.line)
}
