//! Changes through the API: what they do to traffic in every worker, what is refused, and whether they are kept.

use std::collections::BTreeMap;

use black_box::api::{self, release, weights};
use black_box::{Config, Nginx, Request, wait_for};
use serde_json::{Value, json as value};

const CHAT: &str = "v1/policies/chat";
const POLICY: &str =
    "lobechat_canary chat { release stable a version=1.0.0; release canary b version=1.1.0 weight=10%;
    release other c version=1.2.0 weight=5%; user cookie:uid; salt lobe; }";
const FILE: &str = "lobechat_canary_zone lobechat_canary:1m state=@DIR@/state/state.json;";

fn config(zone: &str, policy: &str) -> Config {
    Config::new()
        .releases(&["a", "b", "c"])
        .directory("state")
        .http(zone)
        .server(&format!("{policy} location / {{ proxy_pass http://lobechat_canary; }}"))
        .server(&api::location("write"))
}

fn start(policy: &str) -> Nginx {
    config("lobechat_canary_zone lobechat_canary:1m state=off;", policy).start()
}

/// Who is served by what, over connections of their own, so that all workers answer.
fn served(nginx: &Nginx) -> BTreeMap<usize, String> {
    let ask = |user| nginx.fetch(Request::get("/").cookie(format!("uid=user_{user}"))).text();
    (0..120).map(|user| (user, ask(user))).collect()
}

