//! The remember and keep cookies: read back as written, by whoever has the key, for as long as they hold; and by
//! nothing else.

use lobechat_canary::cookie_keys::CookieKeys;
use lobechat_canary::decision::{Reason, decide};
use lobechat_canary::policy::Policy;
use proptest::prelude::*;

use crate::checks::stand_ins::PlainRequest;
use crate::policy;

const KEYS: [&str; 2] =
    ["the first key of the module's cookies\n", "another key of the module's own cookies\n"];

const LINES: &str = "identity jwt keys=jwks
    route stable if cookie:out
    route canary if claim:role = tester remember=7d
    route canary if cookie:invited remember=1d
    user claim:sub keep=30d
    cookie_key key";

const JWKS: &str = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

const DAY: u64 = 86_400;

fn policy_with(key: &str, lines: &str) -> Policy {
    policy(&[("jwks", JWKS), ("key", key)], lines).unwrap()
}

/// The cookie's name and value, as a browser sends them.
fn pair(line: &str) -> String {
    line.split(';').next().unwrap().to_owned()
}

fn remember(policy: &Policy, route: usize, now: u64) -> String {
    let keys = policy.cookie_keys.borrow();
    let remember = policy.remember.as_ref().unwrap();
    pair(&remember.line(&policy.routes[route], keys.first().unwrap(), now, false).unwrap())
}

fn keep(policy: &Policy, id: &[u8], nonce: [u8; 12], now: u64) -> Option<String> {
    let keys = policy.cookie_keys.borrow();
    let line = policy.users.keep().unwrap().line(id, keys.first().unwrap(), nonce, now, false).unwrap();
    line.as_deref().map(pair)
}

fn ask(policy: &Policy, cookie: &str, now: u64) -> (usize, Reason, Vec<u8>) {
    let request = PlainRequest::default().header("Cookie", cookie).at(now);
    let decision = decide(policy, &policy.declared, &request).unwrap();
    (decision.release, decision.reason, decision.sender.unwrap().user.id.to_vec())
}

#[test]
fn remembered_for_the_time_of_the_route() {
    let policy = policy_with(KEYS[0], LINES);
    for (route, life) in [(1, 7 * DAY), (2, DAY)] {
        let cookie = remember(&policy, route, 1_000_000);
        for (now, holds) in [
            (1_000_000, true),
            (1_000_000 + life - 1, true),
            (1_000_000 + life, false),
            (u64::MAX, false),
            // A machine whose clock is behind.
            (999_990, true),
        ] {
            let reason = if holds { Reason::Remembered(route as u32) } else { Reason::Anonymous };
            assert_eq!(ask(&policy, &cookie, now).1, reason, "route {route} at {now}");
        }
    }
}

/// A cookie is due again past half the route's time, and when another route matches.
#[test]
fn remember_cookies_are_renewed() {
    let policy = policy_with(KEYS[0], LINES);
    let due = |cookies: &str, now: u64| {
        let request = PlainRequest::default().header("Cookie", format!("invited=1; {cookies}")).at(now);
        let decision = decide(&policy, &policy.declared, &request).unwrap();
        assert_eq!(decision.reason, Reason::Route(2));
        decision.remember
    };
    assert!(due("", 1_000_000));
    let cookie = remember(&policy, 2, 1_000_000);
    assert!(!due(&cookie, 1_000_000) && !due(&cookie, 1_000_000 + DAY / 2));
    assert!(due(&cookie, 1_000_001 + DAY / 2) && due(&cookie, 1_000_000 + 2 * DAY));
    assert!(due(&remember(&policy, 1, 1_000_000), 1_000_000));
    // A route that does not remember leaves things as they are.
    let out = PlainRequest::default().header("Cookie", "out=1");
    assert!(!decide(&policy, &policy.declared, &out).unwrap().remember);
}

