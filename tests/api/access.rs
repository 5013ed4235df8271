//! Who may change what, and what browsers may do.

use lobechat_canary::api::{Access, Call, handle};

use crate::runtime::{Memory, call, refusal};

/// Every way to change something: method, path, body.
pub const CHANGES: [(&str, &str, &str); 7] = [
    ("PATCH", "v1/policies/chat", r#"{"weights":{"canary":"25%"}}"#),
    ("POST", "v1/policies/chat/releases/canary/rollback", ""),
    ("POST", "v1/policies/chat/releases/canary/promote", ""),
    ("POST", "v1/policies/chat/releases/canary/reset", ""),
    ("PUT", "v1/policies/chat/releases/canary/state", r#""down""#),
    ("POST", "v1/policies/chat/ramp/start", ""),
    ("POST", "v1/policies/chat/ramp/pause", ""),
];

/// The refusal of a change that must not have happened.
fn refused(case: &Call<'_>, status: u16) -> String {
    let mut memory = Memory::chat();
    let before = memory.policies[0].control.clone();
    let answer = handle(case, &mut memory);
    assert!(memory.policies[0].control == before && memory.events.is_empty(), "{case:?}");
    refusal(&answer, status)
}

#[test]
fn only_whom_the_directive_lets() {
    for (method, path, body) in CHANGES {
        let base = call(method, path, body.as_bytes());
        for (access, local, forwarded, hint) in [
            (Access::ReadOnly, true, false, "read-only: write \"lobechat_canary_api write;\""),
            (Access::Local, false, false, "from this machine only: ask from there"),
            (Access::Local, false, true, "from this machine only: ask from there"),
            (Access::Local, true, true, "has come through a proxy"),
        ] {
            let detail = refused(&Call { access, local, forwarded, ..base }, 403);
            assert!(detail.contains(hint), "{detail}");
        }
    }
}

#[test]
fn browsers_only_from_pages_of_ours() {
    for (method, path, body) in CHANGES {
        let base = call(method, path, body.as_bytes());
        for (sec_fetch_site, origin, host) in [
            (Some("cross-site"), None, Some("nginx.example")),
            (Some("same-site"), None, Some("nginx.example")),
            (Some("cross-site"), Some("https://nginx.example"), Some("nginx.example")),
            (Some("same-origin"), Some("https://evil.example"), Some("nginx.example")),
            (None, Some("https://evil.example"), Some("nginx.example")),
            (None, Some("null"), Some("nginx.example")),
            (None, Some("https://nginx.example:8443"), Some("nginx.example")),
            (None, Some("https://nginx.example"), None),
        ] {
            let detail = refused(&Call { sec_fetch_site, origin, host, ..base }, 403);
            assert!(detail.contains("a page of the same origin"), "{detail}");
        }
    }
}

#[test]
fn nothing_changes_by_reading() {
    for (_, path, _) in CHANGES.iter().filter(|(method, ..)| *method != "PATCH") {
        for method in ["GET", "HEAD", "DELETE", "OPTIONS", "get"] {
            let mut memory = Memory::chat();
            let answer = handle(&call(method, path, b""), &mut memory);
            assert_eq!(answer.status, 405, "{method} {path}");
            let allow = if path.ends_with("/state") { "PUT" } else { "POST" };
            assert!(answer.headers.contains(&("Allow", allow)), "{:?}", answer.headers);
        }
    }
    let mut memory = Memory::chat();
    for (path, allow) in [
        ("", "GET, HEAD"),
        ("metrics", "GET, HEAD"),
        ("v1/policies", "GET, HEAD"),
        ("v1/policies/chat", "GET, HEAD, PATCH"),
        ("v1/policies/chat/explain", "GET, HEAD"),
        ("v1/events", "GET, HEAD"),
    ] {
        let answer = memory.call("POST", path, "");
        let detail = refusal(&answer, 405);
        assert!(answer.headers.contains(&("Allow", allow)) && detail.contains("GET or HEAD"), "{detail}");
    }
}

#[test]
fn answers_say_whether_one_may_write() {
    for (access, local, forwarded, write) in [
        (Access::ReadOnly, true, false, false),
        (Access::Local, true, false, true),
        (Access::Local, false, false, false),
        (Access::Local, true, true, false),
        (Access::Any, false, true, true),
    ] {
        for path in ["v1/policies", "v1/policies/chat"] {
            let call = Call { access, local, forwarded, ..call("GET", path, b"") };
            let answer = handle(&call, &mut Memory::chat());
            let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(body["write"], write, "{access:?} {local} {forwarded}");
        }
    }
}
