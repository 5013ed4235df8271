//! The balancer of a release: the functions and the data that its upstream has set up for a request. Used by the peer.

use core::ffi::c_void;

use nginx_sys::*;

/// What the upstream of a release has put into `u->peer` in place of ours.
pub struct Balancer {
    pub data: *mut c_void,
    pub get: ngx_event_get_peer_pt,
    pub free: ngx_event_free_peer_pt,
    #[cfg(ngx_feature = "http_ssl")]
    pub set_session: ngx_event_set_peer_session_pt,
    #[cfg(ngx_feature = "http_ssl")]
    pub save_session: ngx_event_save_peer_session_pt,
    #[cfg(nginx1_29_6)]
    pub notify: ngx_event_notify_peer_pt,
}

impl Balancer {
    /// # Safety
    /// `u` must be a live upstream.
    pub unsafe fn of(u: *mut ngx_http_upstream_t) -> Balancer {
        // SAFETY: the caller's word.
        let pc = unsafe { &(*u).peer };
        Balancer {
            data: pc.data,
            get: pc.get,
            free: pc.free,
            #[cfg(ngx_feature = "http_ssl")]
            set_session: pc.set_session,
            #[cfg(ngx_feature = "http_ssl")]
            save_session: pc.save_session,
            #[cfg(nginx1_29_6)]
            notify: pc.notify,
        }
    }
}
