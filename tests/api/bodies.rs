//! What bodies of changes may look like, and what is said of others.

use lobechat_canary::api::{Call, MAX_BODY, handle};

use crate::access::CHANGES;
use crate::runtime::{Memory, call, refusal};

const PATCH: (&str, &str) = ("PATCH", "v1/policies/chat");
const STATE: (&str, &str) = ("PUT", "v1/policies/chat/releases/canary/state");
const RAMP: (&str, &str) = ("POST", "v1/policies/chat/ramp/start");
const ROLLBACK: (&str, &str) = ("POST", "v1/policies/chat/releases/canary/rollback");

#[test]
fn refusals_say_what_to_write() {
    for ((method, path), body, hint) in [
        (PATCH, "", "the body is empty: write {\"weights\":{\"canary\":\"25%\"}"),
        (PATCH, "{", "no JSON: EOF while parsing"),
        (PATCH, "{\"weights\":{\"canary\":NaN}}", "no JSON"),
        (PATCH, "{'weights':{}}", "no JSON"),
        (PATCH, "{\"weights\":{\"canary\":\"1%\"}} x", "no JSON: trailing characters"),
        (PATCH, "[]", "no object"),
        (PATCH, "null", "no object"),
        (PATCH, "{\"weights\":{\"canary\":\"1%\",\"canary\":\"2%\"}}", "says something twice"),
        (PATCH, "{\"weights\":{},\"weights\":{\"canary\":\"2%\"}}", "says something twice"),
        (PATCH, "{\"weight\":{\"canary\":\"1%\"}}", "unknown member \"weight\", did you mean \"weights\"?"),
        (PATCH, "{\"weights\":{\"canary\":\"1%\"},\"ifEpoch\":7}", "did you mean \"if_epoch\"?"),
        (PATCH, "{\"canary\":\"1%\"}", "unknown member \"canary\": write {\"weights\""),
        (PATCH, "{}", "\"weights\" is missing"),
        (PATCH, "{\"weights\":null}", "\"weights\" is missing"),
        (PATCH, "{\"weights\":\"25%\"}", "\"weights\" is no object"),
        (PATCH, "{\"weights\":{}}", "names no release"),
        (PATCH, "{\"weights\":{\"canary\":25}}", "\"25\": write \"25%\" for release \"canary\""),
        (PATCH, "{\"weights\":{\"canary\":0.25}}", "write \"25%\" or \"0.25%\""),
        (PATCH, "{\"weights\":{\"canary\":\"25\"}}", "write \"25%\""),
        (PATCH, "{\"weights\":{\"canary\":1e999}}", "a number and a percent sign"),
        (PATCH, "{\"weights\":{\"canary\":-1}}", "a number and a percent sign"),
        (PATCH, "{\"weights\":{\"canary\":null}}", "a number and a percent sign"),
        (PATCH, "{\"weights\":{\"canary\":\"101%\"}}", "between 0% and 100%"),
        (PATCH, "{\"weights\":{\"canary\":\"0.001%\"}}", "smallest step is 0.01%"),
        (PATCH, "{\"weights\":{\"canary\":\"1%\"},\"if_epoch\":7.5}", "invalid if_epoch 7.5"),
        (PATCH, "{\"weights\":{\"canary\":\"1%\"},\"if_epoch\":-1}", "invalid if_epoch -1"),
        (PATCH, "{\"weights\":{\"canary\":\"1%\"},\"if_epoch\":\"7\"}", "invalid if_epoch \"7\""),
        (PATCH, "{\"weights\":{\"canary\":\"1%\"},\"if_epoch\":1e30}", "invalid if_epoch 1e30"),
        (STATE, "", "the body is empty: write {\"state\":\"up\"}"),
        (STATE, "\"Down\"", "unknown state \"Down\": write {\"state\":\"up\"}"),
        (STATE, "{\"state\":true}", "\"state\" is missing, or no text"),
        (STATE, "{\"status\":\"down\"}", "unknown member \"status\": write"),
        (STATE, "{\"states\":\"down\"}", "did you mean \"state\"?"),
        (STATE, "down", "no JSON"),
        (STATE, "7", "no object"),
        (RAMP, "{\"name\":\"canary\"}", "unknown member \"name\""),
        (RAMP, "{\"release\":7}", "\"release\" is no text"),
        (RAMP, "\"canary\"", "no object"),
        (ROLLBACK, "reason: blank", "no JSON"),
        (ROLLBACK, "{\"reason\":\"x\"", "no JSON"),
    ] {
        let mut memory = Memory::chat();
        let before = memory.policies[0].control.clone();
        let detail = refusal(&memory.call(method, path, body), 400);
        assert!(detail.contains(hint), "{body}: {detail}");
        assert!(memory.policies[0].control == before, "{body}");
    }
}

#[test]
fn hostile_bodies_end_in_a_refusal() {
    let deep = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
    let broken = [&b"\xff\xfe"[..], b"\0", &[b'"'; 1000][..], &deep.as_bytes()[1..]];
    for body in broken.into_iter().chain([deep.as_bytes(), b"\"\\ud800\""]) {
        for (method, path) in [PATCH, STATE, RAMP] {
            refusal(&handle(&call(method, path, body), &mut Memory::chat()), 400);
        }
    }
    for body in broken {
        refusal(&handle(&call(ROLLBACK.0, ROLLBACK.1, body), &mut Memory::chat()), 400);
    }
}

#[test]
fn size_and_type() {
    let long = format!("{{\"reason\":\"{}\"}}", "x".repeat(MAX_BODY));
    for (method, path, body) in CHANGES {
        let base = call(method, path, long.as_bytes());
        assert!(refusal(&handle(&base, &mut Memory::chat()), 413).contains("64 KiB"));
        if body.is_empty() {
            continue;
        }
        let base = call(method, path, body.as_bytes());
        for content_type in [None, Some(""), Some("text/plain"), Some("application/x-www-form-urlencoded")] {
            let answer = handle(&Call { content_type, ..base }, &mut Memory::chat());
            assert!(refusal(&answer, 415).contains("\"Content-Type: application/json\""));
        }
    }
}
