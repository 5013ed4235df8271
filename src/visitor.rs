//! The visitor cookie: a random id for browsers that bring no other, so that they can be split at all.
//!
//! Its value is `<32 hex digits>.<issue day>`. Only the digits are the id; the day tells when to renew.
//! Whoever forges it chooses a bucket for himself, no more.

use crate::set_cookie;

/// Days since 1970-01-01 UTC.
pub type Day = u32;

/// How long a browser keeps the cookie, in days. It is renewed past half of that.
pub const LIFE: Day = 30;

/// The id's digits and the day of issue; `None` for anything that this module did not write.
pub fn parse(value: &[u8]) -> Option<(&[u8; 32], Day)> {
    let (id, rest) = value.split_first_chunk::<32>()?;
    let day = rest.strip_prefix(b".")?;
    // Without an early end the compiler looks at all digits at once.
    let hex = id.iter().fold(true, |hex, b| hex & (b.is_ascii_digit() | (b'a'..=b'f').contains(b)));
    if !hex || !(1..=6).contains(&day.len()) || !day.iter().all(u8::is_ascii_digit) {
        return None;
    }
    if day.len() > 1 && day[0] == b'0' {
        return None;
    }
    Some((id, day.iter().fold(0, |n, b| n * 10 + Day::from(b - b'0'))))
}

/// Whether a cookie issued on `day` has to be set again: past half its life, or from the future.
pub fn is_due(day: Day, today: Day) -> bool {
    today.checked_sub(day).is_none_or(|age| age > LIFE / 2)
}

/// The digits of a new id.
pub fn digits(random: [u8; 16]) -> [u8; 32] {
    let mut id = [0; 32];
    for (pair, byte) in id.as_chunks_mut::<2>().0.iter_mut().zip(random) {
        let digit = |n: u8| b"0123456789abcdef"[usize::from(n & 15)];
        *pair = [digit(byte >> 4), digit(byte)];
    }
    id
}

/// The `Set-Cookie` value.
pub fn set_cookie(name: &str, id: &[u8; 32], today: Day, secure: bool) -> String {
    let id = String::from_utf8_lossy(id);
    set_cookie::line(name, format_args!("{id}.{today}"), u64::from(LIFE) * 86_400, secure)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &[u8; 32] = b"00112233445566778899aabbccddeeff";

    #[test]
    fn reads_what_it_writes() {
        let text = set_cookie("v", ID, 20_780, true);
        assert_eq!(
            text,
            "v=00112233445566778899aabbccddeeff.20780; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax; Secure"
        );
        let value = &text[2..text.find(';').unwrap()];
        assert_eq!(parse(value.as_bytes()), Some((ID, 20_780)));
        assert!(!set_cookie("v", ID, 1, false).contains("Secure"));
    }

    #[test]
    fn digits_are_the_bytes_in_hex() {
        let mut random = [0; 16];
        (0..16).for_each(|n| random[n] = n as u8 * 0x11);
        assert_eq!(&digits(random), ID);
    }

    #[test]
    fn refuses_foreign_values() {
        let id = "00112233445566778899aabbccddeeff";
        for value in [
            String::new(),
            id.to_owned(),
            format!("{id}."),
            format!("{id}.1234567"),
            format!("{id}.12x"),
            format!("{id}.012"),
            format!("{id}.-1"),
            format!("{id}x.1"),
            format!("{}.1", &id[1..]),
            format!("{}.1", id.to_uppercase()),
            format!("g{}.1", &id[1..]),
            "a".repeat(4096),
        ] {
            assert_eq!(parse(value.as_bytes()), None, "{value}");
        }
    }

    #[test]
    fn due_past_half_its_life() {
        for (day, due) in [(100, false), (85, false), (84, true), (0, true), (101, true)] {
            assert_eq!(is_due(day, 100), due, "{day}");
        }
    }
}
