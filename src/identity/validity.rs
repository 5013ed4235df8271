//! From when until when claims hold: `exp`, `nbf` and `iat` (RFC 7519 section 4.1).

use crate::duration::Seconds;
use crate::failure::Failure;
use crate::json::{self, Members};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    pub not_before: Seconds,
    /// The first second at which the claims hold no more.
    pub expires: Seconds,
}

impl Validity {
    /// As the claims say; clocks may differ by `leeway`.
    pub fn of(claims: &Members<'_>, leeway: Seconds) -> Result<Validity, Failure> {
        let expires = date(claims, "exp")?.map_or(Seconds::MAX, |date| date.saturating_add(leeway));
        let earliest = date(claims, "nbf")?.max(date(claims, "iat")?).unwrap_or(0);
        Ok(Validity { not_before: earliest.saturating_sub(leeway), expires })
    }

    pub fn check(self, now: Seconds) -> Result<(), Failure> {
        if now >= self.expires {
            Err(Failure::Expired)
        } else if now < self.not_before {
            Err(Failure::NotYet)
        } else {
            Ok(())
        }
    }
}

/// A NumericDate; a fraction counts as the next second, since now is a whole one.
fn date(claims: &Members<'_>, name: &str) -> Result<Option<Seconds>, Failure> {
    let Some(value) = claims.written(name) else {
        return Ok(None);
    };
    // Out of range is the nearest that there is: the cast saturates.
    let date = json::number(value).ok_or(Failure::Claims)?;
    Ok(Some(date.ceil() as Seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(claims: &str, leeway: Seconds, now: Seconds) -> Result<(), Failure> {
        Validity::of(&Members::parse(claims.as_bytes()).unwrap(), leeway)?.check(now)
    }

    #[test]
    fn dates() {
        for (claims, leeway, now, result) in [
            ("{}", 0, 0, Ok(())),
            (r#"{"exp":100}"#, 0, 99, Ok(())),
            (r#"{"exp":100}"#, 0, 100, Err(Failure::Expired)),
            (r#"{"exp":100}"#, 5, 104, Ok(())),
            (r#"{"exp":100}"#, 5, 105, Err(Failure::Expired)),
            (r#"{"exp":100.5}"#, 0, 100, Ok(())),
            (r#"{"exp":100.5}"#, 0, 101, Err(Failure::Expired)),
            (r#"{"exp":-1}"#, 0, 0, Err(Failure::Expired)),
            (r#"{"exp":1e300}"#, 9, 1 << 60, Ok(())),
            (r#"{"nbf":100}"#, 0, 99, Err(Failure::NotYet)),
            (r#"{"nbf":100}"#, 0, 100, Ok(())),
            (r#"{"nbf":100}"#, 5, 95, Ok(())),
            (r#"{"nbf":99.5}"#, 0, 99, Err(Failure::NotYet)),
            (r#"{"iat":100,"nbf":90}"#, 0, 99, Err(Failure::NotYet)),
            (r#"{"exp":null}"#, 0, 1, Err(Failure::Claims)),
            (r#"{"exp":"100"}"#, 0, 1, Err(Failure::Claims)),
            (r#"{"nbf":true}"#, 0, 1, Err(Failure::Claims)),
            (r#"{"iat":[]}"#, 0, 1, Err(Failure::Claims)),
        ] {
            assert_eq!(check(claims, leeway, now), result, "{claims} {leeway} {now}");
        }
    }
}
