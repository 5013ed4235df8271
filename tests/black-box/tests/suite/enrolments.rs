//! Cookies that keep a browser where it was put: `remember` for a route, `keep` for a user id.

use black_box::token::{hs256, now};
use black_box::{Config, Request, Response};

use crate::identities::SECRET;

const KEY: &str = "the key of the module's cookies, first line\n";
const NEW_KEY: &str = "a newer key of the module's cookies, its line\n";

fn config(policy: &str, lines: &str) -> Config {
    Config::new()
        .releases(&["a", "b", "c"])
        .file("secret", SECRET)
        .file("cookie.key", KEY)
        .http(&format!(
            "lobechat_canary {policy} {{ release stable a; release canary b; release beta c; {lines} }}"
        ))
        .server(
            "add_header X-Reason $lobechat_canary_reason always;
            add_header X-Rule $lobechat_canary_rule always;
            location / { proxy_pass http://lobechat_canary; }
            location /error { proxy_pass http://lobechat_canary; proxy_intercept_errors on; }
            location /refused { set $x $lobechat_canary_release; return 403; }",
        )
}

const TESTERS: &str = "identity jwt secret=secret; cookie_key cookie.key; user cookie:uid;
    route stable if cookie:release_channel = stable; route canary if claim:role = tester remember=7d;";

fn tester() -> Request {
    Request::get("/").bearer(&hs256(SECRET, r#"{"sub":"u1","role":"tester"}"#))
}

fn decided(response: &Response) -> (String, &str) {
    (response.text(), response.header("X-Reason").unwrap_or_default())
}

/// The remember cookie that a tester is given, as a browser sends it.
fn enrol(nginx: &black_box::Nginx) -> String {
    let response = nginx.fetch(tester());
    assert_eq!(decided(&response), ("b".to_owned(), "route"));
    format!("lobechat_remember={}", response.cookie("lobechat_remember").expect("a cookie"))
}

#[test]
fn a_tester_stays_where_no_token_is_sent() {
    let nginx = config("", TESTERS).start();
    let response = nginx.fetch(tester());
    let line = response.header("Set-Cookie").unwrap();
    assert!(line.starts_with("lobechat_remember=canary."), "{line}");
    assert!(line.ends_with("; Path=/; Max-Age=604800; HttpOnly; SameSite=Lax"), "{line}");
    assert_eq!(response.header("Cache-Control"), Some("private"));
    let cookie = enrol(&nginx);
    // A page, which carries no token.
    let page = nginx.fetch(Request::navigation("/").cookie(&cookie));
    assert_eq!(decided(&page), ("b".to_owned(), "remembered"));
    assert_eq!(page.header("X-Rule"), Some("canary if claim:role = tester"));
    assert_eq!(page.header("Set-Cookie"), None);
    // With a fresh cookie the token brings no other.
    let again = nginx.fetch(tester().cookie(&cookie));
    assert_eq!((decided(&again), again.header("Set-Cookie")), (("b".to_owned(), "route"), None));
    // The way out still counts first.
    let out = nginx.fetch(Request::get("/").cookie(format!("{cookie}; release_channel=stable")));
    assert_eq!(decided(&out), ("a".to_owned(), "route"));
}

/// The request that proves a tester may be one that a script sends, or one that nginx answers itself; but no prefetch.
#[test]
fn any_answer_carries_it_but_that_of_a_prefetch() {
    let nginx = config("", TESTERS).start();
    let token = hs256(SECRET, r#"{"sub":"u1","role":"tester"}"#);
    for request in [
        Request::get("/").bearer(&token).header("Sec-Fetch-Mode", "cors").header("Sec-Fetch-Dest", "empty"),
        Request::new("POST", "/").bearer(&token).body("x"),
        Request::new("HEAD", "/").bearer(&token),
        Request::get("/refused").bearer(&token),
    ] {
        assert!(nginx.fetch(request).cookie("lobechat_remember").is_some());
    }
    let prefetch = tester().header("Sec-Purpose", "prefetch");
    assert_eq!(nginx.fetch(prefetch).header("Set-Cookie"), None);
    assert_eq!(nginx.fetch(Request::get("/")).header("Set-Cookie"), None);
}

#[test]
fn forged_foreign_and_stale_cookies_are_ignored() {
    let nginx = config("", TESTERS).start();
    let cookie = enrol(&nginx);
    let value = cookie.split_once('=').unwrap().1;
    let [release, issued, code] = value.split('.').collect::<Vec<_>>()[..] else { panic!("{value}") };
    let later = issued.parse::<u64>().unwrap() + 1;
    for forged in [
        "canary".to_owned(),
        "canary.1.x".to_owned(),
        format!("{release}.{later}.{code}"),
        format!("beta.{issued}.{code}"),
        format!("stable.{issued}.{code}"),
        format!("{release}.{issued}.{}", &code[1..]),
        format!("{release}.{issued}.{code}="),
        format!("{release}.0{issued}.{code}x"),
        format!("{release}.{issued}."),
        "x".repeat(5000),
    ] {
        let response = nginx.fetch(Request::get("/").cookie(format!("lobechat_remember={forged}")));
        assert_eq!(decided(&response), ("a".to_owned(), "anonymous"), "{forged}");
    }
    // Of another policy with the same routes and the same key.
    let other = config("other", TESTERS).start();
    let response = other.fetch(Request::get("/").cookie(format!("lobechat_remember_other={value}")));
    assert_eq!(decided(&response), ("a".to_owned(), "anonymous"));
}

/// What ends an enrolment is its time or a changed route; weights, versions, the order and other routes do not.
#[test]
fn an_enrolment_outlives_other_edits() {
    let mut nginx = config("", TESTERS).start();
    let cookie = enrol(&nginx);
    let reason = |nginx: &black_box::Nginx| {
        let response = nginx.fetch(Request::get("/").cookie(&cookie));
        decided(&response).0 + " " + response.header("X-Reason").unwrap_or_default()
    };
    let edited = |from: &str, to: &str| config("", &TESTERS.replace(from, to));
    nginx.reload(&edited("route stable", "salt new; route beta if cookie:beta; route stable"));
    assert_eq!(reason(&nginx), "b remembered");
    nginx.reload(&edited("remember=7d", "remember=1h"));
    assert_eq!(reason(&nginx), "b remembered");
    nginx.reload(&edited("claim:role = tester", "claim:role = qa"));
    assert_eq!(reason(&nginx), "a anonymous");
    nginx.reload(&edited("route canary if", "route beta if"));
    assert_eq!(reason(&nginx), "a anonymous");
    nginx.reload(&edited(" remember=7d", ""));
    assert_eq!(reason(&nginx), "a anonymous");
    nginx.reload(&edited("remember=7d", "remember=1s"));
    std::thread::sleep(std::time::Duration::from_millis(2100));
    assert_eq!(reason(&nginx), "a anonymous");
}

#[test]
fn keys_rotate() {
    let mut nginx = config("", TESTERS).start();
    let cookie = enrol(&nginx);
    let ask = |nginx: &black_box::Nginx| decided(&nginx.fetch(Request::get("/").cookie(&cookie))).0;
    nginx.reload(&config("", TESTERS).file("cookie.key", format!("{NEW_KEY}{KEY}")));
    assert_eq!(ask(&nginx), "b");
    let newer = enrol(&nginx);
    nginx.reload(&config("", TESTERS).file("cookie.key", NEW_KEY));
    assert_eq!(ask(&nginx), "a");
    assert_eq!(decided(&nginx.fetch(Request::get("/").cookie(&newer))).0, "b");
    // Without a reload, as any key file.
    std::fs::write(nginx.dir().join("cookie.key"), KEY).unwrap();
    black_box::wait_for("the old key", || (ask(&nginx) == "b").then_some(()));
    assert_eq!(decided(&nginx.fetch(Request::get("/").cookie(&newer))).0, "a");
}

/// Without `cookie_key` cookies live as long as this nginx, reloads included, and `nginx -t` says so.
#[test]
fn a_random_key_lives_as_long_as_nginx() {
    let lines = TESTERS.replace("cookie_key cookie.key;", "");
    let check = config("", &lines).check();
    assert!(check.ok && check.output.contains("no \"cookie_key\""), "{}", check.output);
    let mut nginx = config("", &lines).start();
    let cookie = enrol(&nginx);
    nginx.reload(&config("", &lines));
    assert_eq!(decided(&nginx.fetch(Request::get("/").cookie(&cookie))).0, "b");
    let other = config("", &lines).start();
    assert_eq!(decided(&other.fetch(Request::get("/").cookie(&cookie))).0, "a");
}

// === keep

const KEEP: &str =
    "identity jwt secret=secret; cookie_key cookie.key; user claim:sub keep=30d visitor; salt one;";

fn split(lines: &str) -> Config {
    Config::new()
        .releases(&["a", "b"])
        .file("secret", SECRET)
        .file("cookie.key", KEY)
        .http(&format!("lobechat_canary {{ release stable a; release canary b weight=10%; {lines} }}"))
        .server("add_header X-Bucket $lobechat_canary_bucket; add_header X-User $lobechat_canary_user; location / { proxy_pass http://lobechat_canary; }")
}

fn session(user: &str) -> Request {
    Request::get("/").bearer(&hs256(SECRET, &format!(r#"{{"sub":"{user}","exp":{}}}"#, now() + 600)))
}

fn bucket(response: &Response) -> Option<String> {
    response.header("X-Bucket").map(str::to_owned)
}

#[test]
fn a_user_stays_when_her_session_has_lapsed() {
    let nginx = split(KEEP).start();
    for number in 0..40 {
        let user = format!("user-{number}");
        let response = nginx.fetch(session(&user));
        let line = response.header("Set-Cookie").unwrap();
        assert!(line.starts_with("lobechat_keep=") && line.contains("; Max-Age=2592000; "), "{line}");
        assert!(!line.contains(&user), "sealed: {line}");
        let cookie = format!("lobechat_keep={}", response.cookie("lobechat_keep").unwrap());
        // The session's claims are gone: logged out, or idle for longer than they live.
        let idle = nginx.fetch(Request::navigation("/").cookie(&cookie));
        assert_eq!((idle.text(), bucket(&idle)), (response.text(), bucket(&response)), "{user}");
        assert_eq!(idle.header("X-User"), response.header("X-User"));
        assert_eq!(idle.header("Set-Cookie"), None);
        let back = nginx.fetch(session(&user).cookie(&cookie));
        assert_eq!((back.text(), back.header("Set-Cookie")), (response.text(), None), "{user}");
        // Somebody else logs in on the same machine.
        let other = nginx.fetch(session("somebody else").cookie(&cookie));
        assert_ne!(bucket(&other), bucket(&response));
        assert!(other.cookie("lobechat_keep").is_some());
    }
}

#[test]
fn a_kept_user_follows_a_new_salt() {
    let mut nginx = split(KEEP).start();
    let cookie = format!("lobechat_keep={}", nginx.fetch(session("alice")).cookie("lobechat_keep").unwrap());
    nginx.reload(&split(&KEEP.replace("salt one", "salt lobe")));
    let kept = nginx.fetch(Request::get("/").cookie(&cookie));
    assert_eq!(bucket(&kept).as_deref(), Some("7091"), "the bucket of alice with salt lobe");
    assert_eq!(kept.text(), nginx.fetch(session("alice")).text());
}

/// The cookie splits; it proves nothing.
#[test]
fn a_kept_id_yields_no_claims() {
    let nginx =
        split(&format!("{KEEP} route canary if claim:sub; route canary if claim:role = tester remember=7d;"))
            .start();
    let response = nginx.fetch(session("alice"));
    assert_eq!(response.text(), "b");
    let cookie = format!("lobechat_keep={}", response.cookie("lobechat_keep").unwrap());
    let idle = nginx.fetch(Request::get("/").cookie(&cookie));
    assert_eq!(idle.text(), if bucket(&idle).unwrap().parse::<u16>().unwrap() < 1000 { "b" } else { "a" });
}

#[test]
fn forged_foreign_and_stale_ids_are_ignored() {
    let mut nginx = split(KEEP).start();
    let value = nginx.fetch(session("alice")).cookie("lobechat_keep").unwrap().to_owned();
    let ask = |nginx: &black_box::Nginx, value: &str| {
        bucket(&nginx.fetch(Request::get("/").cookie(format!("lobechat_keep={value}"))))
    };
    let known = ask(&nginx, &value);
    assert!(known.is_some());
    let mut changed = value.clone().into_bytes();
    changed[20] = if changed[20] == b'A' { b'B' } else { b'A' };
    for forged in [
        "",
        "alice",
        &value[1..],
        &value[..value.len() - 1],
        &String::from_utf8(changed).unwrap(),
        &"A".repeat(4000),
    ] {
        assert_eq!(ask(&nginx, forged), None, "{forged}");
    }
    nginx.reload(&split(KEEP).file("cookie.key", format!("{NEW_KEY}{KEY}")));
    assert_eq!(ask(&nginx, &value), known);
    nginx.reload(&split(KEEP).file("cookie.key", NEW_KEY));
    assert_eq!(ask(&nginx, &value), None);
    // Another claim's values are other ids.
    nginx.reload(&split(&KEEP.replace("claim:sub", "claim:email")));
    assert_eq!(ask(&nginx, &value), None);
    nginx.reload(&split(&KEEP.replace("keep=30d", "keep=1s")));
    std::thread::sleep(std::time::Duration::from_millis(2100));
    assert_eq!(ask(&nginx, &value), None);
}

#[test]
fn a_rollback_ends_enrolments_and_after_a_reset_the_route_enrols_again() {
    let nginx = config("", TESTERS).server(&black_box::api::location("write")).start();
    let ended = enrol(&nginx);
    let canary = "v1/policies/default/releases/canary";
    nginx.api_ok("POST", &format!("{canary}/rollback"), "");
    let page = || Request::navigation("/").cookie(format!("{ended}; uid=u1"));
    assert_eq!(nginx.fetch(page()).text(), "a");
    std::thread::sleep(std::time::Duration::from_millis(2100));
    nginx.api_ok("POST", &format!("{canary}/reset"), "");
    assert_eq!(nginx.fetch(page()).text(), "a", "it stays ended");
    let again = nginx.fetch(tester().cookie(&ended));
    assert_eq!(decided(&again), ("b".to_owned(), "route"));
    let renewed = format!("lobechat_remember={}", again.cookie("lobechat_remember").expect("a new one"));
    let page = nginx.fetch(Request::navigation("/").cookie(&renewed));
    assert_eq!(decided(&page), ("b".to_owned(), "remembered"));
}
