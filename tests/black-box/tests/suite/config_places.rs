//! Mistakes about blocks as a whole and where they stand, and those that only the whole configuration shows:
//! `nginx -t` names their line, too.

use black_box::Config;

use crate::config_errors::{Case, assert_refused, policy};

#[test]
fn blocks_and_their_place() {
    let location =
        |lines: &str| Config::new().releases(&["a", "b"]).server(&format!("location / {{\n{lines}\n}}"));
    let long = "x".repeat(64);
    let block = |name: &str| format!("lobechat_canary {name} {{ #!\nrelease stable a;\n}}");
    for name in ["Chat", "chat.1", "\"\"", "chät", "off", &long] {
        let check = location(&block(name)).check();
        assert_refused(name, &check, &["invalid policy name", name.trim_matches('"'), "a-z"]);
    }
    assert_refused(
        "two names",
        &location(&block("a b")).check(),
        &["invalid number of arguments", "\"lobechat_canary\""],
    );

    let cases: &[Case] = &[
        (
            "lobechat_canary chat { #!\nsalt x;\n}",
            &["no release in policy \"chat\"", "release stable upstream;"],
        ),
        ("lobechat_canary;#!", &["\"lobechat_canary\"", "{"]),
        (
            "lobechat_canary a {\nrelease stable a;\n}\nlobechat_canary a { #!\nrelease stable b;\n}",
            &["duplicate policy \"a\"", "lobechat_canary_use"],
        ),
        (
            "lobechat_canary a {\nrelease stable a;\n}\nlobechat_canary b { #!\nrelease stable b;\n}",
            &["lobechat_canary_use", "\"a\"", "\"b\""],
        ),
        ("lobechat_canary_use nobody; #!", &["unknown policy \"nobody\""]),
        ("lobechat_canary_use; #!", &["invalid number of arguments", "\"lobechat_canary_use\""]),
        ("lobechat_canary_use a b; #!", &["invalid number of arguments", "\"lobechat_canary_use\""]),
        ("lobechat_canary_use off;\nlobechat_canary_use off; #!", &["\"lobechat_canary_use\"", "duplicate"]),
        ("lobechat_canary {\nrelease stable a;\nlobechat_canary inner { #!\n}\n}", &["unexpected \"{\""]),
        (
            "if ($arg_x) {\nlobechat_canary { #!\nrelease stable a;\n}\n}",
            &["\"lobechat_canary\"", "not allowed here"],
        ),
    ];
    for (lines, expected) in cases {
        assert_refused(lines, &location(lines).check(), expected);
    }
}

#[test]
fn a_name_is_taken_once_in_the_whole_configuration() {
    let check = Config::new()
        .releases(&["a"])
        .server(
            "location /one {\nlobechat_canary {\nrelease stable a;\n}\n}\n\
             location /two {\nlobechat_canary { #!\nrelease stable a;\n}\n}",
        )
        .check();
    let hints = ["duplicate policy \"default\"", "http", "lobechat_canary_use default;"];
    assert_refused("default twice", &check, &hints);
}

#[test]
fn the_name_of_the_upstream_is_taken() {
    let check = Config::new().http("upstream lobechat_canary { #!\nserver 127.0.0.1:1;\n}").check();
    assert_refused("upstream lobechat_canary", &check, &["duplicate upstream \"lobechat_canary\""]);
}

#[test]
fn unfinished_files() {
    let config = |block: &str| Config::new().releases(&["a"]).server(&format!("lobechat_canary {{ {block}"));
    for (block, expected) in [
        ("release stable a;", "unexpected end of file, expecting \"}\""),
        ("release stable a", "unexpected \"}\""),
        ("release stable 'a;", "unexpected end of file"),
    ] {
        let check = config(block).check();
        assert!(!check.ok && check.output.contains(expected), "{block}\n{}", check.output);
    }
}

#[test]
fn unknown_variables() {
    for line in ["route stable if $no_such_thing;", "user \"a-${no_such_thing}\";"] {
        let block = format!("release stable a;\n{line} #!\nsalt x;");
        assert_refused(line, &policy(&block).check(), &["unknown variable \"$no_such_thing\""]);
    }
}

