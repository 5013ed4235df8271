//! `fallback` keeps nginx's own rules of `proxy_next_upstream`: methods, tries, time, bodies, kept connections, and
//! what each upstream of a release balances by itself.

use std::sync::atomic::{AtomicUsize, Ordering};

use black_box::backend::Backend;
use black_box::load::{Client, under_load};
use black_box::nginx::signal;
use black_box::{Config, Request};
use rustix::process::Signal;

use crate::fallback::{PASS, canary, gateway, logged};

const DEAD: &str = "upstream b { server unix:@DIR@/nobody.sock; }";

fn reset() -> Backend {
    Backend::start(|mut peer| {
        peer.request();
        peer.close();
    })
}

#[test]
fn a_request_that_changes_things_is_sent_once() {
    let reset = reset();
    let post = || Request::new("POST", "/").cookie("canary=1").body("x");
    let server = format!(
        "{PASS} location /again {{ proxy_next_upstream error non_idempotent; proxy_pass http://lobechat_canary; }}"
    );
    let nginx =
        gateway("", &server).releases(&["a"]).http(&format!("upstream b {{ {} }}", reset.server())).start();
    let again = Request::new("POST", "/again").cookie("canary=1").body("x");
    assert_eq!(
        logged(&nginx, &[post(), again, Request::new("PUT", "/").cookie("canary=1").body("x")]),
        ["canary canary [502]", "canary stable [502, 200]", "canary stable [502, 200]"]
    );
    // Nothing has been sent where nobody listens.
    let nginx = gateway("", PASS).releases(&["a"]).http(DEAD).start();
    assert_eq!(logged(&nginx, &[post()]), ["canary stable [502, 200]"]);
}

#[test]
fn a_body_that_was_not_kept_is_sent_once() {
    let reset = reset();
    let server = format!("proxy_request_buffering off; proxy_http_version 1.1; {PASS}");
    let put = Request::new("PUT", "/").cookie("canary=1").body(vec![b'x'; 300_000]);
    let sizes = Backend::start(|mut peer| {
        while let Some(request) = peer.request() {
            peer.answer("200 OK", "", &request.body.len().to_string());
        }
    });
    let stable = format!("upstream a {{ {} }}", sizes.server());
    let nginx =
        gateway("", &server).http(&stable).http(&format!("upstream b {{ {} }}", reset.server())).start();
    assert_eq!(logged(&nginx, std::slice::from_ref(&put)), ["canary canary [502]"]);
    let nginx = gateway("", &server).http(&stable).http(DEAD).start();
    assert_eq!(nginx.fetch(put.clone()).text(), "300000");
    // A body that was kept goes out again, whole.
    let nginx = gateway("", PASS).http(&stable).http(&format!("upstream b {{ {} }}", reset.server())).start();
    assert_eq!(nginx.fetch(put).text(), "300000");
    assert_eq!(nginx.log_lines("access.log", 1), ["canary stable [502, 200]"]);
}

#[test]
fn tries_time_and_off() {
    let slow = Backend::start(|mut peer| {
        peer.request();
        peer.read_to_end();
    });
    let two = format!("upstream b {{ {} }}", reset_servers(2));
    for (rule, upstream, expected) in [
        ("proxy_next_upstream off;", two.as_str(), "canary canary [502]"),
        ("proxy_next_upstream http_503;", &two, "canary canary [502]"),
        ("proxy_next_upstream_tries 1;", &two, "canary canary [502]"),
        ("proxy_next_upstream_tries 2;", &two, "canary canary [502, 502]"),
        ("proxy_next_upstream_tries 3;", &two, "canary stable [502, 502, 200]"),
        ("", &two, "canary stable [502, 502, 200]"),
        (
            "proxy_read_timeout 300ms; proxy_next_upstream_timeout 200ms;",
            &format!("upstream b {{ {} }}", slow.server()),
            "canary canary [504]",
        ),
        // Nothing was tried.
        ("proxy_next_upstream off;", "upstream b { server 127.0.0.1:1 down; }", "canary stable [200]"),
        ("proxy_next_upstream_tries 1;", "upstream b { server 127.0.0.1:1 down; }", "canary stable [200]"),
    ] {
        let nginx = gateway("", &format!("{rule} {PASS}")).releases(&["a"]).http(upstream).start();
        assert_eq!(logged(&nginx, &[canary("/")]), [expected], "{rule} {upstream}");
    }
}

/// Servers where nobody listens.
fn reset_servers(count: usize) -> String {
    (0..count).map(|n| format!("server unix:@DIR@/nobody{n}.sock;")).collect()
}

