//! nginx's request as the decision core sees it.

use core::cell::OnceCell;
use core::{ptr, slice};
use std::rc::Rc;

use nginx_sys::*;

use super::ext::{bytes, pool_copy, write_log};
use super::shared::Shared;
use super::shim::canary_target_is_plain_path;
use crate::claims::Claims;
use crate::config::VariableId;
use crate::failure::Failure;
use crate::identity::Kind;
use crate::inputs::{Hashes, Lengths, Request};
use crate::policy::Policy;

/// The main request of a client, for as long as a decision or a filter looks at it.
pub struct View<'r> {
    main: *mut ngx_http_request_t,
    lifetime: core::marker::PhantomData<&'r ngx_http_request_t>,
    claims: OnceCell<Rc<Claims>>,
    /// Where tokens that give no claims are counted. `None`: whoever looks is not the first.
    counted_in: Option<&'r Shared>,
}

impl<'r> View<'r> {
    /// # Safety
    /// `main` must be a main request that outlives the view.
    pub unsafe fn new(main: *mut ngx_http_request_t) -> Self {
        View { main, lifetime: core::marker::PhantomData, claims: OnceCell::new(), counted_in: None }
    }

    /// For a decision that counts, and logs why tokens gave no claims.
    pub fn counting_in(self, shared: &'r Shared) -> Self {
        View { counted_in: Some(shared), ..self }
    }

    /// The values of a policy's claim variables, in their order and in memory of the request; null without any. `None` when
    /// memory is short.
    #[inline]
    pub fn claim_values(&self, policy: &Policy) -> Option<*const ngx_str_t> {
        match self.claims.get() {
            Some(claims) if !policy.claim_variables.is_empty() => self.copy_claims(claims, policy),
            _ => Some(ptr::null()),
        }
    }

    /// Claims may hold what users have written, and variables go into header lines: control characters become blanks.
    #[inline(never)]
    fn copy_claims(&self, claims: &Claims, policy: &Policy) -> Option<*const ngx_str_t> {
        let variables = &policy.claim_variables;
        // SAFETY: the pool is live, and its memory has room for a string for each variable.
        unsafe {
            let pool = (*self.main).pool;
            let values = ngx_palloc(pool, variables.len() * size_of::<ngx_str_t>()).cast::<ngx_str_t>();
            if values.is_null() {
                return None;
            }
            for (index, (_, slot)) in variables.iter().enumerate() {
                let mut text = claims.get(*slot).parts().concat();
                text.iter_mut().filter(|b| b.is_ascii_control()).for_each(|b| *b = b' ');
                values.add(index).write(pool_copy(pool, &text)?);
            }
            Some(values)
        }
    }
}

