//! JSON Web Encryption (RFC 7516), compact serialization, with a key of our own (`dir`): what Auth.js and
//! better-auth seal sessions with. Used by `identity authjs` and `identity better_auth`.

use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::error::ErrorStack;
use openssl::symm::{self, Cipher};

use crate::failure::Failure;
use crate::json::Members;
use crate::mac::{Digest, MacKey};

/// The content encryptions in use (RFC 7518 section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    A256CbcHs512,
    A256Gcm,
}

/// A key for one of them.
pub struct SealKey {
    encryption: Encryption,
    kid: String,
    cipher: [u8; 32],
    mac: Option<MacKey>,
}

impl Encryption {
    /// The length of a key in bytes.
    pub fn key_size(self) -> usize {
        match self {
            Encryption::A256CbcHs512 => 64,
            Encryption::A256Gcm => 32,
        }
    }

    fn parse(name: &str) -> Option<Encryption> {
        match name {
            "A256CBC-HS512" => Some(Encryption::A256CbcHs512),
            "A256GCM" => Some(Encryption::A256Gcm),
            _ => None,
        }
    }
}

impl SealKey {
    /// `kid` is the name by which tokens call it. `None` when `key` is not as long as the encryption wants it.
    pub fn new(encryption: Encryption, key: &[u8], kid: String) -> Option<SealKey> {
        let (mac, cipher) = match encryption {
            Encryption::A256CbcHs512 => {
                let (mac, cipher) = key.split_at_checked(32)?;
                (Some(MacKey::new(Digest::Sha512, mac)), cipher)
            }
            Encryption::A256Gcm => (None, key),
        };
        Some(SealKey { encryption, kid, cipher: cipher.try_into().ok()?, mac })
    }

    fn open(&self, parts: &Parts<'_>) -> Result<Vec<u8>, Failure> {
        let Parts { header, iv, ciphertext, tag } = parts;
        let (iv_size, tag_size) = match self.encryption {
            Encryption::A256CbcHs512 => (16, 32),
            Encryption::A256Gcm => (12, 16),
        };
        if iv.len() != iv_size || tag.len() != tag_size {
            return Err(Failure::Malformed);
        }
        let opened = match &self.mac {
            Some(mac) => {
                let bits = (header.len() as u64 * 8).to_be_bytes();
                if !mac.verify_half(&[header, iv, ciphertext, &bits], tag) {
                    return Err(Failure::Signature);
                }
                symm::decrypt(Cipher::aes_256_cbc(), &self.cipher, Some(iv), ciphertext)
            }
            None => {
                symm::decrypt_aead(Cipher::aes_256_gcm(), &self.cipher, Some(iv), header, ciphertext, tag)
            }
        };
        // nginx takes what libcrypto leaves behind for errors of its own connections.
        let _ = ErrorStack::get();
        opened.map_err(|_| Failure::Signature)
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealKey({:?}, secret)", self.encryption)
    }
}

struct Parts<'t> {
    /// As it was sent: it is authenticated, too.
    header: &'t [u8],
    iv: Vec<u8>,
    ciphertext: Vec<u8>,
    tag: Vec<u8>,
}

/// Opens `token` with the key of its encryption, and returns the plaintext.
pub fn open(token: &[u8], keys: &[SealKey]) -> Result<Vec<u8>, Failure> {
    let parts: Vec<&[u8]> = token.splitn(6, |&b| b == b'.').collect();
    // With `dir` there is no encrypted key.
    let [header, [], iv, ciphertext, tag] = parts[..] else {
        return Err(Failure::Malformed);
    };
    let decode = |part: &[u8]| URL_SAFE_NO_PAD.decode(part).map_err(|_| Failure::Malformed);
    let (encryption, kid) = read_header(&decode(header)?)?;
    let parts = Parts { header, iv: decode(iv)?, ciphertext: decode(ciphertext)?, tag: decode(tag)? };
    let key = keys.iter().find(|key| key.encryption == encryption).ok_or(Failure::Algorithm)?;
    if kid.is_some_and(|kid| kid != key.kid) {
        return Err(Failure::Key);
    }
    key.open(&parts)
}

fn read_header(header: &[u8]) -> Result<(Encryption, Option<String>), Failure> {
    let header = Members::parse_flat(header).map_err(|_| Failure::Malformed)?;
    // Compressed plaintext is as little understood as an extension.
    if header.has("crit") || header.has("zip") {
        return Err(Failure::Malformed);
    }
    let (algorithm, encryption) = (header.text("alg"), header.text("enc"));
    let (algorithm, encryption) =
        (algorithm.ok_or(Failure::Malformed)?, encryption.ok_or(Failure::Malformed)?);
    let kid = header.text("kid").map(|kid| kid.into_owned());
    let encryption = Encryption::parse(&encryption).filter(|_| algorithm == "dir");
    encryption.map(|encryption| (encryption, kid)).ok_or(Failure::Algorithm)
}
