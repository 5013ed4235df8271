//! Recorded tokens and sessions through a real nginx; what a token opens, and until when.

use std::collections::HashMap;

use black_box::token::{hs256, now};
use black_box::{Config, Request, vectors};
use serde_json::Value;

pub const SECRET: &str = "a secret of the tests, forty-eight bytes or longer!";

/// `$identity`, `$sub` and `$role` of each request in its answer.
pub const SHOW: &str = "add_header X-Identity $lobechat_canary_identity always;
    add_header X-Reason $lobechat_canary_reason always;
    add_header X-User $lobechat_canary_user always;
    add_header X-Sub $sub always; add_header X-Role $role always;";

pub const CLAIMS: &str = "claim $sub sub; claim $role role;";

/// Testers to the canary, by `identity` lines; nobody else.
pub fn testers(identity: &str) -> Config {
    Config::new().releases(&["a", "b"]).file("secret", SECRET).server(SHOW).server(&format!(
        "location / {{ lobechat_canary {{ release stable a; release canary b;
            route canary if claim:role = tester; user claim:sub; {identity} {CLAIMS} }}
            proxy_pass http://lobechat_canary; }}"
    ))
}

/// One policy for each different directive and content of its file, each in a location of its own.
#[derive(Default)]
struct Policies {
    numbers: HashMap<(String, String), usize>,
    config: Config,
}

impl Policies {
    /// The location of the policy with this directive, in which `@FILE@` has this content.
    fn location(&mut self, directive: &str, file: &str) -> String {
        let next = self.numbers.len();
        let key = (directive.to_owned(), file.to_owned());
        let number = *self.numbers.entry(key).or_insert(next);
        if number == next {
            let name = format!("key{number}");
            let directive = directive.replace("@FILE@", &name);
            let config = std::mem::take(&mut self.config);
            self.config = config.file(&name, file).server(&format!(
                "location /{number} {{ lobechat_canary p{number} {{ release stable a; release canary b;
                    route canary if claim:sub; user claim:sub; {CLAIMS} {directive} }}
                    proxy_pass http://lobechat_canary; }}"
            ));
        }
        format!("/{number}")
    }

    fn start(self) -> black_box::Nginx {
        self.config.releases(&["a", "b"]).server(SHOW).start()
    }
}

/// Asks twice, as the second answer comes from what is remembered.
fn assert_identified(nginx: &black_box::Nginx, request: &Request, line: &Value, kind: &str) {
    for turn in ["first", "second"] {
        let response = nginx.fetch(request.clone());
        let what = format!("{} {turn}", line["id"]);
        assert_eq!(response.status, 200, "{what}");
        let expect = line["expect"].as_str().unwrap();
        let claim =
            |name: &str| line["claims"][name].as_str().filter(|text| text.is_ascii() && !text.is_empty());
        let (identity, sub) = match expect {
            "valid" => (kind.to_owned(), claim("sub")),
            reason => (format!("{kind}:{reason}"), None),
        };
        if response.header("X-Identity").is_none()
            && line["id"].as_str().unwrap().ends_with("first-chunk-missing")
        {
            continue;
        }
        assert_eq!(response.header("X-Identity"), Some(&*identity), "{what}");
        let has_sub = !line["claims"]["sub"].is_null() && line["claims"]["sub"] != "";
        assert_eq!(response.text(), if has_sub { "b" } else { "a" }, "{what}");
        if has_sub == sub.is_some() {
            assert_eq!(response.header("X-Sub"), sub, "{what}");
        }
    }
}

#[test]
fn tokens_of_two_libraries() {
    let lines = vectors::read("tokens/recording.jsonl");
    let lines: Vec<Value> =
        lines.into_iter().filter(|l| l["now"].is_null() && l["expect"] != "no_keys").collect();
    assert!(lines.len() > 350, "{}", lines.len());
    let mut policies = Policies::default();
    let requests: Vec<Request> = lines
        .iter()
        .map(|line| {
            let (kind, file) = match line["keys"].as_str() {
                Some(keys) => ("keys", keys),
                None => ("secret", line["secret"].as_str().unwrap()),
            };
            let directive = format!("identity jwt {kind}=@FILE@ {};", line["parameters"].as_str().unwrap());
            Request::get(&policies.location(&directive, file)).bearer(line["token"].as_str().unwrap())
        })
        .collect();
    let nginx = policies.start();
    for (line, request) in lines.iter().zip(&requests) {
        assert_identified(&nginx, request, line, "jwt");
    }
}

