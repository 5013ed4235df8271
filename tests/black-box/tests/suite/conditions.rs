//! `route` lines: every source and operator of a condition, over real requests.

use black_box::{Config, Nginx, Request};

/// Header lines of a request.
type Headers<'a> = &'a [(&'a str, &'a str)];

/// A condition, the request's query and headers, and whether the condition holds.
type Case<'a> = (&'a str, &'a str, Headers<'a>, bool);

/// One location per case, whose policy routes to `canary` if the case's condition holds.
fn start(cases: &[Case]) -> Nginx {
    let location = |(index, case): (usize, &Case)| {
        format!(
            "location = /{index} {{ lobechat_canary p{index} {{ release stable a; release canary b; \
             route canary if {}; user cookie:none; }} return 200 \"$lobechat_canary_release\"; }}\n",
            case.0
        )
    };
    let locations: String = cases.iter().enumerate().map(location).collect();
    Config::new()
        .releases(&["a", "b"])
        .http("map $http_x_tier $tier { default none; gold best; }")
        .http("geo $country { default XX; 127.0.0.0/8 CN; }")
        .file("users.txt", "anna\r\nbob\n\n carol\ndavid|eva\nlast")
        .server(&locations)
        .start()
}

fn assert_decides(cases: &[Case]) {
    let nginx = start(cases);
    let mut connection = nginx.connect();
    for (index, (condition, query, headers, holds)) in cases.iter().enumerate() {
        let request = Request::get(&format!("/{index}{query}"));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        let expected = if *holds { "canary" } else { "stable" };
        assert_eq!(connection.fetch(&request).text(), expected, "{condition} {query} {headers:?}");
    }
}

#[test]
fn cookies() {
    assert_decides(&[
        ("cookie:c", "", &[("Cookie", "c=1")], true),
        ("cookie:c", "", &[("Cookie", "c=")], false),
        ("cookie:c", "", &[("Cookie", "c")], false),
        ("cookie:c", "", &[], false),
        ("cookie:c = x", "", &[("Cookie", "a=b; c=x; d=e")], true),
        ("cookie:c = x", "", &[("Cookie", "a=b;c=x")], true),
        ("cookie:c = x", "", &[("cookie", "C=x")], true),
        ("cookie:C = x", "", &[("cookie", "c=x")], true),
        ("cookie:c = x", "", &[("Cookie", "c=x; c=y")], true),
        ("cookie:c = x", "", &[("Cookie", "c=y; c=x")], false),
        ("cookie:c = x", "", &[("Cookie", "a=b"), ("Cookie", "c=x")], true),
        ("cookie:c = x", "", &[("Cookie", "c=y"), ("Cookie", "c=x")], false),
        ("cookie:c = x", "", &[("Cookie", "xc=x; cx=x")], false),
        // At ";" only, on every nginx: what follows a comma belongs to the value before it.
        ("cookie:c = x", "", &[("Cookie", "a=b,c=x")], false),
        ("cookie:a = b,c=x", "", &[("Cookie", "a=b,c=x")], true),
        ("cookie:c = x=y", "", &[("Cookie", "c=x=y")], true),
        ("cookie:c = '\"x\"'", "", &[("Cookie", "c=\"x\"")], true),
        ("cookie:next-auth.session-token", "", &[("Cookie", "next-auth.session-token=x")], true),
    ]);
}

#[test]
fn headers() {
    assert_decides(&[
        ("header:x-user-tier = premium", "", &[("X-User-Tier", "premium")], true),
        ("header:X-USER-TIER = premium", "", &[("x-user-tier", "premium")], true),
        ("header:x-user-tier = premium", "", &[("X-User-Tiers", "premium")], false),
        ("header:x-user-tier", "", &[("X-User-Tier", "")], false),
        ("header:x-a = 'one, two'", "", &[("X-A", "one"), ("X-B", "x"), ("x-a", "two")], true),
        ("header:host = chat.example", "", &[], true),
        ("header:accept-language ~ ^zh", "", &[("Accept-Language", "zh-CN,zh;q=0.9")], true),
        ("header:user-agent ~* android|iphone", "", &[("User-Agent", "Mozilla/5.0 (iPhone; ...)")], true),
        ("header:cookie = 'a=1; b=2'", "", &[("Cookie", "a=1"), ("Cookie", "b=2")], true),
    ]);
}

#[test]
fn arguments() {
    assert_decides(&[
        ("arg:v = 2", "?v=2", &[], true),
        ("arg:v = 2", "?a=1&v=2&v=3", &[], true),
        ("arg:V = 2", "?v=2", &[], true),
        ("arg:v = 2", "?vv=2", &[], false),
        ("arg:v", "?v=", &[], false),
        ("arg:v", "?v", &[], false),
        ("arg:v", "", &[], false),
        ("arg:v = a+b", "?v=a+b", &[], true),
        ("arg:v = A", "?v=%41", &[], false),
    ]);
}

#[test]
fn variables_and_texts() {
    assert_decides(&[
        ("$request_method = GET", "", &[], true),
        ("$host = chat.example", "", &[], true),
        ("$country = CN", "", &[], true),
        ("$country in US|CA", "", &[], false),
        ("$tier = best", "", &[("X-Tier", "gold")], true),
        ("$arg_v = 2", "?v=2", &[], true),
        ("\"$remote_addr-$http_x_tier\" = 127.0.0.1-gold", "", &[("X-Tier", "gold")], true),
        ("\"${host}:$country\" = chat.example:CN", "", &[], true),
        // A text with an empty variable is still a text.
        ("\"x-$http_x_tier\" = x-", "", &[], true),
        ("$http_x_tier", "", &[], false),
    ]);
}

