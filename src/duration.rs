//! Lengths of time as nginx writes them (`ngx_parse_time`): `30d`, `1h30m`, a number alone is seconds.
//! Used by `remember=`, `keep=` and `leeway=`.

use crate::config::quote;

/// A length of time, or a point in it since 1970-01-01 UTC.
pub type Seconds = u64;

/// The units from the largest to the smallest; each may stand once, in this order.
const UNITS: [(u8, u64); 7] = [
    (b'y', 365 * 86_400),
    (b'M', 30 * 86_400),
    (b'w', 7 * 86_400),
    (b'd', 86_400),
    (b'h', 3_600),
    (b'm', 60),
    (b's', 1),
];

/// The seconds that `text` says, at most ten years. The error is a sentence.
pub fn parse(text: &[u8]) -> Result<u64, String> {
    seconds(text).filter(|&seconds| seconds <= 10 * UNITS[0].1).ok_or_else(|| {
        format!("invalid time {}: write a number with a unit, e.g. \"30d\", \"12h\" or \"90s\"", quote(text))
    })
}

fn seconds(text: &[u8]) -> Option<u64> {
    let (mut rest, mut total, mut units) = (text, 0_u64, &UNITS[..]);
    while !rest.is_empty() || text.is_empty() {
        let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        let number: u64 = str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
        let (unit, after) = rest[digits..].split_first().unwrap_or((&b's', &[]));
        let at = units.iter().position(|(name, _)| name == unit)?;
        total = total.checked_add(number.checked_mul(units[at].1)?)?;
        (rest, units) = (after, &units[at + 1..]);
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_as_nginx_does() {
        for (text, seconds) in [
            ("0", Some(0)),
            ("0s", Some(0)),
            ("90", Some(90)),
            ("90s", Some(90)),
            ("7d", Some(604_800)),
            ("1h30m", Some(5_400)),
            ("1M", Some(2_592_000)),
            ("10y", Some(315_360_000)),
            ("11y", None),
            ("", None),
            ("d", None),
            ("7x", None),
            ("7D", None),
            ("1m1h", None),
            ("1h1h", None),
            ("-1d", None),
            ("1.5h", None),
            ("7 d", None),
            ("99999999999999999999d", None),
        ] {
            assert_eq!(parse(text.as_bytes()).ok(), seconds, "{text}");
        }
    }
}
