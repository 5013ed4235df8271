//! What `explain` says, beside what the decision does.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lobechat_canary::control::State;
use lobechat_canary::decision::decide;
use lobechat_canary::explain::{ExplainQuery, Explanation, Step, explain};
use lobechat_canary::in_force::InForce;
use lobechat_canary::policy::Policy;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

use crate::checks::stand_ins::PlainRequest;
use crate::runtime::{CHAT, Memory, NOW, policy};

pub fn explained(policy: &Policy, in_force: &InForce, request: &PlainRequest) -> Explanation {
    explain(policy, in_force, &ExplainQuery::default(), request).unwrap()
}

/// The outcomes of the steps, by their names.
fn outcomes(explanation: &Explanation) -> Vec<(&str, &str)> {
    explanation.steps.iter().map(|step| (step.step, step.outcome)).collect()
}

pub fn shut(policy: &Policy, release: usize, state: State, enrolled_since: u64) -> InForce {
    let mut in_force = policy.declared.clone();
    (in_force.roles[release].state, in_force.roles[release].enrolled_since) = (state, enrolled_since);
    in_force
}

#[test]
fn the_whole_way() {
    let mut memory = Memory::chat();
    memory.request = PlainRequest::default()
        .header(
            "Cookie",
            "release_channel=beta; lobechat_visitor_chat=00112233445566778899aabbccddeeff.20780",
        )
        .header("Authorization", "Bearer x.y.z")
        .at(NOW);
    let policy = &memory.policies[0].policy;
    let user = format!("{:016x}", policy.salt.pseudonym(b"00112233445566778899aabbccddeeff"));
    let bucket = policy.salt.bucket(b"00112233445566778899aabbccddeeff");
    let answer = memory.get("v1/policies/chat/explain");
    for (member, value) in [
        ("policy", json!("chat")),
        ("epoch", json!(1)),
        ("release", json!("stable")),
        ("version", json!("2.1.25")),
        ("upstream", json!("lobe_a")),
        ("reason", json!("split")),
        ("rule", json!(null)),
        ("skew", json!(false)),
        ("bucket", json!(bucket)),
        ("user", json!(user)),
        ("identity", json!("jwt:malformed")),
    ] {
        assert_eq!(answer[member], value, "{member}");
    }
    let steps: Vec<Step> = answer["steps"].as_array().unwrap().iter().map(step).collect();
    let expected = [
        ("identity", "jwt", "none", "the token is refused: jwt:malformed"),
        (
            "pin",
            "lobechat_release_chat",
            "no match",
            "nothing names its page, so it is decided like any request",
        ),
        ("route", "stable if cookie:release_channel = stable", "no match", "not all of its conditions hold"),
        ("route", "canary if cookie:release_channel ~* canary", "no match", "not all of its conditions hold"),
        (
            "route",
            "canary if claim:role = tester",
            "no match",
            "there is no verified identity, so every claim is missing",
        ),
        ("remember", "lobechat_remember_chat", "no match", "the request has no such cookie"),
        ("user", "user", "found", "the id is that of the cookie lobechat_visitor_chat"),
        ("split", "hash native", "no match", &format!("bucket {bucket} lies in no release's range")),
        ("stable", "stable", "matched", "it gets the users that the others leave"),
    ];
    for (step, (name, text, outcome, detail)) in steps.iter().zip(expected) {
        assert_eq!((step.step, &*step.text, step.outcome, &*step.detail), (name, text, outcome, detail));
    }
    assert_eq!(steps.len(), expected.len());
    assert!(memory.request.take_refused().is_empty(), "asking counts no failure");
}

fn step(json: &serde_json::Value) -> Step {
    let text = |member: &str| json[member].as_str().unwrap().to_owned();
    let fixed = |member: &str| &*text(member).leak();
    Step { step: fixed("step"), text: text("text"), outcome: fixed("outcome"), detail: text("detail") }
}

