//! Whom a failure is held against when the page is of another build, and whose users the judge looks at.

use std::collections::BTreeSet;

use black_box::api::{self, release};
use black_box::{Config, Nginx, Request, wait_for};

use crate::pins::{CANARY, KEY, STABLE, decided, page, script};

const DEFAULT: &str = "v1/policies/default";

/// Pages that are well, and requests that fail.
const BUILD: &str = "location / { default_type text/html; return 200 page; } location /trpc { return 500; }
    location /nothing { return 404; } location /_next/static/ { return 500; }";

fn config(canary: &str, lines: &str) -> Config {
    ["a", "b", "c"]
        .iter()
        .fold(Config::new(), |config, name| config.release(name, BUILD))
        .http("lobechat_canary_zone lobechat_canary:1m state=off;")
        .file("cookie.key", KEY)
        .server(&format!(
            "lobechat_canary {{ release stable a version=1.0.0; {canary} release beta c version=2.0.0-rc.1; {lines}
                 route beta if cookie:tester; user cookie:uid; salt lobe; cookie_key cookie.key; expose on; fallback off;
                 rollback on fail=5xx,404; }}"
        ))
        .server("add_header X-Reason $lobechat_canary_reason always; add_header X-Bucket $lobechat_canary_bucket always;")
        .server(&api::location("write"))
        .server("location / { proxy_pass http://lobechat_canary; }")
}

const WITH_WEIGHT: &str = "release canary b version=1.1.0 weight=50%;";

fn series(release: &str, more: &str) -> String {
    let version = if release == "stable" { "1.0.0" } else { "1.1.0" };
    format!("policy=\"default\",release=\"{release}\",version=\"{version}\"{more}")
}

/// Waits until the attempts that ended so, and the requests of other builds' pages, are these.
fn expect(nginx: &Nginx, attempts: &[(&str, &str, u64)], skew: &[(&str, u64)]) {
    let attempts: Vec<_> = attempts
        .iter()
        .map(|(name, outcome, count)| (series(name, &format!(",outcome=\"{outcome}\"")), *count))
        .collect();
    let skew: Vec<_> = skew.iter().map(|(name, count)| (series(name, ""), *count)).collect();
    for (family, expected) in [("attempts_total", &attempts), ("skew_total", &skew)] {
        let expected: Vec<_> = expected.iter().map(|(series, count)| (series.as_str(), *count)).collect();
        nginx.wait_counted(family, &expected);
    }
}

fn send(nginx: &Nginx, request: &Request, times: usize, expected: &str) {
    for _ in 0..times {
        let response = nginx.fetch(request.clone());
        let (release, reason) = (response.header("X-LobeChat-Release"), response.header("X-Reason"));
        assert_eq!(
            format!("{} {}", release.unwrap_or("-"), reason.unwrap_or("-")),
            expected,
            "{}",
            request.target()
        );
    }
}

#[test]
fn who_answers_for_another_build_fails_at_nothing() {
    let nginx = config(WITH_WEIGHT, "").start();
    let cookie = format!("{}; {STABLE}", page(&nginx, "/", CANARY));
    // Their own pages' requests fail, and that counts; so do those that say nothing of a page.
    send(&nginx, &script("/trpc", &cookie), 2, "canary pin");
    send(&nginx, &script("/trpc", STABLE), 3, "stable split");
    expect(&nginx, &[("canary", "ok", 1), ("canary", "status", 2), ("stable", "status", 3)], &[]);
    nginx.api_ok("PUT", &format!("{DEFAULT}/releases/canary/state"), "\"down\"");
    // The page's release is down; no build of that name; one that may not be named.
    let foreign = format!("lobechat_release=0011223344556677{}; {STABLE}", &page(&nginx, "/", STABLE)[33..]);
    for target in ["/trpc", "/nothing"] {
        send(&nginx, &script(target, &cookie), 2, "stable split");
        send(&nginx, &script(&format!("{target}?dpl=7"), STABLE), 2, "stable split");
        send(&nginx, &script(target, &foreign), 2, "stable split");
        send(&nginx, &script(target, STABLE).header("x-deployment-id", "2-0-0-rc-1"), 2, "stable split");
    }
    let attempts =
        [("canary", "ok", 1), ("canary", "status", 2), ("stable", "status", 3), ("stable", "ok", 1 + 16)];
    expect(&nginx, &attempts, &[("stable", 16)]);
    let policy = nginx.policy("default");
    assert_eq!(
        (&release(&policy, "stable")["skew"], &release(&policy, "canary")["skew"]),
        (&16.into(), &0.into())
    );
}

