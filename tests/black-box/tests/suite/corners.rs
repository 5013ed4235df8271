//! Less common corners of nginx, where a module that hooks upstreams and headers may trip.

use std::net::Ipv4Addr;

use black_box::backend::Backend;
use black_box::dns::NameServer;
use black_box::nginx::Flavour;
use black_box::{Config, Request, wait_for};

const POLICY: &str = "lobechat_canary { release stable a; release canary b; route canary if cookie:canary; }";
const PASS: &str = "location / { proxy_pass http://lobechat_canary; }";

#[test]
fn a_refused_reload_keeps_the_old_policies() {
    let config = |line: &str| {
        Config::new().releases(&["a", "b"]).server(&format!("{POLICY} {PASS} location /x {{ {line} }}"))
    };
    let mut nginx = config("").start();
    for (line, expected) in [
        ("lobechat_canary x { release stable nowhere; }", "unknown upstream"),
        ("lobechat_canary x { release stable a; route y if cookie:a; }", "unknown release"),
        ("lobechat_canary_use y;", "unknown policy"),
        ("lobechat_canary x { release stable a; user $no_such_thing; }", "unknown variable"),
        ("lobechat_canary x { release stable a; ", "unexpected end of file"),
    ] {
        let log = nginx.reload_refused(&config(line));
        assert!(log.contains(expected), "{log}");
        assert_eq!(nginx.fetch(Request::get("/").cookie("canary=1")).text(), "b", "{line}");
    }
    nginx.reload(&config("return 200 new;"));
    assert_eq!(nginx.text("/x"), "new");
}

#[test]
fn a_running_answer_outlives_a_reload_that_removes_its_policy() {
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let slow = Backend::start(move |mut peer| {
        peer.request();
        peer.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n1");
        let _ = wait.lock().unwrap().recv();
        peer.write("2");
    });
    let config = |policy: &str| {
        Config::new()
            .http(&format!(
                "upstream a {{ {} }} log_format r '$lobechat_canary_release $status';",
                slow.server()
            ))
            .server(&format!("access_log @DIR@/r.log r; proxy_buffering off; {policy}"))
    };
    let mut nginx =
        config("lobechat_canary old { release before a; } location / { proxy_pass http://lobechat_canary; }")
            .start();
    let mut connection = nginx.connect();
    connection.write(&Request::get("/").to_bytes()).unwrap();
    assert_eq!(connection.read_head().unwrap().status, 200);
    assert_eq!(connection.read(1), b"1");
    nginx.reload(&config("location / { return 204; }"));
    assert_eq!(nginx.get("/").status, 204);
    go_on.send(()).unwrap();
    assert_eq!(connection.read(1), b"2");
    wait_for("the old worker's log line", || nginx.file("r.log").contains("before 200\n").then_some(()));
}

#[test]
fn passes_inside_if_and_limit_except() {
    let nginx = Config::new()
        .releases(&["a", "b"])
        .server(&format!(
            "{POLICY} location / {{ if ($arg_if) {{ proxy_pass http://lobechat_canary; }}
                 limit_except GET {{ deny all; }} proxy_pass http://lobechat_canary; }}"
        ))
        .start();
    for target in ["/", "/?if=1"] {
        assert_eq!(nginx.fetch(Request::get(target).cookie("canary=1")).text(), "b", "{target}");
        assert_eq!(nginx.get(target).text(), "a", "{target}");
    }
    assert_eq!(nginx.fetch(Request::new("DELETE", "/")).status, 403);
}

#[test]
fn blocks_may_be_written_as_any_block_of_nginx() {
    let nginx = Config::new()
        .releases(&["a", "b"])
        .server(
            "lobechat_canary\n\"quoted-name\"\n{ # a comment\n\n  release 'stable' \"a\" ; release\n canary\n b\n weight=100% ; user\n\
             # another\n $arg_u ; salt ' #;{} ' ; route canary if header:x-a = \"a b; c\" ; }\nlocation / { return 200 \
             \"$lobechat_canary_release|$lobechat_canary_rule\"; }",
        )
        .start();
    assert_eq!(nginx.text("/"), "stable|");
    assert_eq!(nginx.text("/?u=1"), "canary|");
    assert_eq!(
        nginx.fetch(Request::get("/").header("X-A", "a b; c")).text(),
        "canary|canary if header:x-a = a b; c"
    );
}

