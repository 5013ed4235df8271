//! What a policy reads of a request: found in one pass over the header lines, for all names at once.

use std::borrow::Cow;

use smallvec::{SmallVec, smallvec};

use crate::config::VariableId;
use crate::cookie;

/// A client request as the decision sees it. Implemented by the glue over nginx's request.
pub trait Request {
    /// Header lines in the order received, as name and value.
    fn for_each_header<'r>(&'r self, visit: impl FnMut(&'r [u8], &'r [u8]));
    /// The query of the client's original request line, without the `?`.
    fn query(&self) -> &[u8];
    /// A variable's value; empty when it has none.
    fn variable(&self, id: VariableId) -> &[u8];
}

/// The cookie and header names that a policy's sources read. A name's index is its slot in [`Inputs`].
#[derive(Debug, Default)]
pub struct InputNames {
    cookies: Vec<Box<[u8]>>,
    headers: Vec<Box<[u8]>>,
    /// Bit n: a wanted header name is n bytes long. Spares most lines a comparison.
    header_lengths: u64,
}

impl InputNames {
    pub fn cookie(&mut self, name: &[u8]) -> usize {
        slot(&mut self.cookies, name)
    }

    pub fn header(&mut self, name: &[u8]) -> usize {
        self.header_lengths |= length_bit(name);
        slot(&mut self.headers, name)
    }

    /// Reads the named cookies and headers of one request.
    pub fn read<'r>(&self, request: &'r impl Request) -> Inputs<'r> {
        let mut inputs = Inputs {
            cookies: smallvec![None; self.cookies.len()],
            headers: smallvec![None; self.headers.len()],
        };
        if self.cookies.is_empty() && self.headers.is_empty() {
            return inputs;
        }
        request.for_each_header(|name, value| {
            if !self.cookies.is_empty() && name.eq_ignore_ascii_case(b"cookie") {
                cookie::scan(value, &self.cookies, &mut inputs.cookies);
            }
            if self.header_lengths & length_bit(name) != 0 {
                self.read_header(&mut inputs.headers, name, value);
            }
        });
        inputs
    }

    fn read_header<'r>(&self, found: &mut [Option<Cow<'r, [u8]>>], name: &[u8], value: &'r [u8]) {
        for (wanted, slot) in self.headers.iter().zip(found) {
            if wanted.eq_ignore_ascii_case(name) {
                match slot {
                    None => *slot = Some(Cow::Borrowed(value)),
                    // RFC 9110 section 5.3; cookie lines are parted by `; ` (RFC 9113 section 8.2.3).
                    Some(joined) => {
                        let joined = joined.to_mut();
                        joined.extend_from_slice(if wanted.len() == 6 && &**wanted == b"cookie" {
                            b"; "
                        } else {
                            b", "
                        });
                        joined.extend_from_slice(value);
                    }
                }
            }
        }
    }
}

fn length_bit(name: &[u8]) -> u64 {
    1 << name.len().min(63)
}

fn slot(names: &mut Vec<Box<[u8]>>, name: &[u8]) -> usize {
    let name = name.to_ascii_lowercase().into_boxed_slice();
    names.iter().position(|known| *known == name).unwrap_or_else(|| {
        names.push(name);
        names.len() - 1
    })
}

/// The values found, by slot.
#[derive(Debug)]
pub struct Inputs<'r> {
    cookies: SmallVec<[Option<&'r [u8]>; 8]>,
    headers: SmallVec<[Option<Cow<'r, [u8]>>; 4]>,
}

impl<'r> Inputs<'r> {
    pub fn cookie(&self, slot: usize) -> &'r [u8] {
        self.cookies[slot].unwrap_or_default()
    }

    pub fn header(&self, slot: usize) -> Cow<'r, [u8]> {
        self.headers[slot].clone().unwrap_or_default()
    }
}

/// The value of a query argument, undecoded; the first of its name counts, names without regard to case
/// (`ngx_http_arg`).
pub fn argument<'r>(query: &'r [u8], name: &[u8]) -> &'r [u8] {
    query
        .split(|&b| b == b'&')
        .find_map(|pair| {
            let (head, tail) = pair.split_at_checked(name.len())?;
            head.eq_ignore_ascii_case(name).then(|| tail.strip_prefix(b"=")).flatten()
        })
        .unwrap_or_default()
}

/// A request made of plain data, for unit tests.
#[cfg(test)]
pub mod testing {
    use super::*;

    #[derive(Default)]
    pub struct TestRequest {
        pub headers: Vec<(&'static str, Vec<u8>)>,
        pub query: &'static str,
        pub variables: Vec<&'static str>,
    }

    impl TestRequest {
        pub fn with(headers: &[(&'static str, &str)]) -> TestRequest {
            let headers = headers.iter().map(|&(name, value)| (name, value.into())).collect();
            TestRequest { headers, ..TestRequest::default() }
        }
    }

    impl Request for TestRequest {
        fn for_each_header<'r>(&'r self, mut visit: impl FnMut(&'r [u8], &'r [u8])) {
            for (name, value) in &self.headers {
                visit(name.as_bytes(), value);
            }
        }

        fn query(&self) -> &[u8] {
            self.query.as_bytes()
        }

        fn variable(&self, id: VariableId) -> &[u8] {
            self.variables.get(id.0).copied().unwrap_or_default().as_bytes()
        }
    }
}

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
        let inputs = names.read(&request);
        assert_eq!(*inputs.header(tier), *b"a, b");
        assert_eq!(*inputs.header(cookie), *b"a=1; b=2");
        assert_eq!(*inputs.header(other), *b"");
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
