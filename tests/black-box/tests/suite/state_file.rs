//! The state file: what outlives a restart, and what a file that cannot be read or written does.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

use black_box::api::{release, value, weights};
use black_box::nginx::signal;
use black_box::state::{StateDir, config};
use black_box::{Nginx, Request, wait_for};
use rustix::process::Signal;

const CHAT: &str = "v1/policies/chat";
const LINES: &str = "release stable a version=1.0.0; release canary b version=1.1.0 weight=10%;
    release other c version=1.2.0 weight=5%; user cookie:uid; salt lobe; expose on;";

/// Asks as many users.
fn ask(nginx: &Nginx, users: usize) {
    let mut connection = nginx.connect();
    for user in 0..users {
        assert_eq!(connection.fetch(&Request::get("/").cookie(format!("uid=user_{user}"))).status, 200);
    }
}

fn requests(nginx: &Nginx) -> f64 {
    let metrics = nginx.metrics();
    let series = metrics.iter().filter(|(name, _)| name.starts_with("lobechat_canary_requests_total{"));
    series.map(|(_, count)| count).sum()
}

#[test]
fn a_restart_keeps_what_operators_and_verdicts_decided() {
    let state = StateDir::new();
    let lines = format!("{LINES} rollback on; route other if header:x-team remember=7d;");
    let config = config(&state.zone("1m"), &lines);
    let nginx = config.clone().start();
    ask(&nginx, 100);
    nginx.api_ok("PATCH", CHAT, &weights("other", "33%"));
    nginx.api_ok("POST", &format!("{CHAT}/releases/canary/rollback"), r#"{"reason":"blank pages"}"#);
    let cookie = nginx
        .fetch(Request::get("/").header("X-Team", "1"))
        .cookie("lobechat_remember_chat")
        .unwrap()
        .to_owned();
    wait_for("all to be counted", || (requests(&nginx) == 101.0).then_some(()));
    let (policy, events) = (nginx.policy("chat"), nginx.api_ok("GET", "v1/events", ""));
    drop(nginx);

    let file = std::fs::metadata(state.path()).unwrap();
    assert_eq!(
        (file.uid(), file.permissions().mode() & 0o777),
        (33, 0o600),
        "written by a worker, for workers"
    );
    assert_eq!(state.names(), ["state.json"]);
    let nginx = config.start();
    let after = nginx.policy("chat");
    for name in ["stable", "canary", "other"] {
        for field in ["weight", "state", "verdict", "generation", "requests", "responses", "attempts"] {
            assert_eq!(release(&after, name)[field], release(&policy, name)[field], "{name} {field}");
        }
    }
    let canary = release(&after, "canary");
    assert_eq!((&canary["state"], &canary["weight"]), (&"down".into(), &"0%".into()));
    assert_eq!(canary["verdict"]["reason"], "blank pages");
    assert_eq!(release(&after, "other")["weight"], "33%");
    assert_eq!(after["epoch"], policy["epoch"], "nothing has changed");
    assert_eq!(requests(&nginx), 101.0);
    assert_eq!(
        value(&nginx.metrics(), "rollbacks_total{policy=\"chat\",release=\"canary\",version=\"1.1.0\"}"),
        1.0
    );
    let cookie = format!("lobechat_remember_chat={cookie}");
    let remembered = nginx.fetch(Request::get("/").cookie(&cookie));
    assert_eq!(
        (remembered.text().as_str(), remembered.header("X-Reason")),
        ("c", Some("remembered")),
        "the key is the same"
    );
    assert_eq!(nginx.api_ok("GET", "v1/events", ""), events);
    nginx.api_ok("PATCH", CHAT, &weights("other", "34%"));
    let last = events["last"].as_u64().unwrap();
    let newer = nginx.api_ok("GET", &format!("v1/events?after={last}"), "");
    assert_eq!(newer["events"][0]["seq"], last + 1, "{newer}");
}

#[test]
fn the_last_request_is_saved_however_nginx_ends() {
    for ending in [Signal::QUIT, Signal::TERM] {
        let state = StateDir::new();
        let config = config(&state.zone("1m"), LINES);
        let nginx = config.clone().start();
        wait_for("the first snapshot", || state.path().exists().then_some(()));
        ask(&nginx, 40);
        wait_for("all to be counted", || (requests(&nginx) == 40.0).then_some(()));
        signal(nginx.master_pid(), ending);
        wait_for("its workers to end", || nginx.worker_pids().is_empty().then_some(()));
        drop(nginx);
        assert_eq!(requests(&config.start()), 40.0, "{ending:?}");
    }
}

#[test]
fn a_damaged_file_is_set_aside_and_reported() {
    let good = {
        let state = StateDir::new();
        drop(config(&state.zone("1m"), LINES).start());
        std::fs::read_to_string(state.path()).unwrap()
    };
    for (content, why) in [
        ("", "no state file"),
        ("\0\u{1}garbage", "no state file"),
        (&good[..good.len() / 2], "no state file"),
        (&good.replace("\"format\": 1", "\"format\": 99"), "format 99"),
        (&good.replace("\"5%\"", "\"500%\""), "damaged"),
    ] {
        let state = StateDir::new();
        std::fs::write(state.path(), content).unwrap();
        let nginx = config(&state.zone("1m"), LINES).start();
        nginx.wait_log("releases begin as the configuration has them");
        assert!(nginx.error_log().contains(why), "{why}: {}", nginx.error_log());
        assert_eq!(nginx.api_ok("PATCH", CHAT, &weights("canary", "20%"))["persisted"], true);
        let names = state.names();
        assert_eq!(names.len(), 2, "{names:?}");
        let aside = names.iter().find(|name| name.starts_with("state.json.damaged-")).expect("set aside");
        assert_eq!(std::fs::read_to_string(state.path().with_file_name(aside)).unwrap(), content);
        assert!(state.json().to_string().contains("\"20%\""), "{why}");
    }
}

#[test]
fn what_is_no_file_neither_stops_nor_delays_nginx() {
    for what in ["pipe", "directory", "foreign"] {
        let state = StateDir::new();
        match what {
            "pipe" => assert!(Command::new("mkfifo").arg(state.path()).status().unwrap().success()),
            "directory" => std::fs::create_dir(state.path()).unwrap(),
            _ => {
                // The master may read it, a worker may not.
                std::fs::write(state.path(), "{}").unwrap();
                std::fs::set_permissions(state.path(), std::fs::Permissions::from_mode(0o600)).unwrap();
            }
        }
        let nginx = config(&state.zone("1m"), LINES).start();
        nginx.wait_log("releases begin as the configuration has them");
        assert_eq!(nginx.api_ok("PATCH", CHAT, &weights("canary", "20%"))["persisted"], true, "{what}");
        assert_eq!(state.names().len(), 2, "{what}: {:?}", state.names());
    }
}

#[test]
fn a_directory_that_cannot_be_written_is_reported_once_and_survived() {
    let state = StateDir::new();
    state.give_to(0);
    let mut nginx = config(&state.zone("1m"), LINES).workers(1).start();
    let policy = nginx.api_ok("PATCH", CHAT, &weights("canary", "20%"));
    assert_eq!(policy["persisted"], false);
    nginx.wait_log("the state file");
    nginx.api_ok("PATCH", CHAT, &weights("canary", "21%"));
    std::thread::sleep(std::time::Duration::from_secs(7));
    let said = nginx.error_log().matches("weights and verdicts stay in force until nginx stops").count();
    assert_eq!(said, 1, "tried twice, said once: {}", nginx.error_log());
    nginx.reload(&config(&state.zone("1m"), LINES).workers(1));
    assert_eq!(release(&nginx.policy("chat"), "canary")["weight"], "21%", "the zone has it");
    state.give_to(33);
    wait_for("the state file", || (nginx.policy("chat")["persisted"] == true).then_some(()));
    assert!(state.json().to_string().contains("\"21%\""));
}

#[test]
fn a_full_disk_is_survived() {
    let state = StateDir::new();
    let dir = state.path().parent().unwrap().to_owned();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=64k,uid=33,gid=33,mode=700", "none"])
        .arg(&dir)
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        eprintln!("skipped: this user may not mount a file system");
        return;
    }
    struct Unmount(std::path::PathBuf);
    impl Drop for Unmount {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg(&self.0).status();
        }
    }
    let _unmount = Unmount(dir.clone());
    let nginx = config(&state.zone("1m"), LINES).start();
    nginx.api_ok("PATCH", CHAT, &weights("canary", "20%"));
    let before = std::fs::read(state.path()).unwrap();
    let _ = std::fs::write(dir.join("filler"), vec![0; 256 * 1024]);
    assert_eq!(nginx.api_ok("PATCH", CHAT, &weights("canary", "22%"))["persisted"], false);
    nginx.wait_log("cannot write the state file");
    assert!(nginx.error_log().contains("No space left on device"));
    assert_eq!(std::fs::read(state.path()).unwrap(), before, "the last good one stays");
    std::fs::remove_file(dir.join("filler")).unwrap();
    wait_for("the state file", || state.json().to_string().contains("\"22%\"").then_some(()));
    nginx.wait_log("the state file is written again");
}

#[test]
fn a_check_says_what_is_wrong_with_the_directory() {
    let said = |zone: &str| {
        let check = config(zone, LINES).check();
        assert!(check.ok, "{}", check.output);
        check.output
    };
    let state = StateDir::new();
    let output = said(&state.zone("1m"));
    assert!(!output.contains("[warn]"), "{output}");
    assert!(state.names().is_empty(), "a check writes nothing");
    state.give_to(0);
    let output = said(&state.zone("1m"));
    assert!(
        output.contains("which runs as \"www-data\", cannot write the state file")
            && output.contains("chown www-data"),
        "{output}"
    );
    let missing = state.path().display().to_string().replace("state.json", "none/state.json");
    let output = said(&format!("lobechat_canary_zone lobechat_canary:1m state={missing};"));
    assert!(
        output.contains("there is no directory") && output.contains("install -d -m 700 -o www-data"),
        "{output}"
    );
}
