//! JSON Web Signature (RFC 7515), compact serialization: verifies a token with the keys that are configured.
//! Nothing in a token's header can bring a key, choose one of another kind, or turn a check off.
//! Used by `identity jwt` and `identity better_auth`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::bn::BigNum;
use openssl::ecdsa::EcdsaSig;
use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Public};
use openssl::rsa::Padding;
use openssl::sign::{RsaPssSaltlen, Verifier};

use crate::algorithm::{Algorithm, Algorithms, Family};
use crate::failure::Failure;
use crate::json::Members;
use crate::jwk::{Key, KeySet};

/// Verifies `token` and returns its payload.
pub fn verify(token: &[u8], keys: &KeySet, allowed: Algorithms) -> Result<Vec<u8>, Failure> {
    let (signed, signature) = split_last(token).ok_or(Failure::Malformed)?;
    let (header, payload) = split_last(signed).ok_or(Failure::Malformed)?;
    // One piece of memory for all, with the payload in front. It is larger than need be: the decoder rounds up.
    let mut decoded = vec![0; token.len() + 9];
    let (payload, rest) = decode(payload, &mut decoded)?;
    let (header, rest) = decode(header, rest)?;
    let (signature, _) = decode(signature, rest)?;
    let (algorithm, kid) = read_header(header)?;

    let algorithm = algorithm.filter(|&algorithm| allowed.contains(algorithm)).ok_or(Failure::Algorithm)?;
    let mut able = keys.keys.iter().filter(|key| key.algorithms.contains(algorithm)).peekable();
    able.peek().ok_or(Failure::Algorithm)?;
    let mut named = able.filter(|key| key.kid.is_none() || kid.is_none() || key.kid == kid).peekable();
    named.peek().ok_or(Failure::Key)?;
    if !named.any(|key| is_signed(key, algorithm, signed, signature)) {
        return Err(Failure::Signature);
    }
    let length = payload.len();
    decoded.truncate(length);
    Ok(decoded)
}

/// Decodes a part into the front of `memory`, and gives back what is left of it.
fn decode<'m>(part: &[u8], memory: &'m mut [u8]) -> Result<(&'m [u8], &'m mut [u8]), Failure> {
    let length = URL_SAFE_NO_PAD.decode_slice(part, memory).map_err(|_| Failure::Malformed)?;
    let (decoded, rest) = memory.split_at_mut(length);
    Ok((decoded, rest))
}

/// Splits at the last dot. More dots than two end up in the header, which base64url refuses.
fn split_last(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let dot = memchr::memrchr(b'.', text)?;
    Some((&text[..dot], &text[dot + 1..]))
}

/// The algorithm, if it is one that we know, and the key's name.
fn read_header(header: &[u8]) -> Result<(Option<Algorithm>, Option<Box<str>>), Failure> {
    let header = Members::parse_flat(header).map_err(|_| Failure::Malformed)?;
    // No extension is understood, so none may be critical (RFC 7515 section 4.1.11).
    if header.has("crit") || (header.has("kid") && header.text("kid").is_none()) {
        return Err(Failure::Malformed);
    }
    let algorithm = header.text("alg").ok_or(Failure::Malformed)?;
    Ok((Algorithm::parse(&algorithm), header.text("kid").map(|kid| kid.into())))
}

fn is_signed(key: &Key, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
    if let Some(secret) = key.mac(algorithm) {
        return secret.verify(&[signed], signature);
    }
    let Some(public) = key.public_key() else {
        return false;
    };
    let verified = verify_public(public, algorithm, signed, signature);
    // nginx takes what libcrypto leaves behind for errors of its own connections.
    let _ = ErrorStack::get();
    verified.unwrap_or(false)
}

fn verify_public(
    key: &PKey<Public>,
    algorithm: Algorithm,
    signed: &[u8],
    signature: &[u8],
) -> Result<bool, ErrorStack> {
    let digest = algorithm.message_digest();
    match algorithm.family() {
        Family::Hmac => Ok(false),
        Family::RsaPkcs1 => Verifier::new(digest, key)?.verify_oneshot(signature, signed),
        Family::RsaPss => {
            let mut verifier = Verifier::new(digest, key)?;
            verifier.set_rsa_padding(Padding::PKCS1_PSS)?;
            verifier.set_rsa_mgf1_md(digest)?;
            verifier.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH)?;
            verifier.verify_oneshot(signature, signed)
        }
        Family::Ecdsa(size) => {
            // Two numbers of fixed size (RFC 7518 section 3.4), which libcrypto wants as DER.
            if signature.len() != 2 * size {
                return Ok(false);
            }
            let (r, s) = signature.split_at(size);
            let pair = EcdsaSig::from_private_components(BigNum::from_slice(r)?, BigNum::from_slice(s)?)?;
            Verifier::new(digest, key)?.verify_oneshot(&pair.to_der()?, signed)
        }
        Family::Ed25519 => Verifier::new_without_digest(key)?.verify_oneshot(signature, signed),
    }
}
