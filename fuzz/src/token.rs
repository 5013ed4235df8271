//! The whole way from header lines to claims: tokens that nobody signed and such as are signed properly around any
//! content, sessions, and the module's own cookies. The claims found are compared with the model's.

use lobechat_canary::claims::Claims;
use lobechat_canary::decision::{Reason, decide};
use lobechat_canary::failure::Failure;
use lobechat_canary::identity::Outcome;
use lobechat_canary::policy::Policy;

use super::expected::{self, Expected, PATHS, Rules};
use super::json::{Json, Members};
use super::recordings::{self, Kind, Recordings};
use super::sealing::{self, AUTHJS, BETTER_AUTH, SESSION_SECRET, TOKEN_SECRET};
use super::stand_ins::PlainRequest;
use super::token_policies::{DAY, FIXED, Fixed, NOW, Pair, ROUTE, RULES};
use super::{decided, model};

/// The first byte says what the rest is; any other one begins a request, see [`PlainRequest::parse`].
pub fn check(text: &[u8]) {
    let Some((mode, rest)) = text.split_first() else {
        return;
    };
    FIXED.with(|fixed| match mode {
        b'p' => payload(fixed, rest),
        b'h' => header(fixed, rest),
        b's' => compact(fixed, rest),
        b'j' => better_auth_jwt(fixed, rest),
        b'b' => better_auth_jwe(fixed, rest),
        b'a' => authjs(fixed, rest),
        b'e' => jwe_header(fixed, rest),
        b'k' => keep(fixed, rest),
        b'm' => remember(fixed, rest),
        b't' => token(fixed, rest),
        b'c' => unsigned(fixed, &PlainRequest::default().header("Cookie", rest)),
        _ => unsigned(fixed, &PlainRequest::parse(text)),
    });
}

/// A JWT around any payload.
fn payload(fixed: &Fixed, payload: &[u8]) {
    let request = bearer(&sealing::jwt(TOKEN_SECRET, HS256, payload));
    signed(fixed.pair(Kind::Secret), &request, &expected::jwt(payload, &Rules::default()));
    signed(&fixed.checked, &request, &expected::jwt(payload, &RULES));
}

/// A JWT with any header.
fn header(fixed: &Fixed, header: &[u8]) {
    let payload = br#"{"sub":"u1","role":["a","tester"]}"#;
    let expected = match header_failure(header, &["crit"]) {
        Some(failure) => Expected::failure(failure),
        None => match Json::parse(header).as_ref() {
            Some(header) if header.member("kid").is_some() && header.text("kid").is_none() => {
                Expected::failure(Failure::Malformed)
            }
            Some(header) if header.text("alg") == Some("HS256") => expected::jwt(payload, &Rules::default()),
            Some(header) if header.text("alg").is_some() => Expected::failure(Failure::Algorithm),
            _ => Expected::failure(Failure::Malformed),
        },
    };
    signed(fixed.pair(Kind::Secret), &bearer(&sealing::jwt(TOKEN_SECRET, header, payload)), &expected);
}

/// Whether a header is an object that says nothing twice and has none of these members.
fn header_failure(header: &[u8], refused: &[&str]) -> Option<Failure> {
    let once = |members: &Members, name: &Option<String>| {
        name.is_some() && members.iter().filter(|(other, _)| other == name).count() == 1
    };
    match Json::parse(header) {
        Some(Json::Object(_, members)) if members.iter().all(|(name, _)| once(&members, name)) => {
            let is_refused =
                |name: &Option<String>| refused.iter().any(|refused| name.as_deref() == Some(refused));
            members.iter().any(|(name, _)| is_refused(name)).then_some(Failure::Malformed)
        }
        _ => Some(Failure::Malformed),
    }
}

/// A compact session: an object, and after the last newline when it expires.
fn compact(fixed: &Fixed, text: &[u8]) {
    let (session, expires) = match text.iter().rposition(|&b| b == b'\n') {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, &b"2000000000000"[..]),
    };
    let request = session_cookie(BETTER_AUTH, &sealing::compact(session, expires));
    signed(fixed.pair(Kind::BetterAuth), &request, &expected::compact(session, expires));
}

