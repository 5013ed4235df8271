//! Wycheproof's JSON Web Signatures and the examples of the RFCs: the verifier alone, as payloads are no claims.

use lobechat_canary::algorithm::Algorithms;
use lobechat_canary::jwk::KeySet;
use lobechat_canary::jws;
use serde_json::Value;

use crate::{bearer, identify, policy, read_lines};

fn verifies(line: &Value) -> bool {
    let token = line["token"].as_str().unwrap().as_bytes();
    KeySet::parse(line["key"].to_string().as_bytes())
        .is_ok_and(|keys| jws::verify(token, &keys, Algorithms::ALL).is_ok())
}

#[test]
fn wycheproof() {
    let lines = read_lines("wycheproof_jws.jsonl");
    assert_eq!(lines.len(), 462);
    let valid = lines.iter().filter(|line| line["expect"] == "valid").count();
    assert_eq!(valid, 51);
    for line in lines {
        assert_eq!(verifies(&line), line["expect"] == "valid", "{} {}", line["id"], line["why"]);
    }
}

#[test]
fn rfc_examples() {
    let lines = read_lines("rfc_examples.jsonl");
    assert_eq!(lines.len(), 15);
    for line in lines {
        let expected = line["strict_check"].as_str().unwrap().starts_with("verifies");
        assert_eq!(verifies(&line), expected, "{}", line["id"]);
    }
}

/// RFC 7519 section 3.1: all is well with it, but that it expired in 2011.
#[test]
fn the_first_example_of_all() {
    let line = read_lines("rfc_examples.jsonl").swap_remove(0);
    let keys = [("jwks", line["key"].to_string())];
    let keys = keys.each_ref().map(|(name, text)| (*name, text.as_str()));
    let policy =
        policy(&keys, "identity jwt keys=jwks iss=joe\nclaim $root http://example\\.com/is_root").unwrap();
    let request = bearer(line["token"].as_str().unwrap());
    assert_eq!(identify(&policy, &request.clone().at(1_300_819_379)), Some(Ok(vec!["true".to_owned()])));
    assert_eq!(identify(&policy, &request.at(1_300_819_380)), Some(Err("expired")));
}
