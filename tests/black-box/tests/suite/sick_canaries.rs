//! Canaries that are slow, fail, hang or reset: how soon the judge takes them down, and what users see meanwhile. Healthy
//! ones, and outages that both releases share, are left alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use black_box::backend::{Backend, Peer};
use black_box::crowd::{Crowd, Met};
use black_box::rollout::{Api, Seen};
use black_box::{Config, Nginx, Request, wait_for};

/// How a release behaves; what it does can change while it runs.
#[derive(Clone, Copy, PartialEq)]
enum Health {
    /// Answers after so many milliseconds.
    After(u64),
    /// Answers so many of a hundred requests with 500.
    Fails(u32),
    Hangs,
    Resets,
}

use Health::{After, Fails, Hangs, Resets};

impl Health {
    fn serve(self, name: &str, peer: &mut Peer, count: u32) -> bool {
        match self {
            Resets => return false,
            Hangs => drop(peer.read_to_end()),
            After(milliseconds) => std::thread::sleep(Duration::from_millis(milliseconds)),
            Fails(_) => std::thread::sleep(Duration::from_millis(10)),
        }
        let fails = matches!(self, Fails(share) if count.wrapping_mul(37) % 100 < share);
        let status = if fails { "500 Internal Server Error" } else { "200 OK" };
        peer.answer(status, "Content-Type: text/html\r\n", name);
        true
    }
}

/// A release that is well until told otherwise. One that resets does so before it reads.
struct Release {
    backend: Backend,
    fails: Arc<AtomicU32>,
    /// How many requests have come.
    asked: Arc<AtomicU32>,
}

fn release(name: &'static str, health: Health) -> Release {
    let (fails, asked) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (told, count) = (Arc::clone(&fails), Arc::clone(&asked));
    let backend = Backend::start(move |mut peer| {
        while health == Resets || peer.request().is_some() {
            let now = if told.load(Ordering::Relaxed) > 0 { Fails(100) } else { health };
            if !now.serve(name, &mut peer, count.fetch_add(1, Ordering::Relaxed)) {
                break;
            }
        }
        peer.close();
    });
    Release { backend, fails, asked }
}

