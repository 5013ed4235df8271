//! `proxy_pass http://lobechat_canary`: the release's own upstream does all that it does without the module.

use std::collections::BTreeSet;

use black_box::backend::Backend;
use black_box::{Config, Request, wait_for};

/// A policy whose releases stand alone, and a pass to it.
fn policy(name: &str, releases: &str) -> String {
    format!(
        "lobechat_canary {name} {{ {releases} fallback off; user cookie:uid; }} proxy_pass http://lobechat_canary;"
    )
}

const BY_COOKIE: &str = "release stable a; release canary b; route canary if cookie:canary;";

#[test]
fn each_release_keeps_its_own_connections() {
    let tell = "location / { return 200 \"$server_name $connection $connection_requests\"; }";
    let nginx = Config::new()
        .backend("a", &format!("server_name a; {tell}"))
        .backend("b", &format!("server_name b; {tell}"))
        .http("upstream a { server unix:@DIR@/a.sock; keepalive 4; }")
        .http("upstream b { server unix:@DIR@/b.sock; keepalive 4; }")
        .server("proxy_http_version 1.1; proxy_set_header Connection '';")
        .server(&format!("location / {{ {} }}", policy("p", BY_COOKIE)))
        .start();
    let fetch = |cookie: &str| nginx.fetch(Request::get("/").cookie(cookie)).text();
    let connection = |answer: &str| answer.rsplit_once(' ').unwrap().0.to_owned();
    let (a, b) = (connection(&fetch("x=1")), connection(&fetch("canary=1")));
    assert!(a.starts_with("a ") && b.starts_with("b "), "{a}, {b}");
    for count in 2..=5 {
        assert_eq!(fetch("x=1"), format!("{a} {count}"));
        assert_eq!(fetch("canary=1"), format!("{b} {count}"));
    }
}

#[test]
fn a_stale_kept_connection_is_retried() {
    let backend = Backend::start(|mut peer| {
        if peer.request().is_some() {
            peer.answer("200 OK", "", "fresh");
        }
        // Closes without "Connection: close", as a restarted application does.
        peer.close();
    });
    let nginx = Config::new()
        .http(&format!("upstream a {{ {} keepalive 4; }}", backend.server()))
        .server("proxy_http_version 1.1; proxy_set_header Connection '';")
        .server(&format!("location / {{ {} }}", policy("p", "release stable a;")))
        .start();
    for round in 0..20 {
        let response = nginx.get("/");
        assert_eq!((response.status, response.text().as_str()), (200, "fresh"), "round {round}");
    }
}

#[test]
fn balancers_work_inside_a_release() {
    let methods = [
        ("rr", ""),
        ("hash", "hash $arg_k consistent;"),
        ("zoned", "zone zoned 128k; hash $arg_k;"),
        ("least", "least_conn;"),
        ("random", "zone random 128k; random two least_conn;"),
        ("ip", "ip_hash;"),
    ];
    let mut config = Config::new();
    for server in ["s1", "s2", "s3"] {
        config = config.backend(server, &format!("location / {{ return 200 {server}; }}"));
    }
    for (name, lines) in methods {
        let servers = "server unix:@DIR@/s1.sock; server unix:@DIR@/s2.sock; server unix:@DIR@/s3.sock;";
        config = config.http(&format!("upstream {name} {{ {lines} {servers} }}"));
        config = config
            .server(&format!("location /{name} {{ {} }}", policy(name, &format!("release stable {name};"))));
    }
    let nginx = config.start();
    let ask = |name: &str, key: u32| nginx.text(&format!("/{name}?k={key}"));
    let answers = |name: &str| (0..30).map(|key| ask(name, key)).collect::<Vec<_>>();
    let distinct = |answers: &[String]| answers.iter().cloned().collect::<BTreeSet<_>>().len();
    for name in ["rr", "least", "random"] {
        assert_eq!(distinct(&answers(name)), 3, "{name}");
    }
    for name in ["hash", "zoned"] {
        let first = answers(name);
        assert_eq!((distinct(&first), &first), (3, &answers(name)), "{name}");
    }
    assert_eq!(distinct(&answers("ip")), 1, "ip_hash: one client, one server");
    let order = answers("rr");
    assert!(order.windows(3).all(|w| distinct(w) == 3), "round robin takes turns: {order:?}");
}

