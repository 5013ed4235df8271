//! One decision per client request and policy, whatever nginx does with the request in between.
//!
//! The policies route by `$side`, which the configuration changes on the way: whoever decided anew would
//! answer differently.

use black_box::nginx::Flavour;
use black_box::{Config, Nginx, Request};

const TELL: &str = "return 200 \"$seen$lobechat_canary_release\";";

/// A server-level policy by `$side`, `@stable` with another side, and these locations.
fn start(locations: &str) -> Nginx {
    Config::new()
        .releases(&["a", "b"])
        .backend("redirect", "location / { add_header X-Accel-Redirect /internal; return 200; }")
        .http("upstream gone { server unix:@DIR@/nobody.sock; } upstream redirect { server unix:@DIR@/redirect.sock; }")
        .server(&format!(
            "lobechat_canary {{ release stable a; release canary b; route canary if $side = canary; user cookie:none; }}
             recursive_error_pages on;
             location @stable {{ set $side stable; {TELL} }}
             location /internal {{ internal; set $side stable; {TELL} }}
             {locations}"
        ))
        .start()
}

const DECIDE: &str = "set $side canary; set $seen \"$lobechat_canary_release \";";

#[test]
fn holds_across_internal_redirects() {
    let nginx = start(&format!(
        "location /error_page {{ {DECIDE} error_page 502 = @stable; proxy_pass http://gone; }}
         location /error_uri {{ {DECIDE} error_page 404 = /internal; return 404; }}
         location /try_files {{ {DECIDE} try_files /none @stable; }}
         location /rewrite {{ {DECIDE} rewrite ^ /internal_by_rewrite last; }}
         location /internal_by_rewrite {{ set $side stable; {TELL} }}
         location /accel {{ {DECIDE} proxy_pass http://redirect; }}
         location /index/ {{ {DECIDE} error_page 403 404 = @stable; }}
         location /undecided {{ set $side canary; error_page 404 = @stable; return 404; }}"
    ));
    for target in ["/error_page", "/error_uri", "/try_files", "/rewrite", "/accel", "/index/"] {
        assert_eq!(nginx.text(target), "canary canary", "{target}");
    }
    // Taken when first needed, not before.
    assert_eq!(nginx.text("/undecided"), "stable");
}

#[test]
fn a_second_pass_goes_to_the_same_release() {
    let nginx = Config::new()
        .release("a", "location / { return 503; } location /again { return 200 a; }")
        .release("b", "location / { return 503; } location /again { return 200 b; }")
        .server(
            "lobechat_canary { release stable a; release canary b; route canary if $side = canary; }
             set $side ''; proxy_intercept_errors on;
             location / { set $side canary; error_page 503 = @again; proxy_pass http://lobechat_canary; }
             location @again { set $side stable; rewrite ^ /again break; proxy_pass http://lobechat_canary;
                 add_header X-Status \"$upstream_status\"; }",
        )
        .start();
    let response = nginx.get("/");
    assert_eq!((response.text().as_str(), response.header("X-Status")), ("b", Some("503 : 200")));
}

#[test]
fn another_policy_decides_for_itself_and_the_first_is_found_again() {
    let nginx = start(&format!(
        "location /start {{ {DECIDE} error_page 404 = @other; return 404; }}
         location @other {{ lobechat_canary other {{ release x a; release y b; route y if $side = stable; }}
             set $side stable; set $seen \"$seen$lobechat_canary_release \"; error_page 404 = @back; return 404; }}
         location @back {{ set $side ''; {TELL} }}
         location /off {{ {DECIDE} error_page 404 = @off; return 404; }}
         location @off {{ lobechat_canary_use off; set $seen \"$seen($lobechat_canary_release) \";
             error_page 404 = @back; return 404; }}"
    ));
    assert_eq!(nginx.text("/start"), "canary y canary");
    assert_eq!(nginx.text("/off"), "canary () canary");
}

#[test]
fn subrequests_share_it() {
    let nginx = Config::new()
        .release("a", "location / { return 200 a; }")
        .release("b", "location / { return 200 b; } location /page { default_type text/html; return 200 \
            'b <!--#include virtual=\"/part?channel=stable\"--> <!--#include virtual=\"/told?channel=stable\"-->'; }")
        .server(
            "lobechat_canary { release stable a; release canary b; route canary if arg:channel = canary; }
             ssi on;
             location / { proxy_pass http://lobechat_canary; }
             location /told { return 200 \"$lobechat_canary_release $arg_channel\"; }
             location /static { default_type text/html; return 200
                 '<!--#include virtual=\"/told?channel=stable\"--> <!--#echo var=\"lobechat_canary_release\"-->'; }
             location /plain { lobechat_canary_use off; default_type text/html; return 200
                 '(<!--#echo var=\"lobechat_canary_release\" default=\"\"-->) <!--#include virtual=\"/told?channel=stable\"-->'; }",
        )
        .start();
    assert_eq!(nginx.text("/page?channel=canary"), "b b canary stable");
    // A subrequest that asks first asks for the client's request.
    assert_eq!(nginx.text("/static?channel=canary"), "canary stable canary");
    assert_eq!(nginx.text("/static?channel=x"), "stable stable stable");
    assert_eq!(nginx.text("/plain?channel=canary"), "() canary stable");
}

#[test]
fn mirrored_requests_go_to_the_same_release() {
    let backend =
        |name: &str| format!("access_log @DIR@/{name}.log uri; location / {{ return 200 {name}; }}");
    let nginx = Config::new()
        .http("log_format uri '$uri $http_x_copy';")
        .release("a", &backend("a"))
        .release("b", &backend("b"))
        .server(
            "lobechat_canary { release stable a; release canary b; route canary if arg:channel = canary; }
             location / { mirror /mirror; proxy_pass http://lobechat_canary; }
             location = /mirror { internal; proxy_set_header X-Copy yes; proxy_pass http://lobechat_canary; }",
        )
        .start();
    assert_eq!(nginx.text("/x?channel=canary"), "b");
    let mut lines = nginx.log_lines("b.log", 2);
    lines.sort();
    assert_eq!(lines, ["/mirror yes", "/x -"]);
    assert_eq!(nginx.file("a.log"), "");
}

#[test]
fn auth_request_may_ask_first() {
    if !Flavour::get().build.contains("http_auth_request_module") {
        eprintln!("this nginx is built without auth_request");
        return;
    }
    let nginx = Config::new()
        .release("a", "location / { return 200 a; } location /auth { return 204; }")
        .release("b", "location / { return 200 b; } location /auth { return 401; }")
        .server(
            "lobechat_canary { release stable a; release canary b; route canary if arg:channel = canary; }
             location / { auth_request /auth?channel=stable; auth_request_set $auth $upstream_status;
                 add_header X-Auth \"$auth\" always; error_page 401 = @login; proxy_pass http://lobechat_canary; }
             location @login { return 200 \"login $lobechat_canary_release\"; }
             location = /auth { internal; proxy_pass_request_body off; proxy_set_header Content-Length '';
                 proxy_pass http://lobechat_canary; }",
        )
        .start();
    let stable = nginx.get("/x");
    assert_eq!((stable.text().as_str(), stable.header("X-Auth")), ("a", Some("204")));
    assert_eq!(nginx.text("/x?channel=canary"), "login canary");
    let post = nginx.fetch(Request::new("POST", "/x").body(vec![b'x'; 100_000]));
    assert_eq!(post.text(), "a");
}

#[test]
fn early_reads_at_server_level() {
    let nginx = Config::new()
        .releases(&["a", "b"])
        .http(
            "server { listen 127.0.0.1:@PORT@; server_name early.example;
                 lobechat_canary early { release stable a; release canary b; route canary if arg:channel = canary; }
                 set $early $lobechat_canary_release;
                 if ($lobechat_canary_release = canary) { set $flag \" flagged\"; }
                 location / { return 200 \"$early $lobechat_canary_release$flag\"; } }",
        )
        .server(
            "set $early \"($lobechat_canary_release)\"; if ($lobechat_canary_reason) { return 500; }
             location / { lobechat_canary { release stable a; release canary b; route canary if arg:channel = canary; }
                 return 200 \"$early $lobechat_canary_release\"; }",
        )
        .start();
    for (host, target, expected) in [
        ("early.example", "/?channel=canary", "canary canary flagged"),
        ("early.example", "/", "stable stable"),
        // Nothing is in force yet where the location is not known; later there is.
        ("chat.example", "/?channel=canary", "() canary"),
    ] {
        assert_eq!(nginx.fetch(Request::get(target).host(host)).text(), expected, "{host}{target}");
    }
}
