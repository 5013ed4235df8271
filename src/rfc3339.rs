//! Points in time as people and JSON read them (RFC 3339, UTC). Used by the API and by events.

use crate::duration::Seconds;

/// The last second of the year 9999, behind which there are no four digits.
const LAST: Seconds = 253_402_300_799;

/// `2026-11-24T13:00:00Z`
pub fn format(at: Seconds) -> String {
    let at = at.min(LAST);
    let (days, second) = (at / 86_400, at % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Reads what [`format`] writes; no other forms.
pub fn parse(text: &str) -> Option<Seconds> {
    let number = |from: usize, to: usize| {
        let digits = text.get(from..to).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
        digits.parse::<Seconds>().ok()
    };
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) {
        return None;
    }
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let days = days_before(year, month) + day.checked_sub(1)?;
    let at = days * 86_400 + hour * 3_600 + minute * 60 + second;
    // Also whatever lies outside of its unit is written in another way.
    (format(at) == text).then_some(at)
}

/// Days from 1970-01-01 to the first of a month.
fn days_before(year: u64, month: u64) -> u64 {
    let before = year - 1;
    let leap_days = before / 4 - before / 100 + before / 400 - LEAP_DAYS_BEFORE_1970;
    (year - 1970) * 365 + leap_days + (1..month).map(|month| length(year, month)).sum::<u64>()
}

const LEAP_DAYS_BEFORE_1970: u64 = 1969 / 4 - 1969 / 100 + 1969 / 400;

/// Year, month and day of so many days after 1970-01-01.
fn civil(days: u64) -> (u64, u64, u64) {
    let mut year = 1970 + days / 366;
    while days_before(year + 1, 1) <= days {
        year += 1;
    }
    let mut day = days - days_before(year, 1);
    let mut month = 1;
    while day >= length(year, month) {
        day -= length(year, month);
        month += 1;
    }
    (year, month, day + 1)
}

fn length(year: u64, month: u64) -> u64 {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// For `#[serde(with = "rfc3339")]`.
pub fn serialize<S: serde::Serializer>(at: &Seconds, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format(*at))
}

/// For `#[serde(with = "rfc3339")]`.
pub fn deserialize<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Seconds, D::Error> {
    let text = <String as serde::Deserialize>::deserialize(deserializer)?;
    parse(&text).ok_or_else(|| serde::de::Error::custom(format!("\"{text}\" is no time")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of `date -u -d @N +%FT%TZ`.
    #[test]
    fn as_date_says() {
        for (at, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_795_525_200, "2026-11-24T13:00:00Z"),
            (1_798_761_599, "2026-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (LAST, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!((format(at).as_str(), parse(text)), (text, Some(at)));
        }
        assert_eq!(format(u64::MAX), format(LAST));
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut last = civil(0);
        for days in 1..200_000 {
            let (year, month, day) = civil(days);
            let next = match last {
                (y, m, d) if d < length(y, m) => (y, m, d + 1),
                (y, 12, _) => (y + 1, 1, 1),
                (y, m, _) => (y, m + 1, 1),
            };
            assert_eq!((year, month, day), next);
            let at = days * 86_400 + 12_345;
            assert_eq!(parse(&format(at)), Some(at));
            last = next;
        }
    }

    #[test]
    fn other_texts_are_none() {
        for text in [
            "",
            "2026-11-24",
            "2026-11-24T13:00:00",
            "2026-11-24 13:00:00Z",
            "2026-11-24T13:00:00+00:00",
            "2026-13-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-11-24T24:00:00Z",
            "2026-11-24T13:00:60Z",
            "1969-12-31T23:59:59Z",
            "2026-11-00T00:00:00Z",
            "2026-11-24T13:00:00Zä",
            "+026-11-24T13:00:00Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
