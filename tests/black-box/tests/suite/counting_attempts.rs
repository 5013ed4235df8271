//! How attempts end, and whose failure that is.

use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use black_box::api;
use black_box::backend::Backend;
use black_box::{Config, Nginx, Request};

/// A policy whose canary has this upstream; who has the cookie `tester` gets it.
pub fn config(canary: &str, lines: &str) -> Config {
    Config::new()
        .releases(&["a"])
        .http(&format!("lobechat_canary_zone lobechat_canary:1m state=off; upstream b {{ {canary} }}"))
        .server(&api::location("write"))
        .server(&format!(
            "lobechat_canary p {{ release stable a; release canary b; route canary if cookie:tester; {lines} }}
             proxy_http_version 1.1; proxy_set_header Connection ''; proxy_read_timeout 300ms;
             proxy_next_upstream error timeout invalid_header;"
        ))
}

fn start(canary: &str, lines: &str) -> Nginx {
    config(canary, lines).server("location / { proxy_pass http://lobechat_canary; }").start()
}

pub fn tester(method: &str) -> Request {
    Request::new(method, "/").cookie("tester=1")
}

/// All counts so far: `RELEASE VALUE`.
pub fn expect(nginx: &Nginx, requests: &[(&str, u64)], responses: &[(&str, u64)], attempts: &[(&str, u64)]) {
    for (family, label, expected) in [
        ("requests_total", "reason", requests),
        ("responses_total", "code", responses),
        ("attempts_total", "outcome", attempts),
    ] {
        let series = |(name, count): &(&str, u64)| {
            let (release, value) = name.split_once(' ').unwrap();
            (format!("policy=\"p\",release=\"{release}\",version=\"\",{label}=\"{value}\""), *count)
        };
        let expected: Vec<_> = expected.iter().map(series).collect();
        let expected: Vec<_> = expected.iter().map(|(series, count)| (series.as_str(), *count)).collect();
        nginx.wait_counted(family, &expected);
    }
}

