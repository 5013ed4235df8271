//! `identity authjs`: the session cookie of Auth.js, a JWE under a key that is derived from the application's secret
//! and the cookie's name (`@auth/core`, jwt.ts). LobeChat 1 has it. The cookie is sealed anew with each answer,
//! so its text says nothing about a user; its claims do.

use std::cell::RefCell;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::sha::{sha256, sha512};

use super::parameters::{Form, cache_size, cut_newline, read_secret, warn_if_short};
use super::session_cookie::{SessionCookie, names_of};
use super::validity::Validity;
use super::{Loaded, Tokens, Verdict};
use crate::claims::ClaimNames;
use crate::config::Environment;
use crate::cookie_keys::hkdf_sha256;
use crate::failure::Failure;
use crate::inputs::InputNames;
use crate::json::Members;
use crate::jwe::{self, Encryption, SealKey};

const FORM: Form = Form("identity authjs secret=file | secret=env:NAME [cookie=name] [cache=number]");

/// How far Auth.js lets clocks differ, in seconds.
pub const LEEWAY: u64 = 15;

#[derive(Debug)]
pub struct AuthJs {
    cookies: [Box<str>; 2],
    /// For each of the cookies.
    keys: RefCell<[Vec<SealKey>; 2]>,
}

/// Parses the words after `identity authjs`.
pub fn parse(
    words: &[&[u8]],
    names: &mut InputNames,
    env: &mut dyn Environment,
) -> Result<Loaded<AuthJs>, String> {
    let parameters = FORM.split(words, &["secret", "cookie", "cache"], &[])?;
    let secret = read_secret(parameters.required("secret")?, env)?;
    let pair = SessionCookie::pair(parameters.cookie("authjs.session-token")?, names);
    let authjs = AuthJs { cookies: names_of(&pair), keys: RefCell::default() };
    for warning in authjs.load(&secret.text)? {
        env.warn(&warning);
    }
    Ok(Loaded {
        scheme: authjs,
        tokens: Tokens::Cookies(pair),
        cache: cache_size(parameters.one("cache"))?,
        file: secret.file,
    })
}

impl AuthJs {
    /// Takes the content of the secret's file.
    pub fn load(&self, text: &[u8]) -> Result<Vec<String>, String> {
        let secret = cut_newline(text);
        let warnings = warn_if_short(secret)?;
        let keys_for = |cookie: &str| {
            let info = format!("Auth.js Generated Encryption Key ({cookie})");
            [Encryption::A256CbcHs512, Encryption::A256Gcm]
                .map(|encryption| derive(secret, cookie, &info, encryption, Thumbprint::LikeKey))
                .into_iter()
                .collect::<Result<Vec<_>, _>>()
        };
        self.keys.replace([keys_for(&self.cookies[0])?, keys_for(&self.cookies[1])?]);
        Ok(warnings)
    }

    /// `place` is the cookie's, by which it was sealed.
    pub fn verify(&self, place: usize, token: &[u8], names: &ClaimNames) -> Result<Verdict, Failure> {
        let plaintext = jwe::open(token, &self.keys.borrow()[place])?;
        let claims = Members::parse(&plaintext).map_err(|_| Failure::Malformed)?;
        Ok((Validity::of(&claims, LEEWAY)?, Ok(names.read(&claims, |_| None))))
    }
}

/// The digest of a key's thumbprint (RFC 7638), by which tokens name it.
#[derive(Clone, Copy)]
pub enum Thumbprint {
    Sha256,
    /// As long as the key.
    LikeKey,
}

/// Derives a key from a secret as Auth.js and better-auth do.
pub fn derive(
    secret: &[u8],
    salt: &str,
    info: &str,
    encryption: Encryption,
    thumbprint: Thumbprint,
) -> Result<SealKey, String> {
    let key = hkdf_sha256(secret, salt.as_bytes(), info.as_bytes(), encryption.key_size())
        .map_err(|error| format!("libcrypto has no HKDF: {error}"))?;
    let jwk = format!("{{\"k\":\"{}\",\"kty\":\"oct\"}}", URL_SAFE_NO_PAD.encode(&key));
    let kid = match (thumbprint, encryption) {
        (Thumbprint::LikeKey, Encryption::A256CbcHs512) => URL_SAFE_NO_PAD.encode(sha512(jwk.as_bytes())),
        _ => URL_SAFE_NO_PAD.encode(sha256(jwk.as_bytes())),
    };
    SealKey::new(encryption, &key, kid).ok_or_else(|| "a derived key has another length".to_owned())
}
