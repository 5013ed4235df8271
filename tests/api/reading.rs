//! What can be read.

use lobechat_canary::api::{Access, Call, handle};
use lobechat_canary::control::{State, Verdict};
use lobechat_canary::events::{Event, Kind};
use serde_json::json;

use crate::runtime::{CHAT, Kept, Memory, NOW, call, policy, refusal};

#[test]
fn a_policy() {
    let mut memory = Memory::chat();
    let chat = memory.get("v1/policies/chat");
    assert_eq!(memory.get("v1/policies")["policies"][0], chat);
    assert_eq!(memory.get("v1/policies/chat/"), chat, "a slash at the end");
    for (member, value) in [
        ("name", json!("chat")),
        ("epoch", json!(1)),
        ("persisted", json!(true)),
        ("write", json!(true)),
        ("hash", json!("native")),
        ("salt", json!("chat-2.1.26")),
        ("fallback", json!(["stable"])),
        ("commit", json!(null)),
    ] {
        assert_eq!(chat[member], value, "{member}");
    }
    let releases = chat["releases"].as_array().unwrap();
    let list = |member: &str| releases.iter().map(|release| release[member].clone()).collect::<Vec<_>>();
    assert_eq!(list("name"), ["stable", "canary", "next"]);
    assert_eq!(list("stable"), [json!(true), json!(false), json!(false)]);
    assert_eq!(list("weight"), ["85%", "10%", "5%"]);
    assert_eq!(list("file_weight"), ["85%", "10%", "5%"]);
    assert_eq!(
        list("range"),
        [json!(null), json!({"from": "0%", "to": "10%"}), json!({"from": "95%", "to": "100%"})]
    );
    assert_eq!(list("version"), [json!("2.1.25"), json!("2.1.26"), json!(null)]);
    let canary = &releases[1];
    for (member, value) in [
        ("upstream", json!("lobe_b")),
        ("generation", json!(memory.policies[0].control.generations[1].generation.to_string())),
        ("state", json!("up")),
        (
            "requests",
            json!({"route": 1, "pin": 2, "remembered": 3, "split": 4, "anonymous": 5, "default": 6}),
        ),
        ("responses", json!({"1xx": 0, "2xx": 17, "3xx": 1, "4xx": 2, "5xx": 1, "000": 0})),
        ("fallbacks_from", json!(12)),
        ("fallbacks_to", json!(0)),
        ("skew", json!(3)),
        ("ttfb", json!({"count": 20, "sum": 61.234, "p50": 0.008, "p90": 0.0365, "p99": 55.109})),
        (
            "evidence",
            json!({"total": 1.25, "fail": 1.5, "p50": 1.0, "p90": 1.0, "threshold": 2000.0, "blocks": 12}),
        ),
        ("verdict", json!(null)),
    ] {
        assert_eq!(canary[member], value, "{member}");
    }
    assert_eq!(canary["attempts"]["no_live"], 0);
    assert_eq!(canary["attempts"]["aborted"], 2);
    assert_eq!((&releases[0]["evidence"], &releases[0]["ttfb"]["p50"]), (&json!(null), &json!(null)));
}

#[test]
fn a_verdict() {
    let mut memory = Memory::chat();
    let standing = &mut memory.policies[0].control.generations[1];
    standing.state = State::Down;
    let verdict = Verdict {
        at: NOW,
        by: "judge".to_owned(),
        reason: "it fails".to_owned(),
        evidence: Some(f64::INFINITY),
    };
    standing.verdict = Some(verdict);
    let canary = memory.get("v1/policies/chat")["releases"][1].clone();
    assert_eq!(canary["state"], "down");
    let verdict = &canary["verdict"];
    assert_eq!((&verdict["at"], &verdict["by"]), (&json!("2026-11-24T13:00:00Z"), &json!("judge")));
    assert_eq!(verdict["evidence"].as_f64(), Some(f64::MAX), "JSON has no infinity");
}

