//! `fallback`: a request whose release fails goes on to another one, and what is said and kept of that.

use std::sync::atomic::{AtomicUsize, Ordering};

use black_box::backend::Backend;
use black_box::{Config, Nginx, Request};

use crate::config_errors::{assert_refused, policy as refused_policy};

/// Release `stable` at upstream a, `canary` at upstream b for those with a cookie; each request is logged as `decided
/// served [statuses]`.
pub fn gateway(policy: &str, server: &str) -> Config {
    Config::new()
        .http("log_format l '$lobechat_canary_release $lobechat_canary_served [$upstream_status]';")
        .server("access_log @DIR@/access.log l;")
        .server(&format!(
            "lobechat_canary {{ release stable a version=1.0.0; release canary b version=2.0.0;
                 route canary if cookie:canary; {policy} }}"
        ))
        .server(server)
}

pub const PASS: &str = "location / { proxy_pass http://lobechat_canary; }";

pub fn canary(target: &str) -> Request {
    Request::get(target).cookie("canary=1")
}

/// Sends requests one after the other and returns what was logged of each.
pub fn logged(nginx: &Nginx, requests: &[Request]) -> Vec<String> {
    let before = nginx.file("access.log").lines().count();
    for (index, request) in requests.iter().enumerate() {
        nginx.fetch(request.clone());
        nginx.log_lines("access.log", before + index + 1);
    }
    nginx.log_lines("access.log", before + requests.len())[before..].to_vec()
}

#[test]
fn whatever_nginx_tries_again_falls_back() {
    let reset = Backend::start(|mut peer| {
        peer.request();
        peer.close();
    });
    let silent = Backend::start(|mut peer| {
        peer.request();
        peer.read_to_end();
    });
    let garbage = Backend::start(|mut peer| {
        peer.request();
        peer.write("HTTP/1.1 200 OK\r\nX\0: y\r\n\r\n");
    });
    let status = |status: &str| {
        let status = status.to_owned();
        Backend::start(move |mut peer| {
            while peer.request().is_some() {
                peer.answer(&status, "", "no");
            }
        })
    };
    let (unavailable, missing) = (status("503 Service Unavailable"), status("404 Not Found"));
    for (server, next, expected) in [
        ("server unix:@DIR@/nobody.sock;", "", "[502, 200]"),
        (reset.server().as_str(), "", "[502, 200]"),
        (silent.server().as_str(), "", "[504, 200]"),
        (garbage.server().as_str(), "invalid_header", "[502, 200]"),
        (unavailable.server().as_str(), "http_503", "[503, 200]"),
        (missing.server().as_str(), "http_404", "[404, 200]"),
        // More servers of a release come first, but on 404 they would say the same.
        (&unavailable.server().repeat(3), "http_503", "[503, 503, 503, 200]"),
        (&missing.server().repeat(3), "http_404", "[404, 200]"),
        ("server unix:@DIR@/nobody.sock; server unix:@DIR@/no2.sock backup;", "", "[502, 502, 200]"),
        // No live server is no attempt.
        ("server 127.0.0.1:1 down;", "", "[200]"),
    ] {
        let next = if next.is_empty() { "" } else { &format!("proxy_next_upstream error {next};") };
        let nginx = gateway("", &format!("proxy_read_timeout 300ms; {next} {PASS}"))
            .releases(&["a"])
            .http(&format!("upstream b {{ {server} }}"))
            .start();
        assert_eq!(nginx.fetch(canary("/")).text(), "a", "{server} {expected}");
        assert_eq!(nginx.log_lines("access.log", 1), [format!("canary stable {expected}")], "{server}");
        assert_eq!(logged(&nginx, &[Request::get("/")]), ["stable stable [200]"]);
    }
}

#[test]
fn what_nginx_does_not_try_again_stays() {
    let missing = "location / { return 404 missing; } location /bad { return 503 bad; }";
    let nginx = gateway("", PASS).releases(&["a"]).release("b", missing).start();
    for (target, status) in [("/", 404), ("/bad", 503)] {
        let response = nginx.fetch(canary(target));
        assert_eq!(response.status, status);
    }
    // A half answer stays half.
    let half = Backend::start(|mut peer| {
        peer.request();
        peer.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        peer.close();
    });
    let nginx =
        gateway("", PASS).releases(&["a"]).http(&format!("upstream b {{ {} }}", half.server())).start();
    let mut connection = nginx.connect();
    connection.write(&canary("/").to_bytes()).unwrap();
    assert_eq!(connection.read_head().unwrap().header("Content-Length"), Some("100"));
    assert_eq!(connection.read(4), b"half");
    assert_eq!(nginx.log_lines("access.log", 1), ["canary canary [200]"]);
}

