//! Streams and WebSockets of an open page: they follow it, arrive piece by piece, and live until they end, whatever
//! becomes of their release meanwhile.

use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};

use black_box::api::{self, weights};
use black_box::backend::{Backend, Peer};
use black_box::{Config, Connection, Nginx, Request};

use crate::pins::{CANARY, KEY, STABLE, page, script};

const DEFAULT: &str = "v1/policies/default";

/// A release that answers pages, echoes what comes over a WebSocket, and streams the tokens that a test hands it.
struct Release {
    backend: Backend,
    tokens: Sender<&'static str>,
}

fn release(name: &'static str) -> Release {
    let (tokens, wait) = channel::<&'static str>();
    let wait = Mutex::new(wait);
    let backend = Backend::start(move |mut peer| {
        while let Some(request) = peer.request() {
            match request.line.split(' ').nth(1).unwrap_or_default() {
                "/ws" => return echo(&mut peer, name),
                "/webapi/chat" => {
                    peer.write(format!(
                        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Build: {name}\r\n\r\n"
                    ));
                    for token in wait.lock().unwrap().iter().take_while(|token| !token.is_empty()) {
                        peer.write(format!("data: {token}\n\n"));
                    }
                    return peer.close();
                }
                _ => peer.answer("200 OK", &format!("Content-Type: text/html\r\nX-Build: {name}\r\n"), name),
            }
        }
    });
    Release { backend, tokens }
}

fn echo(peer: &mut Peer, name: &str) {
    peer.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    while let Ok(frame) = peer.read(4) {
        peer.write([name.as_bytes(), &frame].concat());
    }
}

fn config(stable: &Release, canary: &Release, canary_line: &str) -> Config {
    Config::new()
        .http("lobechat_canary_zone lobechat_canary:1m state=off; map $http_upgrade $upgrade { default upgrade; '' ''; }")
        .http(&format!("upstream a {{ {} keepalive 4; }}", stable.backend.server()))
        .http(&format!("upstream b {{ {} keepalive 4; }}", canary.backend.server()))
        .file("cookie.key", KEY)
        .server(&format!(
            "lobechat_canary {{ release stable a version=1.0.0; release canary b version=1.1.0 {canary_line};
                 user cookie:uid; salt lobe; cookie_key cookie.key; }}
             proxy_http_version 1.1; proxy_set_header Connection $upgrade; proxy_set_header Upgrade $http_upgrade; proxy_read_timeout 60s;
             location / {{ proxy_pass http://lobechat_canary; }}
             location /webapi/ {{ proxy_pass http://lobechat_canary; proxy_buffering off; }}"
        ))
        .server(&api::location("write"))
}

/// All that may happen to the canary while a page of it is open, one after the other; `alive` looks at the page each time.
fn storm(nginx: &mut Nginx, stable: &Release, canary: &Release, mut alive: impl FnMut(&str)) {
    nginx.api_ok("PATCH", DEFAULT, &weights("canary", "0%"));
    alive("no weight");
    nginx.api_ok("PATCH", DEFAULT, &weights("canary", "70%"));
    nginx.reload(&config(stable, canary, "weight=60%"));
    alive("reload");
    nginx.api_ok("POST", &format!("{DEFAULT}/releases/canary/rollback"), "");
    alive("rollback");
    nginx.reload(&config(stable, canary, "weight=60% down"));
    alive("down in the file");
    nginx.reload(&config(stable, canary, "weight=60%"));
    nginx.api_ok("POST", &format!("{DEFAULT}/releases/canary/reset"), "");
    nginx.api_ok("POST", &format!("{DEFAULT}/releases/canary/promote"), "");
    alive("promotion");
}

fn open(nginx: &Nginx, request: &Request, status: u16) -> Connection {
    let mut connection = nginx.connect();
    connection.write(&request.to_bytes()).unwrap();
    let head = connection.read_head().unwrap();
    assert_eq!(head.status, status, "{:?}", head.headers);
    if status == 200 {
        assert_eq!(head.header("X-Build"), Some("b"), "it follows its page");
    }
    connection
}

fn chunk(connection: &mut Connection) -> Option<String> {
    connection.read_chunk().unwrap().map(|chunk| String::from_utf8(chunk).unwrap())
}

#[test]
fn tokens_arrive_as_they_are_sent_and_the_stream_ends_by_itself() {
    let (stable, canary) = (release("a"), release("b"));
    let mut nginx = config(&stable, &canary, "weight=50%").start();
    let cookie = format!("{}; {STABLE}", page(&nginx, "/", CANARY));
    let message = || {
        Request::new("POST", "/webapi/chat")
            .cookie(&cookie)
            .header("Sec-Fetch-Mode", "cors")
            .body("a question")
    };
    let mut stream = open(&nginx, &message(), 200);
    canary.tokens.send("first").unwrap();
    assert_eq!(chunk(&mut stream).as_deref(), Some("data: first\n\n"));
    storm(&mut nginx, &stable, &canary, |what| {
        // Nothing is held back until there is more of it.
        for token in ["one", "two"] {
            canary.tokens.send(token).unwrap();
            assert_eq!(chunk(&mut stream), Some(format!("data: {token}\n\n")), "{what}");
        }
    });
    canary.tokens.send("").unwrap();
    assert_eq!(chunk(&mut stream), None);
}

#[test]
fn what_begins_after_a_rollback_goes_to_stable_while_what_runs_goes_on() {
    let (stable, canary) = (release("a"), release("b"));
    let nginx = config(&stable, &canary, "weight=50%").start();
    let cookie = format!("{}; {STABLE}", page(&nginx, "/", CANARY));
    let build =
        |target: &str| nginx.fetch(script(target, &cookie)).header("X-Build").unwrap_or("-").to_owned();
    let request = script("/webapi/chat", &cookie);
    let mut stream = open(&nginx, &request, 200);
    assert_eq!((build("/trpc/x").as_str(), build("/webapi/models").as_str()), ("b", "b"));
    nginx.api_ok("POST", &format!("{DEFAULT}/releases/canary/rollback"), "");
    assert_eq!((build("/trpc/x").as_str(), build("/webapi/models").as_str()), ("a", "a"));
    assert_eq!(build("/_next/static/x.js"), "b");
    stable.tokens.send("").unwrap();
    assert_eq!(nginx.fetch(request).header("X-Build"), Some("a"));
    canary.tokens.send("last").unwrap();
    canary.tokens.send("").unwrap();
    assert_eq!(chunk(&mut stream).as_deref(), Some("data: last\n\n"));
    assert_eq!(chunk(&mut stream), None);
}

#[test]
fn a_websocket_lives_until_it_ends() {
    let (stable, canary) = (release("a"), release("b"));
    let mut nginx = config(&stable, &canary, "weight=50%").start();
    let cookie = format!("{}; {STABLE}", page(&nginx, "/", CANARY));
    let request = Request::get("/ws").cookie(&cookie).header("Sec-Fetch-Mode", "websocket");
    let request = request
        .header("Sec-Fetch-Dest", "websocket")
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket");
    let mut socket = open(&nginx, &request, 101);
    storm(&mut nginx, &stable, &canary, |what| {
        socket.write(b"ping").unwrap();
        assert_eq!(String::from_utf8_lossy(&socket.read(5)), "bping", "{what}");
    });
    drop(socket);
    // A new one follows the same page: its build is the stable release now.
    let mut socket = open(&nginx, &request, 101);
    socket.write(b"pong").unwrap();
    assert_eq!(socket.read(5), b"bpong");
}
