//! What the API shows, and what it makes of requests that make no sense.

use black_box::api::{self, json, refusal, release};
use black_box::{Config, Nginx, Request};
use serde_json::json as value;

fn start() -> Nginx {
    Config::new()
        .releases(&["a", "b", "c"])
        .http("lobechat_canary_zone lobechat_canary:1m state=off;")
        .server(
            "location / { lobechat_canary chat { release stable a version=2.1.25; release canary b version=2.1.26 weight=10%;
                release other c version=2.1.27 weight=5%; route canary if cookie:tester; user cookie:uid; salt lobe;
                rollback on; } proxy_pass http://lobechat_canary; }
             location /beside/ { lobechat_canary beside { release stable a; } proxy_pass http://lobechat_canary; }",
        )
        .server(&api::location("write"))
        .start()
}

#[test]
fn policies_and_releases() {
    let nginx = start();
    let response = nginx.api("GET", "v1/policies", "");
    assert_eq!((response.status, response.header("Content-Type")), (200, Some("application/json")));
    assert_eq!(response.header("Cache-Control"), Some("no-store"));
    let all = json(&response);
    assert_eq!(all["write"], true);
    let names: Vec<_> = all["policies"].as_array().unwrap().iter().map(|policy| &policy["name"]).collect();
    assert_eq!(names, ["chat", "beside"]);
    let policy = nginx.policy("chat");
    assert_eq!(all["policies"][0], policy);
    for (field, expected) in [
        ("persisted", value!(null)),
        ("write", value!(true)),
        ("hash", value!("native")),
        ("salt", value!("lobe")),
        ("fallback", value!(["stable"])),
        ("commit", value!(null)),
    ] {
        assert_eq!(policy[field], expected, "{field}");
    }
    assert_eq!(policy["rollback"]["confidence"], "99.9%");
    for (name, upstream, version, weight, range) in [
        ("stable", "a", "2.1.25", "85%", value!(null)),
        ("canary", "b", "2.1.26", "10%", value!({"from": "0%", "to": "10%"})),
        ("other", "c", "2.1.27", "5%", value!({"from": "95%", "to": "100%"})),
    ] {
        let release = release(&policy, name);
        assert_eq!(release["upstream"], upstream, "{name}");
        assert_eq!(release["version"], version, "{name}");
        assert_eq!((&release["weight"], &release["file_weight"]), (&weight.into(), &weight.into()), "{name}");
        assert_eq!(release["range"], range, "{name}");
        assert_eq!(
            (&release["state"], &release["stable"]),
            (&"up".into(), &(name == "stable").into()),
            "{name}"
        );
        assert_eq!(release["generation"].as_str().map(str::len), Some(16), "{name}");
    }
    assert_eq!(nginx.policy("beside")["releases"].as_array().unwrap().len(), 1);
}

