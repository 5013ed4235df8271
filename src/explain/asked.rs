//! The request that is asked about: the one that asks, with what the question changes of it. It counts and logs nothing.

use std::rc::Rc;

use super::ExplainQuery;
use crate::claims::Claims;
use crate::config::VariableId;
use crate::failure::Failure;
use crate::identity::Kind;
use crate::inputs::{Lengths, Request};

pub struct Asked<'q, R> {
    request: &'q R,
    navigation: bool,
    /// Path and query of another address.
    target: Option<(&'q str, &'q str)>,
}

/// What a browser sends with a navigation, in place of what it sent with the question.
const NAVIGATION: [(&[u8], &[u8]); 2] = [(b"Sec-Fetch-Mode", b"navigate"), (b"Sec-Fetch-Dest", b"document")];

impl<'q, R: Request> Asked<'q, R> {
    pub fn new(request: &'q R, query: &'q ExplainQuery) -> Asked<'q, R> {
        let target = query.uri.as_ref().map(|uri| uri.split_once('?').unwrap_or((uri, "")));
        Asked { request, navigation: query.navigation, target }
    }
}

impl<R: Request> Request for Asked<'_, R> {
    fn for_each_cookie_line<'r>(&'r self, visit: impl FnMut(&'r [u8])) {
        self.request.for_each_cookie_line(visit);
    }

    fn for_each_header<'r>(&'r self, lengths: Lengths, mut visit: impl FnMut(&'r [u8], &'r [u8])) {
        if !self.navigation {
            return self.request.for_each_header(lengths, visit);
        }
        let is_replaced = |name: &[u8]| {
            let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
            NAVIGATION.iter().any(|(known, _)| is(known)) || is(b"Sec-Purpose") || is(b"Purpose")
        };
        self.request.for_each_header(lengths, |name, value| {
            if !is_replaced(name) {
                visit(name, value);
            }
        });
        for (name, value) in NAVIGATION.into_iter().filter(|(name, _)| lengths.contains(name.len())) {
            visit(name, value);
        }
    }

    fn authorization(&self) -> &[u8] {
        self.request.authorization()
    }

    fn target(&self) -> (&[u8], &[u8]) {
        let other = self.target.map(|(path, query)| (path.as_bytes(), query.as_bytes()));
        other.unwrap_or_else(|| self.request.target())
    }

    fn is_get(&self) -> bool {
        self.navigation || self.request.is_get()
    }

    fn variable(&self, id: VariableId) -> &[u8] {
        self.request.variable(id)
    }

    fn split<'t>(&self, byte: u8, text: &'t [u8]) -> (&'t [u8], &'t [u8]) {
        self.request.split(byte, text)
    }

    fn concat(&self, parts: &[&[u8]]) -> Option<&[u8]> {
        self.request.concat(parts)
    }

    fn now(&self) -> u64 {
        self.request.now()
    }

    fn identified(&self, claims: Rc<Claims>) -> Option<&Claims> {
        self.request.identified(claims)
    }

    fn token_refused(&self, _: Kind, _: Failure) {}
}
