//! Puts a configuration in force in the master: what it says, and what the zone, the zone before or the state file know
//! of its releases. `nginx -t` only says what a reload would do.

use core::sync::atomic::Ordering::Relaxed;
use std::path::Path;

use nginx_sys::*;

use super::conf::{MainConf, PolicyConf, main_conf};
use super::ext::{log_at, write_log};
use super::request::now;
use super::worker::Worker;
use super::zone::{SavedTo, ZoneConf};
use crate::control::{Control, Reloaded, State};
use crate::cookie_keys::CookieKeys;
use crate::percent::Percent;
use crate::state_file::{self, Found, SavedPolicy, StateFile};
use crate::zone::Zone;

/// Called once the configuration is complete, in `nginx -t` too.
pub fn run(cycle: *mut ngx_cycle_t) {
    let Some(main) = main_conf(cycle) else {
        return;
    };
    let Some(conf) = &main.zone else {
        return;
    };
    // SAFETY: the cycle's log is live.
    let log = unsafe { (*cycle).log };
    // What a running nginx has goes first.
    let zone = conf.zone().filter(|zone| !zone.is_new());
    let is_running = zone.is_some() || conf.zone_before().is_some();
    let saved = read_state(conf, is_running, log);
    // SAFETY: set once, as nginx starts.
    if unsafe { ngx_test_config } != 0 {
        check_directory(cycle, conf, log);
        return main.policies().for_each(|policy| foresee(policy, saved.as_deref(), log));
    }
    let Some(zone) = conf.zone() else {
        return;
    };
    writer();
    conf.locked(|| start(main, conf, &zone, saved.as_deref(), log));
}

/// `None`: there is no file yet, or none that can be used.
fn read_state(conf: &ZoneConf, is_running: bool, log: *mut ngx_log_t) -> Option<Box<StateFile>> {
    let SavedTo::File(path) = &conf.saved_to else {
        return None;
    };
    match state_file::read(Path::new(path)) {
        Found::Nothing => None,
        Found::Good(state) => Some(state),
        Found::Damaged(why) => {
            let instead = match is_running {
                true => "releases stay as they are",
                false => "releases begin as the configuration has them",
            };
            let message = format!(
                "state file \"{path}\" is not used, {why}: {instead}, and it is set aside when the next one is written"
            );
            log_at(log, NGX_LOG_ERR, &message, &conf.place);
            None
        }
    }
}

/// The directory, in which the driver makes a new file each time, must be a worker's to write.
fn check_directory(cycle: *mut ngx_cycle_t, conf: &ZoneConf, log: *mut ngx_log_t) {
    let SavedTo::File(path) = &conf.saved_to else {
        return;
    };
    let directory = Path::new(path).parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    let shown = directory.display();
    if !directory.is_dir() {
        let owner = Worker::of(cycle).map_or(String::new(), |worker| format!(" -o {}", worker.name));
        let message = format!(
            "there is no directory \"{shown}\" for the state file: write \"install -d -m 700{owner} {shown}\""
        );
        return log_at(log, NGX_LOG_WARN, &message, &conf.place);
    }
    if let Some(worker) = Worker::of(cycle)
        && let Some(obstacle) = worker.obstacle(directory, 0o3)
    {
        let (name, obstacle) = (&worker.name, obstacle.display());
        let message = format!(
            "a worker, which runs as \"{name}\", cannot write the state file in \"{shown}\": write \"chown {name} {obstacle}\""
        );
        log_at(log, NGX_LOG_WARN, &message, &conf.place);
    }
}

/// Says whether a reload would move users.
fn foresee(conf: &PolicyConf, saved: Option<&StateFile>, log: *mut ngx_log_t) {
    let stored = saved.and_then(|saved| saved.policies.get(&conf.policy.name));
    let reloaded = Control::reload(&conf.policy, stored.map(|saved| &saved.control), now());
    warn_of_moves(conf, &reloaded, "a reload will move", log);
    warn_of_burst(conf, &reloaded.control, log);
}

fn warn_of_moves(conf: &PolicyConf, reloaded: &Reloaded, what: &str, log: *mut ngx_log_t) {
    if reloaded.in_use && reloaded.moved > Percent::ZERO {
        let message = format!(
            "policy \"{}\": {what} {} of its users to another release: {}",
            conf.policy.name, reloaded.moved, reloaded.because
        );
        log_at(log, NGX_LOG_WARN, &message, &conf.place);
    }
}

