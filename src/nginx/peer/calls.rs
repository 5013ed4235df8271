//! What nginx calls while it connects a request: the peer's own, or the balancer's of the release in turn. Put in place by
//! the peer.

use core::ffi::c_void;

use nginx_sys::*;

use super::super::guard::guard;
use super::Peer;

/// Before anything has failed.
pub unsafe extern "C" fn get_first(pc: *mut ngx_peer_connection_t, data: *mut c_void) -> ngx_int_t {
    // SAFETY: nginx passes the connection and the data that `install` has set.
    guard(NGX_ERROR as ngx_int_t, || unsafe { (*data.cast::<Peer>()).get_live(pc) })
}

pub unsafe extern "C" fn get(pc: *mut ngx_peer_connection_t, data: *mut c_void) -> ngx_int_t {
    // SAFETY: as in get_first.
    guard(NGX_ERROR as ngx_int_t, || unsafe { (*data.cast::<Peer>()).get(pc) })
}

/// For a release after which there is no other one.
pub unsafe extern "C" fn get_last(pc: *mut ngx_peer_connection_t, data: *mut c_void) -> ngx_int_t {
    // SAFETY: as in get.
    guard(NGX_ERROR as ngx_int_t, || unsafe { (*data.cast::<Peer>()).ask(pc) })
}

pub unsafe extern "C" fn free(pc: *mut ngx_peer_connection_t, data: *mut c_void, state: ngx_uint_t) {
    // SAFETY: as in get.
    guard((), || unsafe {
        let peer = &mut *data.cast::<Peer>();
        match state {
            0 => peer.give_back(pc, 0), // nginx asks for no other one
            _ => peer.free(pc, state),
        }
    });
}

/// For a release after which there is no other one.
pub unsafe extern "C" fn free_last(pc: *mut ngx_peer_connection_t, data: *mut c_void, state: ngx_uint_t) {
    // SAFETY: as in get.
    guard((), || unsafe { (*data.cast::<Peer>()).give_back(pc, state) });
}

#[cfg(ngx_feature = "http_ssl")]
pub unsafe extern "C" fn set_session(pc: *mut ngx_peer_connection_t, data: *mut c_void) -> ngx_int_t {
    // SAFETY: as in get; the balancer gets its own data.
    guard(NGX_ERROR as ngx_int_t, || unsafe {
        let balancer = &(*data.cast::<Peer>()).balancer;
        balancer.set_session.map_or(NGX_OK as ngx_int_t, |set_session| set_session(pc, balancer.data))
    })
}

#[cfg(ngx_feature = "http_ssl")]
pub unsafe extern "C" fn save_session(pc: *mut ngx_peer_connection_t, data: *mut c_void) {
    // SAFETY: as in set_session.
    guard((), || unsafe {
        let balancer = &(*data.cast::<Peer>()).balancer;
        if let Some(save_session) = balancer.save_session {
            save_session(pc, balancer.data);
        }
    });
}

#[cfg(nginx1_29_6)]
pub unsafe extern "C" fn notify(pc: *mut ngx_peer_connection_t, data: *mut c_void, kind: ngx_uint_t) {
    // SAFETY: as in set_session.
    guard((), || unsafe {
        let balancer = &(*data.cast::<Peer>()).balancer;
        if let Some(notify) = balancer.notify {
            notify(pc, balancer.data, kind);
        }
    });
}
