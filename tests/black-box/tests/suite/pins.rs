//! Which requests become pages, the cookie that says what build a page is of, and what follows it.

use black_box::tools::curl;
use black_box::{Config, Nginx, Request, Response, api};

use crate::visitors::{CORS, DOCUMENT, EMPTY, HEX, HTML, Header, NAVIGATE, PASS};

/// Answers of every kind, under each release; `NAME` answers elsewhere.
fn answers(name: &str) -> String {
    format!(
        "location / {{ default_type text/html; return 200 \"{name}\\n\"; }}
         location /login {{ default_type 'Text/HTML; charset=utf-8'; add_header Set-Cookie 'a=1; Path=/'; add_header Set-Cookie b=2;
             add_header Set-Cookie 'c=3; Expires=Thu, 01 Jan 2026 00:00:00 GMT'; return 200 \"{name}\\n\"; }}
         location /api/file {{ default_type application/zip; return 200 \"{name}\\n\"; }}
         location /api/json {{ default_type application/json; return 200 \"{name}\\n\"; }}
         location /untouched {{ return 304; }}
         location /missing {{ default_type text/html; return 404 \"{name}\\n\"; }}"
    )
}

const RELEASES: &str = "release stable a version=1.0.0; release canary b version=1.1.0 weight=50%;
    release beta c version=2.0.0-rc.1 deployment=beta_7; route beta if cookie:tester;
    user cookie:uid; salt lobe; cookie_key cookie.key; expose on;";
pub const KEY: &str = "0123456789abcdef0123456789abcdef\n";

/// The users in whose bucket there is the canary, and stable.
pub const CANARY: &str = "uid=user_1";
pub const STABLE: &str = "uid=user_2";

/// The policy `default` of these releases and lines, whose API may write.
pub fn config(releases: &str, lines: &str) -> Config {
    ["a", "b", "c"]
        .iter()
        .fold(Config::new(), |config, name| config.release(name, &answers(name)))
        .http("lobechat_canary_zone lobechat_canary:1m state=off;")
        .file("cookie.key", KEY)
        .server(&format!("lobechat_canary {{ {releases} {lines} }}"))
        .server("add_header X-Reason $lobechat_canary_reason always; add_header X-Version $lobechat_canary_version always;")
        .server(&api::location("write"))
}

fn start(lines: &str) -> Nginx {
    config(RELEASES, lines).server(PASS).start()
}

/// Upstream and reason.
pub fn decided(response: &Response) -> String {
    format!("{} {}", response.text(), response.header("X-Reason").unwrap_or("-"))
}

/// Navigates, and returns `name=value` of the pin cookie that the answer sets.
pub fn page(nginx: &Nginx, target: &str, cookie: &str) -> String {
    let response = nginx.fetch(Request::navigation(target).cookie(cookie));
    let value = response.cookie("lobechat_release");
    format!("lobechat_release={}", value.unwrap_or_else(|| panic!("{target} {cookie} pins nothing")))
}

/// What a script of a page asks for.
pub fn script(target: &str, cookie: &str) -> Request {
    let request = Request::get(target).header("Accept", "*/*").cookie(cookie);
    request.header("Sec-Fetch-Mode", "cors").header("Sec-Fetch-Dest", "empty")
}

#[test]
fn what_is_a_navigation() {
    const ALL: Header = ("Accept", "*/*");
    let nginx = start("");
    // The page is the canary's; by now its user is stable's.
    let cookies = format!("{}; {STABLE}", page(&nginx, "/", CANARY));
    let cases: &[(&str, &str, &[Header], bool)] = &[
        // Plain HTTP, where browsers send no Fetch Metadata.
        ("GET", "/", &[HTML], true),
        ("GET", "/", &[ALL], false),
        ("GET", "/", &[], false),
        ("HEAD", "/", &[HTML], false),
        ("POST", "/", &[HTML], false),
        // A form that is sent is a navigation too.
        ("POST", "/", &[NAVIGATE, DOCUMENT], true),
        ("GET", "/", &[NAVIGATE, DOCUMENT, ALL], true),
        // A service worker passes a navigation on, and fetches for itself.
        ("GET", "/", &[NAVIGATE, EMPTY], true),
        ("GET", "/", &[CORS, EMPTY, HTML], false),
        ("GET", "/sw.js", &[("Sec-Fetch-Mode", "same-origin"), ("Sec-Fetch-Dest", "serviceworker")], false),
        ("GET", "/", &[NAVIGATE, ("Sec-Fetch-Dest", "iframe"), HTML], false),
        ("GET", "/", &[NAVIGATE, ("Sec-Fetch-Dest", "frame"), HTML], false),
        ("GET", "/", &[NAVIGATE, ("Sec-Fetch-Dest", "embed"), HTML], false),
        ("GET", "/", &[("Sec-Fetch-Mode", "websocket"), ("Sec-Fetch-Dest", "websocket")], false),
        ("GET", "/", &[NAVIGATE, DOCUMENT, ("Sec-Purpose", "prefetch")], false),
        ("GET", "/", &[NAVIGATE, DOCUMENT, ("Sec-Purpose", "prefetch;prerender")], false),
        ("GET", "/", &[HTML, ("Purpose", "prefetch")], false),
        // What a link downloads, the browser asks for as for a page.
        ("GET", "/api/file", &[NAVIGATE, DOCUMENT, HTML], true),
        ("GET", "/api/file", &[CORS, EMPTY, ALL], false),
        // Where builds have their files, and where logins come back.
        ("GET", "/_next/static/a.js", &[NAVIGATE, DOCUMENT, HTML], false),
        ("GET", "/api/auth/callback", &[NAVIGATE, DOCUMENT, HTML], false),
        ("GET", "/oidc/consent", &[HTML], false),
    ];
    for (method, target, headers, afresh) in cases {
        let request =
            headers.iter().fold(Request::new(method, target), |r, (name, value)| r.header(name, value));
        let response = nginx.fetch(request.cookie(&cookies));
        let (release, reason) = if *afresh { ("stable", "split") } else { ("canary", "pin") };
        let seen = (response.header("X-LobeChat-Release"), response.header("X-Reason"));
        assert_eq!(seen, (Some(release), Some(reason)), "{method} {target} {headers:?}");
        // What moves to another build is told so, but for files of other types.
        let pins = *afresh && *target == "/";
        assert_eq!(response.cookie("lobechat_release").is_some(), pins, "{method} {target} {headers:?}");
        let is_private = response.all("Cache-Control") == ["private"];
        assert!(is_private || !*afresh, "{method} {target} {headers:?}");
    }
}

#[test]
fn a_page_is_pinned_once() {
    let nginx = start("");
    let fetch = |cookie: &str| nginx.fetch(Request::navigation("/").cookie(cookie));
    let first = fetch(CANARY);
    let [line] = first.all("Set-Cookie")[..] else { panic!("{:?}", first.all("Set-Cookie")) };
    let (pair, attributes) = line.split_once("; ").unwrap();
    assert_eq!(attributes, "Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax");
    let parts: Vec<_> = pair["lobechat_release=".len()..].split('.').collect();
    assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [16, 1, 22, 10], "{pair}");
    assert_eq!((decided(&first).as_str(), first.header("X-Version")), ("b split", Some("1.1.0")));

    let with = |who: &str, pin: &str| fetch(&format!("{who}; {pin}"));
    assert_eq!(with(CANARY, pair).all("Set-Cookie"), [""; 0], "it is right");
    assert_eq!(nginx.fetch(script("/", CANARY)).all("Set-Cookie"), [""; 0], "no page");
    // Another release, and the same one for another reason.
    let moved = with(STABLE, pair);
    assert_eq!((decided(&moved).as_str(), moved.all("Set-Cookie").len()), ("a split", 1));
    let tester = page(&nginx, "/", "tester=1");
    assert_eq!(nginx.fetch(script("/", &tester)).header("X-Version"), Some("2.0.0-rc.1"));
    assert_eq!(with("tester=1", &tester).all("Set-Cookie"), [""; 0]);
    assert_eq!(with("tester=1", pair).all("Set-Cookie").len(), 1);
}

#[test]
fn a_pin_is_renewed_past_half_its_life_and_under_a_new_key() {
    let mut nginx = start("pin on expires=2h;");
    let pin = page(&nginx, "/", CANARY);
    let (sealed, issued) = pin.rsplit_once('.').unwrap();
    let issued: u64 = issued.parse().unwrap();
    for (age, renewed) in
        [(0, false), (3000, false), (3700, true), (90_000, true), (-3000, false), (-90_000, true)]
    {
        let old = format!("{sealed}.{}; {CANARY}", issued.saturating_add_signed(-age));
        let response = nginx.fetch(Request::navigation("/").cookie(&old));
        assert_eq!(response.cookie("lobechat_release").is_some(), renewed, "{age} s");
        assert_eq!(nginx.fetch(script("/", &old)).all("Set-Cookie"), [""; 0], "{age} s");
    }
    const NEW: &str = "abcdef9876543210abcdef9876543210\n";
    let cookie = format!("{pin}; {STABLE}");
    nginx.reload(&config(RELEASES, "").file("cookie.key", format!("{NEW}{KEY}")).server(PASS));
    assert_eq!(decided(&nginx.fetch(script("/", &cookie))), "b pin", "the old key opens");
    let renewed = page(&nginx, "/", &format!("{pin}; {CANARY}"));
    nginx.reload(&config(RELEASES, "").file("cookie.key", NEW).server(PASS));
    assert_eq!(decided(&nginx.fetch(script("/", &format!("{renewed}; {STABLE}")))), "b pin");
    // Nobody can tell the old one from a forgery; it names a release with a weight, no more.
    let tester = format!("{}; {STABLE}", page(&nginx, "/", "tester=1"));
    assert_eq!(decided(&nginx.fetch(script("/", &tester))), "c pin");
    nginx.reload(&config(RELEASES, "").server(PASS));
    assert_eq!(decided(&nginx.fetch(script("/", &tester))), "a split");
}

/// Auth.js sends three `Set-Cookie` lines with each answer.
#[test]
fn the_applications_own_cookies_stay_as_they_are() {
    let nginx = start("");
    const OWN: [&str; 3] = ["a=1; Path=/", "b=2", "c=3; Expires=Thu, 01 Jan 2026 00:00:00 GMT"];
    let response = nginx.fetch(Request::navigation("/login").cookie(CANARY));
    let lines = response.all("Set-Cookie");
    assert_eq!(lines[..3], OWN);
    assert!(lines.len() == 4 && lines[3].starts_with("lobechat_release="), "{lines:?}");
    let again = format!("{CANARY}; {}", lines[3].split(';').next().unwrap());
    assert_eq!(nginx.fetch(Request::navigation("/login").cookie(again)).all("Set-Cookie"), OWN);
}

#[test]
fn the_order_of_what_names_a_page() {
    let nginx = start("pin on by=header:x-build;");
    let pin = format!("{}; {STABLE}", page(&nginx, "/", "tester=1"));
    let ask = |target: &str, headers: &[(&str, &str)], cookie: &str| {
        let request = headers.iter().fold(script(target, cookie), |r, (name, value)| r.header(name, value));
        decided(&nginx.fetch(request))
    };
    for (target, headers, expected) in [
        ("/", &[][..], "c pin"),
        ("/?dpl=1-1-0", &[], "b pin"),
        ("/?a=b&dpl=1.1.0&dpl=1-0-0", &[], "b pin"),
        ("/?dpl=canary", &[], "b pin"),
        ("/", &[("x-deployment-id", "1-0-0")], "a pin"),
        ("/?dpl=1-1-0", &[("X-Deployment-Id", "1-0-0")], "b pin"),
        ("/?dpl=1-1-0", &[("X-Build", "stable"), ("x-deployment-id", "1-1-0")], "a pin"),
        // One that names nothing leaves the word to the next.
        ("/?dpl=1-1-0", &[("X-Build", "7")], "b pin"),
        ("/?dpl=", &[("x-deployment-id", "")], "c pin"),
        ("/?dpl=nobody", &[], "c pin"),
    ] {
        assert_eq!(ask(target, headers, &pin), expected, "{target} {headers:?}");
    }
    assert_eq!(ask("/?dpl=1-0-0", &[], CANARY), "a pin", "without a cookie");
    // A navigation is decided afresh whatever it names.
    assert_eq!(decided(&nginx.fetch(Request::navigation("/?dpl=1-0-0").cookie(CANARY))), "b split");
}

#[test]
fn what_comes_back_from_a_login_belongs_to_its_page() {
    let nginx = start("pin on follow=/login,/sso/;");
    let pin = format!("{}; {STABLE}", page(&nginx, "/", CANARY));
    let back = nginx.fetch(Request::navigation("/login?code=1").cookie(&pin));
    assert_eq!(decided(&back), "b pin");
    assert_eq!(back.cookie("lobechat_release"), None, "the pin is right");
    assert_eq!(decided(&nginx.fetch(Request::navigation("/sso/back").cookie(&pin))), "b pin");
    // Instead of the default, and with no page before it.
    assert_eq!(decided(&nginx.fetch(Request::navigation("/oidc/").cookie(&pin))), "a split");
    let first = nginx.fetch(Request::navigation("/sso/back").cookie(CANARY));
    assert_eq!((decided(&first).as_str(), first.cookie("lobechat_release").is_some()), ("b split", true));
}

#[test]
fn names_of_cookies() {
    let location = |name: &str, lines: &str| {
        format!(
            "location /{name}/ {{ lobechat_canary {name} {{ release stable a; {lines} }} proxy_pass http://lobechat_canary/; }}"
        )
    };
    let nginx = config(RELEASES, "pin on cookie=__Host-page;")
        .server(PASS)
        .server(&location("chat", ""))
        .server(&location("api", "pin off;"))
        .start();
    let names = |target: &str| {
        let response = nginx.fetch(Request::navigation(target));
        let lines = response.all("Set-Cookie");
        lines.iter().map(|line| line.split('=').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("/"), ["__Host-page"]);
    // Where pages are pinned, visitors are known by default; the policy that pins none knows nobody.
    assert_eq!(names("/chat/"), ["lobechat_visitor_chat", "lobechat_release_chat"]);
    assert_eq!(names("/api/"), [""; 0]);
    let cookie = format!("lobechat_visitor_chat={HEX}.{}", crate::visitors::today());
    assert_eq!(nginx.fetch(Request::navigation("/chat/").cookie(cookie)).header("X-Reason"), Some("split"));
}

#[test]
fn secure_on_tls() {
    let nginx = config(RELEASES, "")
        .certificate("chat.example")
        .listen("listen 127.0.0.1:@PORT@ ssl http2; ssl_certificate @DIR@/chat.example.crt; ssl_certificate_key @DIR@/chat.example.key;")
        .server(PASS)
        .start();
    let url = format!("https://127.0.0.1:{}/", nginx.port());
    for version in ["--http1.1", "--http2"] {
        let response = curl(&[version, &url, "-H", "Accept: text/html", "-H", &format!("Cookie: {CANARY}")]);
        let [line] = response.all("set-cookie")[..] else { panic!("{version}: {:?}", response.headers) };
        assert!(
            line.starts_with("lobechat_release=") && line.ends_with("; HttpOnly; SameSite=Lax; Secure"),
            "{line}"
        );
    }
}
