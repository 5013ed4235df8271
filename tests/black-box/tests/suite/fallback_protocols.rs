//! `fallback` with all that a LobeChat front end speaks: TLS, WebSocket, gRPC, FastCGI, HTTP/2 clients.

use black_box::backend::Backend;
use black_box::gateway as cgi;
use black_box::tools::{certificate, curl};

use crate::fallback::{PASS, canary, gateway};

const DEAD: &str = "upstream b { server unix:@DIR@/nobody.sock; }";

#[test]
fn tls_names_and_sessions_are_those_of_the_release_in_turn() {
    let server = |name: &str, port: &str, answer: &str| {
        format!(
            "server {{ listen 127.0.0.1:{port} ssl; ssl_certificate @DIR@/{name}.crt; ssl_certificate_key @DIR@/{name}.key;
                 access_log @DIR@/{name}.log tls; location / {{ {answer} }} }}"
        )
    };
    let (stable, failing) = (certificate("a"), certificate("b"));
    let nginx = gateway(
        "",
        "proxy_ssl_server_name on; proxy_ssl_verify on; proxy_ssl_trusted_certificate @DIR@/both.crt;
         proxy_next_upstream http_503; location / { proxy_pass https://lobechat_canary; }",
    )
    .file("both.crt", [&stable.0[..], &failing.0].concat())
    .file("a.crt", &stable.0)
    .file("a.key", &stable.1)
    .file("b.crt", &failing.0)
    .file("b.key", &failing.1)
    .http("log_format tls '$ssl_server_name $ssl_session_reused';")
    .http(&server("a", "@PORT2@", "return 200 a;"))
    .http(&server("b", "@PORT3@", "return 503;"))
    .http("upstream a { server 127.0.0.1:@PORT2@; } upstream b { server 127.0.0.1:@PORT3@; }")
    .start();
    for round in 1..=3 {
        assert_eq!(nginx.fetch(canary("/")).text(), "a", "round {round}");
        for name in ["a", "b"] {
            let reused = if round > 1 { "r" } else { "." };
            let line = nginx.log_lines(&format!("{name}.log"), round)[round - 1].clone();
            assert_eq!(line, format!("{name} {reused}"), "round {round}");
        }
    }
}

#[test]
fn a_websocket_opens_at_the_other_release() {
    let backend = Backend::start(|mut peer| {
        peer.request();
        peer.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        while let Ok(frame) = peer.read(4) {
            peer.write(frame);
        }
    });
    let nginx = gateway(
        "",
        &format!(
            "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; {PASS}"
        ),
    )
    .http(&format!("upstream a {{ {} }} {DEAD}", backend.server()))
    .start();
    let request = canary("/ws").header("Connection", "Upgrade").header("Upgrade", "websocket");
    let mut connection = nginx.connect();
    connection.write(&request.to_bytes()).unwrap();
    assert_eq!(connection.read_head().unwrap().status, 101);
    connection.write(b"ping").unwrap();
    assert_eq!(connection.read(4), b"ping");
    drop(connection);
    assert_eq!(nginx.log_lines("access.log", 1), ["canary stable [502, 101]"]);
}

#[test]
fn an_event_stream_starts_at_the_other_release() {
    let backend = Backend::start(|mut peer| {
        peer.request();
        peer.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n");
        peer.close();
    });
    let nginx = gateway("", &format!("proxy_http_version 1.1; proxy_buffering off; {PASS}"))
        .http(&format!("upstream a {{ {} }} {DEAD}", backend.server()))
        .start();
    assert_eq!(nginx.fetch(canary("/webapi/chat")).text(), "data: 1");
    assert_eq!(nginx.log_lines("access.log", 1), ["canary stable [502, 200]"]);
}

#[test]
fn fastcgi_scgi_and_uwsgi() {
    let (fastcgi, scgi, uwsgi) = (cgi::fastcgi("fastcgi"), cgi::scgi("scgi"), cgi::uwsgi("uwsgi"));
    for (kind, backend) in [("fastcgi", fastcgi), ("scgi", scgi), ("uwsgi", uwsgi)] {
        let nginx = gateway(
            "",
            &format!("location / {{ {kind}_param REQUEST_URI $request_uri; {kind}_pass lobechat_canary; }}"),
        )
        .http(&format!("upstream a {{ {} }} {DEAD}", backend.server()))
        .start();
        assert_eq!(nginx.fetch(canary("/x")).text(), format!("{kind} /x"));
        assert_eq!(nginx.log_lines("access.log", 1), ["canary stable [502, 200]"], "{kind}");
    }
}

#[test]
fn grpc_and_http2_clients() {
    let backend = "server { listen unix:@DIR@/a.h2 http2; add_header Grpc-Status 0;
             location / { proxy_pass http://unix:@DIR@/a.h1; } }
         server { listen unix:@DIR@/a.h1; default_type application/grpc; location / { return 200 \"a $uri\"; } }";
    let nginx = gateway("", "location / { grpc_pass grpc://lobechat_canary; }")
        .http(backend)
        .http(&format!("upstream a {{ server unix:@DIR@/a.h2; keepalive 2; }} {DEAD}"))
        .listen("listen 127.0.0.1:@PORT@ http2;")
        .start();
    let url = format!("http://127.0.0.1:{}/lobe.Chat/Send", nginx.port());
    let headers = ["-H", "te: trailers", "-H", "content-type: application/grpc", "-H", "cookie: canary=1"];
    for round in 1..=3 {
        let response =
            curl(&[&["--http2-prior-knowledge", &url, "--data-binary", "\x01"][..], &headers].concat());
        assert_eq!(response.text(), "a /lobe.Chat/Send", "round {round}");
        assert_eq!(nginx.log_lines("access.log", round)[round - 1], "canary stable [502, 200]");
    }
}
