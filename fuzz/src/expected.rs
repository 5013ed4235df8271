//! What an identity must make of a content that is signed or sealed by its key: the claims, or why there are none.

use lobechat_canary::failure::Failure;

use super::json::Json;

/// The claims that the policies of the checks read.
pub const PATHS: [&[&str]; 4] =
    [&["sub"], &["role"], &["realm_access", "roles"], &["https://example.com/roles"]];

/// The elements of each claim; a value that is no list is one.
pub type Claims = Vec<Vec<String>>;

/// A second, or two of them where the text of a number leaves open which it is.
#[derive(Clone, Copy)]
struct Second {
    first: u64,
    last: u64,
}

pub struct Expected {
    dates: Result<Dates, Failure>,
    claims: Result<Claims, Failure>,
}

struct Dates {
    not_before: Second,
    expires: Second,
}

/// What `identity jwt` is told to look at.
#[derive(Default)]
pub struct Rules {
    pub leeway: u64,
    pub issuer: Option<&'static str>,
    pub audience: Option<&'static str>,
    pub required: &'static [&'static str],
}

impl Expected {
    pub fn failure(failure: Failure) -> Expected {
        Expected { dates: Err(failure), claims: Err(failure) }
    }

    /// At one time; `None` where the model does not know.
    pub fn at(&self, now: u64) -> Option<Result<&Claims, Failure>> {
        let dates = match &self.dates {
            Ok(dates) => dates,
            Err(failure) => return Some(Err(*failure)),
        };
        if now >= dates.expires.last {
            return Some(Err(Failure::Expired));
        }
        if now >= dates.expires.first {
            return None;
        }
        if now < dates.not_before.first {
            return Some(Err(Failure::NotYet));
        }
        (now >= dates.not_before.last).then(|| self.claims.as_ref().map_err(|failure| *failure))
    }

    /// The times around which it changes.
    pub fn times(&self) -> Vec<u64> {
        let around = |second: Second| [second.first.saturating_sub(1), second.last];
        self.dates.iter().flat_map(|dates| [dates.not_before, dates.expires]).flat_map(around).collect()
    }
}

/// A JSON Web Token's payload.
pub fn jwt(payload: &[u8], rules: &Rules) -> Expected {
    match Json::parse(payload) {
        None => return Expected::failure(Failure::Malformed),
        Some(Json::Object(..)) => {}
        Some(_) => return Expected::failure(Failure::Claims),
    }
    object(payload, |claims| Expected {
        dates: dates(claims, rules.leeway),
        claims: obeys(claims, rules).map(|()| read(claims)),
    })
}

/// The plaintext of an Auth.js session.
pub fn authjs(plaintext: &[u8]) -> Expected {
    object(plaintext, |claims| Expected { dates: dates(claims, LEEWAY), claims: Ok(read(claims)) })
}

/// A session of better-auth in its strategy `jwt` or `jwe`.
pub fn better_auth(content: &[u8], encrypted: bool) -> Expected {
    object(content, |session| {
        let dates = dates(session, if encrypted { LEEWAY } else { 0 }).map(|dates| match encrypted {
            true => dates,
            false => Dates { not_before: dates.not_before.earlier(LEEWAY), ..dates },
        });
        user(session, dates)
    })
}

/// The same in its strategy `compact`, signed with an expiry in milliseconds.
pub fn compact(session: &[u8], expires: &[u8]) -> Expected {
    let digits = !expires.is_empty() && expires.iter().all(u8::is_ascii_digit);
    if !(digits && session.starts_with(b"{") && session.ends_with(b"}")) {
        return Expected::failure(Failure::Malformed);
    }
    let Some(milliseconds) = std::str::from_utf8(expires).ok().and_then(|text| text.parse::<u64>().ok())
    else {
        return Expected::failure(Failure::Malformed);
    };
    let expires = milliseconds / 1000 + u64::from(milliseconds % 1000 != 0);
    let dates = Dates { not_before: Second::at(0), expires: Second::at(expires) };
    object(session, |session| user(session, Ok(dates)))
}

const LEEWAY: u64 = 15;

fn object(text: &[u8], expected: impl FnOnce(&Json) -> Expected) -> Expected {
    match Json::parse(text) {
        Some(object @ Json::Object(..)) if object.is_unambiguous() => expected(&object),
        _ => Expected::failure(Failure::Malformed),
    }
}

impl Second {
    fn at(second: u64) -> Second {
        Second { first: second, last: second }
    }

    fn later(self, leeway: u64) -> Second {
        Second { first: self.first.saturating_add(leeway), last: self.last.saturating_add(leeway) }
    }

    fn earlier(self, leeway: u64) -> Second {
        Second { first: self.first.saturating_sub(leeway), last: self.last.saturating_sub(leeway) }
    }
}

