//! Keeps decisions: one for each client request and policy, for as long as the main request lives.
//!
//! A module's slot in `r->ctx` is cleared by internal redirects. The values of variables survive them and are
//! shared with subrequests, so the records hang on a variable that nobody reads.

use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};

use nginx_sys::*;

use super::conf::{PolicyConf, policy_of};
use super::ext::{bytes, ngx_str};
use super::request::View;
use crate::decision::{Decision, Reason, decide};
use crate::user::Visitor;

/// A decision, free of borrows: `user` lies in memory of the request.
pub struct Decided {
    pub release: usize,
    pub reason: Reason,
    pub bucket: Option<u16>,
    pub visitor: Visitor,
    user: ngx_str_t,
}

impl Decided {
    /// The user id; empty where nobody knows.
    pub fn user(&self) -> &[u8] {
        // SAFETY: the id lies in the request's headers, its variables or its pool, as does this record.
        unsafe { bytes(self.user) }
    }
}

struct Record {
    policy: *const PolicyConf,
    /// `None` while the decision is being taken: a variable that it reads may ask for it again.
    decided: Option<Decided>,
    next: *mut Record,
}

/// The decision of a request under the policy in force where it is now, taken if it has not been.
/// The lifetime is that of the main request's pool.
pub fn decision<'r>(r: &ngx_http_request_t) -> Option<(&'r PolicyConf, &'r Decided)> {
    let conf = policy_of(r)?;
    let record = match find(r.main, conf) {
        Some(record) => record,
        None => take(r.main, conf)?,
    };
    Some((conf, record.decided.as_ref()?))
}

/// The decision of a request under the policy in force where it is now, if it has been taken.
pub fn known_decision<'r>(r: &ngx_http_request_t) -> Option<(&'r PolicyConf, &'r Decided)> {
    let conf = policy_of(r)?;
    Some((conf, find(r.main, conf)?.decided.as_ref()?))
}

fn find<'r>(main: *mut ngx_http_request_t, conf: &PolicyConf) -> Option<&'r Record> {
    // SAFETY: records are linked in the pool of the main request and never removed.
    unsafe {
        let mut record = *head(main);
        while let Some(found) = record.as_ref() {
            if ptr::eq(found.policy, conf) {
                return Some(found);
            }
            record = found.next;
        }
    }
    None
}

/// Where a main request keeps its newest record; null before the first one.
///
/// # Safety
/// `main` must be a live main request.
unsafe fn head(main: *mut ngx_http_request_t) -> *mut *mut Record {
    // SAFETY: variables has a value for every index that nginx gave out, all zero at first. `data` is ours
    // alone, as the handler of this variable never runs.
    unsafe { (&raw mut (*(*main).variables.add(INDEX.load(Ordering::Relaxed))).data).cast() }
}

/// Takes the decision. `None` when memory is short.
fn take(main: *mut ngx_http_request_t, conf: &PolicyConf) -> Option<&Record> {
    // SAFETY: the main request outlives the decision, and no reference to the record is held while deciding.
    unsafe {
        let head = head(main);
        let record = ngx_palloc((*main).pool, size_of::<Record>()).cast::<Record>();
        if record.is_null() {
            return None;
        }
        record.write(Record { policy: conf, decided: None, next: *head });
        *head = record;
        let view = View::new(main);
        let Decision { release, reason, user, bucket } = decide(&conf.policy, &view)?;
        (*record).decided =
            Some(Decided { release, reason, bucket, visitor: user.visitor, user: ngx_str(user.id) });
        Some(&*record)
    }
}

/// The index of the variable that records hang on.
static INDEX: AtomicUsize = AtomicUsize::new(0);

/// Registers that variable. `None`: nginx has logged why not.
pub fn register(cf: &mut ngx_conf_t) -> Option<()> {
    let mut name = ngx_str(b"lobechat_canary_record");
    // SAFETY: nginx copies the name where it adds the variable; where it indexes it, it keeps a static one.
    let index = unsafe {
        let flags = (NGX_HTTP_VAR_NOCACHEABLE | NGX_HTTP_VAR_NOHASH) as ngx_uint_t;
        ngx_http_add_variable(cf, &raw mut name, flags).as_mut()?.get_handler = Some(never);
        ngx_http_get_variable_index(cf, &raw mut name)
    };
    INDEX.store(usize::try_from(index).ok()?, Ordering::Relaxed);
    Some(())
}

/// A configuration that names the variable all the same reads it as missing.
unsafe extern "C" fn never(
    _: *mut ngx_http_request_t,
    v: *mut ngx_http_variable_value_t,
    _: usize,
) -> ngx_int_t {
    // SAFETY: nginx passes the value to fill. `data` stays: the records hang on it.
    unsafe { (*v).set_not_found(1) };
    NGX_OK as ngx_int_t
}

const _: () = assert!(align_of::<Record>() <= NGX_ALIGNMENT);
