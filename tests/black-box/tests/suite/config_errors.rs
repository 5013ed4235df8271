//! Every mistake in a policy block fails `nginx -t` with the line at fault, the value in quotes, and what to
//! write instead. In a case's text the line at fault ends in `#!`; without a mark it is the last.

use black_box::{Check, Config};

/// Text of a policy block, and what the error must say.
pub type Case<'a> = (&'a str, &'a [&'a str]);

pub fn policy(block: &str) -> Config {
    let block = if block.contains("#!") { block.to_owned() } else { format!("{block} #!") };
    Config::new().releases(&["a", "b", "c", "d"]).file("empty.txt", "\n\n").server(&format!(
        "location / {{\nlobechat_canary {{\n{block}\n}}\nproxy_pass http://lobechat_canary; }}"
    ))
}

/// The one error must be an `[emerg]` at the marked line that says all of `expected`.
pub fn assert_refused(case: &str, check: &Check, expected: &[&str]) {
    let errors: Vec<&str> = check.output.lines().filter(|line| line.contains("[emerg]")).collect();
    assert!(!check.ok && errors.len() == 1, "{case}\n{}", check.output);
    for fragment in expected {
        assert!(errors[0].contains(fragment), "{case}\nlacks: {fragment}\n{}", errors[0]);
    }
    let line = check.marked.unwrap_or_else(|| panic!("{case}: no line is marked"));
    assert!(errors[0].ends_with(&format!("/nginx.conf:{line}")), "{case}\nnot at line {line}: {}", errors[0]);
}

fn assert_all_refused(cases: &[Case]) {
    for (block, expected) in cases {
        assert_refused(block, &policy(block).check(), expected);
    }
}

#[test]
fn release_lines() {
    const FORM: &str = "release name upstream [weight=P] [from=P|top] [version=V]";
    assert_all_refused(&[
        ("release stable a; release canary;", &["invalid number of arguments in \"release\"", FORM]),
        ("release;", &["invalid number of arguments in \"release\"", FORM]),
        ("release sta/ble a;", &["invalid release name \"sta/ble\"", "a-z"]),
        ("release \"\" a;", &["invalid release name \"\"", "a-z"]),
        ("release stable a weight=10%;", &["\"weight=10%\"", "takes no \"weight\""]),
        ("release stable a from=0%;", &["\"from=0%\"", "takes no \"from\""]),
        (
            "release stable a;\nrelease canary b;\nrelease canary c; #!",
            &["duplicate release \"canary\"", "stands already in"],
        ),
        ("release first a;\nrelease stable b; #!\nrelease x c;", &["\"stable\" must stand first"]),
        ("release stable a;\nrelease canary b weight=10% wait=1s;", &["unknown parameter \"wait=1s\"", FORM]),
        ("release stable a;\nrelease canary b 10%;", &["unknown parameter \"10%\"", FORM]),
        ("release stable a;\nrelease canary b weight=1% weight=2%;", &["duplicate parameter \"weight=2%\""]),
        ("release stable a version=latest;", &["invalid version \"latest\"", "0.0.0+1a2b3c"]),
        ("release stable a version=2.1;", &["invalid version \"2.1\"", "0.0.0+1a2b3c"]),
        ("release stable a version=vv2.1.0;", &["invalid version \"vv2.1.0\"", "0.0.0+1a2b3c"]),
        ("release stable a drain;", &["\"drain\" is not allowed", "has to serve"]),
        ("release stable a;\nrelease canary b down drain;", &["exclude each other"]),
        ("release stable a;\nrelease canary a;", &["has the upstream and version of release \"stable\""]),
        ("release stable a deployment=2.1;", &["invalid deployment \"2.1\"", "\"deployment=2-1\""]),
        (
            "release stable a version=2.1.0;\nrelease canary b deployment=2-1-0;",
            &["has the deployment \"2-1-0\" of release \"stable\"", "\"deployment=\""],
        ),
    ]);
}

