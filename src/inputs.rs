//! What a policy reads of a request: found in one pass over the header lines, for all names at once.

mod header_names;

use std::rc::Rc;

pub use self::header_names::{Hashes, Lengths, header_hash};

use crate::claims::{Claim, ClaimNames, Claims};
use crate::config::VariableId;
use crate::cookie::CookieNames;
use crate::failure::Failure;
use crate::identity::Kind;

/// A client request as the decision sees it. Implemented by the glue over nginx's request.
pub trait Request {
    /// The values of `Cookie` lines in the order received.
    fn for_each_cookie_line<'r>(&'r self, visit: impl FnMut(&'r [u8]));
    /// The value of the `Cookie` line, where a request has one, as nearly all have: the quickest way to it. `None` is always
    /// right.
    fn only_cookie_line(&self) -> Option<&[u8]> {
        let (mut last, mut count) = (None, 0);
        self.for_each_cookie_line(|line| (last, count) = (Some(line), count + 1));
        last.filter(|_| count == 1)
    }
    /// Header lines whose names have one of these lengths, in the order received, as name and value.
    fn for_each_header<'r>(&'r self, lengths: Lengths, visit: impl FnMut(&'r [u8], &'r [u8]));
    /// Header lines by [`header_hash`], in the order received: the quickest way to names that are known beforehand. Lines
    /// with other hashes may be among them.
    fn for_each_hashed_header<'r>(&'r self, known: Hashes, mut visit: impl FnMut(usize, &'r [u8])) {
        self.for_each_header(Lengths::ALL, |name, value| {
            let hash = header_hash(name);
            if known.may_contain(hash) {
                visit(hash, value);
            }
        });
    }
    /// The value of `Authorization`, of which a request has one at most (RFC 9110 section 11.6.2). The web server keeps it
    /// at hand, and a look through all header lines costs a quarter of a decision.
    fn authorization(&self) -> &[u8];
    /// Path and query of the client's original request line, as they were sent, without the `?`.
    fn target(&self) -> (&[u8], &[u8]);
    /// The path, where it is known at once that there is nothing else, and in it no code, no fragment, no empty segment and
    /// none that begins with a dot. `None` is always right.
    fn plain_path(&self) -> Option<&[u8]> {
        None
    }
    fn query(&self) -> &[u8] {
        self.target().1
    }
    fn is_get(&self) -> bool;
    /// A variable's value; empty when it has none.
    fn variable(&self, id: VariableId) -> &[u8];
    /// What is before and behind the first `byte` in `text`: a method, since nothing beats the C library's memchr.
    fn split<'t>(&self, byte: u8, text: &'t [u8]) -> (&'t [u8], &'t [u8]) {
        split(byte, text)
    }
    /// What [`argument`] finds.
    #[inline]
    fn argument<'t>(&self, query: &'t [u8], name: &[u8]) -> &'t [u8] {
        argument_by(query, name, |rest| self.split(b'&', rest))
    }
    /// The parts in a row, in memory of the request's own. `None` when memory is short.
    fn concat(&self, parts: &[&[u8]]) -> Option<&[u8]>;
    /// Seconds since 1970-01-01 UTC.
    fn now(&self) -> u64;
    /// Keeps the claims that have been verified, and lends them. `None` when memory is short.
    fn identified(&self, claims: Rc<Claims>) -> Option<&Claims>;
    /// Told of each token that gives no claims, and of the identity that looked at it.
    fn token_refused(&self, kind: Kind, failure: Failure);
}

/// The names of cookies, headers and claims that a policy's sources read. A name's index is its slot in [`Inputs`].
#[derive(Debug, Default)]
pub struct InputNames {
    pub claims: ClaimNames,
    cookies: CookieNames,
    headers: Vec<Box<[u8]>>,
    lengths: Lengths,
}

impl InputNames {
    pub fn cookie(&mut self, name: &[u8]) -> usize {
        self.cookies.index(name)
    }

    pub fn header(&mut self, name: &[u8]) -> usize {
        self.lengths.insert(name.len());
        let name = name.to_ascii_lowercase().into_boxed_slice();
        self.headers.iter().position(|known| *known == name).unwrap_or_else(|| {
            self.headers.push(name);
            self.headers.len() - 1
        })
    }

    /// How many cookies and headers a request may give.
    pub fn count(&self) -> usize {
        self.cookies.len() + self.headers.len()
    }