#[test]
fn weights_move_users_of_stable_only_and_at_once_in_every_worker() {
    let nginx = config(FILE, POLICY).workers(4).user("www-data").start();
    let mut before = served(&nginx);
    for (weight, source, target) in
        [("25%", "a", "b"), ("60.5%", "a", "b"), ("95%", "a", "b"), ("30%", "b", "a"), ("0%", "b", "a")]
    {
        let policy = nginx.api_ok("PATCH", CHAT, &weights("canary", weight));
        assert_eq!(release(&policy, "canary")["weight"], weight);
        assert_eq!(policy["persisted"], true);
        // One request to each worker of some users that moved must not see the old weight again.
        let after = served(&nginx);
        for (user, upstream) in &after {
            let was = &before[user];
            assert!(
                upstream == was || (was, &**upstream) == (&source.to_owned(), target),
                "{user}: {was} to {upstream} at {weight}"
            );
        }
        assert_ne!(after, before, "{weight}");
        for _ in 0..2 {
            assert_eq!(served(&nginx), after, "{weight}");
        }
        before = after;
    }
    assert!(!before.values().any(|upstream| upstream == "b"));
    let full = nginx.api_ok("PATCH", CHAT, r#"{"weights":{"canary":"100%","other":"0%"}}"#);
    assert_eq!(release(&full, "stable")["weight"], "0%");
    assert!(served(&nginx).values().all(|upstream| upstream == "b"));
}

#[test]
fn epochs() {
    let nginx = start(POLICY);
    let epoch = nginx.policy("chat")["epoch"].as_u64().unwrap();
    let with =
        |epoch: u64, weight: &str| format!(r#"{{"weights":{{"canary":"{weight}"}},"if_epoch":{epoch}}}"#);
    assert_eq!(nginx.api_ok("PATCH", CHAT, &with(epoch, "11%"))["epoch"], epoch + 1);
    for old in [epoch, epoch + 2, 0, u64::MAX] {
        let sentence = nginx.api_refused("PATCH", CHAT, &with(old, "50%"), 409);
        assert!(sentence.contains(&format!("the epoch is {} by now", epoch + 1)), "{sentence}");
    }
    assert_eq!(release(&nginx.policy("chat"), "canary")["weight"], "11%");
    // What changes nothing is no change.
    assert_eq!(nginx.api_ok("PATCH", CHAT, &with(epoch + 1, "11%"))["epoch"], epoch + 1);
    for wrong in ["-1", "1.5", "\"1\"", "99999999999999999999"] {
        let body = format!(r#"{{"weights":{{"canary":"50%"}},"if_epoch":{wrong}}}"#);
        assert!(nginx.api_refused("PATCH", CHAT, &body, 400).contains("if_epoch"), "{wrong}");
    }
}

#[test]
fn refused_bodies_say_what_to_write() {
    let nginx = start(POLICY);
    let before = nginx.policy("chat");
    for (body, status, fragment) in [
        (r#"{"weights":{"canary":25}}"#, 400, "\"25%\""),
        (r#"{"weights":{"canary":"25"}}"#, 400, "\"25%\""),
        (r#"{"weights":{"canary":0.25}}"#, 400, "\"25%\" or \"0.25%\""),
        (r#"{"weights":{"canary":"0.255%"}}"#, 400, "0.01%"),
        (r#"{"weights":{"canary":"101%"}}"#, 400, "between 0% and 100%"),
        (r#"{"weights":{"canary":"-1%"}}"#, 400, "invalid percentage"),
        (r#"{"weights":{"canary":null}}"#, 400, "invalid percentage"),
        (r#"{"weights":{"nobody":"1%"}}"#, 404, "stable, canary, other"),
        (r#"{"weights":{"stable":"1%"}}"#, 409, "is the stable release"),
        (r#"{"weights":{"canary":"96%"}}"#, 409, "100%"),
        // All or none: the first of the two would do.
        (r#"{"weights":{"canary":"20%","nobody":"1%"}}"#, 404, "nobody"),
        (r#"{"weights":{}}"#, 400, "names no release"),
        (r#"{"weight":{"canary":"1%"}}"#, 400, "did you mean \"weights\"?"),
        (r#"{"weights":{"canary":"1%"},"more":1}"#, 400, "\"more\""),
        (r#"{"weights":{"canary":"1%","canary":"2%"}}"#, 400, "weights"),
        (r#"{"weights":["canary"]}"#, 400, "no object"),
        ("[]", 400, "if_epoch"),
        ("", 400, "empty"),
    ] {
        let sentence = nginx.api_refused("PATCH", CHAT, body, status);
        assert!(sentence.contains(fragment), "{body}: {sentence}");
    }
    assert_eq!(nginx.policy("chat"), before);
    for (path, body, status, fragment) in [
        ("canary/state", r#"{"state":"off"}"#, 400, "\"down\""),
        ("canary/state", r#""off""#, 400, "\"down\""),
        ("canary/state", "{}", 400, "\"state\" is missing"),
        ("canary/state", "", 400, "empty"),
        ("stable/state", r#""drain""#, 409, "promote another"),
        ("nobody/state", r#""drain""#, 404, "stable, canary, other"),
    ] {
        let sentence = nginx.api_refused("PUT", &format!("{CHAT}/releases/{path}"), body, status);
        assert!(sentence.contains(fragment), "{path} {body}: {sentence}");
    }
    for (path, status) in [
        ("stable/rollback", 409),
        ("stable/reset", 409),
        ("stable/promote", 409),
        ("nobody/rollback", 404),
        ("nobody/promote", 404),
        ("CANARY/rollback", 404),
    ] {
        nginx.api_refused("POST", &format!("{CHAT}/releases/{path}"), "", status);
    }
    assert!(nginx.api_refused("POST", &format!("{CHAT}/ramp/start"), "", 409).contains("has no ramp"));
    assert_eq!(nginx.policy("chat"), before);
}

#[test]
fn states_rollback_and_reset() {
    let nginx = start(POLICY);
    let users = |upstream: &str| served(&nginx).values().filter(|served| **served == upstream).count();
    let show = |policy: &Value| {
        let canary = release(policy, "canary");
        [&canary["state"], &canary["weight"]].map(|text| text.as_str().unwrap().to_owned())
    };
    assert!(users("b") > 0);
    for (state, body) in
        [("drain", r#"{"state":"drain","reason":"tea"}"#), ("up", r#""up""#), ("down", r#""down""#)]
    {
        let policy = nginx.api_ok("PUT", &format!("{CHAT}/releases/canary/state"), body);
        assert_eq!(show(&policy), [state, "0%"]);
        assert_eq!(users("b"), 0, "{state}");
        if state != "up" {
            let sentence = nginx.api_refused("PATCH", CHAT, &weights("canary", "10%"), 409);
            assert!(sentence.contains("reset it"), "{sentence}");
        }
    }
    let reset = nginx.api_ok("POST", &format!("{CHAT}/releases/canary/reset"), "");
    assert_eq!(show(&reset), ["up", "0%"]);
    nginx.api_ok("PATCH", CHAT, &weights("canary", "30%"));
    assert!(users("b") > 10);
    let policy =
        nginx.api_ok("POST", &format!("{CHAT}/releases/canary/rollback"), r#"{"reason":"blank pages"}"#);
    assert_eq!(show(&policy), ["down", "0%"]);
    let verdict = &release(&policy, "canary")["verdict"];
    assert_eq!(
        (&verdict["by"], &verdict["reason"]),
        (&"127.0.0.1".into(), &"blank pages".into()),
        "{verdict}"
    );
    assert_eq!(users("b"), 0);
    assert_eq!(
        api::value(&nginx.metrics(), r#"rollbacks_total{policy="chat",release="canary",version="1.1.0"}"#),
        1.0
    );
    let reset = nginx.api_ok("POST", &format!("{CHAT}/releases/canary/reset"), "{}");
    assert_eq!(release(&reset, "canary")["verdict"], value!(null));
    assert!(nginx.error_log().contains("blank pages"));
}

#[test]
fn promotion_changes_what_the_names_stand_for() {
    let nginx = start(POLICY);
    let before = served(&nginx);
    let policy = nginx.api_ok("POST", &format!("{CHAT}/releases/canary/promote"), "");
    let now =
        |name: &str| (release(&policy, name)["upstream"].clone(), release(&policy, name)["state"].clone());
    assert_eq!(now("stable"), ("b".into(), "up".into()));
    assert_eq!(now("canary"), ("a".into(), "drain".into()));
    let lines = policy["commit"].as_array().unwrap_or_else(|| panic!("{policy}"));
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0], "release stable b version=1.1.0;");
    assert!(
        lines[1].as_str().unwrap().contains("release canary a version=1.0.0")
            && lines[1].as_str().unwrap().contains("drain"),
        "{policy}"
    );
    // The users of the other release stay; all others are on the new stable one.
    for (user, upstream) in served(&nginx) {
        assert_eq!(upstream, if before[&user] == "c" { "c" } else { "b" }, "{user}");
    }
}

#[test]
fn ramps_start_and_pause() {
    let nginx = start(
        "lobechat_canary chat { release stable a version=1.0.0; release canary b version=1.1.0; user cookie:uid; salt lobe;
 ramp canary 20% 1h 50%; }",
    );
    let show = |policy: &Value| {
        let canary = release(policy, "canary");
        [&canary["ramp"]["state"], &canary["weight"]].map(|text| text.as_str().unwrap().to_owned())
    };
    assert_eq!(show(&nginx.policy("chat")), ["paused", "0%"]);
    assert!(served(&nginx).values().all(|upstream| upstream == "a"));
    let started = nginx.api_ok("POST", &format!("{CHAT}/ramp/start"), "");
    assert_eq!(show(&started), ["running", "20%"]);
    let ramp = &release(&started, "canary")["ramp"];
    assert_eq!(
        ramp["steps"],
        value!([{"weight": "20%", "seconds": 3600}, {"weight": "50%", "seconds": null}]),
        "{ramp}"
    );
    assert!(served(&nginx).values().any(|upstream| upstream == "b"));
    // Twice is once.
    assert_eq!(nginx.api_ok("POST", &format!("{CHAT}/ramp/start"), "{}")["epoch"], started["epoch"]);
    let paused = nginx.api_ok("POST", &format!("{CHAT}/ramp/pause"), r#"{"release":"canary"}"#);
    assert_eq!(show(&paused), ["paused", "20%"]);
    nginx.api_ok("POST", &format!("{CHAT}/ramp/start"), "");
    assert_eq!(show(&nginx.api_ok("PATCH", CHAT, &weights("canary", "30%"))), ["paused", "30%"]);
    nginx.api_refused("POST", &format!("{CHAT}/ramp/start"), r#"{"release":"nobody"}"#, 404);
    nginx.api_refused("POST", &format!("{CHAT}/ramp/start"), r#"{"release":"stable"}"#, 409);
    nginx.api_refused("POST", &format!("{CHAT}/ramp/start"), r#"{"release":7}"#, 400);
}

#[test]
fn whether_it_is_kept() {
    let kept = config(FILE, POLICY).user("www-data").start();
    let policy = kept.api_ok("PATCH", CHAT, &weights("canary", "12%"));
    assert_eq!(policy["persisted"], true);
    // The answer says so once it is so.
    let state: Value = serde_json::from_str(&kept.file("state/state.json")).unwrap();
    assert!(state.to_string().contains("\"12%\""), "{state}");
    let forgotten = start(POLICY);
    assert_eq!(forgotten.api_ok("PATCH", CHAT, &weights("canary", "12%"))["persisted"], value!(null));
    let mut nowhere = config(&FILE.replace("state/", "nowhere/"), POLICY).start();
    let policy = nowhere.api_ok("PATCH", CHAT, &weights("canary", "12%"));
    assert_eq!((&policy["persisted"], &release(&policy, "canary")["weight"]), (&false.into(), &"12%".into()));
    nowhere.wait_log("nowhere");
    // It is there as soon as there is room.
    std::fs::create_dir(nowhere.dir().join("nowhere")).unwrap();
    wait_for("the state file", || (nowhere.policy("chat")["persisted"] == true).then_some(()));
    nowhere.reload(&config(&FILE.replace("state/", "nowhere/"), POLICY));
    assert_eq!(release(&nowhere.policy("chat"), "canary")["weight"], "12%");
}
