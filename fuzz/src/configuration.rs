//! The configuration side: any text as the directives of a policy. What is refused comes with a sentence;
//! what is accepted lays out its releases exactly and can decide.

use std::collections::HashSet;

use lobechat_canary::config::{ConfigError, Place};
use lobechat_canary::control::Control;
use lobechat_canary::percent::Percent;
use lobechat_canary::policy::{Policy, PolicyBuilder};
use lobechat_canary::zone::policy_slot;

use super::decided;
use super::layout::{paint, release_of_cell, weights};
use super::stand_ins::{PlainRequest, Server, words};

/// A directive a line; a first line `lobechat_canary NAME` names the policy. Refused lines are passed over, so
/// that one mistake does not hide what follows it.
pub fn check(text: &[u8]) {
    let lines: Vec<Vec<&[u8]>> = text.split(|&b| b == b'\n').map(words).collect();
    let (name, lines) = match lines.split_first() {
        Some((first, rest)) if first.first() == Some(&&b"lobechat_canary"[..]) && first.len() == 2 => {
            (first[1], rest)
        }
        _ => (&b"default"[..], &lines[..]),
    };
    let mut server = Server { keys: keys(), ..Server::default() };
    let mut builder = match PolicyBuilder::new(name, place(0)) {
        Ok(builder) => builder,
        Err(message) => return check_error(&message.into(), 0),
    };
    for (number, words) in lines.iter().enumerate() {
        match builder.directive(words, &place(number + 1), &mut server) {
            Err(message) => check_error(&message.into(), lines.len()),
            Ok(()) => check_repeated(&mut builder, words, number + 1, &mut server),
        }
    }
    match builder.finish(&mut server) {
        Err(error) => check_error(&error, lines.len()),
        Ok(policy) => check_policy(&policy),
    }
}

/// Some that can be used, and some that cannot.
fn keys() -> Vec<(String, Vec<u8>)> {
    let key = |name: &str, text: &str| (name.to_owned(), text.as_bytes().to_vec());
    vec![
        key("secret", "0123456789abcdef0123456789abcdef0123456789abcdef\n"),
        key("short", "0123456789abcdef"),
        key("empty", ""),
        key(
            "jwks",
            r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#,
        ),
        key("no-keys", r#"{"keys":[{"kty":"oct","k":"c2hvcnQ"}]}"#),
    ]
}

fn place(line: usize) -> Place {
    Place { file: "policy".to_owned(), line }
}

/// Only `route` and `identity` may stand twice with the same words.
fn check_repeated(builder: &mut PolicyBuilder, words: &[&[u8]], line: usize, server: &mut Server) {
    let once: [&[u8]; 10] = [
        b"fallback",
        b"rollback",
        b"ramp",
        b"release",
        b"user",
        b"salt",
        b"hash",
        b"claim",
        b"cookie_key",
        b"expose",
    ];
    if words.first().is_some_and(|directive| once.contains(directive)) {
        let error = builder.directive(words, &place(line), server).expect_err("a second time");
        assert!(error.contains("duplicate"), "{error}");
    }
}

fn check_error(error: &ConfigError, lines: usize) {
    assert!(error.message.len() > 10, "{:?} is no sentence", error.message);
    if let Some(place) = &error.place {
        assert!(place.file == "policy" && place.line <= lines, "{place:?} of {lines} lines");
    }
}

fn check_policy(policy: &Policy) {
    let names: HashSet<&str> = policy.releases.iter().map(|release| release.name.as_str()).collect();
    assert_eq!(names.len(), policy.releases.len(), "a name stands twice");
    assert_eq!((policy.releases[0].weight, policy.releases[0].from), (Percent::ZERO, None));
    for release in &policy.releases {
        assert_eq!(Percent::parse(&release.weight.to_string()), Ok(release.weight));
        assert!(release.version.as_deref().is_none_or(|version| semver::Version::parse(version).is_ok()));
    }
    let cells = paint(&weights(&policy.releases)).expect("ranges that overlap");
    for (cell, release) in cells.into_iter().enumerate() {
        assert_eq!(release_of_cell(policy, cell), release, "basis point {cell}");
    }
    check_control(policy);
    for text in REQUESTS {
        decided::check(policy, &PlainRequest::parse(text));
    }
}

/// What a file puts in force is what it declares; read again, it changes nothing; and it fits its place in the zone.
fn check_control(policy: &Policy) {
    let control = Control::reload(policy, None, 1).control;
    let in_force = control.in_force(policy);
    let has_ramps = !policy.ramps.is_empty();
    for position in (0..10_000).step_by(97) {
        let declared = policy.declared.split.release_at(position);
        assert!(has_ramps || in_force.split.release_at(position) == declared, "position {position}");
    }
    let text = control.to_bytes(policy_slot::LONGEST).expect("a control that fits");
    let stored = Control::from_bytes(&text).expect("a control that can be read");
    let again = Control::reload(policy, Some(&stored), 2);
    assert_eq!((again.control.epoch, again.moved), (control.epoch, Percent::ZERO));
}

const REQUESTS: [&[u8]; 5] = [
    b"",
    b"Cookie: uid=7; release_channel=canary; role=\nX-User-Tier: premium\n?v=2&uid=8\n$remote_addr=203.0.113.9",
    b"cookie: lobechat_visitor=00112233445566778899aabbccddeeff.20780\nX-User-Tier: a\nx-user-tier: b\n$geoip2_country=NZ",
    b"Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.e30.AA\nCookie: token=x.y.z; better-auth.session_data.0=e30; authjs.session-token=a..b.c.d; lobechat_keep=AAAA; lobechat_remember=canary.1.AAAA",
    b"Cookie: uid=\xff\xfe; release_channel=stable\ncookie: uid=9;role=tester\n?uid=%00\n$http_user_agent=\x00",
];