#[test]
fn upstreams_of_releases() {
    assert_all_refused(&[
        (
            "release stable nowhere; #!\nrelease canary b;",
            &["unknown upstream \"nowhere\"", "upstream nowhere {", "nowhere:3210"],
        ),
        ("release stable 127.0.0.1;", &["\"127.0.0.1\"", "port"]),
        ("release stable a;\nrelease canary localhost; #!\nsalt x;", &["\"localhost\"", "port"]),
        ("release stable http://a;", &["\"http://a\""]),
        ("release stable lobechat_canary;", &["\"lobechat_canary\""]),
        ("release stable 127.0.0.1:99999;", &["\"127.0.0.1:99999\"", "port"]),
        ("release stable unix:;", &["\"unix:\""]),
    ]);
}

#[test]
fn percentages() {
    for (value, hint) in [
        ("10", "write \"10%\""),
        ("0.1", "write \"10%\" or \"0.1%\""),
        ("10.001%", "the smallest step is 0.01%"),
        ("101%", "between 0% and 100%"),
        ("-1%", "percent sign"),
        ("%", "percent sign"),
        ("ten%", "percent sign"),
        ("1,5%", "percent sign"),
    ] {
        let quoted = format!("invalid percentage \"{value}\"");
        for parameter in [format!("weight={value}"), format!("from={value} weight=1%")] {
            let block = format!("release stable a;\nrelease canary b {parameter}; #!\nsalt x;");
            assert_refused(&block, &policy(&block).check(), &[&quoted, hint, "\"canary\""]);
        }
    }
}

#[test]
fn weights_and_ranges() {
    assert_all_refused(&[
        (
            "release stable a;\nrelease x b weight=60%;\nrelease y c weight=50%; #!\nsalt s;",
            &["more than 100%", "\"y\""],
        ),
        (
            "release stable a;\nrelease x b weight=30%;\nrelease y c weight=10% from=20%; #!",
            &["\"y\" overlap", "\"x\"", "from="],
        ),
        ("release stable a;\nrelease x b;\nrelease y c;\nrelease z d weight=1%; #!", &["\"z\"", "from="]),
        (
            "release stable a;\nrelease x b weight=20% from=90%;",
            &["\"x\"", "weight=20% from=90%", "from=top"],
        ),
        (
            "release stable a;\nrelease x b weight=5%; #!\npin off;",
            &["\"x\" has a weight", "knows no user", "\"user visitor;\""],
        ),
        (
            "release stable a;\nrelease x b weight=0.5%; #!\nhash unleash;",
            &["\"x\"", "whole percents", "unleash"],
        ),
    ]);
    let fits = "release stable a;\nrelease x b weight=50%;\nrelease y c weight=40%;\nrelease z d weight=10% from=50%;";
    let check = policy(fits).check();
    assert!(check.ok, "{}", check.output);
}