fn dates(claims: &Json, leeway: u64) -> Result<Dates, Failure> {
    let (expires, nbf, iat) = (date(claims, "exp")?, date(claims, "nbf")?, date(claims, "iat")?);
    let none = Second::at(0);
    let (nbf, iat) = (nbf.unwrap_or(none), iat.unwrap_or(none));
    let not_before = Second { first: nbf.first.max(iat.first), last: nbf.last.max(iat.last) };
    Ok(Dates {
        not_before: not_before.earlier(leeway),
        expires: expires.map_or(Second::at(u64::MAX), |date| date.later(leeway)),
    })
}

fn date(claims: &Json, name: &str) -> Result<Option<Second>, Failure> {
    let number = match claims.member(name) {
        None => return Ok(None),
        Some(Json::Other(number)) => number,
        Some(_) => return Err(Failure::Claims),
    };
    if let Ok(whole) = number.parse::<u32>() {
        return Ok(Some(Second::at(whole.into())));
    }
    let number: f64 = number.parse().ok().filter(|n: &f64| n.is_finite()).ok_or(Failure::Claims)?;
    // Two readers of a number may differ in its last bit.
    let [first, last] = [number.next_down(), number.next_up()].map(|number| number.ceil() as u64);
    Ok(Some(Second { first, last }))
}

fn obeys(claims: &Json, rules: &Rules) -> Result<(), Failure> {
    if rules.issuer.is_some() && claims.text("iss") != rules.issuer {
        return Err(Failure::Issuer);
    }
    let is_us = |value: &Json| matches!(value, Json::Text(text) if text.as_deref() == rules.audience);
    let names_us = match claims.member("aud") {
        Some(Json::List(_, all)) => all.iter().any(is_us),
        other => other.is_some_and(is_us),
    };
    if rules.audience.is_some() && !names_us {
        return Err(Failure::Audience);
    }
    let is_there = |name: &&str| claims.member(name).is_some_and(|value| !matches!(value, Json::Null));
    rules.required.iter().all(is_there).then_some(()).ok_or(Failure::Claims)
}

fn read(claims: &Json) -> Claims {
    let at =
        |path: &[&str]| path.iter().try_fold(claims, |value, name| value.member(name)).map_or(vec![], show);
    PATHS.iter().map(|path| at(path)).collect()
}

fn show(value: &Json) -> Vec<String> {
    match value {
        Json::List(_, elements) => elements.iter().filter_map(element).collect(),
        value => element(value).into_iter().collect(),
    }
}

fn element(value: &Json) -> Option<String> {
    match value {
        Json::Null => None,
        Json::Text(text) => text.clone(),
        Json::Other(text) | Json::List(text, _) | Json::Object(text, _) => Some((*text).to_owned()),
    }
}

/// The user of a better-auth session.
fn user(session: &Json, dates: Result<Dates, Failure>) -> Expected {
    let dates = match dates {
        Ok(dates) => dates,
        Err(failure) => return Expected::failure(failure),
    };
    let object = |name| session.member(name).filter(|value| matches!(value, Json::Object(..)));
    let (Some(user), Some(inner)) = (object("user"), object("session")) else {
        return Expected { dates: Ok(dates), claims: Err(Failure::Claims) };
    };
    let Some(id) = user.text("id").filter(|id| !id.is_empty()) else {
        return Expected { dates: Ok(dates), claims: Err(Failure::Claims) };
    };
    let mut claims = read(user);
    claims[0] = vec![id.to_owned()];
    if let Some(role) = user.text("role") {
        claims[1] =
            role.split(',').map(str::trim).filter(|role| !role.is_empty()).map(str::to_owned).collect();
    }
    let end = match inner.text("expiresAt").map(js_date) {
        None => Second::at(u64::MAX),
        Some(Some(end)) => Second::at(end),
        // Whatever else looks like a date may be taken for one.
        Some(None) => Second { first: 0, last: u64::MAX },
    };
    let expires =
        Second { first: dates.expires.first.min(end.first), last: dates.expires.last.min(end.last) };
    Expected { dates: Ok(Dates { expires, ..dates }), claims: Ok(claims) }
}

/// `2026-11-24T10:00:00.000Z`, of a day that every month has, as seconds; `None` for any other text.
fn js_date(text: &str) -> Option<u64> {
    let form = b"dddd-dd-ddTdd:dd:dd.dddZ";
    let fits = |(b, form): (u8, &u8)| if *form == b'd' { b.is_ascii_digit() } else { b == *form };
    (text.len() == form.len() && text.bytes().zip(form).all(fits)).then_some(())?;
    let [year, month, day, hour, minute, second] =
        [0..4, 5..7, 8..10, 11..13, 14..16, 17..19].map(|digits| text[digits].parse::<u64>().unwrap_or(0));
    let usual = year >= 1970 && (1..=12).contains(&month) && (1..=28).contains(&day);
    (usual && hour < 24 && minute < 60 && second < 60).then_some(())?;
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let months = [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let years: u64 = (1970..year).map(|year| if leap(year) { 366 } else { 365 }).sum();
    let days = years + months[..month as usize - 1].iter().sum::<u64>() + day - 1;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}
