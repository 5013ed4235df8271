//! What belongs to one page stays with the build that served it; and what anybody can write opens nothing.

#![cfg(not(feature = "module"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // the helpers of tests are tests too

#[allow(dead_code)] // other tests use the rest of it
#[path = "../fuzz/src/lib.rs"]
mod checks;

#[path = "pages/at_once.rs"]
mod at_once;

use lobechat_canary::control::State;
use lobechat_canary::decision::{Decision, Reason, STABLE, decide};
use lobechat_canary::in_force::InForce;
use lobechat_canary::pin::{Belongs, Part, Pinned};
use lobechat_canary::policy::Policy;
use proptest::prelude::*;
use proptest::sample::select;

use crate::checks::stand_ins::{PlainRequest, policy_named};

const NOW: u64 = 1_795_525_200;
const CANARY: usize = 1;
const BETA: usize = 2;
const LEGACY: usize = 3;

/// Of the releases behind stable, one with a weight, one for testers, one that is down.
fn policy() -> Policy {
    let text = "release stable a version=1.0.0
        release canary b version=1.1.0 weight=10%
        release beta c version=2.0.0-rc.1 deployment=beta_7
        release legacy d version=0.9.0 down
        pin on by=header:x-build follow=/login
        user cookie:uid
        route beta if cookie:tester remember=7d";
    policy_named("default", text).unwrap()
}

fn pin_cookie(policy: &Policy, line: usize, is_dealt: bool) -> String {
    let text = policy.pin.as_ref().unwrap().cookie.line(line, is_dealt, NOW, false).unwrap();
    text.split(';').next().unwrap().to_owned()
}

fn with_state(policy: &Policy, release: usize, state: State) -> InForce {
    let mut in_force = policy.declared.clone();
    in_force.roles[release].state = state;
    in_force
}

/// What a script of a page asks for.
fn script(path: &str, cookie: &str) -> PlainRequest {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let request = PlainRequest::default().path(path).query(query).at(NOW).header("Cookie", cookie);
    request.header("Sec-Fetch-Mode", "cors").header("Sec-Fetch-Dest", "empty")
}

fn navigation(path: &str, cookie: &str) -> PlainRequest {
    let request = PlainRequest::default().path(path).at(NOW).header("Cookie", cookie);
    request.header("Sec-Fetch-Mode", "navigate").header("Sec-Fetch-Dest", "document")
}

fn decided<'r>(policy: &Policy, request: &'r PlainRequest) -> Decision<'r> {
    decide(policy, &policy.declared, request).unwrap()
}

/// The release and the reason.
fn served(policy: &Policy, request: &PlainRequest) -> (usize, Reason) {
    let decision = decided(policy, request);
    (decision.release, decision.reason)
}

#[test]
fn a_navigation_is_decided_afresh() {
    let policy = policy();
    let pin = pin_cookie(&policy, CANARY, true);
    for (request, part, expected) in [
        (navigation("/chat", &pin), Part::Navigation, (STABLE, Reason::Anonymous)),
        (navigation("/login/callback?dpl=1-1-0", &pin), Part::Return, (CANARY, Reason::Pin)),
        (navigation("/_next/static/a.js", &pin), Part::Asset, (CANARY, Reason::Pin)),
        (script("/chat", &pin), Part::Follower, (CANARY, Reason::Pin)),
        (navigation("/chat", &pin).header("Sec-Purpose", "prefetch"), Part::Follower, (CANARY, Reason::Pin)),
    ] {
        let decision = decided(&policy, &request);
        assert_eq!(decision.page.part, part, "{request:?}");
        assert_eq!((decision.release, decision.reason), expected, "{request:?}");
    }
}

#[test]
fn a_genuine_pin_holds_at_any_weight_until_its_release_is_down() {
    let policy = policy();
    let request = script("/trpc/x", &pin_cookie(&policy, BETA, false));
    for (state, release) in [(State::Up, BETA), (State::Drain, BETA), (State::Down, STABLE)] {
        let in_force = with_state(&policy, BETA, state);
        let decision = decide(&policy, &in_force, &request).unwrap();
        assert_eq!(decision.release, release, "{state:?}");
        assert_eq!(decision.page.belongs.is_skew(decision.line), state == State::Down);
    }
    // Public files stay.
    let in_force = with_state(&policy, BETA, State::Down);
    let request = script("/_next/static/a.js", &pin_cookie(&policy, BETA, false));
    assert_eq!(decide(&policy, &in_force, &request).unwrap().release, BETA);
}

