//! No cache hands one visitor's cookie to another: `Cache-Control` on answers that carry one, and nginx's own
//! cache.

use black_box::{Config, Nginx, Request, Response};

use crate::visitors::{HEX, PASS, assert_set, config, today, visitor};

/// The header lines of an answer by name, sorted.
fn sorted<'r>(response: &'r Response, name: &str) -> Vec<&'r str> {
    let mut lines = response.all(name);
    lines.sort_unstable();
    lines
}

fn cache_control() -> Nginx {
    let page = |path: &str, headers: &str| {
        format!(
            "location {path} {{ default_type text/html; {headers} add_header Set-Cookie 'app=1; Path=/'; return 200 x; }}"
        )
    };
    Config::new()
        .release(
            "a",
            &[
                page("/plain", ""),
                page("/public", "add_header Cache-Control 'public, max-age=60, s-maxage=600';"),
                page("/twice", "add_header Cache-Control public; add_header Cache-Control 's-maxage=600, must-revalidate';"),
                page("/none", "add_header Cache-Control 'no-store';"),
                page("/expires", "add_header Cache-Control 'max-age=5';"),
                page("/cdn", "add_header CDN-Cache-Control max-age=60; add_header Cloudflare-CDN-Cache-Control max-age=60;
                    add_header Surrogate-Control max-age=60; add_header X-Kept 1;"),
            ]
            .concat(),
        )
        .server("lobechat_canary { pin off; user visitor; release stable a; }")
        .server(PASS)
        .server("location /expires { expires 1h; proxy_pass http://lobechat_canary; }")
        .server("location /expires/public { expires 1h; add_header Cache-Control public; proxy_pass http://lobechat_canary/plain; }")
        .start()
}

/// What nginx itself adds comes on top of the application's header, and must not undo it either.
#[test]
fn expires_does_not_make_the_cookie_shareable() {
    let nginx = cache_control();
    for target in ["/expires", "/expires/public"] {
        let response = nginx.fetch(Request::navigation(target));
        assert!(visitor(&response).is_some(), "{target}");
        let directives = response.all("Cache-Control").join(", ");
        assert!(directives.split(", ").any(|directive| directive == "private"), "{target}: {directives}");
        assert!(!directives.contains("public"), "{target}: {directives}");
    }
}

#[test]
fn shared_caches_may_not_keep_an_answer_with_the_cookie() {
    let nginx = cache_control();
    for (target, with, without) in [
        ("/plain", &["private"][..], &[][..]),
        ("/public", &["private, max-age=60"], &["public, max-age=60, s-maxage=600"]),
        ("/twice", &["private, must-revalidate"], &["public", "s-maxage=600, must-revalidate"]),
        ("/none", &["private, no-store"], &["no-store"]),
        ("/cdn", &["private"], &[]),
    ] {
        let response = nginx.fetch(Request::navigation(target));
        assert_eq!(response.all("Cache-Control"), with, "{target}");
        let cookies = sorted(&response, "Set-Cookie");
        assert!(cookies.len() == 2 && cookies[0] == "app=1; Path=/", "{target}: {cookies:?}");
        let known = Request::navigation(target).cookie(format!("lobechat_visitor={HEX}.{}", today()));
        let response = nginx.fetch(known);
        assert_eq!(response.all("Cache-Control"), without, "{target}");
        assert_eq!(response.all("Set-Cookie"), ["app=1; Path=/"], "{target}");
    }
    for name in ["CDN-Cache-Control", "Cloudflare-CDN-Cache-Control", "Surrogate-Control"] {
        assert_eq!(nginx.fetch(Request::navigation("/cdn")).header(name), None, "{name}");
        assert_eq!(nginx.get("/cdn").header(name), Some("max-age=60"), "{name}");
    }
    assert_eq!(nginx.fetch(Request::navigation("/cdn")).header("X-Kept"), Some("1"));
}

#[test]
fn cached_answers_carry_a_cookie_for_each_visitor() {
    let nginx = config()
        .http("proxy_cache_path @DIR@/cache keys_zone=pages:1m;")
        .server(
            "location / { proxy_cache pages; proxy_cache_valid 200 404 10m;
            proxy_cache_key $lobechat_canary_upstream$lobechat_canary_version$request_uri;
            add_header X-Cache $upstream_cache_status always; proxy_pass http://lobechat_canary; }",
        )
        .start();
    let mut ids = Vec::new();
    for (round, status) in ["MISS", "HIT", "HIT"].iter().enumerate() {
        let response = nginx.fetch(Request::navigation("/"));
        assert_eq!(
            (response.text().as_str(), response.header("X-Cache")),
            ("stable", Some(*status)),
            "round {round}"
        );
        assert_eq!(response.header("Cache-Control"), Some("private"), "round {round}");
        ids.push(assert_set(&response, status));
    }
    assert!(ids[0] != ids[1] && ids[1] != ids[2], "{ids:?}");
    let known = || Request::navigation("/").cookie(format!("lobechat_visitor={HEX}.{}", today()));
    for status in ["MISS", "HIT"] {
        let response = nginx.fetch(known());
        assert_eq!((response.text().as_str(), response.header("X-Cache")), ("canary", Some(status)));
        assert_eq!(response.all("Set-Cookie"), [""; 0]);
    }
    for status in ["MISS", "HIT"] {
        let response = nginx.fetch(Request::navigation("/missing"));
        assert_eq!((response.status, response.header("X-Cache")), (404, Some(status)));
        assert_set(&response, status);
    }
}