#[test]
fn many_policies_releases_and_routes() {
    let names: Vec<String> = (0..60).map(|n| format!("{n:063}")).collect();
    let releases = &names[..15];
    let policy = |name: &String| {
        let routes: String = releases
            .iter()
            .map(|name| format!("route r{} if cookie:c{} = x;\n", &name[1..], &name[1..]))
            .collect();
        let line = |name: &String| format!("release r{} a version=0.0.0+{name};\n", &name[1..]);
        let releases: String = releases.iter().map(line).collect();
        format!(
            "location /{name} {{ lobechat_canary {name} {{ release stable a; {releases} {routes} }} return 200 $lobechat_canary_release; }}\n"
        )
    };
    let nginx = Config::new().releases(&["a"]).server(&names.iter().map(policy).collect::<String>()).start();
    for name in [&names[0], &names[59]] {
        let release =
            nginx.fetch(Request::get(&format!("/{name}")).cookie(format!("c{}=x", &names[7][1..]))).text();
        assert_eq!(release, format!("r{}", &names[7][1..]));
    }
}

#[test]
fn pipelined_requests_are_decided_one_by_one() {
    let nginx = Config::new().releases(&["a", "b"]).server(&format!("{POLICY} {PASS}")).start();
    let mut bytes = Vec::new();
    for round in 0..20 {
        bytes.extend(Request::get("/").cookie(if round % 2 == 0 { "canary=1" } else { "x=1" }).to_bytes());
    }
    let mut connection = nginx.connect();
    connection.write(&bytes).unwrap();
    for round in 0..20 {
        assert_eq!(connection.read_head().unwrap().status, 200, "{round}");
        assert_eq!(connection.read(2), if round % 2 == 0 { b"b\n" } else { b"a\n" }, "{round}");
    }
}

#[test]
fn upstreams_whose_addresses_change() {
    if Flavour::get().version < vec![1, 27, 3] {
        eprintln!("this nginx resolves names of upstreams at start only");
        return;
    }
    let (one, two) = (Ipv4Addr::new(127, 0, 0, 1), Ipv4Addr::new(127, 0, 0, 2));
    let names = NameServer::start(one);
    let nginx = Config::new()
        .workers(2)
        .http(&format!("resolver 127.0.0.1:{} ipv6=off valid=1s;", names.port))
        .http("server { listen 127.0.0.1:@PORT2@; location / { return 200 one; } }")
        .http("server { listen 127.0.0.2:@PORT2@; location / { return 200 two; } }")
        .http("upstream a { zone a 256k; server app.internal:@PORT2@ resolve; keepalive 4; }")
        .http("upstream b { zone b 256k; hash $arg_k; server app.internal:@PORT2@ resolve; }")
        .server(&format!("{POLICY} proxy_http_version 1.1; proxy_set_header Connection ''; {PASS}"))
        .start();
    for (address, expected) in [(one, "one"), (two, "two"), (one, "one")] {
        names.set(address);
        for cookie in ["x=1", "canary=1"] {
            wait_for("the new address", || {
                let response = nginx.fetch(Request::get("/").cookie(cookie));
                (response.status == 200 && response.text() == expected).then_some(())
            });
        }
    }
}

#[test]
fn fallback_between_upstreams_whose_addresses_change() {
    if Flavour::get().version < vec![1, 27, 3] {
        eprintln!("this nginx resolves names of upstreams at start only");
        return;
    }
    let names = NameServer::start(Ipv4Addr::new(127, 0, 0, 1));
    let nginx = Config::new()
        .http(&format!("resolver 127.0.0.1:{} ipv6=off valid=1s;", names.port))
        .http("server { listen 127.0.0.1:@PORT2@; location / { return 200 one; } }")
        .http("upstream a { zone a 256k; server app.internal:@PORT2@ resolve; }")
        .http("upstream b { zone b 256k; server app.internal:1 resolve; }")
        .server(&format!("add_header X-Addr $upstream_addr; {POLICY} {PASS}"))
        .start();
    let port = nginx.other_port(2);
    wait_for("both addresses", || {
        let response = nginx.fetch(Request::get("/").cookie("canary=1"));
        let addresses = format!("127.0.0.1:1, 127.0.0.1:{port}");
        (response.text() == "one" && response.header("X-Addr") == Some(&addresses)).then_some(())
    });
}