#[test]
fn what_is_shut_is_passed_over() {
    let policy = policy("chat", CHAT);
    let request = PlainRequest::default().header("Cookie", "release_channel=canary").at(NOW);
    let open = explained(&policy, &policy.declared, &request);
    assert_eq!((&*open.release, open.reason), ("canary", "route"));
    assert_eq!(open.rule.as_deref(), Some("canary if cookie:release_channel ~* canary"));
    let states = [(State::Drain, "it matches, but release \"canary\" is in drain"), (State::Down, "is down")];
    for (state, detail) in states {
        let answer = explained(&policy, &shut(&policy, 1, state, 0), &request);
        assert_eq!((&*answer.release, answer.reason), ("stable", "default"));
        assert_eq!(answer.steps[3].outcome, "passed over");
        assert!(answer.steps[3].detail.contains(detail), "{:?}", answer.steps[3]);
        assert_eq!(outcomes(&answer).last(), Some(&("stable", "matched")));
    }
}

#[test]
fn enrolments() {
    let text = "release stable a\nrelease canary b\nroute canary if cookie:beta remember=7d";
    let policy = policy("default", text);
    let line = {
        let keys = policy.cookie_keys.borrow();
        let remember = policy.remember.as_ref().unwrap();
        remember.line(&policy.routes[0], keys.iter().next().unwrap(), NOW - 60, false).unwrap()
    };
    let cookie = line.split(';').next().unwrap();
    let ask = |cookie: &str, in_force: &InForce| {
        let request = PlainRequest::default().header("Cookie", cookie).at(NOW);
        let answer = explained(&policy, in_force, &request);
        let step = answer.steps.iter().find(|step| step.step == "remember").unwrap().clone();
        (answer.reason, step.outcome, step.detail)
    };
    let open = &policy.declared;
    for (answer, reason, outcome, detail) in [
        (ask(cookie, open), "remembered", "matched", "route \"canary if cookie:beta\" has matched before"),
        (ask(&cookie.replace('=', "=x"), open), "anonymous", "no match", "not one of ours"),
        (ask(&format!("beta=1; {cookie}"), open), "route", "not reached", "a route has matched"),
        (ask(cookie, &shut(&policy, 1, State::Down, 0)), "default", "passed over", "\"canary\" is down"),
        (
            ask(cookie, &shut(&policy, 1, State::Up, NOW)),
            "anonymous",
            "no match",
            "before release \"canary\"",
        ),
    ] {
        assert_eq!((answer.0, answer.1), (reason, outcome), "{}", answer.2);
        assert!(answer.2.contains(detail), "{}", answer.2);
    }
}