#[test]
fn keys_rotate() {
    let [old, new] = KEYS.map(|key| policy_with(key, LINES));
    let both = policy_with(&KEYS.concat(), LINES);
    let (cookies, others) = (
        [remember(&old, 1, 1000), keep(&old, b"alice", [1; 12], 1000).unwrap()].join("; "),
        [remember(&new, 1, 1000), keep(&new, b"alice", [1; 12], 1000).unwrap()].join("; "),
    );
    for (policy, cookies, known) in [
        (&old, &cookies, true),
        (&both, &cookies, true),
        (&both, &others, true),
        (&new, &cookies, false),
        (&old, &others, false),
    ] {
        let (_, reason, id) = ask(policy, cookies, 1000);
        assert_eq!((reason == Reason::Remembered(1), id == b"alice"), (known, known));
    }
    // What is remembered of a cookie ends with its key.
    old.load_keys(lobechat_canary::policy::KeyUser::Cookies, KEYS[1].as_bytes()).unwrap();
    assert_eq!(ask(&old, &cookies, 1000), (0, Reason::Anonymous, Vec::new()));
    assert!(
        CookieKeys::parse(b"").is_err()
            && old.load_keys(lobechat_canary::policy::KeyUser::Cookies, b"").is_err()
    );
    assert_eq!(ask(&old, &others, 1000).2, b"alice");
}

/// A cookie of one policy, route or claim proves nothing to another.
#[test]
fn bound_to_what_they_were_made_for() {
    let policy = policy_with(KEYS[0], LINES);
    let (enrolled, kept) = (remember(&policy, 1, 1000), keep(&policy, b"alice", [1; 12], 1000).unwrap());
    let lines = |from: &str, to: &str| LINES.replace(from, to);
    assert_eq!(
        ask(&policy_with(KEYS[0], &lines("cookie:out", "cookie:opt_out")), &enrolled, 1000).1,
        Reason::Remembered(1)
    );
    assert_eq!(ask(&policy_with(KEYS[0], &lines("= tester", "= qa")), &enrolled, 1000).1, Reason::Anonymous);
    assert_eq!(
        ask(&policy_with(KEYS[0], &lines("canary if claim", "stable if claim")), &enrolled, 1000).1,
        Reason::Anonymous
    );
    assert_eq!(ask(&policy_with(KEYS[0], &lines("claim:sub", "claim:email")), &kept, 1000).2, b"");
    // The one is no substitute for the other.
    let value = |cookie: &str| cookie.split_once('=').unwrap().1.to_owned();
    assert_eq!(ask(&policy, &format!("lobechat_keep={}", value(&enrolled)), 1000).2, b"");
    assert_eq!(ask(&policy, &format!("lobechat_remember={}", value(&kept)), 1000).1, Reason::Anonymous);
}

#[test]
fn ids_that_are_too_long_are_not_kept() {
    let policy = policy_with(KEYS[0], LINES);
    assert!(keep(&policy, &[b'x'; 2000], [1; 12], 1000).is_some());
    assert!(keep(&policy, &[b'x'; 4000], [1; 12], 1000).is_none());
}

proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn kept_as_they_were(id in prop::collection::vec(any::<u8>(), 1..200), nonce: [u8; 12], issued in 0..1_u64 << 40) {
        let policy = policy_with(KEYS[0], LINES);
        let cookie = keep(&policy, &id, nonce, issued).unwrap();
        prop_assert_eq!(ask(&policy, &cookie, issued + 30 * DAY - 1).2, id);
        prop_assert_eq!(ask(&policy, &cookie, issued + 30 * DAY).2, b"");
    }

    #[test]
    fn no_byte_can_be_changed(at in any::<usize>(), by in 1_u8..128, kept in any::<bool>()) {
        let policy = policy_with(KEYS[0], LINES);
        let cookie = if kept { keep(&policy, b"alice", [1; 12], 1000).unwrap() } else { remember(&policy, 1, 1000) };
        let (name, value) = cookie.split_once('=').unwrap();
        let mut bytes = value.as_bytes().to_vec();
        let at = at % bytes.len();
        bytes[at] ^= by;
        let request = PlainRequest::default().header("Cookie", [name.as_bytes(), b"=", &bytes].concat()).at(1000);
        let decision = decide(&policy, &policy.declared, &request).unwrap();
        prop_assert_eq!((decision.reason, decision.sender.unwrap().user.id), (Reason::Anonymous, &b""[..]));
    }
}
