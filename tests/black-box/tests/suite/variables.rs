//! The `$lobechat_canary_…` variables: their values, and every place of a configuration that can read them.

use black_box::{Config, Nginx, Request, wait_for};

const POLICY: &str = "lobechat_canary chat {
    release stable a version=v2.1.25; release canary b version=2.1.26-rc.1+7; release plain c;
    route canary if cookie:opt ~* ^in$ and header:x-tier; route plain if arg:plain; user cookie:uid; salt lobe; }";

const ALL: &str = "$lobechat_canary_release|$lobechat_canary_version|$lobechat_canary_upstream|\
    $lobechat_canary_reason|$lobechat_canary_rule|$lobechat_canary_bucket|$lobechat_canary_user";

fn tell() -> String {
    format!("return 200 \"{ALL}\";")
}

fn split(text: &str) -> Vec<&str> {
    text.split('|').collect()
}

/// What the log says of one request.
fn logged(nginx: &Nginx, name: &str, request: Request) -> String {
    let before = nginx.file(name).lines().count();
    nginx.fetch(request);
    nginx.log_lines(name, before + 1).pop().unwrap()
}

#[test]
fn values() {
    let nginx = Config::new()
        .releases(&["a", "b", "c"])
        .server(&format!("{POLICY} location / {{ {} }}", tell()))
        .server(&format!("location /none {{ lobechat_canary_use off; {} }}", tell()))
        .start();
    let ask = |target: &str, cookie: &str| {
        nginx.fetch(Request::get(target).cookie(cookie).header("X-Tier", "1")).text()
    };
    let rule = "canary if cookie:opt ~* ^in$ and header:x-tier";

    let user = ask("/", "uid=alice");
    assert_eq!(split(&user)[..6], ["stable", "2.1.25", "a", "split", "", "7091"]);
    let routed = ask("/", "uid=alice; opt=IN");
    assert_eq!(split(&routed)[..6], ["canary", "2.1.26-rc.1+7", "b", "route", rule, "7091"]);
    assert_eq!(split(&user)[6], split(&routed)[6]);
    assert_eq!(ask("/", "opt=IN"), format!("canary|2.1.26-rc.1+7|b|route|{rule}||"));
    assert_eq!(ask("/?plain=1", "x=1"), "plain||c|route|plain if arg:plain||");
    assert_eq!(ask("/", "x=1"), "stable|2.1.25|a|anonymous|||");
    assert_eq!(ask("/", "uid="), "stable|2.1.25|a|anonymous|||");
    assert_eq!(ask("/none", "uid=alice"), "||||||");
}

#[test]
fn a_user_in_logs_is_a_pseudonym() {
    let location = |path: &str, user: &str, salt: &str| {
        format!(
            "location /{path} {{ lobechat_canary {path} {{ release stable a; user {user}; salt {salt}; }}
            return 200 $lobechat_canary_user; }}"
        )
    };
    let nginx = Config::new()
        .releases(&["a"])
        .server(&location("one", "cookie:uid", "s"))
        .server(&location("other", "$cookie_uid", "s"))
        .server(&location("salted", "cookie:uid", "t"))
        .start();
    let ask = |target: &str, id: &str| nginx.fetch(Request::get(target).cookie(format!("uid={id}"))).text();
    let alice = ask("/one", "alice@example.com");
    assert!(
        alice.len() == 16 && alice.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase()),
        "{alice}"
    );
    assert_eq!(ask("/one", "alice@example.com"), alice);
    assert_eq!(ask("/other", "alice@example.com"), alice);
    assert_ne!(ask("/salted", "alice@example.com"), alice);
    assert_ne!(ask("/one", "bob@example.com"), alice);
}

