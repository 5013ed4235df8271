//! Finds cookies by name in `Cookie` header lines. Used by `inputs`.
//!
//! nginx's own `$cookie_NAME` scans byte by byte for each name; one pass for all names that jumps from `;`
//! to `;` costs a fraction of it behind a long session cookie. What counts as a match is nginx's rule
//! (ngx_http_parse_multi_header_lines), except that a comma never parts cookies, as in nginx 1.29.6 on.

use crate::beginning::Beginning;

/// The names to look for. A name's index is its place among the values found.
#[derive(Debug, Default)]
pub struct CookieNames {
    names: Vec<Name>,
    /// For each initial the index of the newest name that begins with it, plus one. Rejects most cookies.
    newest: [usize; INITIALS],
}

/// A name by itself.
#[derive(Debug)]
pub struct CookieName {
    name: Name,
    initial: usize,
}

impl CookieName {
    pub fn new(name: &str) -> CookieName {
        let text = with_equals(name.as_bytes());
        CookieName { initial: initial(text[0]), name: Name::new(text, 0) }
    }

    /// The value of the first cookie in a `Cookie` line and all behind it, if it has this name, written as usual.
    #[inline(always)]
    pub fn at_start<'r>(&self, line: &'r [u8]) -> Option<&'r [u8]> {
        let &first = line.first()?;
        if initial(first) == self.initial { self.name.text.strip(line) } else { None }
    }

    /// The value of the last cookie in a line, if it has this name, written as usual, and a value of this length.
    #[inline(always)]
    pub fn at_end<'r>(&self, line: &'r [u8], length: usize) -> Option<&'r [u8]> {
        let name = &self.name.text;
        let (before, pair) = line.split_at(line.len().checked_sub(name.text().len() + length)?);
        if matches!(before, [] | [.., b';', b' ']) { name.strip(pair) } else { None }
    }

    /// What stands behind the first cookie of this name in a `Cookie` line, up to the end of the line. `split` as for
    /// [`CookieNames::scan`].
    #[inline(always)]
    pub fn find<'r>(
        &self,
        line: &'r [u8],
        split: impl Fn(&'r [u8]) -> (&'r [u8], &'r [u8]),
    ) -> Option<&'r [u8]> {
        let mut rest = line;
        while let Some(&first) = rest.first() {
            if initial(first) == self.initial
                && let value @ Some(_) = self.name.value_in(rest)
            {
                return value;
            }
            rest = trim_spaces(split(rest).1);
        }
        None
    }
}

#[derive(Debug)]
struct Name {
    /// With the `=` behind it.
    text: Beginning,
    /// The name before this one with its initial, plus one.
    before: usize,
}

const INITIALS: usize = 32;

impl CookieNames {
    /// The index of `name`, which is added if it is new.
    pub fn index(&mut self, name: &[u8]) -> usize {
        let text = with_equals(name);
        self.names.iter().position(|known| *known.text.text() == *text).unwrap_or_else(|| {
            let newest = &mut self.newest[initial(text[0])];
            let before = std::mem::replace(newest, self.names.len() + 1);
            self.names.push(Name::new(text, before));
            self.names.len() - 1
        })
    }

    pub fn len(&self) -> usize {
        self.names.len()
    }

    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Fills the empty places of `found` with the values of a `Cookie` line, first match wins.
    ///
    /// `split` gives what is before and behind the first `;` of a text. The web server's C library finds it best; a test
    /// takes any.
    #[inline(always)]
    pub fn scan<'r>(
        &self,
        line: &'r [u8],
        found: &mut [Option<&'r [u8]>],
        split: impl Fn(&'r [u8]) -> (&'r [u8], &'r [u8]),
    ) {
        let mut rest = line;
        while let Some(&first) = rest.first() {
            let (pair, after) = split(rest);
            let mut next = self.newest[initial(first)];
            while let Some(name) = self.names.get(next.wrapping_sub(1)) {
                if let (value @ Some(_), Some(place)) = (name.value_in(pair), found.get_mut(next - 1)) {
                    *place = place.or(value);
                    break;
                }
                next = name.before;
            }
            rest = trim_spaces(after);
        }
    }
}

/// Calls `visit` with the name and the value of each pair of a `Cookie` line.
pub fn each_pair<'r>(line: &'r [u8], mut visit: impl FnMut(&'r [u8], &'r [u8])) {
    for pair in line.split(|&b| b == b';').map(trim_spaces) {
        if let Some(equals) = memchr::memchr(b'=', pair) {
            visit(pair[..equals].trim_ascii_end(), trim_spaces(&pair[equals + 1..]));
        }
    }
}

