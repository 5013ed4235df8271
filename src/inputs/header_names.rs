//! Sets of header names that spare most lines a look at theirs: by hash and by length. Used by `inputs`, by navigations, and
//! by the glue, which has nginx's hashes at hand.

/// nginx's hash of a header line's name in lower case (`ngx_hash_key`). Who can think of another name with the same hash
/// can as well send the right one, so it is for names that give no rights. With `ignore_invalid_headers off` characters
/// that no name may have are left out.
pub const fn header_hash(name: &[u8]) -> usize {
    let (mut hash, mut at) = (0_usize, 0);
    while at < name.len() {
        hash = hash.wrapping_mul(31).wrapping_add(name[at].to_ascii_lowercase() as usize);
        at += 1;
    }
    hash
}

/// A set of hashes: one, or more by their last six bits. Spares most header lines any further look.
#[derive(Clone, Copy, Debug)]
pub enum Hashes {
    One(usize),
    Bits(u64),
}

impl Hashes {
    pub const fn of(hashes: &[usize]) -> Hashes {
        let (mut bits, mut at) = (0, 0);
        while at < hashes.len() {
            bits |= 1 << (hashes[at] % 64);
            at += 1;
        }
        Hashes::Bits(bits)
    }

    #[inline(always)]
    pub fn may_contain(self, hash: usize) -> bool {
        match self {
            Hashes::One(one) => hash == one,
            Hashes::Bits(bits) => bits >> (hash % 64) & 1 != 0,
        }
    }
}

/// A set of lengths; from 63 on they count as one. Spares most header lines a look at their names.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lengths(u64);

impl Lengths {
    pub const ALL: Lengths = Lengths(u64::MAX);

    pub fn insert(&mut self, length: usize) {
        self.0 |= 1 << length.min(63);
    }

    pub fn contains(self, length: usize) -> bool {
        self.0 >> length.min(63) & 1 != 0
    }
}