#[test]
fn verified_claims() {
    let policy = policy("chat", CHAT);
    let signed =
        format!("{}.{}", base64(br#"{"alg":"HS256"}"#), base64(br#"{"role":"tester","exp":1795530000}"#));
    let key = PKey::hmac("0123456789abcdef".repeat(3).as_bytes()).unwrap();
    let mut signer = Signer::new(MessageDigest::sha256(), &key).unwrap();
    let code = signer.sign_oneshot_to_vec(signed.as_bytes()).unwrap();
    let token = format!("Bearer {signed}.{}", base64(&code));
    let request = PlainRequest::default().header("Authorization", token).at(NOW);
    let answer = explained(&policy, &policy.declared, &request);
    assert_eq!((&*answer.release, answer.identity.as_deref()), ("canary", Some("jwt")));
    assert_eq!(answer.steps[0].outcome, "found");
    assert!(answer.steps[4].detail.ends_with("the answer sets the cookie lobechat_remember_chat"));
    assert_eq!(answer.steps[4].outcome, "matched");
}

fn base64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[test]
fn another_address() {
    let policy = policy("chat", "release stable a\nrelease canary b\nroute canary if arg:v = 2");
    let request = PlainRequest::default().query("uri=/chat%3Fv=2").at(NOW);
    for (uri, release) in
        [(None, "stable"), (Some("/chat?v=2"), "canary"), (Some("/v=2"), "stable"), (Some("/?v=3"), "stable")]
    {
        let query = ExplainQuery { navigation: false, uri: uri.map(str::to_owned) };
        assert_eq!(explain(&policy, &policy.declared, &query, &request).unwrap().release, release, "{uri:?}");
    }
}

#[test]
fn as_a_navigation() {
    let text = "release stable a\nrelease canary b\nroute canary if header:sec-fetch-mode = navigate and header:sec-purpose = ''";
    let policy = policy("chat", text);
    let request = PlainRequest::default()
        .header("Sec-Fetch-Mode", "cors")
        .header("SEC-FETCH-DEST", "empty")
        .header("Sec-Purpose", "prefetch")
        .at(NOW);
    for (navigation, release) in [(false, "stable"), (true, "canary")] {
        let query = ExplainQuery { navigation, uri: None };
        assert_eq!(explain(&policy, &policy.declared, &query, &request).unwrap().release, release);
    }
}

fn state() -> impl Strategy<Value = State> {
    select(&[State::Up, State::Drain, State::Down][..])
}

/// A `Cookie` header of what the routes look at.
fn cookies() -> impl Strategy<Value = String> {
    let cookie = select(
        &[
            "release_channel=stable",
            "release_channel=Canary",
            "release_channel=x",
            "beta=1",
            "lobechat_visitor_chat=00112233445566778899aabbccddeeff.20780",
            "lobechat_visitor_chat=0",
            "lobechat_remember_chat=canary.1.AAAA",
        ][..],
    );
    prop::collection::vec(cookie, 0..4).prop_map(|cookies| cookies.join("; "))
}

proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 2_000, failure_persistence: None, ..Default::default() })]

    /// Whatever the request and the states are, the steps lead to what the decision says: one of them has matched, and it
    /// is the one that the reason names.
    #[test]
    fn steps_lead_to_the_decision(
        mode in select(&["native", "unleash", "split_clients"][..]), weights in (0..=60_u8, 0..=40_u8), cookies in cookies(),
        id in prop::option::of("[a-z]{1,8}"), enrolled in prop::option::of(0..20_u64),
        states in (state(), state()), since in prop::option::of(0..20_u64),
    ) {
        let text = format!("hash {mode}\n{}", CHAT.replace("=10%", &format!("={}%", weights.0)).replace("=5%", &format!("={}%", weights.1)));
        let policy = policy("chat", &text);
        let mut in_force = policy.declared.clone();
        (in_force.roles[1].state, in_force.roles[2].state) = (states.0, states.1);
        in_force.roles[1].enrolled_since = since.map_or(0, |days| NOW - days * 86_400);
        let mut cookies = cookies;
        if let Some(days) = enrolled {
            let keys = policy.cookie_keys.borrow();
            let remember = policy.remember.as_ref().unwrap();
            let line = remember.line(&policy.routes[2], keys.iter().next().unwrap(), NOW - days * 86_400 - 1, false);
            cookies = format!("{}; {cookies}", line.unwrap().split(';').next().unwrap());
        }
        let mut request = PlainRequest::default().header("Cookie", &cookies).at(NOW);
        if let Some(id) = &id {
            request = request.header("X-Id", id);
        }
        let decision = decide(&policy, &in_force, &request).unwrap();
        let answer = explained(&policy, &in_force, &request);

        prop_assert_eq!(&answer.release, &policy.releases[decision.release].name);
        prop_assert_eq!(answer.reason, decision.reason.name());
        let sender = decision.sender.as_ref().unwrap();
        prop_assert_eq!(answer.bucket, sender.bucket);
        prop_assert_eq!(answer.user.is_some(), !sender.user.id.is_empty());
        let matched: Vec<&Step> = answer.steps.iter().filter(|step| step.outcome == "matched").collect();
        let [step] = matched[..] else { panic!("{:?}", answer.steps) };
        let expected = match answer.reason {
            "route" => "route",
            "remembered" => "remember",
            "split" if decision.release != 0 => "split",
            _ => "stable",
        };
        prop_assert_eq!(step.step, expected, "{:?}", &answer.steps);
        if let Some(rule) = answer.rule.as_ref().filter(|_| expected == "route") {
            prop_assert_eq!(&step.text, rule);
        }
        let passed_over = answer.steps.iter().any(|step| step.outcome == "passed over");
        prop_assert_eq!(answer.reason == "default", passed_over && expected == "stable", "{:?}", &answer.steps);
        let reached = answer.steps.iter().position(|step| step.outcome == "matched").unwrap();
        let decides = |step: &Step| ["route", "remember", "split", "stable"].contains(&step.step);
        for step in answer.steps[reached + 1..].iter().filter(|step| decides(step)) {
            prop_assert_eq!(step.outcome, "not reached", "{:?}", &answer.steps);
        }
    }
}
