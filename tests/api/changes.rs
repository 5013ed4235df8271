//! What can be changed, and what the answers say then.

use lobechat_canary::api::view::Evidence;
use lobechat_canary::api::{Call, changed, handle};
use lobechat_canary::control::{Control, Pace};
use lobechat_canary::events::{Event, Kind};
use serde_json::{Value, json};

use crate::runtime::{Kept, Memory, NOW, call, policy, refusal};

const PATCH: &str = "v1/policies/chat";
const CANARY: &str = "v1/policies/chat/releases/canary";

/// The policy that a change answers with.
fn change(memory: &mut Memory, method: &str, path: &str, body: &str) -> Value {
    let answer = memory.call(method, path, body);
    let text = String::from_utf8_lossy(&answer.body);
    assert_eq!((answer.status, answer.content_type), (200, "application/json"), "{path}: {text}");
    let shown = serde_json::from_str(&text).unwrap();
    assert_eq!(memory.get(PATCH), shown, "the answer is what can be read after it");
    shown
}

fn last(memory: &Memory) -> &Event {
    memory.events.last().unwrap()
}

#[test]
fn weights() {
    let mut memory = Memory::chat();
    let body = r#"{"weights":{"canary":"25%","next":"0.5%"},"if_epoch":1}"#;
    let chat = change(&mut memory, "PATCH", PATCH, body);
    assert_eq!((&chat["epoch"], &chat["write"]), (&json!(2), &json!(true)));
    let weights: Vec<&Value> = (0..3).map(|index| &chat["releases"][index]["weight"]).collect();
    assert_eq!(weights, ["74.5%", "25%", "0.5%"]);
    assert_eq!(chat["releases"][1]["file_weight"], "10%");
    assert_eq!(chat["releases"][1]["range"], json!({"from": "0%", "to": "25%"}));
    assert_eq!(memory.events.len(), 2);
    assert_eq!((last(&memory).kind, &*last(&memory).by, last(&memory).at), (Kind::Weight, "alice", NOW));

    let refused = [
        (body, 409, "the epoch is 2 by now, not 1"),
        (r#"{"weights":{"canary":"90%","next":"20%"}}"#, 409, "100%"),
        (r#"{"weights":{"stable":"10%"}}"#, 409, "\"stable\" is the stable release"),
        (r#"{"weights":{"canary":"1%","nope":"1%"}}"#, 404, "policy \"chat\" has stable, canary, next"),
    ];
    for (body, status, hint) in refused {
        let before = memory.policies[0].control.clone();
        let detail = refusal(&memory.call("PATCH", PATCH, body), status);
        assert!(detail.contains(hint), "{body}: {detail}");
        assert!(memory.policies[0].control == before && memory.events.len() == 2, "all or none: {body}");
    }
}

#[test]
fn the_cord_can_be_pulled_by_whom_it_may() {
    for (body, reason) in [
        ("", None),
        ("{}", None),
        ("[1]", None),
        (r#"{"reason":"blank pages"}"#, Some("blank pages")),
        (
            r#"{"status":"firing","commonAnnotations":{"summary":"5xx above 2%"},"alerts":[]}"#,
            Some("5xx above 2%"),
        ),
        (r#"{"action":"triggered","data":{"event":{"title":"TypeError"}}}"#, Some("TypeError")),
    ] {
        let mut memory = Memory::chat();
        let chat = change(&mut memory, "POST", &format!("{CANARY}/rollback"), body);
        let canary = &chat["releases"][1];
        assert_eq!((&canary["state"], &canary["weight"]), (&json!("down"), &json!("0%")));
        assert_eq!((&canary["watched_by"], &canary["range"]), (&json!("nothing"), &json!(null)));
        let verdict = &canary["verdict"];
        assert_eq!((&verdict["by"], &verdict["at"]), (&json!("alice"), &json!("2026-11-24T13:00:00Z")));
        assert_eq!(verdict["reason"], reason.unwrap_or("rolled back by hand"), "{body}");
        assert_eq!((last(&memory).kind, last(&memory).reason.as_deref()), (Kind::Rollback, reason));
        let detail = refusal(&memory.call("PATCH", PATCH, r#"{"weights":{"canary":"1%"}}"#), 409);
        assert!(detail.contains("is down: reset it"), "{detail}");
    }
    let mut memory = Memory::chat();
    let detail = refusal(&memory.call("POST", "v1/policies/chat/releases/stable/rollback", ""), 409);
    assert!(detail.contains("promote another"), "{detail}");
    refusal(&memory.call("POST", "v1/policies/chat/releases/nope/rollback", ""), 404);
}

#[test]
fn down_and_up_again() {
    let mut memory = Memory::chat();
    for (body, state) in [
        (r#"{"state":"drain","reason":"lunch"}"#, "drain"),
        (r#""down""#, "down"),
        (r#" "up" "#, "up"),
        (r#"{"state":"down"}"#, "down"),
    ] {
        let chat = change(&mut memory, "PUT", &format!("{CANARY}/state"), body);
        assert_eq!(
            (&chat["releases"][1]["state"], &chat["releases"][1]["weight"]),
            (&json!(state), &json!("0%"))
        );
    }
    assert_eq!(memory.events[0].reason.as_deref(), Some("lunch"));
    let chat = change(&mut memory, "POST", &format!("{CANARY}/reset"), r#"{"reason":"fixed"}"#);
    assert_eq!((&chat["epoch"], &chat["releases"][1]["state"]), (&json!(6), &json!("up")));
    assert_eq!((last(&memory).kind, last(&memory).reason.as_deref()), (Kind::Reset, Some("fixed")));
}

#[test]
fn what_the_file_holds_stays() {
    let text = "release stable a version=1.0.0\nrelease canary b version=1.1.0 drain";
    let mut memory = Memory::chat();
    memory.policies = vec![Kept::new(policy("chat", text))];
    let canary = memory.get(PATCH)["releases"][1].clone();
    assert_eq!((&canary["state"], &canary["held_by_file"]), (&json!("drain"), &json!(true)));
    for (method, path, body) in [("PUT", "state", r#""up""#), ("POST", "reset", "")] {
        let detail = refusal(&memory.call(method, &format!("{CANARY}/{path}"), body), 409);
        assert!(detail.contains("remove \"drain\" from its release line"), "{detail}");
    }
}

const RAMPED: &str = "\
release stable lobe_a version=2.1.25
release canary lobe_b version=2.1.26
user header:x-id
rollback on ttfb=3x fail=5xx action=report
ramp canary 1% 10m 5% 30m 50%";

#[test]
fn ramps() {
    let mut memory = Memory::chat();
    memory.policies = vec![Kept::new(policy("chat", RAMPED))];
    let chat = memory.get(PATCH);
    let rollback = json!({
        "action": "report", "confidence": "99.9%", "threshold": 1000.0, "burst": 5, "ttfb": 3.0, "fail": ["5xx"]
    });
    assert_eq!(chat["rollback"], rollback);
    let steps = json!([
        {"weight": "1%", "seconds": 600}, {"weight": "5%", "seconds": 1800}, {"weight": "50%", "seconds": null}
    ]);
    let ramp = json!({
        "state": "paused", "steps": steps, "step": 0, "since": null, "remaining_seconds": null, "requests": 0,
        "min_requests": 50, "waits_for": null
    });
    assert_eq!(chat["releases"][1]["ramp"], ramp);
    assert_eq!(chat["releases"][1]["watched_by"], "burst");
    assert!(chat["releases"][1]["watched_why"].as_str().unwrap().contains("routed users alone"));
    assert_eq!(
        (&chat["releases"][0]["ramp"], &chat["releases"][0]["watched_by"]),
        (&json!(null), &json!("nothing"))
    );

    let chat = change(&mut memory, "POST", "v1/policies/chat/ramp/start", "");
    let canary = &chat["releases"][1];
    assert_eq!((&canary["weight"], &canary["watched_by"]), (&json!("1%"), &json!("judge")));
    assert_eq!(canary["watched_why"], json!(null));
    for (member, value) in [
        ("state", json!("running")),
        ("since", json!("2026-11-24T13:00:00Z")),
        ("remaining_seconds", json!(600)),
        ("waits_for", json!("50 more requests")),
    ] {
        assert_eq!(canary["ramp"][member], value, "{member}");
    }

    memory.policies[0].judged[1] = 49;
    let ramp = memory.get(PATCH)["releases"][1]["ramp"].clone();
    assert_eq!((&ramp["requests"], &ramp["waits_for"]), (&json!(49), &json!("1 more request")));
    memory.policies[0].judged[1] = 50;
    let waits = |memory: &mut Memory| memory.get(PATCH)["releases"][1]["ramp"]["waits_for"].clone();
    assert_eq!(waits(&mut memory), json!(null));
    memory.policies[0].evidence[1] =
        Some(Evidence { total: 10.0, fail: 10.0, p50: 1.0, p90: 1.0, threshold: 1000.0, blocks: 9 });
    assert_eq!(waits(&mut memory), "evidence below 10");

    let chat = change(&mut memory, "POST", "v1/policies/chat/ramp/pause", r#"{"release":"canary"}"#);
    assert_eq!(chat["releases"][1]["ramp"]["state"], "paused");
    assert_eq!(chat["releases"][1]["ramp"]["remaining_seconds"], json!(null));
    change(&mut memory, "POST", "v1/policies/chat/ramp/start", "");
    let chat = change(&mut memory, "PATCH", PATCH, r#"{"weights":{"canary":"100%"}}"#);
    let canary = &chat["releases"][1];
    assert_eq!((&canary["ramp"]["state"], &canary["watched_by"]), (&json!("paused"), &json!("burst")));
    assert!(canary["watched_why"].as_str().unwrap().contains("no users to compare"), "{canary}");
    memory.policies[0].control.generations[1].ramp.as_mut().unwrap().pace = Pace::Done;
    assert_eq!(memory.get(PATCH)["releases"][1]["ramp"]["state"], "done");
}

#[test]
fn which_ramp() {
    let start = |text: &str, body: &str| {
        let mut memory = Memory::chat();
        memory.policies = vec![Kept::new(policy("chat", text))];
        memory.call("POST", "v1/policies/chat/ramp/start", body)
    };
    let none = "release stable a version=1.0.0\nrelease canary b version=1.1.0";
    let two = "release stable a version=1.0.0\nrelease canary b version=1.1.0\nrelease next c version=1.2.0\n\
               user header:x-id\nramp canary 1% 10m 5%\nramp next 1% 10m 5%";
    assert!(refusal(&start(none, ""), 409).contains("has no ramp: write"));
    assert!(refusal(&start(two, ""), 400).contains("say which ramp"));
    assert!(refusal(&start(two, r#"{"release":"stable"}"#), 409).contains("stable"));
    assert_eq!(start(two, r#"{"release":"next"}"#).status, 200);
    refusal(&start(two, r#"{"release":"nope"}"#), 404);
}

#[test]
fn a_promotion_shows_what_to_commit() {
    let mut memory = Memory::chat();
    let text = "release stable lobe_a version=2.1.25\nrelease canary lobe_b version=2.1.26 weight=10% from=top\nuser header:x-id";
    memory.policies = vec![Kept::new(policy("chat", text))];
    let chat = change(&mut memory, "POST", &format!("{CANARY}/promote"), r#"{"reason":"fine"}"#);
    let lines =
        ["release stable lobe_b version=2.1.26;", "release canary lobe_a version=2.1.25 from=top drain;"];
    assert_eq!(chat["commit"], json!(lines));
    let releases = chat["releases"].as_array().unwrap();
    let list = |member: &str| releases.iter().map(|release| release[member].clone()).collect::<Vec<_>>();
    assert_eq!(list("name"), ["stable", "canary"]);
    assert_eq!(list("version"), ["2.1.26", "2.1.25"]);
    assert_eq!(list("state"), ["up", "drain"]);
    assert_eq!(list("weight"), ["100%", "0%"]);
    assert_eq!((last(&memory).kind, last(&memory).reason.as_deref()), (Kind::Promote, Some("fine")));

    // The file says it, too: nobody moves, and there is nothing left to commit.
    let committed = lines.map(|line| line.trim_end_matches(';').to_owned()).join("\n") + "\nuser header:x-id";
    let committed = policy("chat", &committed);
    let control = Control::reload(&committed, Some(&memory.policies[0].control), NOW).control;
    memory.policies = vec![Kept { control, ..Kept::new(committed) }];
    let after = memory.get(PATCH);
    assert_eq!(after["commit"], json!(null));
    for (before, after) in releases.iter().zip(after["releases"].as_array().unwrap()) {
        for member in ["name", "generation", "state", "weight"] {
            assert_eq!(before[member], after[member], "{member}");
        }
    }
}

#[test]
fn an_answer_waits_for_the_state_file() {
    let body = r#"{"weights":{"canary":"25%"}}"#;
    for (persisted, waits) in [(Some(false), true), (Some(true), false), (None, false)] {
        let mut memory = Memory::chat();
        memory.policies[0].persisted = persisted;
        let answer = memory.call("PATCH", PATCH, body);
        let shown: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(shown["persisted"], json!(persisted));
        assert_eq!(answer.wait_for.is_some(), waits);
        if let Some(wait) = answer.wait_for {
            assert_eq!((&*wait.policy, wait.epoch), ("chat", 2));
            // Somebody else's change, which is not on disk yet, may have come since.
            for is_persisted in [false, true] {
                let later: Value =
                    serde_json::from_slice(&changed(&wait, is_persisted, &memory).body).unwrap();
                assert_eq!((&later["persisted"], &later["write"]), (&json!(is_persisted), &json!(true)));
            }
        }
    }
}

#[test]
fn the_audit_says_who() {
    let mut memory = Memory::chat();
    // An alert that says again what has been done changes nothing.
    for (action, by) in
        [("rollback", "127.0.0.1"), ("rollback", "alert"), ("reset", "unix:"), ("rollback", "bob")]
    {
        handle(&Call { by, ..call("POST", &format!("{CANARY}/{action}"), b"") }, &mut memory);
    }
    let events = memory.get("v1/events");
    let by: Vec<&Value> = events["events"].as_array().unwrap().iter().map(|event| &event["by"]).collect();
    assert_eq!(by, ["127.0.0.1", "unix:", "bob"]);
    assert_eq!((&events["last"], &events["events"][0]["kind"]), (&json!(3), &json!("rollback")));
}
