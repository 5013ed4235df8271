//! A running nginx: start, reload, stop, and an end check of what it logged.

use std::collections::BTreeSet;
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::client::{Connection, Request, Response};
use crate::config::{Config, temp_dir};
use crate::{PATIENCE, wait_for};

/// The nginx under test and the module built for it.
pub struct Flavour {
    pub binary: PathBuf,
    pub module: PathBuf,
    /// The output of `nginx -V`.
    pub build: String,
    /// Major, minor and patch number.
    pub version: Vec<u32>,
}

impl Flavour {
    pub fn get() -> &'static Flavour {
        static FLAVOUR: OnceLock<Flavour> = OnceLock::new();
        FLAVOUR.get_or_init(|| {
            let path = |name| match std::env::var_os(name) {
                Some(value) => std::path::absolute(value).unwrap(),
                None => panic!(
                    "{name} is not set: run scripts/test, which builds nginx and the module and sets it"
                ),
            };
            let (binary, module) = (path("TEST_NGINX_BINARY"), path("TEST_NGINX_MODULE"));
            let output = Command::new(&binary).arg("-V").output().expect("TEST_NGINX_BINARY runs");
            let build = String::from_utf8_lossy(&output.stderr).into_owned();
            let version = build.lines().find_map(|line| line.strip_prefix("nginx version: nginx/"));
            let version =
                version.expect("a version").split(['.', ' ']).map_while(|n| n.parse().ok()).collect();
            Flavour { binary, module, build, version }
        })
    }
}

pub struct Nginx {
    child: Child,
    /// The master, once it has left the process that was started.
    daemon: Option<u32>,
    dir: TempDir,
    ports: Vec<u16>,
    expected: Vec<String>,
}

