//! JSON objects as tokens and key sets have them: members by name, each name once, values as they were written.
//! Nothing is built that nobody asks for. Used by claims, keys, signatures and sessions.

use core::fmt;
use std::borrow::Cow;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The members of one object, in their order.
#[derive(Debug)]
pub struct Members<'a>(Vec<(Cow<'a, str>, &'a str)>);

/// Why a text is no object of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonError {
    /// No JSON (RFC 8259), or an object that says something twice.
    Invalid,
    /// Some other value.
    NotAnObject,
}

impl<'a> Members<'a> {
    pub fn parse(text: &'a [u8]) -> Result<Members<'a>, JsonError> {
        let text = str::from_utf8(text).map_err(|_| JsonError::Invalid)?;
        match text.trim_ascii_start().as_bytes() {
            [b'{', ..] => parse_object(text, DEPTH).ok_or(JsonError::Invalid),
            _ => match serde_json::from_str::<IgnoredAny>(text) {
                Ok(_) => Err(JsonError::NotAnObject),
                Err(_) => Err(JsonError::Invalid),
            },
        }
    }

    /// An object whose own names are unique, whatever is inside: for what nobody has signed, and which is therefore read
    /// once and no deeper.
    pub fn parse_flat(text: &'a [u8]) -> Result<Members<'a>, JsonError> {
        str::from_utf8(text).ok().and_then(|text| serde_json::from_str(text).ok()).ok_or(JsonError::Invalid)
    }

    /// The value of a member as it was written; `null` counts as none.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.written(name).filter(|value| *value != "null")
    }

    /// The same, also of a `null`.
    pub fn written(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }

    /// All members with their values as they were written.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &'a str)> {
        self.0.iter().map(|(name, value)| (&**name, *value))
    }

    pub fn has(&self, name: &str) -> bool {
        self.written(name).is_some()
    }

    /// A member that is a string.
    pub fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        self.get(name).and_then(string)
    }
}

/// How deep objects and arrays may nest: each level is read once more.
const DEPTH: usize = 16;

fn parse_object(text: &str, depth: usize) -> Option<Members<'_>> {
    let members: Members<'_> = serde_json::from_str(text).ok()?;
    members.0.iter().all(|(_, value)| is_unambiguous(value, depth)).then_some(members)
}

/// Whether the objects within a value have each name once, too.
fn is_unambiguous(value: &str, depth: usize) -> bool {
    match value.as_bytes() {
        [b'{' | b'[', ..] if depth == 0 => false,
        [b'{', ..] => parse_object(value, depth - 1).is_some(),
        [b'[', ..] => elements(value).is_some_and(|all| all.iter().all(|e| is_unambiguous(e, depth - 1))),
        _ => true,
    }
}

/// The content of a string; `None` for any other value, and for half of a surrogate pair.
pub fn string(value: &str) -> Option<Cow<'_, str>> {
    let inner = value.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        serde_json::from_str(value).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

/// The elements of an array as they were written; `None` for any other value.
pub fn elements(value: &str) -> Option<Vec<&str>> {
    // Asked first, as serde_json takes its time to say no.
    value.strip_prefix('[')?;
    let elements: Vec<&RawValue> = serde_json::from_str(value).ok()?;
    Some(elements.into_iter().map(RawValue::get).collect())
}

/// A number, e.g. a NumericDate (RFC 7519 section 2); `None` for any other value.
pub fn number(value: &str) -> Option<f64> {
    // Nearly all are plain seconds.
    if let Ok(seconds) = value.parse::<u32>() {
        return Some(seconds.into());
    }
    value.starts_with(|c: char| c == '-' || c.is_ascii_digit()).then(|| serde_json::from_str(value).ok())?
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Object)
    }
}

struct Object;

impl<'de> Visitor<'de> for Object {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Members<'de>, M::Error> {
        let mut members = Vec::with_capacity(FEW);
        while let Some((Name(name), value)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
            members.push((name, value.get()));
        }
        // Parsers differ in which of two members they take (RFC 7515 section 4, RFC 7519 section 4).
        match has_duplicate(&members) {
            true => Err(M::Error::custom("duplicate member")),
            false => Ok(Members(members)),
        }
    }
}

fn has_duplicate(members: &[(Cow<'_, str>, &str)]) -> bool {
    if members.len() <= FEW {
        let before =
            |(at, (name, _)): (usize, &(Cow<'_, str>, &str))| members[..at].iter().any(|(n, _)| n == name);
        return members.iter().enumerate().any(before);
    }
    let mut names: Vec<&str> = members.iter().map(|(name, _)| &**name).collect();
    names.sort_unstable();
    names.windows(2).any(|pair| pair[0] == pair[1])
}

/// So many names are compared with each other more quickly than sorted.
const FEW: usize = 12;

/// A name, borrowed unless it holds escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E: Error>(self, name: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_as_written() {
        let text = r#" {"a": 1.50, "b":"x\u0041\n", "c":[ 1, "two", null], "d":{"e" : true}, "f":null, "\u0067":"g"} "#;
        let members = Members::parse(text.as_bytes()).unwrap();
        assert_eq!(members.get("a"), Some("1.50"));
        assert_eq!(members.text("b").as_deref(), Some("xA\n"));
        assert_eq!(elements(members.get("c").unwrap()), Some(vec!["1", "\"two\"", "null"]));
        assert_eq!(members.get("d"), Some("{\"e\" : true}"));
        assert_eq!(members.get("f"), None);
        assert!(members.has("f") && !members.has("z"));
        assert_eq!(members.text("g").as_deref(), Some("g"));
        assert_eq!(members.text("a"), None);
        assert_eq!(number("1.5e1"), Some(15.0));
        assert_eq!(number("\"1\""), None);
        assert_eq!(number("1e999"), None);
        assert_eq!(string(r#""\ud800""#), None);
    }

    #[test]
    fn refuses_what_can_be_read_twice_or_not_at_all() {
        for text in [
            "",
            "{",
            "{\"a\":1,\"a\":1}",
            "{\"a\":1,\"\\u0061\":2}",
            "{\"a\":[{\"b\":1,\"b\":2}]}",
            "{}x",
            "{'a':1}",
            "{\"a\":01}",
            "[1",
        ] {
            assert_eq!(Members::parse(text.as_bytes()).unwrap_err(), JsonError::Invalid, "{text}");
        }
        let deep = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
        assert!(Members::parse(deep(DEPTH).as_bytes()).is_ok());
        assert_eq!(Members::parse(deep(5000).as_bytes()).unwrap_err(), JsonError::Invalid);
        assert_eq!(Members::parse(b"{\"\xff\":1}").unwrap_err(), JsonError::Invalid);
        for text in ["[1]", " 7", "null", "\"{}\"", "true"] {
            assert_eq!(Members::parse(text.as_bytes()).unwrap_err(), JsonError::NotAnObject, "{text}");
        }
    }
}
