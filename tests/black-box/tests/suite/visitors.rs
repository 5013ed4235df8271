//! The visitor cookie: who gets one, what it looks like, and that it harms nothing.

use std::time::{SystemTime, UNIX_EPOCH};

use black_box::tools::curl;
use black_box::{Config, Request, Response};

/// What a browser says of a request.
pub type Header<'a> = (&'a str, &'a str);
pub const HTML: Header = ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8");
pub const NAVIGATE: Header = ("Sec-Fetch-Mode", "navigate");
pub const CORS: Header = ("Sec-Fetch-Mode", "cors");
pub const DOCUMENT: Header = ("Sec-Fetch-Dest", "document");
pub const EMPTY: Header = ("Sec-Fetch-Dest", "empty");

pub const HEX: &str = "00112233445566778899aabbccddeeff";

pub fn today() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 86_400
}

/// Answers of every kind, under both releases.
const PAGES: &str = "
    location / { default_type text/html; return 200 \"$server_name\\n\"; }
    location /charset { default_type 'text/html; charset=utf-8'; return 200 x; }
    location /upper { default_type Text/HTML; return 200 x; }
    location /json { default_type application/json; return 200 x; }
    location /component { default_type text/x-component; return 200 x; }
    location /htmlish { default_type text/htmlx; return 200 x; }
    location /missing { default_type text/html; return 404 x; }
    location /broken { default_type text/html; return 500 x; }
    location /untouched { return 304; }
    location /empty { return 204; }";

/// The policy `default`, all visitors to the canary. Pages are not pinned here, which sets a cookie of its own.
pub fn config() -> Config {
    Config::new()
        .release("a", &format!("server_name stable; {PAGES}"))
        .release("b", &format!("server_name canary; {PAGES}"))
        .http("upstream gone { server unix:@DIR@/nobody.sock; }")
        .server("lobechat_canary { pin off; user visitor; release stable a; release canary b weight=100%; release gone gone; route gone if arg:gone; fallback off; }")
        .server("add_header X-Reason $lobechat_canary_reason always;")
}

pub const PASS: &str = "location / { proxy_pass http://lobechat_canary; }";

pub fn visitor(response: &Response) -> Option<&str> {
    response.cookie("lobechat_visitor")
}

/// Checks the form of the cookie, and returns its hex digits.
pub fn assert_set(response: &Response, what: &str) -> String {
    let lines = response.all("Set-Cookie");
    assert_eq!(lines.len(), 1, "{what}: {lines:?}");
    let value = visitor(response).unwrap();
    let (hex, day) = value.split_once('.').unwrap();
    assert!(
        hex.len() == 32 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)),
        "{what}: {hex}"
    );
    assert!(day == today().to_string() || day == (today() - 1).to_string(), "{what}: {day}");
    let attributes = format!("lobechat_visitor={value}; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax");
    assert_eq!(lines[0], attributes, "{what}");
    hex.to_owned()
}

#[test]
fn the_first_navigation_is_stable_and_the_next_is_split() {
    let nginx = config().server(PASS).start();
    let first = nginx.fetch(Request::navigation("/"));
    assert_eq!((first.text().as_str(), first.header("X-Reason")), ("stable", Some("anonymous")));
    let hex = assert_set(&first, "first");
    let value = visitor(&first).unwrap();
    let second = nginx.fetch(Request::navigation("/").cookie(format!("lobechat_visitor={value}")));
    assert_eq!((second.text().as_str(), second.header("X-Reason")), ("canary", Some("split")));
    assert_eq!(second.all("Set-Cookie"), [""; 0]);
    let other = assert_set(&nginx.fetch(Request::navigation("/")), "another browser");
    assert_ne!(hex, other);
}