#[test]
fn in_logs() {
    let nginx = Config::new()
        .releases(&["a", "b", "c"])
        .http(&format!("log_format plain '{ALL}';"))
        .http(
            "log_format json escape=json '{\"release\":\"$lobechat_canary_release\",\"rule\":\"$lobechat_canary_rule\",\
             \"bucket\":\"$lobechat_canary_bucket\",\"user\":\"$lobechat_canary_user\",\"status\":$status}';",
        )
        .server("access_log @DIR@/plain.log plain; access_log @DIR@/json.log json;")
        .server(&format!("{POLICY} location / {{ proxy_pass http://lobechat_canary; }}"))
        .server("location /own { return 200; } location /none { lobechat_canary_use off; return 200; }")
        .server("location /quoted { lobechat_canary q { release stable a; release x b; route x if cookie:a = 'q\"\\\\'; }
            proxy_pass http://lobechat_canary; }")
        .start();
    let plain = |request| logged(&nginx, "plain.log", request);
    assert_eq!(plain(Request::get("/?plain=1")), "plain|-|c|route|plain if arg:plain|-|-");
    assert!(plain(Request::get("/").cookie("uid=alice")).starts_with("stable|2.1.25|a|split|-|7091|"));
    // The log phase itself decides, when nothing has before.
    assert_eq!(plain(Request::get("/own")), "stable|2.1.25|a|anonymous|-|-|-");
    assert_eq!(plain(Request::get("/none")), "-|-|-|-|-|-|-");

    let line = logged(&nginx, "json.log", Request::get("/quoted").cookie("a=q\"\\"));
    let json: serde_json::Value =
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
    assert_eq!(json["release"], "x");
    assert_eq!(json["rule"], "x if cookie:a = q\"\\");
    let line = logged(&nginx, "json.log", Request::get("/none"));
    let json: serde_json::Value =
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
    assert_eq!((&json["release"], &json["bucket"], &json["user"]), (&"".into(), &"".into(), &"".into()));
}

#[test]
fn in_headers_maps_and_conditions() {
    let echo = "location / { return 200 \"$http_x_release|$http_x_bucket|$http_x_rule\"; }";
    let nginx = Config::new()
        .release("a", echo)
        .release("b", echo)
        .release("c", echo)
        .http("map $lobechat_canary_release $colour { default grey; canary yellow; }")
        .http("map $lobechat_canary_reason:$lobechat_canary_bucket $group { ~^split:[0-4] low; ~^split: high; default none; }")
        .server(&format!(
            "{POLICY} location / {{ proxy_set_header X-Release $lobechat_canary_release;
                 proxy_set_header X-Bucket $lobechat_canary_bucket; proxy_set_header X-Rule $lobechat_canary_rule;
                 add_header X-Version $lobechat_canary_version always; add_header X-Colour $colour;
                 add_header X-Group $group; proxy_pass http://lobechat_canary; }}
             location /if {{ if ($lobechat_canary_release = canary) {{ return 200 yes; }} return 200 no; }}
             location /rewrite/ {{ rewrite ^/rewrite/(.*)$ /$lobechat_canary_version/$1 break; proxy_pass http://uri; }}"
        ))
        .release("uri", "location / { return 200 $uri; }")
        .start();
    let fetch =
        |target: &str, cookie: &str| nginx.fetch(Request::get(target).cookie(cookie).header("X-Tier", "1"));
    let canary = fetch("/", "uid=user_1; opt=in");
    assert_eq!(canary.text(), "canary|3178|canary if cookie:opt ~* ^in$ and header:x-tier");
    let header = |name| canary.header(name);
    assert_eq!((header("X-Version"), header("X-Colour")), (Some("2.1.26-rc.1+7"), Some("yellow")));
    let stable = fetch("/", "uid=user_1");
    assert_eq!(stable.text(), "stable|3178|");
    assert_eq!((stable.header("X-Colour"), stable.header("X-Group")), (Some("grey"), Some("low")));
    assert_eq!(fetch("/", "uid=alice").header("X-Group"), Some("high"));
    // An empty value adds no header.
    assert_eq!(fetch("/?plain=1", "x=1").header("X-Version"), None);
    assert_eq!(
        (fetch("/if", "opt=in").text(), fetch("/if", "x=1").text()),
        ("yes".to_owned(), "no".to_owned())
    );
    assert_eq!(fetch("/rewrite/logo.svg", "x=1").text(), "/2.1.25/logo.svg");
}

#[test]
fn a_decision_that_reads_itself_reads_nothing() {
    let nginx = Config::new()
        .releases(&["a", "b"])
        .http("map $lobechat_canary_release$lobechat_canary_bucket $loop { volatile; '' nothing; default \"($lobechat_canary_release)\"; }")
        .server(&format!(
            "location /user {{ lobechat_canary u {{ release stable a; release canary b weight=100%; user $loop; }} {} }}",
            tell()
        ))
        .server(&format!(
            "location /route {{ lobechat_canary r {{ release stable a; release canary b;
                 route canary if $lobechat_canary_release; route canary if $loop = '(stable)'; route canary if $loop = nothing;
                 user cookie:none; }} {} }}",
            tell()
        ))
        .server("location /direct { lobechat_canary d { release stable a; user \"x$lobechat_canary_user\"; } return 200 \"$lobechat_canary_reason\"; }")
        .start();
    let user = nginx.text("/user");
    assert_eq!(split(&user)[..4], ["canary", "", "b", "split"]);
    assert_eq!(nginx.text("/route"), "canary||b|route|canary if $loop = nothing||");
    assert_eq!(nginx.text("/direct"), "anonymous");
}

