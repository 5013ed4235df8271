//! The keep cookie: seals the last verified user id, so that a user stays on her side when the session's claims
//! have lapsed. It never yields claims. Read by `user`, written by the header filter.
//!
//! Its value is base64url of nonce, ciphertext and tag (AES-256-GCM). Under the seal are the time of issue and
//! the id; the policy's name and the claim are authenticated with it.

use std::cell::RefCell;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::error::ErrorStack;
use openssl::symm::{Cipher, decrypt_aead, encrypt_aead};

use crate::cache::Cache;
use crate::cookie_keys::{CookieKey, CookieKeys};
use crate::duration::Seconds;
use crate::inputs::InputNames;
use crate::set_cookie;

/// The keep cookie of one policy.
#[derive(Debug)]
pub struct Keep {
    pub cookie: String,
    pub slot: usize,
    /// How long an id is kept.
    life: Seconds,
    /// What is authenticated beside the seal.
    context: Box<[u8]>,
    opened: RefCell<Cache<Kept>>,
}

/// What a cookie holds.
#[derive(Clone, PartialEq, Eq)]
pub struct Kept {
    pub id: Rc<[u8]>,
    pub issued: Seconds,
}

/// How many cookies a worker remembers.
const CACHE: usize = 1024;

const NONCE: usize = 12;
const TAG: usize = 16;

impl Keep {
    /// For the ids that `source` gives, for `life` seconds.
    pub fn new(policy: &str, source: &[u8], life: Seconds, names: &mut InputNames) -> Keep {
        let cookie = set_cookie::name("keep", policy);
        Keep {
            slot: names.cookie(cookie.as_bytes()),
            cookie,
            life,
            context: [policy.as_bytes(), b"\0", source].concat().into(),
            opened: RefCell::new(Cache::new(CACHE)),
        }
    }

    /// The id in `value`; `None` for a cookie that is forged, foreign or too old.
    pub fn read(&self, value: &[u8], keys: &CookieKeys, now: Seconds) -> Option<Kept> {
        if value.is_empty() || value.len() > set_cookie::MAX_VALUE {
            return None;
        }
        let known = self.opened.borrow().get(0, value).cloned();
        let kept = known.or_else(|| self.open(value, keys))?;
        (set_cookie::age(kept.issued, now)? < self.life).then_some(kept)
    }

    /// Whether a cookie has to be set for `id`: there is none, it holds another one, or it is past half its life.
    pub fn is_due(&self, kept: Option<&Kept>, id: &[u8], now: Seconds) -> bool {
        kept.is_none_or(|kept| *kept.id != *id || now.saturating_sub(kept.issued) > self.life / 2)
    }

    #[inline(never)]
    fn open(&self, value: &[u8], keys: &CookieKeys) -> Option<Kept> {
        let sealed = URL_SAFE_NO_PAD.decode(value).ok()?;
        let (nonce, rest) = sealed.split_at_checked(NONCE)?;
        let (ciphertext, tag) = rest.split_at_checked(rest.len().checked_sub(TAG)?)?;
        let open = |key: &CookieKey| {
            decrypt_aead(Cipher::aes_256_gcm(), &key.keep, Some(nonce), &self.context, ciphertext, tag).ok()
        };
        let text = keys.iter().find_map(open);
        // nginx takes what libcrypto leaves behind for errors of its own connections.
        let _ = ErrorStack::get();
        let text = text?;
        let (issued, id) = text.split_first_chunk()?;
        let kept = Kept { id: id.into(), issued: Seconds::from_be_bytes(*issued) };
        self.opened.borrow_mut().insert(0, value, kept.clone());
        Some(kept)
    }

    /// A cookie that keeps `id`. `None`: it would be too long for browsers.
    pub fn line(
        &self,
        id: &[u8],
        key: &CookieKey,
        nonce: [u8; NONCE],
        now: Seconds,
        secure: bool,
    ) -> Result<Option<String>, ErrorStack> {
        let text = [&now.to_be_bytes()[..], id].concat();
        let mut tag = [0; TAG];
        let ciphertext =
            encrypt_aead(Cipher::aes_256_gcm(), &key.keep, Some(&nonce), &self.context, &text, &mut tag)?;
        let value = URL_SAFE_NO_PAD.encode([&nonce[..], &ciphertext, &tag].concat());
        let line = || set_cookie::line(&self.cookie, &value, self.life, secure);
        Ok((value.len() <= set_cookie::MAX_VALUE).then(line))
    }

    /// Keys have changed: what old ones opened is to be opened again.
    pub fn forget(&self) {
        self.opened.borrow_mut().clear();
    }
}
