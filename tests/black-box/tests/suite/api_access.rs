//! Who may change things: from where, by which location, and from which page of a browser.

use black_box::api::{self, refusal, release, weights};
use black_box::tools::curl;
use black_box::{Config, Nginx, Request, Response};

const CHAT: &str = "v1/policies/chat";

fn config(locations: &str) -> Config {
    Config::new()
        .releases(&["a", "b"])
        .http("lobechat_canary_zone lobechat_canary:1m state=off;")
        .server(
            "lobechat_canary chat { release stable a; release canary b weight=10%; user cookie:uid; }
             location / { proxy_pass http://lobechat_canary; }",
        )
        .server(locations)
}

fn patch() -> Request {
    api::request("PATCH", CHAT, &weights("canary", "20%"))
}

fn weight(nginx: &Nginx) -> String {
    release(&nginx.policy("chat"), "canary")["weight"].as_str().unwrap().to_owned()
}

#[test]
fn a_location_without_write_is_read_only() {
    let nginx = config(&api::location("")).start();
    assert_eq!(nginx.policy("chat")["write"], false);
    for (method, path, body) in [
        ("PATCH", "", r#"{"weights":{"canary":"20%"}}"#),
        ("POST", "/releases/canary/rollback", ""),
        ("POST", "/releases/canary/promote", "{}"),
        ("POST", "/releases/canary/reset", ""),
        ("PUT", "/releases/canary/state", "\"down\""),
        ("POST", "/ramp/start", ""),
        ("POST", "/ramp/pause", ""),
        // Not even what is wrong otherwise is looked at.
        ("PATCH", "", "nonsense"),
    ] {
        let sentence = nginx.api_refused(method, &format!("{CHAT}{path}"), body, 403);
        assert!(
            sentence.contains("read-only") && sentence.contains("lobechat_canary_api write"),
            "{sentence}"
        );
    }
    // Reading needs no right.
    assert_eq!(weight(&nginx), "10%");
    assert_eq!(nginx.api("GET", "metrics", "").status, 200);
}

#[test]
fn headers_of_a_proxy_close_write_and_made_up_ones_open_nothing() {
    let nginx = config(&api::location("write")).start();
    for (name, text) in [
        ("Forwarded", "for=127.0.0.1"),
        ("X-Forwarded-For", "127.0.0.1"),
        ("x-forwarded-for", ""),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "chat.example"),
        ("X-Real-IP", "127.0.0.1"),
    ] {
        let response = nginx.fetch(patch().header(name, text));
        assert!(refusal(&response, 403).contains("through a proxy"), "{name}");
        let read = nginx.fetch(api::request("GET", CHAT, "").header(name, text));
        assert_eq!(api::json(&read)["write"], false, "{name}");
    }
    assert_eq!(weight(&nginx), "10%");
    let made_up = patch().header("Authorization", "Basic YWRtaW46YWRtaW4=");
    assert_eq!(nginx.fetch(made_up.header("X-Forwarded-For", "127.0.0.1")).status, 403);
    assert_eq!(nginx.fetch(patch()).status, 200);
    assert_eq!(weight(&nginx), "20%");
}

/// An address of this machine that is not the loopback interface's.
fn other_address() -> Option<String> {
    let output = std::process::Command::new("hostname").arg("-I").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let found =
        text.split_whitespace().find(|a| a.contains('.') && !a.starts_with("127.")).map(str::to_owned);
    if found.is_none() {
        eprintln!("SKIPPED: this machine has no address but loopback, so nothing was tried from elsewhere");
    }
    found
}

/// A change by curl, with further arguments.
fn change(url: &str, arguments: &[&str]) -> Response {
    let body = weights("canary", "20%");
    let fixed = ["-X", "PATCH", "-H", "Content-Type: application/json", "-d", &body, url];
    curl(&[&fixed[..], arguments].concat())
}

#[test]
fn write_is_for_this_machine() {
    let Some(address) = other_address() else { return };
    let listen = format!("listen 127.0.0.1:@PORT@; listen {address}:@PORT@;");
    let nginx = config(&api::location("write"))
        .listen(&listen)
        .server("location /any/ { lobechat_canary_api write=any; }")
        .start();
    let url = |prefix: &str| format!("http://{address}:{}{prefix}{CHAT}", nginx.port());
    for headers in [
        &[][..],
        &["-H", "Authorization: Basic YWRtaW46YWRtaW4="],
        &["-u", "admin:admin"],
        &["-H", "X-Forwarded-For: 127.0.0.1"],
        &["-H", "X-Real-IP: 127.0.0.1"],
        &["-H", "Forwarded: for=127.0.0.1", "-H", "Host: localhost"],
    ] {
        let sentence = refusal(&change(&url(api::PATH), headers), 403);
        assert!(sentence.contains("this machine only"), "{headers:?}: {sentence}");
    }
    assert_eq!(api::json(&curl(&[&url(api::PATH)]))["write"], false);
    assert_eq!(weight(&nginx), "10%");
    assert_eq!(change(&url("/any/"), &[]).status, 200);
    assert_eq!(weight(&nginx), "20%");
}

/// What a trusted proxy says of an address is what somebody has written into a header.
#[test]
fn an_address_out_of_a_header_is_not_this_machine() {
    let Some(address) = other_address() else { return };
    let nginx = config(&api::location("write"))
        .listen(&format!("listen 127.0.0.1:@PORT@; listen {address}:@PORT@;"))
        .server(&format!(
            "set_real_ip_from {address}; set_real_ip_from 127.0.0.1; real_ip_header X-Client-Address;"
        ))
        .start();
    let url = |address: &str| format!("http://{address}:{}{}{CHAT}", nginx.port(), api::PATH);
    for client in ["127.0.0.1", "203.0.113.9"] {
        for address in [&address, "127.0.0.1"] {
            let response = change(&url(address), &["-H", &format!("X-Client-Address: {client}")]);
            let expected = if (address, client) == ("127.0.0.1", "127.0.0.1") { 200 } else { 403 };
            assert_eq!(response.status, expected, "{client} by {address}: {}", response.text());
        }
    }
}

/// A proxy on this machine that passes connections on hides who asks, and says so by the PROXY protocol alone.
#[test]
fn the_proxy_protocol_is_a_proxy() {
    let nginx = config(&api::location("write")).listen("listen 127.0.0.1:@PORT@ proxy_protocol;").start();
    for client in ["203.0.113.9", "127.0.0.1"] {
        let mut connection = nginx.connect();
        connection.write(format!("PROXY TCP4 {client} 127.0.0.1 4711 80\r\n").as_bytes()).unwrap();
        refusal(&connection.fetch(&patch()), 403);
        assert_eq!(api::json(&connection.fetch(&api::request("GET", CHAT, "")))["write"], false, "{client}");
    }
}

#[test]
fn unix_sockets_and_ipv6_are_this_machine() {
    let nginx = config(&api::location("write"))
        .listen("listen 127.0.0.1:@PORT@; listen [::1]:@PORT@; listen unix:@DIR@/front.sock;")
        .start();
    let socket = nginx.dir().join("front.sock");
    let url = format!("http://localhost{}{CHAT}", api::PATH);
    let by_socket = ["--unix-socket", socket.to_str().unwrap()];
    assert_eq!(change(&url, &by_socket).status, 200);
    assert_eq!(weight(&nginx), "20%");
    let forwarded = [&by_socket[..], &["-H", "X-Forwarded-For: 203.0.113.1"]].concat();
    refusal(&change(&url, &forwarded), 403);
    assert_eq!(change(&format!("http://[::1]:{}{}{CHAT}", nginx.port(), api::PATH), &[]).status, 200);
}

#[test]
fn write_any_is_left_to_the_location() {
    let nginx = config(
        "location /canary/ { lobechat_canary_api write=any; auth_basic ops; auth_basic_user_file @DIR@/users; }
         location /nobody/ { lobechat_canary_api write=any; deny all; }
         location /some/ { lobechat_canary_api write=any; allow 127.0.0.1; deny all; }
         location /asked/ { lobechat_canary_api write=any; auth_request /judge; }
         location = /judge { internal; if ($http_x_pass = yes) { return 204; } return 403; }",
    )
    .file("users", "alice:{PLAIN}secret\n")
    .start();
    let basic = |user: &str| patch().header("Authorization", format!("Basic {user}"));
    let (good, bad) = ("YWxpY2U6c2VjcmV0", "YWxpY2U6Z3Vlc3M=");
    for request in [
        patch(),
        basic(bad),
        basic("YWRtaW46YWRtaW4="),
        basic("x"),
        patch().header("X-Forwarded-For", "127.0.0.1"),
    ] {
        assert_eq!(nginx.fetch(request).status, 401);
    }
    let event = |nginx: &Nginx| {
        let get = api::request("GET", "v1/events", "").header("Authorization", format!("Basic {good}"));
        api::json(&nginx.fetch(get))["events"].as_array().unwrap().last().cloned()
    };
    assert!(event(&nginx).is_none_or(|event| event["kind"] == "reload"));
    // What stands before nginx is no obstacle here.
    assert_eq!(nginx.fetch(basic(good).header("X-Forwarded-For", "203.0.113.1")).status, 200);
    let event = event(&nginx).unwrap();
    assert!(event["by"].as_str().unwrap().starts_with("alice"), "{event}");
    let to = |prefix: &str, weight: &str| {
        let body = weights("canary", weight);
        let request = Request::new("PATCH", &format!("{prefix}{CHAT}"));
        request.header("Content-Type", "application/json").body(body)
    };
    assert_eq!(nginx.fetch(to("/nobody/", "30%")).status, 403);
    assert_eq!(nginx.fetch(to("/some/", "30%")).status, 200);
    assert_eq!(nginx.fetch(to("/asked/", "40%")).status, 403);
    let passed = nginx.fetch(to("/asked/", "50%").header("X-Pass", "yes"));
    assert_eq!(release(&api::json(&passed), "canary")["weight"], "50%");
}

#[test]
fn browsers_change_things_from_our_own_pages_only() {
    for access in ["write", "write=any"] {
        let nginx = config(&api::location(access)).start();
        for (headers, status) in [
            (&[("Sec-Fetch-Site", "cross-site")][..], 403),
            (&[("Sec-Fetch-Site", "same-site")], 403),
            (&[("Sec-Fetch-Site", "cross-site"), ("Origin", "http://chat.example")], 403),
            (&[("Origin", "http://evil.example")], 403),
            (&[("Origin", "null")], 403),
            (&[("Origin", "http://chat.example:81")], 403),
            (&[("Origin", "http://chat.example.evil")], 403),
            (&[("Sec-Fetch-Site", "same-origin"), ("Origin", "http://evil.example")], 403),
            (&[("Sec-Fetch-Site", "same-origin"), ("Origin", "http://chat.example")], 200),
            (&[("Sec-Fetch-Site", "none")], 200),
            (&[("Origin", "https://chat.example")], 200),
        ] {
            let with = |request: Request| {
                headers.iter().fold(request, |request, (name, value)| request.header(name, value))
            };
            let response = nginx.fetch(with(patch()));
            assert_eq!(response.status, status, "{access} {headers:?}: {}", response.text());
            if status == 403 {
                assert!(refusal(&response, 403).contains("same origin"), "{headers:?}");
            }
            // What a page elsewhere may send without asking first.
            let form = Request::new("POST", &format!("{}{CHAT}/releases/canary/rollback", api::PATH));
            let form = with(form).header("Content-Type", "text/plain").body("{}");
            assert_eq!(nginx.fetch(form).status, if status == 403 { 403 } else { 415 });
            assert_eq!(nginx.fetch(with(api::request("GET", CHAT, ""))).status, 200);
        }
    }
}

/// A link or an image somewhere must change nothing.
#[test]
fn no_get_changes_anything() {
    let nginx = config(&api::location("write=any")).start();
    let before = nginx.policy("chat");
    for path in [
        "/releases/canary/rollback",
        "/releases/canary/promote",
        "/releases/canary/state?state=down",
        "/ramp/start",
        "?weights=canary:50%25",
    ] {
        for method in ["GET", "HEAD"] {
            let override_ = api::request(method, &format!("{CHAT}{path}"), r#"{"weights":{"canary":"50%"}}"#);
            let status = nginx.fetch(override_.header("X-HTTP-Method-Override", "POST")).status;
            assert_eq!(status, if path.starts_with('?') { 200 } else { 405 }, "{method} {path}");
        }
    }
    assert_eq!(nginx.policy("chat"), before);
}
