//! The upstream `lobechat_canary`: a name that locations pass to, behind which the chosen release's own
//! upstream does all the work.
//!
//! The name is registered before the configuration is read, so `proxy_pass http://lobechat_canary;` is a
//! static pass with everything that goes with it. At request time the peers of the release's upstream are
//! asked in its place; balancing, keepalive and TLS sessions stay the core's.

use core::{mem, ptr, slice};

use nginx_sys::*;

use super::conf::{MainConf, PolicyConf, host_of, main_conf_of};
use super::ext::{ConfExt, bytes, log_request, ngx_str};
use super::guard::guard;
use super::record::Decided;
use super::shim::canary_request_cached;
use super::{context_index, peer, record};
use crate::attempts::Attempts;
use crate::config::ConfigError;

pub const NAME: &str = "lobechat_canary";

/// Registers the name. `None`: nginx has logged why not.
pub fn register(cf: &mut ngx_conf_t) -> Option<()> {
    let mut url = empty_url(ngx_str(NAME.as_bytes()));
    url.host = url.url;
    url.set_no_port(1);
    url.set_no_resolve(1);
    // SAFETY: nginx copies what it keeps; the name is static.
    let upstream =
        unsafe { ngx_http_upstream_add(cf, &raw mut url, NGX_HTTP_UPSTREAM_CREATE as ngx_uint_t).as_mut() }?;
    upstream.peer.init_upstream = Some(init_upstream);
    cf.http_main_conf::<MainConf>(context_index()).upstream = upstream;
    Some(())
}

/// The upstream that a release names. `Ok(None)`: nginx has logged why there is none.
pub fn of_release(
    cf: &mut ngx_conf_t,
    text: &[u8],
    release: &str,
) -> Result<Option<*mut ngx_http_upstream_srv_conf_t>, String> {
    let copy = cf.copy(text).ok_or("out of memory")?;
    let mut url = empty_url(copy);
    url.set_no_resolve(1);
    // SAFETY: the copy lives as long as the configuration.
    let upstream = unsafe { ngx_http_upstream_add(cf, &raw mut url, 0) };
    if upstream == cf.http_main_conf::<MainConf>(context_index()).upstream {
        return Err(format!(
            "release \"{release}\" cannot pass to \"{NAME}\" itself: name the upstream of the release"
        ));
    }
    Ok((!upstream.is_null()).then_some(upstream))
}

fn empty_url(url: ngx_str_t) -> ngx_url_t {
    // SAFETY: ngx_url_t is plain data; nginx starts from zeroes too.
    ngx_url_t { url, ..unsafe { mem::zeroed() } }
}

/// Called when the whole configuration has been read, before any other upstream is set up, since ours was
/// registered first: the place to say that an upstream is missing, before nginx does in its own terms.
extern "C" fn init_upstream(cf: *mut ngx_conf_t, upstream: *mut ngx_http_upstream_srv_conf_t) -> ngx_int_t {
    guard(NGX_ERROR as ngx_int_t, || {
        // SAFETY: nginx passes the configuration that it is reading, and the upstream of `register`.
        let (cf, upstream) = unsafe { (&mut *cf, &mut *upstream) };
        upstream.peer.init = Some(init_peer);
        let main: &MainConf = cf.http_main_conf(context_index());
        match main.policies().find_map(unknown_upstream) {
            None => NGX_OK as ngx_int_t,
            Some(error) => {
                cf.emerg_at(&error);
                NGX_ERROR as ngx_int_t
            }
        }
    })
}

fn unknown_upstream(conf: &PolicyConf) -> Option<ConfigError> {
    conf.policy.releases.iter().zip(&conf.upstreams).find_map(|(release, &upstream)| {
        // SAFETY: upstreams live as long as the configuration.
        let upstream = unsafe { &*upstream };
        let declared = upstream.flags & NGX_HTTP_UPSTREAM_CREATE as ngx_uint_t != 0;
        let text = String::from_utf8_lossy(&release.upstream);
        if declared || text.starts_with("unix:") || upstream.port != 0 && text.contains(':') {
            return None;
        }
        let message = format!(
            "unknown upstream \"{text}\" in release \"{}\": declare \"upstream {text} {{ ... }}\", or write an address with its port as \"{text}:3210\"",
            release.name
        );
        Some(ConfigError::at(&release.place, message))
    })
}