#[test]
fn the_order_is_that_of_the_line() {
    let dead = "server unix:@DIR@/nobody.sock;";
    let start = |policy: &str, c: &str| {
        gateway(&format!("release third c; route third if cookie:third; {policy}"), PASS)
            .releases(&["a"])
            .http(&format!("upstream b {{ {dead} }} upstream c {{ {c} }}"))
            .backend("c", "return 200 c;")
            .start()
    };
    let third = Request::get("/").cookie("third=1");
    let alive = "server unix:@DIR@/c.sock;";
    for (policy, c, expected) in [
        ("", dead, ["canary stable [502, 200]", "third stable [502, 200]"]),
        ("fallback third stable;", alive, ["canary third [502, 200]", "third third [200]"]),
        ("fallback third stable;", dead, ["canary stable [502, 502, 200]", "third stable [502, 200]"]),
        (
            "fallback canary third stable;",
            dead,
            ["canary stable [502, 502, 200]", "third stable [502, 502, 200]"],
        ),
        ("fallback canary third;", dead, ["canary third [502, 502]", "third canary [502, 502]"]),
        ("fallback off;", dead, ["canary canary [502]", "third third [502]"]),
    ] {
        assert_eq!(logged(&start(policy, c), &[canary("/"), third.clone()]), expected, "{policy} {c}");
    }
}

#[test]
fn stable_falls_back_where_the_line_says_so() {
    let dead = "upstream a { server unix:@DIR@/nobody.sock; }";
    for (policy, expected) in [("", "stable stable [502]"), ("fallback canary;", "stable canary [502, 200]")]
    {
        let nginx = gateway(policy, PASS).releases(&["b"]).http(dead).start();
        assert_eq!(logged(&nginx, &[Request::get("/")]), [expected]);
    }
}

