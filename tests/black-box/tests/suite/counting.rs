//! Each client request is counted once, with its reason and its answer, on whatever way it takes through nginx.

use black_box::api;
use black_box::token::{hs256, now};
use black_box::{Config, Nginx, Request, wait_for};

const CODES: &str =
    "location / { return 200 fine; } location /204 { return 204; } location /302 { return 302 /; }
    location /404 { return 404; } location /470 { return 470; } location /503 { return 503; }";
const RELEASES: &str =
    "release stable a; release canary b weight=30%; user cookie:uid; salt lobe; fallback off;
    route canary if arg:join remember=7d; route canary if cookie:tester;";

fn config(lines: &str) -> Config {
    Config::new()
        .release("a", CODES)
        .release("b", CODES)
        .http("lobechat_canary_zone lobechat_canary:1m state=off;")
        .server(&api::location("write"))
        .server(lines)
}

fn start(lines: &str) -> Nginx {
    config(&format!("lobechat_canary p {{ {RELEASES} }} {lines}")).start()
}

fn plain() -> Nginx {
    start("location / { proxy_pass http://lobechat_canary; }")
}

const STABLE: &str = r#"policy="p",release="stable",version="""#;
const CANARY: &str = r#"policy="p",release="canary",version="""#;

/// What a family must have counted, by release and value of its own label.
fn expect(nginx: &Nginx, family: &str, expected: &[(&str, &str, u64)]) {
    let label = match family {
        "requests_total" => "reason",
        "responses_total" => "code",
        _ => "outcome",
    };
    let series =
        |(labels, value, count): &(&str, &str, u64)| (format!("{labels},{label}=\"{value}\""), *count);
    let expected: Vec<_> = expected.iter().map(series).collect();
    let expected: Vec<_> = expected.iter().map(|(series, count)| (series.as_str(), *count)).collect();
    nginx.wait_counted(family, &expected);
}

#[test]
fn reasons() {
    let nginx = plain();
    let ask = |request: Request| nginx.fetch(request);
    for _ in 0..3 {
        ask(Request::get("/").cookie("tester=1"));
    }
    let joined = ask(Request::navigation("/?join=1"));
    let cookies =
        joined.all("Set-Cookie").iter().map(|line| line.split(';').next().unwrap()).collect::<Vec<_>>();
    for _ in 0..2 {
        ask(Request::navigation("/").cookie(cookies.join("; ")));
    }
    // Buckets 3178 and 7091 at 30 %: both are stable's.
    for user in ["user_1", "alice", "user_1", "alice"] {
        ask(Request::get("/").cookie(format!("uid={user}")));
    }
    ask(Request::get("/").cookie("uid="));
    expect(
        &nginx,
        "requests_total",
        &[(CANARY, "route", 4), (CANARY, "remembered", 2), (STABLE, "split", 4), (STABLE, "anonymous", 1)],
    );
    nginx.api_ok("PATCH", "v1/policies/p", &api::weights("canary", "40%"));
    ask(Request::get("/").cookie("uid=user_1"));
    nginx.api_ok("PUT", "v1/policies/p/releases/canary/state", "\"down\"");
    ask(Request::get("/").cookie("tester=1"));
    expect(
        &nginx,
        "requests_total",
        &[
            (CANARY, "route", 4),
            (CANARY, "remembered", 2),
            (CANARY, "split", 1),
            (STABLE, "split", 4),
            (STABLE, "anonymous", 1),
            // Its own release is shut.
            (STABLE, "default", 1),
        ],
    );
}

#[test]
fn codes_and_outcomes() {
    let nginx = plain();
    let mut connection = nginx.connect();
    for (path, count) in [("/", 7), ("/204", 2), ("/302", 3), ("/404", 4), ("/470", 5), ("/503", 6)] {
        for _ in 0..count {
            connection.fetch(&Request::get(path).cookie("tester=1"));
        }
    }
    assert_eq!(connection.fetch(&Request::new("HEAD", "/")).status, 200);
    assert_eq!(connection.fetch(&Request::new("POST", "/").body("x")).status, 200);
    expect(
        &nginx,
        "responses_total",
        &[(CANARY, "2xx", 9), (CANARY, "3xx", 3), (CANARY, "4xx", 9), (CANARY, "5xx", 6), (STABLE, "2xx", 2)],
    );
    expect(&nginx, "attempts_total", &[(CANARY, "ok", 16), (CANARY, "status", 11), (STABLE, "ok", 2)]);
    expect(&nginx, "requests_total", &[(CANARY, "route", 27), (STABLE, "anonymous", 2)]);
    let metrics = nginx.metrics();
    let below =
        |bound: &str| api::value(&metrics, &format!("ttfb_seconds_bucket{{{CANARY},le=\"{bound}\"}}"));
    assert_eq!(below("+Inf"), 27.0);
    assert_eq!(api::value(&metrics, &format!("ttfb_seconds_count{{{CANARY}}}")), 27.0);
    assert!(below("0.008") <= below("0.016") && below("32.768") <= below("+Inf"));
}

