//! The module's own cookies, behind those of the application. Called by the header filter.

use nginx_sys::*;

use super::super::conf::PolicyConf;
use super::super::ext::log_request;
use super::super::record::Decided;
use super::super::request::now;
use super::super::shim::canary_connection_is_tls;
use super::push_header;
use crate::pin::{Pin, Pinned};
use crate::user::Visitor;
use crate::visitor::{self, Day};

/// The visitor cookie of a page, where it is due. Returns whether it was; `None` when memory is short.
pub fn set_visitor(r: &mut ngx_http_request_t, conf: &PolicyConf, decided: &Decided) -> Option<bool> {
    let today = (now() / 86_400) as Day;
    let is_due = match decided.visitor {
        Visitor::Unused => false,
        Visitor::New => true,
        Visitor::Known(day) => visitor::is_due(day, today),
    };
    if !is_due {
        return Some(false);
    }
    let id = match decided.sender.so_far().id().first_chunk() {
        Some(known) => *known,
        None => match new_id() {
            Ok(id) => id,
            Err(error) => {
                log_request(r, NGX_LOG_ERR, &format!("no random number for a visitor cookie: {error}"));
                return Some(false);
            }
        },
    };
    let cookie = visitor::set_cookie(&conf.policy.visitor_cookie, &id, today, is_tls(r));
    push_header(r, "Set-Cookie", cookie.as_bytes())?;
    Some(true)
}

/// The pin cookie of a page that the build of `line` has served, unless the browser has it already. `None` when memory is
/// short.
pub fn set_pin(r: &mut ngx_http_request_t, pin: &Pin, decided: &Decided, line: usize) -> Option<()> {
    // The split did not choose what answers in place of its choice.
    let (is_dealt, now) = (decided.is_dealt && line == decided.line, now());
    let is_right = match decided.pinned {
        Some(Pinned::Genuine { line: pinned, is_dealt: dealt, issued }) => {
            pinned == line && dealt == is_dealt && !pin.cookie.is_due(issued, now)
        }
        _ => false,
    };
    if is_right {
        return Some(());
    }
    match pin.cookie.line(line, is_dealt, now, is_tls(r)) {
        Some(cookie) => push_header(r, "Set-Cookie", cookie.as_bytes()),
        None => Some(()),
    }
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
pub fn set_enrolments(r: &mut ngx_http_request_t, conf: &PolicyConf, decided: &Decided) -> Option<()> {
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
        let sealed = getrandom::fill(&mut nonce).map_err(|error| error.to_string()).and_then(|()| {
            keep.line(decided.sender.so_far().id(), key, nonce, now, is_tls(r)).map_err(|e| e.to_string())
        });
        match sealed {
            Ok(Some(line)) => push_header(r, "Set-Cookie", line.as_bytes())?,
            Ok(None) => {}
            Err(error) => log_request(r, NGX_LOG_ERR, &format!("cannot seal a keep cookie: {error}")),
        }
    }
    Some(())
}