#[test]
fn headers_name_who_answered_and_the_request_who_was_decided() {
    let nginx = gateway(
        "expose on; user visitor;",
        "location / { set $early $lobechat_canary_served; add_header X-Early $early; add_header X-Served $lobechat_canary_served; add_header X-Addr $upstream_addr;
             proxy_set_header X-Release $lobechat_canary_release; proxy_pass http://lobechat_canary; }
         location /early { set $early $lobechat_canary_served; proxy_pass http://lobechat_canary; }",
    )
    .release("a", "location / { default_type text/html; return 200 \"a for $http_x_release\"; }")
    .http("upstream b { server unix:@DIR@/nobody.sock; }")
    .start();
    let response = nginx.fetch(Request::navigation("/").cookie("canary=1"));
    assert_eq!(response.text(), "a for canary");
    assert_eq!(response.all("X-LobeChat-Release"), ["stable"]);
    assert_eq!(response.all("Server-Timing"), ["release;desc=\"1.0.0\""]);
    assert_eq!((response.header("X-Early"), response.header("X-Served")), (Some("canary"), Some("stable")));
    let addresses = response.header("X-Addr").unwrap();
    assert!(addresses.contains("/nobody.sock, unix:") && addresses.ends_with("/a.sock"), "{addresses}");
    // A page of a release is one of a release, whichever.
    assert!(response.cookie("lobechat_visitor").is_some());
    assert_eq!(nginx.log_lines("access.log", 1), ["canary stable [502, 200]"]);
    // The log has the last word, though the variable was read before, and only then.
    assert_eq!(logged(&nginx, &[canary("/early")]), ["canary stable [502, 200]"]);
}

#[test]
fn the_classic_form_does_not_fall_back() {
    let nginx = gateway("expose on;", "location / { proxy_pass http://$lobechat_canary_upstream; }")
        .releases(&["a"])
        .http("upstream b { server unix:@DIR@/nobody.sock; }")
        .start();
    assert_eq!(
        logged(&nginx, &[canary("/"), Request::get("/")]),
        ["canary canary [502]", "stable stable [200]"]
    );
    assert_eq!(nginx.get("/").all("X-LobeChat-Release"), ["stable"]);
}

/// The canary fails `failures` times, then answers.
fn recovering(failures: usize) -> Backend {
    let count = AtomicUsize::new(0);
    Backend::start(move |mut peer| {
        while peer.request().is_some() {
            match count.fetch_add(1, Ordering::SeqCst) {
                n if n < failures => peer.answer("503 Service Unavailable", "", "no"),
                _ => peer.answer("200 OK", "", "b"),
            }
        }
    })
}

#[test]
fn a_fallback_answer_is_neither_cached_nor_stored() {
    let backend = recovering(2);
    let nginx = gateway(
        "",
        "proxy_next_upstream http_503; proxy_cache_valid any 1h;
         location / { proxy_cache k; proxy_cache_key $lobechat_canary_upstream$uri; proxy_pass http://lobechat_canary;
             proxy_cache_lock on; add_header X-Cache $upstream_cache_status; }
         location /stored { proxy_store @DIR@/$lobechat_canary_release.html; proxy_pass http://lobechat_canary; }",
    )
    .http("proxy_cache_path @DIR@/cache keys_zone=k:1m;")
    .releases(&["a"])
    .http(&format!("upstream b {{ {} }}", backend.server()))
    .start();
    let requests = AtomicUsize::new(0);
    let fetch = |request: Request| {
        let response = nginx.fetch(request);
        // nginx moves a file to its place after the answer, and then logs.
        nginx.log_lines("access.log", requests.fetch_add(1, Ordering::SeqCst) + 1);
        (response.text(), response.header("X-Cache").unwrap_or_default().to_owned())
    };
    let answer = |text: &str, cache: &str| (text.to_owned(), cache.to_owned());
    assert_eq!(fetch(canary("/")), answer("a", "MISS"));
    assert_eq!(fetch(canary("/stored")).0, "a");
    assert_eq!(nginx.file("canary.html"), "");
    assert_eq!(fetch(canary("/")), answer("b", "MISS"));
    assert_eq!(fetch(canary("/")), answer("b", "HIT"));
    assert_eq!(fetch(canary("/stored")).0, "b");
    assert_eq!(nginx.file("canary.html"), "b");
    assert_eq!(fetch(Request::get("/")), answer("a", "MISS"));
    assert_eq!(fetch(Request::get("/")), answer("a", "HIT"));
}

#[test]
fn a_stale_cache_entry_answers_for_the_decided_release() {
    let backend = Backend::start({
        let count = AtomicUsize::new(0);
        move |mut peer| {
            while peer.request().is_some() {
                match count.fetch_add(1, Ordering::SeqCst) {
                    0 => peer.answer("200 OK", "Cache-Control: max-age=1\r\n", "b"),
                    _ => peer.answer("503 Service Unavailable", "", "no"),
                }
            }
        }
    });
    let nginx = gateway(
        "expose on;",
        "location / { proxy_cache k; proxy_cache_key $lobechat_canary_upstream; proxy_cache_use_stale http_503;
             proxy_next_upstream http_503; add_header X-Cache $upstream_cache_status; proxy_pass http://lobechat_canary; }",
    )
    .http("proxy_cache_path @DIR@/cache keys_zone=k:1m;")
    .release("a", "location / { return 503; }")
    .http(&format!("upstream b {{ {} }}", backend.server()))
    .start();
    assert_eq!(nginx.fetch(canary("/")).text(), "b");
    std::thread::sleep(std::time::Duration::from_millis(2_100));
    let stale = nginx.fetch(canary("/"));
    assert_eq!((stale.text().as_str(), stale.header("X-Cache")), ("b", Some("STALE")));
    assert_eq!(stale.all("X-LobeChat-Release"), ["canary"]);
    assert_eq!(nginx.log_lines("access.log", 2)[1], "canary canary [503, 503]");
}

#[test]
fn mistakes_say_what_to_write() {
    for (block, expected) in [
        ("release stable a;\nfallback;", "write \"fallback release [release ...] | off;\""),
        ("release stable a;\nrelease b b;\nfallback b off;", "unexpected \"off\""),
        ("release stable a;\nrelease b b;\nfallback b b;", "duplicate release \"b\""),
        (
            "release stable a;\nfallback x; #!\nsalt s;",
            "unknown release \"x\" in \"fallback\" directive: the policy has stable",
        ),
        ("release stable a;\nfallback off;\nfallback stable;", "\"fallback\" directive is duplicate"),
    ] {
        assert_refused(block, &refused_policy(block).check(), &[expected]);
    }
    // Before its releases, and stable to itself.
    let block = "fallback b stable;\nrelease stable a;\nrelease b b;";
    let check = refused_policy(block).check();
    assert!(check.ok, "{}", check.output);
}
