//! Files with keys: read by the master with the configuration, and again by each worker, with its own rights, when they
//! have changed. Each tick looks at them, twice a second: a stat, as nginx itself does for its open file cache,
//! and for a change the read of a small file. Requests never wait for it.

use std::cell::Cell;
use std::fs::Metadata;
use std::io::Error;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nginx_sys::*;

use super::conf::{MainConf, PolicyConf, main_conf};
use super::ext::{log_at, write_log};
use super::worker::Worker;
use crate::config::KeyFile;
use crate::policy::KeyUser;
use crate::regular_file;

/// More than any set of keys; MiB.
const LARGEST: u64 = 1;

/// What tells one state of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    modified: (i64, i64),
    /// Changes with the rights, too.
    changed: (i64, i64),
    length: u64,
    inode: (u64, u64),
}

/// A file that a worker watches.
pub struct Watched {
    file: KeyFile,
    user: KeyUser,
    /// The state that was read, or could not be; `None`: there is no file.
    done: Cell<Option<Stamp>>,
    /// The state at the last look. A change is taken up at the second look that finds the same, so that nothing is read that
    /// is still being written.
    seen: Cell<Option<Stamp>>,
}

impl Watched {
    /// `stamp` is the file's state when the master read it.
    pub fn new(file: KeyFile, user: KeyUser, stamp: Stamp) -> Watched {
        Watched { file, user, done: Cell::new(Some(stamp)), seen: Cell::new(Some(stamp)) }
    }
}

/// Reads a key file, with the state that it is in.
pub fn read(path: &str) -> Result<(Vec<u8>, Stamp, u32), Error> {
    let (text, metadata) = regular_file::read(Path::new(path), LARGEST)?;
    Ok((text, Stamp::of(&metadata), metadata.mode()))
}

impl Stamp {
    fn of(metadata: &Metadata) -> Stamp {
        Stamp {
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            length: metadata.size(),
            inode: (metadata.dev(), metadata.ino()),
        }
    }
}

/// Called as a process begins. Whether there are files to watch.
pub fn start(cycle: *mut ngx_cycle_t) -> bool {
    // A file may have changed between the master's look and now.
    let mut watched = false;
    for_each(cycle, |conf, file| {
        watched = true;
        look(conf, file, true);
    });
    watched
}

pub fn tick() {
    // SAFETY: ngx_cycle is the cycle that this process serves.
    for_each(unsafe { ngx_cycle }, |conf, watched| look(conf, watched, false));
}

fn for_each(cycle: *const ngx_cycle_t, mut visit: impl FnMut(&PolicyConf, &Watched)) {
    for conf in main_conf(cycle).into_iter().flat_map(MainConf::policies) {
        conf.watched.iter().for_each(|watched| visit(conf, watched));
    }
}

fn look(conf: &PolicyConf, watched: &Watched, at_once: bool) {
    let Watched { file, user, done, seen } = watched;
    let stamp = std::fs::metadata(&file.path).ok().map(|metadata| Stamp::of(&metadata));
    if at_once && stamp.is_none() {
        // `nginx -t` has said which rights are missing.
        done.set(None);
    }
    let settled = seen.replace(stamp) == stamp || at_once;
    if stamp == done.get() || !settled {
        return;
    }
    done.set(stamp);
    let result = read(&file.path).map_err(|error| error.to_string());
    let (level, message) = match result.and_then(|(text, ..)| conf.policy.load_keys(*user, &text)) {
        Ok(warnings) => {
            warnings.iter().for_each(|warning| {
                report(NGX_LOG_WARN, &format!("in key file \"{}\", {warning}", file.path));
            });
            (NGX_LOG_NOTICE, format!("key file \"{}\" has changed and was read again", file.path))
        }
        Err(why) => (
            NGX_LOG_ERR,
            format!("key file \"{}\" has changed, but its old keys stay in force: {why}", file.path),
        ),
    };
    report(level, &message);
}

/// What each worker finds, one of them says.
fn report(level: u32, message: &str) {
    // SAFETY: both are set before a process serves requests; the cycle's log is live.
    let (worker, log) = unsafe { (ngx_worker, (*ngx_cycle).log) };
    write_log(log, if worker == 0 { level } else { NGX_LOG_INFO }, message);
}

/// Called in the master, and by `nginx -t`: warns of files that workers will not be able to read again.
pub fn warn(cycle: *mut ngx_cycle_t) {
    let Some(worker) = Worker::of(cycle) else {
        return;
    };
    for_each(cycle, |_, watched| {
        if let Some(obstacle) = worker.obstacle(Path::new(&watched.file.path), 0o4) {
            let message = advice(&worker, &watched.file.path, obstacle);
            // SAFETY: the cycle's log is live.
            log_at(unsafe { (*cycle).log }, NGX_LOG_WARN, &message, &watched.file.place);
        }
    });
}

fn advice(worker: &Worker, path: &str, obstacle: &Path) -> String {
    let (name, obstacle) = (&worker.name, obstacle.display());
    let mode = if obstacle.to_string() == path { "640" } else { "g+x" };
    format!(
        "a worker, which runs as \"{name}\", cannot read key file \"{path}\" again when it changes: re-reading needs \"chgrp {name} {obstacle}; chmod {mode} {obstacle}\""
    )
}