/// A session of better-auth's strategy `jwt` around any payload.
fn better_auth_jwt(fixed: &Fixed, payload: &[u8]) {
    let request = session_cookie(BETTER_AUTH, &sealing::jwt(SESSION_SECRET, HS256, payload));
    signed(fixed.pair(Kind::BetterAuth), &request, &expected::better_auth(payload, false));
}

/// The same of its strategy `jwe`.
fn better_auth_jwe(fixed: &Fixed, plaintext: &[u8]) {
    let token = sealing::better_auth_jwe(br#"{"alg":"dir","enc":"A256CBC-HS512"}"#, plaintext);
    let expected = expected::better_auth(plaintext, true);
    signed(fixed.pair(Kind::BetterAuth), &session_cookie(BETTER_AUTH, &token), &expected);
}

/// An Auth.js session, which is bound to the name of its cookie.
fn authjs(fixed: &Fixed, plaintext: &[u8]) {
    let (pair, secure) = (fixed.pair(Kind::AuthJs), format!("__Secure-{AUTHJS}"));
    for (name, other) in [(AUTHJS, &*secure), (&secure, AUTHJS)] {
        let token = sealing::authjs(name, A256GCM, plaintext);
        signed(pair, &session_cookie(name, &token), &expected::authjs(plaintext));
        signed(pair, &session_cookie(other, &token), &Expected::failure(Failure::Signature));
    }
}

/// An encrypted session with any header.
fn jwe_header(fixed: &Fixed, header: &[u8]) {
    let plaintext = br#"{"sub":"u1"}"#;
    let parsed = Json::parse(header);
    let text = |name: &str| parsed.as_ref().and_then(|header| header.text(name));
    let expected = match (header_failure(header, &["crit", "zip"]), text("alg"), text("enc"), text("kid")) {
        (Some(failure), ..) => Expected::failure(failure),
        (None, Some("dir"), Some("A256GCM"), None) => expected::authjs(plaintext),
        (None, Some("dir"), Some("A256GCM"), Some(_)) => Expected::failure(Failure::Key),
        // Another length of the IV and the tag.
        (None, Some("dir"), Some("A256CBC-HS512"), None) => Expected::failure(Failure::Malformed),
        (None, Some("dir"), Some("A256CBC-HS512"), Some(_)) => Expected::failure(Failure::Key),
        (None, Some(_), Some(_), _) => Expected::failure(Failure::Algorithm),
        (None, ..) => Expected::failure(Failure::Malformed),
    };
    let token = sealing::authjs(AUTHJS, header, plaintext);
    signed(fixed.pair(Kind::AuthJs), &session_cookie(AUTHJS, &token), &expected);
}

/// A keep cookie around any bytes: the time of issue, and the id.
fn keep(fixed: &Fixed, plaintext: &[u8]) {
    let policy = &fixed.pair(Kind::Keys).quick;
    let value = sealing::keep(b"default\0claim:sub", plaintext);
    let request = session_cookie("lobechat_keep", &value);
    let kept = plaintext.split_first_chunk().map(|(issued, id)| (u64::from_be_bytes(*issued), id));
    for now in [NOW, kept.map_or(0, |(issued, _)| issued)].into_iter().flat_map(around) {
        let request = request.clone().at(now);
        let holds = |issued| holds(issued, now, 30 * DAY);
        let expected = kept.filter(|(issued, _)| holds(*issued)).map_or(&[][..], |(_, id)| id);
        let decision = decided::check(policy, &request);
        let sender = decided::sender(&decision);
        assert_eq!(sender.user.id, expected, "at {now}");
        assert!(!sender.user.keep && sender.identity.is_none());
    }
}

/// A remember cookie with a good code around any release and time of issue.
fn remember(fixed: &Fixed, value: &[u8]) {
    let policy = &fixed.pair(Kind::Keys).quick;
    let written = std::str::from_utf8(value).ok().and_then(|value| value.rsplit_once('.'));
    let issued: u64 = written.and_then(|(_, issued)| issued.parse().ok()).unwrap_or(NOW);
    let words = ROUTE.replace(' ', "\0");
    let cookie = [b"lobechat_remember=", &*sealing::remember("default", &words, value, issued)].concat();
    let request = PlainRequest::default().header("Cookie", cookie);
    // Blanks around a cookie's value are not part of it, and a semicolon ends it.
    let read = model::cookie(&request, "lobechat_remember");
    let is_whole = read.starts_with(format!("canary.{issued}.").as_bytes())
        && value == format!("canary.{issued}").as_bytes();
    for now in [NOW, issued].into_iter().flat_map(around) {
        let request = request.clone().at(now);
        let holds = is_whole && holds(issued, now, 7 * DAY);
        let expected = if holds { Reason::Remembered(0) } else { Reason::Anonymous };
        assert_eq!(decided::check(policy, &request).reason, expected, "at {now}");
    }
}

/// The times at which a cookie may begin or end to hold.
fn around(second: u64) -> Vec<u64> {
    let after = |days: u64| second.saturating_add(days * DAY);
    let [day_before, before] = [DAY + 1, DAY].map(|age| second.saturating_sub(age));
    vec![second, day_before, before, after(7) - 1, after(7), after(30) - 1, after(30)]
}

fn holds(issued: u64, now: u64, life: u64) -> bool {
    let (issued, now) = (i128::from(issued), i128::from(now));
    issued - now <= i128::from(DAY) && now - issued < i128::from(life)
}

/// One text wherever a token may be.
fn token(fixed: &Fixed, token: &[u8]) {
    let cookies = [&b"token="[..], b"; ", BETTER_AUTH.as_bytes(), b"=", b"; ", AUTHJS.as_bytes(), b"="];
    let cookies: Vec<&[u8]> =
        cookies.into_iter().flat_map(|part| [part, if part.ends_with(b"=") { token } else { b"" }]).collect();
    let request = PlainRequest::default()
        .header("Authorization", [b"Bearer ", token].concat())
        .header("Cookie", cookies.concat());
    unsigned(fixed, &request);
}

const HS256: &[u8] = br#"{"alg":"HS256"}"#;
const A256GCM: &[u8] = br#"{"alg":"dir","enc":"A256GCM"}"#;

fn bearer(token: &str) -> PlainRequest {
    PlainRequest::default().header("Authorization", format!("bearer {token}"))
}

fn session_cookie(name: &str, value: &str) -> PlainRequest {
    PlainRequest::default().header("Cookie", format!("{name}={value}"))
}

/// What the identities of a policy say of a request.
fn identify<'r>(policy: &Policy, request: &'r PlainRequest) -> (Option<&'r Claims>, Option<Outcome>) {
    let decision = decide(policy, &policy.declared, request).expect("enough memory");
    (decided::claims(request, &decision), decided::sender(&decision).identity)
}