#[test]
fn only_navigations_get_one() {
    let nginx = config().server(PASS).start();
    let cases: &[(&str, &[Header], bool)] = &[
        ("GET", &[HTML], true),
        ("GET", &[("accept", "application/json, Text/HTML")], true),
        ("GET", &[("Accept", "*/*")], false),
        ("GET", &[], false),
        ("POST", &[HTML], false),
        ("GET", &[NAVIGATE, DOCUMENT], true),
        ("POST", &[NAVIGATE, DOCUMENT], true),
        ("GET", &[NAVIGATE, EMPTY], true),
        ("GET", &[NAVIGATE, ("Sec-Fetch-Dest", "iframe"), HTML], false),
        ("GET", &[NAVIGATE, HTML], false),
        ("GET", &[CORS, EMPTY, HTML], false),
        ("GET", &[("Sec-Fetch-Mode", "no-cors"), ("Sec-Fetch-Dest", "script")], false),
        ("GET", &[("Sec-Fetch-Site", "same-origin"), HTML], false),
        ("GET", &[NAVIGATE, DOCUMENT, ("Sec-Purpose", "prefetch")], false),
        ("GET", &[NAVIGATE, DOCUMENT, ("Sec-Purpose", "prefetch;prerender")], false),
    ];
    for (method, headers, expected) in cases {
        let request =
            headers.iter().fold(Request::new(method, "/"), |r, (name, value)| r.header(name, value));
        let response = nginx.fetch(request);
        assert_eq!((response.status, visitor(&response).is_some()), (200, *expected), "{method} {headers:?}");
    }
}

