//! Keeps decisions: one for each client request and policy, on the main request's pool.
//!
//! A module's slot in `r->ctx` is cleared by internal redirects, so the records hang on a pool cleanup, found
//! again by its handler; the slot of the main request is only a short cut to them.

use core::ffi::c_void;
use core::ptr;
use std::borrow::Cow;

use nginx_sys::*;

use super::conf::{PolicyConf, policy_of};
use super::context_index;
use super::ext::{bytes, pool_copy};
use super::request::View;
use crate::decision::{Decision, Reason, decide};
use crate::user::Visitor;

/// A decision, free of borrows: `user` lies in memory of the request.
pub struct Decided {
    pub release: usize,
    pub reason: Reason,
    pub bucket: Option<u16>,
    pub visitor: Visitor,
    user: Option<ngx_str_t>,
}

impl Decided {
    pub fn user(&self) -> Option<&[u8]> {
        // SAFETY: the id lies in the request's headers, its variables or its pool, as does this record.
        self.user.map(|user| unsafe { bytes(user) })
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
        let mut record = head(main);
        while let Some(found) = record.as_ref() {
            if ptr::eq(found.policy, conf) {
                return Some(found);
            }
            record = found.next;
        }
    }
    None
}

/// The newest record of a main request, or null.
///
/// # Safety
/// `main` must be a live main request.
unsafe fn head(main: *mut ngx_http_request_t) -> *mut Record {
    // SAFETY: ctx has a slot for every HTTP module; cleanups are a list of the pool, and what stands under our
    // handler is a Record.
    unsafe {
        let slot = (*main).ctx.add(context_index());
        if (*slot).is_null() {
            let mut cleanup = (*(*main).pool).cleanup;
            while let Some(entry) = cleanup.as_ref() {
                if entry.handler.is_some_and(|handler| ptr::fn_addr_eq(handler, MARK)) {
                    *slot = entry.data;
                    break;
                }
                cleanup = entry.next;
            }
        }
        (*slot).cast()
    }
}

/// Records need no cleaning; the handler only marks them.
unsafe extern "C" fn mark(_: *mut c_void) {}
const MARK: unsafe extern "C" fn(*mut c_void) = mark;

/// Takes the decision. `None` when memory is short.
fn take(main: *mut ngx_http_request_t, conf: &PolicyConf) -> Option<&Record> {
    // SAFETY: the main request outlives the decision; a new cleanup stands in front of all older ones, so the
    // first under our handler is always the newest record. No reference to the record is held while deciding.
    unsafe {
        let older = head(main);
        let cleanup = ngx_pool_cleanup_add((*main).pool, size_of::<Record>()).as_mut()?;
        let record = cleanup.data.cast::<Record>();
        record.write(Record { policy: conf, decided: None, next: older });
        cleanup.handler = Some(MARK);
        *(*main).ctx.add(context_index()) = record.cast();
        let view = View::new(main);
        let decided = keep(decide(&conf.policy, &view), (*main).pool)?;
        (*record).decided = Some(decided);
        Some(&*record)
    }
}

/// Frees a decision of its borrows: an id that was put together on the heap moves to the pool.
fn keep(decision: Decision<'_>, pool: *mut ngx_pool_t) -> Option<Decided> {
    let Decision { release, reason, user, bucket } = decision;
    let id = match user.id {
        None => None,
        Some(Cow::Borrowed(id)) => Some(super::ext::ngx_str(id)),
        Some(Cow::Owned(id)) => Some(pool_copy(pool, &id)?),
    };
    Some(Decided { release, reason, bucket, visitor: user.visitor, user: id })
}

const _: () = assert!(align_of::<Record>() <= NGX_ALIGNMENT);
