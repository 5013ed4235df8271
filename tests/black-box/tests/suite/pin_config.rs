//! `pin` in the configuration: what is refused, what is warned about and what is not.

use black_box::{Check, Config, Request};

use crate::config_errors::{assert_refused, policy};
use crate::pins::decided;

#[test]
fn mistakes_say_what_to_write() {
    const FORM: &str = "pin on [cookie=name] [expires=time] [assets=path[,path ...]] [follow=path[,path ...]] [by=source] | off";
    for (line, expected) in [
        ("pin;", &["invalid number of arguments in \"pin\"", FORM][..]),
        ("pin yes;", &[FORM]),
        ("pin off cookie=a;", &["\"pin off\" takes no \"cookie=a\""]),
        ("pin on cookie=;", &["needs a name", "\"cookie=\""]),
        ("pin on \"cookie=a b\";", &["letters, digits"]),
        ("pin on cookie=a cookie=b;", &["duplicate parameter", "\"cookie=b\""]),
        ("pin on expires=0;", &["above 0"]),
        ("pin on expires=soon;", &["\"expires=soon\"", "30d"]),
        ("pin on assets=_next/;", &["invalid path \"_next/\"", "begin with \"/\""]),
        ("pin on \"assets=/a/, /b/\";", &["invalid path \" /b/\"", "begin with \"/\""]),
        ("pin on follow=;", &["begin with \"/\""]),
        ("pin on by=uid;", &["did you mean \"cookie:uid\"?"]),
        ("pin on by=claim:build;", &["has no identity"]),
        ("pin on assest=/a/;", &["unknown parameter \"assest=/a/\"", FORM]),
    ] {
        let block = format!("release stable a;\nrelease canary b;\n{line} #!\nsalt x;");
        assert_refused(&block, &policy(&block).check(), expected);
    }
    let block =
        "release stable a version=2.1.0;\nrelease canary b version=2.1.1 deployment=2-1-0; #!\nsalt x;";
    assert_refused(block, &policy(block).check(), &["deployment \"2-1-0\"", "\"stable\""]);
}

const TWO: &str = "both pin pages in one server";

fn check(server: &str) -> Check {
    let check = Config::new()
        .releases(&["a", "b"])
        .http("lobechat_canary chat { release stable a; release canary b; } lobechat_canary api { pin off; release stable b; }
             lobechat_canary docs { release stable b; } lobechat_canary_use chat;")
        .server(server)
        .check();
    assert!(check.ok, "{}", check.output);
    check
}

#[test]
fn two_policies_that_pin_in_one_server_are_told() {
    let pass = |path: &str, policy: &str| {
        format!("location {path} {{ lobechat_canary_use {policy}; proxy_pass http://lobechat_canary; }}")
    };
    let root = "location / { proxy_pass http://lobechat_canary; }";
    for (server, warns) in [
        (root.to_owned(), false),
        (format!("{root} {}", pass("/chat/", "chat")), false),
        // One that pins none, and one that is in force where nothing is passed.
        (format!("{root} {}", pass("/api/", "api")), false),
        (format!("{root} location /docs/ {{ lobechat_canary_use docs; return 204; }}"), false),
        (format!("{root} location /docs/ {{ lobechat_canary_use off; proxy_pass http://b; }}"), false),
        (format!("{root} {}", pass("/docs/", "docs")), true),
        (format!("{root} location /x/ {{ {} }}", pass("/x/docs/", "docs")), true),
        (format!("{root} {} {}", pass("/docs/", "docs"), pass("/more/", "docs")), true),
    ] {
        let check = check(&server);
        assert_eq!(check.output.matches(TWO).count(), usize::from(warns), "{server}\n{}", check.output);
        if warns {
            assert!(
                check.output.contains("\"docs\"") && check.output.contains("pin off;"),
                "{}",
                check.output
            );
        }
    }
    // Another server is another front end.
    let two = Config::new()
        .releases(&["a"])
        .http("lobechat_canary chat { release stable a; } lobechat_canary docs { release stable a; } lobechat_canary_use off;")
        .http("server { listen unix:@DIR@/docs.sock; lobechat_canary_use docs; location / { proxy_pass http://lobechat_canary; } }")
        .server("lobechat_canary_use chat; location / { proxy_pass http://lobechat_canary; }")
        .check();
    assert!(two.ok && !two.output.contains(TWO), "{}", two.output);
}

/// One front end behind two names: HTTP and HTTPS, or an old host name.
#[test]
fn one_policy_in_several_servers_knows_its_pages_in_each() {
    let nginx = Config::new()
        .releases(&["a", "b"])
        .http("lobechat_canary chat { release stable a; release canary b weight=50%; user cookie:uid; salt lobe; }
             lobechat_canary_use chat; add_header X-Reason $lobechat_canary_reason always;
             server { listen 127.0.0.1:@PORT@; server_name old.example; location / { proxy_pass http://lobechat_canary; } }")
        .server("location / { proxy_pass http://lobechat_canary; }")
        .start();
    let first = nginx.fetch(Request::navigation("/").cookie("uid=user_1").host("old.example"));
    let pin = first.cookie("lobechat_release_chat").unwrap();
    assert_eq!(decided(&first), "b split");
    for host in ["old.example", "chat.example"] {
        let request = Request::get("/").cookie(format!("lobechat_release_chat={pin}; uid=user_2")).host(host);
        assert_eq!(decided(&nginx.fetch(request)), "b pin", "{host}");
    }
}