/// What follows a page is decided without its user; logs and header lines ask for him later, once, and under the same rule.
#[test]
fn a_user_that_is_asked_for_late_reads_nothing_of_himself() {
    let nginx = Config::new()
        .releases(&["a", "b"])
        .http("map $lobechat_canary_release$lobechat_canary_bucket $loop { volatile; '' nothing; default \"($lobechat_canary_release)\"; }")
        .http("log_format sender '$lobechat_canary_reason $lobechat_canary_bucket $lobechat_canary_user';")
        .server("lobechat_canary { release stable a; release canary b weight=100%; user $loop; }")
        .server("add_header X-Sender '$lobechat_canary_bucket $lobechat_canary_user' always; access_log @DIR@/sender.log sender;")
        .server("location / { proxy_pass http://lobechat_canary; proxy_set_header X-Bucket $lobechat_canary_bucket; }")
        .start();
    let page = nginx.fetch(Request::navigation("/"));
    let sender = page.header("X-Sender").unwrap().to_owned();
    let pin = format!("lobechat_release={}", page.cookie("lobechat_release").unwrap());
    for (before, target) in ["/trpc/x", "/_next/static/a.js", "/trpc/x?a=b"].into_iter().enumerate() {
        let request = Request::get(target).header("Accept", "*/*").cookie(&*pin);
        assert_eq!(nginx.fetch(request).header("X-Sender"), Some(&*sender), "{target}");
        // The page has a line, too.
        let line = nginx.log_lines("sender.log", before + 2).pop();
        assert_eq!(line, Some(format!("pin {sender}")), "{target}");
    }
    assert!(!nginx.error_log().contains("cycle"), "{}", nginx.error_log());
}

#[test]
fn fixed_for_the_whole_request() {
    let nginx = Config::new()
        .releases(&["a", "b"])
        .http("log_format side '$lobechat_canary_release $side $lobechat_canary_rule';")
        .server(
            "access_log @DIR@/side.log side;
             location / { lobechat_canary { release stable a; release canary b; route canary if $side = early; }
                 set $side early; set $first $lobechat_canary_release; set $side late;
                 add_header X-Seen \"$first $lobechat_canary_release $side\"; proxy_pass http://lobechat_canary; }",
        )
        .start();
    let response = nginx.get("/");
    assert_eq!((response.text().as_str(), response.header("X-Seen")), ("b", Some("canary canary late")));
    assert_eq!(nginx.log_lines("side.log", 1), ["canary late canary if $side = early"]);
}

#[test]
fn log_lines_of_aborted_requests_name_the_release() {
    let slow = black_box::backend::Backend::start(|mut peer| {
        peer.request();
        peer.read_to_end();
    });
    let nginx = Config::new()
        .http(&format!("upstream a {{ {} }} log_format s '$lobechat_canary_release $status';", slow.server()))
        .server("access_log @DIR@/s.log s; lobechat_canary { release stable a; } location / { proxy_pass http://lobechat_canary; }")
        .start();
    let mut connection = nginx.connect();
    connection.write(&Request::get("/").to_bytes()).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(50));
    drop(connection);
    wait_for("the line of the aborted request", || {
        nginx.file("s.log").contains("stable 499\n").then_some(())
    });
}