/// Whether the location that is being merged passes to our upstream.
///
/// Every pass module of the core begins its location configuration with ngx_http_upstream_conf_t.
pub fn is_passed_to(cf: &ngx_conf_t, upstream: *const ngx_http_upstream_srv_conf_t) -> bool {
    const PASS_MODULES: [&[u8]; 5] = [
        b"ngx_http_proxy_module",
        b"ngx_http_grpc_module",
        b"ngx_http_fastcgi_module",
        b"ngx_http_uwsgi_module",
        b"ngx_http_scgi_module",
    ];
    // SAFETY: the cycle lists its modules and their count; while nginx merges, ctx holds the location's confs.
    unsafe {
        let modules = slice::from_raw_parts((*cf.cycle).modules, (*cf.cycle).modules_n);
        let confs = (*cf.ctx.cast::<ngx_http_conf_ctx_t>()).loc_conf;
        modules.iter().any(|&module| {
            let name = core::ffi::CStr::from_ptr((*module).name);
            PASS_MODULES.contains(&name.to_bytes())
                && (**confs.add((*module).ctx_index).cast::<*const ngx_http_upstream_conf_t>())
                    .upstream
                    .cast_const()
                    == upstream
        })
    }
}

/// Has the release of a request decided, and lets its upstream choose the peer.
extern "C" fn init_peer(r: *mut ngx_http_request_t, _: *mut ngx_http_upstream_srv_conf_t) -> ngx_int_t {
    guard(NGX_ERROR as ngx_int_t, || {
        // SAFETY: nginx passes a live request, whose upstream it is setting up.
        let request = unsafe { &*r };
        match record::decision(request) {
            Some((conf, decided)) => peer::set_up(r, conf, decided),
            None => {
                report_no_policy(request);
                NGX_ERROR as ngx_int_t
            }
        }
    })
}

/// As the configuration has it.
pub fn location_name<'a>(r: &ngx_http_request_t) -> &'a [u8] {
    // SAFETY: loc_conf has the core's configuration, whose name lives as long as it.
    unsafe {
        let index = ngx_http_core_module.ctx_index;
        bytes((*(*r.loc_conf.add(index)).cast::<ngx_http_core_loc_conf_t>()).name)
    }
}

#[cold]
fn report_no_policy(r: &ngx_http_request_t) {
    let location = location_name(r);
    let message = format!(
        "no lobechat_canary policy is in force in location \"{}\", which passes to \"{NAME}\"",
        String::from_utf8_lossy(location)
    );
    log_request(r, NGX_LOG_ERR, &message);
}

/// Whether a request is passed, statically, to our upstream.
pub fn is_delegated(r: &ngx_http_request_t, u: &ngx_http_upstream_t) -> bool {
    // SAFETY: an upstream points to its location's configuration; not yet while the name of a pass is being made.
    unsafe { u.conf.as_ref() }.is_some_and(|conf| conf.upstream == main_conf_of(r).upstream)
}

/// Whether the answer to a request comes from a cache.
pub fn is_cached(r: &ngx_http_request_t) -> bool {
    // SAFETY: the accessor only reads.
    unsafe { canary_request_cached(ptr::from_ref(r).cast_mut()) != 0 }
}

/// The line of the file whose upstream answers a main request: the decided one, unless another has taken over. Caches hold answers of the
/// decided one only.
pub fn answering(r: &ngx_http_request_t, decided: &Decided) -> usize {
    // SAFETY: an upstream belongs to its request.
    let delegated = unsafe { r.upstream.as_ref() }.is_some_and(|u| is_delegated(r, u));
    let attempts = decided.attempts().filter(|_| delegated && !is_cached(r));
    attempts.map_or(decided.line, Attempts::served)
}

/// Whether a main request goes to the upstream of `line`, or gets what a cache has of it.
pub fn is_passed(r: &ngx_http_request_t, conf: &PolicyConf, line: usize) -> bool {
    let release = conf.upstreams[line];
    // SAFETY: an upstream belongs to its request.
    let Some(u) = (unsafe { r.upstream.as_ref() }) else {
        return false;
    };
    if !is_cached(r) {
        return u.upstream == release;
    }
    // A cached answer is sent before a peer is chosen. With a variable pass the name tells.
    let names_release = |name: &ngx_http_upstream_resolved_t| {
        // SAFETY: the host lives in the request's pool.
        let host = unsafe { bytes(name.host) };
        host == host_of(release) || host == NAME.as_bytes()
    };
    // SAFETY: `resolved` belongs to the upstream.
    is_delegated(r, u) || unsafe { u.resolved.as_ref() }.is_some_and(names_release)
}
