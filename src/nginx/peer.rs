//! The peer of a request that is passed to `lobechat_canary`: nginx asks it for servers, and it asks the upstream of the
//! decided release, then those of the releases to fall back to. Set up by the upstream; nginx calls the rest.
//!
//! Which failures are tried again, and for how long, stays nginx's own business. It goes on as long as the peer shows
//! tries, so the peer shows what the release's balancer has left, and one more while there is another release. Once there
//! is none, it keeps out of it.

mod balancer;
mod calls;

use core::ptr;

use nginx_sys::*;

use self::balancer::Balancer;
use super::conf::PolicyConf;
use super::record::Decided;
use super::shim::{canary_keep_nothing, canary_peer_is_stale};
use crate::attempts::Attempts;
use crate::fallback::Tries;
use crate::pin::Part;

/// What a balancer answers that has no live server.
const NO_LIVE: ngx_int_t = NGX_BUSY as ngx_int_t;

/// In the pool of its request.
struct Peer {
    balancer: Balancer,
    tries: Tries,
    /// The release whose turn is next, and the place behind it in the policy's list.
    next: Option<(usize, usize)>,
    request: *mut ngx_http_request_t,
    conf: *const PolicyConf,
    decided: *const Decided,
    /// What subrequests do is no part of the client's request.
    main: bool,
}

/// The first peer of a main request under its policy, which lies in the record of the decision.
pub struct FirstPeer {
    peer: Peer,
    attempts: Attempts,
}

/// Sets up the peer of `r`, whose upstream nginx has just created, for the release that was decided.
pub fn set_up(r: *mut ngx_http_request_t, conf: &PolicyConf, decided: &Decided) -> ngx_int_t {
    // SAFETY: a live request with an upstream that has its location's configuration. The memory is aligned, large enough
    // for what is written there, which needs no drop, and not in use: what is in `first_peer` is, once there are
    // attempts. The decision and the policy outlive the request.
    unsafe {
        let main = ptr::eq(r, (*r).main);
        let first = if main && decided.attempts().is_none() { decided.first_peer } else { ptr::null_mut() };
        let peer = match first.is_null() {
            true => ngx_palloc((*r).pool, size_of::<Peer>()).cast::<Peer>(),
            false => &raw mut (*first).peer,
        };
        if peer.is_null() || enter(r, conf, decided.line) != NGX_OK as ngx_int_t {
            return NGX_ERROR as ngx_int_t;
        }
        let index = (*(*r).upstream_states).nelts;
        if !first.is_null() {
            let attempts = &raw mut (*first).attempts;
            attempts.write(Attempts::new(index, decided.line));
            decided.set_attempts(attempts);
        } else if main && let Some(attempts) = decided.attempts() {
            attempts.begin_round(index, decided.line);
        }
        let (u, next) = ((*r).upstream, next(conf, decided, 0));
        let mut tries = Tries::default();
        if next.is_some() {
            tries = Tries::new((*(*u).conf).next_upstream_tries);
            tries.enter((*u).peer.tries);
            (*u).peer.tries = tries.show(true);
        }
        let balancer = Balancer::of(u);
        peer.write(Peer { balancer, tries, next, main, request: r, conf, decided });
        install(u, peer);
    }
    NGX_OK as ngx_int_t
}

/// Lets the upstream of a line of the file set up its balancer.
///
/// # Safety
/// `r` must be a live request whose upstream has no peer in use.
unsafe fn enter(r: *mut ngx_http_request_t, conf: &PolicyConf, line: usize) -> ngx_int_t {
    // SAFETY: the upstream of a release lives as long as the configuration, and every upstream has got its peer.init
    // before the first request. `upstream` must be the inner one: nginx takes names of resolved peers from it. Round
    // robin would take any `data` for its own.
    unsafe {
        let (u, upstream) = ((*r).upstream, conf.upstreams[line]);
        (*u).upstream = upstream;
        #[cfg(ngx_feature = "http_ssl")]
        {
            (*u).ssl_name = (*upstream).host;
        }
        (*u).peer.data = ptr::null_mut();
        match (*upstream).peer.init {
            Some(init) => init(r, upstream),
            None => NGX_ERROR as ngx_int_t,
        }
    }
}

#[inline]
fn next(conf: &PolicyConf, decided: &Decided, place: usize) -> Option<(usize, usize)> {
    conf.next(decided.part == Part::Asset, place, decided.release)
}

/// Puts our functions where the balancer has put its own.
///
/// # Safety
/// `u` must be the live upstream that `peer` was made for.
unsafe fn install(u: *mut ngx_http_upstream_t, peer: *mut Peer) {
    // SAFETY: the caller's word.
    unsafe {
        let pc = &mut (*u).peer;
        pc.data = peer.cast();
        let is_last = (*peer).next.is_none();
        pc.get = Some(if is_last { calls::get_last } else { calls::get_first });
        pc.free = Some(if is_last { calls::free_last } else { calls::free });
        #[cfg(ngx_feature = "http_ssl")]
        {
            pc.set_session = Some(calls::set_session);
            pc.save_session = Some(calls::save_session);
        }
        #[cfg(nginx1_29_6)]
        {
            pc.notify = (*peer).balancer.notify.and(Some(calls::notify));
        }
    }
}

impl Peer {
    #[inline]
    fn show(&mut self) -> usize {
        self.tries.show(self.next.is_some())
    }