#[test]
fn backup_servers_and_max_conns() {
    let (hold, release) = std::sync::mpsc::channel::<()>();
    let release = std::sync::Mutex::new(release);
    let slow = Backend::start(move |mut peer| {
        while let Some(request) = peer.request() {
            if request.line.contains("/slow") {
                let _ = release.lock().unwrap().recv();
            }
            peer.answer("200 OK", "", "one at a time");
        }
    });
    let closed = Backend::start(|peer| peer.close());
    let nginx = Config::new()
        .backend("spare", "location / { return 200 spare; }")
        .http(&format!("upstream a {{ {} server unix:@DIR@/spare.sock backup; }}", closed.server()))
        .http(&format!("upstream b {{ zone b 64k; server 127.0.0.1:{} max_conns=1; }}", slow.port))
        .server(&format!("location / {{ {} }}", policy("p", BY_COOKIE)))
        .start();
    for _ in 0..3 {
        assert_eq!(nginx.text("/"), "spare");
    }
    let mut first = nginx.connect();
    first.write(&Request::get("/slow").cookie("canary=1").to_bytes()).unwrap();
    let second = wait_for("a refusal while one request runs", || {
        let response = nginx.fetch(Request::get("/quick").cookie("canary=1"));
        (response.status != 200).then_some(response)
    });
    assert_eq!(second.status, 502);
    nginx.wait_log("no live upstreams");
    hold.send(()).unwrap();
    assert_eq!(first.read_head().unwrap().status, 200);
    wait_for("the place to be free again", || {
        (nginx.fetch(Request::get("/quick").cookie("canary=1")).status == 200).then_some(())
    });
}

#[test]
fn next_upstream_inside_a_release() {
    let nginx = Config::new()
        .backend("bad", "location / { return 503; }")
        .backend("good", "location / { return 200 $request_method; }")
        .http("upstream a { server unix:@DIR@/bad.sock max_fails=0; server unix:@DIR@/good.sock backup; }")
        .http("upstream b { server unix:@DIR@/bad.sock; server unix:@DIR@/bad.sock; }")
        .server("proxy_next_upstream error http_503; add_header X-Status \"$upstream_status\" always;")
        .server("add_header X-Addr \"$upstream_addr\" always;")
        .server(&format!("location / {{ {} }}", policy("p", BY_COOKIE)))
        .server(&format!("location /once {{ proxy_next_upstream_tries 1; {} }}", policy("once", BY_COOKIE)))
        .start();
    let response = nginx.get("/");
    assert_eq!((response.status, response.text().as_str()), (200, "GET"));
    assert_eq!(response.header("X-Status"), Some("503, 200"));
    let addresses = response.header("X-Addr").unwrap();
    assert!(addresses.contains("bad.sock, unix:") && addresses.ends_with("good.sock"), "{addresses}");
    // A POST is not sent twice, and the tries have their limit.
    let post = nginx.fetch(Request::new("POST", "/").body("x"));
    assert_eq!((post.status, post.header("X-Status")), (503, Some("503")));
    assert_eq!(nginx.get("/once").header("X-Status"), Some("503"));
    // When a release has no server left, its own last answer goes out, and no other release is asked.
    let all_bad = nginx.fetch(Request::get("/").cookie("canary=1"));
    assert_eq!((all_bad.status, all_bad.header("X-Status")), (503, Some("503, 503")));
}

#[test]
fn releases_by_address_without_an_upstream_block() {
    let backend = Backend::start(|mut peer| {
        while peer.request().is_some() {
            peer.answer("200 OK", "", "tcp");
        }
    });
    let releases = |name: &str, host: &str| {
        let releases = format!(
            "release stable {host}:{}; release socket unix:@DIR@/u.sock; route socket if cookie:canary;",
            backend.port
        );
        format!("location /{name} {{ {} }}", policy(name, &releases))
    };
    let nginx = Config::new()
        .backend("u", "location / { return 200 unix; }")
        .server(&releases("number", "127.0.0.1"))
        .server(&releases("name", "localhost"))
        .start();
    for target in ["/number", "/name"] {
        assert_eq!(nginx.text(target), "tcp", "{target}");
        assert_eq!(nginx.fetch(Request::get(target).cookie("canary=1")).text(), "unix", "{target}");
    }
}

