//! Finds cookies by name in `Cookie` header lines. Used by `inputs`.
//!
//! nginx's own `$cookie_NAME` scans byte by byte for each name; one pass for all names that jumps from `;`
//! to `;` costs a fraction of it behind a long session cookie. What counts as a match is nginx's rule
//! (ngx_http_parse_multi_header_lines), except that a comma never parts cookies, as in nginx 1.29.6 on.

use memchr::memchr;

/// Fills the empty places of `found` with the values of `names`, first match wins.
pub fn scan<'r>(line: &'r [u8], names: &[Box<[u8]>], found: &mut [Option<&'r [u8]>]) {
    let mut rest = line;
    loop {
        let end = memchr(b';', rest);
        let pair = &rest[..end.unwrap_or(rest.len())];
        for (name, value) in names.iter().zip(&mut *found) {
            if value.is_none() {
                *value = value_of(pair, name);
            }
        }
        let Some(end) = end else { return };
        rest = trim_spaces(&rest[end + 1..]);
    }
}

/// The value of `pair` if its name is `name`; names are compared without regard to case, as nginx does.
fn value_of<'r>(pair: &'r [u8], name: &[u8]) -> Option<&'r [u8]> {
    let (head, tail) = pair.split_at_checked(name.len())?;
    if !head.eq_ignore_ascii_case(name) {
        return None;
    }
    trim_spaces(tail).strip_prefix(b"=").map(trim_spaces)
}

fn trim_spaces(mut text: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] = text {
        text = rest;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find<'r>(line: &'r str, name: &str) -> Option<&'r str> {
        let mut found = [None];
        scan(line.as_bytes(), &[name.as_bytes().into()], &mut found);
        found[0].and_then(|value| std::str::from_utf8(value).ok())
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
            assert_eq!(find(line, "uid"), value, "{line}");
        }
    }

    #[test]
    fn all_names_in_one_pass_and_earlier_lines_win() {
        let names: Vec<Box<[u8]>> = vec![b"a"[..].into(), b"b"[..].into()];
        let mut found = [None, None];
        scan(b"b=1", &names, &mut found);
        scan(b"a=2; b=3", &names, &mut found);
        assert_eq!(found, [Some(&b"2"[..]), Some(&b"1"[..])]);
    }
}
