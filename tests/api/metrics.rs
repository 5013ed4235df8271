//! The metrics: what is there from the start, whether promtool accepts it, and whether the Grafana dashboard asks only for
//! what there is.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::runtime::{Kept, Memory, policy};

const BESIDE: &str = "release old unix:/run/a.sock version=1.0.0+a\nrelease new b:80";

/// Two policies: one with traffic, one that nobody has used yet.
fn rendered() -> String {
    let mut memory = Memory::chat();
    memory.policies.push(Kept::new(policy("beside", BESIDE)));
    let answer = memory.call("GET", "metrics", "");
    assert_eq!((answer.status, answer.content_type), (200, "text/plain; version=0.0.4; charset=utf-8"));
    String::from_utf8(answer.body).unwrap()
}

/// The samples of one family.
fn samples<'t>(text: &'t str, name: &str) -> Vec<&'t str> {
    let prefix = format!("lobechat_canary_{name}{{");
    text.lines().filter(|line| line.starts_with(&prefix)).collect()
}

#[test]
fn every_series_is_there_from_the_start() {
    let text = rendered();
    for (name, count) in [
        ("build_info", 1),
        ("requests_total", 5 * 6),
        ("responses_total", 5 * 6),
        ("attempts_total", 5 * 9),
        ("skew_total", 5),
        ("fallbacks_total", 6 + 2),
        ("ttfb_seconds_bucket", 5 * 14),
        ("ttfb_seconds_sum", 5),
        ("ttfb_seconds_count", 5),
        ("weight_ratio", 5),
        ("release_state", 5 * 3),
        ("epoch", 2),
        ("rollbacks_total", 5),
        ("evidence", 1),
        ("identity_failures_total", 10),
    ] {
        assert_eq!(samples(&text, name).len(), count, "{name}");
    }
    let series =
        text.lines().filter(|line| !line.starts_with('#')).map(|line| line.rsplit_once(' ').unwrap().0);
    let (all, distinct) = (series.clone().count(), series.collect::<BTreeSet<_>>().len());
    assert_eq!(all, distinct);
    let zeros = samples(&text, "requests_total").into_iter().filter(|line| line.ends_with(" 0")).count();
    assert_eq!(zeros, 4 * 6, "all but those of one release");
}

#[test]
fn values_are_those_counted() {
    let text = rendered();
    let canary = r#"policy="chat",release="canary",version="2.1.26""#;
    for (series, value) in [
        (format!("requests_total{{{canary},reason=\"split\"}}"), "4"),
        (format!("responses_total{{{canary},code=\"2xx\"}}"), "17"),
        (format!("responses_total{{{canary},code=\"000\"}}"), "0"),
        (format!("attempts_total{{{canary},outcome=\"aborted\"}}"), "2"),
        (format!("skew_total{{{canary}}}"), "3"),
        ("fallbacks_total{policy=\"chat\",from=\"canary\",to=\"stable\"}".to_owned(), "12"),
        ("fallbacks_total{policy=\"chat\",from=\"stable\",to=\"canary\"}".to_owned(), "0"),
        (format!("ttfb_seconds_bucket{{{canary},le=\"0.008\"}}"), "10"),
        (format!("ttfb_seconds_bucket{{{canary},le=\"0.016\"}}"), "15"),
        (format!("ttfb_seconds_bucket{{{canary},le=\"0.032\"}}"), "15"),
        (format!("ttfb_seconds_bucket{{{canary},le=\"0.064\"}}"), "19"),
        (format!("ttfb_seconds_bucket{{{canary},le=\"32.768\"}}"), "19"),
        (format!("ttfb_seconds_bucket{{{canary},le=\"+Inf\"}}"), "20"),
        (format!("ttfb_seconds_sum{{{canary}}}"), "61.234"),
        (format!("ttfb_seconds_count{{{canary}}}"), "20"),
        ("weight_ratio{policy=\"chat\",release=\"stable\",version=\"2.1.25\"}".to_owned(), "0.85"),
        (format!("weight_ratio{{{canary}}}"), "0.1"),
        ("weight_ratio{policy=\"chat\",release=\"next\",version=\"\"}".to_owned(), "0.05"),
        (format!("release_state{{{canary},state=\"up\"}}"), "1"),
        (format!("release_state{{{canary},state=\"down\"}}"), "0"),
        ("epoch{policy=\"chat\"}".to_owned(), "1"),
        (format!("rollbacks_total{{{canary}}}"), "2"),
        (format!("evidence{{{canary}}}"), "1.25"),
        ("identity_failures_total{policy=\"chat\",kind=\"jwt\",reason=\"expired\"}".to_owned(), "9"),
        ("identity_failures_total{policy=\"chat\",kind=\"jwt\",reason=\"key\"}".to_owned(), "0"),
    ] {
        let line = format!("\nlobechat_canary_{series} {value}\n");
        assert!(text.contains(&line), "{line}{text}");
    }
}

