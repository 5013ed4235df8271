//! Keeps decisions: one for each client request and policy, for as long as the main request lives.
//!
//! A module's slot in `r->ctx` is cleared by internal redirects. The values of variables survive them and are
//! shared with subrequests, so the records hang on a variable that nobody reads.

mod sender;

use core::cell::{Cell, Ref};
use core::mem::MaybeUninit;
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};

use nginx_sys::*;

pub use self::sender::Sender;

use self::sender::SenderCell;
use super::conf::{PolicyConf, policy_of};
use super::ext::ngx_str;
use super::peer::FirstPeer;
use super::request::View;
use crate::attempts::Attempts;
use crate::decision::{Decision, Reason, decide_at_once, decide_pinned, decide_unpinned};
use crate::in_force::InForce;
use crate::pin::{Belongs, Following, Part, Pin, Pinned};
use crate::policy::Policy;
use crate::user::Visitor;

/// A decision, free of borrows.
pub struct Decided {
    /// By its name.
    pub release: usize,
    /// The line of the file whose upstream and version the name stood for.
    pub line: usize,
    /// Of what was in force.
    pub epoch: u64,
    pub reason: Reason,
    /// What the request is to its page, the build of that page, and what its cookie says.
    pub part: Part,
    pub belongs: Belongs,
    pub pinned: Option<Pinned>,
    /// Whether it says something of the release that the split chose.
    pub is_dealt: bool,
    pub sender: SenderCell,
    pub visitor: Visitor,
    /// Whether the answer has to carry a cookie that remembers the route.
    pub remember: bool,
    /// Whether the answer has to carry a cookie that keeps the user id.
    pub keep: bool,
    /// What has been counted of the request under this decision.
    pub counted: Cell<u32>,
    /// See `attempts`.
    attempts: Cell<*const Attempts>,
    /// Room that the peer of the main request fills: an allocation of its own would cost as much as a cookie's look-up.
    pub first_peer: *mut FirstPeer,
}

impl Decided {
    /// What the decision borrows must live as long as the main request, and so must all that is pointed to.
    #[inline(always)]
    fn new(
        decision: Decision<'_>,
        epoch: u64,
        claims: *const ngx_str_t,
        first_peer: *mut FirstPeer,
    ) -> Decided {
        let is_dealt = decision.is_dealt();
        let Decision { release, line, reason, page, remember, sender } = decision;
        let Following { part, belongs, cookie: pinned, .. } = page;
        let (visitor, keep) = sender
            .as_ref()
            .map_or((Visitor::Unused, false), |sender| (sender.user.visitor, sender.user.keep));
        let sender = match &sender {
            Some(sender) => SenderCell::known(Sender::new(sender, claims)),
            None => SenderCell::default(),
        };
        Decided {
            release,
            line,
            epoch,
            reason,
            part,
            belongs,
            pinned,
            is_dealt,
            sender,
            visitor,
            remember,
            keep,
            counted: Cell::new(0),
            attempts: Cell::new(ptr::null()),
            first_peer,
        }
    }

    /// What became of the client's request under this decision. `None`: it has not been passed to `lobechat_canary`, or
    /// not yet.
    pub fn attempts(&self) -> Option<&Attempts> {
        // SAFETY: see set_attempts.
        unsafe { self.attempts.get().as_ref() }
    }

    /// # Safety
    /// `attempts` must live as long as the main request.
    pub unsafe fn set_attempts(&self, attempts: *const Attempts) {
        self.attempts.set(attempts);
    }
}

struct Record {
    policy: *const PolicyConf,
    /// `None` while the decision is being taken: a variable that it reads may ask for it again.
    decided: Option<Decided>,
    next: *mut Record,
}

/// What is allocated for a decision.
struct Room {
    record: Record,
    first_peer: MaybeUninit<FirstPeer>,
}

impl Room {
    /// Where the parts of a new one go. `None` when memory is short.
    ///
    /// # Safety
    /// `main` must be a live main request.
    #[inline(always)]
    unsafe fn allocate(main: *mut ngx_http_request_t) -> Option<(*mut Record, *mut FirstPeer)> {
        // SAFETY: the caller's word; both places lie in the room.
        unsafe {
            let room = ngx_palloc((*main).pool, size_of::<Room>()).cast::<Room>();
            (!room.is_null()).then(|| (&raw mut (*room).record, (&raw mut (*room).first_peer).cast()))
        }
    }
}

/// The decision of a request under the policy in force where it is now, taken if it has not been.
/// The lifetime is that of the main request's pool.
pub fn decision<'r>(r: &ngx_http_request_t) -> Option<(&'r PolicyConf, &'r Decided)> {
    let conf = policy_of(r)?;
    let newest = newest(r);
    // SAFETY: see newest.
    let record = match find(unsafe { *newest }, conf) {
        Some(record) => record,
        None => take(r.main, newest, conf)?,
    };
    Some((conf, record.decided.as_ref()?))
}

