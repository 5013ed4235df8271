//! Who sent a request, as its decision knows it: from the start, or from when something first asks. Part of the record.

use core::cell::{Cell, OnceCell};
use core::ptr;

use nginx_sys::*;

use super::super::conf::PolicyConf;
use super::super::ext::{bytes, ngx_str};
use super::super::request::View;
use crate::decision;
use crate::identity::Outcome;

/// Free of borrows: what it points to lies in memory of the request.
pub struct Sender {
    id: ngx_str_t,
    pub bucket: Option<u16>,
    pub identity: Option<Outcome>,
    /// The values of the policy's claim variables, in their order; null without claims.
    claims: *const ngx_str_t,
}

const NOBODY: Sender = Sender {
    id: ngx_str_t { len: 0, data: ptr::null_mut() },
    bucket: None,
    identity: None,
    claims: ptr::null(),
};

impl Sender {
    /// What it is given must live as long as the main request.
    pub fn new(sender: &decision::Sender<'_>, claims: *const ngx_str_t) -> Sender {
        Sender { id: ngx_str(sender.user.id), bucket: sender.bucket, identity: sender.identity, claims }
    }

    /// Empty where nobody knows.
    pub fn id(&self) -> &[u8] {
        // SAFETY: it lies in the request's headers, its variables or its pool.
        unsafe { bytes(self.id) }
    }

    /// The value of the policy's claim variable `index`; empty without a claim.
    pub fn claim(&self, index: usize) -> &[u8] {
        // SAFETY: where there are claims, there is one for each variable of the policy, in memory of the request.
        if self.claims.is_null() { &[] } else { unsafe { bytes(*self.claims.add(index)) } }
    }
}

/// A sender that may have to be asked for.
#[derive(Default)]
pub struct SenderCell {
    known: OnceCell<Sender>,
    /// A variable that is read for it may ask for it again, and for the decision: both read empty then, as while deciding.
    is_being_asked: Cell<bool>,
}

impl SenderCell {
    #[inline]
    pub fn known(sender: Sender) -> SenderCell {
        SenderCell { known: OnceCell::from(sender), is_being_asked: Cell::new(false) }
    }

    pub fn is_being_asked(&self) -> bool {
        self.is_being_asked.get()
    }

    /// What the decision has found.
    #[inline]
    pub fn so_far(&self) -> &Sender {
        self.known.get().unwrap_or(&NOBODY)
    }

    /// Asks, the first time, by the policy that has decided.
    ///
    /// # Safety
    /// `main` must be the main request, and live.
    pub unsafe fn ask(&self, main: *mut ngx_http_request_t, conf: &PolicyConf) -> &Sender {
        if self.known.get().is_none() && !self.is_being_asked.replace(true) {
            // SAFETY: the caller's word.
            let view = unsafe { View::new(main) };
            let sender = decision::identify(&conf.policy, &conf.shared.in_force(), &view);
            let sender =
                sender.and_then(|sender| Some(Sender::new(&sender, view.claim_values(&conf.policy)?)));
            let _ = self.known.set(sender.unwrap_or(NOBODY));
            self.is_being_asked.set(false);
        }
        self.so_far()
    }
}
