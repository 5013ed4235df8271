//! Ramps in a running nginx: steps by time, doubt and night, restarts and reloads. Times are short, limits generous.

use std::time::{Duration, Instant};

use black_box::api::release;
use black_box::nginx::signal;
use black_box::state::StateDir;
use black_box::{Config, Nginx, Request, api, wait_for};
use rustix::process::Signal;
use serde_json::Value;

const CHAT: &str = "v1/policies/chat";

fn config(state: &StateDir, version: &str, ramp: &str) -> Config {
    Config::new()
        .workers(2)
        .user("www-data")
        .releases(&["a", "b"])
        .http(&state.zone("1m"))
        .server(&format!(
            "lobechat_canary chat {{ release stable a version=1.0.0; release canary b version={version};
            ramp canary {ramp}; user cookie:uid; }} location / {{ proxy_pass http://lobechat_canary; }}"
        ))
        .server(&api::location("write"))
}

fn canary(nginx: &Nginx) -> Value {
    release(&nginx.policy("chat"), "canary").clone()
}

fn wait_weight(nginx: &Nginx, weight: &str) {
    wait_for(weight, || (canary(nginx)["weight"] == weight).then_some(()));
}

#[test]
fn steps_take_their_time_through_reloads_dying_workers_and_a_restart() {
    let state = StateDir::new();
    let config =
        config(&state, "1.1.0", "10% 4s 20% 4s 30% 4s 40% min_requests=0").expect_log("exited on signal 9");
    let mut nginx = config.clone().start();
    assert_eq!(
        (&canary(&nginx)["weight"], &canary(&nginx)["ramp"]["state"]),
        (&"0%".into(), &"paused".into())
    );
    let began = Instant::now();
    nginx.api_ok("POST", &format!("{CHAT}/ramp/start"), "");
    assert_eq!(canary(&nginx)["weight"], "10%");
    nginx.reload(&config);
    wait_weight(&nginx, "20%");
    // nginx counts in whole seconds.
    assert!(began.elapsed() >= Duration::from_secs(3), "{:?}", began.elapsed());
    let workers = nginx.worker_pids();
    workers.iter().for_each(|worker| signal(*worker, Signal::KILL));
    wait_for("new workers", || {
        (nginx.worker_pids().len() == 2 && nginx.worker_pids().is_disjoint(&workers)).then_some(())
    });
    wait_weight(&nginx, "30%");
    assert!(began.elapsed() >= Duration::from_secs(7), "{:?}", began.elapsed());
    drop(nginx);
    let nginx = config.start();
    assert_eq!(canary(&nginx)["ramp"]["state"], "running");
    wait_weight(&nginx, "40%");
    assert!(began.elapsed() >= Duration::from_secs(11), "{:?}", began.elapsed());
    assert_eq!(canary(&nginx)["ramp"]["state"], "done");
    let events = nginx.api_ok("GET", "v1/events", "");
    let steps: Vec<&str> = events["events"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|e| e["by"] == "ramp")
        .map(|e| e["text"].as_str().unwrap())
        .collect();
    assert_eq!(steps, ["20%", "30%", "40%"].map(|weight| format!("ramp of \"canary\" goes on to {weight}")));
}

#[test]
fn without_requests_it_waits_and_says_for_how_many() {
    let state = StateDir::new();
    let nginx = config(&state, "1.1.0", "30% 1s 60% min_requests=20 start=auto").start();
    assert_eq!(canary(&nginx)["weight"], "30%", "by itself");
    wait_for("it to wait for requests", || {
        (canary(&nginx)["ramp"]["waits_for"] == "20 more requests").then_some(())
    });
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(canary(&nginx)["weight"], "30%");
    let began = Instant::now();
    wait_for("the next step", || {
        for user in 0..200 {
            nginx.fetch(Request::get("/").cookie(format!("uid=user_{user}")));
        }
        (canary(&nginx)["weight"] == "60%").then_some(())
    });
    println!("{:?} of requests until the next step", began.elapsed());
}

#[test]
fn pauses_and_rollbacks_hold() {
    let state = StateDir::new();
    let nginx = config(&state, "1.1.0", "10% 1s 20% 1h 30% min_requests=0").start();
    nginx.api_ok("POST", &format!("{CHAT}/ramp/start"), "");
    nginx.api_ok("POST", &format!("{CHAT}/ramp/pause"), "");
    std::thread::sleep(Duration::from_secs(3));
    let weight = canary(&nginx)["weight"].clone();
    assert!(weight == "10%" || weight == "20%", "{weight}");
    nginx.api_ok("POST", &format!("{CHAT}/ramp/start"), "");
    wait_weight(&nginx, "20%");
    nginx.api_ok("POST", &format!("{CHAT}/releases/canary/rollback"), "");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(
        (&canary(&nginx)["weight"], &canary(&nginx)["ramp"]["state"]),
        (&"0%".into(), &"ended".into())
    );
    let sentence = nginx.api_refused("POST", &format!("{CHAT}/ramp/start"), "", 409);
    assert!(sentence.contains("reset it"), "{sentence}");
    nginx.api_ok("POST", &format!("{CHAT}/releases/canary/reset"), "");
    assert_eq!((&canary(&nginx)["weight"], &canary(&nginx)["ramp"]["step"]), (&"0%".into(), &0.into()));
}
