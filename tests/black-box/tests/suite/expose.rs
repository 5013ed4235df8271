//! `expose on`: the answers of a release name it, nginx's own answers do not.

use black_box::{Config, Request, Response};

fn names(response: &Response) -> (Vec<&str>, Vec<&str>) {
    (response.all("X-LobeChat-Release"), response.all("Server-Timing"))
}

#[test]
fn names_the_release_that_answered() {
    let backend = "location / { add_header Server-Timing 'db;dur=5'; return 200 x; }
        location /json { default_type application/json; return 200 x; }
        location /missing { return 404 x; } location /moved { return 302 /x; } location /page { default_type text/html;
            return 200 '<!--#include virtual=\"/json\"-->'; }";
    let nginx = Config::new()
        .release("a", backend)
        .release("b", backend)
        .http("upstream gone { server unix:@DIR@/nobody.sock; } proxy_cache_path @DIR@/cache keys_zone=k:1m;")
        .server(
            "lobechat_canary { release stable a version=v2.1.25; release canary b; release gone gone; expose on;
                 route canary if cookie:canary; route gone if cookie:gone; fallback off; }
             location / { proxy_pass http://lobechat_canary; }
             location /classic/ { rewrite ^/classic(.*)$ $1 break; proxy_pass http://$lobechat_canary_upstream; }
             location /page { ssi on; proxy_pass http://lobechat_canary; }
             location /own { return 200 $lobechat_canary_release; }
             location /cached { proxy_cache k; proxy_cache_valid 1m; proxy_cache_key $lobechat_canary_upstream;
                 add_header X-Cache $upstream_cache_status; proxy_pass http://lobechat_canary/json; }
             location /intercepted { proxy_intercept_errors on; error_page 404 /own; proxy_pass http://lobechat_canary/missing; }
             location /quiet { lobechat_canary quiet { release stable a; } proxy_pass http://lobechat_canary/; }",
        )
        .start();
    let fetch = |target: &str, cookie: &str| nginx.fetch(Request::get(target).cookie(cookie));
    let stable = (vec!["stable"], vec!["release;desc=\"2.1.25\""]);
    let canary = (vec!["canary"], vec!["release;desc=\"canary\""]);
    for target in ["/json", "/missing", "/moved", "/page", "/classic/json", "/cached", "/cached"] {
        assert_eq!(names(&fetch(target, "x=1")), stable, "{target}");
        assert_eq!(names(&fetch(target, "canary=1")), canary, "{target}");
    }
    assert_eq!(fetch("/cached", "x=1").header("X-Cache"), Some("HIT"));
    // The application's own Server-Timing stays beside ours.
    let timings = fetch("/", "x=1").all("Server-Timing").join(", ");
    assert!(timings.contains("db;dur=5") && timings.contains("release;desc=\"2.1.25\""), "{timings}");
    for (target, cookie) in [
        ("/own", "x=1"),
        ("/json", "gone=1"),
        ("/classic/", "gone=1"),
        ("/intercepted", "x=1"),
        ("/quiet", "x=1"),
    ] {
        let response = fetch(target, cookie);
        assert_eq!(response.all("X-LobeChat-Release"), [""; 0], "{target} {cookie}");
        assert!(!response.all("Server-Timing").join(" ").contains("release;"), "{target} {cookie}");
    }
}

/// Every form of a pass and of a release's address is known for what it is.
#[test]
fn names_releases_by_address_and_behind_other_protocols() {
    let fastcgi = black_box::gateway::fastcgi("page");
    let nginx = Config::new()
        .http("server { listen unix:@DIR@/u.sock; listen 127.0.0.1:@PORT2@; return 200 x; }")
        .http("proxy_cache_path @DIR@/cache keys_zone=k:1m;")
        .server(&format!(
            "lobechat_canary {{ release tcp 127.0.0.1:@PORT2@; release socket unix:@DIR@/u.sock; release php 127.0.0.1:{};
                 expose on; route socket if arg:socket; route php if arg:php; }}
             proxy_cache_key $lobechat_canary_upstream$uri; proxy_cache_valid 1m;
             location / {{ proxy_pass http://lobechat_canary; }}
             location /classic {{ proxy_pass http://$lobechat_canary_upstream; }}
             location /cached {{ proxy_cache k; proxy_pass http://lobechat_canary; }}
             location /cached/classic {{ proxy_cache k; proxy_pass http://$lobechat_canary_upstream; }}
             location /php {{ fastcgi_param REQUEST_URI $uri; fastcgi_pass lobechat_canary; }}",
            fastcgi.port
        ))
        .start();
    for (target, release) in [("/php?php=1", "php"), ("/", "tcp"), ("/?socket=1", "socket")] {
        assert_eq!(nginx.get(target).all("X-LobeChat-Release"), [release], "{target}");
    }
    for location in ["/classic", "/cached", "/cached/classic"] {
        for (query, release) in [("", "tcp"), ("?socket=1", "socket"), ("", "tcp"), ("?socket=1", "socket")] {
            let target = format!("{location}{query}");
            assert_eq!(nginx.get(&target).all("X-LobeChat-Release"), [release], "{target}");
        }
    }
    let page = nginx.fetch(Request::navigation("/php?php=1"));
    assert!(page.cookie("lobechat_visitor").is_some() && page.text() == "page /php");
}

#[test]
fn off_is_the_default_and_can_be_said() {
    for line in ["", "expose off;"] {
        let nginx = Config::new()
            .releases(&["a"])
            .server(&format!("lobechat_canary {{ release stable a; {line} }} location / {{ proxy_pass http://lobechat_canary; }}"))
            .start();
        assert_eq!(names(&nginx.get("/")), (vec![], vec![]), "{line}");
    }
}

#[test]
fn on_a_websocket_and_on_a_stream() {
    let backend = black_box::backend::Backend::start(|mut peer| {
        let request = peer.request().unwrap();
        match request.header("Upgrade") {
            Some(_) => peer.write(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            ),
            None => peer.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n"),
        }
        peer.read_to_end();
    });
    let nginx = Config::new()
        .http(&format!("upstream a {{ {} }}", backend.server()))
        .server(
            "lobechat_canary { release stable a; expose on; } proxy_http_version 1.1; proxy_buffering off;
             proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $http_connection;
             location / { proxy_pass http://lobechat_canary; }",
        )
        .start();
    let upgrade = Request::get("/").header("Connection", "Upgrade").header("Upgrade", "websocket");
    for (request, expected) in [(Request::get("/"), vec!["stable"]), (upgrade, vec![])] {
        let mut connection = nginx.connect();
        connection.write(&request.to_bytes()).unwrap();
        let response = connection.read_head().unwrap();
        assert_eq!(response.all("X-LobeChat-Release"), expected, "{}", response.status);
    }
}
