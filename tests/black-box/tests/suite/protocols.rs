//! Everything a LobeChat front end speaks goes through to the chosen release: TLS, WebSocket, server-sent
//! events, large uploads, HTTP/2, gRPC, FastCGI, SCGI, uwsgi.

use std::sync::Mutex;
use std::sync::mpsc::channel;

use black_box::backend::Backend;
use black_box::gateway;
use black_box::tools::curl;
use black_box::{Config, Request};

const POLICY: &str = "lobechat_canary { release stable a; release canary b; route canary if cookie:canary; }";

#[test]
fn tls_to_the_release() {
    let server = |name: &str, port: &str| {
        format!(
            "listen 127.0.0.1:{port} ssl; ssl_certificate @DIR@/{name}.crt;
            ssl_certificate_key @DIR@/{name}.key;
            location / {{ return 200 \"{name} $ssl_server_name $ssl_session_reused\"; }}"
        )
    };
    let (one, two) = ("one.internal", "two.internal");
    let nginx = Config::new()
        .certificate(one)
        .certificate(two)
        .http(&format!("server {{ {} }} server {{ {} }}", server(one, "@PORT2@"), server(two, "@PORT3@")))
        .http(&format!("upstream {one} {{ server 127.0.0.1:@PORT2@; }} upstream {two} {{ server 127.0.0.1:@PORT3@; }}"))
        .http("upstream wrong.internal { server 127.0.0.1:@PORT2@; }")
        .server(&format!(
            "lobechat_canary {{ release stable {one}; release canary {two}; release other wrong.internal; fallback off;
                 route canary if cookie:canary; route other if cookie:other; }}
             proxy_ssl_server_name on; proxy_ssl_verify on;
             location / {{ proxy_ssl_trusted_certificate @DIR@/{one}.crt; proxy_pass https://lobechat_canary; }}
             location /two {{ proxy_ssl_trusted_certificate @DIR@/{two}.crt; proxy_pass https://lobechat_canary; }}"
        ))
        .start();
    // The name that is sent and verified is the chosen upstream's.
    for (target, cookie, name) in [("/", "x=1", one), ("/two", "canary=1", two)] {
        for (round, reused) in [".", "r", "r"].iter().enumerate() {
            let response = nginx.fetch(Request::get(target).cookie(cookie));
            assert_eq!(
                (response.status, response.text()),
                (200, format!("{name} {name} {reused}")),
                "round {round}"
            );
        }
    }
    assert_eq!(nginx.fetch(Request::get("/").cookie("other=1")).status, 502);
    nginx.wait_log("upstream SSL certificate does not match \"wrong.internal\"");
}

#[test]
fn websocket() {
    let backend = |name: &'static str| {
        Backend::start(move |mut peer| {
            let request = peer.request().unwrap();
            assert_eq!(request.header("Upgrade"), Some("websocket"));
            peer.write(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            );
            while let Ok(frame) = peer.read(4) {
                peer.write([name.as_bytes(), &frame].concat());
            }
        })
    };
    let (a, b) = (backend("a"), backend("b"));
    let nginx = Config::new()
        .http(&format!("upstream a {{ {} }} upstream b {{ {} }}", a.server(), b.server()))
        .server(&format!(
            "{POLICY} location / {{ proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;
             proxy_set_header Connection upgrade; proxy_pass http://lobechat_canary; }}"
        ))
        .start();
    for (cookie, name) in [("x=1", "a"), ("canary=1", "b")] {
        let request =
            Request::get("/ws").cookie(cookie).header("Connection", "Upgrade").header("Upgrade", "websocket");
        let mut connection = nginx.connect();
        connection.write(&request.to_bytes()).unwrap();
        assert_eq!(connection.read_head().unwrap().status, 101);
        for frame in ["ping", "pong"] {
            connection.write(frame.as_bytes()).unwrap();
            assert_eq!(connection.read(5), format!("{name}{frame}").as_bytes());
        }
    }
}

#[test]
fn server_sent_events_arrive_as_they_are_sent() {
    let (go_on, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let backend = Backend::start(move |mut peer| {
        peer.request();
        peer.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n");
        for event in 2..=3 {
            // The next event leaves only after the client has the one before it.
            let _ = wait.lock().unwrap().recv();
            peer.write(format!("data: {event}\n\n"));
        }
        peer.close();
    });
    let nginx = Config::new()
        .http(&format!("upstream a {{ {} }} upstream b {{ server 127.0.0.1:1 down; }}", backend.server()))
        .server(&format!(
            "{POLICY} location / {{ proxy_http_version 1.1; proxy_buffering off; proxy_pass http://lobechat_canary; }}"
        ))
        .start();
    let mut connection = nginx.connect();
    connection.write(&Request::get("/webapi/chat").to_bytes()).unwrap();
    assert_eq!(connection.read_head().unwrap().header("Content-Type"), Some("text/event-stream"));
    for event in 1..=3 {
        assert_eq!(connection.read_chunk().unwrap().unwrap(), format!("data: {event}\n\n").as_bytes());
        let _ = go_on.send(());
    }
    assert_eq!(connection.read_chunk().unwrap(), None);
}

#[test]
fn uploads_with_request_buffering_on_and_off() {
    const SIZE: usize = 20_000_000;
    let body: Vec<u8> = (0..SIZE).map(|n| (n * 31 % 251) as u8).collect();
    let checksum =
        |body: &[u8]| body.iter().fold(7u32, |sum, &b| sum.wrapping_mul(31).wrapping_add(u32::from(b)));
    let backend = Backend::start(move |mut peer| {
        while let Some(request) = peer.request() {
            let text = format!("{} {}", request.body.len(), checksum(&request.body));
            peer.answer("200 OK", "", &text);
        }
    });
    let nginx = Config::new()
        .http(&format!("upstream a {{ {} }} upstream b {{ server 127.0.0.1:1 down; }}", backend.server()))
        .server(&format!("{POLICY} client_max_body_size 0; proxy_http_version 1.1;"))
        .server("location /on { proxy_pass http://lobechat_canary; }")
        .server("location /off { proxy_request_buffering off; proxy_pass http://lobechat_canary; }")
        .start();
    let expected = format!("{SIZE} {}", checksum(&body));
    let chunk = format!("{:x}\r\n", SIZE).into_bytes();
    let chunked = [&chunk[..], &body, b"\r\n0\r\n\r\n"].concat();
    for target in ["/on", "/off"] {
        assert_eq!(nginx.fetch(Request::new("POST", target).body(body.clone())).text(), expected, "{target}");
        let mut connection = nginx.connect();
        let head = Request::new("POST", target).header("Transfer-Encoding", "chunked").to_bytes();
        connection.write(&[&head[..], &chunked].concat()).unwrap();
        assert_eq!(connection.read_head().unwrap().status, 200, "{target}");
        assert_eq!(connection.read(expected.len()), expected.as_bytes(), "{target}");
    }
}

#[test]
fn http2_clients() {
    let nginx = Config::new()
        .releases(&["a", "b"])
        .certificate("chat.example")
        .http(
            "server { listen 127.0.0.1:@PORT@ http2; listen 127.0.0.1:@PORT2@ ssl http2;
            ssl_certificate @DIR@/chat.example.crt; ssl_certificate_key @DIR@/chat.example.key;",
        )
        .http(&format!("{POLICY} location / {{ proxy_pass http://lobechat_canary; }} }}"))
        .start();
    let plain = format!("http://127.0.0.1:{}/", nginx.port());
    let tls = format!("https://127.0.0.1:{}/", nginx.other_port(2));
    for arguments in [["--http2-prior-knowledge", plain.as_str()], ["--http2", tls.as_str()]] {
        let fetch = |headers: &[&str]| {
            let headers = headers.iter().flat_map(|header| ["-H", header]);
            curl(&arguments.iter().copied().chain(headers).collect::<Vec<_>>())
        };
        assert_eq!(fetch(&[]).text(), "a");
        assert_eq!(fetch(&["cookie: canary=1"]).text(), "b");
        // Cookie crumbs: one header line for each pair.
        assert_eq!(fetch(&["cookie: x=1", "cookie: y=2", "cookie: canary=1"]).text(), "b");
    }
}

#[test]
fn grpc() {
    let backend = |name: &str| {
        // By way of a pass of its own, so that it reads the message before it answers.
        format!(
            "server {{ listen unix:@DIR@/{name}.h2 http2; add_header Grpc-Status 0;
                 location / {{ proxy_set_header X-TE $http_te; proxy_pass http://unix:@DIR@/{name}.h1; }} }}
             server {{ listen unix:@DIR@/{name}.h1; default_type application/grpc;
                 location / {{ return 200 \"{name} $uri $http_x_te\"; }} }}"
        )
    };
    let nginx = Config::new()
        .http(&backend("a"))
        .http(&backend("b"))
        .http("upstream a { server unix:@DIR@/a.h2; keepalive 2; } upstream b { server unix:@DIR@/b.h2; keepalive 2; }")
        .listen("listen 127.0.0.1:@PORT@ http2;")
        .server(&format!("{POLICY} location / {{ grpc_pass grpc://lobechat_canary; }}"))
        .start();
    let url = format!("http://127.0.0.1:{}/lobe.Chat/Send", nginx.port());
    for (cookie, name) in [("x=1", "a"), ("canary=1", "b"), ("canary=1", "b")] {
        let cookie = format!("cookie: {cookie}");
        let headers = ["-H", "te: trailers", "-H", "content-type: application/grpc", "-H", &cookie];
        let response =
            curl(&[&["--http2-prior-knowledge", &url, "--data-binary", "\x01"][..], &headers].concat());
        assert_eq!(response.text(), format!("{name} /lobe.Chat/Send trailers"));
        assert_eq!(response.header("grpc-status"), Some("0"));
    }
}

#[test]
fn fastcgi_scgi_and_uwsgi() {
    let (fastcgi, fastcgi_canary) = (gateway::fastcgi("stable"), gateway::fastcgi("canary"));
    let (scgi, uwsgi) = (gateway::scgi("scgi"), gateway::uwsgi("uwsgi"));
    let parameter = |kind: &str| format!("{kind}_param REQUEST_URI $request_uri;");
    let location = |kind: &str, policy: &str| {
        format!("location /{kind} {{ {policy} {} {kind}_pass lobechat_canary; }}", parameter(kind))
    };
    let nginx = Config::new()
        .http(&format!("upstream a {{ {} }} upstream b {{ {} }}", fastcgi.server(), fastcgi_canary.server()))
        .http(&format!("upstream s {{ {} }} upstream u {{ {} }}", scgi.server(), uwsgi.server()))
        .server(&location("fastcgi", POLICY))
        .server(&location("scgi", "lobechat_canary s { release stable s; }"))
        .server(&location("uwsgi", "lobechat_canary u { release stable u; }"))
        .start();
    for (target, cookie, expected) in [
        ("/fastcgi?x=1", "x=1", "stable /fastcgi?x=1"),
        ("/fastcgi?x=2", "canary=1", "canary /fastcgi?x=2"),
        ("/scgi/x", "x=1", "scgi /scgi/x"),
        ("/uwsgi/x", "x=1", "uwsgi /uwsgi/x"),
    ] {
        let response = nginx.fetch(Request::get(target).cookie(cookie));
        assert_eq!((response.status, response.text().as_str()), (200, expected));
    }
}
