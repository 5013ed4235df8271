//! The `user` directive: the id by which users are split.

use crate::config::{Environment, arity};
use crate::inputs::{InputNames, Inputs, Request};
use crate::source::Source;
use crate::visitor::{self, Day};

/// Where the id comes from: the first source that has one, last the visitor cookie.
#[derive(Debug)]
pub struct UserSources {
    sources: Vec<Source>,
    /// The slot of the visitor cookie.
    visitor: Option<usize>,
}

/// Who sent a request.
#[derive(Debug, Default)]
pub struct User<'r> {
    /// Empty: nobody knows.
    pub id: &'r [u8],
    pub visitor: Visitor,
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

const FORM: &str = "user source [source ...] [visitor]";

impl UserSources {
    /// Parses the words after `user`; `cookie` is the name of the policy's visitor cookie.
    pub fn parse(
        words: &[&[u8]],
        cookie: &str,
        names: &mut InputNames,
        env: &mut dyn Environment,
    ) -> Result<UserSources, String> {
        let (visitor, sources) = match words {
            [sources @ .., b"visitor"] => (true, sources),
            _ => (false, words),
        };
        if words.is_empty() {
            return Err(arity("user", FORM));
        }
        if sources.contains(&&b"visitor"[..]) {
            return Err("\"visitor\" must stand once, and last, in \"user\" directive: it always has an id"
                .to_owned());
        }
        let parse = |source: &&[u8]| {
            Source::parse(source, names, env).map_err(|e| format!("{e} in \"user\" directive"))
        };
        let sources = sources.iter().map(parse).collect::<Result<_, _>>()?;
        Ok(UserSources { sources, visitor: visitor.then(|| names.cookie(cookie.as_bytes())) })
    }

    /// `user visitor;`, what a policy without a `user` directive has.
    pub fn visitor_only(cookie: &str, names: &mut InputNames) -> UserSources {
        UserSources { sources: Vec::new(), visitor: Some(names.cookie(cookie.as_bytes())) }
    }

    pub fn has_visitors(&self) -> bool {
        self.visitor.is_some()
    }

    /// `None` when memory is short.
    #[inline]
    pub fn identify<'r>(&self, inputs: Inputs<'_, 'r>, request: &'r impl Request) -> Option<User<'r>> {
        for source in &self.sources {
            let id = source.id(inputs, request)?;
            if !id.is_empty() {
                return Some(User { id, visitor: Visitor::Unused });
            }
        }
        let Some(slot) = self.visitor else {
            return Some(User::default());
        };
        Some(match visitor::parse(inputs.cookie(slot)) {
            Some((id, day)) => User { id, visitor: Visitor::Known(day) },
            None => User { id: &[], visitor: Visitor::New },
        })
    }
}
