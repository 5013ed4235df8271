//! What is decided at once, by a path and a cookie, is decided as if all of the request had been weighed.

use lobechat_canary::cookie_keys::CookieKeys;
use lobechat_canary::decision::{Decision, STABLE, Sender, decide, decide_at_once, identify};
use lobechat_canary::in_force::InForce;
use lobechat_canary::policy::Policy;
use proptest::prelude::*;
use proptest::sample::select;

use super::{CANARY, pin_cookie, script, with_state};
use crate::State;
use crate::checks::stand_ins::{PlainRequest, policy_named};

const LINES: &str = "release stable a version=1.0.0
    release canary b version=1.1.0 weight=10%
    release beta c version=2.0.0-rc.1 deployment=beta_7
    release legacy d version=0.9.0 down
    user cookie:uid
    route beta if cookie:tester";

/// Of the same name and keys, hence with the same cookies.
fn policy(lines: &str) -> Policy {
    let policy = policy_named("default", &format!("{LINES}\n{lines}")).unwrap();
    policy.use_cookie_keys(CookieKeys::parse(&[b'k'; 32]).unwrap());
    policy
}

/// Where a route may be remembered, all of a request counts. This one never matches.
const WEIGHS_ALL: &str = "route beta if cookie:never = x remember=7d";

#[test]
fn files() {
    let (policy, weighs_all) = (policy(""), policy(WEIGHS_ALL));
    let pin = pin_cookie(&policy, CANARY, true);
    let at_once = |request: PlainRequest| {
        let decide = |policy: &Policy| {
            decide_at_once(policy, policy.pin.as_ref().unwrap(), &policy.declared, &request)
        };
        assert!(decide(&weighs_all).is_none());
        let decision = decide(&policy);
        decision.map(|decision| (decision.line, decision.page.is_dealt))
    };
    let with_wrong_tag = pin.replace(".s.", ".o.");
    for (path, cookie, expected) in [
        ("/_next/static/a.js", &*pin, true),
        ("/spa/a.js", &pin, true),
        ("/_next/static/a.js", &format!("a=b; {pin}; {with_wrong_tag}"), true),
        ("/_next/static/a.js", &format!("a=b; {with_wrong_tag}; {pin}"), true),
        ("/_next/static/a.js", &format!("{with_wrong_tag}; {pin}"), false),
        ("/_next/static/a.js", &format!("a=b;{pin}"), true),
        ("/_next/static/a.js", &format!("a=b {pin}"), false),
        ("/_next/static/a.js", &format!("x{pin}"), false),
        ("/_next/static/a.js", &with_wrong_tag, false),
        ("/_next/static/a.js", &pin[..pin.len() - 11], false),
        ("/_next/static/a.js", "", false),
        ("/_next/static/a.js?dpl=1-0-0", &pin, false),
        ("/_next/static/%61.js", &pin, false),
        ("/_next/static/\\a.js", &pin, false),
        ("/_next/static", &pin, false),
        ("/trpc/x", &pin, false),
    ] {
        assert_eq!(at_once(script(path, cookie)), expected.then_some((CANARY, true)), "{path} {cookie}");
    }
    assert_eq!(at_once(script("/spa/a.js", &pin).header("X-Deployment-Id", "1-0-0")), None);
    assert_eq!(at_once(script("/spa/a.js", "uid=a").header("cookie", &*pin)), Some((CANARY, true)));
}

/// All that a decision says, and who sent the request, asked for where that is open.
fn all(policy: &Policy, in_force: &InForce, request: &PlainRequest, decision: Decision<'_>) -> String {
    let Decision { release, line, reason, page, remember, sender } = &decision;
    let asked = identify(policy, in_force, request).unwrap();
    let Sender { user, bucket, identity } = sender.as_ref().unwrap_or(&asked);
    let is_dealt = decision.is_dealt();
    format!("{release} {line} {reason:?} {page:?} {remember} {is_dealt} {user:?} {bucket:?} {identity:?}")
}

proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 4_000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn as_by_all(
        path in select(&["/_next/static/a.js", "/spa/%5Ba", "/spa/a\\b", "/_next/static/../a", "/trpc", "/api/auth/x", "/a?b=1&dpl=1-0-0",
            "/_next/static/a.js?dpl=", "/_next/static/a.js?dpl=1-1-0", "/trpc?a=b"][..]),
        before in select(&["", "uid=a; ", "l=1;", "tester=1; ", "lobechat_release; ", "lobechat_released=x; ", "; ;  "][..]),
        name in select(&["lobechat_release=", "LOBECHAT_Release = "][..]), cut in 20..80_usize,
        behind in select(&["", ";", "; uid=b", ".x", "x; lobechat_release=other", " "][..]),
        (line, is_dealt, is_promoted, is_judged) in (0..4_usize, any::<bool>(), any::<bool>(), any::<bool>()),
        earlier in proptest::option::of(0..4_usize),
        headers in proptest::collection::vec(select(&[
            ("x-deployment-id", "1-1-0"), ("X-Deployment-ID", ""), ("x-build", "stable"), ("Sec-Purpose", "prefetch"),
        ][..]), 0..2),
        shut in select(&[State::Up, State::Drain, State::Down][..]), by in select(&["pin on", "pin on by=header:x-build"][..]),
    ) {
        let judged = if is_judged { "rollback on" } else { "" };
        let quick = policy(&format!("{by}\n{judged}"));
        let weighs_all = policy(&format!("{by}\n{judged}\n{WEIGHS_ALL}"));
        let pin = pin_cookie(&quick, line, is_dealt);
        let value = pin.strip_prefix("lobechat_release=").unwrap();
        // Of two genuine ones.
        let earlier = earlier.map_or_else(String::new, |line| pin_cookie(&quick, line, !is_dealt) + "; ");
        let request = script(path, &format!("{earlier}{before}{name}{}{behind}", &value[..value.len().min(cut)]));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(name, *value));
        let mut in_force = with_state(&quick, line, if line == STABLE { State::Up } else { shut });
        if is_promoted {
            (in_force.roles[STABLE].line, in_force.roles[CANARY].line) = (CANARY, STABLE);
        }
        let decision = decide(&quick, &in_force, &request).unwrap();
        prop_assert!(!is_judged || !decision.is_dealt() || decision.sender.is_some(), "nobody to judge by");
        let of_all = decide(&weighs_all, &in_force, &request).unwrap();
        prop_assert_eq!(all(&quick, &in_force, &request, decision), all(&weighs_all, &in_force, &request, of_all));
    }
}
