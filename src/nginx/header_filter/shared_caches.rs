//! Keeps pages out of shared caches, which would hand one user's release to another, and looks at the key of nginx's own
//! cache. Called by the header filter.

use nginx_sys::*;

use super::super::conf::{PolicyConf, host_of, level_of};
use super::super::ext::{bytes, log_request, pool_copy};
use super::super::request::for_each_line;
use super::super::shim::canary_cache_keys;
use super::super::upstream::{NAME, is_cached};
use super::push_header;
use crate::cache_control::{self, SHARED_CACHE_HEADERS, is_for_shared_caches, is_private, make_private};

/// Makes an answer private. `None` when memory is short.
pub fn keep_out(r: &mut ngx_http_request_t) -> Option<()> {
    let (mut first, mut is_one, mut is_changed) = (None, true, false);
    // SAFETY: the lines of the answer live in the request's pool; none is added here.
    unsafe {
        for_each_line(&raw const r.headers_out.headers, |line| {
            let key = if (*line).hash == 0 { &[] } else { bytes((*line).key) };
            if key.eq_ignore_ascii_case(b"Cache-Control") {
                is_one = first.is_none();
                first = first.or(Some(line));
            } else if SHARED_CACHE_HEADERS.iter().any(|name| key.eq_ignore_ascii_case(name)) {
                (*line).hash = 0;
                is_changed = true;
            }
        });
    }
    if let (Some(line), true) = (first, is_one)
        // SAFETY: a line of this answer, see above.
        && is_private(unsafe { bytes((*line).value) })
    {
        if is_changed {
            report_change(r);
        }
        return Some(());
    }
    let directives = take_directives(r, first);
    if is_changed || is_for_shared_caches(&directives) {
        report_change(r);
    }
    let value = make_private(&directives);
    match first {
        // SAFETY: as above.
        Some(line) => unsafe { (*line).value = pool_copy(r.pool, &value)? },
        None => push_header(r, "Cache-Control", &value)?,
    }
    Some(())
}

/// The directives of all lines, of which only the first stays.
fn take_directives(r: &ngx_http_request_t, first: Option<*mut ngx_table_elt_t>) -> Vec<u8> {
    let mut directives = Vec::new();
    // SAFETY: as in keep_out.
    unsafe {
        for_each_line(&raw const r.headers_out.headers, |line| {
            if (*line).hash != 0 && bytes((*line).key).eq_ignore_ascii_case(b"Cache-Control") {
                directives.push(bytes((*line).value));
                (*line).hash = if first == Some(line) { (*line).hash } else { 0 };
            }
        });
    }
    directives.join(&b", "[..])
}

/// Once in each worker and location.
#[cold]
fn report_change(r: &ngx_http_request_t) {
    if !level_of(r).told_private.replace(true) {
        let message = format!(
            "lobechat_canary: a page of location \"{}\" was meant for shared caches, and is private now, as they would hand one user's release to another; pass what they must keep elsewhere, with \"lobechat_canary_use off\"",
            location(r)
        );
        log_request(r, NGX_LOG_WARN, &message);
    }
}

/// Reports a cache whose key does not tell releases apart, once in each worker and location. `line` answers.
#[inline]
pub fn check_key(r: &ngx_http_request_t, conf: &PolicyConf, line: usize) {
    let level = level_of(r);
    if !level.knows_key.get() && !is_cached(r) {
        // SAFETY: the accessor only reads.
        let keys = unsafe { canary_cache_keys(core::ptr::from_ref(r).cast_mut()).as_ref() };
        if let Some(keys) = keys {
            level.knows_key.set(true);
            report_key(r, conf, line, keys);
        }
    }
}

#[cold]
fn report_key(r: &ngx_http_request_t, conf: &PolicyConf, line: usize, keys: &ngx_array_t) {
    // SAFETY: the parts of a key are strings in the request's pool.
    let parts = unsafe { core::slice::from_raw_parts(keys.elts.cast::<ngx_str_t>(), keys.nelts) };
    // SAFETY: as above.
    let key: Vec<u8> = parts.iter().flat_map(|&part| unsafe { bytes(part) }).copied().collect();
    // What the client has written, and the name that all releases share, may look like a release's name.
    // SAFETY: the request line and the host live as long as the request.
    let others = unsafe { [bytes(r.unparsed_uri), bytes(r.headers_in.server), NAME.as_bytes()] };
    let release = conf.policy.releases[conf.release_of(line)].name.as_bytes();
    let names = [host_of(conf.upstreams[line]), &conf.policy.releases[line].upstream, release];
    if names.iter().any(|name| cache_control::names(&key, name, &others)) {
        return;
    }
    let message = format!(
        "lobechat_canary: the cache of location \"{}\" has a key that does not name the release, so one release's answers go to users of another: begin it with \"$lobechat_canary_upstream$lobechat_canary_version\"",
        location(r)
    );
    log_request(r, NGX_LOG_ERR, &message);
}

fn location(r: &ngx_http_request_t) -> String {
    String::from_utf8_lossy(super::super::upstream::location_name(r)).into_owned()
}
