//! What the module adds to answers: the visitor cookie, and with `expose` the release's name. It acts on the
//! main request only, never decides, and leaves alone what no release has answered.

use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use nginx_sys::*;

use super::conf::{PolicyConf, policy_of};
use super::count;
use super::ext::{bytes, ngx_str, pool_copy, write_log};
use super::guard::guard;
use super::record::{Decided, known_decision};
use super::request::{View, for_each_line, now};
use super::shim::canary_connection_is_tls;
use super::upstream::{answering, is_cached, is_passed};
use crate::cache_control::{SHARED_CACHE_HEADERS, make_private};
use crate::inputs::Lengths;
use crate::navigation::{is_navigation, is_prefetch};
use crate::user::Visitor;
use crate::visitor::{self, Day};

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
    let concerned = ptr::eq(request.main, r)
        && policy_of(request).is_some_and(|conf| conf.adds_headers || count::is_stream(request));
    let failed = concerned && fails(request);
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
fn fails(r: &mut ngx_http_request_t) -> bool {
    guard(Some(()), || answer(r)).is_none()
}

/// `None` when memory is short.
fn answer(r: &mut ngx_http_request_t) -> Option<()> {
    let Some((conf, decided)) = known_decision(r) else {
        return Some(());
    };
    if count::is_stream(r) {
        count::header(r, conf, decided);
    }
    if !conf.adds_headers || r.headers_out.status < 200 {
        return Some(());
    }
    let line = answering(r, decided);
    if is_served(r, conf, line) {
        served(r, conf, decided, line)?;
    }
    // SAFETY: a main request, which outlives the view.
    if (decided.remember || decided.keep) && !is_prefetch(&unsafe { View::new(r) }) {
        set_enrolments(r, conf, decided)?;
    }
    Some(())
}

/// What only the answer of a release carries.
fn served(r: &mut ngx_http_request_t, conf: &PolicyConf, decided: &Decided, line: usize) -> Option<()> {
    if conf.policy.expose {
        let release = conf.release_of(line);
        push_header(r, "X-LobeChat-Release", conf.policy.releases[release].name.as_bytes())?;
        push_header(r, "Server-Timing", conf.server_timings[line].as_bytes())?;
    }
    let today = today();
    let is_due = match decided.visitor {
        Visitor::Unused => false,
        Visitor::New => true,
        Visitor::Known(day) => visitor::is_due(day, today),
    };
    // SAFETY: a main request, which outlives the view.
    let view = unsafe { View::new(r) };
    if is_due && is_html(r) && is_navigation(view.is_get(), &view) {
        set_visitor(r, conf, decided, today)?;
    }
    Some(())
}

/// Whether the body comes from the upstream of `line`, the one that answers, or from its cache entry.
///
/// nginx's own pages come after the upstream has been finalized, which clears `cleanup`.
fn is_served(r: &ngx_http_request_t, conf: &PolicyConf, line: usize) -> bool {
    // SAFETY: an upstream belongs to its request.
    let live = unsafe { r.upstream.as_ref() }.is_some_and(|u| !u.cleanup.is_null());
    is_passed(r, conf, line) && (live || is_cached(r))
}

fn is_html(r: &ngx_http_request_t) -> bool {
    // SAFETY: the type lives in the request's pool or in the configuration.
    let content_type = unsafe { bytes(r.headers_out.content_type) };
    let essence = content_type.split(|&b| b == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"text/html")
}

fn set_visitor(r: &mut ngx_http_request_t, conf: &PolicyConf, decided: &Decided, today: Day) -> Option<()> {
    let id = match decided.user().first_chunk() {
        Some(known) => *known,
        None => match new_id() {
            Ok(id) => id,
            Err(error) => {
                // SAFETY: a request has a connection, and that a log.
                let log = unsafe { (*r.connection).log };
                write_log(log, NGX_LOG_ERR, &format!("no random number for a visitor cookie: {error}"));
                return Some(());
            }
        },
    };
    let cookie = visitor::set_cookie(&conf.policy.visitor_cookie, &id, today, is_tls(r));
    push_header(r, "Set-Cookie", cookie.as_bytes())?;
    keep_from_shared_caches(r)
}

fn new_id() -> Result<[u8; 32], getrandom::Error> {
    let mut random = [0; 16];
    getrandom::fill(&mut random)?;
    Ok(visitor::digits(random))
}

fn is_tls(r: &ngx_http_request_t) -> bool {
    // SAFETY: the accessor only reads.
    unsafe { canary_connection_is_tls(r.connection) != 0 }
}

/// The cookies that remember a route and keep a user id, on whatever answer there is: the request that proves a tester may
/// be one that only a script sends.
#[inline(never)]
fn set_enrolments(r: &mut ngx_http_request_t, conf: &PolicyConf, decided: &Decided) -> Option<()> {
    let policy = &conf.policy;
    let keys = policy.cookie_keys.borrow();
    let (Some(key), now) = (keys.first(), now()) else {
        return Some(());
    };
    if let (true, Some(remember), Some(route)) = (decided.remember, &policy.remember, decided.reason.route())
        && let Some(line) = remember.line(&policy.routes[route], key, now, is_tls(r))
    {
        push_header(r, "Set-Cookie", line.as_bytes())?;
    }
    if let (true, Some(keep)) = (decided.keep, policy.users.keep()) {
        let mut nonce = [0; 12];
        let sealed = getrandom::fill(&mut nonce)
            .map_err(|error| error.to_string())
            .and_then(|()| keep.line(decided.user(), key, nonce, now, is_tls(r)).map_err(|e| e.to_string()));
        match sealed {
            Ok(Some(line)) => push_header(r, "Set-Cookie", line.as_bytes())?,
            Ok(None) => {}
            Err(error) => {
                // SAFETY: a request has a connection, and that a log.
                let log = unsafe { (*r.connection).log };
                write_log(log, NGX_LOG_ERR, &format!("cannot seal a keep cookie: {error}"));
            }
        }
    }
    keep_from_shared_caches(r)
}

fn keep_from_shared_caches(r: &mut ngx_http_request_t) -> Option<()> {
    let mut directives = Vec::new();
    let mut first: Option<*mut ngx_table_elt_t> = None;
    // SAFETY: the lines of the answer live in the request's pool; none is added here.
    unsafe {
        for_each_line(&raw const r.headers_out.headers, Lengths::ALL, |line| {
            let key = bytes((*line).key);
            if key.eq_ignore_ascii_case(b"Cache-Control") {
                directives.push(bytes((*line).value));
                if first.is_none() {
                    first = Some(line);
                } else {
                    (*line).hash = 0;
                }
            } else if SHARED_CACHE_HEADERS.iter().any(|name| key.eq_ignore_ascii_case(name)) {
                (*line).hash = 0;
            }
        });
    }
    let value = make_private(&directives.join(&b", "[..]));
    match first {
        // SAFETY: a line of this answer, see above.
        Some(line) => unsafe { (*line).value = pool_copy(r.pool, &value)? },
        None => push_header(r, "Cache-Control", &value)?,
    }
    Some(())
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

fn today() -> Day {
    (now() / 86_400) as Day
}
