//! The `user` directive: the id by which users are split.

use std::cell::RefCell;

use crate::config::{Environment, arity, quote};
use crate::cookie_keys::CookieKeys;
use crate::duration;
use crate::inputs::{InputNames, Inputs, Request};
use crate::keep::Keep;
use crate::source::Source;
use crate::visitor::{self, Day};

/// Where the id comes from: the first source that has one, last the visitor cookie.
#[derive(Debug)]
pub struct UserSources {
    sources: Vec<Source>,
    /// The claim whose values a cookie keeps, by its place among the sources.
    keep: Option<(usize, Keep)>,
    /// The slot of the visitor cookie.
    visitor: Option<usize>,
}

/// Who sent a request.
#[derive(Debug, Default)]
pub struct User<'r> {
    /// Empty: nobody knows.
    pub id: &'r [u8],
    pub visitor: Visitor,
    /// Whether a cookie has to be set that keeps the id.
    pub keep: bool,
}

/// What the visitor cookie has to do with a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Visitor {
    /// The policy has none, or another source gave the id.
    #[default]
    Unused,
    /// No valid cookie: a new id may be set.
    New,
    /// The id came from a cookie of this day.
    Known(Day),
}

const FORM: &str = "user source [keep=time] [source ...] [visitor]";

impl UserSources {
    /// Parses the words after `user` in the policy of this name; `cookie` is the name of its visitor cookie.
    pub fn parse(
        words: &[&[u8]],
        policy: &str,
        cookie: &str,
        names: &mut InputNames,
        env: &mut dyn Environment,
    ) -> Result<UserSources, String> {
        let (visitor, words) = match words {
            [] => return Err(arity("user", FORM)),
            [sources @ .., b"visitor"] => (true, sources),
            _ => (false, words),
        };
        if words.contains(&&b"visitor"[..]) {
            return Err("\"visitor\" must stand once, and last, in \"user\" directive: it always has an id"
                .to_owned());
        }
        let mut users = UserSources { sources: Vec::new(), keep: None, visitor: None };
        let mut last: &[u8] = b"";
        for word in words {
            let added = match word.strip_prefix(b"keep=") {
                Some(time) => users.keep_last(last, time, policy, names),
                None => Source::parse(word, names, env).map(|source| users.sources.push(source)),
            };
            added.map_err(|e| format!("{e} in \"user\" directive"))?;
            last = word;
        }
        users.visitor = visitor.then(|| names.cookie(cookie.as_bytes()));
        Ok(users)
    }

    fn keep_last(
        &mut self,
        source: &[u8],
        time: &[u8],
        policy: &str,
        names: &mut InputNames,
    ) -> Result<(), String> {
        if !matches!(self.sources.last(), Some(Source::Claim(_))) || !source.starts_with(b"claim:") {
            return Err(format!(
                "{} must follow a claim, e.g. \"user claim:sub keep=30d visitor;\"",
                quote(&[b"keep=", time].concat())
            ));
        }
        if self.keep.is_some() {
            return Err("\"keep=\" is duplicate: a policy keeps one claim".to_owned());
        }
        let life = duration::parse(time)?;
        if life == 0 {
            return Err("\"keep=\" needs a time above 0, or leave it out".to_owned());
        }
        self.keep = Some((self.sources.len() - 1, Keep::new(policy, source, life, names)));
        Ok(())
    }

    /// What a policy without a `user` directive has: the claim `sub`, if there is an identity, then the visitor whose
    /// cookie has this name, if there is one.
    pub fn default_for(
        identity: bool,
        cookie: Option<&str>,
        names: &mut InputNames,
    ) -> Result<UserSources, String> {
        let claim = if identity { Some(names.claims.slot(b"sub")?) } else { None };
        let sources = claim.map(Source::Claim).into_iter().collect();
        let visitor = cookie.map(|cookie| names.cookie(cookie.as_bytes()));
        Ok(UserSources { sources, keep: None, visitor })
    }

    /// Whether nobody ever has an id.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty() && self.visitor.is_none()
    }

    pub fn has_visitors(&self) -> bool {
        self.visitor.is_some()
    }

    pub fn keep(&self) -> Option<&Keep> {
        self.keep.as_ref().map(|(_, keep)| keep)
    }

    /// `None` when memory is short.
    #[inline(always)]
    pub fn identify<'r>(
        &self,
        inputs: Inputs<'_, 'r>,
        request: &'r impl Request,
        keys: &RefCell<CookieKeys>,
    ) -> Option<User<'r>> {
        if let Some((place, keep)) = &self.keep {
            return self.identify_keeping(*place, keep, inputs, request, keys);
        }
        for source in &self.sources {
            let id = source.id(inputs, request)?;
            if !id.is_empty() {
                return Some(User { id, ..User::default() });
            }
        }
        Some(self.identify_visitor(inputs))
    }

    /// Kept apart, so that policies without `keep` decide as quickly as before.
    #[inline(never)]
    fn identify_keeping<'r>(
        &self,
        kept: usize,
        keep: &Keep,
        inputs: Inputs<'_, 'r>,
        request: &'r impl Request,
        keys: &RefCell<CookieKeys>,
    ) -> Option<User<'r>> {
        for (place, source) in self.sources.iter().enumerate() {
            let id = source.id(inputs, request)?;
            let user = match place == kept {
                true => kept_user(keep, id, inputs, request, keys)?,
                false => User { id, ..User::default() },
            };
            if !user.id.is_empty() {
                return Some(user);
            }
        }
        Some(self.identify_visitor(inputs))
    }

    #[inline]
    fn identify_visitor<'r>(&self, inputs: Inputs<'_, 'r>) -> User<'r> {
        let Some(slot) = self.visitor else {
            return User::default();
        };
        match visitor::parse(inputs.cookie(slot)) {
            Some((id, day)) => User { id, visitor: Visitor::Known(day), keep: false },
            None => User { id: &[], visitor: Visitor::New, keep: false },
        }
    }
}

/// The claim's value, or what a cookie has kept of it. `None` when memory is short.
fn kept_user<'r>(
    keep: &Keep,
    id: &'r [u8],
    inputs: Inputs<'_, 'r>,
    request: &'r impl Request,
    keys: &RefCell<CookieKeys>,
) -> Option<User<'r>> {
    let now = request.now();
    let kept = keep.read(inputs.cookie(keep.slot), &keys.borrow(), now);
    Some(match kept {
        kept if !id.is_empty() => {
            User { id, visitor: Visitor::Unused, keep: keep.is_due(kept.as_ref(), id, now) }
        }
        Some(kept) => User { id: request.concat(&[&kept.id])?, ..User::default() },
        None => User::default(),
    })
}
