//! Counts client requests, answers and attempts: in the log phase, when all is known, and for streams and WebSockets,
//! which may last for hours, as soon as the answer's header goes out. Main requests only: what `mirror` and
//! `auth_request` do is not the client's.

mod attempts;

use core::{ptr, slice};

use nginx_sys::*;

use super::conf::PolicyConf;
use super::ext::ConfExt;
use super::guard::guard;
use super::record::{Decided, for_each_decision};
use super::request::now;
use super::shim::{canary_answer_is_stream, canary_answer_is_whole, canary_header_is_sent};
use super::upstream::{is_cached, is_passed};
use crate::counts::Outcome;
use crate::decision::Reason;
use crate::zone::GenerationSlot;

/// What has been counted of a request under one decision: so many entries of nginx's list of attempts, and the request itself.
const REQUEST: u32 = 1 << 31;

/// Adds our handler to the log phase. `None`: memory is short.
pub fn install(cf: &mut ngx_conf_t) -> Option<()> {
    // SAFETY: the core module's context index is fixed by now; the array takes pointers to handlers.
    unsafe {
        let main: &mut ngx_http_core_main_conf_t = cf.http_main_conf(ngx_http_core_module.ctx_index);
        let handlers = &raw mut main.phases[ngx_http_phases_NGX_HTTP_LOG_PHASE as usize].handlers;
        let handler = ngx_array_push(handlers).cast::<ngx_http_handler_pt>();
        handler.as_mut().map(|place| *place = Some(log))
    }
}

/// The handler of the log phase.
unsafe extern "C" fn log(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx passes a live request.
    let request = unsafe { &*r };
    if ptr::eq(request.main, r) {
        guard((), || {
            for_each_decision(request, |conf, decided| {
                if count_plain(request, conf, decided).is_none() {
                    Count { r: request, conf, decided, at_end: true }.count_any();
                }
            })
        });
    }
    NGX_OK as ngx_int_t
}

/// Counts what most requests are: the release that was decided has answered the only attempt, as it should. `None`: this
/// one is not, and nothing has been counted.
#[inline]
fn count_plain(r: &ngx_http_request_t, conf: &PolicyConf, decided: &Decided) -> Option<()> {
    let [state] = states(r) else {
        return None;
    };
    // SAFETY: the accessor only reads.
    let whole = || unsafe { canary_answer_is_whole(ptr::from_ref(r).cast_mut()) != 0 };
    let is_plain = decided.counted.get() == 0
        && decided.attempts()?.is_one()
        && state.header_time != UNSET
        && !conf.policy.is_failure(state.status)
        && !decided.belongs.is_skew(decided.line)
        && whole();
    if !is_plain {
        return None;
    }
    let slot = conf.shared.generation(decided.line)?;
    let (milliseconds, reason) = (state.header_time as u64, reason_index(decided.reason));
    slot.shard(worker()).count_plain(reason, r.headers_out.status, milliseconds);
    slot.note_connected(now(), true);
    decided.counted.set(REQUEST | 1);
    if conf.policy.is_judged() {
        judge(conf, decided, Outcome::Ok, milliseconds);
    }
    Some(())
}

/// What nginx writes down of each attempt, with empty entries between rounds.
#[inline]
fn states(r: &ngx_http_request_t) -> &[ngx_http_upstream_state_t] {
    // SAFETY: the list lives in the request's pool, and nothing is added while we look.
    unsafe {
        match r.upstream_states.as_ref() {
            Some(states) if states.nelts > 0 => slice::from_raw_parts(states.elts.cast(), states.nelts),
            _ => &[],
        }
    }
}

/// Whether the answer that is about to begin is to be counted at once.
#[inline]
pub fn is_stream(r: &ngx_http_request_t) -> bool {
    // SAFETY: the accessor only reads.
    unsafe { canary_answer_is_stream(ptr::from_ref(r).cast_mut()) != 0 }
}

/// Called as the header of a stream goes out to a client.
pub fn header(r: &ngx_http_request_t, conf: &PolicyConf, decided: &Decided) {
    Count { r, conf, decided, at_end: false }.count_any();
}

struct Count<'r> {
    r: &'r ngx_http_request_t,
    conf: &'r PolicyConf,
    decided: &'r Decided,
    at_end: bool,
}