#[test]
fn failed_servers_are_left_out_and_no_live_one_costs_nothing() {
    let servers = "server unix:@DIR@/n1.sock fail_timeout=1h; server unix:@DIR@/n2.sock fail_timeout=1h;";
    let nginx = gateway("", PASS).releases(&["a"]).http(&format!("upstream b {{ {servers} }}")).start();
    assert_eq!(
        logged(&nginx, &[canary("/"), canary("/"), canary("/")]),
        ["canary stable [502, 502, 200]", "canary stable [200]", "canary stable [200]"]
    );
    // Nobody has a live server: nginx's own error, with the name of the last upstream.
    let nginx = gateway("", PASS)
        .http("upstream a { server 127.0.0.1:1 down; } upstream b { server 127.0.0.1:1 down; }")
        .start();
    assert_eq!(logged(&nginx, &[canary("/")]), ["canary stable [502]"]);
    assert!(nginx.error_log().contains("no live upstreams while connecting to upstream"));
    assert!(nginx.error_log().contains("upstream: \"http://a/\""), "{}", nginx.error_log());
}

#[test]
fn every_balancer() {
    let dead = reset_servers(2);
    let alive = "server unix:@DIR@/s1.sock; server unix:@DIR@/s2.sock;";
    for method in [
        "",
        "zone z@ 128k;",
        "least_conn;",
        "zone z@ 128k; least_conn;",
        "hash $uri;",
        "hash $uri consistent;",
        "zone z@ 128k; hash $uri;",
        "ip_hash;",
        "random;",
        "zone z@ 128k; random two least_conn;",
        "keepalive 4;",
        "zone z@ 128k; random two; keepalive 4;",
    ] {
        let upstream = |name: &str, servers: &str| {
            format!("upstream {name} {{ {servers} {} }}", method.replace('@', name))
        };
        let nginx = gateway("", PASS)
            .backend("s1", "return 200 one;")
            .backend("s2", "return 200 two;")
            .http(&(upstream("a", alive) + &upstream("b", &dead)))
            .start();
        for round in 0..8 {
            let response = nginx.fetch(canary(&format!("/{round}")));
            assert!(["one", "two"].contains(&response.text().as_str()), "{method}: {}", response.status);
        }
        let lines = nginx.log_lines("access.log", 8);
        assert!(lines.iter().all(|line| line.starts_with("canary stable ")), "{method}: {lines:?}");
        assert!(lines[0].matches("502").count() >= 1, "{method}: {lines:?}");
    }
}

#[test]
fn both_releases_keep_their_connections() {
    let tell = "location / { return 200 \"$server_name $connection $connection_requests\"; }";
    let nginx = gateway(
        "",
        &format!(
            "proxy_http_version 1.1; proxy_set_header Connection ''; proxy_next_upstream http_404; {PASS}"
        ),
    )
    .backend("a", &format!("server_name a; {tell}"))
    .backend("b", &format!("server_name b; {tell} location /x {{ return 404; }}"))
    .http("upstream a { server unix:@DIR@/a.sock; keepalive 4; }")
    .http("upstream b { server unix:@DIR@/b.sock; keepalive 4; }")
    .start();
    let connection = |answer: String| answer.rsplit_once(' ').unwrap().0.to_owned();
    let a = connection(nginx.text("/"));
    let b = connection(nginx.fetch(canary("/")).text());
    assert!(a.starts_with("a ") && b.starts_with("b "), "{a}, {b}");
    for round in 0..3 {
        // b says 404 over its connection, a answers over its own.
        assert_eq!(nginx.fetch(canary("/x")).text(), format!("{a} {}", 2 + 2 * round));
        assert_eq!(nginx.text("/"), format!("{a} {}", 3 + 2 * round));
    }
    assert!(
        nginx.log_lines("access.log", 8).iter().filter(|l| *l == "canary stable [404, 200]").count() == 3
    );
}

/// Answers the first request of each connection, and closes at the second without a word, as an application does that
/// closes idle connections just then. From connection `failing` on it answers nothing.
fn closes_kept_connections(failing: usize) -> Backend {
    let count = AtomicUsize::new(0);
    Backend::start(move |mut peer| {
        let connection = count.fetch_add(1, Ordering::SeqCst);
        if peer.request().is_some() && connection < failing {
            peer.answer("200 OK", "", "b");
            peer.request();
        }
        peer.close();
    })
}

