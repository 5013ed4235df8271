//! Remembers what has been verified, so that a token or cookie costs its cryptography once per worker.
//!
//! Four places for each hash, like the sets of a processor's cache: however an attacker chooses texts, a look
//! compares four of them at most, and all he can push out is what shares his place. Only what verified goes in.
//! The hash takes the last bytes of a text, which in everything kept here are of a signature or a code that nobody
//! chooses; a hit needs every byte to be equal, and the tag, by which one text may stand for several things.
//! Used by `identity`, `remember` and `keep`.

use core::fmt;
use std::hash::BuildHasher;

use hashbrown::DefaultHashBuilder;

/// Values by tag and text, bounded in number and in bytes.
pub struct Cache<T> {
    /// Empty until the first value comes.
    places: Vec<Option<Entry<T>>>,
    limit: usize,
    bytes: usize,
    /// Where to make room next.
    hand: usize,
    hasher: DefaultHashBuilder,
}

struct Entry<T> {
    hash: u64,
    tag: usize,
    text: Box<[u8]>,
    value: T,
}

/// Places that share a hash.
const WAYS: usize = 4;

/// How many bytes a text may take on average when the cache is full.
const BYTES_EACH: usize = 1024;

impl<T> Cache<T> {
    /// At most `limit` values, and 1 KiB of text for each of them in all.
    pub fn new(limit: usize) -> Cache<T> {
        let limit = limit.next_multiple_of(WAYS);
        Cache { places: Vec::new(), limit, bytes: 0, hand: 0, hasher: DefaultHashBuilder::default() }
    }

    #[inline]
    pub fn get(&self, tag: usize, text: &[u8]) -> Option<&T> {
        if self.places.is_empty() {
            return None;
        }
        let hash = self.hash(tag, text);
        let first = self.first(hash);
        let found = |entry: &&Entry<T>| entry.is(hash, tag, text);
        self.places.get(first..first + WAYS)?.iter().flatten().find(found).map(|entry| &entry.value)
    }

    /// Keeps a value; when memory is short, or `text` takes more than all may, it does not.
    pub fn insert(&mut self, tag: usize, text: &[u8], value: T) {
        let budget = self.limit * BYTES_EACH;
        if text.len() > budget || !self.allocate() {
            return;
        }
        let mut copy = Vec::new();
        if copy.try_reserve_exact(text.len()).is_err() {
            return;
        }
        copy.extend_from_slice(text);
        let hash = self.hash(tag, text);
        let first = self.first(hash);
        let find = |wanted: &dyn Fn(&Option<Entry<T>>) -> bool| {
            (first..first + WAYS).find(|&place| wanted(&self.places[place]))
        };
        let known = find(&|entry| entry.as_ref().is_some_and(|entry| entry.is(hash, tag, text)));
        let place = known.or_else(|| find(&Option::is_none)).unwrap_or(first + self.hand % WAYS);
        self.remove(place);
        while self.bytes + text.len() > budget {
            self.remove(self.hand);
            self.hand = (self.hand + 1) % self.places.len();
        }
        self.hand = (self.hand + 1) % self.places.len();
        self.bytes += text.len();
        self.places[place] = Some(Entry { hash, tag, text: copy.into(), value });
    }

    pub fn clear(&mut self) {
        self.places.clear();
        self.bytes = 0;
    }

    fn allocate(&mut self) -> bool {
        if self.places.is_empty() {
            if self.places.try_reserve_exact(self.limit).is_err() {
                return false;
            }
            self.places.resize_with(self.limit, || None);
            self.hand = 0;
        }
        !self.places.is_empty()
    }

    fn remove(&mut self, place: usize) {
        if let Some(entry) = self.places[place].take() {
            self.bytes -= entry.text.len();
        }
    }

    #[inline]
    fn hash(&self, tag: usize, text: &[u8]) -> u64 {
        let end = text.last_chunk().map_or(0, |end| u64::from_le_bytes(*end));
        self.hasher.hash_one((end, (text.len() as u64) << 8 | tag as u64))
    }

    /// The first of the places for a hash.
    #[inline]
    fn first(&self, hash: u64) -> usize {
        let sets = self.limit / WAYS;
        ((u128::from(hash) * sets as u128) >> 64) as usize * WAYS
    }
}

impl<T> Entry<T> {
    fn is(&self, hash: u64, tag: usize, text: &[u8]) -> bool {
        self.hash == hash && self.tag == tag && *self.text == *text
    }
}

/// Says nothing of the texts, which let their holder in elsewhere.
impl<T> fmt::Debug for Cache<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cache({} of {})", self.places.iter().flatten().count(), self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(n: usize, length: usize) -> Vec<u8> {
        format!("{n:0length$}").into_bytes()
    }

    #[test]
    fn finds_what_it_was_given() {
        let mut cache = Cache::new(1000);
        assert_eq!(cache.get(0, b"a"), None);
        (0..20).for_each(|n| cache.insert(0, &text(n, 40), n));
        let known = (0..20).filter(|n| cache.get(0, &text(*n, 40)) == Some(n)).count();
        assert!(known >= 18, "{known}");
        assert_eq!(cache.get(0, b""), None);
        cache.clear();
        assert_eq!(cache.get(0, &text(19, 40)), None);
    }

    /// Equal ends, hence equal hashes: the whole text decides.
    #[test]
    fn compares_the_whole_text() {
        let mut cache = Cache::new(8);
        let end = "e".repeat(32);
        (0..3).for_each(|n| cache.insert(0, format!("{n}{end}").as_bytes(), n));
        for n in 0..3 {
            assert_eq!(cache.get(0, format!("{n}{end}").as_bytes()), Some(&n));
        }
        assert_eq!(cache.get(0, format!("3{end}").as_bytes()), None);
        // However many share a hash, they share four places.
        (0..1000).for_each(|n| cache.insert(0, format!("x{n:04}{end}").as_bytes(), n));
        assert!(
            (0..1000).filter(|n| cache.get(0, format!("x{n:04}{end}").as_bytes()) == Some(n)).count() <= WAYS
        );
    }

    #[test]
    fn one_place_for_one_thing() {
        let mut cache = Cache::new(8);
        (0..100).for_each(|n| cache.insert(n % 2, b"text", n));
        assert_eq!(
            (cache.get(0, b"text"), cache.get(1, b"text"), cache.get(2, b"text")),
            (Some(&98), Some(&99), None)
        );
        assert_eq!(cache.places.iter().flatten().count(), 2);
        assert_eq!(format!("{cache:?}"), "Cache(2 of 8)");
    }

    #[test]
    fn bounded_in_number_and_bytes() {
        let mut cache = Cache::new(16);
        for length in [40, 3000, 20_000] {
            (0..500).for_each(|n| cache.insert(0, &text(n, length), n));
            let kept = cache.places.iter().flatten();
            assert_eq!(kept.clone().map(|entry| entry.text.len()).sum::<usize>(), cache.bytes);
            assert!(kept.count() <= 16 && cache.bytes <= 16 * BYTES_EACH);
        }
        let mut none = Cache::new(0);
        none.insert(0, b"a", 1);
        assert_eq!(none.get(0, b"a"), None);
    }
}