/// After `promote` the names are exchanged, and each generation keeps its counters and its version.
#[test]
fn a_name_shows_what_it_stands_for() {
    let mut memory = Memory::chat();
    assert_eq!(memory.call("POST", "v1/policies/chat/releases/canary/promote", "").status, 200);
    let text = String::from_utf8(memory.call("GET", "metrics", "").body).unwrap();
    for line in [
        "skew_total{policy=\"chat\",release=\"stable\",version=\"2.1.26\"} 3",
        "skew_total{policy=\"chat\",release=\"canary\",version=\"2.1.25\"} 0",
        "fallbacks_total{policy=\"chat\",from=\"stable\",to=\"canary\"} 12",
        "weight_ratio{policy=\"chat\",release=\"stable\",version=\"2.1.26\"} 0.95",
        "release_state{policy=\"chat\",release=\"canary\",version=\"2.1.25\",state=\"drain\"} 1",
    ] {
        assert!(text.contains(&format!("\nlobechat_canary_{line}\n")), "{line}\n{text}");
    }
    let chat = memory.get("v1/policies/chat");
    assert_eq!(
        chat["commit"],
        serde_json::json!([
            "release stable lobe_b version=2.1.26;",
            "release canary lobe_a version=2.1.25 drain;"
        ])
    );
    assert_eq!(chat["releases"][0]["upstream"], "lobe_b");
    assert_eq!(chat["releases"][0]["fallbacks_from"], 12);
    assert_eq!(chat["releases"][1]["version"], "2.1.25");
}

#[test]
fn promtool_accepts_them() {
    let said = promtool(&["check", "metrics"], &rendered());
    assert!(said.is_none_or(|(success, said)| success && said.is_empty()));
    // It does look.
    let said = promtool(&["check", "metrics"], "# TYPE a counter\na{} 1\n");
    assert!(said.is_none_or(|(success, _)| !success));
}

/// Whether promtool is content, and what it says. `None`: there is none. `scripts/test` sets `TEST_PROMTOOL`, so that a
/// missing one fails there.
fn promtool(arguments: &[&str], input: &str) -> Option<(bool, String)> {
    let mut command = Command::new("promtool");
    let command = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn();
    let mut child = match child {
        Err(error) if error.kind() == ErrorKind::NotFound && env::var_os("TEST_PROMTOOL").is_none() => {
            eprintln!("promtool is not there, so nothing is checked with it: scripts/setup core installs it");
            return None;
        }
        child => child.expect("promtool: scripts/setup core installs it"),
    };
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim().to_owned();
    Some((output.status.success(), said))
}

/// The labels of each family, by its name; those of a histogram's series are the family's.
fn families(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut families: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, rest) = line.split_once('{').unwrap();
        let before = rest.rsplit_once("=\"").map_or("", |(before, _)| before);
        let labels = before.split("=\"").filter_map(|part| part.rsplit(['{', ',', '"']).next());
        families.entry(name.to_owned()).or_default().extend(labels.map(str::to_owned));
    }
    families
}

#[test]
fn the_grafana_dashboard_asks_for_what_there_is() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/nginx-conf/grafana/lobechat-canary.json");
    let dashboard: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let families = families(&rendered());
    assert_eq!(
        families["lobechat_canary_ttfb_seconds_bucket"],
        ["le", "policy", "release", "version"].map(str::to_owned).into()
    );
    let mut queries = Vec::new();
    collect(&dashboard, &mut queries);
    assert!(queries.len() > 10, "{queries:?}");
    let mut used = BTreeSet::new();
    for query in &queries {
        let names = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let names: Vec<&str> = names.filter(|word| word.starts_with("lobechat_canary_")).collect();
        assert!(!names.is_empty(), "{query}");
        for name in &names {
            assert!(families.contains_key(*name), "there is no {name}: {query}");
            used.insert((*name).to_owned());
        }
        for label in labels(query) {
            let known = names.iter().any(|name| families[*name].contains(label));
            assert!(known, "no metric of {query} has the label {label}");
        }
    }
    check_syntax(queries.iter().filter(|query| !query.starts_with("label_values(")));
    let shown = |name: &str| used.contains(&format!("lobechat_canary_{name}"));
    for name in ["requests_total", "responses_total", "ttfb_seconds_bucket", "evidence", "release_state"] {
        assert!(shown(name), "{name} is not shown");
    }
}

/// As rules, which promtool reads. Grafana fills in its variables.
fn check_syntax<'q>(queries: impl Iterator<Item = &'q String>) {
    let fill = |query: &str| query.replace("$__rate_interval", "1m").replace("$policy", "chat");
    let rule = |query| format!("  - record: a:b\n    expr: {}\n", Value::from(fill(query)));
    let rules =
        format!("groups:\n- name: a\n  rules:\n{}", queries.map(|query| rule(query)).collect::<String>());
    let path = concat!(env!("CARGO_TARGET_TMPDIR"), "/grafana-queries.yml");
    fs::write(path, rules).unwrap();
    let said = promtool(&["check", "rules", path], "");
    assert!(said.as_ref().is_none_or(|(success, _)| *success), "{said:?}");
}

/// The queries of panels and variables.
fn collect(value: &Value, queries: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(text) if name == "expr" || text.starts_with("label_values(") => {
                        queries.push(text.clone());
                    }
                    value => collect(value, queries),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, queries)),
        _ => {}
    }
}

/// The labels that a query names: in selectors, after `by`, and as the last argument of `label_values`.
fn labels(query: &str) -> Vec<&str> {
    let inside = |open: &str, close: char| -> Vec<&str> {
        query.split(open).skip(1).filter_map(|rest| rest.split(close).next()).collect()
    };
    let selectors = inside("{", '}').into_iter().flat_map(|selector| selector.split(','));
    let selectors = selectors.filter_map(|matcher| matcher.split(['=', '!']).next());
    let grouped = inside("by (", ')').into_iter().flat_map(|labels| labels.split(','));
    let listed = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
    let listed = listed.and_then(|rest| rest.rsplit(',').next());
    selectors.chain(grouped).chain(listed).map(str::trim).filter(|label| !label.is_empty()).collect()
}
