//! Who asks for what follows a page: nobody needs to know for the decision, but logs and header lines may ask.

use black_box::token::hs256;
use black_box::{Config, Request, api};

use crate::identities::{SECRET, SHOW, testers};

/// Its page decides for a file, but logs and header lines know who asks for it, and that is no new token.
#[test]
fn who_asks_for_a_file_of_a_page_is_known() {
    let config =
        testers("identity jwt secret=secret; cookie_key cookie.key;").file("cookie.key", "k".repeat(32));
    let nginx = config.server(&api::location("")).start();
    let token = |role: &str| hs256(SECRET, &format!(r#"{{"sub":"u1","role":"{role}"}}"#));
    let page = nginx.fetch(Request::navigation("/").bearer(&token("tester")));
    let cookie = format!("lobechat_release={}", page.cookie("lobechat_release").unwrap());
    let file = |token: &str| {
        let target = if token.ends_with('x') { "/_next/static/a.js?dpl=" } else { "/_next/static/a.js" };
        let response = nginx.fetch(Request::get(target).cookie(&*cookie).bearer(token));
        let header = |name: &str| response.header(name).unwrap_or("-").to_owned();
        let seen = [header("X-Reason"), header("X-Identity"), header("X-Sub"), header("X-Role")];
        (response.text(), seen.join(" "), header("X-User"))
    };
    let user = page.header("X-User").unwrap().to_owned();
    assert_eq!(file(&token("tester")), ("b".to_owned(), "pin jwt u1 tester".to_owned(), user.clone()));
    assert_eq!(file(&token("guest")), ("b".to_owned(), "pin jwt u1 guest".to_owned(), user));
    for forged in ["x", "y"].map(|end| token("tester") + end) {
        assert_eq!(file(&forged), ("b".to_owned(), "pin jwt:signature - -".to_owned(), "-".to_owned()));
    }
    let failures = api::counted(&nginx.metrics(), "identity_failures_total");
    assert!(failures.is_empty(), "{failures:?}");
}

/// While its user is looked for, the claim of the same decision is empty: for a page, and for a file of it.
#[test]
fn a_user_that_is_a_claim_variable_is_nobody() {
    let nginx = Config::new()
        .releases(&["a", "b"])
        .file("secret", SECRET)
        .file("cookie.key", "k".repeat(32))
        .server(SHOW)
        .server("lobechat_canary { release stable a; release canary b; identity jwt secret=secret; claim $sub sub;
            claim $role role; user $sub; cookie_key cookie.key; } location / { proxy_pass http://lobechat_canary; }")
        .start();
    let bearing = |request: Request| request.bearer(&hs256(SECRET, r#"{"sub":"u1","role":"guest"}"#));
    let page = nginx.fetch(bearing(Request::navigation("/")));
    let pin = format!("lobechat_release={}", page.cookie("lobechat_release").unwrap());
    let file = nginx.fetch(bearing(Request::get("/_next/static/a.js").cookie(pin)));
    for (response, reason) in [(page, "anonymous"), (file, "pin")] {
        let header = |name: &str| response.header(name);
        assert_eq!((header("X-Reason"), header("X-User")), (Some(reason), None));
        assert_eq!((header("X-Identity"), header("X-Sub")), (Some("jwt"), Some("u1")));
    }
    assert!(!nginx.error_log().contains("cycle"), "{}", nginx.error_log());
}
