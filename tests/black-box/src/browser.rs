//! Runs the scripts of tests/browser, which drive a real Chromium against a running nginx.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Nginx;
use crate::config::Config;
use crate::example;

/// Whether TEST_BROWSER asks for tests with a browser. Says so, past the test runner's capture, when it does not.
pub fn wanted() -> bool {
    let wanted = std::env::var_os("TEST_BROWSER").is_some_and(|value| !value.is_empty());
    if !wanted {
        let _ =
            writeln!(std::io::stderr(), "skipped: TEST_BROWSER is not set; scripts/test installed sets it");
    }
    wanted
}

pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../browser")
}

/// Runs a script of tests/browser; its output is the test's.
pub fn run(script: &str, arguments: &[&str]) {
    let mut command = Command::new("node");
    command.current_dir(directory()).args(["--test-reporter=spec", script]).args(arguments);
    let output = command.stdin(Stdio::null()).output();
    let output = output.expect("node runs: scripts/setup browser installs it");
    println!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "tests/browser/{script}: {}", output.status);
}

/// nginx-conf/lobechat.conf in front of two servers on these ports; with further lines in its policy.
pub fn front(ports: [u16; 2], policy: &str) -> Nginx {
    let text = example::text("lobechat.conf", ports);
    let start = "lobechat_canary chat {";
    assert!(text.contains(start), "no {start} in nginx-conf/lobechat.conf");
    Config::whole(&text.replacen(start, &format!("{start} {policy}"), 1))
        .workers(2)
        .directory("canary")
        .file("canary.key", "a key of the module's own cookies, one line\n")
        .start()
}

/// Runs tests/browser/pages.mjs against `front`; `builds` are the directories that hold the two `.next`.
pub fn pages(nginx: &Nginx, builds: [&Path; 2], more: &[&str]) {
    let site = format!("http://127.0.0.1:{}/", nginx.port());
    let builds = builds.map(|path| path.to_str().expect("a UTF-8 name")).join(",");
    let pid = nginx.master_pid().to_string();
    let log = nginx.dir().join("access.json");
    let log = log.to_str().expect("a UTF-8 name");
    let fixed = [&site, "--builds", &builds, "--nginx-pid", &pid, "--access-log", log];
    run("pages.mjs", &[&fixed[..], more].concat());
}
