//! The tokens and sessions of tests/vectors that other libraries made: the only ones that give claims without the
//! fuzzer's own signature.

use serde_json::Value;

use super::sealing::{AUTHJS, BETTER_AUTH, SESSION_SECRET, TOKEN_SECRET};

/// What there is to know of everything recorded.
pub struct Recordings {
    /// A JWK Set with a key for each algorithm.
    pub jwks: String,
    /// Tokens that verify with some key.
    pub valid: Vec<String>,
    /// Those that verify with the keys of the checks.
    pub good: Vec<Good>,
}

pub struct Good {
    pub kind: Kind,
    /// The cookie, where the session is bound to it.
    pub cookie: Option<String>,
    pub token: String,
    pub sub: String,
}

/// An identity's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Keys,
    Secret,
    BetterAuth,
    AuthJs,
}

pub fn read() -> Recordings {
    let mut all = Recordings { jwks: String::new(), valid: Vec::new(), good: Vec::new() };
    let mut keys = Vec::new();
    for line in lines(include_str!("../../tests/vectors/tokens/recording.jsonl")) {
        if line["expect"] != "valid" {
            continue;
        }
        let token = text(&line["token"]);
        all.valid.push(token.clone());
        let end = |name: &str| text(&line["id"]) == format!("jose/{}/{name}", text(&line["alg"]));
        let kind = match () {
            () if end("valid") => Kind::Keys,
            () if end("valid_secret") && line["secret"] == TOKEN_SECRET => Kind::Secret,
            () => continue,
        };
        if kind == Kind::Keys {
            let set: Value = serde_json::from_str(&text(&line["keys"])).expect("a recorded JWK Set");
            keys.extend(set["keys"].as_array().expect("keys").iter().map(Value::to_string));
        }
        all.good.push(Good { kind, cookie: None, token, sub: text(&line["claims"]["sub"]) });
    }
    all.jwks = format!("{{\"keys\":[{}]}}", keys.join(","));
    for line in lines(include_str!("../../tests/vectors/sessions/recording.jsonl")) {
        if line["expect"] != "valid" {
            continue;
        }
        let mut chunks: Vec<(String, String)> = line["cookies"]
            .as_array()
            .expect("cookies")
            .iter()
            .map(|pair| (text(&pair[0]), text(&pair[1])))
            .collect();
        chunks.sort();
        let token: String = chunks.iter().map(|(_, value)| value.as_str()).collect();
        all.valid.push(token.clone());
        let name = line["cookie"].as_str();
        let (kind, cookie) = match line["identity"].as_str() {
            Some("better_auth") if name == Some(BETTER_AUTH) => (Kind::BetterAuth, None),
            Some("authjs") if name == Some(AUTHJS) => (Kind::AuthJs, Some(chunks[0].0.clone())),
            _ => continue,
        };
        if chunks.len() == 1 && line["secret"] == SESSION_SECRET {
            all.good.push(Good { kind, cookie, token, sub: text(&line["claims"]["sub"]) });
        }
    }
    all
}

fn lines(text: &str) -> impl Iterator<Item = Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a line of a recording"))
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}
