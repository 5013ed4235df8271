//! Requests and configurations that mean harm or make no sense, generated here and kept by the fuzz targets.

use std::path::PathBuf;

use proptest::prelude::*;
use proptest::sample::select;

use crate::cases;
use crate::checks::stand_ins::{PlainRequest, VARIABLES};
use crate::checks::{configuration, request, token};

/// Names and values that the policies of the request checks look for, and others like them.
const NAMES: [&[u8]; 11] = [
    b"uid",
    b"UID",
    b"user",
    b"v",
    b"a",
    b"b",
    b"release_channel",
    b"lobechat_visitor",
    b"lobechat_visitor_chat",
    b"ui",
    b"",
];
const VALUES: [&[u8]; 14] = [
    b"alice",
    b"bob",
    b"\xe7\x88\xb1",
    b"canary",
    b"xCANARYx",
    b"stable",
    b"premium",
    b"gold",
    b"7",
    b"",
    b"\0",
    b"\xff\xfe",
    b"00112233445566778899aabbccddeeff.20780",
    b"00112233445566778899aabbccddeeff.020780",
];
const CACHING: [&[u8]; 9] = [
    b"public",
    b"Public",
    b"s-maxage=60",
    b"max-age=60",
    b"no-cache=\"a, public\"",
    b"private=\"b",
    b"private",
    b"\"",
    b"",
];

/// Pairs of names and values, written well or not quite, with such separators between them.
fn pairs(separators: &'static [&'static [u8]]) -> impl Strategy<Value = Vec<u8>> {
    let equals: &[&[u8]] = &[b"=", b"=", b"=", b" =", b"= ", b"==", b""];
    let pair = (select(&NAMES[..]), select(equals), select(&VALUES[..]), select(separators));
    let pair = pair.prop_map(|(name, equals, value, separator)| [name, equals, value, separator].concat());
    prop::collection::vec(pair, 0..6).prop_map(|pairs| pairs.concat())
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![select(&VALUES[..]).prop_map(<[u8]>::to_vec), prop::collection::vec(any::<u8>(), 0..60)]
}

fn query() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![3 => pairs(&[b"&", b"&", b"&&", b";"]), 1 => value()]
}

fn header() -> impl Strategy<Value = (&'static str, Vec<u8>)> {
    let cookies = pairs(&[b"; ", b"; ", b";", b" ;", b", ", b";;", b";  "]);
    let caching =
        prop::collection::vec(select(&CACHING[..]), 0..5).prop_map(|directives| directives.join(&b", "[..]));
    prop_oneof![
        4 => (select(vec!["Cookie", "cookie", "COOKIE"]), prop_oneof![4 => cookies, 1 => value()]),
        2 => (select(vec!["X-User", "x-user", "X-User-Tier", "x-user-tiers", ""]), value()),
        1 => (Just("Cache-Control"), caching),
        1 => select(vec![("Sec-Purpose", "prefetch"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document"),
            ("Accept", "text/html")]).prop_map(|(name, value)| (name, value.into())),
    ]
}

fn any_request() -> impl Strategy<Value = PlainRequest> {
    let headers = prop::collection::vec(header(), 0..8);
    let parts = (headers, query(), prop::collection::vec(value(), VARIABLES.len()));
    parts.prop_map(|(headers, query, values)| {
        let request = PlainRequest::default().query(query);
        let request = headers.into_iter().fold(request, |all, (name, value)| all.header(name, value));
        VARIABLES.iter().zip(values).fold(request, |all, (name, value)| all.variable(name, value))
    })
}

const WORDS: [&str; 36] = [
    "release",
    "route",
    "user",
    "salt",
    "hash",
    "expose",
    "stable",
    "canary",
    "beta",
    "lobe_a",
    "if",
    "and",
    "in",
    "=",
    "!=",
    "~",
    "!~*",
    "''",
    "weight=10%",
    "weight=0.01%",
    "weight=100%",
    "weight=",
    "from=top",
    "from=50%",
    "from=100%",
    "version=v1.2.3",
    "version=latest",
    "cookie:uid",
    "header:x-tier",
    "arg:v",
    "$remote_addr",
    "${key}-$key",
    "visitor",
    "a|b",
    "file:testers",
    "file:empty",
];

fn line() -> impl Strategy<Value = String> {
    let words = |count| prop::collection::vec(select(&WORDS[..]), count).prop_map(|words| words.join(" "));
    prop_oneof![
        words(0..7),
        ("(stable|canary|beta|c)", words(0..4))
            .prop_map(|(name, words)| format!("release {name} lobe {words}")),
        ("(stable|canary|beta)", words(1..5)).prop_map(|(name, words)| format!("route {name} if {words}")),
        ".{0,30}",
    ]
}

proptest! {
    #![proptest_config(cases(512))]

    /// Decided as the model says, whatever the bytes.
    #[test]
    fn any_request_is_decided(request in any_request()) {
        request::check_request(&request);
    }

    #[test]
    fn any_text_is_a_policy_or_refused_with_a_sentence(lines in prop::collection::vec(line(), 0..8)) {
        configuration::check(lines.join("\n").as_bytes());
    }
}

#[test]
fn large_requests_are_decided() {
    let many: String = (0..1000).map(|n| format!("c{n}={n}; ")).collect();
    let visitor = "00112233445566778899aabbccddeeff.20780";
    for cookie in [
        format!("uid={}", "x".repeat(8 << 10)),
        format!("{many}uid=1; release_channel=canary"),
        format!("{many}lobechat_visitor={visitor}{}", "0".repeat(4096)),
        format!("lobechat_visitor={visitor}; {many}lobechat_visitor=forged"),
        "uid=1; ".repeat(1000),
        ";".repeat(8 << 10),
        " ".repeat(8 << 10),
        "=".repeat(8 << 10),
    ] {
        let request = PlainRequest::default().header("Cookie", &cookie).header("Cookie", &cookie);
        request::check_request(&request.clone().header("X-User", "y".repeat(4096)));
        request::check_request(&request);
    }
}

#[test]
fn many_lines_of_one_header_are_joined_in_linear_space() {
    let lines = (0..2000).fold(PlainRequest::default(), |request, _| request.header("X-User-Tier", ""));
    request::check_request(&lines.header("x-user-tier", "gold"));
}

/// What `scripts/fuzz` has kept, without a fuzzer, and what people gave it to begin with.
#[test]
fn corpus_replays() {
    replay("corpus/configuration", configuration::check);
    replay("corpus/request", request::check);
    replay("corpus/token", token::check);
    replay("seeds/token", token::check);
}

fn replay(directory: &str, check: fn(&[u8])) {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(directory);
    let files = std::fs::read_dir(&directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
    let mut count = 0;
    for file in files {
        let path = file.unwrap().path();
        let text = std::fs::read(&path).unwrap();
        if std::panic::catch_unwind(|| check(&text)).is_err() {
            panic!("{} fails: the panic above says why", path.display());
        }
        count += 1;
    }
    assert!(count > 20, "{count} files in {}", directory.display());
}
