//! `identity better_auth`: the session cookie that better-auth's cookie cache sets (`session_data`), in each of its
//! strategies: `compact`, `jwt` and `jwe`. LobeHub 2 has the first.

use std::cell::RefCell;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::asn1::Asn1Time;

use super::authjs::{LEEWAY, Thumbprint, derive};
use super::parameters::{Form, cache_size, cut_newline, read_secret, warn_if_short};
use super::session_cookie::SessionCookie;
use super::validity::Validity;
use super::{Loaded, Tokens, Verdict};
use crate::algorithm::Algorithms;
use crate::claims::{Claim, ClaimNames};
use crate::config::Environment;
use crate::duration::Seconds;
use crate::failure::Failure;
use crate::inputs::InputNames;
use crate::json::{Members, string};
use crate::jwe::{self, Encryption, SealKey};
use crate::jwk::KeySet;
use crate::jws;
use crate::mac::{Digest, MacKey};

const FORM: Form = Form("identity better_auth secret=file | secret=env:NAME [cookie=name] [cache=number]");

#[derive(Debug)]
pub struct BetterAuth(RefCell<Option<Box<Keys>>>);

#[derive(Debug)]
struct Keys {
    mac: MacKey,
    jwt: KeySet,
    seal: [SealKey; 1],
}

/// Parses the words after `identity better_auth`.
pub fn parse(
    words: &[&[u8]],
    names: &mut InputNames,
    env: &mut dyn Environment,
) -> Result<Loaded<BetterAuth>, String> {
    let parameters = FORM.split(words, &["secret", "cookie", "cache"], &[])?;
    let secret = read_secret(parameters.required("secret")?, env)?;
    let pair = SessionCookie::pair(parameters.cookie("better-auth.session_data")?, names);
    let better_auth = BetterAuth(RefCell::new(None));
    for warning in better_auth.load(&secret.text)? {
        env.warn(&warning);
    }
    Ok(Loaded {
        scheme: better_auth,
        tokens: Tokens::Cookies(pair),
        cache: cache_size(parameters.one("cache"))?,
        file: secret.file,
    })
}

impl BetterAuth {
    /// Takes the content of the secret's file.
    pub fn load(&self, text: &[u8]) -> Result<Vec<String>, String> {
        let secret = cut_newline(text);
        let warnings = warn_if_short(secret)?;
        let (salt, info) = ("better-auth-session", "BetterAuth.js Generated Encryption Key");
        let seal = [derive(secret, salt, info, Encryption::A256CbcHs512, Thumbprint::Sha256)?];
        let mac = MacKey::new(Digest::Sha256, secret);
        self.0.replace(Some(Box::new(Keys { jwt: KeySet::hs256(mac.clone()), mac, seal })));
        Ok(warnings)
    }

    pub fn verify(&self, token: &[u8], names: &ClaimNames) -> Result<Verdict, Failure> {
        let keys = self.0.borrow();
        let keys = keys.as_ref().ok_or(Failure::Key)?;
        match memchr::memchr_iter(b'.', token).count() {
            0 => compact(token, &keys.mac, names),
            2 => {
                let payload = jws::verify(token, &keys.jwt, Algorithms::ALL)?;
                let session = Members::parse(&payload).map_err(|_| Failure::Malformed)?;
                let validity = Validity::of(&session, 0)?;
                // better-auth does not look at "iat": a clock that is ahead must not end a fresh session.
                let not_before = validity.not_before.saturating_sub(LEEWAY);
                read(&session, Validity { not_before, ..validity }, names)
            }
            _ => {
                let plaintext = jwe::open(token, &keys.seal)?;
                let session = Members::parse(&plaintext).map_err(|_| Failure::Malformed)?;
                read(&session, Validity::of(&session, LEEWAY)?, names)
            }
        }
    }
}

/// base64url of `{"session":S,"expiresAt":N,"signature":"G"}`. G is the code of S with `"expiresAt":N` as its last
/// member: taken from the bytes as they stand, before anything is parsed.
fn compact(token: &[u8], key: &MacKey, names: &ClaimNames) -> Result<Verdict, Failure> {
    let text = URL_SAFE_NO_PAD.decode(token).map_err(|_| Failure::Malformed)?;
    let (session, expires, code) = split_compact(&text).ok_or(Failure::Malformed)?;
    let code = URL_SAFE_NO_PAD.decode(code).map_err(|_| Failure::Signature)?;
    let open = &session[..session.len() - 1];
    if !key.verify(&[open, b",\"expiresAt\":", expires, b"}"], &code) {
        return Err(Failure::Signature);
    }
    let milliseconds: Seconds =
        str::from_utf8(expires).ok().and_then(|digits| digits.parse().ok()).ok_or(Failure::Malformed)?;
    let validity = Validity { not_before: 0, expires: milliseconds.div_ceil(1000) };
    read(&Members::parse(session).map_err(|_| Failure::Malformed)?, validity, names)
}

/// The object, the digits of its expiry, and the code; cut from the end, where nothing can be put in between.
fn split_compact(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let rest = text.strip_prefix(b"{\"session\":")?.strip_suffix(b"\"}")?;
    let (rest, code) = rest.split_at(memchr::memrchr(b'"', rest)? + 1);
    let rest = rest.strip_suffix(b",\"signature\":\"")?;
    let digits = rest.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    let (rest, expires) = rest.split_at(rest.len() - digits);
    let session = rest.strip_suffix(b",\"expiresAt\":")?;
    (digits > 0 && session.starts_with(b"{") && session.ends_with(b"}")).then_some((session, expires, code))
}

/// The claims of `user`, with its id as `sub`. Roles that the admin plugin has joined by commas are a list.
fn read(session: &Members<'_>, validity: Validity, names: &ClaimNames) -> Result<Verdict, Failure> {
    let object = |name: &str| session.get(name).map(|value| Members::parse(value.as_bytes()));
    let (Some(Ok(user)), Some(Ok(inner))) = (object("user"), object("session")) else {
        return Ok((validity, Err(Failure::Claims)));
    };
    let Some(id) = user.text("id").filter(|id| !id.is_empty()) else {
        return Ok((validity, Err(Failure::Claims)));
    };
    // The session itself may end before the cookie that mirrors it.
    let end = inner.get("expiresAt").and_then(date);
    let validity = Validity { expires: validity.expires.min(end.unwrap_or(Seconds::MAX)), ..validity };
    let claims = names.read(&user, |path| match path {
        [name] if **name == *"sub" => Some(Claim::Text(id.as_ref().into())),
        [name] if **name == *"role" => user.text("role").map(|role| roles(&role)),
        _ => None,
    });
    Ok((validity, Ok(claims)))
}

fn roles(text: &str) -> Claim {
    let roles = || text.split(',').map(str::trim).filter(|role| !role.is_empty());
    match roles().count() {
        0 => Claim::Missing,
        1 => Claim::Text(roles().collect::<String>().into()),
        _ => Claim::list(roles().map(Into::into)),
    }
}

/// A date as JavaScript writes it, `2026-11-24T10:00:00.000Z`; `None` for any other text.
fn date(value: &str) -> Option<Seconds> {
    let text = string(value)?;
    let digits: String = text.split('.').next()?.chars().filter(char::is_ascii_digit).collect();
    let date = Asn1Time::from_str(&format!("{digits}Z")).ok()?;
    let age = Asn1Time::from_unix(0).ok()?.diff(&date).ok()?;
    Seconds::try_from(i64::from(age.days) * 86_400 + i64::from(age.secs)).ok()
}
