//! What the module adds to answers: its cookies, with `expose` the release's name, and `Cache-Control` that keeps pages out
//! of shared caches. It acts on the main request only, never decides, and leaves alone what no release has answered.

mod cookies;
mod shared_caches;

use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use nginx_sys::*;

use super::conf::PolicyConf;
use super::count;
use super::ext::{bytes, ngx_str, pool_copy};
use super::guard::guard;
use super::record::{Decided, known_decision};
use super::request::View;
use super::upstream::{answering, is_cached, is_passed};
use crate::beginning::begins;
use crate::navigation::{PageHeaders, is_navigation};
use crate::pin::Part;

/// The filter below ours, a `ngx_http_output_header_filter_pt`.
static NEXT: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// Puts our filter on top of what there is of the chain so far. nginx rebuilds the chain each time it reads its configuration.
pub fn install() {
    // SAFETY: only the process that reads the configuration writes here, and it serves no requests meanwhile.
    unsafe {
        let next = ngx_http_top_header_filter.map_or(ptr::null_mut(), |next| next as *mut ());
        NEXT.store(next, Ordering::Relaxed);
        ngx_http_top_header_filter = Some(filter);
    }
}

unsafe extern "C" fn filter(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx passes a live request whose header is about to go out.
    let request = unsafe { &mut *r };
    let decision = if ptr::eq(request.main, r) { known_decision(request) } else { None };
    let concerned =
        decision.filter(|(conf, decided)| adds_headers(conf, decided) || count::is_stream(request));
    let failed = concerned.is_some_and(|(conf, decided)| fails(request, conf, decided));
    let next = NEXT.load(Ordering::Relaxed);
    if failed || next.is_null() {
        return NGX_ERROR as ngx_int_t;
    }
    // SAFETY: install stored a filter of this type, which takes the request we were given.
    unsafe {
        let next: unsafe extern "C" fn(*mut ngx_http_request_t) -> ngx_int_t = core::mem::transmute(next);
        next(r)
    }
}

/// Kept apart, so that other answers pass by quickly.
#[inline(never)]
fn fails(r: &mut ngx_http_request_t, conf: &PolicyConf, decided: &Decided) -> bool {
    guard(Some(()), || answer(r, conf, decided)).is_none()
}

/// `None` when memory is short.
fn answer(r: &mut ngx_http_request_t, conf: &PolicyConf, decided: &Decided) -> Option<()> {
    if count::is_stream(r) {
        count::header(r, conf, decided);
    }
    if r.headers_out.status < 200 || !adds_headers(conf, decided) {
        return Some(());
    }
    let line = answering(r, decided);
    if is_served(r, conf, line) {
        served(r, conf, decided, line)?;
    }
    // SAFETY: a main request, which outlives the view.
    if (decided.remember || decided.keep) && !PageHeaders::read(&unsafe { View::new(r) }).is_prefetch() {
        cookies::set_enrolments(r, conf, decided)?;
        shared_caches::keep_out(r)?;
    }
    Some(())
}

/// Whether the answer may get header lines. Most are those of files, of which nothing is said.
#[inline]
fn adds_headers(conf: &PolicyConf, decided: &Decided) -> bool {
    let is_file = decided.part == Part::Asset;
    conf.adds_headers && (!is_file || conf.policy.expose || decided.remember || decided.keep)
}

/// What only the answer of a release carries.
fn served(r: &mut ngx_http_request_t, conf: &PolicyConf, decided: &Decided, line: usize) -> Option<()> {
    if conf.policy.expose {
        let release = conf.release_of(line);
        push_header(r, "X-LobeChat-Release", conf.policy.releases[release].name.as_bytes())?;
        push_header(r, "Server-Timing", conf.server_timings[line].as_bytes())?;
    }
    shared_caches::check_key(r, conf, line);
    let is_private = match &conf.policy.pin {
        Some(pin) if decided.part.is_navigation() => {
            let is_html = has_type(r, b"text/html");
            if is_html {
                cookies::set_visitor(r, conf, decided)?;
            }
            // With 304 the browser shows what it has kept of this very page, whatever it has loaded since.
            if is_html || r.headers_out.status == NGX_HTTP_NOT_MODIFIED as ngx_uint_t {
                cookies::set_pin(r, pin, decided, line)?;
            }
            true
        }
        // A page that a script or a prefetch has asked for has the address of the page that others navigate to.
        Some(_) => {
            decided.part == Part::Follower && (has_type(r, b"text/html") || has_type(r, b"text/x-component"))
        }
        // SAFETY: a main request, which outlives the view.
        None if has_type(r, b"text/html") && is_navigation(&unsafe { View::new(r) }) => {
            cookies::set_visitor(r, conf, decided)?
        }
        None => false,
    };
    if is_private { shared_caches::keep_out(r) } else { Some(()) }
}

/// Whether the body comes from the upstream of `line`, the one that answers, or from its cache entry.
///
/// nginx's own pages come after the upstream has been finalized, which clears `cleanup`.
fn is_served(r: &ngx_http_request_t, conf: &PolicyConf, line: usize) -> bool {
    // SAFETY: an upstream belongs to its request.
    let live = unsafe { r.upstream.as_ref() }.is_some_and(|u| !u.cleanup.is_null());
    is_passed(r, conf, line) && (live || is_cached(r))
}

#[inline]
fn has_type<const N: usize>(r: &ngx_http_request_t, essence: &[u8; N]) -> bool {
    // SAFETY: the type lives in the request's pool or in the configuration.
    let content_type = unsafe { bytes(r.headers_out.content_type) };
    begins(content_type, essence) && matches!(content_type[N..].trim_ascii_start(), [] | [b';', ..])
}

/// Adds a line to the answer. The name is static, the value is copied.
pub fn push_header(r: &mut ngx_http_request_t, name: &'static str, value: &[u8]) -> Option<()> {
    let value = pool_copy(r.pool, value)?;
    // SAFETY: the list is the answer's; ngx_list_push leaves memory as it was, so every field is written.
    unsafe {
        let line = ngx_list_push(&raw mut r.headers_out.headers).cast::<ngx_table_elt_t>();
        if line.is_null() {
            return None;
        }
        line.write(ngx_table_elt_t {
            hash: 1,
            key: ngx_str(name.as_bytes()),
            value,
            lowcase_key: ptr::null_mut(),
            #[cfg(nginx1_23_0)]
            next: ptr::null_mut(),
        });
    }
    Some(())
}
