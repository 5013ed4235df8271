//! What the sources of a request must yield, written down anew in the plainest way: no slots, no single pass.

use super::stand_ins::PlainRequest;

/// The first cookie of that name. Cookies are parted by `;` only; names are compared without regard to case.
pub fn cookie(request: &PlainRequest, name: &str) -> Vec<u8> {
    for (_, line) in request.headers.iter().filter(|(header, _)| header.eq_ignore_ascii_case(b"cookie")) {
        for (number, pair) in line.split(|&b| b == b';').enumerate() {
            // What precedes the first cookie is nginx's to trim.
            let pair = if number == 0 { pair } else { trim_start(pair) };
            let Some(equals) = pair.iter().position(|&b| b == b'=') else { continue };
            if trim_end(&pair[..equals]).eq_ignore_ascii_case(name.as_bytes()) {
                return trim_start(&pair[equals + 1..]).to_vec();
            }
        }
    }
    Vec::new()
}

/// All lines of that name, joined.
pub fn header(request: &PlainRequest, name: &str) -> Vec<u8> {
    let separator: &[u8] = if name.eq_ignore_ascii_case("cookie") { b"; " } else { b", " };
    let lines = request.headers.iter().filter(|(header, _)| header.eq_ignore_ascii_case(name.as_bytes()));
    lines.map(|(_, value)| value.as_slice()).collect::<Vec<_>>().join(separator)
}

/// The first argument of that name, undecoded.
pub fn argument(request: &PlainRequest, name: &str) -> Vec<u8> {
    for pair in request.query.split(|&b| b == b'&') {
        let mut halves = pair.splitn(2, |&b| b == b'=');
        let found = halves.next().unwrap_or_default().eq_ignore_ascii_case(name.as_bytes());
        if let (true, Some(value)) = (found, halves.next()) {
            return value.to_vec();
        }
    }
    Vec::new()
}

/// The id and day of a visitor cookie, by the letter of its format.
pub fn visitor(value: &[u8]) -> Option<([u8; 32], u32)> {
    let text = std::str::from_utf8(value).ok()?;
    let (id, day) = text.split_once('.')?;
    let digits = id.chars().all(|c| "0123456789abcdef".contains(c));
    let day: u32 = day.parse().ok().filter(|n: &u32| n.to_string() == day && day.len() <= 6)?;
    let id = <[u8; 32]>::try_from(id.as_bytes()).ok()?;
    digits.then_some((id, day))
}

fn trim_start(mut text: &[u8]) -> &[u8] {
    while let Some(rest) = text.strip_prefix(b" ") {
        text = rest;
    }
    text
}

fn trim_end(mut text: &[u8]) -> &[u8] {
    while let Some(rest) = text.strip_suffix(b" ") {
        text = rest;
    }
    text
}