/// The API, pages of nginx, and decisions that only a log or a header reads.
#[test]
fn what_goes_to_no_release_is_no_request() {
    let nginx = start(
        "location / { proxy_pass http://lobechat_canary; }
         location /tell { add_header X-Release $lobechat_canary_release; return 200 told; }
         location /elsewhere { add_header X-Release $lobechat_canary_release; proxy_pass http://unix:@DIR@/a.sock; }
         location /refused { deny all; proxy_pass http://lobechat_canary; }",
    );
    assert_eq!(nginx.get("/tell").header("X-Release"), Some("stable"));
    assert_eq!(nginx.get("/elsewhere").header("X-Release"), Some("stable"));
    assert_eq!(nginx.get("/refused").status, 403);
    assert_eq!(nginx.fetch(Request::get("/").header("Bad\u{1}Name", "x").host("a b")).status, 400);
    nginx.policy("p");
    assert_eq!(nginx.get("/").status, 200);
    expect(&nginx, "requests_total", &[(STABLE, "anonymous", 1)]);
    expect(&nginx, "responses_total", &[(STABLE, "2xx", 1)]);
    expect(&nginx, "attempts_total", &[(STABLE, "ok", 1)]);
}

#[test]
fn subrequests_are_not_the_clients() {
    let nginx = config(&format!("lobechat_canary p {{ {RELEASES} }} {}",
        "location / { mirror /copy; mirror /copy; auth_request /may; proxy_pass http://lobechat_canary; }
         location = /static { auth_request /may; mirror /copy; root @DIR@; }
         location = /copy { internal; proxy_pass http://lobechat_canary; }
         location = /may { internal; proxy_pass_request_body off; proxy_set_header Content-Length ''; proxy_pass http://lobechat_canary; }
         log_subrequest on; access_log @DIR@/sub.log;"))
    .file("static", "a file")
    .start();
    for _ in 0..10 {
        assert_eq!(nginx.fetch(Request::get("/").cookie("tester=1")).status, 200);
    }
    // All of them: the request, what was asked about it, and two copies.
    nginx.log_lines("sub.log", 40);
    expect(&nginx, "requests_total", &[(CANARY, "route", 10)]);
    expect(&nginx, "responses_total", &[(CANARY, "2xx", 10)]);
    expect(&nginx, "attempts_total", &[(CANARY, "ok", 10)]);
    for _ in 0..5 {
        assert_eq!(nginx.fetch(Request::get("/static").cookie("tester=1")).text(), "a file");
    }
    nginx.log_lines("sub.log", 40 + 15);
    expect(&nginx, "requests_total", &[(CANARY, "route", 10)]);
    expect(&nginx, "responses_total", &[(CANARY, "2xx", 10)]);
}

#[test]
fn cached_answers_are_requests_without_attempts() {
    let cache = |location: &str, pass: &str| {
        format!(
            "location {location} {{ proxy_cache pages; proxy_cache_valid 200 404 10m; add_header X-Cache $upstream_cache_status always;
             proxy_cache_key {location}$lobechat_canary_upstream$request_uri; proxy_pass http://{pass}; }}"
        )
    };
    for pass in ["lobechat_canary", "$lobechat_canary_upstream"] {
        let nginx = config(&format!("lobechat_canary p {{ {RELEASES} }} {}", cache("/", pass)))
            .http("proxy_cache_path @DIR@/cache keys_zone=pages:1m;")
            .start();
        for (round, expected) in ["MISS", "HIT", "HIT", "HIT"].iter().enumerate() {
            let response = nginx.fetch(Request::get("/").cookie("tester=1"));
            assert_eq!(response.header("X-Cache"), Some(*expected), "{pass} {round}");
        }
        for expected in ["MISS", "HIT"] {
            assert_eq!(nginx.get("/404").header("X-Cache"), Some(expected), "{pass}");
        }
        expect(&nginx, "requests_total", &[(CANARY, "route", 4), (STABLE, "anonymous", 2)]);
        expect(&nginx, "responses_total", &[(CANARY, "2xx", 4), (STABLE, "4xx", 2)]);
        expect(&nginx, "attempts_total", &[(CANARY, "ok", 1), (STABLE, "ok", 1)]);
    }
}

#[test]
fn the_classic_form_counts_alike() {
    let nginx = start("location / { proxy_pass http://$lobechat_canary_upstream; }");
    for (path, cookie, count) in
        [("/", "tester=1", 5), ("/503", "tester=1", 4), ("/", "uid=alice", 3), ("/404", "x=1", 2)]
    {
        for _ in 0..count {
            nginx.fetch(Request::get(path).cookie(cookie));
        }
    }
    expect(&nginx, "requests_total", &[(CANARY, "route", 9), (STABLE, "split", 3), (STABLE, "anonymous", 2)]);
    expect(
        &nginx,
        "responses_total",
        &[(CANARY, "2xx", 5), (CANARY, "5xx", 4), (STABLE, "2xx", 3), (STABLE, "4xx", 2)],
    );
    expect(&nginx, "attempts_total", &[(CANARY, "ok", 5), (CANARY, "status", 4), (STABLE, "ok", 5)]);
}

#[test]
fn internal_redirects_stay_one_request() {
    let nginx = start(
        "proxy_intercept_errors on;
         location / { proxy_pass http://lobechat_canary; error_page 503 = /sorry; error_page 404 = @again; error_page 470 =200 @again; }
         location = /sorry { return 200 sorry; }
         location @again { proxy_pass http://lobechat_canary/$sent_http_x_nothing; }
         location /rewritten { rewrite ^ / last; }",
    );
    for (path, count, body) in
        [("/503", 3, "sorry"), ("/404", 4, "fine"), ("/470", 2, "fine"), ("/rewritten", 5, "fine")]
    {
        for _ in 0..count {
            assert_eq!(nginx.fetch(Request::get(path).cookie("tester=1")).text(), body, "{path}");
        }
    }
    expect(&nginx, "requests_total", &[(CANARY, "route", 14)]);
    expect(&nginx, "responses_total", &[(CANARY, "2xx", 14)]);
    expect(&nginx, "attempts_total", &[(CANARY, "status", 3 + 2), (CANARY, "ok", 2 * 4 + 2 + 5)]);
}

#[test]
fn a_request_under_two_policies_is_one_of_each() {
    let nginx = config(&format!(
        "proxy_intercept_errors on;
         location / {{ lobechat_canary p {{ {RELEASES} }} error_page 503 = /second/; proxy_pass http://lobechat_canary; }}
         location /second/ {{ lobechat_canary q {{ release stable a; release canary b; route canary if cookie:tester; }}
             proxy_pass http://lobechat_canary/; }}"
    ))
    .start();
    for _ in 0..6 {
        assert_eq!(nginx.fetch(Request::get("/503").cookie("tester=1")).text(), "fine");
    }
    let second = &CANARY.replace("\"p\"", "\"q\"");
    expect(&nginx, "requests_total", &[(CANARY, "route", 6), (second, "route", 6)]);
    expect(&nginx, "attempts_total", &[(CANARY, "status", 6), (second, "ok", 6)]);
    // What the client got in the end is the answer under both.
    expect(&nginx, "responses_total", &[(CANARY, "2xx", 6), (second, "2xx", 6)]);
}

#[test]
fn tokens_that_give_no_claims() {
    const SECRET: &str = "a secret of the tests, forty-eight bytes or longer!";
    let nginx = config(
        "lobechat_canary p { release stable a; release canary b; route canary if claim:sub; identity jwt secret=@DIR@/secret; }
         location / { proxy_pass http://lobechat_canary; }",
    )
    .file("secret", SECRET)
    .start();
    let (past, future) = (now() - 4000, now() + 4000);
    let token = |secret: &str, exp: u64| hs256(secret, &format!(r#"{{"sub":"u","exp":{exp}}}"#));
    for (token, count, status) in [
        (token(SECRET, future), 4, 200),
        (token(SECRET, past), 3, 200),
        (token(&SECRET.replace('a', "b"), future), 2, 200),
        ("a.b.c".to_owned(), 5, 200),
    ] {
        for _ in 0..count {
            assert_eq!(nginx.fetch(Request::get("/").bearer(&token)).status, status);
        }
    }
    nginx.get("/");
    expect(&nginx, "requests_total", &[(CANARY, "route", 4), (STABLE, "anonymous", 11)]);
    let failures = wait_for("all failures", || {
        let failures = api::counted(&nginx.metrics(), "identity_failures_total");
        (failures.iter().map(|(_, count)| count).sum::<u64>() >= 10).then_some(failures)
    });
    let mut counts: Vec<u64> = failures.iter().map(|(_, count)| *count).collect();
    counts.sort();
    assert_eq!(counts, [2, 3, 5], "{failures:?}");
    let expired = failures.iter().find(|(series, _)| series.contains("reason=\"expired\""));
    assert_eq!(expired.map(|(_, count)| *count), Some(3), "{failures:?}");
    assert!(
        failures.iter().all(|(series, _)| series.starts_with("policy=\"p\",kind=\"jwt\"")),
        "{failures:?}"
    );
}
