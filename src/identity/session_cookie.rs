//! Session cookies that are too large for one: `NAME`, or `NAME.0`, `NAME.1` and so on, which Auth.js and
//! better-auth write alike.

use crate::cookie::each_pair;
use crate::inputs::{InputNames, Inputs, Request};

/// The cookie of one name.
#[derive(Debug)]
pub struct SessionCookie {
    pub name: Box<str>,
    whole: usize,
    /// The slot of `NAME.0`: only with that are the others looked for.
    first: usize,
}

/// More chunks than any browser sends: nginx would refuse the header before.
const CHUNKS: usize = 16;

impl SessionCookie {
    /// Both names of a session cookie: over TLS it has the prefix `__Secure-`.
    pub fn pair(name: &str, names: &mut InputNames) -> [SessionCookie; 2] {
        let plain = name.strip_prefix(SECURE).unwrap_or(name);
        [format!("{SECURE}{plain}"), plain.to_owned()].map(|name| SessionCookie {
            whole: names.cookie(name.as_bytes()),
            first: names.cookie(format!("{name}.0").as_bytes()),
            name: name.into(),
        })
    }

    /// The value, in one piece; empty when there is none. `None` when memory is short.
    #[inline]
    pub fn value<'r>(&self, inputs: Inputs<'_, 'r>, request: &'r impl Request) -> Option<&'r [u8]> {
        let whole = inputs.cookie(self.whole);
        match whole.is_empty() && !inputs.cookie(self.first).is_empty() {
            true => self.join(request),
            false => Some(whole),
        }
    }

    /// The chunks by their numbers, in whatever order they came.
    #[inline(never)]
    fn join<'r>(&self, request: &'r impl Request) -> Option<&'r [u8]> {
        let mut chunks = [&b""[..]; CHUNKS];
        request.for_each_cookie_line(|line| {
            each_pair(line, |name, value| {
                let number = self.number_of(name).and_then(|number| chunks.get_mut(number));
                if let Some(chunk) = number.filter(|chunk| chunk.is_empty()) {
                    *chunk = value;
                }
            });
        });
        request.concat(&chunks)
    }

    /// The number of a chunk with this cookie's name.
    fn number_of(&self, name: &[u8]) -> Option<usize> {
        let (head, tail) = name.split_at_checked(self.name.len())?;
        let digits = tail.strip_prefix(b".").filter(|_| head.eq_ignore_ascii_case(self.name.as_bytes()))?;
        match digits {
            [b'0'..=b'9'] | [b'1'..=b'9', b'0'..=b'9'] => str::from_utf8(digits).ok()?.parse().ok(),
            _ => None,
        }
    }
}

const SECURE: &str = "__Secure-";

/// The salt-giving names of a pair, in its order.
pub fn names_of(cookies: &[SessionCookie; 2]) -> [Box<str>; 2] {
    [cookies[0].name.clone(), cookies[1].name.clone()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::testing::TestRequest;

    fn values(cookies: &str) -> [String; 2] {
        let mut names = InputNames::default();
        let pair = SessionCookie::pair("s", &mut names);
        let request = TestRequest::with(&[("Cookie", cookies)]);
        let mut slots = vec![None; names.count()];
        let inputs = names.read(&request, &mut slots).unwrap();
        pair.map(|cookie| String::from_utf8(cookie.value(inputs, &request).unwrap().to_vec()).unwrap())
    }

    #[test]
    fn whole_or_in_chunks() {
        for (cookies, secure, plain) in [
            ("s=abc", "", "abc"),
            ("__Secure-s=abc; s=d", "abc", "d"),
            ("s.0=ab; s.1=cd", "", "abcd"),
            ("s.1=cd; x=y; s.0=ab; s.2=e", "", "abcde"),
            ("__Secure-s.0=ab; __Secure-s.1=c", "abc", ""),
            ("s.1=cd", "", ""),
            ("s.0=a; s.2=c", "", "ac"),
            ("s.0=a; s.01=b; s.1x=c; s.=d; s.17=e; s.1=f", "", "af"),
            ("s.0=a; s.0=b", "", "a"),
            ("s=whole; s.0=a", "", "whole"),
            ("s=; s.0=a", "", "a"),
        ] {
            assert_eq!(values(cookies), [secure, plain], "{cookies}");
        }
        assert_eq!(SessionCookie::pair("__Secure-x", &mut InputNames::default())[1].name, "x".into());
    }
}
