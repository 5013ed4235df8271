//! Pages and shared caches: what leaves private, and nginx's own cache, which hands each user a page of his release.

use black_box::{Config, Nginx, Request, Response};

use crate::pins::{CANARY, KEY, STABLE, page, script};

/// Answers that are meant for everybody, of each type.
fn answers(name: &str) -> String {
    let answer = |path: &str, content_type: &str, headers: &str| {
        format!("location {path} {{ default_type {content_type}; {headers} return 200 \"{name}\\n\"; }}")
    };
    const ISR: &str = "add_header Cache-Control 's-maxage=31536000, stale-while-revalidate';";
    const CDN: &str = "add_header CDN-Cache-Control max-age=60; add_header Surrogate-Control max-age=60;
        add_header Vercel-CDN-Cache-Control max-age=60; add_header Cloudflare-CDN-Cache-Control max-age=60;";
    [
        answer("/", "text/html", ""),
        answer("/isr", "text/html", ISR),
        answer("/cdn", "text/html", CDN),
        answer("/private-cdn", "text/html", &format!("add_header Cache-Control private; {CDN}")),
        answer("/public", "'text/html; charset=utf-8'", "add_header Cache-Control 'public, max-age=60';"),
        answer("/json", "application/json", ISR),
        answer("/component", "text/x-component", ISR),
        answer(
            "/_next/static/",
            "text/javascript",
            "add_header Cache-Control 'public, max-age=31536000, immutable';",
        ),
        "location /moved { add_header Cache-Control 'public, max-age=60' always; return 308 /; }".to_owned(),
        "location /untouched { add_header ETag '\"1\"'; return 304; }".to_owned(),
    ]
    .concat()
}

fn config(versions: [&str; 2], lines: &str, upstreams: [&str; 2]) -> Config {
    let [stable, canary] = versions;
    let releases = format!(
        "release stable {} version={stable}; release canary {} version={canary} weight=50%; user cookie:uid; salt lobe;",
        upstreams[0], upstreams[1]
    );
    ["a", "b", "c"]
        .iter()
        .fold(Config::new(), |config, name| config.release(name, &answers(name)))
        .http("lobechat_canary_zone lobechat_canary:1m state=off; proxy_cache_path @DIR@/cache keys_zone=pages:1m;")
        .http("upstream gone { server unix:@DIR@/gone.sock; }")
        .file("cookie.key", KEY)
        .server(&format!("lobechat_canary {{ {releases} cookie_key cookie.key; {lines} }}"))
        .server("add_header X-Cache $upstream_cache_status always;")
}

fn start(server: &str) -> Nginx {
    config(["1.0.0", "1.1.0"], "", ["a", "b"]).server(server).start()
}

const PASS: &str = "location / { proxy_pass http://lobechat_canary; }";

fn control(response: &Response) -> String {
    response.all("Cache-Control").join(" | ")
}

#[test]
fn pages_are_private_whoever_asks() {
    let nginx = start(PASS);
    let prefetch = |target: &str| Request::navigation(target).header("Sec-Purpose", "prefetch");
    let frame = |target: &str| {
        Request::get(target).header("Sec-Fetch-Mode", "navigate").header("Sec-Fetch-Dest", "iframe")
    };
    let fetched = |target: &str| script(target, CANARY);
    let head = |target: &str| Request::new("HEAD", target);
    const IMMUTABLE: &str = "public, max-age=31536000, immutable";
    const ISR: &str = "s-maxage=31536000, stale-while-revalidate";
    for (target, navigated, followed) in [
        ("/", "private", "private"),
        ("/isr", "private, stale-while-revalidate", "private, stale-while-revalidate"),
        ("/cdn", "private", "private"),
        ("/private-cdn", "private", "private"),
        ("/public", "private, max-age=60", "private, max-age=60"),
        ("/component", "private, stale-while-revalidate", "private, stale-while-revalidate"),
        ("/json", "private, stale-while-revalidate", ISR),
        ("/moved", "private, max-age=60", "private, max-age=60"),
        ("/_next/static/x.js", IMMUTABLE, IMMUTABLE),
    ] {
        let pages = [Request::navigation(target), Request::navigation(target).cookie(CANARY)];
        for request in pages {
            let response = nginx.fetch(request);
            assert_eq!(control(&response), navigated, "{target}");
            for name in [
                "CDN-Cache-Control",
                "Surrogate-Control",
                "Vercel-CDN-Cache-Control",
                "Cloudflare-CDN-Cache-Control",
            ] {
                assert_eq!(response.header(name), None, "{target} {name}");
            }
        }
        // The same address, asked for by a prefetch, a frame, a script or a monitor.
        for request in [prefetch(target), frame(target), fetched(target), Request::get(target), head(target)]
        {
            assert_eq!(control(&nginx.fetch(request)), followed, "{target}");
        }
    }
}

