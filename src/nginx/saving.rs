//! Saves the zone in the state file: in a thread of nginx's pool, so that nobody waits for the disk. Used by the driver.

use core::cell::Cell;
use core::ffi::c_void;
use core::sync::atomic::Ordering::Relaxed;
use std::path::PathBuf;

use nginx_sys::*;

use super::conf::MainConf;
use super::ext::write_log;
use super::guard::guard;
use super::put_in_force::writer;
use super::request::now;
use super::shim::canary_in_thread;
use super::zone::{SavedTo, ZoneConf};
use crate::duration::Seconds;
use crate::state_file::{self, NotSaved, StateFile};
use crate::zone::Zone;

/// Seconds between two snapshots where nothing but counters has changed.
const INTERVAL: Seconds = 10;

/// Seconds between two tries after a failure, and between two complaints.
const RETRY: Seconds = 5;
const COMPLAINT: Seconds = 60;

#[derive(Default)]
pub struct Saving {
    /// Whether a thread is at it.
    is_busy: Cell<bool>,
    last: Cell<Seconds>,
    failed: Cell<Seconds>,
    complained: Cell<Seconds>,
}

/// What a thread is given, and what it brings back.
struct Job {
    path: PathBuf,
    state: StateFile,
    result: Result<(), NotSaved>,
    saving: *const Saving,
}

impl Saving {
    /// Begins to save if something has changed or it is time for a snapshot.
    pub fn save(&self, main: &MainConf, conf: &ZoneConf, zone: &Zone<'_>) {
        let SavedTo::File(path) = &conf.saved_to else {
            return;
        };
        let now = now();
        let is_due = now >= self.last.get() + INTERVAL
            || main.policies().any(|policy| {
                policy.shared.policy().is_some_and(|slot| slot.epoch() != slot.persisted.load(Relaxed))
            });
        let Some(pool) =
            conf.threads.filter(|_| is_due && !self.is_busy.get() && now >= self.failed.get() + RETRY)
        else {
            return;
        };
        let state = snapshot(main, conf, zone, now);
        let job = Box::new(Job { path: path.into(), state, result: Ok(()), saving: self });
        let data = Box::into_raw(job).cast();
        // SAFETY: the job is the thread's until `done` takes it back; Saving lives as long as this thread.
        if unsafe { canary_in_thread(pool.as_ptr(), data, Some(work), Some(done)) } == NGX_OK as ngx_int_t {
            self.is_busy.set(true);
        } else {
            // SAFETY: neither work nor done will run.
            drop(unsafe { Box::from_raw(data.cast::<Job>()) });
            self.failed.set(now);
        }
    }

    /// Saves at once, as a process ends: its threads have ended by now, and what they were at is on disk.
    pub fn save_now(&self, main: &MainConf, conf: &ZoneConf, zone: &Zone<'_>) {
        if let SavedTo::File(path) = &conf.saved_to {
            let state = snapshot(main, conf, zone, now());
            let result = state_file::save(path.as_ref(), state.clone());
            self.note(&state, result);
        }
    }

    fn note(&self, state: &StateFile, result: Result<(), NotSaved>) {
        // SAFETY: ngx_cycle is the cycle that this process serves, and its log is live.
        let (main, log) = unsafe { (super::conf::main_conf(ngx_cycle), (*ngx_cycle).log) };
        let now = now();
        match result {
            Ok(()) => {
                self.last.set(now);
                for (name, saved) in &state.policies {
                    if let Some(slot) = main.and_then(|main| main.find(name.as_bytes())?.shared.policy()) {
                        slot.persisted.store(saved.control.epoch, Relaxed);
                    }
                }
                if self.complained.replace(0) != 0 {
                    write_log(log, NGX_LOG_NOTICE, "the state file is written again");
                }
            }
            Err(error) => {
                self.failed.set(now);
                if now >= self.complained.get() + COMPLAINT {
                    self.complained.set(now);
                    let level = if error.is_fault { NGX_LOG_ERR } else { NGX_LOG_NOTICE };
                    write_log(log, level, &error.sentence);
                }
            }
        }
    }
}

fn snapshot(main: &MainConf, conf: &ZoneConf, zone: &Zone<'_>, now: Seconds) -> StateFile {
    let names: Vec<&str> = main.policies().map(|policy| policy.policy.name.as_str()).collect();
    conf.locked(|| zone.snapshot(&names, writer(), now))
}

/// In a thread: touches nothing but its job and the file.
extern "C" fn work(data: *mut c_void) {
    guard((), || {
        // SAFETY: the job of `save`, which nobody else has now.
        let job = unsafe { &mut *data.cast::<Job>() };
        job.result = state_file::save(&job.path, job.state.clone());
    });
}

/// In the event loop.
extern "C" fn done(data: *mut c_void) {
    guard((), || {
        // SAFETY: the job of `save`, whose thread is through.
        let job = unsafe { Box::from_raw(data.cast::<Job>()) };
        // SAFETY: Saving lives as long as this thread.
        let saving = unsafe { &*job.saving };
        saving.is_busy.set(false);
        saving.note(&job.state, job.result);
    });
}