#[test]
fn the_classic_form_with_a_variable() {
    let nginx = Config::new()
        .releases(&["a", "b"])
        .backend("u", "location / { return 200 \"unix $uri\"; }")
        .server(
            "lobechat_canary { release stable a; release canary b; release socket unix:@DIR@/u.sock;
                 route canary if cookie:canary; route socket if cookie:socket; }
             location / { add_header X-Upstream \"$lobechat_canary_upstream\"; proxy_pass http://$lobechat_canary_upstream; }",
        )
        .start();
    for (cookie, body, upstream) in [("x=1", "a", "a"), ("canary=1", "b", "b")] {
        let response = nginx.fetch(Request::get("/x").cookie(cookie));
        assert_eq!(
            (response.text().as_str(), response.header("X-Upstream")),
            (body, Some(upstream)),
            "{cookie}"
        );
    }
    let socket = nginx.fetch(Request::get("/x").cookie("socket=1"));
    assert_eq!((socket.status, socket.text().as_str()), (200, "unix /x"));
}

#[test]
fn uris_and_redirects_are_those_of_a_static_pass() {
    let nginx = Config::new()
        .release("a", "location / { return 302 http://lobechat_canary/next$uri; }")
        .server(&format!(
            "location /app/ {{ {} }}",
            policy("p", "release stable a;").replace("canary;", "canary/;")
        ))
        .start();
    let response = nginx.get("/app/x/y?z=1");
    let location = response.header("Location").unwrap();
    assert!(location.ends_with("/app/next/x/y"), "{location}");
}

#[test]
fn no_policy_in_force_is_an_error_of_the_server() {
    // A pass by a variable: nginx -t refuses the static one.
    let nginx = Config::new()
        .releases(&["a"])
        .server("set $name lobechat_canary;")
        .server("location /bare/ { proxy_pass http://$name; }")
        .server("location /off/ { lobechat_canary_use off; proxy_pass http://$name; }")
        .server("location ~ ^/regex { proxy_pass http://$name; }")
        .server(&format!("location /fine/ {{ {} }}", policy("p", "release stable a;")))
        .start();
    for (target, location) in [("/bare/x", "/bare/"), ("/off/x", "/off/"), ("/regex", "^/regex")] {
        let before = nginx.error_log().len();
        assert_eq!(nginx.get(target).status, 500, "{target}");
        let log = nginx.error_log();
        let lines: Vec<&str> = log[before..].lines().filter(|line| line.contains("[error]")).collect();
        assert_eq!(lines.len(), 1, "{target}: {lines:?}");
        assert!(lines[0].contains(&format!("location \"{location}\"")), "{target}: {}", lines[0]);
        assert!(lines[0].contains("lobechat_canary"), "{target}: {}", lines[0]);
    }
    assert_eq!(nginx.text("/fine/"), "a");
}

#[test]
fn failures_of_a_release_stay_failures() {
    let reset = Backend::start(|mut peer| {
        peer.request();
        peer.close();
    });
    let half = Backend::start(|mut peer| {
        peer.request();
        peer.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        peer.close();
    });
    let nginx = Config::new()
        .http(&format!("upstream a {{ {} }} upstream b {{ {} }}", reset.server(), half.server()))
        .http("upstream gone { server unix:@DIR@/nobody.sock; } upstream down { server 127.0.0.1:1 down; }")
        .server(&format!(
            "location / {{ {} }}",
            policy(
                "p",
                &format!(
                    "{BY_COOKIE} release gone gone; route gone if cookie:gone; \
                release down down; route down if cookie:down;"
                )
            )
        ))
        .start();
    for cookie in ["x=1", "gone=1", "down=1"] {
        for _ in 0..3 {
            assert_eq!(nginx.fetch(Request::get("/").cookie(cookie)).status, 502, "{cookie}");
        }
    }
    let mut connection = nginx.connect();
    connection.write(&Request::get("/").cookie("canary=1").to_bytes()).unwrap();
    assert_eq!(connection.read_head().unwrap().header("Content-Length"), Some("100"));
    assert_eq!(connection.read(4), b"half");
    nginx.wait_log("upstream prematurely closed connection while reading upstream");
}