#[test]
fn the_name_of_a_deployment_wins_over_the_cookie() {
    let policy = policy();
    let pin = pin_cookie(&policy, CANARY, true);
    for (request, release) in [
        (script("/x?dpl=1-0-0", &pin), STABLE),
        (script("/x?dpl=1.0.0", &pin), STABLE),
        (script("/x?a=1&dpl=stable", &pin), STABLE),
        (script("/x", &pin).header("X-Deployment-Id", "1-0-0"), STABLE),
        (script("/x?dpl=1-1-0", &pin).header("X-Build", "1.0.0"), STABLE),
        (script("/x?dpl=1-0-0", &pin).header("x-deployment-id", "1-1-0"), STABLE),
        (script("/x?dpl=", &pin), CANARY),
        // Nobody's, and one that is not open to all: the next in line speaks.
        (script("/x?dpl=7", &pin), CANARY),
        (script("/x?dpl=beta_7", &pin), CANARY),
        (script("/x?dpl=beta_7", "tester=1"), BETA),
        (script("/_next/static/a.js?dpl=beta_7", &pin), BETA),
        (script("/_next/static/a.js?dpl=0-9-0", &pin), LEGACY),
    ] {
        assert_eq!(served(&policy, &request), (release, Reason::Pin), "{request:?}");
    }
}

/// After a promotion a release's name means another build; deployments and versions mean what they meant.
#[test]
fn names_follow_roles_and_deployments_do_not() {
    let policy = policy();
    let mut in_force = policy.declared.clone();
    (in_force.roles[STABLE].line, in_force.roles[CANARY].line) = (CANARY, STABLE);
    in_force.roles[CANARY].state = State::Drain;
    for (request, line) in [
        (script("/x?dpl=1-1-0", ""), CANARY),
        (script("/x?dpl=stable", ""), CANARY),
        (script("/x", &pin_cookie(&policy, CANARY, true)), CANARY),
        (script("/x", &pin_cookie(&policy, STABLE, true)), STABLE),
        (script("/_next/static/a.js?dpl=1-0-0", ""), STABLE),
    ] {
        let decision = decide(&policy, &in_force, &request).unwrap();
        assert_eq!((decision.line, decision.reason), (line, Reason::Pin), "{request:?}");
        assert_eq!(in_force.line_of(decision.release), line);
    }
}

#[test]
fn skew_is_seen() {
    let policy = policy();
    let unknown =
        format!("lobechat_release=00{}", &pin_cookie(&policy, CANARY, true)["lobechat_release=00".len()..]);
    for (request, belongs, is_skew) in [
        (script("/x", ""), Belongs::Nowhere, false),
        (script("/x", &pin_cookie(&policy, CANARY, true)), Belongs::To(CANARY), false),
        (script("/x", &pin_cookie(&policy, LEGACY, true)), Belongs::To(LEGACY), true),
        (script("/x", &unknown), Belongs::Elsewhere, true),
        (script("/x?dpl=7", ""), Belongs::Elsewhere, true),
        (script("/x?dpl=7", &pin_cookie(&policy, CANARY, true)), Belongs::To(CANARY), false),
        (script("/x?dpl=beta_7", &pin_cookie(&policy, CANARY, true)), Belongs::To(BETA), true),
        (navigation("/x", &unknown), Belongs::Nowhere, false),
    ] {
        let decision = decided(&policy, &request);
        assert_eq!(decision.page.belongs, belongs, "{request:?}");
        assert_eq!(decision.page.belongs.is_skew(decision.line), is_skew, "{request:?}");
    }
}