#[test]
fn sessions_of_better_auth_and_authjs() {
    let lines = vectors::read("sessions/recording.jsonl");
    let mut policies = Policies::default();
    let requests: Vec<Request> = lines
        .iter()
        .map(|line| {
            let text = |name: &str| line[name].as_str().unwrap();
            let directive = format!("identity {} secret=@FILE@ cookie={};", text("identity"), text("cookie"));
            let pair = |pair: &Value| format!("{}={}", pair[0].as_str().unwrap(), pair[1].as_str().unwrap());
            let cookies: Vec<String> = line["cookies"].as_array().unwrap().iter().map(pair).collect();
            Request::get(&policies.location(&directive, text("secret"))).cookie(cookies.join("; "))
        })
        .collect();
    policies.config = policies.config.http("large_client_header_buffers 4 32k;");
    let nginx = policies.start();
    for (line, request) in lines.iter().zip(&requests) {
        assert_identified(&nginx, request, line, line["identity"].as_str().unwrap());
    }
}

#[test]
fn only_a_verified_role_opens_the_canary() {
    let nginx = testers("identity jwt secret=secret;").log_level("info").start();
    let token = |secret: &str, role: &str| hs256(secret, &format!(r#"{{"sub":"u1","role":{role}}}"#));
    let release = |request: Request| {
        let response = nginx.fetch(request);
        (response.text(), response.header("X-Identity").unwrap_or_default().to_owned())
    };
    let get = || Request::get("/");
    let good = token(SECRET, "\"tester\"");
    let said = |release: &str, identity: &str| (release.to_owned(), identity.to_owned());
    assert_eq!(release(get().bearer(&good)), said("b", "jwt"));
    assert_eq!(release(get().header("authorization", format!("bEaReR  {good} "))), said("b", "jwt"));
    assert_eq!(release(get().bearer(&token(SECRET, r#"["user","tester"]"#))), said("b", "jwt"));
    assert_eq!(release(get().bearer(&token(SECRET, "\"user\""))), said("a", "jwt"));
    assert_eq!(release(get().bearer(&token(SECRET, "[]"))), said("a", "jwt"));
    let forged = token("another secret, which is as long as the other one", "\"tester\"");
    assert_eq!(release(get().bearer(&forged)), said("a", "jwt:signature"));
    assert_eq!(release(get().bearer("x.y.z")), said("a", "jwt:malformed"));
    assert_eq!(release(get()), said("a", ""));
    assert_eq!(release(get().header("Authorization", format!("Basic {good}"))), said("a", ""));
    assert_eq!(release(get().header("Authorization", &good)), said("a", ""));
    assert_eq!(release(get().header("X-Role", "tester").cookie("role=tester")), said("a", ""));
    // Said at info, without the token.
    nginx.wait_log("lobechat_canary: jwt token gives no claims: signature, client: 127.0.0.1");
    assert!(!nginx.error_log().contains(&forged));
}

/// A token that ends while its connection lives stops counting at that second, remembered or not.
#[test]
fn a_token_ends_at_its_second() {
    let nginx = testers("identity jwt secret=secret;").start();
    let end = now() + 3;
    let token = hs256(SECRET, &format!(r#"{{"sub":"u1","role":"tester","exp":{end}}}"#));
    let mut connection = nginx.connect();
    let mut last = None;
    while now() <= end {
        let before = now();
        let response = connection.fetch(&Request::get("/").bearer(&token));
        let (text, after) = (response.text(), now());
        if before == after {
            assert_eq!(text == "b", after < end, "{} s before the end", end as i64 - after as i64);
            last = response.header("X-Identity").map(str::to_owned);
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(last.as_deref(), Some("jwt:expired"));
}

#[test]
fn sources_in_their_order() {
    let nginx = testers(
        "identity jwt secret=secret from=header:x-token from=cookie:token from=arg:token from=$http_x_other;",
    )
    .start();
    let token = |sub: &str| hs256(SECRET, &format!(r#"{{"sub":"{sub}","role":"tester"}}"#));
    let sub = |request: Request| nginx.fetch(request).header("X-Sub").map(str::to_owned);
    let get = || Request::get("/");
    assert_eq!(sub(get().header("X-Token", token("header"))).as_deref(), Some("header"));
    assert_eq!(
        sub(get().header("X-Token", format!("Bearer {}", token("header")))).as_deref(),
        Some("header")
    );
    assert_eq!(sub(get().cookie(format!("a=b; token={}", token("cookie")))).as_deref(), Some("cookie"));
    assert_eq!(sub(Request::get(&format!("/?a=b&token={}", token("arg")))).as_deref(), Some("arg"));
    assert_eq!(sub(get().header("X-Other", token("variable"))).as_deref(), Some("variable"));
    // One that does not verify is no reason not to look at the next.
    let both = get().header("X-Token", "x.y.z").cookie(format!("token={}", token("cookie")));
    assert_eq!(sub(both).as_deref(), Some("cookie"));
    assert_eq!(sub(get().bearer(&token("unasked"))), None);
}

#[test]
fn several_identities() {
    let other = "the secret that was in use before, long enough as well";
    let nginx =
        testers("identity jwt secret=secret; identity jwt secret=old; identity better_auth secret=secret;")
            .file("old", other)
            .start();
    let ask = |secret: &str| {
        let token = hs256(secret, r#"{"sub":"u1","role":"tester"}"#);
        let response = nginx.fetch(Request::get("/").bearer(&token));
        (response.text(), response.header("X-Identity").unwrap().to_owned())
    };
    assert_eq!(ask(SECRET), ("b".to_owned(), "jwt".to_owned()));
    assert_eq!(ask(other), ("b".to_owned(), "jwt".to_owned()));
    assert_eq!(ask("neither of them, but of about the same length").0, "a");
}

/// A user's name may hold anything, and a claim's variable may end up in a header of the upstream request.
#[test]
fn claims_break_no_header() {
    let nginx =
        testers("identity jwt secret=secret; claim $name name;").server("add_header X-Name $name;").start();
    let token = hs256(SECRET, r#"{"sub":"u1","role":"tester","name":"a\r\nX-Evil: 1\u0000\u007fb"}"#);
    let response = nginx.fetch(Request::get("/").bearer(&token));
    assert_eq!(response.header("X-Name"), Some("a  X-Evil: 1  b"));
    assert_eq!(response.header("X-Evil"), None);
}

/// 16 KiB are looked at, more are not.
#[test]
fn tokens_that_are_too_large() {
    let nginx = testers("identity jwt secret=secret;").http("large_client_header_buffers 4 64k;").start();
    let ask = |padding: usize| {
        let pad = "x".repeat(padding);
        let token = hs256(SECRET, &format!(r#"{{"sub":"u1","role":"tester","pad":"{pad}"}}"#));
        let response = nginx.fetch(Request::get("/").bearer(&token));
        (response.text(), response.header("X-Identity").unwrap().to_owned())
    };
    assert_eq!(ask(12_000), ("b".to_owned(), "jwt".to_owned()));
    assert_eq!(ask(12_300), ("a".to_owned(), "jwt:too_large".to_owned()));
    assert_eq!(ask(40_000), ("a".to_owned(), "jwt:too_large".to_owned()));
}

/// What libcrypto leaves behind after a refusal must not look like an error of a TLS connection.
#[test]
fn refusals_leave_tls_alone() {
    let lines = vectors::read("tokens/recording.jsonl");
    let bad: Vec<&Value> =
        lines.iter().filter(|l| l["expect"] == "signature" && l["now"].is_null()).collect();
    let mut policies = Policies::default();
    let targets: Vec<String> = bad
        .iter()
        .filter(|line| line["keys"].is_string())
        .map(|line| policies.location("identity jwt keys=@FILE@;", line["keys"].as_str().unwrap()))
        .collect();
    policies.config = policies
        .config
        .certificate("chat.example")
        .listen("listen 127.0.0.1:@PORT@ ssl; ssl_certificate @DIR@/chat.example.crt; ssl_certificate_key @DIR@/chat.example.key;");
    let nginx = policies.start();
    for (line, target) in bad.iter().filter(|line| line["keys"].is_string()).zip(&targets).take(40) {
        let authorization = format!("Authorization: Bearer {}", line["token"].as_str().unwrap());
        let url = format!("https://127.0.0.1:{}{target}", nginx.port());
        // Twice on one connection.
        let response = black_box::tools::curl(&["-H", &authorization, &url, &url, "-o", "/dev/null"]);
        assert_eq!(response.header("X-Identity"), Some("jwt:signature"), "{}", line["id"]);
    }
}
