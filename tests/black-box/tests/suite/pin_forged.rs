//! What anybody can write opens nothing: real requests with names and cookies that no page of ours has.

use black_box::api::{self, weights};
use black_box::{Config, Nginx, Request};

use crate::pins::{CANARY, KEY, STABLE, decided, page, script};

const DEFAULT: &str = "v1/policies/default";
/// Of the releases behind stable, one with a weight, one for testers, one that is down, one in drain.
const RELEASES: &str = "release stable a version=1.0.0; release canary b version=1.1.0 weight=50%;
    release beta c version=2.0.0-rc.1 deployment=beta_7; release legacy d version=0.9.0 down;
    release former e version=0.9.9 drain; route beta if cookie:tester remember=7d; user cookie:uid; salt lobe;";

fn config(lines: &str) -> Config {
    Config::new()
        .releases(&["a", "b", "c", "d", "e"])
        .http("lobechat_canary_zone lobechat_canary:1m state=off; large_client_header_buffers 4 64k;")
        .file("cookie.key", KEY)
        .server(&format!(
            "lobechat_canary {{ {RELEASES} cookie_key cookie.key; {lines} }}
             lobechat_canary other {{ {RELEASES} cookie_key cookie.key; pin on cookie=other; }}
             lobechat_canary_use default;
             location /other/ {{ lobechat_canary_use other; proxy_pass http://lobechat_canary/; }}"
        ))
        .server("add_header X-Reason $lobechat_canary_reason always;")
        .server(&api::location("write"))
        .server(
            "location / { proxy_pass http://lobechat_canary; }
             location /_next/static/ { proxy_pass http://lobechat_canary; proxy_next_upstream error timeout http_404; }",
        )
}

const SHUT: [&str; 3] = ["c", "d", "e"];
/// No file of a build, however they look.
const PATHS: [&str; 15] = [
    "/",
    "/trpc/x",
    "/_next/staticx?x=/_next/static/",
    "/_next/static/../trpc",
    "/_next/static/..",
    "/_next/static/x/%2e%2e/%2E%2E/y",
    "/_next/static/.%2e/x",
    "/_next/static/..%2fx",
    "/_next/static/..\\x",
    "/_next/static/x%5C..%5Cy",
    "//_next/static/x",
    "/%5Fnext/static/x",
    "/_NEXT/static/x",
    "http://chat.example/_next/static/../x",
    "/x/../_next/static/%2fa",
];

#[test]
fn names_lead_where_anybody_may_go() {
    let nginx = config("pin on by=header:x-build;").start();
    let names = [
        ("beta", false),
        ("2.0.0-rc.1", false),
        ("beta_7", false),
        ("legacy", false),
        ("0-9-0", false),
        ("former", false),
        ("0.9.9", false),
        ("%62eta", false),
        ("beta_7%20", false),
        ("", false),
        ("canary", true),
        ("1-1-0", true),
        ("1.1.0", true),
    ];
    for path in PATHS {
        for (name, leads) in names {
            let mark = if path.contains('?') { '&' } else { '?' };
            let as_argument = script(&format!("{path}{mark}dpl={name}"), STABLE);
            let as_header = script(path, STABLE).header("x-deployment-id", name);
            let by = script(path, STABLE).header("X-Build", name);
            let expected = if leads { "b pin" } else { "a split" };
            for (kind, request) in [("dpl", as_argument), ("x-deployment-id", as_header), ("by", by)] {
                assert_eq!(decided(&nginx.fetch(request)), expected, "{path} {kind} {name}");
            }
        }
    }
    // Their own routes lead testers there, and so do the names; public files are public with their build.
    let tester = "tester=1; uid=user_2";
    for (request, expected) in [
        (script("/?dpl=beta_7", tester), "c pin"),
        (script("/?dpl=1-0-0", tester), "a pin"),
        (script("/?dpl=legacy", tester), "c route"),
        (script("/_next/static/x?dpl=beta_7", STABLE), "c pin"),
        (script("/_next/static/x?dpl=legacy", STABLE), "d pin"),
        (script("/_next/static/x?dpl=former", STABLE), "e pin"),
        (script("/_next/static/x", STABLE).header("x-build", "beta"), "c pin"),
    ] {
        assert_eq!(decided(&nginx.fetch(request.clone())), expected, "{}", request.target());
    }
    let skew = api::counted(&nginx.metrics(), "skew_total");
    assert!(
        skew.iter().any(|(series, count)| series.contains("release=\"stable\"") && *count > 100),
        "{skew:?}"
    );
}

/// All sorts of changes to the cookie of a tester's page.
fn forgeries(genuine: &str) -> Vec<String> {
    let parts: Vec<&str> = genuine.split('.').collect();
    let [generation, dealt, tag, issued] = parts[..] else { panic!("{genuine}") };
    let other_tag = |at: usize| {
        let mut tag = tag.to_owned().into_bytes();
        tag[at] = if tag[at] == b'A' { b'B' } else { b'A' };
        format!("{generation}.{dealt}.{}.{issued}", String::from_utf8(tag).unwrap())
    };
    let mut forgeries: Vec<String> = (0..tag.len()).map(other_tag).collect();
    forgeries.extend([
        String::new(),
        "beta".to_owned(),
        generation.to_owned(),
        format!("{generation}.s.{tag}.{issued}"),
        format!("{generation}.x.{tag}.{issued}"),
        format!("{generation}.{dealt}..{issued}"),
        format!("{generation}.{dealt}.{}.{issued}", &tag[..21]),
        format!("{generation}.{dealt}.{tag}x.{issued}"),
        format!("{generation}.{dealt}.{tag}"),
        format!("{generation}.{dealt}.{}.{issued}", "A".repeat(22)),
        format!("{}.{dealt}.{tag}.{issued}", generation.to_uppercase()),
        format!(" {}.{dealt}.{tag}.{issued}", &generation[1..]),
        format!("{generation}.{dealt}.{tag}.{issued}").replace('.', "%2e"),
        format!("{generation}.{dealt}.{}", "z".repeat(30_000)),
        "x".repeat(30_000),
    ]);
    forgeries.extend((1..genuine.len() - issued.len()).step_by(3).map(|end| genuine[..end].to_owned()));
    forgeries
}

/// nginx takes the path up to `#` and passes on the whole of it.
#[test]
fn what_follows_a_fragment_is_looked_at_too() {
    let nginx = config("").start();
    let ask = |target: &str| {
        let request = script(target, STABLE).header("x-deployment-id", "beta_7");
        decided(&nginx.fetch(request))
    };
    assert_eq!(ask("/_next/static/x#y"), "c pin");
    for target in ["/_next/static/x#/../../trpc", "/_next/static/x#?/%2e%2e/", "/_next/static/x#\\..\\y"] {
        assert_eq!(ask(target), "a split", "{target}");
    }
    // A fragment is no part of the arguments.
    assert_eq!(decided(&nginx.fetch(script("/?dpl=1-1-0#dpl=x", STABLE))), "b pin");
    assert_eq!(decided(&nginx.fetch(script("/#?dpl=1-1-0", STABLE))), "a split");
}

/// An address that only looks like a file's, in the location of files.
#[test]
fn what_is_no_file_is_asked_of_no_other_release() {
    let nginx = config("fallback off;")
        .backend("lacks", "location / { return 404 lacks; }")
        .http("upstream lacks { server unix:@DIR@/lacks.sock; }")
        .server("location /more/ { lobechat_canary more { release stable lacks; release canary b; fallback off; } proxy_pass http://lobechat_canary; proxy_next_upstream http_404; }")
        .server("location /files/ { lobechat_canary files { release stable lacks; release canary b; fallback off; pin on assets=/files/; } proxy_pass http://lobechat_canary; proxy_next_upstream http_404; }")
        .start();
    for (target, status) in
        [("/more/x", 404), ("/files/x", 200), ("/files/../files/x", 404), ("/files/%2e/x", 404)]
    {
        assert_eq!(nginx.get(target).status, status, "{target}");
    }
}

#[test]
fn cookies_without_a_right_code_lead_nowhere() {
    let nginx = config("").start();
    let tester = page(&nginx, "/", "tester=1");
    let genuine = tester.strip_prefix("lobechat_release=").unwrap();
    assert_eq!(decided(&nginx.fetch(script("/", &format!("{tester}; {STABLE}")))), "c pin");
    for forged in forgeries(genuine) {
        let shown = &forged[..forged.len().min(80)];
        let cookie = format!("lobechat_release={forged}; {STABLE}");
        for path in PATHS {
            assert_eq!(decided(&nginx.fetch(script(path, &cookie))), "a split", "{path} {shown}");
        }
        // A file may come from any build; a navigation is decided afresh, and puts the cookie right.
        assert_eq!(nginx.fetch(script("/_next/static/x", &cookie)).status, 200, "{shown}");
        let page = nginx.fetch(Request::navigation("/").cookie(&cookie));
        assert_eq!((decided(&page).as_str(), page.all("Set-Cookie").len()), ("a split", 1), "{shown}");
    }
    // The first cookie of a name counts.
    let two = format!("lobechat_release=x; {tester}; {STABLE}");
    assert_eq!(decided(&nginx.fetch(script("/", &two))), "a split");
}

#[test]
fn cookies_of_another_policy_are_foreign() {
    let nginx = config("").start();
    let other = nginx.fetch(Request::navigation("/other/").cookie("tester=1"));
    let value = other.cookie("other").unwrap().to_owned();
    assert_eq!(decided(&nginx.fetch(script("/other/", &format!("other={value}; {STABLE}")))), "c pin");
    let cookie = format!("lobechat_release={value}; {STABLE}");
    assert_eq!(decided(&nginx.fetch(script("/", &cookie))), "a split", "the same releases and key");
}

/// The generation of a release that has a weight, with a wrong code: as good as `?dpl=`, and never judged.
#[test]
fn a_forged_cookie_may_name_what_is_open_to_all() {
    let nginx = config("").start();
    let [canary, beta] = [CANARY, "tester=1"].map(|who| page(&nginx, "/", who));
    let generation = |pin: &str| pin[17..33].to_owned();
    let code = "A".repeat(22);
    let ask = |generation: &str, path: &str| {
        let cookie = format!("lobechat_release={generation}.s.{code}.1; {STABLE}");
        decided(&nginx.fetch(script(path, &cookie)))
    };
    assert_eq!(ask(&generation(&canary), "/"), "b pin");
    assert_eq!(ask(&generation(&beta), "/"), "a split");
    assert_eq!(ask(&generation(&beta), "/_next/static/x"), "c pin");
    assert_eq!(ask("0011223344556677", "/"), "a split");
    nginx.api_ok("PATCH", DEFAULT, &weights("canary", "0%"));
    assert_eq!(ask(&generation(&canary), "/"), "a split", "no weight any more");
}

fn set_state(nginx: &Nginx, name: &str, state: &str) {
    nginx.api_ok("PUT", &format!("{DEFAULT}/releases/{name}/state"), &format!("\"{state}\""));
}

#[test]
fn a_genuine_pin_holds_at_any_weight_until_its_release_is_down() {
    let nginx = config("").start();
    let tester = format!("{}; {STABLE}", page(&nginx, "/", "tester=1"));
    let canary = format!("{}; {STABLE}", page(&nginx, "/", CANARY));
    let ask = |cookie: &str| decided(&nginx.fetch(script("/trpc", cookie)));
    // She is no tester any more; but the page is hers.
    assert_eq!((ask(&tester).as_str(), ask(&canary).as_str()), ("c pin", "b pin"));
    for weight in ["1%", "0%"] {
        nginx.api_ok("PATCH", DEFAULT, &weights("canary", weight));
        assert_eq!(ask(&canary), "b pin", "{weight}");
    }
    for name in ["canary", "beta"] {
        set_state(&nginx, name, "drain");
    }
    assert_eq!((ask(&tester).as_str(), ask(&canary).as_str()), ("c pin", "b pin"), "drain");
    for name in ["canary", "beta"] {
        set_state(&nginx, name, "down");
    }
    assert_eq!((ask(&tester).as_str(), ask(&canary).as_str()), ("a split", "a split"), "down");
    for path in PATHS {
        let served = nginx.fetch(script(path, &tester)).text();
        assert!(!SHUT.contains(&served.as_str()), "{path}: {served}");
    }
    for name in ["canary", "beta"] {
        set_state(&nginx, name, "up");
    }
    assert_eq!((ask(&tester).as_str(), ask(&canary).as_str()), ("c pin", "b pin"), "up again");
}
