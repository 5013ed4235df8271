//! Answers that take long are counted when they begin, once; their ends blame a release only if it broke off.

use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};

use black_box::backend::Backend;
use black_box::{Connection, Nginx, wait_for};

use crate::counting_attempts::{config, expect, tester};

/// Clients that leave in the middle of an answer are no fault of the release.
#[test]
fn clients_that_leave_after_the_answer_began() {
    for buffering in ["on", "off"] {
        let (left, leaves) = channel::<()>();
        let leaves = Mutex::new(leaves);
        let backend = Backend::start(move |mut peer| {
            peer.request();
            // More than nginx holds back.
            peer.write("HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n");
            peer.write(vec![b'x'; 100_000]);
            let _ = leaves.lock().unwrap().recv();
            peer.write(vec![b'x'; 500_000]);
            peer.read_to_end();
        });
        let nginx = config(&backend.server(), "")
            .server(&format!(
                "location / {{ proxy_buffering {buffering}; proxy_read_timeout 60s; proxy_pass http://lobechat_canary; }}"
            ))
            .start();
        let mut connection = nginx.connect();
        connection.write(&tester("GET").to_bytes()).unwrap();
        assert_eq!(connection.read_head().unwrap().status, 200);
        drop(connection);
        left.send(()).unwrap();
        expect(&nginx, &[("canary route", 1)], &[("canary 2xx", 1)], &[("canary ok", 1)]);
    }
}

#[test]
fn websockets_count_when_they_open() {
    let backend = Backend::start(|mut peer| {
        peer.request();
        peer.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        while let Ok(frame) = peer.read(4) {
            peer.write(frame);
        }
    });
    let nginx = config(&backend.server(), "")
        .server(
            "location / { proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
                proxy_read_timeout 60s; proxy_pass http://lobechat_canary; }
             access_log @DIR@/access.log;",
        )
        .start();
    let request = tester("GET").header("Connection", "Upgrade").header("Upgrade", "websocket");
    let mut open: Vec<_> = (0..3)
        .map(|_| {
            let mut connection = nginx.connect();
            connection.write(&request.to_bytes()).unwrap();
            assert_eq!(connection.read_head().unwrap().status, 101);
            connection
        })
        .collect();
    let all = || expect(&nginx, &[("canary route", 3)], &[("canary 1xx", 3)], &[("canary ok", 3)]);
    all();
    for connection in &mut open {
        connection.write(b"ping").unwrap();
        assert_eq!(connection.read(4), b"ping");
    }
    drop(open);
    wait_for("their ends", || (nginx.file("access.log").matches(" 101 ").count() == 3).then_some(()));
    all();
}

/// A stream that has begun, and counts already.
struct Stream {
    nginx: Nginx,
    connection: Connection,
    go_on: Sender<()>,
    _backend: Backend,
}

impl Stream {
    /// Goes on with `end` when it is told to.
    fn begin(buffering: &str, content_type: &'static str, end: &'static str) -> Stream {
        let (go_on, wait) = channel::<()>();
        let wait = Mutex::new(wait);
        let backend = Backend::start(move |mut peer| {
            peer.request();
            peer.write(format!(
                "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n8\r\ndata: 1\n\r\n"
            ));
            let _ = wait.lock().unwrap().recv();
            peer.write(end);
            peer.close();
        });
        let nginx = config(&backend.server(), "")
            .server(&format!(
                "location / {{ proxy_buffering {buffering}; proxy_read_timeout 60s; proxy_pass http://lobechat_canary; }}
                 access_log @DIR@/access.log;"
            ))
            .start();
        let mut connection = nginx.connect();
        connection.write(&tester("GET").to_bytes()).unwrap();
        assert_eq!(connection.read_head().unwrap().status, 200);
        let stream = Stream { nginx, connection, go_on, _backend: backend };
        stream.expect(&[("canary ok", 1)]);
        assert!(!stream.has_ended(), "it runs still");
        stream
    }

    /// One request and one answer, and these attempts.
    fn expect(&self, attempts: &[(&str, u64)]) {
        expect(&self.nginx, &[("canary route", 1)], &[("canary 2xx", 1)], attempts);
    }

    fn has_ended(&self) -> bool {
        let log = self.nginx.file("access.log");
        log.lines().filter(|line| line.contains("GET / ")).count() == 1
    }

    fn wait_end(&self) {
        wait_for("its end", || self.has_ended().then_some(()));
    }
}

#[test]
fn streams_count_when_they_begin() {
    for (buffering, content_type) in [
        ("on", "text/event-stream; charset=utf-8"),
        ("off", "application/json"),
        ("off", "text/event-stream"),
    ] {
        let mut stream = Stream::begin(buffering, content_type, "0\r\n\r\n");
        stream.go_on.send(()).unwrap();
        while stream.connection.read_chunk().unwrap().is_some() {}
        stream.wait_end();
        stream.expect(&[("canary ok", 1)]);
    }
}

/// Of a chat that breaks off, the beginning counts when it comes, and the end when it does not.
#[test]
fn streams_that_break_off() {
    for (buffering, end, cut) in [
        ("on", "", true),
        ("off", "", true),
        ("off", "zz\r\n", true),
        ("off", "0\r\n\r\n", false),
        ("on", "0\r\n\r\n", false),
    ] {
        let stream = Stream::begin(buffering, "text/event-stream", end);
        stream.go_on.send(()).unwrap();
        stream.wait_end();
        stream.expect(if cut { &[("canary ok", 1), ("canary cut", 1)] } else { &[("canary ok", 1)] });
    }
}