    /// Reads the named cookies and headers of one request into `slots`, which are `count` empty ones. `None` when
    /// memory is short.
    #[inline(always)]
    pub fn read<'s, 'r>(
        &self,
        request: &'r impl Request,
        slots: &'s mut [Option<&'r [u8]>],
    ) -> Option<Inputs<'s, 'r>> {
        let (cookies, headers) = slots.split_at_mut_checked(self.cookies.len())?;
        if !cookies.is_empty() {
            match request.only_cookie_line() {
                Some(line) => self.cookies.scan(line, cookies, |text| request.split(b';', text)),
                None => self.read_cookie_lines(request, cookies),
            }
        }
        if !headers.is_empty() {
            self.read_headers(request, headers)?;
        }
        Some(Inputs { slots, cookies: self.cookies.len(), claims: None })
    }

    #[inline(never)]
    fn read_cookie_lines<'r>(&self, request: &'r impl Request, found: &mut [Option<&'r [u8]>]) {
        request.for_each_cookie_line(|line| {
            self.cookies.scan(line, found, |text| request.split(b';', text));
        });
    }

    #[inline(never)]
    fn read_headers<'r>(&self, request: &'r impl Request, found: &mut [Option<&'r [u8]>]) -> Option<()> {
        let mut repeated = false;
        request.for_each_header(self.lengths, |name, value| {
            for (wanted, slot) in self.headers.iter().zip(&mut *found) {
                if wanted.eq_ignore_ascii_case(name) {
                    repeated |= slot.replace(value).is_some();
                }
            }
        });
        if repeated {
            for (name, slot) in self.headers.iter().zip(found) {
                if slot.is_some() {
                    *slot = Some(self.join_lines(name, request)?);
                }
            }
        }
        Some(())
    }

    /// Joins the lines of one header by `, ` (RFC 9110 section 5.3), of cookies by `; ` (RFC 9113 section 8.2.3).
    /// All at once: one by one, thousands of short lines would cost megabytes.
    fn join_lines<'r>(&self, wanted: &[u8], request: &'r impl Request) -> Option<&'r [u8]> {
        let separator: &[u8] = if wanted == b"cookie" { b"; " } else { b", " };
        let (mut parts, mut enough) = (Vec::new(), Some(()));
        request.for_each_header(self.lengths, |name, value| {
            if wanted.eq_ignore_ascii_case(name) {
                enough = enough.and_then(|()| parts.try_reserve(2).ok());
                if enough.is_some() {
                    parts.extend([separator, value]);
                }
            }
        });
        enough?;
        request.concat(parts.get(1..).unwrap_or_default())
    }
}

/// The values found: those of the cookies, then those of the headers; and verified claims.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'s, 'r> {
    slots: &'s [Option<&'r [u8]>],
    cookies: usize,
    claims: Option<&'s Claims>,
}

impl<'s, 'r> Inputs<'s, 'r> {
    /// The same, once an identity has been verified.
    #[inline]
    pub fn with(self, claims: Option<&'s Claims>) -> Inputs<'s, 'r> {
        Inputs { claims, ..self }
    }

    pub fn claim(self, slot: usize) -> &'s Claim {
        self.claims.map_or(&Claim::Missing, |claims| claims.get(slot))
    }

    #[inline]
    pub fn cookie(self, index: usize) -> &'r [u8] {
        self.slots[index].unwrap_or_default()
    }

    #[inline]
    pub fn header(self, index: usize) -> &'r [u8] {
        self.slots[self.cookies + index].unwrap_or_default()
    }
}

/// The value of a query argument, undecoded; the first of its name counts, names without regard to case
/// (`ngx_http_arg`).
pub fn argument<'r>(query: &'r [u8], name: &[u8]) -> &'r [u8] {
    argument_by(query, name, |rest| split(b'&', rest))
}

#[inline(always)]
fn argument_by<'r>(
    mut rest: &'r [u8],
    name: &[u8],
    split: impl Fn(&'r [u8]) -> (&'r [u8], &'r [u8]),
) -> &'r [u8] {
    while !rest.is_empty() {
        let (pair, more) = split(rest);
        if let Some((head, [b'=', value @ ..])) = pair.split_at_checked(name.len())
            && head.eq_ignore_ascii_case(name)
        {
            return value;
        }
        rest = more;
    }
    &[]
}

fn split(byte: u8, text: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(byte, text) {
        Some(found) => (&text[..found], &text[found + 1..]),
        None => (text, &[]),
    }
}

#[cfg(test)]
pub mod testing;

#[cfg(test)]
mod tests {
    use super::testing::TestRequest;
    use super::*;

    #[test]
    fn repeated_headers_are_joined() {
        let mut names = InputNames::default();
        let (tier, cookie, other) =
            (names.header(b"X-Tier"), names.header(b"cookie"), names.header(b"x-other"));
        let request =
            TestRequest::with(&[("x-tier", "a"), ("Cookie", "a=1"), ("X-TIER", "b"), ("cookie", "b=2")]);
        let mut slots = vec![None; names.count()];
        let inputs = names.read(&request, &mut slots).unwrap();
        assert_eq!(inputs.header(tier), b"a, b");
        assert_eq!(inputs.header(cookie), b"a=1; b=2");
        assert_eq!(inputs.header(other), b"");
    }

    #[test]
    fn arguments() {
        for (query, value) in [
            ("v=1", "1"),
            ("a=b&v=1&v=2", "1"),
            ("V=1", "1"),
            ("vv=1", ""),
            ("v", ""),
            ("v&v=2", "2"),
            ("v=", ""),
            ("a=v=1", ""),
            ("v=%41", "%41"),
        ] {
            assert_eq!(argument(query.as_bytes(), b"v"), value.as_bytes(), "{query}");
        }
    }
}