#[test]
fn how_attempts_fail() {
    let silent = || Backend::start(|mut peer| drop((peer.request(), peer.read_to_end())));
    let closing = || {
        Backend::start(|mut peer| {
            peer.request();
            peer.close();
        })
    };
    let nonsense = || {
        Backend::start(|mut peer| {
            peer.request();
            peer.write("HTTP/1.1 200 OK\r\nBad\u{1}Name: x\r\n\r\n");
            peer.close();
        })
    };
    let of = |start: &dyn Fn() -> Backend| {
        let backend = start();
        (backend.server(), Some(backend))
    };
    for (outcome, status, (canary, _backend)) in [
        ("connect", 502, ("server unix:@DIR@/nobody.sock;".to_owned(), None)),
        ("no_live", 502, ("server 127.0.0.1:1 down;".to_owned(), None)),
        ("timeout", 504, of(&silent)),
        ("reset", 502, of(&closing)),
        ("reset", 502, of(&nonsense)),
    ] {
        let nginx = start(&canary, "fallback off;");
        for _ in 0..3 {
            assert_eq!(nginx.fetch(tester("GET")).status, status, "{outcome}");
        }
        let attempt = format!("canary {outcome}");
        expect(&nginx, &[("canary route", 3)], &[("canary 5xx", 3)], &[(&attempt, 3)]);
        drop(nginx);
        let nginx = start(&canary, "");
        for _ in 0..3 {
            assert_eq!(nginx.fetch(tester("GET")).text(), "a", "{outcome}");
        }
        expect(&nginx, &[("canary route", 3)], &[("stable 2xx", 3)], &[(&attempt, 3), ("stable ok", 3)]);
        nginx.wait_counted("fallbacks_total", &[(r#"policy="p",from="canary",to="stable""#, 3)]);
    }
}

#[test]
fn a_stale_connection_is_nobodys_failure() {
    let backend = Backend::start(|mut peer| {
        if peer.request().is_some() {
            peer.answer("200 OK", "", "fresh");
        }
        // As one that closes an idle connection just as the next request comes.
        peer.head();
        peer.close();
    });
    let nginx = start(&format!("{} keepalive 4;", backend.server()), "");
    for _ in 0..10 {
        assert_eq!(nginx.fetch(tester("GET")).text(), "fresh");
    }
    expect(&nginx, &[("canary route", 10)], &[("canary 2xx", 10)], &[("canary ok", 10), ("canary stale", 9)]);
    nginx.wait_counted("fallbacks_total", &[]);
}

#[test]
fn clients_that_leave_before_the_answer() {
    let (arrived, arrivals) = channel::<()>();
    let arrived = Mutex::new(arrived);
    let backend = Backend::start(move |mut peer| {
        peer.request();
        let _ = arrived.lock().unwrap().send(());
        peer.read_to_end();
    });
    let nginx = config(&backend.server(), "")
        .server("location / { proxy_read_timeout 60s; proxy_pass http://lobechat_canary; }")
        .start();
    for _ in 0..4 {
        let mut connection = nginx.connect();
        connection.write(&tester("GET").to_bytes()).unwrap();
        arrivals.recv_timeout(Duration::from_secs(20)).unwrap();
    }
    expect(&nginx, &[("canary route", 4)], &[("canary 000", 4)], &[("canary aborted", 4)]);
    nginx.wait_counted("fallbacks_total", &[]);
    assert_eq!(
        api::value(&nginx.metrics(), r#"ttfb_seconds_count{policy="p",release="canary",version=""}"#),
        0.0
    );
}

#[test]
fn answers_that_break_off() {
    for (head, buffering) in
        [("Content-Length: 100\r\n\r\nhalf", "on"), ("Transfer-Encoding: chunked\r\n\r\n64\r\nhalf", "on")]
    {
        let backend = Backend::start(move |mut peer| {
            peer.request();
            peer.write(format!("HTTP/1.1 200 OK\r\n{head}"));
            peer.close();
        });
        let nginx = config(&backend.server(), "")
            .server(&format!(
                "location / {{ proxy_buffering {buffering}; proxy_pass http://lobechat_canary; }}"
            ))
            .start();
        for _ in 0..3 {
            assert!(nginx.connect().try_fetch(&tester("GET")).is_err(), "{head}");
        }
        expect(&nginx, &[("canary route", 3)], &[("canary 2xx", 3)], &[("canary cut", 3)]);
    }
}

/// nginx sends no POST twice, so that the client sees a failure.
#[test]
fn a_post_over_a_stale_connection() {
    let backend = Backend::start(|mut peer| {
        if peer.request().is_some() {
            peer.answer("200 OK", "", "fresh");
        }
        peer.request();
        peer.close();
    });
    let nginx = start(&format!("{} keepalive 4;", backend.server()), "");
    assert_eq!(nginx.fetch(tester("GET")).status, 200);
    assert_eq!(nginx.fetch(tester("POST").body("x")).status, 502);
    expect(
        &nginx,
        &[("canary route", 2)],
        &[("canary 2xx", 1), ("canary 5xx", 1)],
        &[("canary ok", 1), ("canary reset", 1)],
    );
}

/// A failure of one release that another saved, and an answer that is a failure by the policy's own `fail=`.
#[test]
fn statuses() {
    let backend = Backend::start(|mut peer| {
        while let Some(request) = peer.request() {
            let path = request.line.split(' ').nth(1).unwrap_or("/").trim_start_matches('/').to_owned();
            peer.answer(&format!("{path} Some"), "", "x");
        }
    });
    let zone_off = "rollback on fail=404,5xx;";
    let nginx = Config::new()
        .releases(&["a"])
        .http(&format!("lobechat_canary_zone lobechat_canary:1m state=off; upstream b {{ {} }}", backend.server()))
        .server(&api::location("write"))
        .server(&format!(
            "lobechat_canary p {{ release stable a version=1.0.0; release canary b version=1.1.0; route canary if cookie:tester; {zone_off} }}
             location / {{ proxy_next_upstream error http_503; proxy_pass http://lobechat_canary; }}"
        ))
        .start();
    let started = Instant::now();
    for (status, expected) in [(200, 200), (404, 404), (470, 470), (500, 500), (503, 200)] {
        let response = nginx.fetch(Request::get(&format!("/{status}")).cookie("tester=1"));
        assert_eq!(response.status, expected, "{status}");
    }
    let canary = r#"policy="p",release="canary",version="1.1.0""#;
    let stable = r#"policy="p",release="stable",version="1.0.0""#;
    nginx.wait_counted(
        "attempts_total",
        &[
            (&format!("{canary},outcome=\"ok\""), 2),
            (&format!("{canary},outcome=\"status\""), 3),
            (&format!("{stable},outcome=\"ok\""), 1),
        ],
    );
    nginx.wait_counted(
        "responses_total",
        &[
            (&format!("{canary},code=\"2xx\""), 1),
            (&format!("{canary},code=\"4xx\""), 2),
            (&format!("{canary},code=\"5xx\""), 1),
            (&format!("{stable},code=\"2xx\""), 1),
        ],
    );
    nginx.wait_counted("fallbacks_total", &[(r#"policy="p",from="canary",to="stable""#, 1)]);
    assert!(started.elapsed() < Duration::from_secs(20));
}
