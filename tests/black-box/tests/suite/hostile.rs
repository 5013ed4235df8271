//! Requests that no browser sends: decided or anonymous, never an error of ours.

use black_box::tools::curl;
use black_box::{Config, Connection, Nginx, Request, vectors};

/// Two ways to the same user: our cookie scan under /ours, nginx's `$cookie_…` under /theirs.
fn start() -> Nginx {
    let policy = |name: &str, source: &str| {
        format!(
            "location /{name} {{ lobechat_canary {name} {{ release stable a; release canary b weight=50%;
                 route canary if cookie:opt ~ ^in$; route canary if header:x-opt in a|b|c; route canary if arg:opt ~* x+y;
                 user {source} visitor; salt same; }}
             proxy_pass http://lobechat_canary; }}"
        )
    };
    let echo = "location / { default_type text/html; return 200 $http_x_user; }";
    Config::new()
        .release("a", echo)
        .release("b", echo)
        .http("large_client_header_buffers 16 128k; server_tokens off;")
        .server("keepalive_requests 1000000; proxy_set_header X-User $lobechat_canary_user; proxy_set_header Cookie '';")
        .server("proxy_pass_request_headers off; proxy_http_version 1.1; proxy_set_header Connection '';")
        .server(&policy("ours", "cookie:foo"))
        .server(&policy("theirs", "$cookie_foo"))
        .start()
}

/// The users that both ways find. `None`: nginx itself refuses such a request.
fn users(connection: &mut Connection, nginx: &Nginx, cookies: &[&[u8]]) -> Option<(String, String)> {
    let mut ask = |target: &str| {
        let request = cookies.iter().fold(Request::get(target), |request, cookie| request.cookie(cookie));
        let response = connection.try_fetch(&request).expect("an answer");
        if response.header("Connection") == Some("close") {
            *connection = nginx.connect();
        }
        assert!([200, 400].contains(&response.status), "{} for {cookies:?}", response.status);
        (response.status == 200).then(|| response.text())
    };
    ask("/ours").zip(ask("/theirs"))
}

/// Whether nginx reads the header as RFC 6265 has it. nginx 1.22 also starts a pair behind a comma, and every
/// nginx loses the pair that follows a bare `foo`.
fn is_common_ground(header: &[u8]) -> bool {
    let is_bare = |pair: &[u8]| pair.trim_ascii().eq_ignore_ascii_case(b"foo");
    !header.contains(&b',') && !header.split(|&b| b == b';').any(is_bare)
}

#[test]
fn cookies_are_read_as_nginx_reads_them() {
    let nginx = start();
    let mut connection = nginx.connect();
    let mut compared = 0;
    for line in vectors::read("http_state.jsonl") {
        let sent = line["sent_cookie"].as_str().unwrap().to_owned();
        let raw = line["set_cookie"].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned());
        for text in raw.chain([sent]) {
            for header in [text.clone(), format!("{text}; foo=last"), format!("foo=first; {text}")] {
                if !is_common_ground(header.as_bytes()) || header.contains(['\0', '\r', '\n']) {
                    continue;
                }
                let (ours, theirs) =
                    users(&mut connection, &nginx, &[header.as_bytes()]).expect("a valid header");
                assert_eq!(ours, theirs, "{header:?}");
                compared += 1;
            }
        }
    }
    assert!(compared > 500, "{compared}");
}

#[test]
fn random_cookie_headers_are_read_as_nginx_reads_them() {
    let nginx = start();
    let mut connection = nginx.connect();
    // xorshift64: the same headers in every run.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % bound as u64) as usize
    };
    const PIECES: [&[u8]; 16] = [
        b"foo",
        b"=",
        b"=",
        b";",
        b"; ",
        b" ",
        b"FOO",
        b"fo",
        b"o",
        b"x",
        b"\"",
        b"\xff\x80",
        b"=foo",
        b"foo=",
        b"\t",
        b"%3d",
    ];
    let mut found = 0;
    for round in 0..3000 {
        let headers: Vec<Vec<u8>> = (0..=next(2))
            .map(|_| (0..next(12)).flat_map(|_| PIECES[next(PIECES.len())].iter().copied()).collect())
            .collect();
        let headers: Vec<&[u8]> = headers.iter().map(Vec::as_slice).collect();
        if !headers.iter().all(|header| is_common_ground(header)) {
            continue;
        }
        let Some((ours, theirs)) = users(&mut connection, &nginx, &headers) else { continue };
        assert_eq!(ours, theirs, "round {round}: {headers:?}");
        found += usize::from(!ours.is_empty());
    }
    assert!(found > 200, "{found} headers held the cookie");
}

#[test]
fn long_and_many_values_are_decided() {
    let nginx = start();
    let many = |count: usize| (0..count).map(|n| format!("c{n}={n}; ")).collect::<String>() + "foo=last";
    let id = "x".repeat(4096);
    let kilobytes = |count: usize| "y".repeat(count * 1024);
    let cookies: Vec<Vec<String>> = vec![
        vec![many(1000)],
        vec![many(5000)],
        vec![format!("foo={id}")],
        vec![format!("a={}; foo=1", kilobytes(8))],
        vec![format!("foo={}", kilobytes(60))],
        vec!["foo=1; ".repeat(1000)],
        vec![";".repeat(8000) + "foo=1"],
        vec!["; ".repeat(8000) + "foo=1"],
        vec!["foo;".repeat(2000) + "foo=1"],
        (0..100).map(|n| format!("c{n}={n}")).chain(["foo=1".to_owned()]).collect(),
        vec!["foo=first".to_owned(), "foo=second".to_owned()],
    ];
    let mut connection = nginx.connect();
    for lines in cookies {
        let lines: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
        let shown = String::from_utf8_lossy(&lines[0][..lines[0].len().min(40)]);
        let (ours, theirs) = users(&mut connection, &nginx, &lines).expect("an answer of a release");
        assert_eq!(ours, theirs, "{shown}");
        assert_eq!(ours.len(), 16, "{shown}");
    }
    let repeated =
        (0..60).fold(Request::get("/ours"), |r, n| r.header("X-Opt", format!("{n}{}", kilobytes(1))));
    assert_eq!(nginx.fetch(repeated).status, 200);
    assert_eq!(nginx.get(&format!("/ours?{}opt=xxy", "a&".repeat(20_000))).status, 200);
}