/// Judged are users whose page the split chose, on both sides; not files, not what belongs to another page.
#[test]
fn who_is_judged() {
    let policy = policy();
    let (dealt, other) = (pin_cookie(&policy, CANARY, true), pin_cookie(&policy, CANARY, false));
    for (request, is_dealt) in [
        (navigation("/", "uid=alice"), true),
        (navigation("/", ""), false),
        (navigation("/", "tester=1; uid=alice"), false),
        (script("/x", &format!("uid=alice; {dealt}")), true),
        (script("/x", &format!("uid=alice; {other}")), false),
        (script("/_next/static/a.js", &format!("uid=alice; {dealt}")), false),
        (script("/x?dpl=1-1-0", &format!("uid=alice; {dealt}")), true),
        (script("/x?dpl=1-0-0", &format!("uid=alice; {dealt}")), false),
        (script("/x?dpl=beta_7", &format!("uid=alice; {dealt}")), false),
        (script("/x?dpl=1-1-0", "uid=alice"), false),
        (script("/x", "uid=alice"), true),
    ] {
        assert_eq!(decided(&policy, &request).is_dealt(), is_dealt, "{request:?}");
    }
}

#[test]
fn paths_that_lead_out_of_the_assets_are_none() {
    let policy = policy();
    for path in [
        "/_next/static/../api",
        "/_next/static/%2e%2e/api",
        "/_next/static\\..\\api",
        "/_next/static/..%2Fapi",
    ] {
        let request = script(&format!("{path}?dpl=beta_7"), "");
        assert_eq!(served(&policy, &request), (STABLE, Reason::Anonymous), "{path}");
    }
    let request = script("/_next/static/chunks/app/%5Bvariants%5D/(main)/%40modal/page-1.js?dpl=beta_7", "");
    assert_eq!(served(&policy, &request), (BETA, Reason::Pin));
}

/// Values of everything that anybody can write: names, and cookies of ours that have been tampered with.
fn forgery() -> impl Strategy<Value = String> {
    const NAMES: [&str; 11] =
        ["beta", "2.0.0-rc.1", "beta_7", "canary", "1-1-0", "legacy", "0-9-0", "stable", "7", "", "%62eta"];
    let genuine = (0..4_usize, any::<bool>()).prop_map(|(line, is_dealt)| {
        let text = pin_cookie(&policy(), line, is_dealt);
        text["lobechat_release=".len()..].to_owned()
    });
    let tampered =
        (genuine, 0..60_usize, "[a-zA-Z0-9._-]{1,3}").prop_filter_map("as it was", |(text, at, by)| {
            let end = at.min(text.len());
            // Before the time of issue, which is not sealed.
            let changed = format!("{}{by}{}", &text[..end], text.get(end + by.len()..).unwrap_or_default());
            (changed.get(..41) != text.get(..41)).then_some(changed)
        });
    prop_oneof![select(&NAMES[..]).prop_map(str::to_owned), tampered, "[ -~]{0,60}", Just("a".repeat(9000))]
}

proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 4_000, failure_persistence: None, ..Default::default() })]

    /// Without a genuine pin, and without a route of his own, nobody gets to a release that has no weight, but to its files.
    #[test]
    fn what_anybody_can_write_opens_nothing(
        path in select(&["/", "/trpc/x", "/_next/static/a.js", "/_next/static/../x", "/_next/static/%2E./x", "/login"][..]),
        (by, dpl, header, pin) in (forgery(), forgery(), forgery(), forgery()),
        is_navigation in any::<bool>(), uid in "[a-z]{0,3}", shut in select(&[State::Up, State::Drain, State::Down][..]),
    ) {
        let policy = policy();
        let cookie = format!("uid={uid}; lobechat_release={}", pin.replace(';', ""));
        let request = if is_navigation { navigation(path, &cookie) } else { script(path, &cookie) };
        let request = request.query(format!("dpl={dpl}")).header("x-build", by).header("x-deployment-id", header);
        let in_force = with_state(&policy, BETA, shut);
        let decision = decide(&policy, &in_force, &request).unwrap();
        prop_assert!(!matches!(decision.page.cookie, Some(Pinned::Genuine { .. })), "{:?}", decision.page);
        prop_assert!(!decision.page.is_dealt);
        if ![STABLE, CANARY].contains(&decision.release) {
            prop_assert!(path == "/_next/static/a.js", "{:?}", decision);
        }
    }
}
