//! Remembers what has been verified, so that a token or cookie costs its cryptography once per worker.
//!
//! Four places for each hash, like the sets of a processor's cache: however an attacker chooses texts, a look
//! compares four of them at most, and all he can push out is what shares his place. Only what verified goes in.
//! The hash takes the end of a text, which in everything kept here is a signature or a code that nobody
//! chooses; a hit needs every byte to be equal. Used by `identity`, `remember` and `keep`.

use std::hash::BuildHasher;

use hashbrown::DefaultHashBuilder;

/// Values by text, bounded in number and in bytes.
#[derive(Debug)]
pub struct Cache<T> {
    /// Empty until the first value comes.
    places: Vec<Option<Entry<T>>>,
    limit: usize,
    bytes: usize,
    /// Where to make room next.
    hand: usize,
    hasher: DefaultHashBuilder,
}

#[derive(Debug)]
struct Entry<T> {
    hash: u64,
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
    pub fn get(&self, text: &[u8]) -> Option<&T> {
        if self.places.is_empty() {
            return None;
        }
        let hash = self.hash(text);
        let first = self.first(hash);
        let found = |entry: &&Entry<T>| entry.hash == hash && *entry.text == *text;
        self.places.get(first..first + WAYS)?.iter().flatten().find(found).map(|entry| &entry.value)
    }

    /// Keeps a value; when memory is short, or `text` takes more than all may, it does not.
    pub fn insert(&mut self, text: &[u8], value: T) {
        let budget = self.limit * BYTES_EACH;
        if text.len() > budget || !self.allocate() {
            return;
        }
        let mut copy = Vec::new();
        if copy.try_reserve_exact(text.len()).is_err() {
            return;
        }
        copy.extend_from_slice(text);
        let hash = self.hash(text);
        let first = self.first(hash);
        let free = (first..first + WAYS).find(|&place| self.places[place].is_none());
        let place = free.unwrap_or(first + self.hand % WAYS);
        self.remove(place);
        while self.bytes + text.len() > budget {
            self.remove(self.hand);
            self.hand = (self.hand + 1) % self.places.len();
        }
        self.hand = (self.hand + 1) % self.places.len();
        self.bytes += text.len();
        self.places[place] = Some(Entry { hash, text: copy.into(), value });
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
    fn hash(&self, text: &[u8]) -> u64 {
        self.hasher.hash_one((text.len(), text.last_chunk::<32>().map_or(text, |end| &end[..])))
    }

    /// The first of the places for a hash.
    #[inline]
    fn first(&self, hash: u64) -> usize {
        let sets = self.limit / WAYS;
        ((u128::from(hash) * sets as u128) >> 64) as usize * WAYS
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
        let mut cache = Cache::new(100);
        assert_eq!(cache.get(b"a"), None);
        (0..20).for_each(|n| cache.insert(&text(n, 40), n));
        let known = (0..20).filter(|n| cache.get(&text(*n, 40)) == Some(n)).count();
        assert!(known >= 18, "{known}");
        assert_eq!(cache.get(b""), None);
        cache.clear();
        assert_eq!(cache.get(&text(19, 40)), None);
    }

    /// Equal ends, hence equal hashes: the whole text decides.
    #[test]
    fn compares_the_whole_text() {
        let mut cache = Cache::new(8);
        let end = "e".repeat(32);
        (0..3).for_each(|n| cache.insert(format!("{n}{end}").as_bytes(), n));
        for n in 0..3 {
            assert_eq!(cache.get(format!("{n}{end}").as_bytes()), Some(&n));
        }
        assert_eq!(cache.get(format!("3{end}").as_bytes()), None);
        // However many share a hash, they share four places.
        (0..1000).for_each(|n| cache.insert(format!("x{n:04}{end}").as_bytes(), n));
        assert!(
            (0..1000).filter(|n| cache.get(format!("x{n:04}{end}").as_bytes()) == Some(n)).count() <= WAYS
        );
    }

    #[test]
    fn bounded_in_number_and_bytes() {
        let mut cache = Cache::new(16);
        for length in [40, 3000, 20_000] {
            (0..500).for_each(|n| cache.insert(&text(n, length), n));
            let kept = cache.places.iter().flatten();
            assert_eq!(kept.clone().map(|entry| entry.text.len()).sum::<usize>(), cache.bytes);
            assert!(kept.count() <= 16 && cache.bytes <= 16 * BYTES_EACH);
        }
        let mut none = Cache::new(0);
        none.insert(b"a", 1);
        assert_eq!(none.get(b"a"), None);
    }
}