fn with_equals(name: &[u8]) -> Box<[u8]> {
    [&name.to_ascii_lowercase(), &b"="[..]].concat().into()
}

/// Bytes that differ in case only have the same lower five bits.
fn initial(first: u8) -> usize {
    usize::from(first) % INITIALS
}

impl Name {
    fn new(text: Box<[u8]>, before: usize) -> Name {
        Name { text: Beginning::new(text), before }
    }

    /// The value of a pair of this name.
    #[inline]
    fn value_in<'r>(&self, pair: &'r [u8]) -> Option<&'r [u8]> {
        match self.text.strip(pair) {
            Some(value) => Some(trim_spaces(value)),
            None => self.unusual_value_in(pair),
        }
    }

    /// A name in another case or followed by spaces: nginx takes both.
    #[inline(never)]
    fn unusual_value_in<'r>(&self, pair: &'r [u8]) -> Option<&'r [u8]> {
        let name = self.text.text().strip_suffix(b"=")?;
        let (head, tail) = pair.split_at_checked(name.len())?;
        if !matches!(tail, [b'=' | b' ', ..]) || !head.eq_ignore_ascii_case(name) {
            return None;
        }
        trim_spaces(tail).strip_prefix(b"=").map(trim_spaces)
    }
}

#[inline]
fn trim_spaces(mut text: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] = text {
        text = rest;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::Request;
    use crate::inputs::testing::TestRequest;

    fn scan<'r>(names: &[&str], lines: &[&'r str]) -> Vec<Option<&'r [u8]>> {
        let mut known = CookieNames::default();
        names.iter().for_each(|name| _ = known.index(name.as_bytes()));
        let mut found = vec![None; known.len()];
        let request = TestRequest::default();
        lines
            .iter()
            .for_each(|line| known.scan(line.as_bytes(), &mut found, |text| request.split(b';', text)));
        found
    }

    #[test]
    fn finds_by_name() {
        for (line, value) in [
            ("uid=1", Some("1")),
            ("uid=a longer value", Some("a longer value")),
            ("a=b; uid=1", Some("1")),
            ("a=b;uid=1;c=d", Some("1")),
            ("UID=1", Some("1")),
            ("uid = 1", Some("1")),
            ("uid=1=2", Some("1=2")),
            ("uid=\"1\"", Some("\"1\"")),
            ("uid=1; uid=2", Some("1")),
            ("uid=", Some("")),
            ("uid=1,x", Some("1,x")),
            ("a=b, uid=1", None),
            ("xuid=1", None),
            ("uid", None),
            ("uidx=1", None),
            ("a=uid=1", None),
            ("", None),
            (";;", None),
        ] {
            assert_eq!(scan(&["uid"], &[line]), [value.map(str::as_bytes)], "{line}");
        }
    }

    #[test]
    fn names_of_every_length() {
        for length in 1..40 {
            let name = &"lobechat_visitor_of_my_own_policy_number"[..length];
            for value in ["", "1", "of sixteen bytes and more"] {
                let (usual, other) = (format!("{name}={value}"), format!("{}={value}", name.to_uppercase()));
                for line in [&usual, &other] {
                    assert_eq!(scan(&[name], &[line]), [Some(value.as_bytes())], "{line}");
                }
                for line in [format!("{name}x={value}"), format!("{}x={value}", &name[..length - 1])] {
                    assert_eq!(scan(&[name], &[&line]), [None], "{line}");
                }
            }
        }
    }

    #[test]
    fn all_names_in_one_pass_and_earlier_lines_win() {
        assert_eq!(scan(&["a", "b", "A"], &["b=1", "a=2; b=3"]), [Some(&b"2"[..]), Some(&b"1"[..])]);
        assert_eq!(scan(&["uid", "uuid"], &["uuid=1; Uid=2"]), [Some(&b"2"[..]), Some(&b"1"[..])]);
    }
}
