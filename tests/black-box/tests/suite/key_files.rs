//! Keys that change while nginx runs: taken up by every worker with its own rights, or left as they were.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use black_box::token::hs256;
use black_box::{Config, Nginx, Request, vectors, wait_for};

use crate::identities::{SECRET, testers};

const OTHER: &str = "another secret, for when the first is not trusted any more";

fn token(secret: &str) -> String {
    hs256(secret, r#"{"sub":"u1","role":"tester"}"#)
}

/// Connections by which each worker can be asked: there are enough of them for chance to leave none out.
fn ask_all(nginx: &Nginx, token: &str) -> Vec<String> {
    (0..40).map(|_| nginx.fetch(Request::get("/").bearer(token)).text()).collect()
}

fn wait_until_all(nginx: &Nginx, token: &str, release: &str) {
    wait_for(&format!("release {release} everywhere"), || {
        ask_all(nginx, token).iter().all(|text| text == release).then_some(())
    });
}

fn replace(nginx: &Nginx, name: &str, content: &str) {
    let (new, old) = (nginx.dir().join("new"), nginx.dir().join(name));
    fs::write(&new, content).unwrap();
    fs::rename(new, old).unwrap();
}

fn count(nginx: &Nginx, fragment: &str) -> usize {
    nginx.error_log().lines().filter(|line| line.contains(fragment)).count()
}

#[test]
fn every_worker_takes_up_a_new_secret() {
    // The processes that tend caches are no workers: one line in the log is enough.
    let cache = "proxy_cache_path @DIR@/cache keys_zone=pages:1m;";
    let nginx = testers("identity jwt secret=secret;").http(cache).workers(2).start();
    wait_until_all(&nginx, &token(SECRET), "b");
    replace(&nginx, "secret", OTHER);
    wait_until_all(&nginx, &token(OTHER), "b");
    // What the old secret signed is not remembered, either.
    wait_until_all(&nginx, &token(SECRET), "a");
    assert_eq!(count(&nginx, "has changed and was read again"), 1, "{}", nginx.error_log());
    // Written in place, too.
    fs::write(nginx.dir().join("secret"), format!("{SECRET}\n")).unwrap();
    wait_until_all(&nginx, &token(SECRET), "b");
}

#[test]
fn a_broken_file_leaves_the_old_keys() {
    let keys = |id: &str| {
        let lines = vectors::read("tokens/recording.jsonl");
        let line = lines.into_iter().find(|line| line["id"] == id).unwrap();
        (line["keys"].as_str().unwrap().to_owned(), line["token"].as_str().unwrap().to_owned())
    };
    let ((first, first_token), (second, second_token)) = (keys("jose/ES256/valid"), keys("jose/RS256/valid"));
    let nginx = Config::new()
        .releases(&["a", "b"])
        .file("jwks.json", &first)
        .workers(2)
        .server(
            "location / { lobechat_canary { release stable a; release canary b; route canary if claim:sub;
                identity jwt keys=jwks.json; } proxy_pass http://lobechat_canary; }",
        )
        .start();
    wait_until_all(&nginx, &first_token, "b");
    for (number, broken) in ["", "{\"keys\":[", "{\"keys\":[]}", "no keys"].iter().enumerate() {
        replace(&nginx, "jwks.json", broken);
        wait_for("the error", || (count(&nginx, "old keys stay in force") > number).then_some(()));
        wait_until_all(&nginx, &first_token, "b");
    }
    fs::remove_file(nginx.dir().join("jwks.json")).unwrap();
    wait_for("the error", || (count(&nginx, "old keys stay in force") > 4).then_some(()));
    wait_until_all(&nginx, &first_token, "b");
    replace(&nginx, "jwks.json", &second);
    wait_until_all(&nginx, &second_token, "b");
    wait_until_all(&nginx, &first_token, "a");
    // One line for each change, not one a look or a worker.
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(count(&nginx, "old keys stay in force"), 5, "{}", nginx.error_log());
}

/// The master is root and the workers are not, as installed nginx runs.
#[test]
fn workers_read_with_their_own_rights() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can give workers other rights");
        return;
    }
    let config = testers("identity jwt secret=secret;").user("www-data").workers(2).file("other", OTHER);
    let nginx = config.start();
    wait_until_all(&nginx, &token(SECRET), "b");
    let path = nginx.dir().join("secret");
    let hide = |mode| fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    hide(0o600);
    wait_for("the error", || (count(&nginx, "old keys stay in force") > 0).then_some(()));
    assert!(nginx.error_log().contains("Permission denied"), "{}", nginx.error_log());
    fs::write(&path, OTHER).unwrap();
    wait_for("the error", || (count(&nginx, "old keys stay in force") > 1).then_some(()));
    wait_until_all(&nginx, &token(SECRET), "b");
    // The rights alone change, and that is enough.
    hide(0o644);
    wait_until_all(&nginx, &token(OTHER), "b");
}

#[test]
fn nginx_t_says_what_workers_cannot_read() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let config = || testers("identity jwt secret=secret;");
    let check = config().user("www-data").check();
    assert!(check.ok && !check.output.contains("cannot read key file"), "{}", check.output);
    let nginx = config().user("www-data").start();
    let path = nginx.dir().join("secret");
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    let said = check_again(&nginx);
    let advice = format!("re-reading needs \"chgrp www-data {0}; chmod 640 {0}\"", path.display());
    assert!(said.contains(&advice) && said.contains("nginx.conf:"), "{said}");
    // A directory that is closed comes first.
    fs::set_permissions(nginx.dir(), Permissions::from_mode(0o700)).unwrap();
    let said = check_again(&nginx);
    assert!(said.contains(&format!("chmod g+x {0}\"", nginx.dir().display())), "{said}");
}

/// `nginx -t` where nginx runs.
fn check_again(nginx: &Nginx) -> String {
    let (dir, binary) = (nginx.dir(), &black_box::nginx::Flavour::get().binary);
    let mut command = std::process::Command::new(binary);
    command.args(["-t", "-e", "stderr", "-p"]).arg(dir).arg("-c").arg(dir.join("nginx.conf"));
    String::from_utf8_lossy(&command.output().unwrap().stderr).into_owned()
}

#[test]
fn secrets_that_everybody_can_read() {
    let check = testers("identity jwt secret=secret;").check();
    assert!(check.ok && check.output.contains("everybody can read the secret in"), "{}", check.output);
    assert!(!check.output.contains(SECRET));
}

/// One process that is master and worker at once.
#[test]
fn a_single_process_watches_as_well() {
    let nginx = testers("identity jwt secret=secret;").single_process().start();
    wait_until_all(&nginx, &token(SECRET), "b");
    replace(&nginx, "secret", OTHER);
    wait_until_all(&nginx, &token(OTHER), "b");
}

/// `env:` reads what nginx was started with, and keeps it for later.
#[test]
fn secrets_of_the_environment() {
    let config = || testers("identity jwt secret=env:CANARY_TEST_SECRET;");
    let check = config().check();
    assert!(
        !check.ok && check.output.contains("\"CANARY_TEST_SECRET\" is not set where nginx starts"),
        "{}",
        check.output
    );
    let mut nginx = config().environment("CANARY_TEST_SECRET", SECRET).start();
    wait_until_all(&nginx, &token(SECRET), "b");
    nginx.reload(&config());
    wait_until_all(&nginx, &token(SECRET), "b");
    let pid = *nginx.worker_pids().first().unwrap();
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    assert!(!environment.is_empty());
}