#[test]
fn only_html_from_a_release_carries_one() {
    let nginx = config()
        .file("own.html", "own")
        .server(PASS)
        .server("location /own/ { default_type text/html; return 200 \"own $lobechat_canary_release\"; }")
        .server("location /file/ { alias @DIR@/; types { text/html html; } add_header X-R \"$lobechat_canary_release\"; }")
        .server("location /intercepted/ { proxy_intercept_errors on; error_page 404 500 /own/page;
            rewrite ^/intercepted(.*)$ $1 break; proxy_pass http://lobechat_canary; }")
        .server("location /off/ { lobechat_canary_use off; proxy_pass http://a/; }")
        .server("location /classic/ { proxy_pass http://$lobechat_canary_upstream; }")
        .start();
    for (target, status, expected) in [
        ("/", 200, true),
        ("/charset", 200, true),
        ("/upper", 200, true),
        ("/missing", 404, true),
        ("/broken", 500, true),
        ("/classic/", 200, true),
        ("/json", 200, false),
        ("/component", 200, false),
        ("/htmlish", 200, false),
        ("/untouched", 304, false),
        ("/empty", 204, false),
        // nginx's own pages, with and without a decision and an attempt before them.
        ("/?gone=1", 502, false),
        ("/own/", 200, false),
        ("/file/own.html", 200, false),
        ("/intercepted/missing", 404, false),
        ("/intercepted/broken", 500, false),
        ("/off/", 200, false),
    ] {
        let response = nginx.fetch(Request::navigation(target));
        assert_eq!((response.status, visitor(&response).is_some()), (status, expected), "{target}");
    }
    assert_eq!(nginx.fetch(Request::navigation("/intercepted/missing")).text(), "own stable");
}

#[test]
fn renewed_past_half_its_life_with_the_same_id() {
    let nginx = config().server(PASS).start();
    for (age, renewed) in [(0, false), (14, false), (17, true), (29, true)] {
        let cookie = format!("lobechat_visitor={HEX}.{}", today() - age);
        let response = nginx.fetch(Request::navigation("/").cookie(&cookie));
        assert_eq!(response.text(), "canary", "{age} days");
        match renewed {
            true => assert_eq!(assert_set(&response, "renewal"), HEX, "{age} days"),
            false => assert_eq!(response.all("Set-Cookie"), [""; 0], "{age} days"),
        }
        // Renewal, too, waits for a navigation.
        assert_eq!(nginx.fetch(Request::get("/").cookie(&cookie)).all("Set-Cookie"), [""; 0], "{age} days");
    }
}

#[test]
fn forged_cookies_are_as_none() {
    let nginx = config().server(PASS).http("large_client_header_buffers 4 64k;").start();
    let forged = [
        String::new(),
        "x".to_owned(),
        HEX.to_owned(),
        format!("{HEX}."),
        format!("{HEX}.x"),
        format!("{HEX}.-1"),
        format!("{HEX}.99999999999999999999"),
        format!("{}.{}", HEX.to_uppercase(), today()),
        format!("{}.{}", &HEX[1..], today()),
        format!("{HEX}0.{}", today()),
        format!("g{}.{}", &HEX[1..], today()),
        format!("{HEX}.{}.{}", today(), today()),
        "a".repeat(30_000),
        "%00%0d%0aSet-Cookie:%20x=y".to_owned(),
    ];
    for value in forged {
        let response = nginx.fetch(Request::navigation("/").cookie(format!("lobechat_visitor={value}")));
        let shown = &value[..value.len().min(60)];
        assert_eq!(
            (response.text().as_str(), response.header("X-Reason")),
            ("stable", Some("anonymous")),
            "{shown}"
        );
        assert_ne!(assert_set(&response, shown), HEX);
    }
    // A day to come is nobody's business but the browser's; the cookie is put right.
    let response =
        nginx.fetch(Request::navigation("/").cookie(format!("lobechat_visitor={HEX}.{}", today() + 300)));
    assert_eq!(response.text(), "canary");
    assert_eq!(assert_set(&response, "future"), HEX);
}

#[test]
fn other_ids_come_first_and_each_policy_has_its_own_cookie() {
    let policy = |name: &str, user: &str| {
        format!(
            "location /{name}/ {{ lobechat_canary {name} {{ pin off; release stable a; {user} }} proxy_pass http://lobechat_canary/; }}"
        )
    };
    let nginx = config()
        .server(PASS)
        .server(&policy("chat", "user visitor;"))
        .server(&policy("both", "user cookie:uid visitor;"))
        .server(&policy("none", "user cookie:uid;"))
        .start();
    let fetch = |target: &str, cookie: &str| nginx.fetch(Request::navigation(target).cookie(cookie));
    assert!(fetch("/chat/", "x=1").cookie("lobechat_visitor_chat").is_some());
    assert!(fetch("/both/", "x=1").cookie("lobechat_visitor_both").is_some());
    for (target, cookie) in [("/both/", "uid=7"), ("/none/", "x=1"), ("/none/", "uid=7")] {
        assert_eq!(fetch(target, cookie).all("Set-Cookie"), [""; 0], "{target} {cookie}");
    }
    let other = format!("lobechat_visitor_chat={HEX}.{}", today());
    assert_set(&fetch("/", &other), "the cookie of another policy");
}

#[test]
fn a_route_does_not_keep_the_cookie_from_being_set() {
    let nginx = config().server("location /r/ { lobechat_canary r { pin off; user visitor; release stable a; release canary b; route canary if arg:x; } proxy_pass http://lobechat_canary/; }").start();
    let response = nginx.fetch(Request::navigation("/r/?x=1"));
    assert_eq!((response.text().as_str(), response.header("X-Reason")), ("canary", Some("route")));
    assert!(response.cookie("lobechat_visitor_r").is_some());
}

#[test]
fn secure_on_tls() {
    let nginx = config()
        .certificate("chat.example")
        .listen("listen 127.0.0.1:@PORT@ ssl http2; ssl_certificate @DIR@/chat.example.crt; ssl_certificate_key @DIR@/chat.example.key;")
        .server(PASS)
        .start();
    let url = format!("https://127.0.0.1:{}/", nginx.port());
    for version in ["--http1.1", "--http2"] {
        let response = curl(&[version, &url, "-H", "Accept: text/html"]);
        let lines = response.all("set-cookie");
        assert!(
            lines.len() == 1 && lines[0].ends_with("; HttpOnly; SameSite=Lax; Secure"),
            "{version}: {lines:?}"
        );
    }
}

#[test]
fn subrequests_set_none() {
    let nginx = config()
        .http("ssi on;")
        .server("location = /page { default_type text/html; return 200 '<!--#include virtual=\"/\"-->.'; }")
        .server(PASS)
        .start();
    let response = nginx.fetch(Request::navigation("/page"));
    assert_eq!(response.text(), "stable\n.");
    assert_eq!(response.all("Set-Cookie"), [""; 0], "the page is nginx's own");
}
