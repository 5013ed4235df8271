//! Finds cookies by name in `Cookie` header lines. Used by `inputs`.
//!
//! nginx's own `$cookie_NAME` scans byte by byte for each name; one pass for all names that jumps from `;`
//! to `;` costs a fraction of it behind a long session cookie. What counts as a match is nginx's rule
//! (ngx_http_parse_multi_header_lines), except that a comma never parts cookies, as in nginx 1.29.6 on.

/// The names to look for. A name's index is its place among the values found.
#[derive(Debug, Default)]
pub struct CookieNames {
    names: Vec<Name>,
    /// For each initial the index of the newest name that begins with it, plus one. Rejects most cookies.
    newest: [usize; INITIALS],
}

#[derive(Debug)]
struct Name {
    text: Box<[u8]>,
    /// `text=` in 16 bytes, and the bits that count: a comparison without a call. Never equal for a longer name.
    head: u128,
    mask: u128,
    /// The name before this one with its initial, plus one.
    before: usize,
}

const INITIALS: usize = 32;

impl CookieNames {
    /// The index of `name`, which is added if it is new.
    pub fn index(&mut self, name: &[u8]) -> usize {
        let text = name.to_ascii_lowercase();
        self.names.iter().position(|known| *known.text == *text).unwrap_or_else(|| {
            let newest = &mut self.newest[initial(*text.first().unwrap_or(&0))];
            let before = std::mem::replace(newest, self.names.len() + 1);
            self.names.push(Name::new(text.into(), before));
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
            let (pair, after) = match find(rest).and_then(|end| rest.split_at_checked(end)) {
                Some((pair, after)) => (pair, after),
                None => (rest, &[][..]),
            };
            let mut next = self.newest[initial(first)];
            while let Some(name) = self.names.get(next.wrapping_sub(1)) {
                if let (value @ Some(_), Some(place)) = (name.value_in(pair), found.get_mut(next - 1)) {
                    *place = place.or(value);
                    break;
                }
                next = name.before;
            }
            let [_, after @ ..] = after else { return };
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

/// Bytes that differ in case only have the same lower five bits.
fn initial(first: u8) -> usize {
    usize::from(first) % INITIALS
}

impl Name {
    fn new(text: Box<[u8]>, before: usize) -> Name {
        let (mut head, mut mask) = ([0xff; 16], [0; 16]);
        if text.len() < 16 {
            head.fill(0);
            head[..text.len()].copy_from_slice(&text);
            head[text.len()] = b'=';
            mask[..=text.len()].fill(0xff);
        }
        Name { text, head: u128::from_le_bytes(head), mask: u128::from_le_bytes(mask), before }
    }

    /// The value of a pair of this name.
    #[inline]
    fn value_in<'r>(&self, pair: &'r [u8]) -> Option<&'r [u8]> {
        match (pair.first_chunk(), pair.get(self.text.len() + 1..)) {
            (Some(chunk), Some(value)) if u128::from_le_bytes(*chunk) & self.mask == self.head => {
                Some(trim_spaces(value))
            }
            _ => self.unusual_value_in(pair),
        }
    }

    /// A short pair, a long name, or a name in another case or followed by spaces: nginx takes all of them.
    #[inline(never)]
    fn unusual_value_in<'r>(&self, pair: &'r [u8]) -> Option<&'r [u8]> {
        let (head, tail) = pair.split_at_checked(self.text.len())?;
        if !matches!(tail, [b'=' | b' ', ..]) || !head.eq_ignore_ascii_case(&self.text) {
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
