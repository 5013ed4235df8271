//! The values of `in a|b|c` and `in file:path`: exact, found in constant time.
//!
//! One block of text and a table of spans into it: a million lines cost two allocations, which the master
//! makes once and the workers share untouched after fork.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

/// An immutable set of byte strings.
#[derive(Debug)]
pub struct ValueSet {
    text: Box<[u8]>,
    spans: HashTable<(u32, u32)>,
    hasher: DefaultHashBuilder,
}

impl ValueSet {
    /// The alternatives of `a|b|c`.
    pub fn from_list(list: &[u8]) -> Result<ValueSet, String> {
        if list.split(|&b| b == b'|').any(<[u8]>::is_empty) {
            return Err(
                "an alternative is empty: write values with \"|\" between them, e.g. \"a|b|c\"".to_owned()
            );
        }
        ValueSet::new(list.into(), b'|')
    }

    /// One value a line; empty lines are passed over, as a missing value would match them.
    pub fn from_lines(text: Vec<u8>) -> Result<ValueSet, String> {
        ValueSet::new(text.into_boxed_slice(), b'\n')
    }

    fn new(text: Box<[u8]>, separator: u8) -> Result<ValueSet, String> {
        if u32::try_from(text.len()).is_err() {
            return Err("the list is larger than 4 GiB".to_owned());
        }
        let hasher = DefaultHashBuilder::default();
        let count = memchr::memchr_iter(separator, &text).count() + 1;
        let mut spans = HashTable::with_capacity(count);
        let mut start = 0;
        for end in memchr::memchr_iter(separator, &text).chain([text.len()]) {
            let value = &text[start..end];
            let value = value.strip_suffix(b"\r").filter(|_| separator == b'\n').unwrap_or(value);
            let span = (start as u32, value.len() as u32);
            start = end + 1;
            if !value.is_empty() {
                let hash = |&span: &(u32, u32)| hasher.hash_one(at(&text, span));
                spans.entry(hasher.hash_one(value), |&other| at(&text, other) == value, hash).or_insert(span);
            }
        }
        Ok(ValueSet { text, spans, hasher })
    }

    pub fn contains(&self, value: &[u8]) -> bool {
        self.spans.find(self.hasher.hash_one(value), |&span| at(&self.text, span) == value).is_some()
    }

    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }
}

fn at(text: &[u8], (start, len): (u32, u32)) -> &[u8] {
    &text[start as usize..][..len as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        let set = ValueSet::from_list(b"a|bc|a").unwrap();
        assert!(set.contains(b"a") && set.contains(b"bc"));
        assert!(!set.contains(b"b") && !set.contains(b"a|bc") && !set.contains(b""));
        assert!(ValueSet::from_list(b"a||b").is_err());
        assert!(ValueSet::from_list(b"").is_err());
    }

    #[test]
    fn lines() {
        let set = ValueSet::from_lines(b"one\r\n\n two\nthree\n".to_vec()).unwrap();
        assert!(set.contains(b"one") && set.contains(b" two") && set.contains(b"three"));
        assert!(!set.contains(b"two") && !set.contains(b""));
        assert!(ValueSet::from_lines(b"\n\r\n".to_vec()).unwrap().is_empty());
    }

    #[test]
    fn many() {
        let text: String = (0..100_000).map(|n| format!("user-{n}\n")).collect();
        let set = ValueSet::from_lines(text.into_bytes()).unwrap();
        assert!((0..100_000).all(|n| set.contains(format!("user-{n}").as_bytes())));
        assert!(!set.contains(b"user-100000") && !set.contains(b"user-"));
    }
}