/// Where nobody is dealt to a release, or everybody, there is nothing to compare.
fn warn_of_burst(conf: &PolicyConf, control: &Control, log: *mut ngx_log_t) {
    let policy = &conf.policy;
    if policy.rollback.is_none() {
        return;
    }
    for (name, release) in policy.releases.iter().enumerate().skip(1) {
        let Some(standing) = control.declared().get(control.line_of(name)) else {
            continue;
        };
        let is_routed = policy.routes.iter().any(|route| route.release == name);
        let why = match standing.weight {
            Percent::FULL => "gets all users, so that stable has none to compare with",
            Percent::ZERO if is_routed && standing.state == State::Up && standing.ramp.is_none() => {
                "gets routed users alone, who are not compared with those of stable"
            }
            _ => continue,
        };
        let message = format!("release \"{}\" {why}: only \"burst\" watches it", release.name);
        log_at(log, NGX_LOG_WARN, &message, &release.place);
    }
}

fn start(main: &MainConf, conf: &ZoneConf, zone: &Zone<'_>, saved: Option<&StateFile>, log: *mut ngx_log_t) {
    let before = conf.zone_before();
    if zone.is_new() {
        begin(zone, before.as_ref(), saved);
        before.inspect(|before| before.header.lease.retire());
    }
    zone.begin_cycle();
    for policy in main.policies() {
        let name = &policy.policy.name;
        let carried = before.and_then(|before| before.saved_policy(name));
        let saved = carried.as_ref().or_else(|| saved.and_then(|saved| saved.policies.get(name)));
        start_policy(policy, zone, saved, log);
        use_key(policy, zone);
    }
}

/// What belongs to no policy, in a zone that is new.
fn begin(zone: &Zone<'_>, before: Option<&Zone<'_>>, saved: Option<&StateFile>) {
    match (before, saved) {
        (Some(before), _) => {
            zone.header.cookie_key.store(&before.header.cookie_key.load());
            let events = before.events_after(0).into_iter();
            let events: Vec<_> = events.filter_map(|(_, text)| serde_json::from_slice(&text).ok()).collect();
            zone.restore_events(&events);
        }
        (None, Some(saved)) => {
            zone.header.cookie_key.store(&saved.cookie_key.unwrap_or_default());
            zone.restore_events(&saved.events);
        }
        (None, None) => {}
    }
}

fn start_policy(conf: &PolicyConf, zone: &Zone<'_>, saved: Option<&SavedPolicy>, log: *mut ngx_log_t) {
    match zone.start(&conf.policy, saved, now()) {
        Err(why) => {
            let message =
                format!("policy \"{}\" runs as its file says and is not counted: {why}", conf.policy.name);
            log_at(log, NGX_LOG_ERR, &message, &conf.place);
        }
        Ok(started) => {
            conf.shared.find(zone, started.policy, &started.generations);
            // Workers are born with it.
            drop(conf.shared.refreshed(&conf.policy));
            started.reloaded.notices.iter().for_each(|notice| write_log(log, NGX_LOG_NOTICE, notice));
            warn_of_moves(conf, &started.reloaded, "this configuration moves", log);
        }
    }
}

/// Where no file has a key for cookies, the zone keeps a random one, and the state file with it.
fn use_key(conf: &PolicyConf, zone: &Zone<'_>) {
    let Some(key) = conf.policy.random_key else {
        return;
    };
    let mut words = zone.header.cookie_key.load();
    if words == [0; 4] {
        let (chunks, _) = key.as_chunks::<8>();
        words = core::array::from_fn(|index| u64::from_be_bytes(chunks[index]));
        zone.header.cookie_key.store(&words);
    }
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    if let Some(keys) = bytes.first_chunk().and_then(|key| CookieKeys::random(key).ok()) {
        conf.policy.cookie_keys.replace(keys);
    }
}

/// When this nginx began, by the time of its first configuration, which a reload does not change.
pub fn writer() -> state_file::Writer {
    static STARTED: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    // SAFETY: set as nginx starts; workers have their master's as parent.
    let master =
        unsafe { if ngx_process == NGX_PROCESS_SINGLE as ngx_uint_t { ngx_pid } else { ngx_parent } };
    state_file::Writer { started: *STARTED.get_or_init(now), pid: u32::try_from(master).unwrap_or_default() }
}

/// Whether a snapshot on disk has what is in force.
pub fn is_persisted(conf: &PolicyConf, epoch: u64) -> bool {
    conf.shared.policy().is_some_and(|slot| slot.persisted.load(Relaxed) >= epoch)
}
