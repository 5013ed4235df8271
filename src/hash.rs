//! Where a user id falls: the bucket of the native hash, and the two foreign ways of counting that a
//! migration may ask for. Used by the split, by `$lobechat_canary_bucket` and `$lobechat_canary_user`.

use openssl::sha::Sha256;

use crate::murmur3::Murmur3;
use crate::percent::Percent;

/// The number of buckets, and of basis points in 100 %.
pub const BUCKETS: u16 = 10_000;

/// How a user id becomes a position among the ranges of the releases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HashMode {
    /// murmur3 of `salt:id`, scaled to 10000 buckets.
    #[default]
    Native,
    /// An Unleash gradual rollout whose groupId is the salt: whole percents.
    Unleash,
    /// nginx's `split_clients` (ngx_http_split_clients_module.c): murmur2 of the bare id.
    SplitClients,
}

/// A salt with the colon that parts it from the user id, already taken into the hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Salt {
    text: Box<[u8]>,
    murmur3: Murmur3,
}

impl Salt {
    pub fn new(text: &[u8]) -> Salt {
        let text = [text, b":"].concat().into_boxed_slice();
        Salt { murmur3: Murmur3::default().update(&text), text }
    }

    /// As the `salt` directive has it.
    pub fn text(&self) -> &[u8] {
        self.text.strip_suffix(b":").unwrap_or_default()
    }

    /// MurmurHash3_x86_32 with seed 0 of `salt:user`.
    #[inline(always)]
    fn murmur3(&self, user: &[u8]) -> u32 {
        self.murmur3.update(user).finish()
    }

    /// The native bucket of a user, 0 to 9999, whatever the policy's hash mode is.
    pub fn bucket(&self, user: &[u8]) -> u16 {
        bucket_of(self.murmur3(user))
    }

    /// The first 64 bits of SHA-256 of `salt:user`: tells users apart in logs without naming them.
    pub fn pseudonym(&self, user: &[u8]) -> u64 {
        let mut digest = Sha256::new();
        digest.update(&self.text);
        digest.update(user);
        first_word(&digest.finish())
    }
}

/// The first 64 bits of a digest.
pub fn first_word(digest: &[u8; 32]) -> u64 {
    digest.iter().take(8).fold(0, |word, &byte| word << 8 | u64::from(byte))
}

/// Multiply-shift instead of a remainder: exact to within 2^-32 for every bucket.
fn bucket_of(hash: u32) -> u16 {
    ((u64::from(hash) * u64::from(BUCKETS)) >> 32) as u16
}

impl HashMode {
    pub fn parse(text: &[u8]) -> Option<HashMode> {
        match text {
            b"native" => Some(HashMode::Native),
            b"unleash" => Some(HashMode::Unleash),
            b"split_clients" => Some(HashMode::SplitClients),
            _ => None,
        }
    }

    /// As the `hash` directive calls it.
    pub fn name(self) -> &'static str {
        match self {
            HashMode::Native => "native",
            HashMode::Unleash => "unleash",
            HashMode::SplitClients => "split_clients",
        }
    }

    /// The native bucket of a user and the user's position on this mode's own scale.
    #[inline(always)]
    pub fn place(self, salt: &Salt, user: &[u8]) -> (u16, u32) {
        let hash = salt.murmur3(user);
        let bucket = bucket_of(hash);
        let position = match self {
            HashMode::Native => u32::from(bucket),
            _ => self.foreign_position(hash, user),
        };
        (bucket, position)
    }

    #[inline(never)]
    fn foreign_position(self, hash: u32, user: &[u8]) -> u32 {
        match self {
            HashMode::Native => u32::from(bucket_of(hash)),
            // Unleash normalises to n = 1..=100 and enables n <= percentage.
            HashMode::Unleash => hash % 100 * 100,
            HashMode::SplitClients => murmur2(user),
        }
    }

    /// How many positions `share` of all users has on this mode's scale, rounded down.
    pub fn width(self, share: Percent) -> u64 {
        let points = u64::from(share.basis_points());
        match self {
            HashMode::Native | HashMode::Unleash => points,
            HashMode::SplitClients => points * u64::from(u32::MAX) / u64::from(BUCKETS),
        }
    }
}

/// MurmurHash2 with seed 0, as `ngx_murmur_hash2` computes it (src/core/ngx_murmurhash.c).
fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = data.len() as u32;
    let (words, tail) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k = (k ^ k >> 24).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    if !tail.is_empty() {
        let rest = tail.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte));
        hash = (hash ^ rest).wrapping_mul(M);
    }
    hash = (hash ^ hash >> 13).wrapping_mul(M);
    hash ^ hash >> 15
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documented_buckets() {
        let salt = Salt::new(b"lobe");
        assert_eq!(salt.bucket(b"user_1"), 3178);
        assert_eq!(salt.bucket(b"user_2"), 5671);
        assert_eq!(salt.bucket(b"alice"), 7091);
        assert_eq!(Salt::new(b"lobe:2").bucket(b"alice"), 1894);
    }

    #[test]
    fn bucket_ends() {
        assert_eq!(bucket_of(0), 0);
        assert_eq!(bucket_of(u32::MAX), 9999);
    }

    /// Values of nginx's own ngx_murmur_hash2.
    #[test]
    fn murmur2_is_nginx_s() {
        for (key, hash) in [
            (&b""[..], 0),
            (b"a", 2_456_313_694),
            (b"abc", 324_500_635),
            (b"hello", 3_848_350_155),
            (b"127.0.0.1AAA", 3_053_215_307),
            (b"user-1", 21_187_135),
            (b"alice", 479_601_241),
        ] {
            assert_eq!(murmur2(key), hash, "{}", String::from_utf8_lossy(key));
        }
    }

    /// sha256("lobe:alice"), first 16 hex digits, by an independent tool.
    #[test]
    fn pseudonym_is_salted_sha256() {
        assert_eq!(format!("{:016x}", Salt::new(b"lobe").pseudonym(b"alice")), "6e0c37574aa93097");
        assert_ne!(Salt::new(b"lobe").pseudonym(b"alice"), Salt::new(b"lobe:2").pseudonym(b"alice"));
    }
}