impl Count<'_> {
    #[inline(never)]
    fn count_any(&self) {
        let counted = self.decided.counted.get();
        let states = states(self.r);
        if counted & REQUEST == 0 {
            if !self.is_ours() {
                return;
            }
            self.count_request();
        }
        let fresh = states.get((counted & !REQUEST) as usize..).unwrap_or_default();
        if counted & REQUEST != 0 && self.at_end && self.was_cut() {
            self.count_broken_stream();
        }
        let last = self.count_attempts(states, fresh);
        self.decided.counted.set(REQUEST | states.len() as u32);
        if counted & REQUEST == 0 {
            self.count_response();
            if let Some((outcome, milliseconds)) = last.filter(|_| self.conf.policy.is_judged()) {
                judge(self.conf, self.decided, outcome, milliseconds);
            }
        }
    }

    /// It has counted as answered when it began.
    #[cold]
    fn count_broken_stream(&self) {
        let served = self.served();
        if let Some(generation) = self.slot(served) {
            generation.shard(worker()).count_attempt(Outcome::Cut);
        }
        if served == self.decided.line && self.conf.policy.is_judged() {
            judge(self.conf, self.decided, Outcome::Cut, 0);
        }
    }

    /// Whether the request went to a release, or got what a cache has of it. A decision that only a log reads is no request.
    fn is_ours(&self) -> bool {
        self.decided.attempts().is_some() || is_passed(self.r, self.conf, self.decided.line)
    }

    /// Where a line's generation is counted.
    fn slot(&self, line: usize) -> Option<&GenerationSlot> {
        self.conf.shared.generation(line)
    }

    /// The line whose build has answered.
    fn served(&self) -> usize {
        let attempts = self.decided.attempts().filter(|_| !is_cached(self.r));
        attempts.map_or(self.decided.line, |attempts| attempts.served())
    }

    fn count_request(&self) {
        if let Some(generation) = self.slot(self.decided.line) {
            let shard = generation.shard(worker());
            shard.count_request(reason_index(self.decided.reason));
            if self.decided.belongs.is_skew(self.decided.line) {
                shard.count_skew();
            }
        }
    }

    fn count_response(&self) {
        // SAFETY: the accessor only reads.
        let sent = unsafe { canary_header_is_sent(ptr::from_ref(self.r).cast_mut()) } != 0 || !self.at_end;
        let status = if sent { self.r.headers_out.status } else { 0 };
        if let Some(generation) = self.slot(self.served()) {
            generation.shard(worker()).count_response(status);
        }
        if let Some(attempts) = self.decided.attempts() {
            for switch in attempts.switches() {
                self.count_fallback(switch.from, switch.to);
                if switch.no_live
                    && let Some(generation) = self.slot(switch.from)
                {
                    generation.shard(worker()).count_attempt(Outcome::NoLive);
                }
            }
        }
    }

    #[cold]
    fn count_fallback(&self, from: usize, to: usize) {
        let shared = &self.conf.shared;
        if let (Some(policy), Some(from), Some(to)) = (shared.policy(), shared.place(from), shared.place(to))
        {
            policy.add_fallbacks(from, to, 1);
        }
    }
}

/// Tells the judge, where there is one, what became of a user of the split.
fn judge(conf: &PolicyConf, decided: &Decided, outcome: Outcome, milliseconds: u64) {
    let (true, Some(bucket)) = (decided.is_dealt, decided.sender.so_far().bucket) else {
        return;
    };
    let (Some(policy), Some(generation)) = (conf.shared.policy(), conf.shared.generation(decided.line))
    else {
        return;
    };
    // A request counts when it has ended. After a weight has gone down, what ends on that release is what has taken long:
    // under new weights both sides begin with nothing under way.
    if policy.epoch() != decided.epoch {
        return;
    }
    let slow = policy.slow_above(decided.release == crate::decision::STABLE);
    let is_slow = slow.map(|above| above > 0 && milliseconds >= above);
    // Who leaves early says nothing; who has waited long has seen a slow answer.
    if outcome == Outcome::Aborted && is_slow == [false; 2] {
        return;
    }
    generation.judged(bucket, outcome.is_failure(), is_slow);
}

/// What nginx writes for a time that has not come.
const UNSET: ngx_msec_t = ngx_msec_t::MAX;

fn worker() -> usize {
    // SAFETY: set before a process serves requests.
    unsafe { ngx_worker }
}

fn reason_index(reason: Reason) -> usize {
    match reason {
        Reason::Route(_) => 0,
        Reason::Pin => 1,
        Reason::Remembered(_) => 2,
        Reason::Split => 3,
        Reason::Anonymous => 4,
        Reason::Default => 5,
    }
}