#[test]
fn clients_that_leave_early_harm_nobody() {
    let slow = Backend::start(|mut peer| {
        peer.request();
        peer.read_to_end();
    });
    let nginx = Config::new()
        .http(&format!("upstream a {{ {} }} upstream b {{ zone b 64k; least_conn; {} }}", slow.server(), slow.server()))
        .server(&format!("{POLICY} client_max_body_size 0; {PASS} location /off {{ proxy_request_buffering off; proxy_pass http://lobechat_canary; }}"))
        .start();
    let workers = nginx.worker_pids();
    for round in 0..50 {
        let mut connection = nginx.connect();
        let target = if round % 3 == 0 { "/off" } else { "/" };
        let request = Request::new("POST", target).cookie(if round % 2 == 0 { "canary=1" } else { "x=1" });
        let request = request.header("Content-Length", "100000").to_bytes();
        connection.write(&request[..request.len() - (round % 5) * 10]).unwrap();
        connection.write(&vec![b'x'; round * 1000]).unwrap();
    }
    assert_eq!(nginx.get("/%zz").status, 400);
    assert_eq!(nginx.worker_pids(), workers);
}

#[test]
fn background_updates_of_a_cache_keep_the_release() {
    let nginx = Config::new()
        .http("proxy_cache_path @DIR@/cache keys_zone=k:1m; log_format r '$request_uri';")
        .release("a", "access_log @DIR@/a.log r; location / { add_header Cache-Control 'max-age=0, stale-while-revalidate=60'; return 200 a; }")
        .release("b", "access_log @DIR@/b.log r; location / { add_header Cache-Control 'max-age=0, stale-while-revalidate=60'; return 200 b; }")
        .server(&format!(
            "{POLICY} location / {{ proxy_cache k; proxy_cache_key $lobechat_canary_upstream$request_uri;
                 proxy_cache_valid 200 1s; proxy_ignore_headers Cache-Control; proxy_cache_use_stale updating error;
                 proxy_cache_background_update on; add_header X-Cache $upstream_cache_status; proxy_pass http://lobechat_canary; }}"
        ))
        .start();
    let fetch = || nginx.fetch(Request::get("/x").cookie("canary=1"));
    assert_eq!(fetch().header("X-Cache"), Some("MISS"));
    let stale = wait_for("a stale answer", || Some(fetch()).filter(|r| r.header("X-Cache") == Some("STALE")));
    assert_eq!(stale.text(), "b");
    wait_for("the update", || (fetch().header("X-Cache") == Some("HIT")).then_some(()));
    assert!(nginx.log_lines("b.log", 2).len() >= 2);
    assert_eq!(nginx.file("a.log"), "");
}

#[test]
fn one_process_without_a_master() {
    let nginx = Config::new()
        .http("upstream a { server unix:@DIR@/x.sock; }")
        .backend("x", "location / { return 200 x; }")
        .server("lobechat_canary { release stable a; }")
        .server(PASS)
        .single_process()
        .start();
    assert_eq!(nginx.text("/"), "x");
}

#[test]
fn listening_on_a_unix_socket() {
    let nginx = Config::new()
        .releases(&["a"])
        .http("server { listen unix:@DIR@/front.sock; lobechat_canary front { release stable a; user $remote_addr; }
            location / { return 200 \"$lobechat_canary_reason $remote_addr\"; } }")
        .server("location / { proxy_pass http://unix:@DIR@/front.sock:/; }")
        .start();
    assert_eq!(nginx.text("/"), "split unix:");
}

#[test]
fn limits_may_be_keyed_by_the_user() {
    let nginx = Config::new()
        .releases(&["a"])
        .http("limit_req_zone $lobechat_canary_user zone=u:1m rate=1r/m; limit_req_status 429;")
        .server(&format!("lobechat_canary {{ release stable a; user cookie:uid; }} limit_req zone=u burst=1 nodelay; {PASS}"))
        .start();
    let statuses =
        |user: &str| [(); 3].map(|()| nginx.fetch(Request::get("/").cookie(format!("uid={user}"))).status);
    assert_eq!(statuses("anna"), [200, 200, 429]);
    assert_eq!(statuses("bob"), [200, 200, 429]);
}
