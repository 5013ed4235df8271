//! Finds cookies by name in `Cookie` header lines. Used by `inputs`.
//!
//! nginx's own `$cookie_NAME` scans byte by byte for each name; one pass for all names that jumps from `;`
//! to `;` costs a fraction of it behind a long session cookie. What counts as a match is nginx's rule
//! (ngx_http_parse_multi_header_lines), except that a comma never parts cookies, as in nginx 1.29.6 on.

/// The names to look for. A name's index is its place among the values found.
#[derive(Debug, Default)]
pub struct CookieNames {
    names: Vec<Box<[u8]>>,
    /// Bit n: a name begins with a byte whose lower five bits are n, whatever its case. Rejects most cookies.
    initials: u32,
}

impl CookieNames {
    /// The index of `name`, which is added if it is new.
    pub fn index(&mut self, name: &[u8]) -> usize {
        self.initials |= name.first().map_or(0, |&first| initial(first));
        index_of(&mut self.names, name)
    }

    pub fn len(&self) -> usize {
        self.names.len()
    }

    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Fills the empty places of `found` with the values of a `Cookie` line, first match wins.
    ///
    /// `find` finds the first `;` of a text. The web server's C library does that best; a test takes any.
    #[inline(never)]
    pub fn scan<'r>(
        &self,
        line: &'r [u8],
        found: &mut [Option<&'r [u8]>],
        find: impl Fn(&[u8]) -> Option<usize>,
    ) {
        let mut rest = line;
        while let Some(&first) = rest.first() {
            let end = find(rest).unwrap_or(rest.len());
            let (pair, after) = rest.split_at_checked(end).unwrap_or((rest, &[]));
            if self.initials & initial(first) != 0 {
                self.take(pair, found);
            }
            rest = trim_spaces(after.get(1..).unwrap_or_default());
        }
    }

    /// Kept apart, as most cookies pass by.
    #[inline(never)]
    fn take<'r>(&self, pair: &'r [u8], found: &mut [Option<&'r [u8]>]) {
        for (name, value) in self.names.iter().zip(found) {
            // The byte behind the name rejects most of the other ones.
            if let Some(b'=' | b' ') = pair.get(name.len())
                && let taken @ Some(_) = value_of(pair, name)
            {
                *value = value.or(taken);
                return;
            }
        }
    }
}

fn initial(first: u8) -> u32 {
    1 << (first & 31)
}

/// The index of a name in lower case, which is added if it is new.
pub fn index_of(names: &mut Vec<Box<[u8]>>, name: &[u8]) -> usize {
    let name = name.to_ascii_lowercase().into_boxed_slice();
    names.iter().position(|known| *known == name).unwrap_or_else(|| {
        names.push(name);
        names.len() - 1
    })
}

#[inline]
fn value_of<'r>(pair: &'r [u8], name: &[u8]) -> Option<&'r [u8]> {
    match pair.strip_prefix(name) {
        Some([b'=', after @ ..]) => Some(trim_spaces(after)),
        _ => unusual_value(pair, name),
    }
}

/// The value of a `pair` whose name may be in another case, or followed by spaces; nginx takes both.
#[cold]
fn unusual_value<'r>(pair: &'r [u8], name: &[u8]) -> Option<&'r [u8]> {
    let (head, tail) = pair.split_at_checked(name.len())?;
    if !head.eq_ignore_ascii_case(name) {
        return None;
    }
    trim_spaces(tail).strip_prefix(b"=").map(trim_spaces)
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
    use memchr::memchr;

    use super::*;

    fn scan<'r>(names: &[&str], lines: &[&'r str]) -> Vec<Option<&'r [u8]>> {
        let mut known = CookieNames::default();
        names.iter().for_each(|name| _ = known.index(name.as_bytes()));
        let mut found = vec![None; known.len()];
        lines.iter().for_each(|line| known.scan(line.as_bytes(), &mut found, |text| memchr(b';', text)));
        found
    }

    #[test]
    fn finds_by_name() {
        for (line, value) in [
            ("uid=1", Some("1")),
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
    fn all_names_in_one_pass_and_earlier_lines_win() {
        assert_eq!(scan(&["a", "b", "A"], &["b=1", "a=2; b=3"]), [Some(&b"2"[..]), Some(&b"1"[..])]);
        assert_eq!(scan(&["uid", "uuid"], &["uuid=1; Uid=2"]), [Some(&b"2"[..]), Some(&b"1"[..])]);
    }
}
