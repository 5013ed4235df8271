//! Files with keys: read by the master with the configuration, and again by each worker, with its own rights, when they
//! have changed. A timer looks at them twice a second: a stat, as nginx itself does for its open file cache,
//! and for a change the read of a small file. Requests never wait for it.

use core::ffi::{CStr, c_char};
use std::cell::Cell;
use std::fs::Metadata;
use std::io::{Error, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nginx_sys::*;

use super::conf::{MainConf, PolicyConf};
use super::context_index;
use super::ext::{log_at, write_log};
use super::guard::guard;
use super::shim::canary_every;
use crate::config::KeyFile;
use crate::policy::KeyUser;

/// Milliseconds between two looks. A change is taken up at the second look that finds the same, so that nothing
/// is read that is still being written.
const INTERVAL: ngx_msec_t = 500;

/// More than any set of keys; bytes.
const LARGEST: u64 = 1 << 20;

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
    /// The state at the last look.
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
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(Error::new(ErrorKind::InvalidInput, "it is no regular file"));
    }
    let mut text = Vec::new();
    std::fs::File::open(path)?.take(LARGEST + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LARGEST {
        return Err(Error::new(ErrorKind::FileTooLarge, "it is larger than 1 MiB"));
    }
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

/// Called in each process that serves requests, once it has its rights.
pub extern "C" fn init_process(cycle: *mut ngx_cycle_t) -> ngx_int_t {
    guard(NGX_OK as ngx_int_t, || {
        // SAFETY: set before a process begins its work. Those that tend caches serve no requests.
        if unsafe { ngx_process } == NGX_PROCESS_HELPER as ngx_uint_t {
            return NGX_OK as ngx_int_t;
        }
        // A file may have changed between the master's look and now.
        let mut watched = false;
        for_each(cycle, |conf, file| {
            watched = true;
            look(conf, file, true);
        });
        // Each timer more costs each request a few instructions.
        if watched {
            // SAFETY: nginx has set up its timers by now; `tick` is there as long as the module.
            unsafe { canary_every(INTERVAL, Some(tick)) };
        }
        NGX_OK as ngx_int_t
    })
}

extern "C" fn tick() {
    // SAFETY: ngx_cycle is the cycle that this process serves.
    guard((), || for_each(unsafe { ngx_cycle }, |conf, watched| look(conf, watched, false)));
}

fn for_each(cycle: *const ngx_cycle_t, mut visit: impl FnMut(&PolicyConf, &Watched)) {
    for conf in main_conf(cycle).into_iter().flat_map(MainConf::policies) {
        conf.watched.iter().for_each(|watched| visit(conf, watched));
    }
}

/// `None` for a configuration without an http block.
fn main_conf<'a>(cycle: *const ngx_cycle_t) -> Option<&'a MainConf> {
    // SAFETY: a cycle has a slot for each core module; that of http is null without its block, and has else a
    // slot for each HTTP module, which create_main_conf has filled.
    unsafe {
        let http = (*(*cycle).conf_ctx.add(ngx_http_module.index)).cast::<ngx_http_conf_ctx_t>();
        Some(&*(*http.as_ref()?.main_conf.add(context_index())).cast())
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

/// Called in the master, and by `nginx -t`, once the configuration is complete: warns of files that workers will not be
/// able to read again.
pub extern "C" fn init_module(cycle: *mut ngx_cycle_t) -> ngx_int_t {
    guard(NGX_OK as ngx_int_t, || {
        // SAFETY: the core module has made its configuration.
        let core =
            unsafe { &*(*(*cycle).conf_ctx.add(ngx_core_module.index).cast::<*const ngx_core_conf_t>()) };
        // SAFETY: geteuid has no conditions. Only root can give workers other rights than its own.
        if unsafe { geteuid() } == 0 && core.user != 0 {
            let worker = Worker::new(core);
            for_each(cycle, |_, watched| {
                if let Some(obstacle) = worker.obstacle(Path::new(&watched.file.path)) {
                    let message = worker.advice(&watched.file.path, obstacle);
                    // SAFETY: the cycle's log is live.
                    log_at(unsafe { (*cycle).log }, NGX_LOG_WARN, &message, &watched.file.place);
                }
            });
        }
        NGX_OK as ngx_int_t
    })
}

/// The rights of a worker.
struct Worker {
    name: String,
    user: u32,
    groups: Vec<u32>,
}

impl Worker {
    fn new(core: &ngx_core_conf_t) -> Worker {
        let mut groups: [gid_t; 64] = [core.group; 64];
        let mut count = groups.len() as i32;
        let username: *const c_char = core.username;
        // SAFETY: username is null or a name that lives as long as the configuration; count says how much room there is.
        let name = unsafe {
            if username.is_null() {
                return Worker { name: core.user.to_string(), user: core.user, groups: vec![core.group] };
            }
            if getgrouplist(username, core.group, groups.as_mut_ptr(), &raw mut count) < 0 {
                count = groups.len() as i32;
            }
            CStr::from_ptr(username).to_string_lossy().into_owned()
        };
        let count = usize::try_from(count).unwrap_or_default().min(groups.len());
        Worker { name, user: core.user, groups: groups[..count].to_vec() }
    }

    /// The file, or the first directory above it, that this worker has no way into.
    fn obstacle<'p>(&self, path: &'p Path) -> Option<&'p Path> {
        let above = path.ancestors().skip(1).filter(|dir| !self.may(dir, 0o1)).last();
        above.or_else(|| (!self.may(path, 0o4)).then_some(path))
    }

    fn may(&self, path: &Path, right: u32) -> bool {
        let Ok(metadata) = std::fs::metadata(path) else {
            return true; // said elsewhere
        };
        let shift = match () {
            () if metadata.uid() == self.user => 6,
            () if self.groups.contains(&metadata.gid()) => 3,
            () => 0,
        };
        metadata.mode() >> shift & right != 0
    }

    fn advice(&self, path: &str, obstacle: &Path) -> String {
        let (name, obstacle) = (&self.name, obstacle.display());
        let mode = if obstacle.to_string() == path { "640" } else { "g+x" };
        format!(
            "a worker, which runs as \"{name}\", cannot read key file \"{path}\" again when it changes: re-reading needs \"chgrp {name} {obstacle}; chmod {mode} {obstacle}\""
        )
    }
}
