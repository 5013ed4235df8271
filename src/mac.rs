//! HMAC (RFC 2104) over libcrypto's digests: the construction is the `hmac` crate's, the compression that of
//! the library which nginx has loaded anyway. libcrypto's own HMAC looks up its parts by name each time, which
//! costs more than a token's digest. Used by JSON Web Signatures, sessions and the module's cookies.

use core::fmt;

use hmac::digest::{
    FixedOutput, HashMarker, Output, OutputSizeUser, Update, block_api::BlockSizeUser, typenum,
};
use hmac::{KeyInit, SimpleHmac};

/// The digest under an HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digest {
    Sha256,
    Sha384,
    Sha512,
}

impl Digest {
    /// The length of a code in bytes.
    pub fn size(self) -> usize {
        match self {
            Digest::Sha256 => 32,
            Digest::Sha384 => 48,
            Digest::Sha512 => 64,
        }
    }
}

/// A secret key, taken into the digest already.
#[derive(Clone)]
pub struct MacKey(Keyed);

#[derive(Clone)]
enum Keyed {
    Sha256(SimpleHmac<Sha256>),
    Sha384(SimpleHmac<Sha384>),
    Sha512(SimpleHmac<Sha512>),
}

impl MacKey {
    pub fn new(digest: Digest, key: &[u8]) -> MacKey {
        // HMAC takes keys of any length, so the result is never an error.
        fn keyed<M: KeyInit>(key: &[u8]) -> M {
            M::new_from_slice(key).unwrap_or_else(|_| M::new(&Default::default()))
        }
        MacKey(match digest {
            Digest::Sha256 => Keyed::Sha256(keyed(key)),
            Digest::Sha384 => Keyed::Sha384(keyed(key)),
            Digest::Sha512 => Keyed::Sha512(keyed(key)),
        })
    }

    /// The code of the parts in a row.
    pub fn sign(&self, parts: &[&[u8]]) -> Vec<u8> {
        fn sign<M: hmac::Mac + Clone>(key: &M, parts: &[&[u8]]) -> Vec<u8> {
            parts
                .iter()
                .fold(key.clone(), |mac, part| mac.chain_update(part))
                .finalize()
                .into_bytes()
                .to_vec()
        }
        match &self.0 {
            Keyed::Sha256(key) => sign(key, parts),
            Keyed::Sha384(key) => sign(key, parts),
            Keyed::Sha512(key) => sign(key, parts),
        }
    }

    /// Whether `code` is the whole code of the parts in a row. Takes as long for a wrong code as for the right one.
    pub fn verify(&self, parts: &[&[u8]], code: &[u8]) -> bool {
        fn verify<M: hmac::Mac + Clone>(key: &M, parts: &[&[u8]], code: &[u8]) -> bool {
            parts.iter().fold(key.clone(), |mac, part| mac.chain_update(part)).verify_slice(code).is_ok()
        }
        match &self.0 {
            Keyed::Sha256(key) => verify(key, parts, code),
            Keyed::Sha384(key) => verify(key, parts, code),
            Keyed::Sha512(key) => verify(key, parts, code),
        }
    }

    /// As [`MacKey::verify`], where `code` is the first half of the code (RFC 7518 section 5.2.2.1).
    pub fn verify_half(&self, parts: &[&[u8]], code: &[u8]) -> bool {
        let whole = self.sign(parts);
        let half = &whole[..whole.len() / 2];
        half.len() == code.len() && openssl::memcmp::eq(half, code)
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey(secret)")
    }
}

/// Gives a digest of libcrypto the traits that the `hmac` crate asks for.
macro_rules! adapt {
    ($name:ident, $output:ty, $block:ty) => {
        #[derive(Clone, Default)]
        struct $name(openssl::sha::$name);

        impl HashMarker for $name {}
        impl OutputSizeUser for $name {
            type OutputSize = $output;
        }
        impl BlockSizeUser for $name {
            type BlockSize = $block;
        }
        impl Update for $name {
            fn update(&mut self, data: &[u8]) {
                self.0.update(data);
            }
        }
        impl FixedOutput for $name {
            fn finalize_into(self, out: &mut Output<Self>) {
                out.copy_from_slice(&self.0.finish());
            }
        }
    };
}

adapt!(Sha256, typenum::U32, typenum::U64);
adapt!(Sha384, typenum::U48, typenum::U128);
adapt!(Sha512, typenum::U64, typenum::U128);

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231 section 4.3 (test case 2) and 4.7 (test case 6, a key longer than a block).
    #[test]
    fn rfc_4231() {
        let hex = |code: Vec<u8>| code.iter().map(|b| format!("{b:02x}")).collect::<String>();
        let (jefe, long) = (b"Jefe".to_vec(), vec![0xaa; 131]);
        for (digest, key, text, start) in [
            (Digest::Sha256, &jefe, "what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c7"),
            (Digest::Sha384, &jefe, "what do ya want for nothing?", "af45d2e376484031617f78d2b58a6b1b"),
            (Digest::Sha512, &jefe, "what do ya want for nothing?", "164b7a7bfcf819e2e395fbe73b56e0a3"),
            (
                Digest::Sha256,
                &long,
                "Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f",
            ),
            (
                Digest::Sha512,
                &long,
                "Test Using Larger Than Block-Size Key - Hash Key First",
                "80b24263c7c1a3eb",
            ),
        ] {
            let (key, (head, tail)) = (MacKey::new(digest, key), text.as_bytes().split_at(9));
            let code = key.sign(&[head, tail]);
            assert_eq!(code.len(), digest.size());
            assert!(hex(code.clone()).starts_with(start), "{}", hex(code.clone()));
            assert!(key.verify(&[text.as_bytes()], &code));
            assert!(key.verify_half(&[head, tail], &code[..code.len() / 2]));
            assert!(!key.verify(&[text.as_bytes()], &code[1..]));
            assert!(!key.verify_half(&[head, tail], &code));
            for at in [0, code.len() - 1] {
                let mut wrong = code.clone();
                wrong[at] ^= 1;
                assert!(!key.verify(&[text.as_bytes()], &wrong));
            }
        }
    }

    #[test]
    fn says_nothing_of_the_key() {
        assert_eq!(format!("{:?}", MacKey::new(Digest::Sha256, b"hunter2")), "MacKey(secret)");
    }
}
