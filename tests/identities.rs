//! Identities against third-party vectors, against tokens and sessions that other libraries made, and against whoever
//! changes one byte of them; tests/vectors/README.md has the origins.

#![cfg(not(feature = "module"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // the helpers of tests are tests too

#[allow(dead_code)] // each test file uses a part of it
#[path = "../fuzz/src/lib.rs"]
mod checks;

#[path = "identities/cookies.rs"]
mod cookies;
#[path = "identities/published.rs"]
mod published;
#[path = "identities/recorded.rs"]
mod recorded;
#[path = "identities/tampered.rs"]
mod tampered;

use checks::stand_ins::{PlainRequest, Server, policy_on};
use lobechat_canary::config::ConfigError;
use lobechat_canary::decision::decide;
use lobechat_canary::policy::Policy;
use serde_json::Value;

fn read_lines(name: &str) -> Vec<Value> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A policy with these lines, whose key files and environment variables hold these texts.
fn policy(keys: &[(&str, &str)], lines: &str) -> Result<Policy, ConfigError> {
    let keys = keys.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect();
    let mut server = Server { keys, ..Server::default() };
    let text = format!("release stable a\nrelease canary b weight=10%\n{lines}");
    policy_on(&mut server, "default", &text)
}

/// What the identities make of a request: the claims asked for, each as one text, or why the last token is refused;
/// `None` for no token.
fn identify(policy: &Policy, request: &PlainRequest) -> Option<Result<Vec<String>, &'static str>> {
    let decision = decide(policy, &policy.declared, request).unwrap();
    let outcome = decision.sender?.identity?;
    let claims = request.last_claims().filter(|_| outcome.failure.is_none());
    Some(match (outcome.failure, claims) {
        (None, Some(claims)) => {
            let text = |slot| String::from_utf8(claims.get(slot).parts().concat()).unwrap();
            Ok(policy.claim_variables.iter().map(|(_, slot)| text(*slot)).collect())
        }
        (Some(failure), None) => {
            assert_eq!(request.take_refused().last(), Some(&(outcome.kind, failure)));
            Err(failure.name())
        }
        other => panic!("{other:?}"),
    })
}

fn bearer(token: &str) -> PlainRequest {
    PlainRequest::default().header("Authorization", format!("Bearer {token}"))
}

/// A claim of a recorded payload, as a variable shows it.
fn shown(value: &Value) -> String {
    let element = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match value {
        Value::Null => String::new(),
        Value::Array(elements) => {
            elements.iter().filter(|e| !e.is_null()).map(element).collect::<Vec<_>>().join(",")
        }
        other => element(other),
    }
}

/// A claim's name as a path.
fn path(name: &str) -> String {
    name.replace('.', r"\.")
}
