//! The `lobechat_canary_zone` directive, and nginx's side of the shared memory: how it comes to be, its lock, and the
//! zone of the configuration before when this one gets another.

mod memory;

use core::cell::Cell;
use core::ffi::{c_char, c_void};
use core::ptr;

use nginx_sys::*;

use super::conf::MainConf;
use super::ext::{ConfExt, bytes, log_at, ngx_str, write_log};
use super::guard::guard;
use super::request::now;
use super::shim::canary_thread_pool;
use super::{NGX_CONF_ERROR, NGX_CONF_OK, context_index};
use crate::config::{ConfigError, Place, arity, quote};
use crate::zone::{Header, Layout, Zone, policy_slot};

/// The zone of one configuration.
pub struct ZoneConf {
    shm: *mut ngx_shm_zone_t,
    pub saved_to: SavedTo,
    pub place: Place,
    /// The zone of the configuration before, where it is another one. There until this configuration is in force.
    before: Cell<*const Header>,
    /// For writing the state file.
    pub threads: Option<ptr::NonNull<c_void>>,
}

/// What `state=` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SavedTo {
    Unsaid,
    Off,
    File(String),
}

const FORM: &str = "lobechat_canary_zone name:size [state=file|off]";
const DEFAULT: &[u8] = b"lobechat_canary";
const DEFAULT_SIZE: usize = 1 << 20;

/// Handles `lobechat_canary_zone`.
pub extern "C" fn directive(cf: *mut ngx_conf_t, _: *mut ngx_command_t, _: *mut c_void) -> *mut c_char {
    guard(NGX_CONF_ERROR, || {
        // SAFETY: nginx passes the configuration that it is reading.
        let cf = unsafe { &mut *cf };
        match read(cf) {
            Ok(true) => NGX_CONF_OK,
            Ok(false) => NGX_CONF_ERROR,
            Err(message) => {
                cf.emerg(&message);
                NGX_CONF_ERROR
            }
        }
    })
}

/// False: nginx has logged an error of its own.
fn read(cf: &mut ngx_conf_t) -> Result<bool, String> {
    // SAFETY: the words live as long as the configuration.
    let words: Vec<&[u8]> = cf.words().iter().map(|&word| unsafe { bytes(word) }).collect();
    let main: &mut MainConf = cf.http_main_conf(context_index());
    if main.zone.is_some() {
        return Err("\"lobechat_canary_zone\" directive is duplicate: all policies share one zone".to_owned());
    }
    let [_, zone, parameters @ ..] = &words[..] else {
        return Err(arity("lobechat_canary_zone", FORM));
    };
    let invalid = || {
        format!(
            "invalid zone {}: write \"{FORM};\", e.g. \"lobechat_canary_zone lobechat_canary:1m;\"",
            quote(zone)
        )
    };
    let colon = memchr::memchr(b':', zone).filter(|&colon| colon > 0).ok_or_else(invalid)?;
    let mut size = ngx_str(&zone[colon + 1..]);
    // SAFETY: the text lives while the directive is handled.
    let size = unsafe { ngx_parse_size(&raw mut size) };
    let size = usize::try_from(size).map_err(|_| invalid())?;
    let mut saved_to = SavedTo::Unsaid;
    for parameter in parameters {
        let value = parameter
            .strip_prefix(b"state=")
            .filter(|value| !value.is_empty() && saved_to == SavedTo::Unsaid);
        saved_to = match value {
            None => {
                return Err(format!(
                    "invalid parameter {} in \"lobechat_canary_zone\" directive: write \"{FORM};\"",
                    quote(parameter)
                ));
            }
            Some(b"off") => SavedTo::Off,
            Some(path) => SavedTo::File(cf.full_name(path)?),
        };
    }
    let place = cf.place();
    Ok(add(cf, &zone[..colon], size, saved_to, place).is_some())
}

/// What policies ask of the zone.
pub fn check(cf: &mut ngx_conf_t) -> Result<(), ConfigError> {
    let main: &MainConf = cf.http_main_conf(context_index());
    if main.zone.as_ref().is_some_and(|zone| zone.saved_to != SavedTo::Unsaid) {
        return Ok(());
    }
    match main.policies().find_map(|conf| Some((conf, conf.policy.needs_state.as_ref()?))) {
        None => Ok(()),
        Some((conf, place)) => Err(ConfigError::at(
            place,
            format!(
                "policy \"{}\" takes releases down or moves weights by itself, which a restart must not undo: write \"lobechat_canary_zone lobechat_canary:1m state=/var/lib/nginx/canary/state.json;\" at http level, or \"state=off\" if it may forget",
                conf.policy.name
            ),
        )),
    }
}

/// Adds the zone that exists without a directive, if there are policies, as large as they need. `None`: nginx has logged
/// why not.
pub fn add_default(cf: &mut ngx_conf_t) -> Option<()> {
    let main: &MainConf = cf.http_main_conf(context_index());
    let (names, generations) = main.slots_wanted();
    let size = kibibytes(Layout::advised(names.len(), generations.len())) * 1024;
    match main.policies().next() {
        Some(policy) if main.zone.is_none() => {
            add(cf, DEFAULT, size.max(DEFAULT_SIZE), SavedTo::Unsaid, policy.place.clone())
        }
        _ => Some(()),
    }
}

