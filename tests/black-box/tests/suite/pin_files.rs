//! What an open page asks for when its release loses its users, its role, its state or its upstream; and files that a
//! build does not have.

use black_box::api::{self, weights};
use black_box::backend::Backend;
use black_box::state::StateDir;
use black_box::{Config, Nginx, Request, Response};

use crate::pins::{CANARY, KEY, STABLE, decided, page, script};

const DEFAULT: &str = "v1/policies/default";
const RELEASES: &str = "release stable a version=1.0.0; release canary b version=1.1.0 weight=50%;
    release beta c version=2.0.0-rc.1 deployment=beta_7; route beta if cookie:tester; user cookie:uid; salt lobe;";
const SERVER: &str = "location / { proxy_pass http://lobechat_canary; }
    location /_next/static/ { proxy_pass http://lobechat_canary; proxy_next_upstream error timeout http_404; }";

/// A build that has `NAME.js`, and whatever is below `NAME/`; what it lacks is a page that says so.
fn build(name: &str) -> String {
    let file = "default_type text/javascript; return 200";
    format!(
        "location / {{ default_type text/html; return 200 \"{name}\\n\"; }}
         location = /_next/static/{name}.js {{ {file} \"{name}\\n\"; }}
         location /_next/static/{name}/ {{ {file} \"{name} $request_uri\\n\"; }}
         location /_next/static/ {{ default_type text/html; return 404 \"<h1>{name} has no such page</h1>\\n\"; }}"
    )
}

fn config(zone: &str, releases: &str, lines: &str) -> Config {
    ["a", "b", "c"]
        .iter()
        .fold(Config::new(), |config, name| config.release(name, &build(name)))
        .http(zone)
        .file("cookie.key", KEY)
        .server(&format!("lobechat_canary {{ {releases} cookie_key cookie.key; {lines} }}"))
        .server("add_header X-Reason $lobechat_canary_reason always;")
        .server(
            "add_header X-Way '$lobechat_canary_release $lobechat_canary_served [$upstream_status]' always;",
        )
        .server(&api::location("write"))
        .server(SERVER)
}

const NO_FILE: &str = "lobechat_canary_zone lobechat_canary:1m state=off;";

/// What the page's file, its requests, and the next navigation meet.
fn meets(nginx: &Nginx, file: &str, cookie: &str) -> [String; 3] {
    [script(file, cookie), script("/trpc/x", cookie), Request::navigation("/").cookie(cookie)]
        .map(|request| decided(&nginx.fetch(request)))
}

#[test]
fn an_open_page_goes_on_until_it_is_left() {
    const FILE: &str = "/_next/static/b.js";
    let state = StateDir::new();
    let config = |lines: &str| config(&state.zone("1m"), RELEASES, lines).user("www-data").workers(2);
    let mut nginx = config("").start();
    let cookie = format!("{}; {CANARY}", page(&nginx, "/", CANARY));
    assert_eq!(meets(&nginx, FILE, &cookie), ["b pin", "b pin", "b split"]);
    nginx.api_ok("PATCH", DEFAULT, &weights("canary", "0%"));
    assert_eq!(meets(&nginx, FILE, &cookie), ["b pin", "b pin", "a split"], "no weight");
    nginx.reload(&config("expose on;"));
    assert_eq!(meets(&nginx, FILE, &cookie), ["b pin", "b pin", "a split"], "a reload");
    let state_of = |state: &str| format!("\"{state}\"");
    nginx.api_ok("PUT", &format!("{DEFAULT}/releases/canary/state"), &state_of("drain"));
    assert_eq!(meets(&nginx, FILE, &cookie), ["b pin", "b pin", "a split"], "drain");
    nginx.api_ok("PUT", &format!("{DEFAULT}/releases/canary/state"), &state_of("down"));
    assert_eq!(meets(&nginx, FILE, &cookie), ["b pin", "a split", "a split"], "down");
    nginx.api_ok("POST", &format!("{DEFAULT}/releases/canary/reset"), "");
    assert_eq!(meets(&nginx, FILE, &cookie), ["b pin", "b pin", "a split"], "reset");
    nginx.api_ok("PATCH", DEFAULT, &weights("canary", "60%"));
    nginx.api_ok("POST", &format!("{DEFAULT}/releases/canary/rollback"), "");
    assert_eq!(meets(&nginx, FILE, &cookie), ["b pin", "a split", "a split"], "a rollback");
    drop(nginx);
    let nginx = config("").start();
    assert_eq!(meets(&nginx, FILE, &cookie), ["b pin", "a split", "a split"], "a restart");
}

/// The names change hands; pages belong to builds.
#[test]
fn a_promotion_moves_no_open_page() {
    let mut nginx = config(NO_FILE, RELEASES, "").start();
    let of = |file: &str, cookie: &str, nginx: &Nginx| meets(nginx, file, cookie);
    let old = format!("{}; {STABLE}", page(&nginx, "/", STABLE));
    let new = format!("{}; {CANARY}", page(&nginx, "/", CANARY));
    let answer = nginx.api_ok("POST", &format!("{DEFAULT}/releases/canary/promote"), "");
    let check = |nginx: &Nginx, what: &str| {
        assert_eq!(of("/_next/static/a.js", &old, nginx), ["a pin", "a pin", "b split"], "{what}");
        assert_eq!(of("/_next/static/b.js", &new, nginx), ["b pin", "b pin", "b split"], "{what}");
    };
    check(&nginx, "promoted");
    let lines: Vec<_> =
        answer["commit"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    let rest = RELEASES.split_once("release beta").unwrap().1;
    nginx.reload(&config(NO_FILE, &format!("{} release beta{rest}", lines.concat()), ""));
    check(&nginx, "committed");
    // The next version comes, and the first one leaves the file: its pages are nobody's, and any build may have a file.
    let next = "release stable b version=1.1.0; release canary z version=1.2.0; user cookie:uid; salt lobe;";
    let third = config(NO_FILE, next, "").release("z", &build("z"));
    nginx.reload(&third);
    assert_eq!(of("/_next/static/a.js", &old, &nginx)[1..], ["b split", "b split"]);
    assert_eq!(nginx.fetch(script("/_next/static/a.js", &old)).status, 404);
    assert_eq!(of("/_next/static/b.js", &new, &nginx), ["b pin", "b pin", "b split"]);
}

/// The decided release, the one that served, and what each said that was asked.
fn way(nginx: &Nginx, request: Request) -> (Response, String) {
    let response = nginx.fetch(request);
    let way = response.header("X-Way").unwrap_or_default().to_owned();
    (response, way)
}

#[test]
fn a_file_that_its_release_lacks_is_asked_of_every_other() {
    for lines in ["", "fallback off;", "fallback beta stable;", "fallback canary;"] {
        let nginx = config(NO_FILE, RELEASES, lines).start();
        let pinned = page(&nginx, "/", CANARY);
        for (file, cookie, served) in [
            ("a.js", &*pinned, "a"),
            ("b.js", &*pinned, "b"),
            ("c.js", &*pinned, "c"),
            ("c.js", "", "c"),
            ("b.js", CANARY, "b"),
            ("b.js", STABLE, "b"),
        ] {
            let response = nginx.fetch(script(&format!("/_next/static/{file}"), cookie));
            assert_eq!(
                (response.status, response.text()),
                (200, served.to_owned()),
                "{lines} {file} {cookie}"
            );
            assert_eq!(response.all("Set-Cookie"), [""; 0]);
        }
        let (response, log) = way(&nginx, script("/_next/static/none.js", &pinned));
        assert_eq!((response.status, log.matches("404").count()), (404, 3), "{lines}: {log}");
        assert_eq!(response.header("Content-Type"), Some("text/html"), "{lines}: the last one's page");
    }
}

#[test]
fn files_of_a_release_that_is_down_are_asked_for_while_it_answers() {
    let dead = config(NO_FILE, RELEASES, "")
        .http("upstream gone { server unix:@DIR@/gone.sock; }")
        .server("location /nothing { return 204; }");
    let nginx = dead.clone().start();
    let state = |name: &str| {
        nginx.api_ok("PUT", &format!("{DEFAULT}/releases/{name}/state"), "\"down\"");
    };
    state("canary");
    state("beta");
    for (target, expected) in [
        // A browser's page says which build it is of.
        ("/_next/static/b.js?dpl=1-1-0", "canary canary [200]"),
        ("/_next/static/c.js?dpl=1-1-0", "canary beta [404, 404, 200]"),
        ("/_next/static/b.js", "stable canary [404, 200]"),
    ] {
        assert_eq!(way(&nginx, script(target, "x=1")).1, expected, "{target}");
    }
    drop(nginx);
    let releases = RELEASES.replace("release canary b", "release canary gone");
    let nginx = config(NO_FILE, &releases, "").http("upstream gone { server unix:@DIR@/gone.sock; }").start();
    nginx.api_ok("PUT", &format!("{DEFAULT}/releases/canary/state"), "\"down\"");
    for (target, expected) in [
        // It is asked once, and from then on not in place of others.
        ("/_next/static/c.js", "stable beta [404, 502, 200]"),
        ("/_next/static/c.js", "stable beta [404, 200]"),
        // Who names it asks it first all the same.
        ("/_next/static/c.js?dpl=1-1-0", "canary beta [502, 404, 200]"),
        ("/_next/static/a.js?dpl=1-1-0", "canary stable [502, 200]"),
    ] {
        assert_eq!(way(&nginx, script(target, "x=1")).1, expected, "{target}");
    }
}

#[test]
fn paths_pass_as_they_are() {
    let seen = Backend::start(|mut peer| {
        while let Some(request) = peer.request() {
            peer.answer("200 OK", "Content-Type: text/javascript\r\n", &request.line);
        }
    });
    let releases = RELEASES.replace("release beta c", "release beta raw");
    let nginx = config(NO_FILE, &releases, "").http(&format!("upstream raw {{ {} }}", seen.server())).start();
    let pin = format!("{}; {CANARY}", page(&nginx, "/", CANARY));
    for path in [
        "/_next/static/chunks/app/%5Bvariants%5D/(main)/%40modal/(.)x/page-1a2b.js",
        "/_next/static/chunks/[slug]/@modal/page.js?v=%20&dpl=1-1-0",
        "/_next/static/media/%E4%B8%AD.woff2?a=/../b",
    ] {
        // The canary and stable lack it; the third gets what the client has sent.
        let (response, log) = way(&nginx, script(path, &pin));
        assert_eq!(response.text(), format!("GET {path} HTTP/1.0"));
        assert_eq!(log, "canary beta [404, 404, 200]", "{path}");
        let own = script(&path.replace("/static/", "/static/b/"), &pin);
        assert_eq!(nginx.fetch(own.clone()).text(), format!("b {}", own.target()));
    }
}

/// `manifest.webmanifest` is fetched without cookies, and so is what a `crossorigin` attribute asks for.
#[test]
fn what_comes_without_cookies_is_nobody_new() {
    let nginx = config(NO_FILE, &RELEASES.replace("user cookie:uid", "user visitor"), "").start();
    for target in ["/manifest.webmanifest", "/_next/static/a.js", "/favicon.ico"] {
        let request =
            Request::get(target).header("Sec-Fetch-Mode", "cors").header("Sec-Fetch-Dest", "manifest");
        let response = nginx.fetch(request);
        assert_eq!(
            (decided(&response).as_str(), response.all("Set-Cookie").len()),
            ("a anonymous", 0),
            "{target}"
        );
    }
}
