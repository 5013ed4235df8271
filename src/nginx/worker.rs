//! The rights that workers have: a root master gives them those of `user`. Used by the checks of what workers must read
//! or write later.

use core::ffi::{CStr, c_char};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nginx_sys::*;

/// The rights of a worker.
pub struct Worker {
    pub name: String,
    user: u32,
    groups: Vec<u32>,
}

impl Worker {
    /// `None`: workers have the rights of this process. Only root can give them others.
    pub fn of(cycle: *const ngx_cycle_t) -> Option<Worker> {
        // SAFETY: the core module has made its configuration; geteuid has no conditions.
        unsafe {
            let core = &*(*(*cycle).conf_ctx.add(ngx_core_module.index)).cast::<ngx_core_conf_t>();
            (geteuid() == 0 && core.user != 0).then(|| Worker::new(core))
        }
    }

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

    /// The path, or the first directory above it, for which this worker lacks the rights: these for the path, and a way
    /// through the directories.
    pub fn obstacle<'p>(&self, path: &'p Path, rights: u32) -> Option<&'p Path> {
        let above = path.ancestors().skip(1).filter(|dir| !self.may(dir, 0o1)).last();
        above.or_else(|| (!self.may(path, rights)).then_some(path))
    }

    fn may(&self, path: &Path, rights: u32) -> bool {
        let Ok(metadata) = std::fs::metadata(path) else {
            return true; // said elsewhere
        };
        let shift = match () {
            () if metadata.uid() == self.user => 6,
            () if self.groups.contains(&metadata.gid()) => 3,
            () => 0,
        };
        metadata.mode() >> shift & rights == rights
    }
}