/// The claims that the policies name, as texts.
fn shown(policy: &Policy, claims: &Claims) -> Vec<String> {
    let text = |slot| String::from_utf8(claims.get(slot).parts().concat()).expect("claims are text");
    policy.claim_variables.iter().map(|(_, slot)| text(*slot)).collect()
}

/// A request with one token, which is signed properly: its content decides.
fn signed(pair: &Pair, request: &PlainRequest, expected: &Expected) {
    for now in [NOW].into_iter().chain(expected.times()) {
        let request = request.clone().at(now);
        let (claims, outcome) = consistent(pair, &request);
        let failure = outcome.expect("a token").failure;
        let Some(expected) = expected.at(now) else {
            assert!(
                claims.is_some()
                    || matches!(failure, Some(Failure::Expired | Failure::NotYet | Failure::Claims))
            );
            continue;
        };
        assert_eq!(failure, expected.as_ref().err().copied(), "at {now}");
        assert_eq!(claims.is_some(), expected.is_ok());
        let (Some(claims), Ok(expected)) = (claims, expected) else {
            continue;
        };
        let texts: Vec<String> = expected.iter().map(|elements| elements.join(",")).collect();
        assert_eq!(shown(&pair.quick, claims), texts);
        assert_eq!(texts.len(), PATHS.len());
        let decision = decided::check(&pair.quick, &request);
        let user = &decided::sender(&decision).user;
        assert_eq!(user.id, texts[0].as_bytes());
        assert_eq!(user.keep, !texts[0].is_empty());
        let is_tester = expected[1].iter().any(|role| role == "tester");
        assert_eq!(decision.reason == Reason::Route(0), is_tester, "{:?}", expected[1]);
    }
}

