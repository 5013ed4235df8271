//! Where a policy is in force: inheritance, `lobechat_canary_use`, `include`, several policies. Each policy
//! has one release that bears the policy's name, so the answer tells the policy.

use black_box::{Config, Request};

const TELL: &str = "return 200 \"$lobechat_canary_release\";";

fn policy(name: &str) -> String {
    format!("lobechat_canary {name} {{ release {name} a; }}\n")
}

#[test]
fn inherited_as_nginx_directives_are() {
    let (http, server, outer, inner) = (policy("http"), policy("server"), policy("outer"), policy("inner"));
    let nginx = Config::new()
        .releases(&["a"])
        .http(&http)
        .http(&format!(
            "server {{ listen 127.0.0.1:@PORT@; server_name other.example; {server}
                location / {{ {TELL} }}
                location /outer/ {{ {outer} {TELL}
                    location /outer/in/ {{ {TELL} }}
                    location /outer/own/ {{ {inner} {TELL} }}
                    location /outer/off/ {{ lobechat_canary_use off; {TELL}
                        location /outer/off/deep/ {{ {TELL} }}
                        location /outer/off/again/ {{ lobechat_canary_use http; {TELL} }} }} }}
                location /if/ {{ {outer2} if ($arg_x) {{ {TELL} }} }} }}",
            outer2 = policy("outer2")
        ))
        .server(&format!("location / {{ {TELL} }} location /use/ {{ lobechat_canary_use server; {TELL} }}"))
        .start();
    for (host, target, expected) in [
        ("chat.example", "/", "http"),
        ("chat.example", "/use/", "server"),
        ("other.example", "/", "server"),
        ("other.example", "/outer/", "outer"),
        ("other.example", "/outer/in/", "outer"),
        ("other.example", "/outer/own/", "inner"),
        ("other.example", "/outer/off/", ""),
        ("other.example", "/outer/off/deep/", ""),
        ("other.example", "/outer/off/again/", "http"),
        ("other.example", "/if/?x=1", "outer2"),
    ] {
        // An absolute target names the server in place of Host.
        let response = nginx.get(&format!("http://{host}{target}"));
        assert_eq!((response.status, response.text().as_str()), (200, expected), "{host}{target}");
    }
}

#[test]
fn use_names_policies_declared_anywhere() {
    let nginx = Config::new()
        .releases(&["a"])
        .server(&format!("location /early/ {{ lobechat_canary_use late; {TELL} }}"))
        .server(&format!("location /late/ {{ {} {TELL} }}", policy("late")))
        .server(&format!("location /default/ {{ lobechat_canary {{ release nameless a; }} {TELL} }}"))
        .server(&format!("location /again/ {{ lobechat_canary_use default; {TELL} }}"))
        .start();
    for (target, expected) in
        [("/early/", "late"), ("/late/", "late"), ("/default/", "nameless"), ("/again/", "nameless")]
    {
        assert_eq!(nginx.text(target), expected, "{target}");
    }
}

#[test]
fn several_blocks_at_one_level_with_use() {
    let three = policy("one") + &policy("two") + &policy("three");
    let nginx = Config::new()
        .releases(&["a"])
        .http(&format!("{three} lobechat_canary_use two;"))
        .server(&format!("location / {{ {TELL} }}"))
        .server(&format!("location /one/ {{ lobechat_canary_use one; {TELL} }}"))
        .server(&format!("location /three/ {{ lobechat_canary_use three; {TELL} }}"))
        .server(&format!("location /own/ {{ lobechat_canary_use off; {} {TELL} }}", policy("own")))
        .start();
    for (target, expected) in [("/", "two"), ("/one/", "one"), ("/three/", "three"), ("/own/", "")] {
        assert_eq!(nginx.text(target), expected, "{target}");
    }
}

#[test]
fn include_inside_the_block() {
    let nginx = Config::new()
        .releases(&["a", "b"])
        .file("releases.inc", "release stable a;\nrelease canary b;\n")
        .file("1.routes", "route canary if cookie:first;\n")
        .file("2.routes", "route stable if cookie:second; include more.inc;\n")
        .file("more.inc", "route canary if header:x-third;\n")
        .server(&format!(
            "lobechat_canary {{ include releases.inc; include *.routes; include *.none; salt s; }}
             location / {{ {TELL} }}"
        ))
        .start();
    for (name, value, expected) in [
        ("Cookie", "first=1", "canary"),
        ("Cookie", "second=1; first=1", "canary"),
        ("Cookie", "second=1", "stable"),
        ("X-Third", "1", "canary"),
        ("X-Other", "1", "stable"),
    ] {
        assert_eq!(nginx.fetch(Request::get("/").header(name, value)).text(), expected, "{name}: {value}");
    }
}

#[test]
fn policies_of_one_request_line_are_independent() {
    let nginx = Config::new()
        .releases(&["a", "b"])
        .http(
            "server { listen 127.0.0.1:@PORT@; server_name api.example;
            lobechat_canary api { release stable a; release canary b weight=100%; user header:x-key; }
            location / { proxy_pass http://lobechat_canary; } }",
        )
        .server(
            "lobechat_canary pages { release stable a; release canary b weight=0%; user header:x-key; }
             location / { proxy_pass http://lobechat_canary; }",
        )
        .start();
    for (host, expected) in [("api.example", "b"), ("chat.example", "a")] {
        assert_eq!(nginx.fetch(Request::get("/").host(host).header("X-Key", "k")).text(), expected, "{host}");
    }
}

#[test]
fn a_weight_of_zero_needs_no_place_to_grow_from() {
    let check = Config::new()
        .releases(&["a", "b", "c", "d"])
        .server(
            "location / { lobechat_canary full_name-1 {
                 release stable a version=v2.1.25; release x b weight=0.01% from=99.99% version=2.1.26-rc.1+build.7;
                 release y c weight=10% from=0%; release z d;
                 route z if header:x-tester; user cookie:uid $remote_addr visitor; salt 'a salt';
                 hash native; expose on; } proxy_pass http://lobechat_canary; }",
        )
        .check();
    assert!(check.ok && !check.output.contains("[warn]"), "{}", check.output);
}