#[test]
fn what_was_meant_for_all_is_told_once_for_each_location() {
    let nginx = start(&format!(
        "{PASS} location /isr {{ proxy_pass http://lobechat_canary; }} location /ours {{ proxy_pass http://lobechat_canary/json; }}"
    ));
    let told = |location: &str| {
        nginx
            .error_log()
            .matches(&format!("a page of location \"{location}\" was meant for shared caches"))
            .count()
    };
    for _ in 0..3 {
        nginx.fetch(Request::navigation("/"));
        nginx.fetch(script("/json", ""));
    }
    assert_eq!(told("/"), 0, "nothing has been changed");
    for _ in 0..3 {
        for target in ["/cdn", "/public", "/isr", "/isr/more"] {
            nginx.fetch(Request::navigation(target));
        }
    }
    assert_eq!((told("/"), told("/isr"), told("/ours")), (1, 1, 0));
    assert!(nginx.error_log().contains("with \"lobechat_canary_use off\""));
}

/// The browser has the page already: another build may have pinned it since.
#[test]
fn a_page_that_has_not_changed_is_pinned_too() {
    let nginx = start(PASS);
    let untouched = |cookie: &str| nginx.fetch(Request::navigation("/untouched").cookie(cookie));
    let pin = page(&nginx, "/", CANARY);
    let response = untouched(&format!("{pin}; {CANARY}"));
    assert_eq!((response.status, response.all("Set-Cookie").len()), (304, 0), "the same build");
    let response = untouched(&format!("{pin}; {STABLE}"));
    assert!(response.cookie("lobechat_release").is_some(), "another one");
    assert_eq!(control(&response), "private");
    assert_eq!(nginx.fetch(script("/untouched", STABLE)).all("Set-Cookie"), [""; 0]);
}

const CACHED: &str = "location / { proxy_cache pages; proxy_cache_valid 200 404 10m; proxy_ignore_headers Cache-Control;
    proxy_cache_key $lobechat_canary_upstream$lobechat_canary_version$scheme$host$request_uri; proxy_pass http://lobechat_canary; }";

fn cached(nginx: &Nginx, cookie: &str) -> String {
    let response = nginx.fetch(Request::navigation("/isr").cookie(cookie));
    assert_eq!(control(&response), "private, stale-while-revalidate");
    let pins = response.cookie("lobechat_release").is_some();
    format!("{} {} {pins}", response.text(), response.header("X-Cache").unwrap_or("-"))
}

