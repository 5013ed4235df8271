//! The harness itself, over directives that nginx has without the module.

use black_box::backend::Backend;
use black_box::{Config, Request};

#[test]
fn releases_answer_and_reload_changes_the_answer() {
    let config = |name: &str| {
        Config::new().releases(&["one", "two"]).server(&format!("location / {{ proxy_pass http://{name}; }}"))
    };
    let mut nginx = config("one").start();
    assert_eq!(nginx.text("/"), "one");
    nginx.reload(&config("two"));
    assert_eq!(nginx.text("/"), "two");
    let log = nginx.reload_refused(&config("three").server("nonsense;"));
    assert!(log.contains("unknown directive \"nonsense\""), "{log}");
    assert_eq!(nginx.text("/"), "two");
}

#[test]
fn backends_see_whole_requests() {
    let backend = Backend::start(|mut peer| {
        while let Some(request) = peer.request() {
            peer.answer("200 OK", "", &format!("{} {}", request.line, request.body.len()));
        }
    });
    let nginx = Config::new()
        .server(&format!("location / {{ proxy_pass http://127.0.0.1:{}; }}", backend.port))
        .start();
    let response = nginx.fetch(Request::new("POST", "/x").body(vec![b'a'; 70_000]));
    assert_eq!(response.text(), "POST /x HTTP/1.0 70000");
}
