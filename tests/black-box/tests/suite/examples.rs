//! Every example of nginx-conf/ passes `nginx -t` without a warning; those about identity run, with real tokens.

use black_box::backend::Backend;
use black_box::token::now;
use black_box::{Nginx, Request, Response, example, vectors};
use serde_json::Value;

#[test]
fn examples_load() {
    let examples = example::all();
    assert!(!examples.is_empty(), "nginx-conf/ holds no example");
    for path in examples {
        let check = example::check(&path);
        assert!(check.ok && !check.output.contains("[warn]"), "{}\n{}", path.display(), check.output);
    }
}

/// Two backends that say their names.
fn backends() -> [Backend; 2] {
    ["stable", "canary"].map(|name| {
        Backend::start(move |mut peer| {
            while peer.request().is_some() {
                peer.answer("200 OK", "Content-Type: text/html\r\n", name);
            }
        })
    })
}

fn recorded(file: &str, id: &str) -> Value {
    vectors::read(file).into_iter().find(|line| line["id"] == id).unwrap_or_else(|| panic!("no line {id}"))
}

/// Whoever proves what the example asks for gets the canary and its cookie, and keeps both without the proof.
fn assert_tester(nginx: &Nginx, request: impl Fn() -> Request) {
    let response = nginx.fetch(request());
    assert_eq!(response.text(), "canary");
    let cookies = ["lobechat_remember", "lobechat_keep"].map(|name| {
        format!("{name}={}", response.cookie(name).unwrap_or_else(|| panic!("no cookie {name}")))
    });
    let later: Response = nginx.fetch(Request::navigation("/").cookie(cookies.join("; ")));
    assert_eq!(later.text(), "canary");
    // Of the module's cookies, only the page's build is new.
    let lines = later.all("Set-Cookie");
    assert!(lines.len() == 1 && lines[0].starts_with("lobechat_release="), "{lines:?}");
    let out = nginx.fetch(request().cookie("release_channel=stable"));
    assert_eq!(out.text(), "stable");
}

const COOKIE_KEY: &str = "a key of the module's own cookies, one line\n";

