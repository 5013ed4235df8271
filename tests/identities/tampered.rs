//! Whoever changes one byte of a token or a session gets no claims. A signature of ECDSA can be written in two ways, but
//! not so that one byte differs.

use proptest::prelude::*;
use serde_json::Value;

use crate::checks::stand_ins::PlainRequest;
use crate::{bearer, identify, policy, read_lines};

/// One valid token of each algorithm and library, with its policy.
fn tokens() -> Vec<Value> {
    let lines = read_lines("tokens/recording.jsonl").into_iter();
    let is_plain = |line: &Value| {
        line["id"].as_str().unwrap().ends_with(&format!("/{}/valid", line["alg"].as_str().unwrap()))
    };
    lines.filter(|line| line["expect"] == "valid" && is_plain(line)).collect()
}

fn sessions() -> Vec<Value> {
    let lines = read_lines("sessions/recording.jsonl").into_iter();
    lines.filter(|line| line["expect"] == "valid" && line["cookies"].as_array().unwrap().len() == 1).collect()
}

fn changed(text: &str, at: usize, by: u8) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    let at = at % bytes.len();
    bytes[at] ^= by;
    bytes
}

fn refuses(policy: &lobechat_canary::policy::Policy, request: &PlainRequest) -> bool {
    !matches!(identify(policy, &request.clone().at(1_900_000_000)), Some(Ok(_)))
}

proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 30, failure_persistence: None, ..Default::default() })]

    #[test]
    fn tokens_hold_every_byte(places in prop::collection::vec((any::<usize>(), 1_u8..), 8)) {
        let lines = tokens();
        assert!(lines.len() >= 26);
        for line in lines {
            let policy = policy(&[("file", line["keys"].as_str().unwrap())], "identity jwt keys=file").unwrap();
            let token = line["token"].as_str().unwrap();
            assert!(!refuses(&policy, &bearer(token)));
            for (at, by) in &places {
                let token = changed(token, *at, *by);
                let request = PlainRequest::default().header("Authorization", [b"Bearer ", &*token].concat());
                // A token of blanks and one more letter is still the token.
                let same = token.trim_ascii() == line["token"].as_str().unwrap().as_bytes();
                prop_assert!(same || refuses(&policy, &request), "{} at {at} by {by}", line["id"]);
            }
        }
    }

    #[test]
    fn sessions_hold_every_byte(places in prop::collection::vec((any::<usize>(), 1_u8..), 8)) {
        for line in sessions() {
            let text = |name: &str| line[name].as_str().unwrap().to_owned();
            let directive = format!("identity {} secret=file cookie={}", text("identity"), text("cookie"));
            let policy = policy(&[("file", &text("secret"))], &directive).unwrap();
            let pair = &line["cookies"][0];
            let (name, value) = (pair[0].as_str().unwrap(), pair[1].as_str().unwrap());
            let request = |value: &[u8]| {
                PlainRequest::default().header("Cookie", [name.as_bytes(), b"=", value].concat())
            };
            assert!(!refuses(&policy, &request(value.as_bytes())), "{}", line["id"]);
            for (at, by) in &places {
                prop_assert!(refuses(&policy, &request(&changed(value, *at, *by))), "{} at {at} by {by}", line["id"]);
            }
        }
    }
}
