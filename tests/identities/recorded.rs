//! Tokens by jose and pyjwt, sessions by better-auth and Auth.js: each gives the claims or the reason recorded.

use lobechat_canary::policy::Policy;
use serde_json::Value;

use crate::checks::stand_ins::PlainRequest;
use crate::{bearer, identify, path, policy, read_lines, shown};

/// Some time after the recording, before what it made expires.
const NOW: u64 = 1_900_000_000;

/// `claim` lines for the members of a recorded payload, and what they must show.
fn claims_of(line: &Value) -> (String, Vec<String>) {
    let none = serde_json::Map::new();
    let claims = line["claims"].as_object().unwrap_or(&none);
    let claims = || claims.iter().filter(|(name, _)| !name.is_empty());
    let lines = claims().enumerate().map(|(n, (name, _))| format!("claim $c{n} \"{}\"\n", path(name)));
    (lines.collect(), claims().map(|(_, value)| shown(value)).collect())
}

/// Numbers and objects are shown as they were written, which a parsed recording has lost.
fn same(found: &str, recorded: &str) -> bool {
    let parsed = |text: &str| serde_json::from_str::<Value>(text).ok();
    let number = |text: &str| text.parse::<f64>().ok();
    found == recorded
        || (parsed(found).is_some() && parsed(found) == parsed(recorded))
        || (number(found).is_some() && number(found) == number(recorded))
}

fn check(id: &Value, policy: &Policy, request: &PlainRequest, expect: &str, shown: &[String]) {
    // The second time it comes from the cache.
    for _ in 0..2 {
        match (identify(policy, request), expect) {
            (Some(Ok(found)), "valid") => {
                for (found, recorded) in found.iter().zip(shown) {
                    assert!(same(found, recorded), "{id}: {found} instead of {recorded}");
                }
            }
            (Some(Err(reason)), expect) if reason == expect => {}
            // Without its beginning there is no session.
            (None, "malformed") if id.as_str().unwrap().ends_with("/first-chunk-missing") => {}
            (found, _) => panic!("{id}: {found:?} instead of {expect}"),
        }
    }
}

#[test]
fn tokens() {
    let lines = read_lines("tokens/recording.jsonl");
    assert!(lines.len() > 400);
    for line in lines {
        let (expect, id) = (line["expect"].as_str().unwrap(), &line["id"]);
        let (kind, text) = match line["keys"].as_str() {
            Some(text) => ("keys", text),
            None => ("secret", line["secret"].as_str().unwrap()),
        };
        let (claims, shown) = claims_of(&line);
        let parameters = line["parameters"].as_str().unwrap();
        let lines = format!("identity jwt {kind}=file {parameters}\n{claims}user claim:sub");
        match policy(&[("file", text)], &lines) {
            Ok(policy) => {
                let request = bearer(line["token"].as_str().unwrap()).at(line["now"].as_u64().unwrap_or(NOW));
                check(id, &policy, &request, expect, &shown);
            }
            Err(error) => assert_eq!(expect, "no_keys", "{id}: {}", error.message),
        }
    }
}

#[test]
fn sessions() {
    let lines = read_lines("sessions/recording.jsonl");
    assert!(lines.len() > 150);
    for line in lines {
        let text = |name: &str| line[name].as_str().unwrap();
        let (claims, shown) = claims_of(&line);
        let lines = format!(
            "identity {} secret=file cookie={}\n{claims}user claim:sub",
            text("identity"),
            text("cookie")
        );
        let policy = policy(&[("file", text("secret"))], &lines).unwrap();
        let cookies: Vec<String> = line["cookies"]
            .as_array()
            .unwrap()
            .iter()
            .map(|pair| format!("{}={}", pair[0].as_str().unwrap(), pair[1].as_str().unwrap()))
            .collect();
        let request = PlainRequest::default()
            .header("Cookie", format!("theme=dark; {}; lang=en", cookies.join("; ")))
            .at(line["now"].as_u64().unwrap());
        check(&line["id"], &policy, &request, text("expect"), &shown);
    }
}

/// One token, wherever it is found, is verified once: with the first look its key is gone, and the second still knows it.
#[test]
fn remembered_by_its_text() {
    let line =
        read_lines("tokens/recording.jsonl").into_iter().find(|l| l["id"] == "jose/ES256/valid").unwrap();
    let (keys, token) = (line["keys"].as_str().unwrap(), line["token"].as_str().unwrap());
    let policy =
        policy(&[("file", keys)], "identity jwt keys=file from=cookie:token from=header:authorization")
            .unwrap();
    let by_cookie = PlainRequest::default().header("Cookie", format!("token={token}")).at(NOW);
    for _ in 0..3 {
        for request in [&by_cookie, &bearer(token).at(NOW)] {
            assert!(identify(&policy, request).unwrap().is_ok());
        }
    }
    assert_eq!(format!("{:?}", policy.identities).matches("Cache(1 of 1024)").count(), 1, "{policy:?}");
    assert!(!format!("{policy:?}").contains(token));
}