    /// How many attempts nginx counts for the request, the one that it is making included.
    ///
    /// # Safety
    /// The request must be live and have an upstream.
    #[inline]
    unsafe fn count(&self) -> usize {
        // SAFETY: the caller's word; nginx adds an entry before it asks for a server.
        unsafe { (*(*self.request).upstream_states).nelts }
    }

    #[inline]
    fn attempts(&self) -> Option<&Attempts> {
        // SAFETY: the record of the decision outlives the request.
        if self.main { unsafe { &*self.decided }.attempts() } else { None }
    }

    /// Asks for a server of the release, and when none is live, of the next one.
    ///
    /// # Safety
    /// `pc` must be the live connection of this peer's upstream.
    #[inline]
    unsafe fn get_live(&mut self, pc: *mut ngx_peer_connection_t) -> ngx_int_t {
        // SAFETY: the balancer gets its own data.
        unsafe {
            match self.ask(pc) {
                // nginx would give up: that no server is live is no reason to try again, for it.
                NO_LIVE if self.next.is_some() => {
                    self.no_live();
                    self.get_from_next(pc)
                }
                result => result,
            }
        }
    }

    /// Asks for a server. A balancer counts its tries when it gets a server back, so here it sees the number that nginx
    /// sees.
    ///
    /// # Safety
    /// As for [`Peer::get_live`].
    unsafe fn get(&mut self, pc: *mut ngx_peer_connection_t) -> ngx_int_t {
        // SAFETY: as for get_live.
        unsafe {
            self.tries.begin((*pc).tries);
            match self.tries.of_release() == 0 && self.next.is_some() {
                true => self.get_from_next(pc),
                false => self.get_live(pc),
            }
        }
    }

    /// Asks the balancer of the release.
    #[inline]
    unsafe fn ask(&self, pc: *mut ngx_peer_connection_t) -> ngx_int_t {
        // SAFETY: the balancer gets its own data.
        unsafe { self.balancer.get.map_or(NGX_ERROR as ngx_int_t, |get| get(pc, self.balancer.data)) }
    }

    /// Asks for a server of the next release that has one.
    #[cold]
    unsafe fn get_from_next(&mut self, pc: *mut ngx_peer_connection_t) -> ngx_int_t {
        // SAFETY: as in get.
        unsafe {
            while let Some(next) = self.next {
                if !self.switch(next) {
                    return NGX_ERROR as ngx_int_t;
                }
                let result = self.ask(pc);
                if result != NO_LIVE || self.next.is_none() {
                    (*pc).tries = self.show();
                    return result;
                }
                self.no_live();
            }
            NO_LIVE
        }
    }

    #[cold]
    fn no_live(&self) {
        if let Some(attempts) = self.attempts() {
            // SAFETY: called while nginx connects.
            attempts.no_live(unsafe { self.count() } - 1);
        }
    }

    /// Lets the next release take its turn. False: it cannot, nginx has logged why.
    ///
    /// # Safety
    /// The request must be live, between two attempts.
    #[cold]
    unsafe fn switch(&mut self, (release, place): (usize, usize)) -> bool {
        // SAFETY: as in set_up. Whatever happens, our functions must be in place again.
        unsafe {
            let (u, conf) = ((*self.request).upstream, &*self.conf);
            let line = conf.line_of(release);
            let entered = enter(self.request, conf, line) == NGX_OK as ngx_int_t;
            self.balancer = Balancer::of(u);
            self.next = next(conf, &*self.decided, place);
            install(u, ptr::from_mut(self));
            self.tries.enter((*u).peer.tries);
            if let Some(attempts) = self.attempts() {
                attempts.switch(self.count() - 1, line);
            }
            // The key of a cache entry, or the path of a file, may name the decided release.
            canary_keep_nothing(u);
            entered
        }
    }

    /// Gives a server back that has failed.
    ///
    /// # Safety
    /// As for [`Peer::get_live`].
    #[cold]
    unsafe fn free(&mut self, pc: *mut ngx_peer_connection_t, state: ngx_uint_t) {
        // SAFETY: the balancer gets its own number of tries.
        unsafe {
            (*pc).get = Some(calls::get);
            (*pc).tries = self.tries.of_release();
            self.give_back(pc, state);
            // On 403 and 404 the other servers of the release would say the same.
            let leave = state & NGX_PEER_NEXT as ngx_uint_t != 0 && self.next.is_some();
            self.tries.end(if leave { 0 } else { (*pc).tries });
            (*pc).tries = self.show();
        }
    }

    /// Gives a server back to the balancer of the release.
    #[inline]
    unsafe fn give_back(&self, pc: *mut ngx_peer_connection_t, state: ngx_uint_t) {
        if state & NGX_PEER_FAILED as ngx_uint_t != 0 {
            self.note_if_stale();
        }
        if let Some(free) = self.balancer.free {
            // SAFETY: the balancer gets its own data.
            unsafe { free(pc, self.balancer.data, state) };
        }
    }

    #[cold]
    fn note_if_stale(&self) {
        // SAFETY: called while the attempt is the last one of a live request; the accessor only reads.
        unsafe {
            if canary_peer_is_stale((*self.request).upstream) != 0
                && let Some(attempts) = self.attempts()
            {
                attempts.stale(self.count() - 1);
            }
        }
    }
}

const _: () = assert!(align_of::<Peer>() <= NGX_ALIGNMENT && !core::mem::needs_drop::<FirstPeer>());