/// The decision of a request under the policy in force where it is now, if it has been taken.
pub fn known_decision<'r>(r: &ngx_http_request_t) -> Option<(&'r PolicyConf, &'r Decided)> {
    let conf = policy_of(r)?;
    // SAFETY: see newest.
    let newest = unsafe { *newest(r) };
    Some((conf, find(newest, conf)?.decided.as_ref()?))
}

/// The decisions of a client request, under all policies, the newest first.
pub fn for_each_decision<'r>(r: &ngx_http_request_t, mut visit: impl FnMut(&'r PolicyConf, &'r Decided)) {
    // SAFETY: see newest; policies live as long as the requests of their configuration.
    unsafe {
        let mut record: *const Record = *newest(r);
        while let Some(Record { policy, decided, next }) = record.as_ref() {
            if let Some(decided) = decided {
                visit(&**policy, decided);
            }
            record = *next;
        }
    }
}

/// Where a client request keeps its newest record; null before the first one. Valid as long as the request.
fn newest(r: &ngx_http_request_t) -> *mut *mut Record {
    // SAFETY: a request and its subrequests share their variables: a value for every index that nginx gave out,
    // all zero at first. `data` is ours alone, as the handler of this variable never touches it.
    unsafe { (&raw mut (*r.variables.add(INDEX.load(Ordering::Relaxed))).data).cast() }
}

fn find<'r>(newest: *const Record, conf: &PolicyConf) -> Option<&'r Record> {
    let mut record = newest;
    // SAFETY: records are linked in the pool of the main request and never removed.
    while let Some(found) = unsafe { record.as_ref() } {
        if ptr::eq(found.policy, conf) {
            return Some(found);
        }
        record = found.next;
    }
    None
}

/// Takes the decision. `None` when memory is short.
#[inline(always)]
fn take<'r>(
    main: *mut ngx_http_request_t,
    newest: *mut *mut Record,
    conf: &PolicyConf,
) -> Option<&'r Record> {
    let in_force = conf.shared.refreshed(&conf.policy);
    let Some(pin) = &conf.policy.pin else {
        return take_unpinned(main, newest, conf, in_force);
    };
    // SAFETY: the main request outlives the decision; see newest.
    unsafe {
        let view = View::new(main);
        let Some(decision) = decide_at_once(&conf.policy, pin, &in_force, &view) else {
            return take_pinned(main, newest, conf, pin, in_force);
        };
        let (record, first_peer) = Room::allocate(main)?;
        let decided = Some(Decided::new(decision, in_force.epoch, ptr::null(), first_peer));
        record.write(Record { policy: conf, decided, next: *newest });
        *newest = record;
        Some(&*record)
    }
}

/// The same for requests of which more has to be known.
#[inline(never)]
fn take_pinned<'r>(
    main: *mut ngx_http_request_t,
    newest: *mut *mut Record,
    conf: &PolicyConf,
    pin: &Pin,
    in_force: Ref<'_, InForce>,
) -> Option<&'r Record> {
    take_by(main, newest, conf, in_force, |policy, in_force, view| decide_pinned(policy, pin, in_force, view))
}

/// Kept apart, as less has to be kept at hand.
#[inline(never)]
fn take_unpinned<'r>(
    main: *mut ngx_http_request_t,
    newest: *mut *mut Record,
    conf: &PolicyConf,
    in_force: Ref<'_, InForce>,
) -> Option<&'r Record> {
    take_by(main, newest, conf, in_force, |policy, in_force, view| decide_unpinned(policy, in_force, view))
}

#[inline(always)]
fn take_by<'r>(
    main: *mut ngx_http_request_t,
    newest: *mut *mut Record,
    conf: &PolicyConf,
    in_force: Ref<'_, InForce>,
    decide: impl for<'v> Fn(&Policy, &InForce, &'v View<'v>) -> Option<Decision<'v>>,
) -> Option<&'r Record> {
    // SAFETY: the main request outlives the decision. No reference to the record is held while deciding, when
    // a variable that is read may find the record and its missing decision.
    unsafe {
        let (record, first_peer) = Room::allocate(main)?;
        record.write(Record { policy: conf, decided: None, next: *newest });
        *newest = record;
        let view = View::new(main).counting_in(&conf.shared);
        let decision = decide(&conf.policy, &in_force, &view)?;
        let claims = view.claim_values(&conf.policy)?;
        (*record).decided = Some(Decided::new(decision, in_force.epoch, claims, first_peer));
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

const _: () = assert!(align_of::<Room>() <= NGX_ALIGNMENT);
