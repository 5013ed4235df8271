//! Keeps an answer until the change that it tells of is on disk. Part of the API's handler.

use core::ffi::c_void;
use core::ptr;

use nginx_sys::*;

use super::super::guard::guard;
use super::super::runtime::SharedRuntime;
use super::super::shim::canary_after;
use super::send;
use crate::api::{self, Wait};

/// Milliseconds between looks for a change on disk, and how many looks there are.
const LOOK: ngx_msec_t = 25;
const LOOKS: u32 = 120;

/// An answer that waits until the state file has a change.
struct Waiting {
    request: *mut ngx_http_request_t,
    wait: Wait,
    looks: u32,
}

/// Keeps a request until its change is on disk, or a few seconds have gone. False: it cannot wait.
pub fn wait_for(r: &ngx_http_request_t, wait: Wait) -> bool {
    let waiting = Box::new(Waiting { request: ptr::from_ref(r).cast_mut(), wait, looks: 0 });
    // SAFETY: the request is live; the timer ends with it, and `look` with `drop_waiting` own what is in the box.
    unsafe {
        let data = Box::into_raw(waiting);
        let result = canary_after((*data).request, LOOK, data.cast(), Some(look), Some(drop_waiting));
        if result != NGX_OK as ngx_int_t {
            drop(Box::from_raw(data));
        }
        result == NGX_OK as ngx_int_t
    }
}

/// Looks for the change. 1: look again later.
extern "C" fn look(data: *mut c_void) -> ngx_uint_t {
    // SAFETY: the box of wait_for, while its request lives.
    let waiting = unsafe { &mut *data.cast::<Waiting>() };
    let r = waiting.request;
    let result = guard(NGX_HTTP_INTERNAL_SERVER_ERROR as ngx_int_t, || {
        // SAFETY: as above.
        let Some(runtime) = SharedRuntime::of(unsafe { &*r }) else {
            return NGX_HTTP_INTERNAL_SERVER_ERROR as ngx_int_t;
        };
        waiting.looks += 1;
        let is_persisted = runtime.is_persisted(&waiting.wait.policy, waiting.wait.epoch);
        if waiting.looks < LOOKS && !is_persisted {
            return NGX_AGAIN as ngx_int_t;
        }
        send(r, &api::changed(&waiting.wait, is_persisted, &runtime))
    });
    if result == NGX_AGAIN as ngx_int_t {
        return 1;
    }
    // SAFETY: as above; the count of the request was raised when its body was asked for. The box may be gone after this.
    unsafe { ngx_http_finalize_request(r, result) };
    0
}

extern "C" fn drop_waiting(data: *mut c_void) {
    // SAFETY: the box of wait_for; called once, as its request ends.
    guard((), || drop(unsafe { Box::from_raw(data.cast::<Waiting>()) }));
}