fn add(cf: &mut ngx_conf_t, name: &[u8], size: usize, saved_to: SavedTo, place: Place) -> Option<()> {
    let mut name = cf.copy(name)?;
    let main: &mut MainConf = cf.http_main_conf(context_index());
    // SAFETY: nginx keeps the name, which lives as long as the configuration, and the address of this module.
    let zone = unsafe {
        let tag = (&raw mut super::ngx_http_lobechat_canary_module).cast();
        ngx_shared_memory_add(cf, &raw mut name, size, tag).as_mut()
    }?;
    zone.init = Some(init);
    zone.data = ptr::from_mut(main).cast();
    let threads = match saved_to {
        // SAFETY: the configuration is being read.
        SavedTo::File(_) => Some(ptr::NonNull::new(unsafe { canary_thread_pool(cf) })?),
        _ => None,
    };
    main.zone = Some(ZoneConf { shm: zone, saved_to, place, before: Cell::new(ptr::null()), threads });
    Some(())
}

/// The size of a zone with so much room, in KiB: nginx's allocator takes its part.
fn kibibytes(room: usize) -> usize {
    (room + room / 16 + 32 * 1024).div_ceil(64 * 1024) * 64
}

/// Called in the master, and by `nginx -t`, before the configuration is known to be good: what an existing zone holds
/// stays as it is.
extern "C" fn init(shm: *mut ngx_shm_zone_t, old: *mut c_void) -> ngx_int_t {
    guard(NGX_ERROR as ngx_int_t, || {
        // SAFETY: nginx passes the zone that `add` made, whose data is the configuration's.
        let main: &MainConf = unsafe { &*(*shm).data.cast() };
        let Some(conf) = &main.zone else {
            return NGX_ERROR as ngx_int_t;
        };
        match conf.set_up(main, !old.is_null()) {
            Ok(()) => NGX_OK as ngx_int_t,
            Err(message) => {
                // SAFETY: the zone has a log.
                log_at(unsafe { (*shm).shm.log }, NGX_LOG_EMERG, &message, &conf.place);
                NGX_ERROR as ngx_int_t
            }
        }
    })
}

impl ZoneConf {
    fn set_up(&self, main: &MainConf, is_known: bool) -> Result<(), String> {
        let (names, generations) = main.slots_wanted();
        let advised = Layout::advised(names.len(), generations.len());
        // SAFETY: nginx has mapped the zone, and put its allocator at the start.
        let (pool, name, size) = unsafe {
            let shm = &(*self.shm).shm;
            (&mut *shm.addr.cast::<ngx_slab_pool_t>(), String::from_utf8_lossy(bytes(shm.name)), shm.size)
        };
        let larger =
            |least: usize| format!("write \"lobechat_canary_zone {name}:{}k\" or more", kibibytes(least));
        if is_known || !pool.data.is_null() {
            let zone =
                self.zone().ok_or("the zone holds what this module has not written: give it another name")?;
            return match zone.has_room(&names, &generations, now()) {
                true => Ok(()),
                false => Err(format!(
                    "zone \"{name}\" is full: it keeps {} releases, those of the last day included; {}",
                    zone.generations.len(),
                    larger(advised.max(size * 3 / 2))
                )),
            };
        }
        // SAFETY: as above.
        let room = unsafe { pool.pfree * ngx_pagesize };
        let layout = Layout::fit(room, names.len());
        if layout.generations < generations.len() {
            return Err(format!(
                "zone \"{name}\" is too small for {} policies with {} releases: {}",
                names.len(),
                generations.len(),
                larger(advised)
            ));
        }
        self.before.set(memory::before());
        match memory::lay_out(pool, layout) {
            true => Ok(()),
            false => Err("the zone has no room for itself".to_owned()),
        }
    }

    /// The shared memory; `None` when another layout is in it.
    pub fn zone<'z>(&self) -> Option<Zone<'z>> {
        // SAFETY: the zone is mapped as long as its configuration, and requests and timers of that use it.
        unsafe { memory::view(&(*self.shm).shm) }
    }

    /// The zone that the configuration before had, if it is another one.
    pub fn zone_before<'z>(&self) -> Option<Zone<'z>> {
        // SAFETY: nginx frees it after this configuration has been put in force.
        unsafe { self.before.get().as_ref() }.map(memory::parts)
    }

    /// Runs `work` with the lock of the zone.
    pub fn locked<T>(&self, work: impl FnOnce() -> T) -> T {
        struct Unlock(*mut ngx_shmtx_t);
        impl Drop for Unlock {
            fn drop(&mut self) {
                // SAFETY: locked below.
                unsafe { ngx_shmtx_unlock(self.0) };
            }
        }
        // SAFETY: the zone is mapped, with nginx's allocator and its lock at the start. The master unlocks it when a
        // worker dies.
        let mutex = unsafe { &raw mut (*(*self.shm).shm.addr.cast::<ngx_slab_pool_t>()).mutex };
        // SAFETY: as above.
        unsafe { ngx_shmtx_lock(mutex) };
        let _unlock = Unlock(mutex);
        work()
    }

    pub fn log(&self, level: u32, message: &str) {
        // SAFETY: ngx_cycle and its log are there as long as a process serves.
        write_log(unsafe { (*ngx_cycle).log }, level, message);
    }
}

/// What a policy's slot is called.
pub use policy_slot::name as slot_name;
