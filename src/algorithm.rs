//! The signature algorithms of JSON Web Algorithms (RFC 7518 section 3.1, RFC 8037 section 3.1, RFC 9864), and
//! sets of them. Used by keys, signatures and the `alg=` parameter.

use core::fmt;

use openssl::hash::MessageDigest;

use crate::mac::Digest;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Algorithm {
    Hs256,
    Hs384,
    Hs512,
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    Es512,
    EdDsa,
    /// The fully specified name of what `EdDSA` is with an Ed25519 key.
    Ed25519,
}

/// What an algorithm does with its digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Hmac,
    RsaPkcs1,
    RsaPss,
    /// ECDSA; a signature is two numbers of this many bytes.
    Ecdsa(usize),
    Ed25519,
}

use Algorithm::*;

const ALL: [(Algorithm, &str, Family, Digest); 14] = [
    (Hs256, "HS256", Family::Hmac, Digest::Sha256),
    (Hs384, "HS384", Family::Hmac, Digest::Sha384),
    (Hs512, "HS512", Family::Hmac, Digest::Sha512),
    (Rs256, "RS256", Family::RsaPkcs1, Digest::Sha256),
    (Rs384, "RS384", Family::RsaPkcs1, Digest::Sha384),
    (Rs512, "RS512", Family::RsaPkcs1, Digest::Sha512),
    (Ps256, "PS256", Family::RsaPss, Digest::Sha256),
    (Ps384, "PS384", Family::RsaPss, Digest::Sha384),
    (Ps512, "PS512", Family::RsaPss, Digest::Sha512),
    (Es256, "ES256", Family::Ecdsa(32), Digest::Sha256),
    (Es384, "ES384", Family::Ecdsa(48), Digest::Sha384),
    (Es512, "ES512", Family::Ecdsa(66), Digest::Sha512),
    (EdDsa, "EdDSA", Family::Ed25519, Digest::Sha512),
    (Ed25519, "Ed25519", Family::Ed25519, Digest::Sha512),
];

impl Algorithm {
    /// By its name in `alg`, exactly.
    pub fn parse(name: &str) -> Option<Algorithm> {
        ALL.iter().find(|entry| entry.1 == name).map(|entry| entry.0)
    }

    pub fn all() -> impl Iterator<Item = Algorithm> {
        ALL.iter().map(|entry| entry.0)
    }

    pub fn name(self) -> &'static str {
        ALL[self as usize].1
    }

    pub fn family(self) -> Family {
        ALL[self as usize].2
    }

    pub fn digest(self) -> Digest {
        ALL[self as usize].3
    }

    pub fn message_digest(self) -> MessageDigest {
        match self.digest() {
            Digest::Sha256 => MessageDigest::sha256(),
            Digest::Sha384 => MessageDigest::sha384(),
            Digest::Sha512 => MessageDigest::sha512(),
        }
    }
}

/// A set of algorithms.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Algorithms(u16);

impl Algorithms {
    pub const ALL: Algorithms = Algorithms((1 << ALL.len()) - 1);

    pub fn of(families: &[Family]) -> Algorithms {
        Algorithm::all().filter(|algorithm| families.contains(&algorithm.family())).collect()
    }

    pub fn contains(self, algorithm: Algorithm) -> bool {
        self.0 >> algorithm as u16 & 1 != 0
    }

    pub fn and(self, other: Algorithms) -> Algorithms {
        Algorithms(self.0 & other.0)
    }

    pub fn or(self, other: Algorithms) -> Algorithms {
        Algorithms(self.0 | other.0)
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn iter(self) -> impl Iterator<Item = Algorithm> {
        Algorithm::all().filter(move |&algorithm| self.contains(algorithm))
    }

    /// The names, joined by commas.
    pub fn names(self) -> String {
        self.iter().map(Algorithm::name).collect::<Vec<_>>().join(",")
    }
}

impl FromIterator<Algorithm> for Algorithms {
    fn from_iter<I: IntoIterator<Item = Algorithm>>(algorithms: I) -> Algorithms {
        Algorithms(algorithms.into_iter().fold(0, |set, algorithm| set | 1 << algorithm as u16))
    }
}

impl fmt::Debug for Algorithms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_sets() {
        for (place, algorithm) in Algorithm::all().enumerate() {
            assert_eq!(algorithm as usize, place);
            assert_eq!(Algorithm::parse(algorithm.name()), Some(algorithm));
        }
        for name in ["none", "None", "hs256", "HS1", "ES256K", "RSA-OAEP", "", "A256GCM"] {
            assert_eq!(Algorithm::parse(name), None, "{name}");
        }
        let rsa = Algorithms::of(&[Family::RsaPkcs1, Family::RsaPss]);
        assert_eq!(rsa.names(), "RS256,RS384,RS512,PS256,PS384,PS512");
        assert!(
            rsa.contains(Ps384)
                && !rsa.contains(Hs256)
                && rsa.and(Algorithms::of(&[Family::Hmac])).is_empty()
        );
        assert_eq!(Algorithms::ALL.iter().count(), ALL.len());
    }
}
