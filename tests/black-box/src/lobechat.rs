//! Two real LobeChat releases, with Auth.js log-in or without, from a directory outside the project: scripts/test tells
//! where it is. Everything they write goes to a temporary directory.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use openssl::hash::MessageDigest;
use openssl::md::Md;
use openssl::pkey::{Id, PKey};
use openssl::pkey_ctx::PkeyCtx;
use openssl::sign::Signer;
use openssl::symm::{Cipher, encrypt};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::PATIENCE;
use crate::config::temp_dir;
use crate::nginx::{free_port, signal};
use crate::token::base64url;

/// The session cookie of Auth.js where there is no TLS.
pub const COOKIE: &str = "authjs.session-token";

/// Starts the servers, and stops them once the test has closed its pipe, be it by dying. Runs in a process
/// group of its own, so that Ctrl-C does not end it together with the test.
const GUARD: &str = r#""$0" start "$@" </dev/null && read -r _; "$0" stop "$1""#;

/// Both servers. They end when this is dropped, and also when the test's process dies.
pub struct LobeChat {
    /// Of 1.34.6 and of 1.50.0.
    pub ports: [u16; 2],
    dir: TempDir,
    guard: Child,
}

/// The directory with the `lobechat` script. Says so, past the test runner's capture, when there is none.
pub fn find() -> Option<PathBuf> {
    let dir = std::env::var_os("TEST_LOBECHAT").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    if dir.is_none() {
        let _ = writeln!(std::io::stderr(), "skipped: TEST_LOBECHAT is not set; scripts/test sets it");
    }
    dir
}

impl LobeChat {
    /// Unpacks and starts both with log-in; returns when they serve pages.
    pub fn start(from: &Path, secret: &str) -> LobeChat {
        // Nobody asks GitHub here, but the provider that is taken otherwise needs more settings to come up.
        let secret = format!("NEXT_AUTH_SECRET={secret}");
        LobeChat::start_with(from, &[&secret, "NEXT_AUTH_SSO_PROVIDERS=github"])
    }

    /// The same without log-in.
    pub fn start_open(from: &Path) -> LobeChat {
        LobeChat::start_with(from, &[])
    }

    fn start_with(from: &Path, settings: &[&str]) -> LobeChat {
        let (ports, dir) = ([free_port(), free_port()], temp_dir());
        let mut command = Command::new("sh");
        command.args(["-c", GUARD]).arg(from.join("lobechat")).arg(dir.path());
        command.args(ports.map(|port| port.to_string())).args(settings);
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let guard = command.spawn().expect("sh runs");
        let mut lobechat = LobeChat { ports, dir, guard };
        let mut line = String::new();
        let output = lobechat.guard.stdout.take().expect("a pipe");
        BufReader::new(output).read_line(&mut line).expect("the guard's output");
        assert!(line.starts_with("LobeChat 1.34.6 on"), "LobeChat does not start: see above");
        lobechat
    }

    /// Where the two servers were unpacked to.
    pub fn builds(&self) -> [PathBuf; 2] {
        ["1.34.6", "1.50.0"].map(|version| self.dir.path().join(version))
    }

    fn files(&self, extension: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.dir.path()).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.path())
            .filter(|path| path.extension() == Some(OsStr::new(extension)))
            .collect()
    }

    /// What the servers said last.
    fn print_logs(&self) {
        for path in self.files("log") {
            let text = std::fs::read(&path).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            eprintln!("the last lines of {}:", path.display());
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(10)..].iter().for_each(|line| eprintln!("  {line}"));
        }
    }
}

impl Drop for LobeChat {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.print_logs();
        }
        let number = |path: &PathBuf| std::fs::read_to_string(path).ok()?.trim().parse().ok();
        let pids: Vec<u32> = self.files("pid").iter().filter_map(number).collect();
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
        let start = Instant::now();
        while pids.iter().any(|&pid| runs(pid)) && start.elapsed() < PATIENCE {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        pids.into_iter().filter(|&pid| runs(pid)).for_each(|pid| signal(pid, Signal::KILL));
    }
}

/// A process that has ended has no command line, even if nobody waits for it.
fn runs(pid: u32) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

/// Seals a session as Auth.js does for the plain cookie (JWE, `dir` with A256CBC-HS512; RFC 7518 section
/// 5.2): LobeChat itself logs nobody in without an OAuth provider.
pub fn seal(secret: &str, claims: &Value) -> String {
    let key = derive(secret);
    let (mac, cipher) = key.split_at(32);
    let header = base64url(br#"{"alg":"dir","enc":"A256CBC-HS512"}"#);
    let mut iv = [0; 16];
    openssl::rand::rand_bytes(&mut iv).unwrap();
    let text = encrypt(Cipher::aes_256_cbc(), cipher, Some(&iv), claims.to_string().as_bytes()).unwrap();
    let bits = (header.len() as u64 * 8).to_be_bytes();
    let signed = [header.as_bytes(), &iv, &text, &bits].concat();
    let mac = PKey::hmac(mac).unwrap();
    let tag = Signer::new(MessageDigest::sha512(), &mac).unwrap().sign_oneshot_to_vec(&signed).unwrap();
    format!("{header}..{}.{}.{}", base64url(&iv), base64url(&text), base64url(&tag[..32]))
}

fn derive(secret: &str) -> [u8; 64] {
    let mut context = PkeyCtx::new_id(Id::HKDF).unwrap();
    context.derive_init().unwrap();
    context.set_hkdf_md(Md::sha256()).unwrap();
    context.set_hkdf_key(secret.as_bytes()).unwrap();
    context.set_hkdf_salt(COOKIE.as_bytes()).unwrap();
    let info = format!("Auth.js Generated Encryption Key ({COOKIE})");
    context.add_hkdf_info(info.as_bytes()).unwrap();
    let mut key = [0; 64];
    context.derive(Some(&mut key)).unwrap();
    key
}
