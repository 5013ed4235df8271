//! A directory for state files that outlives the nginx that writes there.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;

use crate::api;
use crate::config::{Config, temp_dir};

/// The number of `www-data` on Debian.
const WWW_DATA: u32 = 33;

/// Two workers of `www-data`, three releases behind a policy `chat` with these lines, and the API.
pub fn config(zone: &str, lines: &str) -> Config {
    Config::new()
        .workers(2)
        .user("www-data")
        .releases(&["a", "b", "c"])
        .http(zone)
        .server(&format!(
            "lobechat_canary chat {{ {lines} }} location / {{ proxy_pass http://lobechat_canary; }}"
        ))
        .server("add_header X-Reason $lobechat_canary_reason always;")
        .server(&api::location("write"))
}

pub struct StateDir {
    dir: TempDir,
}

impl Default for StateDir {
    fn default() -> StateDir {
        StateDir::new()
    }
}

impl StateDir {
    /// Where only `www-data` may write, as the README has it.
    pub fn new() -> StateDir {
        let state = StateDir { dir: temp_dir() };
        std::fs::set_permissions(state.dir.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        state.give_to(WWW_DATA);
        state
    }

    pub fn give_to(&self, user: u32) {
        chown(self.dir.path(), Some(user), Some(user)).unwrap();
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().join("state.json")
    }

    /// `lobechat_canary_zone …` with the state file here.
    pub fn zone(&self, size: &str) -> String {
        format!("lobechat_canary_zone lobechat_canary:{size} state={};", self.path().display())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.path()).unwrap_or_default()).unwrap_or_default()
    }

    /// The names of all that is there, sorted.
    pub fn names(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.dir.path()).unwrap();
        let mut names: Vec<_> = names.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}