#[test]
fn events_come_after_a_number() {
    let mut memory = Memory::chat();
    let event =
        |seq| Event { seq, at: NOW, policy: "chat".to_owned(), kind: Kind::Weight, ..Event::default() };
    assert_eq!(memory.get("v1/events"), json!({"events": [], "last": 0}));
    memory.events = (1..=3).map(event).collect();
    let events = memory.get("v1/events?after=1");
    assert_eq!((&events["last"], events["events"].as_array().unwrap().len()), (&json!(3), 2));
    assert_eq!(events["events"][0]["seq"], 2);
    assert_eq!(events["events"][0]["at"], "2026-11-24T13:00:00Z");
    assert_eq!(memory.get("v1/events?after=3"), json!({"events": [], "last": 3}));
    assert!(refusal(&memory.call("GET", "v1/events?after=x", ""), 400).contains("invalid after \"x\""));
}

#[test]
fn whatever_is_not_there() {
    let mut memory = Memory::chat();
    memory.policies.push(Kept::new(policy("other", CHAT)));
    for (method, path, hint) in [
        ("GET", "v1/policies/nope", "the configuration has chat, other"),
        ("GET", "v1/policies/nope/explain", "the configuration has chat, other"),
        ("PATCH", "v1/policies/nope", "the configuration has chat, other"),
        ("GET", "v1/policies/ch%61t", "unknown policy"),
        ("GET", "v1/policies//", "there is no"),
        ("GET", "v1/policies//explain/x", "there is no"),
        ("GET", "v2/policies", "there is no \"v2/policies\" here: there are metrics"),
        ("GET", "v1", "there is no"),
        ("GET", "metrics//", "there is no"),
        ("GET", "index.html", "there is no"),
        ("GET", "../style.css", "there is no"),
        ("POST", "v1/policies/chat/releases/canary", "there is no"),
        ("POST", "v1/policies/chat/releases/canary/rollback/now", "there is no"),
        ("POST", "v1/policies/chat/ramp", "there is no"),
    ] {
        let body = if method == "PATCH" { r#"{"weights":{"canary":"1%"}}"# } else { "" };
        let detail = refusal(&memory.call(method, path, body), 404);
        assert!(detail.contains(hint), "{path}: {detail}");
    }
}

#[test]
fn head_is_get_without_the_body() {
    let mut memory = Memory::chat();
    for path in ["", "script.js", "metrics", "v1/policies", "v1/policies/chat/explain", "v1/nope"] {
        let get = memory.call("GET", path, "");
        let head = memory.call("HEAD", path, "");
        assert!(head.body.is_empty() && head.content_length == get.body.len(), "{path}");
        assert_eq!((head.status, head.headers), (get.status, get.headers), "{path}");
    }
}

#[test]
fn every_answer_is_of_this_moment() {
    let mut memory = Memory::chat();
    for path in ["", "style.css", "script.js", "metrics", "v1/policies", "v1/events", "nope"] {
        let answer = memory.call("GET", path, "");
        for header in [("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")] {
            assert!(answer.headers.contains(&header), "{path}: {header:?}");
        }
        assert!(answer.headers.contains(&("Referrer-Policy", "no-referrer")));
    }
}

/// Every file is served, and what files name is there.
#[test]
fn the_dashboard_is_complete_and_keeps_to_itself() {
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/dashboard")).unwrap();
    let mut scripts = 0;
    for file in files.map(Result::unwrap) {
        let name = file.file_name().into_string().unwrap();
        let (path, content_type) = match name.rsplit_once('.').unwrap() {
            ("index", "html") => ("", "text/html; charset=utf-8"),
            (_, "css") => (&*name, "text/css; charset=utf-8"),
            (_, "js") => (&*name, "text/javascript; charset=utf-8"),
            _ => panic!("{name}"),
        };
        let call = Call { access: Access::ReadOnly, local: false, ..call("GET", path, b"") };
        let answer = handle(&call, &mut Memory::chat());
        assert_eq!((answer.status, answer.content_type), (200, content_type), "{name}");
        assert_eq!(answer.body, std::fs::read(file.path()).unwrap(), "{name}");
        let policy = answer.headers.iter().find(|(name, _)| *name == "Content-Security-Policy").unwrap().1;
        assert_eq!(
            policy,
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        scripts += usize::from(name.ends_with(".js"));
    }
    assert!(scripts > 0);
}