#[test]
fn errors_in_included_files_name_them() {
    let check = policy("release stable a;\ninclude routes.conf;")
        .file("routes.conf", "route stable if cookie:a;\nroute stable if b = c;\n")
        .check();
    let error = check.output.lines().find(|line| line.contains("[emerg]")).unwrap_or_default();
    assert!(!check.ok && error.contains("cookie:b") && error.ends_with("/routes.conf:2"), "{}", check.output);
}

#[test]
fn a_pass_without_a_policy() {
    let pass = |location: &str| {
        Config::new().http("server { #!\nlisten 127.0.0.1:@PORT@;").http(location).http("}").check()
    };
    for (name, location) in [
        ("/bare/", "location /bare/ { proxy_pass http://lobechat_canary; }"),
        ("/off/", "location /off/ { lobechat_canary_use off; proxy_pass http://lobechat_canary/x; }"),
        ("/grpc", "location /grpc { grpc_pass lobechat_canary; }"),
        ("/fastcgi", "location /fastcgi { fastcgi_pass lobechat_canary; }"),
        ("/uwsgi", "location /uwsgi { uwsgi_pass lobechat_canary; }"),
        ("/scgi", "location /scgi { scgi_pass lobechat_canary; }"),
        ("/in/ner", "location /in/ { location /in/ner { proxy_pass http://lobechat_canary; } }"),
        ("^/regex", "location ~ ^/regex { proxy_pass https://lobechat_canary; }"),
    ] {
        let hints = [&format!("location \"{name}\""), "lobechat_canary {", "lobechat_canary_use"];
        assert_refused(location, &pass(location), &hints);
    }
}

#[test]
fn the_zone_and_the_api() {
    let twice = "lobechat_canary_zone a:1m;\nlobechat_canary_zone b:1m; #!";
    for (line, expected) in [
        ("lobechat_canary_zone; #!", "invalid number of arguments"),
        ("lobechat_canary_zone canary; #!", "lobechat_canary_zone name:size"),
        ("lobechat_canary_zone canary:lots; #!", "lobechat_canary_zone name:size"),
        ("lobechat_canary_zone canary:1m state=; #!", "invalid parameter \"state=\""),
        ("lobechat_canary_zone canary:1m size=2m; #!", "invalid parameter \"size=2m\""),
        (twice, "all policies share one zone"),
    ] {
        assert_refused(line, &Config::new().http(line).check(), &[expected]);
    }
    for (location, expected) in [
        ("location ~ /canary/ { lobechat_canary_api; #!\n}", "stands in a plain location only"),
        ("location = /canary/ { lobechat_canary_api; #!\n}", "stands in a plain location only"),
        ("location @canary { lobechat_canary_api; #!\n}", "stands in a plain location only"),
        ("location /canary/ { lobechat_canary_api read; #!\n}", "invalid parameter \"read\""),
        ("location /canary/ { lobechat_canary_api; lobechat_canary_api write; #!\n}", "duplicate"),
    ] {
        assert_refused(location, &Config::new().server(location).check(), &[expected]);
    }
    let small = Config::new().http("lobechat_canary_zone canary:64k; #!").releases(&["a", "b"]);
    let small = small.server("location / { lobechat_canary { release stable a; release canary b; } proxy_pass http://lobechat_canary; }");
    assert_refused(
        "64k",
        &small.check(),
        &["is too small for 1 policies with 2 releases", "lobechat_canary_zone canary:"],
    );
}

#[test]
fn a_policy_that_nobody_uses_is_a_warning() {
    let check = Config::new()
        .releases(&["a"])
        .http("lobechat_canary_use off;\nlobechat_canary spare { #!\nrelease stable a;\n}")
        .server("location / { proxy_pass http://a; }")
        .check();
    let warning = check.output.lines().find(|line| line.contains("[warn]")).unwrap_or_default();
    assert!(
        check.ok && warning.contains("\"spare\"") && warning.contains("lobechat_canary_use spare;"),
        "{}",
        check.output
    );
    let line = check.marked.unwrap();
    assert!(warning.ends_with(&format!("/nginx.conf:{line}")), "{warning}");
}