#[test]
fn a_cache_with_the_recommended_key_gives_each_user_his_release() {
    let mut nginx = start(CACHED);
    for status in ["MISS", "HIT"] {
        assert_eq!(cached(&nginx, CANARY), format!("b {status} true"));
        assert_eq!(cached(&nginx, STABLE), format!("a {status} true"));
    }
    // What comes from the cache pins as what comes from the release; once.
    let response = nginx.fetch(Request::navigation("/isr").cookie(CANARY));
    let pin = format!("lobechat_release={}", response.cookie("lobechat_release").unwrap());
    assert_eq!(cached(&nginx, &format!("{pin}; {CANARY}")), "b HIT false");
    // A prefetch of an open page gets the page's own build.
    let prefetch =
        Request::navigation("/isr").header("Sec-Purpose", "prefetch").cookie(format!("{pin}; {STABLE}"));
    assert_eq!(nginx.fetch(prefetch).text(), "b");
    // The canary's next version stands behind the same upstream name.
    let next = config(["1.0.0", "1.1.1"], "", ["a", "b"]).server(CACHED);
    let text = next.release("b2", &answers("b2")).http("upstream b3 { server unix:@DIR@/b2.sock; }");
    nginx.reload(&text);
    for status in ["MISS", "HIT"] {
        assert_eq!(
            cached(&nginx, CANARY),
            format!("b {status} true"),
            "another version has entries of its own"
        );
    }
    assert_eq!(cached(&nginx, STABLE), "a HIT true");
    assert!(!nginx.error_log().contains("does not name the release"), "{}", nginx.error_log());
}

#[test]
fn a_key_that_names_no_release_is_told_at_the_first_miss() {
    let cache = |location: &str, key: &str| {
        format!(
            "location {location} {{ proxy_cache pages; proxy_cache_valid 10m; proxy_ignore_headers Cache-Control; {key} proxy_pass http://lobechat_canary; }}"
        )
    };
    let nginx = start(
        &[
            cache("/", "proxy_cache_key $lobechat_canary_release$host$request_uri;"),
            cache("/isr", ""),
            cache("/public", "proxy_cache_key $scheme$host$request_uri;"),
            cache("/json", "proxy_cache_key $host$request_uri$lobechat_canary_upstream;"),
        ]
        .concat(),
    );
    let told = |location: &str| {
        nginx
            .error_log()
            .matches(&format!(
                "the cache of location \"{location}\" has a key that does not name the release"
            ))
            .count()
    };
    for target in ["/", "/isr", "/public", "/json"] {
        assert_eq!(told(target), 0, "{target}");
        for _ in 0..2 {
            nginx.fetch(Request::navigation(target).cookie(CANARY));
            nginx.fetch(Request::navigation(target).cookie(STABLE));
            // What the client writes is no name.
            nginx.fetch(Request::navigation(&format!("{target}?canary=a-stable-b")).cookie(STABLE));
        }
    }
    assert_eq!(["/", "/isr", "/public", "/json"].map(told), [0, 1, 1, 0]);
    assert!(
        nginx.error_log().contains("begin it with \"$lobechat_canary_upstream$lobechat_canary_version\"")
    );
}

/// The page is the work of the release that served it, and so is its pin; and no cache keeps it under the other's name.
#[test]
fn what_falls_back_pins_to_who_served() {
    let nginx = config(["1.0.0", "1.1.0"], "", ["a", "gone"]).server(CACHED).start();
    for _ in 0..2 {
        let response = nginx.fetch(Request::navigation("/isr").cookie(CANARY));
        assert_eq!((response.text().as_str(), response.header("X-Cache")), ("a", Some("MISS")), "never kept");
        let pin = format!("lobechat_release={}", response.cookie("lobechat_release").unwrap());
        let other = page(&nginx, "/", STABLE);
        assert_eq!(pin[..33], other[..33], "stable's generation");
        assert_eq!((&pin[33..36], &other[33..36]), (".o.", ".s."), "the split has not chosen it");
        assert_eq!(nginx.fetch(script("/json", &pin)).text(), "a");
    }
    // nginx's own page, when nobody serves.
    let nginx = config(["1.0.0", "1.1.0"], "fallback off;", ["a", "gone"])
        .server(&format!(
            "{PASS} error_page 502 /sorry; location /sorry {{ default_type text/html; return 200 sorry; }}"
        ))
        .start();
    let response = nginx.fetch(Request::navigation("/").cookie(CANARY));
    assert_eq!((response.status, response.text().as_str()), (502, "sorry"));
    assert_eq!(response.all("Set-Cookie"), [""; 0]);
}