#[test]
fn a_stale_connection_is_tried_again_at_the_same_release() {
    for (rule, failing, expected) in [
        ("", usize::MAX, ["canary canary [200]", "canary canary [502, 200]"]),
        ("proxy_next_upstream_tries 1;", usize::MAX, ["canary canary [200]", "canary canary [502, 200]"]),
        // The second try fails by itself.
        ("", 1, ["canary canary [200]", "canary stable [502, 502, 200]"]),
        ("proxy_next_upstream_tries 1;", 1, ["canary canary [200]", "canary canary [502, 502]"]),
        ("proxy_next_upstream off;", usize::MAX, ["canary canary [200]", "canary canary [502]"]),
    ] {
        let backend = closes_kept_connections(failing);
        let keep = "proxy_http_version 1.1; proxy_set_header Connection '';";
        let nginx = gateway("", &format!("{keep} {rule} {PASS}"))
            .releases(&["a"])
            .http(&format!("upstream b {{ {} keepalive 4; }}", backend.server()))
            .start();
        assert_eq!(logged(&nginx, &[canary("/"), canary("/")]), expected, "{rule} {failing}");
    }
}

#[test]
fn several_rounds_of_one_request() {
    let nginx = gateway(
        "",
        &format!(
            "{PASS} location /first {{ error_page 502 = /second; proxy_pass http://lobechat_canary; }}
             location /plain {{ error_page 502 = /other; proxy_pass http://lobechat_canary/first; }}
             location /other {{ proxy_pass http://a; }}"
        ),
    )
    .release("a", "location / { return 200 a; } location /first { return 444; }")
    .http(DEAD)
    .start();
    assert_eq!(
        logged(&nginx, &[canary("/first"), canary("/plain"), Request::get("/first")]),
        [
            "canary stable [502, 502 : 502, 200]",
            "canary canary [502, 502 : 200]",
            "stable stable [502 : 200]"
        ]
    );
}

#[test]
fn subrequests_fall_back_by_themselves() {
    let refuse_auth =
        "location / { return 200 b; } location /auth { return 444; } location /copy { return 444; }";
    let nginx = gateway(
        "expose on;",
        "location / { auth_request /auth; mirror /copy; proxy_pass http://lobechat_canary; }
         location /auth { internal; proxy_pass http://lobechat_canary; }
         location /copy { internal; log_subrequest on; proxy_pass http://lobechat_canary; }",
    )
    .release("a", "access_log @DIR@/a.log; location / { return 200 a; } location /auth { return 204; }")
    .release("b", refuse_auth)
    .start();
    let response = nginx.fetch(canary("/"));
    assert_eq!((response.status, response.text().as_str()), (200, "b"));
    assert_eq!(response.all("X-LobeChat-Release"), ["canary"]);
    let mut lines = nginx.log_lines("access.log", 2);
    lines.sort();
    assert_eq!(lines, ["canary canary [200]", "canary canary [502, 200]"]);
    let asked = nginx.log_lines("a.log", 2).join("\n");
    assert!(asked.contains("GET /auth ") && asked.contains("GET /copy "), "{asked}");
}

#[test]
fn a_release_that_is_killed_under_load_costs_no_request() {
    let canary_server = Config::new().workers(2).server("location / { return 200 b; }").start();
    let mut nginx = gateway("", &format!("proxy_http_version 1.1; proxy_set_header Connection ''; {PASS}"))
        .workers(2)
        .releases(&["a"])
        .http(&format!("upstream b {{ server 127.0.0.1:{}; keepalive 8; }}", canary_server.port()))
        .start();
    let port = nginx.port();
    let clients =
        vec![Client::Fresh(port), Client::Kept(port, None), Client::Kept(port, None), Client::Fresh(port)];
    let (from_a, from_b) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let judge = |response: &black_box::Response| match response.text().as_str() {
        text @ ("a" | "b") => {
            if text == "a" { &from_a } else { &from_b }.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
        other => Err(format!("{} {other}", response.status)),
    };
    let outcome = under_load(
        &mut nginx,
        clients,
        |_| canary("/"),
        judge,
        |_| {
            let more = |counter: &AtomicUsize| {
                let before = counter.load(Ordering::SeqCst);
                black_box::wait_for("more answers", || {
                    (counter.load(Ordering::SeqCst) > before + 300).then_some(())
                });
            };
            more(&from_b);
            let workers = canary_server.worker_pids();
            signal(canary_server.master_pid(), Signal::KILL);
            workers.into_iter().for_each(|pid| signal(pid, Signal::KILL));
            more(&from_a);
        },
    );
    assert_eq!(outcome.failures, [""; 0], "{} answers", outcome.answered);
}
