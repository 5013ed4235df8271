//! What the API has changed and what the judge has said outlive reloads, killed workers and a binary upgrade, all under
//! load; counters never go back, and the driver's work goes on.

use std::time::{Duration, Instant};

use black_box::crowd::Crowd;
use black_box::nginx::{is_running, signal};
use black_box::rollout::Api;
use black_box::{Config, Connection, Nginx, Request, wait_for};
use rustix::process::Signal;
use serde_json::Value;

const ROUNDS: usize = 50;

/// Two canaries: one whose weight is changed at runtime, and one that is taken down.
fn config(backends: &Nginx) -> Config {
    with_zone(backends, "1m")
}

fn with_zone(backends: &Nginx, size: &str) -> Config {
    let upstream = |name: &str| {
        format!("upstream {name} {{ server unix:{}/{name}.sock; keepalive 8; }}", backends.dir().display())
    };
    Config::new()
        .workers(2)
        .http(&upstream("a"))
        .http(&upstream("b"))
        .http(&upstream("c"))
        .http(&format!("lobechat_canary_zone lobechat_canary:{size} state=@DIR@/state.json;"))
        .server(
            "proxy_http_version 1.1; proxy_set_header Connection ''; keepalive_requests 100000;
             location / { lobechat_canary chat { release stable a version=2.1.25; release canary b version=2.1.26 weight=10%;
                 release bad c version=2.1.27 weight=5%; user cookie:uid; rollback on; }
                 proxy_next_upstream error timeout http_500;
                 proxy_pass http://lobechat_canary; }
             location /canary/ { lobechat_canary_api write; }",
        )
}

fn backends() -> Nginx {
    Config::new().workers(2).releases(&["a", "b"]).release("c", "return 500;").start()
}

/// Starts the load's policy and lets the judge take the bad release down and somebody move the other's weight.
fn change(api: Api) {
    let seen = api.wait_verdict(0, Instant::now());
    assert_eq!(seen.event["release"], "bad", "{seen:?}");
    api.set_weight("canary", "25%").unwrap();
    check(api);
}

/// What was changed is in force. An old worker that has the question may be gone before it answers.
fn check(api: Api) -> Value {
    let policy = wait_for("an answer", || api.try_get("policies/chat").ok());
    let shown: Vec<_> = policy["releases"].as_array().unwrap().iter().collect();
    let of = |index: usize, key: &str| shown[index][key].as_str().unwrap_or_default();
    assert_eq!((of(1, "state"), of(1, "weight")), ("up", "25%"), "{}", shown[1]);
    assert_eq!((of(2, "state"), of(2, "weight")), ("down", "0%"), "{}", shown[2]);
    assert_eq!(shown[2]["verdict"]["by"], "judge");
    policy
}

/// All requests that are counted.
fn counted(policy: &Value) -> u64 {
    let releases = policy["releases"].as_array().unwrap().iter();
    let requests = releases.flat_map(|release| release["requests"].as_object().unwrap().values());
    requests.map(|count| count.as_u64().unwrap()).sum()
}

fn memory(nginx: &Nginx) -> (u64, u64) {
    let workers = nginx.worker_pids().into_iter().filter(|pid| is_running(*pid));
    (nginx.memory(nginx.master_pid()), workers.map(|pid| nginx.memory(pid)).max().unwrap())
}

/// The writer's process and the sequence of the state file.
fn written(nginx: &Nginx) -> (u64, u64) {
    let state: Value = serde_json::from_str(&nginx.file("state.json")).unwrap_or_default();
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    (number(&state["writer"]["pid"]), number(&state["sequence"]))
}

fn wait_written(nginx: &Nginx, by: u32) {
    let before = written(nginx);
    wait_for("the state file to be written", || {
        let now = written(nginx);
        (now.0 == u64::from(by) && now.1 > before.1).then_some(())
    });
}

/// Does something fifty times, each time seeing that all is as it should be.
fn storm(nginx: &mut Nginx, mut act: impl FnMut(&mut Nginx, usize)) {
    let api = Api(nginx.port());
    let crowd = Crowd::new(nginx.port());
    let ((early, late, moved), met) = crowd.during(|| {
        change(api);
        let (mut early, mut last) = ((0, 0), 0);
        for round in 1..=ROUNDS {
            act(nginx, round);
            let now = counted(&check(api));
            assert!(now >= last, "round {round}: {now} requests after {last}");
            last = now;
            if round == 10 {
                early = memory(nginx);
            }
        }
        let late = memory(nginx);
        // The driver lives on: it saves what is changed now.
        let start = Instant::now();
        api.set_weight("canary", "26%").unwrap();
        wait_for("the driver to save", || (api.policy()["persisted"] == true).then_some(()));
        let moved = start.elapsed();
        assert!(api.set_weight("canary", "25%").is_ok());
        (early, late, moved)
    });
    println!(
        "{ROUNDS} rounds: KiB of master and worker {early:?}, then {late:?}; saved {moved:.2?} after the last; {} answered, {} reopened, {} failed, {} cut",
        met.answered,
        met.reopened,
        met.failed.len(),
        met.cut
    );
    assert!(late.0 < early.0 + 1024 && late.1 < early.1 + 1024, "KiB: {early:?}, then {late:?}");
    assert!(met.answered > 1000 && met.failed.len() + met.cut <= 2 * ROUNDS, "{:?}", met.failed);
    assert_eq!(api.verdicts(0).len(), 1);
}

#[test]
fn fifty_reloads_keep_weights_verdicts_and_counts() {
    let backends = backends();
    let mut nginx = config(&backends).start();
    storm(&mut nginx, |nginx, _| {
        nginx.reload(&config(&backends));
        std::thread::sleep(Duration::from_millis(50));
    });
    assert_eq!(nginx.error_log().matches("\"bad\" is down").count(), 1);
}

#[test]
fn fifty_killed_workers_keep_weights_verdicts_and_counts() {
    let backends = backends();
    let mut nginx = config(&backends).expect_log("exited on signal 9").start();
    storm(&mut nginx, |nginx, round| {
        let victims: Vec<u32> = nginx.worker_pids().into_iter().collect();
        // In each fifth round both, so the one that drives is among them.
        let victims = &victims[..if round % 5 == 0 { 2 } else { 1 }];
        victims.iter().for_each(|pid| signal(*pid, Signal::KILL));
        wait_for("new workers", || {
            let now = nginx.worker_pids();
            (now.len() == 2 && victims.iter().all(|pid| !now.contains(pid))).then_some(())
        });
        std::thread::sleep(Duration::from_millis(100));
    });
}

/// The new nginx of an upgrade, ended whatever happens to the test.
struct Upgraded(u32);

impl Upgraded {
    fn start(nginx: &Nginx) -> Upgraded {
        signal(nginx.master_pid(), Signal::USR2);
        let old = nginx.master_pid().to_string();
        let pid = wait_for("the new master", || {
            // The old master renames its file, and only then does the new one write its own.
            let renamed = nginx.file("nginx.pid.oldbin").trim() == old;
            let pid = nginx.file("nginx.pid").trim().parse().ok()?;
            (renamed && pid != nginx.master_pid()).then_some(pid)
        });
        Upgraded(pid)
    }

    fn quit(&self) {
        signal(self.0, Signal::QUIT);
        wait_for("the new master to leave", || (!is_running(self.0)).then_some(()));
    }
}

impl Drop for Upgraded {
    fn drop(&mut self) {
        signal(self.0, Signal::TERM);
    }
}

/// Waits until of two masters only one has workers.
fn wait_workers(nginx: &Nginx, count: usize) {
    wait_for("workers to leave", || {
        (nginx.worker_pids().into_iter().filter(|pid| is_running(*pid)).count() == count).then_some(())
    });
}

#[test]
fn a_binary_upgrade_keeps_weights_and_verdicts() {
    let backends = backends();
    let nginx = config(&backends).daemon().start();
    let api = Api(nginx.port());
    let (upgraded, met) = Crowd::new(nginx.port()).during(|| {
        change(api);
        wait_written(&nginx, nginx.master_pid());
        // What is counted from here on may be lost, as the new nginx begins with what was saved.
        let before = counted(&check(api));
        wait_written(&nginx, nginx.master_pid());
        let upgraded = Upgraded::start(&nginx);
        wait_workers(&nginx, 4);
        (0..20).for_each(|_| drop(check(api)));
        wait_written(&nginx, upgraded.0);
        signal(nginx.master_pid(), Signal::WINCH);
        wait_workers(&nginx, 2);
        let after = counted(&check(api));
        println!("{before} requests before the upgrade, {after} after it");
        assert!(after >= before, "{before}, then {after}");
        // The old master is there, but does not write.
        wait_written(&nginx, upgraded.0);
        signal(nginx.master_pid(), Signal::QUIT);
        api.set_weight("canary", "30%").unwrap();
        api.set_weight("canary", "25%").unwrap();
        wait_for("the new nginx to save", || (api.policy()["persisted"] == true).then_some(()));
        check(api);
        assert_eq!(written(&nginx).0, u64::from(upgraded.0));
        upgraded
    });
    let (answered, reopened, failed, cut) = (met.answered, met.reopened, met.failed.len(), met.cut);
    println!("upgrade: {answered} answered, {reopened} reopened, {failed} failed, {cut} cut");
    assert!(met.failed.is_empty() && met.cut == 0, "{:?}", met.failed);
    upgraded.quit();
}

#[test]
fn an_upgrade_that_is_taken_back_lets_the_old_nginx_write_again() {
    let backends = backends();
    let nginx = config(&backends).daemon().start();
    let api = Api(nginx.port());
    let ((), met) = Crowd::new(nginx.port()).during(|| {
        change(api);
        wait_written(&nginx, nginx.master_pid());
        let upgraded = Upgraded::start(&nginx);
        wait_written(&nginx, upgraded.0);
        nginx.wait_log("is left to the newer nginx");
        upgraded.quit();
        wait_workers(&nginx, 2);
        wait_written(&nginx, nginx.master_pid());
        check(api);
        api.set_weight("canary", "30%").unwrap();
        wait_for("the old nginx to save", || (api.policy()["persisted"] == true).then_some(()));
        assert_eq!(written(&nginx).0, u64::from(nginx.master_pid()));
    });
    println!("taken back: {} answered, {} failed, {} cut", met.answered, met.failed.len(), met.cut);
    assert!(met.failed.is_empty() && met.cut == 0, "{:?}", met.failed);
}

/// An old worker has the zone of its own configuration; what stands there is out of date, and not to be saved.
#[test]
fn the_last_worker_of_a_replaced_zone_does_not_save_it() {
    let backends = backends();
    let mut nginx = config(&backends).start();
    let api = Api(nginx.port());
    wait_written(&nginx, nginx.master_pid());
    let mut late = begin_post(&nginx);
    nginx.reload(&with_zone(&backends, "2m"));
    api.set_weight("canary", "40%").unwrap();
    wait_for("the new driver to save", || (api.policy()["persisted"] == true).then_some(()));
    end_post(&mut late);
    wait_workers(&nginx, 2);
    assert!(nginx.file("state.json").contains("\"weight\": \"40%\""), "{}", nginx.file("state.json"));
}

/// A request that keeps its worker from leaving.
fn begin_post(nginx: &Nginx) -> Connection {
    let mut connection = nginx.connect();
    let request = Request::new("POST", "/").header("Content-Length", "2").cookie("uid=x");
    connection.write(&request.to_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    connection
}

fn end_post(connection: &mut Connection) {
    connection.write(b"ab").unwrap();
    assert_eq!(connection.read_head().unwrap().status, 200);
}

/// Counters are saved each ten seconds, and as the last worker leaves, which may be long after it was told to.
#[test]
fn a_graceful_end_saves_what_came_last() {
    const QUICK: u64 = 40;
    let backends = backends();
    let nginx = config(&backends).start();
    wait_written(&nginx, nginx.master_pid());
    (0..QUICK).for_each(|_| assert_eq!(nginx.text("/"), "a"));
    let mut late = begin_post(&nginx);
    signal(nginx.master_pid(), Signal::QUIT);
    std::thread::sleep(Duration::from_millis(1200));
    end_post(&mut late);
    wait_for("nginx to leave", || (!is_running(nginx.master_pid())).then_some(()));
    let state: Value = serde_json::from_str(&nginx.file("state.json")).unwrap();
    let saved = state["policies"]["chat"]["generations"].as_object().unwrap().values();
    let requests = saved.flat_map(|saved| saved["counts"]["requests"].as_array().unwrap());
    assert_eq!(requests.map(|count| count.as_u64().unwrap()).sum::<u64>(), QUICK + 1);
}
