//! Bodies and connections of the API: sizes, types, where nginx keeps a body, who waits for whom.

use std::time::{Duration, Instant};

use black_box::api::{self, refusal, release, weights};
use black_box::tools::curl;
use black_box::{Config, Connection, Nginx, Request, wait_for};

const CHAT: &str = "v1/policies/chat";
const ROLLBACK: &str = "v1/policies/chat/releases/canary/rollback";
const LIMIT: usize = 64 * 1024;

fn config(zone: &str, lines: &str) -> Config {
    Config::new()
        .releases(&["a", "b"])
        .directory("state")
        .http(zone)
        .server(
            "lobechat_canary chat { release stable a; release canary b weight=10%; user cookie:uid; }
             location / { proxy_pass http://lobechat_canary; }",
        )
        .server(&format!("location /canary/ {{ {lines} lobechat_canary_api write; }}"))
}

fn start(lines: &str) -> Nginx {
    config("lobechat_canary_zone lobechat_canary:1m state=off;", lines).start()
}

fn state(nginx: &Nginx) -> String {
    release(&nginx.policy("chat"), "canary")["state"].as_str().unwrap().to_owned()
}

/// A body of this many bytes that asks for a weight.
fn padded(weight: &str, length: usize) -> String {
    let body = weights("canary", weight);
    body.replacen(':', &format!(":{}", " ".repeat(length - body.len())), 1)
}

/// A request whose body comes in pieces, of which the server learns only as they come.
fn chunked(request: Request, pieces: &[&[u8]]) -> Vec<u8> {
    let head = request.header("Transfer-Encoding", "chunked").to_bytes();
    let chunk = |piece: &&[u8]| [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
    [head, pieces.iter().flat_map(chunk).collect(), b"0\r\n\r\n".to_vec()].concat()
}

fn typed(method: &str, path: &str) -> Request {
    Request::new(method, &format!("{}{path}", api::PATH)).header("Content-Type", "application/json")
}

#[test]
fn types() {
    let nginx = start("");
    let patch = |media_type: &str, body: &str| {
        nginx.fetch(
            Request::new("PATCH", &format!("{}{CHAT}", api::PATH))
                .header("Content-Type", media_type)
                .body(body),
        )
    };
    let body = weights("canary", "20%");
    for media_type in [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonx",
        "application/merge-patch+json",
    ] {
        let sentence = refusal(&patch(media_type, &body), 415);
        assert!(sentence.contains("send \"Content-Type: application/json\""), "{media_type}: {sentence}");
    }
    let untyped = Request::new("PATCH", &format!("{}{CHAT}", api::PATH)).body(body.clone());
    refusal(&nginx.fetch(untyped), 415);
    for media_type in ["application/json", "Application/JSON", "application/json; charset=utf-8"] {
        assert_eq!(patch(media_type, &body).status, 200, "{media_type}");
    }
}

#[test]
fn malformed_bodies() {
    let nginx = start("");
    let before = nginx.policy("chat");
    for body in [
        "{",
        "nonsense",
        "{\"weights\":{\"canary\":\"20%\"}} x",
        "\u{0}",
        "{'weights':{}}",
        "{\"weights\":{\"canary\":\"20%\"},}",
    ] {
        for (method, path) in [("PATCH", CHAT), ("POST", ROLLBACK)] {
            let sentence = nginx.api_refused(method, path, body, 400);
            assert!(sentence.contains("no JSON"), "{body}: {sentence}");
        }
    }
    for bytes in [&b"\xff\xfe"[..], b"{\"weights\":{\"canary\":\"\xff\"}}"] {
        refusal(&nginx.fetch(typed("PATCH", CHAT).body(bytes)), 400);
    }
    let deep = "[".repeat(30_000);
    assert!(nginx.api_refused("PATCH", CHAT, &deep, 400).contains("no JSON"));
    let deep = format!("{{\"weights\":{}{}}}", "{\"a\":".repeat(100), "1".to_owned() + &"}".repeat(100));
    nginx.api_refused("PATCH", CHAT, &deep, 400);
    assert_eq!(nginx.policy("chat"), before);
}

#[test]
fn sizes() {
    let nginx = start("");
    for (length, status) in [(LIMIT, 200), (LIMIT + 1, 413), (5 * LIMIT, 413)] {
        let body = padded("20%", length);
        let mut connection = nginx.connect();
        for round in 0..2 {
            // On one connection: what was too large is read and thrown away, not taken for a request.
            let response = connection.fetch(&typed("PATCH", CHAT).body(body.clone()));
            assert_eq!(response.status, status, "{length} {round}: {}", response.text());
            if status == 413 {
                assert!(refusal(&response, 413).contains("64 KiB"), "{length}");
            }
        }
        let pieces: Vec<&[u8]> = body.as_bytes().chunks(7000).collect();
        let mut connection = nginx.connect();
        for round in 0..2 {
            connection.write(&chunked(typed("PATCH", CHAT), &pieces)).unwrap();
            let response = connection.read_answer().unwrap();
            assert_eq!(response.status, status, "chunked {length} {round}: {}", response.text());
        }
    }
    // A body in a GET means nothing, whatever its size.
    let mut connection = nginx.connect();
    for _ in 0..2 {
        assert_eq!(connection.fetch(&typed("GET", CHAT).body(padded("30%", 3 * LIMIT))).status, 200);
    }
    assert_eq!(release(&nginx.policy("chat"), "canary")["weight"], "20%");
}

/// nginx puts bodies into files where its buffer is small, or where it is told to.
#[test]
fn bodies_in_files() {
    for lines in [
        "client_body_buffer_size 1k;",
        "client_body_in_file_only clean;",
        "client_body_in_single_buffer off; client_body_buffer_size 1k;",
    ] {
        let nginx = start(lines);
        for (round, length) in [100, 1000, 1025, 5000, LIMIT].into_iter().enumerate() {
            let weight = format!("{}%", 20 + round);
            let body = padded(&weight, length);
            let by_length = nginx.fetch(typed("PATCH", CHAT).body(body.clone()));
            assert_eq!(by_length.status, 200, "{lines} {length}: {}", by_length.text());
            assert_eq!(release(&nginx.policy("chat"), "canary")["weight"], *weight, "{lines} {length}");
            let body = padded("15%", length);
            let mut connection = nginx.connect();
            let pieces: Vec<&[u8]> = body.as_bytes().chunks(700).collect();
            connection.write(&chunked(typed("PATCH", CHAT), &pieces)).unwrap();
            assert_eq!(connection.read_answer().unwrap().status, 200, "chunked {lines} {length}");
            assert_eq!(release(&nginx.policy("chat"), "canary")["weight"], "15%", "chunked {lines} {length}");
        }
        refusal(&nginx.fetch(typed("PATCH", CHAT).body(padded("20%", LIMIT + 1))), 413);
        assert!(!nginx.error_log().contains("[crit]"), "{}", nginx.error_log());
    }
}

#[test]
fn a_slow_body_holds_nobody_up() {
    let nginx = start("");
    let body = weights("canary", "33%");
    let (first, rest) = body.split_at(10);
    let head = typed("PATCH", CHAT).header("Content-Length", body.len().to_string()).to_bytes();
    let mut slow = nginx.connect();
    slow.write(&[&head, first.as_bytes()].concat()).unwrap();
    let started = Instant::now();
    for round in 0..20 {
        assert_eq!(nginx.get("/").status, 200);
        nginx.api_ok("PATCH", CHAT, &weights("canary", &format!("{}%", round + 1)));
    }
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    slow.write(rest.as_bytes()).unwrap();
    let response = slow.read_answer().unwrap();
    assert_eq!(release(&api::json(&response), "canary")["weight"], "33%");
}

/// An answer to a change waits for the disk, which never comes here: others go on, and who leaves leaves nothing behind.
#[test]
fn clients_that_leave_while_the_answer_waits_for_the_disk() {
    let nginx = config("lobechat_canary_zone lobechat_canary:1m state=@DIR@/nowhere/state.json;", "").start();
    let epoch = nginx.policy("chat")["epoch"].as_u64().unwrap();
    for round in 0..30 {
        let mut leaving = nginx.connect();
        let weight = format!("{}%", 1 + round);
        leaving.write(&api::request("PATCH", CHAT, &weights("canary", &weight)).to_bytes()).unwrap();
        wait_for("the change", || (nginx.policy("chat")["epoch"] == epoch + 1 + round).then_some(()));
        drop(leaving);
        assert_eq!(nginx.get("/").status, 200);
    }
    // One that waits gets its answer, which is that it is not kept.
    let started = Instant::now();
    let mut waiting = nginx.connect();
    waiting.write(&api::request("PATCH", CHAT, &weights("canary", "44%")).to_bytes()).unwrap();
    let mut others = 0;
    while started.elapsed() < Duration::from_secs(1) {
        assert_eq!(nginx.get("/").status, 200);
        others += 1;
    }
    assert!(others > 20, "{others} requests in a second");
    assert_eq!(api::json(&waiting.read_answer().unwrap())["persisted"], false);
    assert!(!nginx.error_log().contains("exited on signal"), "{}", nginx.error_log());
}

#[test]
fn refusals_keep_a_connection_in_step() {
    let nginx = start("");
    let requests = [
        (typed("PATCH", CHAT).body("{"), 400),
        (typed("POST", CHAT).body("{}"), 405),
        (typed("PATCH", "v1/policies/nobody").body("{}"), 400),
        (typed("POST", "v1/nothing").body(vec![b' '; 1000]), 404),
        (Request::new("PATCH", "/canary/v1/policies/chat").body("{}"), 415),
        (typed("PATCH", CHAT).header("Origin", "http://evil.example").body("{}"), 403),
        (typed("PATCH", CHAT).body(weights("canary", "12%")), 200),
        (api::request("HEAD", "v1/nothing", ""), 404),
        (Request::get("/").cookie("uid=x"), 200),
        (api::request("GET", CHAT, ""), 200),
    ];
    let mut connection = nginx.connect();
    for (index, (request, status)) in requests.iter().enumerate() {
        assert_eq!(connection.fetch(request).status, *status, "{index}");
    }
    // All at once, but for the HEAD.
    let mut pipeline = nginx.connect();
    let several: Vec<_> =
        requests.iter().filter(|(request, _)| !request.to_bytes().starts_with(b"HEAD")).collect();
    pipeline.write(&several.iter().flat_map(|(request, _)| request.to_bytes()).collect::<Vec<u8>>()).unwrap();
    for (index, (_, status)) in several.iter().enumerate() {
        assert_eq!(pipeline.read_answer().unwrap().status, *status, "pipelined {index}");
    }
}

#[test]
fn http2() {
    let nginx = config("lobechat_canary_zone lobechat_canary:1m state=@DIR@/state/state.json;", "")
        .listen("listen 127.0.0.1:@PORT@ http2; listen 127.0.0.1:@PORT2@;")
        .start();
    let ask = |path: &str, arguments: &[&str]| {
        let url = format!("http://127.0.0.1:{}{}{path}", nginx.port(), api::PATH);
        curl(
            &[&["--http2-prior-knowledge", "-H", "Content-Type: application/json", &url], arguments].concat(),
        )
    };
    assert_eq!(ask("", &[]).header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(ask("metrics", &[]).status, 200);
    let body = weights("canary", "21%");
    let changed = api::json(&ask(CHAT, &["-X", "PATCH", "-d", &body]));
    assert_eq!(
        (&release(&changed, "canary")["weight"], &changed["persisted"]),
        (&"21%".into(), &true.into())
    );
    // More than one window of HTTP/2; curl 7.88 takes no answer of nginx that comes before the end of a body.
    std::fs::write(nginx.dir().join("big"), padded("22%", LIMIT)).unwrap();
    let file = format!("@{}", nginx.dir().join("big").display());
    let changed = api::json(&ask(CHAT, &["-X", "PATCH", "--data-binary", &file]));
    assert_eq!(release(&changed, "canary")["weight"], "22%");
    assert_eq!(ask(ROLLBACK, &["-X", "POST"]).status, 200);
    refusal(&ask(CHAT, &["-X", "PATCH", "-d", "{"]), 400);
    assert_eq!(ask(CHAT, &["-X", "DELETE"]).header("allow"), Some("GET, HEAD, PATCH"));
    assert_eq!(ask("v1/policies", &["-I"]).status, 200);
    let mut plain = Connection::open(nginx.other_port(2)).unwrap();
    assert_eq!(api::json(&plain.fetch(&api::request("GET", CHAT, "")))["releases"][1]["state"], "down");
}

#[test]
fn webhooks_pull_the_cord() {
    let nginx = start("");
    let alert = r#"{"version":"4","status":"firing","commonAnnotations":{"summary":"5xx on canary above 2%"},"alerts":[]}"#;
    nginx.api_ok("POST", ROLLBACK, alert);
    assert_eq!(state(&nginx), "down");
    let policy = nginx.policy("chat");
    assert_eq!(release(&policy, "canary")["verdict"]["reason"], "5xx on canary above 2%");
}
