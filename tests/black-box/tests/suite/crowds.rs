//! Many at once: no count is lost between workers, and no change between operators.

use std::sync::atomic::{AtomicBool, Ordering};

use black_box::api::{self, counted, weights};
use black_box::{Config, Nginx, Request};

const CHAT: &str = "v1/policies/chat";

fn start(workers: usize, zone: &str) -> Nginx {
    Config::new()
        .workers(workers)
        .releases(&["a", "b"])
        .directory("state")
        .http(zone)
        // Else one worker may take all connections.
        .listen("listen 127.0.0.1:@PORT@ reuseport;")
        .server(
            "lobechat_canary chat { release stable a; release canary b weight=30%; user arg:uid; salt lobe; }
             location / { proxy_pass http://lobechat_canary; add_header X-Worker $pid; }",
        )
        .server(&api::location("write"))
        .start()
}

#[test]
fn eight_workers_lose_no_count() {
    const CLIENTS: usize = 8;
    const REQUESTS: usize = 2500;
    const PER_CONNECTION: usize = 50;
    let nginx = start(8, "lobechat_canary_zone lobechat_canary:1m state=off;");
    // By upstream, and which workers have answered.
    let client = |number: usize| {
        let (mut canary, mut workers) = (0, std::collections::BTreeSet::new());
        for first in (0..REQUESTS).step_by(PER_CONNECTION) {
            let mut connection = nginx.connect();
            for request in first..first + PER_CONNECTION {
                let target = format!("/?uid=user_{}", number * REQUESTS + request);
                let response = connection.fetch(&Request::get(&target));
                assert_eq!(response.status, 200);
                canary += u64::from(response.text() == "b");
                workers.insert(response.header("X-Worker").unwrap().to_owned());
            }
        }
        (canary, workers)
    };
    let (mut canary, mut workers) = (0, std::collections::BTreeSet::new());
    std::thread::scope(|scope| {
        let client = &client;
        let threads: Vec<_> = (0..CLIENTS).map(|number| scope.spawn(move || client(number))).collect();
        for thread in threads {
            let (count, seen) = thread.join().unwrap();
            canary += count;
            workers.extend(seen);
        }
    });
    let total = (CLIENTS * REQUESTS) as u64;
    assert!(workers.len() == 8, "{workers:?}");
    assert!(canary.abs_diff(total * 3 / 10) < total / 50, "{canary} of {total}");
    let series =
        |release: &str, label: &str| format!("policy=\"chat\",release=\"{release}\",version=\"\",{label}");
    for (family, label) in [
        ("requests_total", "reason=\"split\""),
        ("responses_total", "code=\"2xx\""),
        ("attempts_total", "outcome=\"ok\""),
    ] {
        let expected = [(series("canary", label), canary), (series("stable", label), total - canary)];
        let expected: Vec<_> = expected.iter().map(|(series, count)| (series.as_str(), *count)).collect();
        nginx.wait_counted(family, &expected);
    }
    let metrics = nginx.metrics();
    let times: f64 = ["canary", "stable"]
        .map(|release| {
            let labels = format!("policy=\"chat\",release=\"{release}\",version=\"\"");
            api::value(&metrics, &format!("ttfb_seconds_count{{{labels}}}"))
        })
        .iter()
        .sum();
    assert_eq!(times, total as f64);
    // Every worker shows the same.
    let seen: Vec<_> = (0..16).map(|_| counted(&nginx.metrics(), "requests_total")).collect();
    assert!(seen.windows(2).all(|two| two[0] == two[1]), "{seen:?}");
}

#[test]
fn operators_at_once_lose_no_change() {
    const WRITERS: u64 = 4;
    const CHANGES: u64 = 99;
    let nginx = start(4, "lobechat_canary_zone lobechat_canary:1m state=off;");
    let before = nginx.policy("chat")["epoch"].as_u64().unwrap();
    let first = nginx.api_ok("GET", "v1/events", "")["last"].as_u64().unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (nginx, done) = (&nginx, &done);
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                scope.spawn(move || {
                    let mut last = 0;
                    for change in 0..CHANGES {
                        // Never what is in force already.
                        let weight = format!("{}.{:02}%", writer + 1, change + 1);
                        let response = nginx.api("PATCH", CHAT, &weights("canary", &weight));
                        assert_eq!(response.status, 200, "{}", response.text());
                        let epoch = api::json(&response)["epoch"].as_u64().unwrap();
                        assert!(epoch > last, "{epoch} after {last}");
                        last = epoch;
                    }
                })
            })
            .collect();
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(move || {
                    let (mut epoch, mut seq, mut reads) = (0, 0, 0);
                    while !done.load(Ordering::Relaxed) {
                        let now = nginx.policy("chat")["epoch"].as_u64().unwrap();
                        assert!(now >= epoch, "the epoch goes back from {epoch} to {now}");
                        epoch = now;
                        let events = nginx.api_ok("GET", &format!("v1/events?after={seq}"), "");
                        for event in events["events"].as_array().unwrap() {
                            assert!(event["seq"].as_u64().unwrap() > seq, "{event}");
                            seq = event["seq"].as_u64().unwrap();
                        }
                        assert_eq!(nginx.get("/?uid=x").status, 200);
                        reads += 1;
                    }
                    reads
                })
            })
            .collect();
        let results: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
        done.store(true, Ordering::Relaxed);
        for reader in readers {
            assert!(reader.join().unwrap() > 10);
        }
        results.into_iter().for_each(|result| result.unwrap());
    });
    let total = WRITERS * CHANGES;
    assert_eq!(nginx.policy("chat")["epoch"], before + total);
    // The zone keeps the latest ones; those are numbered without a gap.
    let events = nginx.api_ok("GET", "v1/events", "");
    assert_eq!(events["last"], first + total);
    let numbers: Vec<u64> =
        events["events"].as_array().unwrap().iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert!(
        numbers.windows(2).all(|two| two[1] == two[0] + 1) && numbers.last() == Some(&(first + total)),
        "{numbers:?}"
    );
    assert!(numbers.len() > 20, "{numbers:?}");
}

/// Each answer waits until the disk has its change; a later change may come with it.
#[test]
fn operators_at_once_are_all_kept() {
    let nginx = start(2, "lobechat_canary_zone lobechat_canary:1m state=@DIR@/state/state.json;");
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let nginx = &nginx;
            scope.spawn(move || {
                for change in 0..6 {
                    let weight = format!("{}.{change}%", writer + 1);
                    let policy = nginx.api_ok("PATCH", CHAT, &weights("canary", &weight));
                    assert_eq!(policy["persisted"], true, "{weight}");
                }
            });
        }
    });
    let weight = nginx.policy("chat")["releases"][1]["weight"].clone();
    assert!(nginx.file("state/state.json").contains(&weight.to_string()), "{weight}");
}