#[test]
fn route_lines() {
    const FORM: &str = "route release if condition [and condition ...]";
    let routes: &[Case] = &[
        ("route canary;", &["invalid number of arguments in \"route\"", FORM]),
        ("route canary if;", &["a condition must follow \"if\""]),
        ("route canary when cookie:a;", &["unexpected \"when\"", FORM]),
        ("route nobody if cookie:a; #!\nsalt x;", &["unknown release \"nobody\"", "stable, canary"]),
        ("route canary if uid = 7;", &["\"uid\"", "did you mean \"cookie:uid\"?"]),
        ("route canary if uid;", &["did you mean \"cookie:uid\"?"]),
        ("route canary if cookies:uid;", &["unknown source \"cookies:uid\"", "cookie:NAME"]),
        ("route canary if cookie:;", &["invalid source \"cookie:\""]),
        ("route canary if cookie:a=b;", &["\"cookie:a=b\"", "write \"cookie:a = b\""]),
        ("route canary if $cookie_a=b;", &["\"$cookie_a=b\" is never empty", "write \"$cookie_a = b\""]),
        ("route canary if a-$cookie_a;", &["always holds", "compare it"]),
        ("route canary if not cookie:a;", &["unexpected \"not\"", "cookie:uid = ''"]),
        ("route canary if !cookie:a;", &["unexpected \"!cookie:a\"", "cookie:uid = ''"]),
        ("route canary if (cookie:a);", &["no parentheses"]),
        ("route canary if cookie:a in x,y;", &["invalid list \"x,y\"", "a|b|c"]),
        ("route canary if cookie:$name = b;", &["\"cookie:$name\"", "literally"]),
        ("route canary if cookie:a == b;", &["unexpected \"==\"", "write \"=\""]),
        ("route canary if cookie:a && cookie:b;", &["unexpected \"&&\"", "write \"and\""]),
        ("route canary if cookie:a or cookie:b;", &["unexpected \"or\"", "second \"route\""]),
        ("route canary if cookie:a = b c;", &["unexpected \"c\"", "quotes"]),
        ("route canary if cookie:a =;", &["a value must follow \"=\""]),
        ("route canary if cookie:a and;", &["a condition must follow \"and\""]),
        ("route canary if cookie:a ~ \"(\";", &["\"(\""]),
        ("route canary if cookie:a !~* \"[z-a]\";", &["\"[z-a]\""]),
        ("route canary if cookie:a in;", &["a value must follow \"in\""]),
        ("route canary if cookie:a in x||y;", &["invalid list \"x||y\"", "a|b|c"]),
        ("route canary if cookie:a in file:no-such.txt;", &["/no-such.txt\"", "No such file"]),
        ("route canary if cookie:a in file:empty.txt;", &["empty.txt", "one value a line"]),
        ("route canary if $1 = b;", &["\"$1\"", "map"]),
        ("route canary if \"a${b\" = b;", &["\"a${b\"", "bracket"]),
        // A claim must come from somewhere.
        ("route canary if claim:role = tester;", &["has no identity"]),
    ];
    for (route, expected) in routes {
        let block = format!("release stable a;\nrelease canary b;\n{route}");
        assert_refused(&block, &policy(&block).check(), expected);
    }
}

#[test]
fn other_lines_of_a_block() {
    let lines: &[Case] = &[
        ("user;", &["invalid number of arguments in \"user\"", "user source"]),
        ("user uid;", &["\"uid\"", "did you mean \"cookie:uid\"?"]),
        ("user visitor cookie:uid;", &["\"visitor\" must stand once, and last"]),
        ("user visitor visitor;", &["\"visitor\" must stand once, and last"]),
        ("user cookie:a;\nuser cookie:b;", &["\"user\" directive is duplicate"]),
        ("user claim:sub;", &["has no identity"]),
        ("user cookie:uid keep=30d;", &["\"keep=30d\""]),
        ("salt;", &["invalid number of arguments in \"salt\"", "salt text;"]),
        ("salt \"\";", &["\"salt\"", "salt text;"]),
        ("salt a b;", &["invalid number of arguments in \"salt\"", "salt text;"]),
        ("salt a;\nsalt b;", &["\"salt\" directive is duplicate"]),
        ("hash murmur3;", &["invalid value \"murmur3\"", "\"hash\"", "native | unleash | split_clients"]),
        ("hash;", &["invalid number of arguments in \"hash\"", "native | unleash | split_clients"]),
        ("hash native;\nhash native;", &["\"hash\" directive is duplicate"]),
        ("expose yes;", &["invalid value \"yes\"", "\"expose\"", "on | off"]),
        ("expose on off;", &["invalid number of arguments in \"expose\"", "on | off"]),
        ("expose on;\nexpose off;", &["\"expose\" directive is duplicate"]),
        ("releases canary b;", &["unknown directive \"releases\"", "release, route, user"]),
        ("proxy_pass http://b;", &["unknown directive \"proxy_pass\""]),
        ("pin on;\npin off;", &["\"pin\" directive is duplicate"]),
        ("pin;", &["pin on [cookie=name]"]),
        ("pin on assets=_next/;", &["invalid path \"_next/\"", "begin with \"/\""]),
        ("pin on life=1h;", &["unknown parameter \"life=1h\""]),
        ("rollback maybe;", &["rollback on | off"]),
        ("rollback off;\nrollback off;", &["duplicate"]),
        ("ramp canary 1% 10m;", &["a weight ends the line"]),
        ("include;", &["\"include\""]),
        ("include no-such.conf;", &["no-such.conf", "No such file"]),
    ];
    for (line, expected) in lines {
        let block = format!("release stable a;\nrelease canary b;\n{line}");
        assert_refused(&block, &policy(&block).check(), expected);
    }
}