/// A request that nothing is known of: only recorded tokens give claims.
fn unsigned(fixed: &Fixed, request: &PlainRequest) {
    let request = request.clone().at(NOW);
    let Recordings { valid, good, .. } = &fixed.recordings;
    for pair in &fixed.policies {
        let candidates = pair.asks.iter().flat_map(|kind| candidates(*kind, &request));
        let candidates: Vec<(Kind, Option<String>, Vec<u8>)> = candidates.collect();
        let is_valid = |token: &[u8]| valid.iter().any(|valid| valid.as_bytes() == token.trim_ascii());
        let good = candidates.iter().find_map(|(kind, cookie, token)| {
            let is = |good: &&recordings::Good| {
                good.kind == *kind
                    && good.token.as_bytes() == token
                    && (good.cookie.is_none() || good.cookie == *cookie)
            };
            good.iter().find(is)
        });
        let first = candidates.iter().find(|(_, _, token)| is_valid(token));

        let (claims, _) = consistent(pair, &request);
        assert!(claims.is_none() || first.is_some(), "claims without a signature");
        assert!(claims.is_some() || good.is_none(), "a good token gives no claims");
        if let (Some(claims), Some(good), Some((.., token))) = (claims, good, first)
            && good.token.as_bytes() == token
        {
            assert_eq!(shown(&pair.quick, claims)[0], good.sub);
        }
        let decision = decided::check(&pair.quick, &request);
        if claims.is_none() {
            let visitor = model::cookie(&request, "lobechat_visitor");
            let visitor = model::visitor(&visitor).map_or(vec![], |(id, _)| id.to_vec());
            assert_eq!(decided::sender(&decision).user.id, visitor, "an id that nobody has sealed");
            assert!(matches!(decision.reason, Reason::Split | Reason::Anonymous));
        }
    }
}

/// Where an identity looks for a token, with the cookie's name.
fn candidates(kind: Kind, request: &PlainRequest) -> Vec<(Kind, Option<String>, Vec<u8>)> {
    let whole_or_chunks = |name: &str| {
        let first = model::cookie(request, &format!("{name}.0"));
        match model::cookie(request, name) {
            whole if whole.is_empty() && !first.is_empty() => {
                (0..16).flat_map(|number| model::cookie(request, &format!("{name}.{number}"))).collect()
            }
            whole => whole,
        }
    };
    let sessions = |name: &str| {
        let names = [format!("__Secure-{name}"), name.to_owned()];
        names.map(|name| (kind, Some(name.clone()), whole_or_chunks(&name))).to_vec()
    };
    match kind {
        Kind::BetterAuth => sessions(BETTER_AUTH),
        Kind::AuthJs => sessions(AUTHJS),
        Kind::Keys | Kind::Secret => {
            let line = request.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(b"authorization"));
            let bearer = line.and_then(|(_, value)| {
                let (head, token) = value.split_at_checked(7)?;
                head.eq_ignore_ascii_case(b"bearer ").then(|| token.to_vec())
            });
            let others = [
                model::cookie(request, "token"),
                model::argument(request, "token"),
                request.variables[3].clone(),
            ];
            bearer.into_iter().chain(others).map(|token| (kind, None, token)).collect()
        }
    }
}

/// What verified is remembered, but never better than it was; what is made of a request stays in proportion to it.
fn consistent<'r>(pair: &Pair, request: &'r PlainRequest) -> (Option<&'r Claims>, Option<Outcome>) {
    let first = identify(&pair.quick, request);
    assert_eq!(identify(&pair.quick, request), first, "the second look");
    assert_eq!(identify(&pair.slow, request), first, "without a cache");
    let (claims, outcome) = &first;
    assert_eq!(claims.is_some(), outcome.is_some_and(|outcome| outcome.failure.is_none()));
    let (sent, made) = request.sizes();
    assert!(made <= 12 * sent, "{made} bytes made of {sent} in three decisions");
    decided::check(&pair.slow, request);
    first
}
