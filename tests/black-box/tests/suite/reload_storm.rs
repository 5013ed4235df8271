//! Reloads and dying workers under load: no request fails that no server could save, and no memory grows.

use std::time::Duration;

use black_box::load::{Client, Outcome, under_load};
use black_box::nginx::signal;
use black_box::{Config, Nginx, Request, Response, wait_for};
use rustix::process::Signal;

const USERS: usize = 500;

/// A policy with routes, a list and a split, and both releases in another nginx: a reload of the one under
/// test must not touch its backends.
fn config(backends: &Nginx, weight: &str) -> Config {
    let release = |name: &str| {
        format!("upstream {name} {{ server unix:{}/{name}.sock; keepalive 8; }}", backends.dir().display())
    };
    let list: String = (0..1000).map(|n| format!("tester-{n}\n")).collect();
    Config::new()
        .workers(2)
        .file("testers.txt", list)
        .http(&release("a"))
        .http(&release("b"))
        .listen("listen 127.0.0.1:@PORT@; listen 127.0.0.1:@PORT2@ http2;")
        .server(&format!(
            "lobechat_canary {{ release stable a version=2.1.25; release canary b version=2.1.26 weight={weight};
                 route stable if cookie:opt = out; route canary if cookie:uid in file:testers.txt;
                 route canary if header:x-tier ~* ^(gold|silver)$; user cookie:uid $arg_uid visitor; salt storm; expose on; }}
             proxy_http_version 1.1; proxy_set_header Connection '';
             add_header X-Bucket $lobechat_canary_bucket always;
             location / {{ proxy_pass http://lobechat_canary; }}"
        ))
}

/// Whether the release that answered is one that the user's bucket had under the weights of the storm.
fn judge(response: &Response) -> Result<(), String> {
    let (bucket, release) = (response.header("X-Bucket").unwrap_or_default(), response.text());
    let right = match bucket.parse::<u32>() {
        Ok(0..1000) => release == "b",
        Ok(1000..6000) => release == "a" || release == "b",
        Ok(_) => release == "a",
        Err(_) => false,
    };
    match response.status == 200 && right {
        true => Ok(()),
        false => Err(format!("{} {bucket} {release}", response.status)),
    }
}

fn request(round: usize) -> Request {
    Request::navigation("/").cookie(format!("uid=user-{}", round % USERS))
}

/// Two clients with new connections, one that keeps its own, one that speaks HTTP/2.
fn clients(nginx: &Nginx) -> Vec<Client> {
    let (port, http2) = (nginx.port(), nginx.other_port(2));
    vec![Client::Fresh(port), Client::Fresh(port), Client::Kept(port, None), Client::Http2(http2)]
}

fn memory(nginx: &Nginx) -> (u64, u64) {
    let worker = nginx.worker_pids().into_iter().map(|pid| nginx.memory(pid)).max().unwrap();
    (nginx.memory(nginx.master_pid()), worker)
}

#[test]
fn fifty_reloads_under_load_lose_nothing() {
    let backends = Config::new().workers(2).releases(&["a", "b"]).start();
    let mut nginx = config(&backends, "10%").start();
    let (mut early, mut late) = ((0, 0), (0, 0));
    let clients = clients(&nginx);
    let outcome = under_load(&mut nginx, clients, request, judge, |nginx| {
        for round in 1..=50 {
            nginx.reload(&config(&backends, ["10%", "30%", "60%", "25.5%"][round % 4]));
            std::thread::sleep(Duration::from_millis(50));
            if round == 10 {
                early = memory(nginx);
            }
        }
        late = memory(nginx);
    });
    let Outcome { answered, retried, failures } = outcome;
    println!("{answered} answers, {retried} retried; KiB of master and worker: {early:?}, then {late:?}");
    assert!(failures.is_empty(), "{} of {answered} failed: {failures:?}", failures.len());
    assert!(answered > 1000 && retried < answered / 100, "{answered} answers, {retried} retried");
    // Forty more configurations, each with its list of a thousand values.
    assert!(late.0 < early.0 + 1024 && late.1 < early.1 + 1024, "KiB: {early:?}, then {late:?}");
    wait_for("the old workers to leave", || (nginx.worker_pids().len() == 2).then_some(()));
}

#[test]
fn killed_workers_lose_only_what_they_were_doing() {
    const KILLS: usize = 5;
    let backends = Config::new().workers(2).releases(&["a", "b"]).start();
    let mut nginx = config(&backends, "30%").expect_log("exited on signal 9").start();
    let clients = clients(&nginx);
    let count = clients.len();
    let outcome = under_load(&mut nginx, clients, request, judge, |nginx| {
        for _ in 0..KILLS {
            let victim = *nginx.worker_pids().first().unwrap();
            signal(victim, Signal::KILL);
            wait_for("a new worker", || {
                let now = nginx.worker_pids();
                (now.len() == 2 && !now.contains(&victim)).then_some(())
            });
            std::thread::sleep(Duration::from_millis(200));
        }
    });
    let Outcome { answered, retried, failures } = outcome;
    // A client has one request under way; sent again, it is answered by a worker that lives.
    let lost = retried + failures.len();
    assert!(lost <= KILLS * count, "{lost} of {answered} were lost: {failures:?}");
    assert!(answered > 300, "{answered} answers are no load");
    for round in 0..USERS {
        judge(&nginx.fetch(request(round))).unwrap();
    }
}
