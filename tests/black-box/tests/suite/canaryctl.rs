//! scripts/canaryctl against two nginx at once: changes reach both, disagreement and refusals have statuses of their own.

use std::path::Path;
use std::process::{Command, Stdio};

use black_box::{Config, Nginx, Request};
use serde_json::Value;

/// What canaryctl ended with and wrote.
struct Said {
    status: i32,
    out: String,
    err: String,
}

fn canaryctl(hosts: &str, arguments: &[&str]) -> Said {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/canaryctl");
    let mut command = Command::new("python3");
    command.arg(script).args(["-H", hosts]).args(arguments).env_remove("CANARY_PASSWORD");
    let output = command.stdin(Stdio::null()).output().expect("python3 runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let status = output.status.code().expect("it ends by itself");
    Said { status, out: text(output.stdout), err: text(output.stderr) }
}

fn config(api: &str) -> Config {
    Config::new().releases(&["a", "b"]).server(&format!(
        "location /canary/ {{ lobechat_canary_api {api}; }}
         location / {{
             lobechat_canary chat {{
                 release stable a version=2.1.25; release canary b version=2.1.26 weight=10%;
                 user cookie:uid; salt canaryctl;
             }}
             proxy_pass http://lobechat_canary;
         }}"
    ))
}

fn host(nginx: &Nginx) -> String {
    format!("127.0.0.1:{}", nginx.port())
}

/// The canary of an nginx, as its own API has it.
fn canary(nginx: &Nginx) -> Value {
    let text = nginx.text("/canary/v1/policies/chat");
    let policy: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    policy["releases"][1].clone()
}

#[test]
fn changes_two_nginx_at_once() {
    let (one, two) = (config("write").start(), config("write").start());
    let both = format!("{},http://{}/canary/", host(&one), host(&two));

    let said = canaryctl(&both, &["weight", "chat", "canary", "25%"]);
    assert_eq!(said.status, 0, "{}{}", said.out, said.err);
    assert!([&one, &two].iter().all(|nginx| canary(nginx)["weight"] == "25%"));
    assert_eq!(said.out.matches("2.1.26").count(), 2, "{}", said.out);

    let said = canaryctl(&both, &["rollback", "chat", "canary", "blank pages"]);
    assert_eq!(said.status, 0, "{}{}", said.out, said.err);
    for nginx in [&one, &two] {
        let canary = canary(nginx);
        assert_eq!((&canary["state"], &canary["weight"]), (&"down".into(), &"0%".into()));
        assert_eq!(canary["verdict"]["reason"], "blank pages");
    }
    let said = canaryctl(&both, &["events", "chat"]);
    assert_eq!(said.out.matches("\"blank pages\"").count(), 2, "{}", said.out);

    for (command, state) in [("reset", "up"), ("drain", "drain"), ("down", "down"), ("reset", "up")] {
        let said = canaryctl(&both, &[command, "chat", "canary"]);
        assert_eq!((said.status, canary(&one)["state"].as_str()), (0, Some(state)), "{}", said.err);
        assert_eq!(canary(&two)["state"], state);
    }
}

#[test]
fn promotes_and_prints_the_lines_to_commit() {
    let nginx = config("write").start();
    let said = canaryctl(&host(&nginx), &["promote", "chat", "canary"]);
    assert_eq!(said.status, 0, "{}{}", said.out, said.err);
    for line in ["commit: release stable b version=2.1.26;", "commit: release canary a version=2.1.25 drain;"]
    {
        assert!(said.out.contains(line), "{}", said.out);
    }
}

#[test]
fn says_where_hosts_disagree() {
    let (one, two) = (config("write").start(), config("write").start());
    assert_eq!(canaryctl(&host(&one), &["weight", "chat", "canary", "40%"]).status, 0);
    let both = format!("{},{}", host(&one), host(&two));
    let said = canaryctl(&both, &["status"]);
    let apart = format!("chat canary: weight is 40% on {}, 10% on {}", host(&one), host(&two));
    assert_eq!(said.status, 3, "{}{}", said.out, said.err);
    assert!(said.err.contains(&apart), "{}", said.err);
    assert!(canaryctl(&both, &["status", "nope"]).status == 1);
}

#[test]
fn shows_errors_in_the_words_of_the_api() {
    let (writable, read_only) = (config("write").start(), config("").start());
    let both = format!("{},{}", host(&writable), host(&read_only));
    let said = canaryctl(&both, &["weight", "chat", "canary", "25%"]);
    assert_eq!(said.status, 1, "{}{}", said.out, said.err);
    assert!(said.err.contains(&format!("{}: 403: ", host(&read_only))), "{}", said.err);
    // One took it: that they now disagree is told as well.
    assert!(said.err.contains("weight is 25%"), "{}", said.err);

    let request =
        Request::new("PATCH", "/canary/v1/policies/chat").header("Content-Type", "application/json");
    let refused = writable.fetch(request.body(r#"{"weights":{"canary":"0.25"}}"#));
    let problem: Value = serde_json::from_slice(&refused.body).unwrap();
    let said = canaryctl(&host(&writable), &["weight", "chat", "canary", "0.25"]);
    assert_eq!((said.status, refused.status), (1, 400));
    assert!(said.err.contains(problem["detail"].as_str().unwrap()), "{}", said.err);

    let said = canaryctl(&host(&writable), &["weight", "chat", "canary", "30%", "--if-epoch", "999999"]);
    assert!(said.status == 1 && said.err.contains(": 409: "), "{}", said.err);
    assert_eq!(canary(&writable)["weight"], "25%");

    // Nobody listens on port 1.
    let said = canaryctl(&format!("{},127.0.0.1:1", host(&writable)), &["status"]);
    assert!(said.status == 1 && said.err.contains("127.0.0.1:1: cannot be reached"), "{}", said.err);
    assert!(said.out.contains("2.1.26"), "{}", said.out);
    assert_eq!(canaryctl("127.0.0.1", &["weight", "chat"]).status, 2);
}

#[test]
fn explains_a_request_with_a_cookie() {
    let nginx = config("write").start();
    let explain = |cookie: &str| {
        let said = canaryctl(&host(&nginx), &["explain", "chat", "--as", "navigation", "--header", cookie]);
        assert_eq!(said.status, 0, "{}", said.err);
        said.out
    };
    assert!(explain("Cookie: x=1").contains("anonymous"));
    let said = explain("Cookie: uid=user-1");
    assert!(said.contains("split") && said.contains("bucket"), "{said}");
}
