//! Answers that take long are counted when they begin, once; their ends blame a release only if it broke off.

use std::sync::Mutex;
use std::sync::mpsc::channel;

use black_box::backend::Backend;
use black_box::wait_for;

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

#[test]
fn streams_count_when_they_begin() {
    for (buffering, content_type) in [
        ("on", "text/event-stream; charset=utf-8"),
        ("off", "application/json"),
        ("off", "text/event-stream"),
    ] {
        let (go_on, wait) = channel::<()>();
        let wait = Mutex::new(wait);
        let backend = Backend::start(move |mut peer| {
            peer.request();
            peer.write(format!(
                "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n8\r\ndata: 1\n\r\n"
            ));
            let _ = wait.lock().unwrap().recv();
            peer.write("0\r\n\r\n");
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
        let once = || expect(&nginx, &[("canary route", 1)], &[("canary 2xx", 1)], &[("canary ok", 1)]);
        once();
        let lines = |path: &str| nginx.file("access.log").lines().filter(|line| line.contains(path)).count();
        assert_eq!(lines("GET / "), 0, "it runs still");
        go_on.send(()).unwrap();
        while connection.read_chunk().unwrap().is_some() {}
        wait_for("its end", || (lines("GET / ") == 1).then_some(()));
        once();
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
        let (go_on, wait) = channel::<()>();
        let wait = Mutex::new(wait);
        let backend = Backend::start(move |mut peer| {
            peer.request();
            peer.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n8\r\ndata: 1\n\r\n");
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
        expect(&nginx, &[("canary route", 1)], &[("canary 2xx", 1)], &[("canary ok", 1)]);
        go_on.send(()).unwrap();
        let lines = || nginx.file("access.log").lines().filter(|line| line.contains("GET / ")).count();
        wait_for("its end", || (lines() == 1).then_some(()));
        let attempts: &[_] = if cut { &[("canary ok", 1), ("canary cut", 1)] } else { &[("canary ok", 1)] };
        expect(&nginx, &[("canary route", 1)], &[("canary 2xx", 1)], attempts);
    }
}
