//! A canary that dies under load, three times: what may be repeated is saved, the verdict comes fast, and a reset opens
//! the release again.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use black_box::backend::Backend;
use black_box::crowd::Crowd;
use black_box::nginx::signal;
use black_box::rollout::Api;
use black_box::{Config, Nginx, Request, wait_for};
use rustix::process::Signal;

/// Plain answers, answers that take their time to begin, and long ones that take half a second to send.
const REQUESTS: &[(&str, &str)] = &[
    ("GET", "/"),
    ("POST", "/"),
    ("GET", "/"),
    ("GET", "/late"),
    ("POST", "/late"),
    ("GET", "/"),
    ("GET", "/long"),
    ("POST", "/"),
];

const LONG: usize = 100_000;

/// One process, so that one signal kills it.
fn canary(port: u16) -> Nginx {
    backend(port, "b", 12).single_process().start()
}

/// nginx answers at once, so what it holds back stands for an application that works on its answer.
fn backend(port: u16, name: &str, late: u32) -> Config {
    Config::new()
        .file("long", name.repeat(LONG))
        .http(&format!("limit_req_zone $server_name zone=late:32k rate={late}r/s;"))
        .listen(&format!("listen 127.0.0.1:{port};"))
        .server(&format!(
            "default_type text/html; keepalive_requests 100000;
             location / {{ return 200 {name}; }}
             location /late {{ limit_req zone=late burst=100; limit_req_log_level info; error_page 405 =200 @say; try_files /none @say; }}
             location @say {{ return 200 {name}; }}
             location /long {{ root @DIR@; limit_rate 200k; }}"
        ))
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// That the canary holds answers back is no fault here.
fn front(stable: u16, canary: u16) -> Config {
    let upstream =
        |name: &str, port: u16| format!("upstream {name} {{ server 127.0.0.1:{port}; keepalive 16; }}");
    Config::new()
        .workers(2)
        .http(&upstream("lobe_a", stable))
        .http(&upstream("lobe_b", canary))
        .http("lobechat_canary_zone lobechat_canary:1m state=@DIR@/state.json;")
        .server(
            "proxy_http_version 1.1; proxy_set_header Connection ''; keepalive_requests 100000;
             location / { lobechat_canary chat { release stable lobe_a version=2.1.25; release canary lobe_b version=2.1.26 weight=10%;
                 user cookie:uid; rollback on ttfb=100x; }
                 proxy_pass http://lobechat_canary; }
             location /canary/ { lobechat_canary_api write; }",
        )
}

struct Death {
    by: String,
    /// From the kill to the fifth failed connection, and to the verdict.
    evidence: Duration,
    verdict: Duration,
    failed: u64,
}

/// Kills the canary, waits for the verdict, and opens the release again once it is back.
fn kill(api: Api, victim: Nginx, port: u16) -> (Death, Nginx) {
    let (last, (_, before)) = (api.last_event(), api.attempts("canary", &["connect", "reset"]));
    signal(victim.master_pid(), Signal::KILL);
    let killed = Instant::now();
    wait_for("five failures", || {
        let connects = api.attempts("canary", &["connect", "reset"]).1 - before;
        (connects >= 5).then_some(())
    });
    let evidence = killed.elapsed();
    let seen = api.wait_verdict(last, killed);
    let failed = api.attempts("canary", &["connect", "reset"]).1 - before;
    drop(victim);
    let canary = canary(port);
    let release = api.release("canary");
    assert_eq!((&release["state"], &release["weight"]), (&"down".into(), &"0%".into()), "{release}");
    let refused = api.set_weight("canary", "10%").unwrap_err();
    assert!(refused.starts_with("409"), "{refused}");
    api.post("releases/canary/reset").unwrap();
    let release = api.release("canary");
    assert_eq!((&release["state"], &release["weight"]), (&"up".into(), &"0%".into()), "{release}");
    api.set_weight("canary", "10%").unwrap();
    let by = seen.by().to_owned();
    (Death { by, evidence, verdict: seen.after, failed }, canary)
}

#[test]
fn canary_dies_under_load() {
    let (stable, port) = (free_port(), free_port());
    let _stable = backend(stable, "a", 500).start();
    let mut victim = canary(port);
    let nginx = front(stable, port).start();
    let api = Api(nginx.port());
    let crowd = Crowd { requests: REQUESTS, connections: 48, ..Crowd::new(nginx.port()) };
    let wait_canary = || {
        let (before, _) = api.attempts("canary", &[]);
        wait_for("the canary to serve", || (api.attempts("canary", &["ok"]).0 > before + 60).then_some(()));
    };
    let (deaths, met) = crowd.during(|| {
        let mut deaths = Vec::new();
        for _ in 0..3 {
            wait_canary();
            let (death, next) = kill(api, victim, port);
            deaths.push(death);
            victim = next;
        }
        wait_canary();
        deaths
    });
    for Death { by, evidence, verdict, failed } in &deaths {
        println!(
            "verdict by {by} {verdict:.2?} after the kill, evidence {evidence:.2?} after it, {failed} attempts failed"
        );
        assert!(*verdict < *evidence + Duration::from_millis(1500), "the verdict came late");
    }
    println!(
        "{} answered, {} by the canary; idempotent {} failed, POST {} failed, {} cut, longest {:.2?}",
        met.answered,
        met.by_canary,
        met.failed.len(),
        met.posts_failed.len(),
        met.cut,
        met.longest
    );
    assert!(met.failed.is_empty() && met.reopened == 0, "{:?} {}", met.failed, met.reopened);
    // Only what was under way when the canary died may be lost: one request each connection.
    assert!(met.posts_failed.len() + met.cut <= 3 * crowd.connections, "{:?}", met.posts_failed);
    assert!(met.answered > 1500 && met.by_canary > 150, "no load");
    assert!(api.release("canary")["fallbacks_from"].as_u64().unwrap() >= 15);
}

/// Answers of stable that take their time, for users whom it has saved from a dead canary, end after the reset.
#[test]
fn what_failed_before_a_reset_does_not_count_after_it() {
    let stable = Backend::start(|mut peer| {
        while peer.request().is_some() {
            std::thread::sleep(Duration::from_millis(1500));
            peer.answer("200 OK", "", "a");
        }
    });
    let nginx = front(stable.port, free_port()).start();
    let api = Api(nginx.port());
    api.set_weight("canary", "50%").unwrap();
    let mut users: Vec<_> = (0..40).map(|_| nginx.connect()).collect();
    for (user, connection) in users.iter_mut().enumerate() {
        connection.write(&Request::get("/").cookie(format!("uid={user}")).to_bytes()).unwrap();
    }
    std::thread::sleep(Duration::from_millis(500));
    api.post("releases/canary/rollback").unwrap();
    api.post("releases/canary/reset").unwrap();
    api.set_weight("canary", "50%").unwrap();
    users.iter_mut().for_each(|connection| assert_eq!(connection.read_head().unwrap().status, 200));
    std::thread::sleep(Duration::from_millis(2500));
    assert!(api.attempts("canary", &["connect"]).1 >= 10, "no failures to forget");
    assert_eq!((api.release("canary")["state"].as_str(), api.verdicts(0).len()), (Some("up"), 0));
}
