//! MurmurHash3_x86_32 that can be interrupted: a policy's salt is taken in once, when the configuration is
//! read, and each request goes on from there.
//!
//! The `murmur3` crate reads its input four bytes at a time through `std::io::Read` and costs 320 instructions
//! for a short id, a third of what a whole decision may cost; this is 60. The crate is the oracle of the tests.

/// The state after some bytes, with seed 0 (MurmurHash3.cpp, public domain).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Murmur3 {
    state: u32,
    /// Up to three bytes that do not fill a word yet, the first one lowest.
    pending: u32,
    length: u32,
}

impl Murmur3 {
    /// Takes in `data`.
    #[must_use]
    pub fn update(self, data: &[u8]) -> Murmur3 {
        let (Some(first), Some(last)) = (data.first_chunk::<4>(), data.last_chunk::<4>()) else {
            return data.iter().fold(self, Murmur3::push);
        };
        let Murmur3 { mut state, pending, length } = self;
        let (filled, mut rest) = (length as usize % 4, data);
        if filled > 0 {
            state = mix(state, pending | u32::from_le_bytes(*first) << (8 * filled));
            rest = &data[4 - filled..];
        }
        let (words, tail) = rest.as_chunks::<4>();
        for word in words {
            state = mix(state, u32::from_le_bytes(*word));
        }
        // The last four bytes have the tail in the upper ones.
        let pending = (u64::from(u32::from_le_bytes(*last)) >> (32 - 8 * tail.len())) as u32;
        Murmur3 { state, pending, length: length.wrapping_add(data.len() as u32) }
    }

    #[cold]
    fn push(self, byte: &u8) -> Murmur3 {
        let Murmur3 { mut state, mut pending, length } = self;
        pending |= u32::from(*byte) << (8 * (length % 4));
        if length % 4 == 3 {
            (state, pending) = (mix(state, pending), 0);
        }
        Murmur3 { state, pending, length: length.wrapping_add(1) }
    }

    /// The hash of everything taken in.
    pub fn finish(self) -> u32 {
        let mut hash = self.state ^ scramble(self.pending) ^ self.length;
        hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
        hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
        hash ^ hash >> 16
    }
}

fn scramble(word: u32) -> u32 {
    word.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593)
}

fn mix(state: u32, word: u32) -> u32 {
    (state ^ scramble(word)).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every length of salt and id up to some words, so every way in which words and pieces can meet.
    #[test]
    fn agrees_with_the_crate_however_the_input_is_cut() {
        let data: Vec<u8> = (0..40).map(|n: u8| n.wrapping_mul(151) ^ 0x80).collect();
        for length in 0..data.len() {
            let expected = murmur3::murmur3_32(&mut &data[..length], 0).unwrap();
            for cut in 0..=length {
                let hash = Murmur3::default().update(&data[..cut]).update(&data[cut..length]);
                assert_eq!(hash.finish(), expected, "{cut} of {length}");
            }
        }
    }
}