/// `canary` is what its upstream asks, `policy` adds to or changes the policy's lines.
fn front(stable: &str, canary: &str, weight: &str, policy: &str, location: &str) -> Nginx {
    let upstream = |name: &str, server: &str| format!("upstream {name} {{ {server} keepalive 16; }}");
    Config::new()
        .workers(2)
        .http(&upstream("lobe_a", stable))
        .http(&upstream("lobe_b", canary))
        .http("lobechat_canary_zone lobechat_canary:1m state=off;")
        .server(&format!(
            "proxy_http_version 1.1; proxy_set_header Connection ''; proxy_read_timeout 1s; keepalive_requests 100000;
             location / {{ lobechat_canary chat {{ release stable lobe_a version=2.1.25; release canary lobe_b version=2.1.26 weight={weight};
                 user cookie:uid; {policy} }} {location}
                 proxy_pass http://lobechat_canary; }}
             location /canary/ {{ lobechat_canary_api write; }}"
        ))
        .start()
}

const SAVES_500: &str = "proxy_next_upstream error timeout http_500;";

struct Trial {
    seen: Seen,
    met: Met,
    requests: u64,
}

/// Lets a crowd meet a canary that is sick from the start, until the verdict.
fn trial(what: &str, health: Health, weight: &str, location: &str) -> Trial {
    let (stable, canary) = (release("a", After(10)), release("b", health));
    let nginx = front(&stable.backend.server(), &canary.backend.server(), weight, "rollback on;", location);
    let api = Api(nginx.port());
    let crowd = Crowd { connections: 80, ..Crowd::new(nginx.port()) };
    let (seen, met) = crowd.during(|| {
        let seen = api.wait_verdict(0, Instant::now());
        std::thread::sleep(Duration::from_millis(500));
        seen
    });
    let state = api.release("canary");
    assert_eq!((&state["state"], &state["weight"]), (&"down".into(), &"0%".into()), "{state}");
    assert_eq!(state["verdict"]["by"], seen.by());
    let requests = seen.number("release_attempts") as u64;
    println!(
        "{what}: by {} after {:.2?} and {requests} attempts at it ({} failed), evidence {} (fail {}, p50 {}, p90 {}); users: {} answered, {} failed, longest {:.2?}; {}",
        seen.by(),
        seen.after,
        seen.number("release_failed"),
        seen.number("evidence"),
        seen.number("fail"),
        seen.number("p50"),
        seen.number("p90"),
        met.answered,
        met.failed.len(),
        met.longest,
        seen.event["reason"]
    );
    assert_eq!(seen.by(), "judge");
    Trial { seen, met, requests }
}

#[test]
fn a_canary_ten_times_as_slow_is_taken_down() {
    let Trial { seen, met, requests } = trial("slow x10", After(100), "50%", "");
    assert!(seen.number("p50") > seen.number("fail") && met.failed.is_empty(), "{seen:?} {:?}", met.failed);
    assert!(seen.after < Duration::from_secs(10) && requests < 1500, "{seen:?}");
}

#[test]
fn a_canary_that_always_answers_500_is_taken_down_and_nobody_sees_it() {
    let Trial { seen, met, requests } = trial("500, 100 %, saved", Fails(100), "30%", SAVES_500);
    assert!(met.failed.is_empty(), "{:?}", met.failed);
    assert!(seen.after < Duration::from_secs(4) && requests < 400, "{seen:?}");
}

#[test]
fn a_canary_that_answers_500_now_and_then_is_taken_down() {
    let Trial { seen, met, requests } = trial("500, 30 %, not saved", Fails(30), "30%", "");
    // Without http_500 nginx passes on what the release says; after the verdict there is no more of it.
    assert!(!met.failed.is_empty() && met.failed.len() < 200, "{}", met.failed.len());
    assert!(seen.after < Duration::from_secs(6) && requests < 600, "{seen:?}");
}

#[test]
fn a_canary_that_hangs_is_taken_down_and_nobody_sees_it() {
    let Trial { seen, met, requests } = trial("hangs", Hangs, "30%", "");
    assert!(met.failed.is_empty(), "{:?}", met.failed);
    assert!(met.longest < Duration::from_millis(2500), "{:?}", met.longest);
    assert!(seen.after < Duration::from_secs(6) && requests < 600, "{seen:?}");
}

#[test]
fn a_canary_that_resets_is_taken_down_and_nobody_sees_it() {
    let Trial { seen, met, requests } = trial("accepts and resets", Resets, "30%", "");
    assert!(met.failed.is_empty(), "{:?}", met.failed);
    assert!(seen.after < Duration::from_secs(4) && requests < 400, "{seen:?}");
}

/// Twenty seconds of the same on both sides; then three in which both fail.
#[test]
fn equal_releases_and_shared_outages_are_left_alone() {
    let (stable, canary) = (release("a", After(10)), release("b", After(10)));
    let nginx = front(&stable.backend.server(), &canary.backend.server(), "50%", "rollback on;", "");
    let api = Api(nginx.port());
    let switch = |to: u32| [&stable, &canary].iter().for_each(|r| r.fails.store(to, Ordering::Relaxed));
    let ((quiet, outage), met) = Crowd { connections: 24, ..Crowd::new(nginx.port()) }.during(|| {
        std::thread::sleep(Duration::from_secs(20));
        let quiet = api.release("canary")["evidence"].clone();
        switch(1);
        std::thread::sleep(Duration::from_secs(3));
        switch(0);
        std::thread::sleep(Duration::from_secs(3));
        (quiet, api.release("canary")["evidence"].clone())
    });
    println!(
        "A/A 20 s: {quiet}\nafter a shared outage: {outage}; {} answered, {} failed",
        met.answered,
        met.failed.len()
    );
    assert!(api.verdicts(0).is_empty() && api.release("canary")["state"] == "up");
    assert!(met.failed.len() > 300 && met.by_canary > 2000, "{} {}", met.failed.len(), met.by_canary);
    assert!(outage["blocks"].as_u64().unwrap() >= 20, "{outage}");
}

#[test]
fn action_report_leaves_the_release_and_says_so_once() {
    let (stable, canary) = (release("a", After(10)), release("b", Fails(100)));
    let (stable, canary) = (stable.backend.server(), canary.backend.server());
    let nginx = front(&stable, &canary, "30%", "rollback on action=report;", SAVES_500);
    let api = Api(nginx.port());
    let (seen, met) = Crowd { connections: 24, ..Crowd::new(nginx.port()) }.during(|| {
        let seen = api.wait_verdict(0, Instant::now());
        std::thread::sleep(Duration::from_secs(3));
        seen
    });
    println!("report: after {:.2?}: {} {}", seen.after, seen.event["text"], seen.event["reason"]);
    let release = api.release("canary");
    assert_eq!((&release["state"], &release["weight"]), (&"up".into(), &"30%".into()), "{release}");
    assert_eq!((api.verdicts(0).len(), met.failed.len()), (1, 0));
    nginx.wait_log("is only reported: action=report");
}

/// A port at which nobody listens.
fn refused() -> String {
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    format!("server 127.0.0.1:{port};")
}

const TESTERS: &str = "route canary if header:x-tester = yes; rollback on;";

fn tester() -> Request {
    Request::get("/").header("X-Tester", "yes")
}

/// Testers alone are nobody to compare with: what they meet takes nothing down, but connections that never stand do.
#[test]
fn routed_users_are_watched_by_burst_only() {
    let (stable, canary) = (release("a", After(10)), release("b", Fails(100)));
    let servers = (stable.backend.server(), canary.backend.server(), refused());
    for (canary, expected) in [(&servers.1, None), (&servers.2, Some("burst"))] {
        let nginx = front(&servers.0, canary, "0%", TESTERS, SAVES_500);
        let api = Api(nginx.port());
        assert_eq!(api.release("canary")["watched_by"], "burst");
        let start = Instant::now();
        let (seen, _) = Crowd { rate: 100, ..Crowd::new(nginx.port()) }.during(|| {
            (0..40).for_each(|_| assert_eq!(nginx.fetch(tester()).text(), "a", "saved by stable"));
            match expected {
                None => {
                    std::thread::sleep(Duration::from_secs(4));
                    None
                }
                Some(_) => Some(api.wait_verdict(0, start)),
            }
        });
        assert_eq!(seen.as_ref().map(Seen::by), expected);
        let verdicts = api.verdicts(0);
        let state = api.release("canary")["state"].clone();
        match seen {
            None => assert!(verdicts.is_empty() && state == "up", "{verdicts:?} {state}"),
            Some(seen) => {
                println!("testers, refused: {:.2?}, {}", seen.after, seen.event["reason"]);
                assert_eq!(state, "down");
            }
        }
    }
}

/// Sends requests and leaves before they are answered.
fn leave_early(nginx: &Nginx) {
    for user in 0..30 {
        let request = Request::get("/").cookie(format!("uid=hasty-{user}"));
        let mut connection = nginx.connect();
        connection.write(&request.to_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Stable can be reached, but has not answered well for a minute: the canary's users would gain nothing.
#[test]
fn no_verdict_when_stable_could_not_take_the_traffic() {
    for stable in [Fails(100), Hangs] {
        let stable = release("a", stable);
        let nginx = front(&stable.backend.server(), &refused(), "30%", "rollback on;", "");
        let api = Api(nginx.port());
        let crowd = Crowd { connections: 60, rate: 100, ..Crowd::new(nginx.port()) };
        let (seen, _) = crowd.during(|| {
            let seen = api.wait_verdict(0, Instant::now());
            leave_early(&nginx);
            std::thread::sleep(Duration::from_millis(1500));
            seen
        });
        println!("stable is ill, too: {:.2?}, {}", seen.after, seen.event["text"]);
        assert!(seen.event["text"].as_str().unwrap().contains("has not answered for a minute"), "{seen:?}");
        let release = api.release("canary");
        assert_eq!((&release["state"], &release["weight"]), (&"up".into(), &"30%".into()), "{release}");
    }
}

/// All of them end as failures of the canary, when hardly anybody else is there.
#[test]
fn what_is_under_way_as_a_weight_falls_is_not_judged() {
    let (stable, canary) = (release("a", After(10)), release("b", Hangs));
    let nginx = front(&stable.backend.server(), &canary.backend.server(), "50%", "rollback on;", "");
    let (api, request) =
        (Api(nginx.port()), |user: u32| Request::get("/").cookie(format!("uid=user-{user}")));
    let mut waiting: Vec<_> = (0..60).map(|_| nginx.connect()).collect();
    waiting.iter_mut().zip(0..).for_each(|(c, user)| c.write(&request(user).to_bytes()).unwrap());
    wait_for("them to be under way", || (canary.asked.load(Ordering::Relaxed) > 20).then_some(()));
    api.set_weight("canary", "0.01%").unwrap();
    for user in 60..260 {
        nginx.fetch(request(user));
        std::thread::sleep(Duration::from_millis(10));
    }
    waiting.iter_mut().for_each(|connection| assert_eq!(connection.read_answer().unwrap().text(), "a"));
    let (_, failed) = api.attempts("canary", &["timeout"]);
    let evidence = api.release("canary")["evidence"]["fail"].as_f64().unwrap();
    assert!(failed > 10 && evidence <= 1.0 && api.verdicts(0).is_empty(), "{failed}: {evidence}");
}