impl Request for View<'_> {
    #[cfg(nginx1_23_0)]
    #[inline]
    fn for_each_cookie_line<'r>(&'r self, mut visit: impl FnMut(&'r [u8])) {
        // SAFETY: nginx links the Cookie lines of a request, which live in its pool and buffers, empty ones too.
        unsafe {
            let mut line = (*self.main).headers_in.cookie;
            while !line.is_null() {
                visit(slice::from_raw_parts((*line).value.data, (*line).value.len));
                line = (*line).next;
            }
        }
    }

    #[cfg(not(nginx1_23_0))]
    #[inline]
    fn for_each_cookie_line<'r>(&'r self, mut visit: impl FnMut(&'r [u8])) {
        // SAFETY: nginx keeps an array of the Cookie lines of a request, which live in its pool and buffers, empty
        // ones too.
        unsafe {
            let lines = &raw const (*self.main).headers_in.cookies;
            let first = (*lines).elts.cast::<*const ngx_table_elt_t>();
            for index in 0..(*lines).nelts {
                let value = (**first.add(index)).value;
                visit(slice::from_raw_parts(value.data, value.len));
            }
        }
    }

    #[cfg(nginx1_23_0)]
    #[inline]
    fn only_cookie_line(&self) -> Option<&[u8]> {
        // SAFETY: as for all of them.
        unsafe {
            let line = (*self.main).headers_in.cookie.as_ref()?;
            if line.next.is_null() { Some(bytes(line.value)) } else { None }
        }
    }

    #[cfg(not(nginx1_23_0))]
    #[inline]
    fn only_cookie_line(&self) -> Option<&[u8]> {
        // SAFETY: as for all of them.
        unsafe {
            let lines = &raw const (*self.main).headers_in.cookies;
            let first = (*lines).elts.cast::<*const ngx_table_elt_t>();
            if (*lines).nelts == 1 { Some(bytes((**first).value)) } else { None }
        }
    }

    #[inline]
    fn for_each_header<'r>(&'r self, lengths: Lengths, mut visit: impl FnMut(&'r [u8], &'r [u8])) {
        // SAFETY: header lines live in the request's pool and buffers.
        unsafe {
            for_each_line(&raw const (*self.main).headers_in.headers, |line| {
                if (*line).hash != 0 && lengths.contains((*line).key.len) {
                    visit(bytes((*line).key), bytes((*line).value));
                }
            });
        }
    }

    #[inline(always)]
    fn for_each_hashed_header<'r>(&'r self, known: Hashes, mut visit: impl FnMut(usize, &'r [u8])) {
        // SAFETY: header lines live in the request's pool and buffers.
        unsafe {
            for_each_line(&raw const (*self.main).headers_in.headers, |line| {
                if known.may_contain((*line).hash) {
                    visit((*line).hash, bytes((*line).value));
                }
            });
        }
    }

    #[inline]
    fn plain_path(&self) -> Option<&[u8]> {
        // SAFETY: the accessor only reads; the target lives in the request's buffers.
        unsafe {
            match canary_target_is_plain_path(self.main) {
                0 => None,
                _ => Some(bytes((*self.main).unparsed_uri)),
            }
        }
    }

    #[inline]
    fn authorization(&self) -> &[u8] {
        // SAFETY: nginx points to the line, which lives in the request's pool and buffers; a deleted one has no hash.
        unsafe {
            match (*self.main).headers_in.authorization.as_ref() {
                Some(line) if line.hash != 0 => bytes(line.value),
                _ => &[],
            }
        }
    }

    fn target(&self) -> (&[u8], &[u8]) {
        if let Some(path) = self.plain_path() {
            return (path, &[]);
        }
        // The request line as the client sent it: rewrites change `uri` and `args`, but not this.
        // SAFETY: it lives in the request's buffers.
        let uri = unsafe { bytes((*self.main).unparsed_uri) };
        let (known, _) = self.split(b'#', uri);
        match self.split(b'?', known) {
            (path, query) if path.len() < known.len() => (path, query),
            // nginx ends the path at `#` and passes all of it on: what a release makes of the rest is not known.
            _ => (uri, &[]),
        }
    }

    fn is_get(&self) -> bool {
        // SAFETY: the request outlives the view.
        unsafe { (*self.main).method == NGX_HTTP_GET as ngx_uint_t }
    }

    fn variable(&self, id: VariableId) -> &[u8] {
        // SAFETY: the index is one that nginx gave out; values live in the request's pool.
        unsafe {
            match ngx_http_get_flushed_variable(self.main, id.0).as_ref() {
                Some(value) if value.not_found() == 0 => {
                    bytes(ngx_str_t { len: value.len() as usize, data: value.data })
                }
                _ => &[],
            }
        }
    }

    #[inline]
    fn split<'t>(&self, byte: u8, text: &'t [u8]) -> (&'t [u8], &'t [u8]) {
        let all = text.as_ptr_range();
        // SAFETY: memchr reads text.len() bytes at most, and returns a place among them or null.
        unsafe {
            let found = memchr(all.start.cast(), byte.into(), text.len() as _).cast::<u8>().cast_const();
            if found.is_null() {
                return (text, &[]);
            }
            let (before, after) = (found.offset_from_unsigned(all.start), found.add(1));
            (
                slice::from_raw_parts(all.start, before),
                slice::from_raw_parts(after, all.end.offset_from_unsigned(after)),
            )
        }
    }

    #[inline]
    fn now(&self) -> u64 {
        now()
    }

    fn identified(&self, claims: Rc<Claims>) -> Option<&Claims> {
        Some(self.claims.get_or_init(|| claims))
    }

    fn token_refused(&self, kind: Kind, failure: Failure) {
        let Some(shared) = self.counted_in else {
            return;
        };
        if let Some(slot) = shared.policy() {
            slot.count_identity_failure(kind, failure);
        }
        // SAFETY: a request has a connection, and that a log and an address.
        unsafe {
            let connection = (*self.main).connection;
            let mut log = *(*connection).log;
            if log.log_level < NGX_LOG_INFO as ngx_uint_t {
                return;
            }
            // nginx would add the request line, in which `from=arg:` has the token.
            log.handler = None;
            let client = String::from_utf8_lossy(bytes((*connection).addr_text));
            let (kind, why) = (kind.name(), failure.name());
            let message = format!("lobechat_canary: {kind} token gives no claims: {why}, client: {client}");
            write_log(&raw mut log, NGX_LOG_INFO, &message);
        }
    }

    fn concat(&self, parts: &[&[u8]]) -> Option<&[u8]> {
        // SAFETY: the pool lives as long as the request; the parts fill the new memory exactly.
        unsafe {
            let len = parts.iter().map(|part| part.len()).sum();
            let start = ngx_pnalloc((*self.main).pool, len).cast::<u8>();
            if start.is_null() {
                return None;
            }
            let mut end = start;
            for part in parts {
                ptr::copy_nonoverlapping(part.as_ptr(), end, part.len());
                end = end.add(part.len());
            }
            Some(slice::from_raw_parts(start, len))
        }
    }
}

/// Seconds since 1970-01-01 UTC: nginx's own time, which it reads once for each round of events.
pub fn now() -> u64 {
    // SAFETY: nginx sets the pointer at start, and keeps what it points to valid from then on.
    let seconds = unsafe { (*ngx_cached_time).sec };
    u64::try_from(seconds).unwrap_or_default()
}

/// Visits the lines of a header list in order. One that nginx or a module has deleted has no hash.
///
/// # Safety
/// `list` must be a live list of ngx_table_elt_t that `visit` does not add to.
#[inline(always)]
pub unsafe fn for_each_line(list: *const ngx_list_t, mut visit: impl FnMut(*mut ngx_table_elt_t)) {
    // SAFETY: the caller's word; each part holds nelts elements, and the last one's next is null.
    unsafe {
        let mut part = &raw const (*list).part;
        while !part.is_null() {
            let mut line = (*part).elts.cast::<ngx_table_elt_t>();
            let end = line.add((*part).nelts);
            while line < end {
                visit(line);
                line = line.add(1);
            }
            part = (*part).next;
        }
    }
}