impl Nginx {
    pub(crate) fn start(config: Config) -> Nginx {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let (dir, mut ports) = (temp_dir(), Vec::new());
            config.write(dir.path(), &mut ports);
            let child = spawn(dir.path(), &config.environment);
            let mut nginx = Nginx { child, daemon: None, dir, ports, expected: config.expected.clone() };
            match nginx.wait_until_ready(&config) {
                Ok(()) => return nginx,
                // Somebody else took the port.
                Err(log) if log.contains("Address already in use") && attempts < 3 => {
                    nginx.expected.extend(["bind()", "still could not bind"].map(str::to_owned));
                }
                Err(log) => panic!("nginx does not start:\n{log}"),
            }
        }
    }

    /// Waits for the pid file, which nginx writes once it listens everywhere, and for the workers.
    fn wait_until_ready(&mut self, config: &Config) -> Result<(), String> {
        wait_for("nginx to start", || {
            match self.child.try_wait().unwrap() {
                Some(status) if config.daemon && status.success() => {
                    self.daemon = self.file("nginx.pid").trim().parse().ok();
                    return self.daemon.map(|_| Ok(()));
                }
                Some(_) => return Some(Err(self.file("stderr.log") + &self.error_log())),
                None => {}
            }
            let is_there = !config.daemon && self.file("nginx.pid").trim() == self.master_pid().to_string();
            is_there.then_some(Ok(()))
        })?;
        wait_for("the workers", || (self.worker_pids().len() == config.workers_wanted()).then_some(()));
        Ok(())
    }

    pub fn port(&self) -> u16 {
        self.ports[0]
    }

    /// The port of `@PORT2@` (2), `@PORT3@` (3) and so on.
    pub fn other_port(&self, number: usize) -> u16 {
        self.ports[number - 1]
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A file of the test's directory; empty when it is not there.
    pub fn file(&self, name: &str) -> String {
        std::fs::read(self.dir().join(name))
            .map(|b| String::from_utf8_lossy(&b).into_owned())
            .unwrap_or_default()
    }

    /// The lines of a log once there are `count`: nginx writes them after the answer has gone.
    pub fn log_lines(&self, name: &str, count: usize) -> Vec<String> {
        wait_for(&format!("{count} lines in {name}"), || {
            let text = self.file(name);
            (text.lines().count() >= count && text.ends_with('\n')).then_some(text)
        })
        .lines()
        .map(str::to_owned)
        .collect()
    }

    pub fn error_log(&self) -> String {
        self.file("error.log")
    }

    pub fn wait_log(&self, fragment: &str) {
        wait_for(&format!("\"{fragment}\" in error.log"), || {
            self.error_log().contains(fragment).then_some(())
        });
    }

    pub fn connect(&self) -> Connection {
        Connection::open(self.port()).expect("nginx accepts")
    }

    /// One request over a connection of its own.
    pub fn fetch(&self, request: Request) -> Response {
        self.connect().fetch(&request.header("Connection", "close"))
    }

    pub fn get(&self, target: &str) -> Response {
        self.fetch(Request::get(target))
    }

    /// The body of the answer to a GET.
    pub fn text(&self, target: &str) -> String {
        self.get(target).text()
    }

    pub fn master_pid(&self) -> u32 {
        self.daemon.unwrap_or_else(|| self.child.id())
    }

    /// The workers that the master started and has not seen exit, by its notices in error.log.
    pub fn worker_pids(&self) -> BTreeSet<u32> {
        let log = self.error_log();
        let after = |mark: &str| -> BTreeSet<u32> {
            let number = |rest: &str| rest.split(' ').next().and_then(|word| word.trim().parse().ok());
            log.lines()
                .filter_map(|line| line.split_once(mark))
                .filter_map(|(_, rest)| number(rest))
                .collect()
        };
        let ended =
            after("worker process ").into_iter().filter(|pid| log.contains(&format!(" {pid} exited ")));
        let ended: BTreeSet<u32> = ended.collect();
        after("start worker process ").difference(&ended).copied().collect()
    }

    /// Loads another configuration and returns once no old worker accepts connections any more.
    pub fn reload(&mut self, config: &Config) {
        config.write(self.dir.path(), &mut self.ports);
        let (old, before) = (self.worker_pids(), self.error_log().len());
        signal(self.master_pid(), Signal::HUP);
        wait_for("the reload", || {
            let log = self.error_log();
            assert!(!log[before..].contains("[emerg]"), "the reload was refused:\n{}", &log[before..]);
            // Logged just before the worker closes its listening sockets, on its only thread.
            let left = |pid: &u32| {
                log.contains(&format!("{pid}#{pid}: gracefully shutting down"))
                    || log.contains(&format!("worker process {pid} exited"))
            };
            old.iter().all(left).then_some(())
        });
    }

    /// Asks for a reload with a configuration that nginx refuses; returns what it logged, which is no fault.
    pub fn reload_refused(&mut self, config: &Config) -> String {
        config.write(self.dir.path(), &mut self.ports);
        let before = self.error_log().len();
        signal(self.master_pid(), Signal::HUP);
        let said = wait_for("the refusal", || {
            let log = self.error_log();
            log[before..].contains("[emerg]").then(|| log[before..].to_owned())
        });
        self.expected.extend(said.lines().map(str::to_owned));
        said
    }

    /// Resident memory of a process in KiB.
    pub fn memory(&self, pid: u32) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    fn is_gone(&mut self) -> bool {
        match self.daemon {
            Some(pid) => !is_running(pid),
            None => self.child.try_wait().unwrap().is_some(),
        }
    }

    fn stop(&mut self) {
        if self.is_gone() {
            return;
        }
        signal(self.master_pid(), Signal::TERM);
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if self.is_gone() {
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        for pid in self.worker_pids() {
            signal(pid, Signal::KILL);
        }
        signal(self.master_pid(), Signal::KILL);
        self.child.wait().unwrap();
    }

    /// Lines that no healthy run logs.
    fn faults(&self) -> Vec<String> {
        let log = self.error_log() + &self.file("stderr.log");
        let bad = |line: &&str| {
            ["[alert]", "[emerg]", "panicked", "Sanitizer"].iter().any(|mark| line.contains(mark))
                && !self.expected.iter().any(|fragment| line.contains(fragment.as_str()))
        };
        log.lines().filter(bad).map(str::to_owned).collect()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            let log = self.error_log();
            let tail: Vec<&str> = log.lines().rev().take(20).collect();
            eprintln!("the last lines of error.log:");
            tail.iter().rev().for_each(|line| eprintln!("  {line}"));
            return;
        }
        let faults = self.faults();
        assert!(faults.is_empty(), "nginx logged:\n{}", faults.join("\n"));
    }
}

fn spawn(dir: &Path, environment: &[(String, String)]) -> Child {
    let stderr = File::create(dir.join("stderr.log")).unwrap();
    let mut command = Command::new(&Flavour::get().binary);
    command.arg("-e").arg(dir.join("error.log")).arg("-p").arg(dir).arg("-c").arg(dir.join("nginx.conf"));
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr).spawn().expect("nginx runs")
}

/// Sends a signal; a process that is gone already is no error.
pub fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// Whether a process is there and has not ended: one that nobody has waited for has no command line any more.
pub fn is_running(pid: u32) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

/// A port that is free now, below the range that the kernel gives to outgoing connections.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let seed = std::process::id().wrapping_mul(97);
    loop {
        let offset = seed.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
        let port = 20_000 + offset as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