#[test]
fn explain_says_whose_page_it_is() {
    let nginx = config(WITH_WEIGHT, "").start();
    let cookie = format!("{}; {STABLE}", page(&nginx, "/", CANARY));
    let explain = |query: &str, cookie: &str| {
        let request = script(&format!("/canary/{DEFAULT}/explain?{query}"), cookie);
        let said = api::json(&nginx.fetch(request));
        let step =
            said["steps"].as_array().unwrap().iter().find(|step| step["step"] == "pin").unwrap().clone();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        (
            text(&said["release"]),
            text(&said["reason"]),
            said["skew"] == true,
            text(&step["outcome"]),
            text(&step["detail"]),
        )
    };
    let check = |query: &str, cookie: &str, expected: (&str, &str, bool, &str), detail: &str| {
        let (release, reason, skew, outcome, said) = explain(query, cookie);
        assert_eq!((release.as_str(), reason.as_str(), skew, outcome.as_str()), expected, "{query}");
        assert!(said.contains(detail), "{query}: {said}");
    };
    check("uri=/trpc", &cookie, ("canary", "pin", false, "matched"), "the cookie lobechat_release");
    check(
        "uri=/trpc?dpl=1-0-0",
        &cookie,
        ("stable", "pin", false, "matched"),
        "the deployment that it names",
    );
    check(
        "uri=/trpc?dpl=7",
        STABLE,
        ("stable", "split", true, "passed over"),
        "a build that the file does not have",
    );
    check("uri=/trpc?dpl=2-0-0-rc-1", STABLE, ("stable", "split", true, "passed over"), "it has no weight");
    check("uri=/trpc", STABLE, ("stable", "split", false, "no match"), "nothing names its page");
    check("uri=/&as=navigation", &cookie, ("stable", "split", false, "no match"), "decided afresh");
    nginx.api_ok("PUT", &format!("{DEFAULT}/releases/canary/state"), "\"down\"");
    check(
        "uri=/trpc",
        &cookie,
        ("stable", "split", true, "passed over"),
        "release \"canary\", which is down",
    );
    check("uri=/_next/static/x.js", &cookie, ("canary", "pin", false, "matched"), "a file of a page");
    let metrics = nginx.metrics();
    assert_eq!(api::counted(&metrics, "skew_total"), [], "a question is no request");
}

/// The judge hears of pages that the split chose and of what they ask for.
#[test]
fn who_is_judged() {
    let ramp = "ramp canary 50% 1h 60% min_requests=1000 start=auto;";
    let nginx = config("release canary b version=1.1.0;", ramp).start();
    let judged = || {
        // The judge compares: it waits for somebody on stable.
        nginx.fetch(Request::navigation("/").cookie(STABLE));
        let policy = nginx.policy("default");
        release(&policy, "canary")["ramp"]["requests"].as_u64().unwrap()
    };
    wait_for("the ramp", || (release(&nginx.policy("default"), "canary")["weight"] == "50%").then_some(()));
    let dealt = page(&nginx, "/", CANARY);
    let tester = page(&nginx, "/", "tester=1; uid=user_1");
    // A user counts once between two looks of the judge.
    wait_for("the first page", || (judged() == 1).then_some(()));
    let mut buckets: BTreeSet<String> = BTreeSet::new();
    // Whoever they are: each kind has users of its own, so that none hides behind another.
    let mut send = |kind: &str, request: &dyn Fn(&str) -> Request, heard: bool| {
        for user in 0..15 {
            let response = nginx.fetch(request(&format!("uid={kind}-{user}")));
            if heard {
                buckets.insert(response.header("X-Bucket").unwrap().to_owned());
            }
        }
        1 + buckets.len() as u64
    };
    let with = |pin: &str, target: &str| {
        let (pin, target) = (pin.to_owned(), target.to_owned());
        move |user: &str| script(&target, &format!("{pin}; {user}"))
    };
    send("file", &with(&dealt, "/_next/static/x.js"), false);
    send("opted", &with(&tester, "/trpc"), false);
    send("opted-page", &|user| Request::navigation("/").cookie(format!("tester=1; {user}")), false);
    send("named", &with("x=1", "/trpc?dpl=1-1-0"), false);
    send("forged", &with(&dealt[..36], "/trpc?dpl=1-1-0"), false);
    send("named-other", &with(&dealt, "/trpc?dpl=1-0-0"), false);
    send(
        "unknown",
        &with(&dealt.replace("lobechat_release=", "lobechat_release=0"), "/trpc?dpl=1-1-0"),
        false,
    );
    let all = send("follows", &with(&dealt, "/trpc"), true);
    wait_for("those that count", || (judged() >= all).then_some(()));
    assert_eq!(judged(), all);
    let all = send("agrees", &with(&dealt, "/trpc?dpl=1-1-0"), true);
    wait_for("those that count", || (judged() >= all).then_some(()));
    assert_eq!(judged(), all);
    assert_eq!(decided(&nginx.fetch(script("/", CANARY))), "page split");
}
