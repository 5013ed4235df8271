//! The claims that a policy reads of a verified identity, and the paths by which it names them. Filled by
//! `identity`, read by conditions, user ids and variables.

use crate::config::quote;
use crate::json::{self, Members};

/// The claims that a policy's sources read. A path's index is its slot in [`Claims`].
#[derive(Debug, Default)]
pub struct ClaimNames {
    paths: Vec<Box<[Box<str>]>>,
}

/// The values of one identity.
#[derive(Debug, PartialEq, Eq)]
pub struct Claims(Box<[Claim]>);

/// One value. An element of a list is text, as a value alone is.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Claim {
    #[default]
    Missing,
    Text(Box<str>),
    List(Box<[Box<str>]>),
}

impl ClaimNames {
    /// The slot of a path: names joined by `.`, where `\.` is a dot within a name. The error is a sentence.
    pub fn slot(&mut self, path: &[u8]) -> Result<usize, String> {
        let invalid = |why: &str| {
            format!(
                "invalid claim {}: {why}, e.g. \"role\", \"realm_access.roles\" or \"https://example\\.com/roles\"",
                quote(path)
            )
        };
        let text = str::from_utf8(path).map_err(|_| invalid("write it in UTF-8"))?;
        let mut names = vec![String::new()];
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            match (c, names.last_mut()) {
                ('\\', Some(name)) if rest.next_if_eq(&'.').is_some() => name.push('.'),
                ('.', _) => names.push(String::new()),
                (c, Some(name)) => name.push(c),
                (_, None) => {}
            }
        }
        if names.iter().any(String::is_empty) {
            return Err(invalid("a name is empty"));
        }
        let path: Box<[Box<str>]> = names.into_iter().map(String::into_boxed_str).collect();
        Ok(self.paths.iter().position(|known| *known == path).unwrap_or_else(|| {
            self.paths.push(path);
            self.paths.len() - 1
        }))
    }

    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// The values of all paths in an object of claims; `first` may give a value by another rule.
    pub fn read(&self, object: &Members<'_>, first: impl Fn(&[Box<str>]) -> Option<Claim>) -> Claims {
        Claims(self.paths.iter().map(|path| first(path).unwrap_or_else(|| read(object, path))).collect())
    }
}

fn read(object: &Members<'_>, path: &[Box<str>]) -> Claim {
    match path {
        [] => Claim::Missing,
        [name] => object.get(name).map_or(Claim::Missing, Claim::of),
        [name, rest @ ..] => match object.get(name).map(|value| Members::parse(value.as_bytes())) {
            Some(Ok(inner)) => read(&inner, rest),
            _ => Claim::Missing,
        },
    }
}

impl Claim {
    /// A JSON value: a string is its content, a list its elements, anything else is as it was written.
    pub fn of(value: &str) -> Claim {
        match json::elements(value) {
            Some(elements) => Claim::list(elements.into_iter().filter_map(text)),
            None => text(value).map_or(Claim::Missing, Claim::Text),
        }
    }

    /// An empty list is as good as none.
    pub fn list(elements: impl Iterator<Item = Box<str>>) -> Claim {
        let elements: Box<[Box<str>]> = elements.collect();
        if elements.is_empty() { Claim::Missing } else { Claim::List(elements) }
    }

    /// The elements; a value that is no list is its own, and a missing one is the empty text.
    pub fn elements(&self) -> impl Iterator<Item = &str> {
        let (one, many): (Option<&str>, &[Box<str>]) = match self {
            Claim::Missing => (Some(""), &[]),
            Claim::Text(text) => (Some(text), &[]),
            Claim::List(elements) => (None, elements),
        };
        one.into_iter().chain(many.iter().map(|element| &**element))
    }

    /// The value as one text in parts, with commas between the elements of a list.
    pub fn parts(&self) -> Vec<&[u8]> {
        let parts = self.elements().flat_map(|element| [&b","[..], element.as_bytes()]);
        parts.skip(1).collect()
    }
}

fn text(value: &str) -> Option<Box<str>> {
    match value {
        "null" => None,
        _ if value.starts_with('"') => json::string(value).map(|text| text.into()),
        _ => Some(value.into()),
    }
}

impl Claims {
    pub fn get(&self, slot: usize) -> &Claim {
        self.0.get(slot).unwrap_or(&Claim::Missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(path: &str) -> String {
        let object = r#"{"sub":"u1","n":7,"f":1.50,"e":1e3,"t":true,"z":null,"roles":["a","b",3,null],"none":[],
            "o":{"k":"v","l":["x"]},"https://example.com/roles":["x"],"a.b":"dot","bad":"\ud800","\u0072ole":"r"}"#;
        let mut names = ClaimNames::default();
        let slot = names.slot(path.as_bytes()).unwrap();
        let claims = names.read(&Members::parse(object.as_bytes()).unwrap(), |_| None);
        String::from_utf8(claims.get(slot).parts().concat()).unwrap()
    }

    #[test]
    fn values() {
        for (path, value) in [
            ("sub", "u1"),
            ("role", "r"),
            ("n", "7"),
            ("f", "1.50"),
            ("e", "1e3"),
            ("t", "true"),
            ("z", ""),
            ("missing", ""),
            ("roles", "a,b,3"),
            ("none", ""),
            ("o", r#"{"k":"v","l":["x"]}"#),
            ("o.k", "v"),
            ("o.l", "x"),
            ("o.k.x", ""),
            ("sub.x", ""),
            (r"https://example\.com/roles", "x"),
            (r"a\.b", "dot"),
            ("a.b", ""),
            ("bad", ""),
        ] {
            assert_eq!(claim(path), value, "{path}");
        }
    }

    #[test]
    fn one_slot_a_path() {
        let mut names = ClaimNames::default();
        assert_eq!([b"a".as_slice(), b"b", b"a.b", b"a"].map(|path| names.slot(path).unwrap()), [0, 1, 2, 0]);
        for path in [&b""[..], b".", b"a.", b".a", b"a..b", b"\xff"] {
            assert!(names.slot(path).unwrap_err().contains("realm_access.roles"));
        }
    }
}
