//! Fresh tokens, for tests about time: the recorded ones hold for decades.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;

/// Seconds since 1970-01-01 UTC.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A JSON Web Token with this payload, signed by HS256.
pub fn hs256(secret: &str, payload: &str) -> String {
    let signed =
        [r#"{"alg":"HS256","typ":"JWT"}"#, payload].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
    let key = PKey::hmac(secret.as_bytes()).unwrap();
    let code =
        Signer::new(MessageDigest::sha256(), &key).unwrap().sign_oneshot_to_vec(signed.as_bytes()).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(code))
}

pub fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