#[test]
fn operators() {
    const COOKIE: Headers = &[("Cookie", "c=Canary; u=bob")];
    assert_decides(&[
        ("cookie:c = Canary", "", COOKIE, true),
        ("cookie:c = canary", "", COOKIE, false),
        ("cookie:c != canary", "", COOKIE, true),
        ("cookie:none = ''", "", COOKIE, true),
        ("cookie:none != x", "", COOKIE, true),
        ("cookie:c ~ ^Can", "", COOKIE, true),
        ("cookie:c ~ ^can", "", COOKIE, false),
        ("cookie:c ~* ^can", "", COOKIE, true),
        ("cookie:c !~ ^can", "", COOKIE, true),
        ("cookie:c !~* ^can", "", COOKIE, false),
        ("cookie:none ~ ^$", "", COOKIE, true),
        ("cookie:c in Stable|Canary", "", COOKIE, true),
        ("cookie:c in Stable|Can", "", COOKIE, false),
        ("cookie:none in Stable|Canary", "", COOKIE, false),
        ("cookie:c and cookie:u", "", COOKIE, true),
        ("cookie:c and cookie:none", "", COOKIE, false),
        ("cookie:c = Canary and cookie:u ~ b and $host != x", "", COOKIE, true),
        ("cookie:c = Canary and cookie:u in a|b", "", COOKIE, false),
        ("cookie:c = if", "", &[("Cookie", "c=if")], true),
        ("cookie:c = and", "", &[("Cookie", "c=and")], true),
    ]);
}

#[test]
fn values_from_a_file() {
    let user = |value: &str, holds: bool| (format!("u={value}"), holds);
    let users = [
        user("anna", true),
        user("bob", true),
        user("last", true),
        user("david|eva", true),
        user("anna\r", false),
        user("carol", false),
        user("ann", false),
        user("annabel", false),
        user("david", false),
        user("", false),
    ];
    let headers: Vec<[(&str, &str); 1]> =
        users.iter().map(|(cookie, _)| [("Cookie", cookie.as_str())]).collect();
    let cases: Vec<Case> = (users.iter().zip(&headers))
        .filter(|((cookie, _), _)| !cookie.contains('\r'))
        .map(|((_, holds), headers)| ("cookie:u in file:users.txt", "", &headers[..], *holds))
        .collect();
    assert_decides(&cases);
}

#[test]
fn the_first_route_that_matches_wins() {
    let nginx = Config::new()
        .releases(&["a", "b", "c"])
        .server(
            "lobechat_canary { release stable a; release x b; release y c;
                route stable if cookie:opt = out;
                route x if cookie:opt;
                route y if header:x-tier = gold;
                route x if header:x-tier; }
             location / { return 200 \"$lobechat_canary_release: $lobechat_canary_rule\"; }",
        )
        .start();
    for (name, value, expected) in [
        ("Cookie", "opt=out", "stable: stable if cookie:opt = out"),
        ("Cookie", "opt=in", "x: x if cookie:opt"),
        ("X-Tier", "gold", "y: y if header:x-tier = gold"),
        ("X-Tier", "silver", "x: x if header:x-tier"),
        ("X-Other", "gold", "stable: "),
    ] {
        let response = nginx.fetch(Request::get("/").header(name, value));
        assert_eq!(response.text(), expected.trim_end_matches('\n'), "{name}: {value}");
    }
}

#[test]
fn arguments_are_those_of_the_original_request_line() {
    let nginx = Config::new()
        .releases(&["a", "b"])
        .server(
            "lobechat_canary { release stable a; release canary b; route canary if arg:channel = canary; }
             rewrite ^/old$ /new?channel=stable? last;
             location / { return 200 \"$lobechat_canary_release $uri $arg_channel\"; }
             location /set { set $args channel=stable; return 200 \"$lobechat_canary_release $arg_channel\"; }",
        )
        .start();
    assert_eq!(nginx.text("/old?channel=canary"), "canary /new stable");
    assert_eq!(nginx.text("/set?channel=canary"), "canary stable");
    assert_eq!(nginx.text("/set?channel=x"), "stable stable");
    assert_eq!(nginx.text("http://chat.example/abs?channel=canary"), "canary /abs canary");
}

#[test]
fn captures_of_the_request_stay() {
    let nginx = Config::new()
        .releases(&["a", "b"])
        .server(
            "lobechat_canary { release stable a; release canary b; route canary if cookie:c ~ ^(c)(a)(?<rest>n); }
             location ~ ^/location/(.*)$ { return 200 \"$lobechat_canary_release $1\"; }
             location /rewrite/ { rewrite ^/rewrite/(.*)/(.*)$ /$lobechat_canary_release/$2/$1 last; }
             location / { return 200 $uri; }",
        )
        .start();
    for (target, expected) in [("/location/x", "canary x"), ("/rewrite/x/y", "/canary/y/x")] {
        assert_eq!(nginx.fetch(Request::get(target).cookie("c=canary")).text(), expected);
    }
}