#[test]
fn the_dashboard_and_heads() {
    let nginx = start();
    let page = nginx.get(api::PATH);
    assert_eq!((page.status, page.header("Content-Type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.header("Content-Security-Policy").unwrap().contains("default-src 'none'"), "{page:?}");
    for path in ["", "style.css", "script.js", "v1/policies", "v1/policies/chat", "v1/events", "metrics"] {
        let (get, head) = (nginx.api("GET", path, ""), nginx.api("HEAD", path, ""));
        assert_eq!((get.status, head.status), (200, 200), "{path}");
        for name in ["Content-Type", "Cache-Control", "X-Content-Type-Options"] {
            assert!(get.header(name).is_some() && get.header(name) == head.header(name), "{path} {name}");
        }
        // Times and counts may have moved in between, not by many digits.
        let length = |response: &black_box::Response| -> i64 {
            response.header("Content-Length").unwrap().parse().unwrap()
        };
        assert!((length(&get) - length(&head)).abs() < 20 && length(&head) > 0, "{path}");
        assert_eq!(get.body.len() as i64, length(&get), "{path}");
    }
    // No byte of a body follows a HEAD.
    let mut connection = nginx.connect();
    for _ in 0..3 {
        assert_eq!(connection.fetch(&api::request("HEAD", "v1/policies", "")).status, 200);
        assert_eq!(connection.fetch(&api::request("HEAD", "v1/nothing", "")).status, 404);
    }
}

#[test]
fn paths_that_are_not_there() {
    let nginx = start();
    for path in [
        "nothing",
        "v1",
        "v2/policies",
        "v1/policy",
        "v1/policies/nobody",
        "v1/policies/chat/more",
        "v1/policies/chat/explain/more",
        "v1/policies/chat/releases",
        "v1/policies/chat/releases/canary",
        "v1/policies/chat/releases/canary/promote/x",
        "v1/policies/chat/ramp",
        "v1/events/1",
        "metrics/x",
        "style.css/x",
        "v1/policies/chat%2f",
        "v1/policies/%00",
        "v1/policies/chat%20",
    ] {
        let status = nginx.api("GET", path, "").status;
        // nginx itself refuses a NUL.
        let expected = if path.contains("%00") { 400 } else { 404 };
        let also = path.ends_with("%2f") && status == 200;
        assert!(status == expected || also, "{path}: {status}");
    }
    assert!(nginx.api_refused("GET", "v1/policies/nobody", "", 404).contains("chat, beside"));
    assert!(nginx.api_refused("GET", "v1/policies/nobody/explain", "", 404).contains("\"nobody\""));
    assert!(
        nginx
            .api_refused("PATCH", "v1/policies/nobody", &api::weights("canary", "1%"), 404)
            .contains("\"nobody\"")
    );
}

#[test]
fn wrong_methods() {
    let nginx = start();
    for (path, allow) in [
        ("", "GET, HEAD"),
        ("metrics", "GET, HEAD"),
        ("v1/policies", "GET, HEAD"),
        ("v1/events", "GET, HEAD"),
        ("v1/policies/chat/explain", "GET, HEAD"),
        ("v1/policies/chat", "GET, HEAD, PATCH"),
        ("v1/policies/chat/releases/canary/rollback", "POST"),
        ("v1/policies/chat/releases/canary/promote", "POST"),
        ("v1/policies/chat/releases/canary/reset", "POST"),
        ("v1/policies/chat/releases/canary/state", "PUT"),
        ("v1/policies/chat/ramp/start", "POST"),
        ("v1/policies/chat/ramp/pause", "POST"),
    ] {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "INVENTED"] {
            if allow.split(", ").any(|allowed| allowed == method) {
                continue;
            }
            let response = nginx.api(method, path, "");
            assert_eq!((response.status, response.header("Allow")), (405, Some(allow)), "{method} {path}");
            if method != "HEAD" {
                refusal(&response, 405);
            }
        }
    }
    assert_eq!(nginx.policy("chat")["epoch"], start().policy("chat")["epoch"], "nothing has changed");
}

#[test]
fn explanations() {
    let nginx = start();
    let explain = |query: &str, cookie: &str| {
        let response =
            nginx.fetch(api::request("GET", &format!("v1/policies/chat/explain{query}"), "").cookie(cookie));
        assert_eq!(response.status, 200, "{query} {cookie}: {}", response.text());
        json(&response)
    };
    // Buckets of these users are 3178 and 7091 with this salt.
    for (cookie, chosen, reason, bucket) in [
        ("tester=1", "canary", "route", value!(null)),
        ("uid=user_1", "stable", "split", value!(3178)),
        ("uid=alice", "stable", "split", value!(7091)),
        ("x=1", "stable", "anonymous", value!(null)),
    ] {
        let answer = explain("", cookie);
        assert_eq!(
            (&answer["release"], &answer["reason"]),
            (&chosen.into(), &reason.into()),
            "{cookie}: {answer}"
        );
        assert_eq!(answer["bucket"], bucket, "{cookie}");
        assert!(!answer["steps"].as_array().unwrap().is_empty(), "{answer}");
        assert!(!answer.to_string().contains("alice"), "the id itself is not shown: {answer}");
    }
    assert_eq!(explain("", "tester=1")["rule"], "canary if cookie:tester");
    // What it says is what happens, before and after a change.
    for weight in ["10%", "40%"] {
        nginx.api_ok("PATCH", "v1/policies/chat", &api::weights("canary", weight));
        for user in 0..40 {
            let cookie = format!("uid=user_{user}");
            let answer = nginx.fetch(Request::get("/").cookie(&cookie)).text();
            assert_eq!(explain("?as=navigation&uri=/chat%3Fa%3D1", &cookie)["upstream"], *answer, "{cookie}");
        }
    }
    for query in ["?as=page", "?uri=chat", "?uri=%zz"] {
        let sentence = nginx.api_refused("GET", &format!("v1/policies/chat/explain{query}"), "", 400);
        assert!(sentence.contains("write"), "{sentence}");
    }
}

#[test]
fn events() {
    let nginx = start();
    let events = |query: &str| nginx.api_ok("GET", &format!("v1/events{query}"), "");
    let before = events("")["last"].as_u64().unwrap();
    nginx.api_ok("PATCH", "v1/policies/chat", &api::weights("canary", "20%"));
    nginx.api_ok("POST", "v1/policies/chat/releases/canary/rollback", r#"{"reason":"blank pages"}"#);
    let fresh = events(&format!("?after={before}"));
    assert_eq!(fresh["last"], before + 2);
    let [first, second] = &fresh["events"].as_array().unwrap()[..] else { panic!("{fresh}") };
    assert_eq!((&first["seq"], &first["kind"]), (&(before + 1).into(), &"weight".into()), "{first}");
    assert_eq!((&second["seq"], &second["kind"]), (&(before + 2).into(), &"rollback".into()), "{second}");
    assert_eq!((&second["reason"], &second["by"]), (&"blank pages".into(), &"127.0.0.1".into()), "{second}");
    assert_eq!((&second["policy"], &second["release"]), (&"chat".into(), &"canary".into()), "{second}");
    assert_eq!(second["version"], "2.1.26");
    assert!(second["at"].as_str().unwrap().ends_with('Z'), "{second}");
    assert_eq!(events(&format!("?after={}", before + 1))["events"].as_array().unwrap().len(), 1);
    assert_eq!(events("?after=999999")["events"], value!([]));
    assert!(nginx.api_refused("GET", "v1/events?after=yesterday", "", 400).contains("\"yesterday\""));
}