#[test]
fn odd_bytes_and_empty_values() {
    let nginx = start();
    let send =
        |name: &str, value: &[u8]| nginx.fetch(Request::navigation("/ours").header(name, value)).status;
    let high: Vec<u8> = (0x80..=0xff).collect();
    for value in [
        &b""[..],
        b" ",
        b"=",
        b"==",
        b"=;=",
        b"foo",
        b"foo=",
        b"foo= ",
        b"=foo",
        b"foo=\"",
        b"foo=\x01\x7f",
        &high,
    ] {
        for name in
            ["Cookie", "X-Opt", "Accept", "Sec-Fetch-Mode", "Sec-Fetch-Dest", "Sec-Purpose", "Sec-Fetch-"]
        {
            assert_eq!(send(name, value), 200, "{name}: {value:?}");
        }
    }
    // nginx refuses a NUL itself; whatever it does, the next request is served.
    for name in ["Cookie", "X-Opt"] {
        assert!([200, 400].contains(&send(name, b"foo=a\0b")), "{name}");
    }
    for target in [
        "/ours?",
        "/ours?&",
        "/ours?=",
        "/ours?opt",
        "/ours?opt=",
        "/ours?&&opt=&",
        "/ours?opt=%00",
        "/ours?opt=\u{e9}#?opt=xy",
    ] {
        assert_eq!(nginx.get(target).status, 200, "{target}");
    }
    assert_eq!(nginx.get("/ours").status, 200);
}

#[test]
fn no_header_at_all() {
    let nginx = start();
    for raw in ["GET /ours HTTP/1.0\r\n\r\n", "GET /ours\r\n"] {
        let mut connection = nginx.connect();
        connection.write(raw.as_bytes()).unwrap();
        if raw.contains("HTTP") {
            assert_eq!(connection.read_head().unwrap().status, 200);
        }
    }
    assert_eq!(nginx.get("/ours").status, 200);
}

#[test]
fn requests_that_nginx_refuses_are_logged_like_others() {
    let nginx = Config::new()
        .releases(&["a", "b"])
        .http("log_format v '$status $lobechat_canary_release $lobechat_canary_reason $lobechat_canary_user';")
        .server(
            "access_log @DIR@/v.log v; lobechat_canary { release stable a; release canary b; route canary if arg:q;
                 user cookie:foo visitor; expose on; } location / { proxy_pass http://lobechat_canary; }",
        )
        .start();
    let long = format!("GET /?q={} HTTP/1.1\r\n", "x".repeat(40_000));
    let refused: [&[u8]; 9] = [
        b"GARBAGE\r\n\r\n",
        b"\x16\x03\x01\x02\r\n\r\n",
        b"GET /%zz HTTP/1.1\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /?q=1 HTTP/1.1\r\nHost: a b\r\n\r\n",
        b"GET /?q=1 HTTP/1.1\r\nCookie: foo=1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        long.as_bytes(),
    ];
    for raw in refused {
        let mut connection = nginx.connect();
        connection.write(raw).unwrap();
        let response = connection.read_head().unwrap();
        assert!((400..=505).contains(&response.status), "{}", response.status);
        assert_eq!(response.header("X-LobeChat-Release"), None);
    }
    let lines = nginx.log_lines("v.log", refused.len());
    assert!(
        lines.iter().all(|line| line.contains(" stable anonymous -") || line.contains(" canary route ")),
        "{lines:?}"
    );
}

#[test]
fn http2_cookie_crumbs() {
    let nginx = Config::new()
        .releases(&["a", "b"])
        .listen("listen 127.0.0.1:@PORT@ http2;")
        .http("large_client_header_buffers 16 128k;")
        .server(
            "lobechat_canary { release stable a; release canary b; route canary if cookie:last = 1; user cookie:foo; }
             location / { add_header X-User $lobechat_canary_user; add_header X-Raw $http_cookie; proxy_pass http://lobechat_canary; }",
        )
        .start();
    let url = format!("http://127.0.0.1:{}/", nginx.port());
    let crumbs: Vec<String> = (0..50)
        .map(|n| format!("cookie: c{n}={n}"))
        .chain(["cookie: foo=1", "cookie: last=1"].map(str::to_owned))
        .collect();
    let headers = crumbs.iter().flat_map(|crumb| ["-H", crumb.as_str()]);
    let response = curl(&["--http2-prior-knowledge", &url].into_iter().chain(headers).collect::<Vec<_>>());
    assert_eq!(response.text(), "b", "{:?}", response.header("X-Raw"));
    assert_eq!(response.header("x-user").map(str::len), Some(16));
    for cookie in ["cookie;", "cookie: ;", "cookie: =;=", "cookie: foo"] {
        assert_eq!(curl(&["--http2-prior-knowledge", &url, "-H", cookie]).text(), "a", "{cookie}");
    }
}
