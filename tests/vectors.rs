//! Third-party test vectors and recorded answers of nginx; tests/vectors/README.md has their origins.

#![cfg(not(feature = "module"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // the helpers of tests are tests too

#[allow(dead_code)] // each test file uses a part of it
#[path = "../fuzz/src/lib.rs"]
mod checks;

use std::collections::HashMap;
use std::fmt::Write;
use std::path::PathBuf;

use checks::stand_ins::{PlainRequest, policy, policy_named};
use lobechat_canary::decision::{Reason, STABLE, decide};
use lobechat_canary::hash::{HashMode, Salt};
use lobechat_canary::percent::Percent;
use serde_json::Value;

fn read(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn read_lines(name: &str) -> Vec<Value> {
    read(name).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn unhex(text: &Value) -> Vec<u8> {
    let text = text.as_str().unwrap();
    (0..text.len()).step_by(2).map(|n| u8::from_str_radix(&text[n..n + 2], 16).unwrap()).collect()
}

fn murmur3(mut key: &[u8], seed: u32) -> u32 {
    murmur3::murmur3_32(&mut key, seed).unwrap()
}

#[test]
fn murmur3_published_values() {
    let lines = read_lines("murmur3_vectors.jsonl");
    assert_eq!(lines.len(), 210);
    for line in lines {
        let seed = line["seed"].as_u64().unwrap().try_into().unwrap();
        assert_eq!(u64::from(murmur3(&unhex(&line["key_hex"]), seed)), line["x86_32"], "{}", line["id"]);
    }
}

#[test]
fn murmur3_smhasher_verification() {
    let keys: Vec<u8> = (0..=255).collect();
    let hashes: Vec<u8> = (0..256).flat_map(|n| murmur3(&keys[..n], 256 - n as u32).to_le_bytes()).collect();
    let expected: Value = serde_json::from_str(&read("smhasher_verification.json")).unwrap();
    assert_eq!(format!("0x{:08X}", murmur3(&hashes, 0)), expected["x86_32"]);
}

/// The bucket is the published hash of `salt:user`, scaled; wherever the colon stands.
#[test]
fn buckets_are_murmur3_of_salt_colon_user() {
    for line in read_lines("murmur3_vectors.jsonl") {
        let text = unhex(&line["key_hex"]);
        for cut in 0..=text.len() {
            let (salt, user) = text.split_at(cut);
            let hash = murmur3(&[salt, b":", user].concat(), 0);
            let bucket = u64::from(hash) * 10_000 / (1 << 32);
            assert_eq!(u64::from(Salt::new(salt).bucket(user)), bucket, "{} cut at {cut}", line["id"]);
        }
    }
}

/// The documented buckets, with a salt and with the default one, the policy's name.
#[test]
fn documented_buckets_of_policies() {
    let text = "release stable a\nrelease canary b weight=40%\nuser header:x-id\n";
    let salted = |salt: &str| policy(&format!("{text}salt {salt}"));
    for (policy, user, bucket, release) in [
        (salted("lobe"), "user_1", 3178, 1),
        (salted("lobe"), "user_2", 5671, 0),
        (salted("lobe:2"), "alice", 1894, 1),
        (policy_named("lobe", text).unwrap(), "alice", 7091, 0),
    ] {
        let request = PlainRequest::default().header("X-Id", user);
        let decision = decide(&policy, &policy.declared, &request).unwrap();
        assert_eq!((decision.sender.unwrap().bucket, decision.release), (Some(bucket), release), "{user}");
    }
}

#[test]
fn unleash_gradual_rollouts() {
    let (mut decided, mut unpredictable) = (0, 0);
    for line in read_lines("unleash_rollout.jsonl") {
        // Without an id the default stickiness draws lots; here, as with the others, nobody is enabled.
        if line["stickiness"] == "default" && line["stick_value"].is_null() {
            unpredictable += 1;
            continue;
        }
        let (group, percentage) = (line["groupId"].as_str().unwrap(), &line["percentage"]);
        let policy = policy(&format!(
            "release off a\nrelease on b weight={percentage}%\nhash unleash\nsalt {group}\nuser header:x-id"
        ));
        let request = line["stick_value"].as_str().map(|id| PlainRequest::default().header("X-Id", id));
        let request = request.unwrap_or_default();
        let decision = decide(&policy, &policy.declared, &request).unwrap();
        assert_eq!(decision.release != STABLE, line["enabled"].as_bool().unwrap(), "{}", line["id"]);
        if let Some(normalized) = line["normalized_1_100"].as_u64() {
            let id = line["stick_value"].as_str().unwrap();
            let (_, position) = HashMode::Unleash.place(&Salt::new(group.as_bytes()), id.as_bytes());
            assert_eq!(u64::from(position / 100 + 1), normalized, "{}", line["id"]);
        }
        decided += 1;
    }
    assert_eq!((decided, unpredictable), (24, 1));
}

/// A `split_clients` block: its shares as written, and their values.
type Block = Vec<(String, String)>;

fn blocks_of_nginx_conf() -> HashMap<String, Block> {
    let config = read("split_clients/nginx.conf");
    let block = |line: &str| {
        let (head, body) = line.strip_prefix("split_clients $http_key $")?.split_once('{')?;
        let parts = body.trim_end_matches('}').split(';').filter_map(|part| part.trim().split_once(' '));
        let parts = parts.map(|(share, value)| (share.to_owned(), value.trim().to_owned())).collect();
        Some((head.trim().to_owned(), parts))
    };
    config.lines().filter_map(|line| block(line.trim())).collect()
}

/// The same split here: each share grows from where the ones before it end, the last one from the top.
fn migrated(block: &Block) -> String {
    let percent = |points| Percent::from_basis_points(points).unwrap();
    let mut text = "release stable a\nhash split_clients\nuser $key\n".to_owned();
    let mut start = 0;
    for (share, value) in block {
        let weight = match share.as_str() {
            "*" => Percent::FULL.basis_points() - start,
            share => Percent::parse(share).unwrap().basis_points(),
        };
        let from = match start + weight {
            10_000 if start > 0 => "top".to_owned(),
            _ => percent(start).to_string(),
        };
        if value != "stable" {
            writeln!(text, "release {value} {value} weight={} from={from}", percent(weight)).unwrap();
        }
        start += weight;
    }
    text
}

#[test]
fn split_clients_as_recorded_from_nginx() {
    let lines = read_lines("split_clients/recording.jsonl");
    let (head, lines) = lines.split_first().unwrap();
    assert!(lines.len() > 300);
    let blocks = blocks_of_nginx_conf();
    let names: Vec<&str> =
        head["blocks"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(names.len(), blocks.len());
    let mut wrong = String::new();
    for (index, name) in names.into_iter().enumerate() {
        let block = &blocks[name];
        let policy = policy(&migrated(block));
        for line in lines {
            let key = unhex(&line["key_hex"]);
            let answer = line["answers"][index].as_str().unwrap();
            let request = PlainRequest::default().variable("key", &key);
            let decision = decide(&policy, &policy.declared, &request).unwrap();
            let expected = match answer {
                // nginx counts those without a key to the first share; here they are anonymous.
                _ if key.is_empty() => {
                    assert_eq!((answer, decision.reason), (block[0].1.as_str(), Reason::Anonymous));
                    "stable"
                }
                // Before nginx 1.31.2, 100 % without a `*` left out the very last values.
                "" => &block.last().unwrap().1,
                _ => answer,
            };
            let release = &policy.releases[decision.release].name;
            if release != expected {
                writeln!(wrong, "{name} {}: {release}, nginx says {expected}", line["id"]).unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