#[test]
fn jwt() {
    let backends = backends();
    let (payload, secret) = (
        format!(
            r#"{{"iss":"https://idp.example.com/realms/chat","aud":["account","chat"],"sub":"u1","exp":{},"realm_access":{{"roles":["user","tester"]}}}}"#,
            now() + 600
        ),
        "an oct key of a provider that has no other kind",
    );
    let key = black_box::token::base64url(secret.as_bytes());
    let nginx = example::config("jwt.conf", backends.each_ref().map(|backend| backend.port))
        .file("jwks.json", format!(r#"{{"keys":[{{"kty":"oct","k":"{key}"}}]}}"#))
        .file("canary.key", COOKIE_KEY)
        .start();
    let token = black_box::token::hs256(secret, &payload);
    assert_tester(&nginx, || Request::get("/").bearer(&token));
    assert_eq!(nginx.fetch(Request::get("/").cookie(format!("access_token={token}"))).text(), "canary");
    for (from, to) in
        [("tester", "guest"), ("realms/chat", "realms/other"), ("\"chat\"", "\"mail\""), ("exp", "ex")]
    {
        let token = black_box::token::hs256(secret, &payload.replace(from, to));
        assert_eq!(nginx.fetch(Request::get("/").bearer(&token)).cookie("lobechat_remember"), None, "{to}");
    }
    // The log says why, the last line first of all.
    let log = nginx.log_lines("access.log", 8);
    assert!(log[7].contains("\"jwt:claims\"") && log[5].contains("\"jwt:issuer\""), "{log:?}");
}

#[test]
fn lobehub_v2() {
    let backends = backends();
    let session = recorded("sessions/recording.jsonl", "better_auth/compact/lobehub");
    let nginx = example::config("lobehub-v2.conf", backends.each_ref().map(|backend| backend.port))
        .file("auth_secret", session["secret"].as_str().unwrap())
        .file("canary.key", COOKIE_KEY)
        .start();
    assert_tester(&nginx, || Request::get("/").cookie(cookies(&session)));
    let user = recorded("sessions/recording.jsonl", "better_auth/compact/plain");
    let response = nginx.fetch(Request::get("/").cookie(cookies(&user)));
    assert!(response.cookie("lobechat_remember").is_none() && response.cookie("lobechat_keep").is_some());
}

#[test]
fn lobechat_v1() {
    let backends = backends();
    let session = recorded("sessions/recording.jsonl", "authjs/plain");
    let nginx = example::config("lobechat-v1.conf", backends.each_ref().map(|backend| backend.port))
        .file("next_auth_secret", session["secret"].as_str().unwrap())
        .file("testers.txt", format!("ada@example.org\n{}\n", session["claims"]["email"].as_str().unwrap()))
        .file("canary.key", COOKIE_KEY)
        .start();
    assert_tester(&nginx, || Request::get("/").cookie(cookies(&session)));
}

fn cookies(session: &Value) -> String {
    let pair = |pair: &Value| format!("{}={}", pair[0].as_str().unwrap(), pair[1].as_str().unwrap());
    session["cookies"].as_array().unwrap().iter().map(pair).collect::<Vec<_>>().join("; ")
}

/// Steered without a reload, and stable answers what the canary does not.
#[test]
fn runtime() {
    let [stable, _] = backends();
    let canary = Backend::start(|mut peer| {
        while let Some(request) = peer.request() {
            let status = if request.line.contains(" /ill ") { "503 Service Unavailable" } else { "200 OK" };
            peer.answer(status, "Content-Type: text/html\r\n", "canary");
        }
    });
    let nginx = example::config("runtime.conf", [stable.port, canary.port]).directory("canary").start();
    let fetch = |target| nginx.fetch(Request::get(target).cookie("release_channel=canary"));
    assert_eq!(
        (nginx.fetch(Request::get("/")).text(), fetch("/").text()),
        ("stable".into(), "canary".into())
    );
    let saved = fetch("/ill");
    assert_eq!((saved.text().as_str(), saved.header("X-LobeChat-Release")), ("stable", Some("stable")));
    let change = Request::new("PATCH", "/canary/v1/policies/chat")
        .header("Content-Type", "application/json")
        .body(r#"{"weights":{"canary":"5%"}}"#);
    let policy: Value = serde_json::from_str(&nginx.fetch(change).text()).unwrap();
    assert_eq!((&policy["releases"][1]["weight"], &policy["persisted"]), (&"5%".into(), &true.into()));
}

#[test]
fn ramp() {
    let backends = backends();
    let nginx = example::config("ramp.conf", backends.each_ref().map(|backend| backend.port))
        .directory("canary")
        .file("canary.htpasswd", "admin:{PLAIN}secret\n")
        .start();
    let policies = || Request::get("/canary/v1/policies/chat");
    assert_eq!(nginx.fetch(policies()).status, 401);
    let policy = nginx.fetch(policies().header("Authorization", "Basic YWRtaW46c2VjcmV0")).text();
    let policy: Value = serde_json::from_str(&policy).unwrap();
    let canary = &policy["releases"][1];
    assert_eq!((&canary["weight"], &canary["ramp"]["state"]), (&"1%".into(), &"running".into()));
}

/// Whatever a page's cookie says, its release has its files; what it lacks comes from the other.
#[test]
fn files_of_pages() {
    let of_canary = |line: &str| line.contains("new") || line.contains(" / ");
    let files = |name: &'static str, has: fn(&str) -> bool| {
        Backend::start(move |mut peer| {
            while let Some(request) = peer.request() {
                let status = if has(&request.line) { "200 OK" } else { "404 Not Found" };
                peer.answer(status, "Content-Type: text/html\r\n", name);
            }
        })
    };
    let backends = [files("stable", |line| !line.contains("new")), files("canary", of_canary)];
    let nginx = example::config("minimal.conf", backends.each_ref().map(|backend| backend.port)).start();
    let page = nginx.fetch(Request::navigation("/"));
    let pin = format!("lobechat_release={}", page.cookie("lobechat_release").unwrap());
    for (target, release) in [("/_next/static/old.js", "stable"), ("/_next/static/new.js", "canary")] {
        let response = nginx.fetch(Request::get(target).cookie(&pin));
        assert_eq!((response.status, response.text().as_str()), (200, release), "{target}");
    }
    assert_eq!(nginx.fetch(Request::get("/new").cookie(&pin)).status, 404, "no file");
}

#[test]
fn versioned_assets() {
    let backends = backends();
    let nginx =
        example::config("versioned-assets.conf", backends.each_ref().map(|backend| backend.port)).start();
    let page = nginx.fetch(Request::navigation("/").cookie("release_channel=canary"));
    let pin = format!("lobechat_release={}", page.cookie("lobechat_release").unwrap());
    assert_eq!(page.text(), "canary");
    for (target, release) in [
        ("/lobechat/2.1.25/_next/static/a.js", "stable"),
        ("/lobechat/2.1.26/_next/static/a.js", "canary"),
        ("/lobechat/other/a.js", "canary"),
        ("/trpc/x", "canary"),
    ] {
        assert_eq!(nginx.fetch(Request::get(target).cookie(&pin)).text(), release, "{target}");
    }
    assert_eq!(nginx.text("/lobechat/2.1.26/a.js"), "canary", "without any cookie");
}
