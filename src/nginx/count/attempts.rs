//! Counts the attempts of a request: which release each went to, and how it ended. Part of counting requests.

use nginx_sys::*;

use super::super::ext::bytes;
use super::super::request::now;
use super::super::shim::canary_answer_was_cut;
use super::{Count, UNSET, worker};
use crate::counts::{Attempt, Outcome};
use crate::decision::STABLE;
use crate::duration::Seconds;
use crate::zone::GenerationSlot;

impl Count<'_> {
    /// Counts fresh attempts, and returns what became of the request at the decided release.
    pub(super) fn count_attempts(
        &self,
        all: &[ngx_http_upstream_state_t],
        fresh: &[ngx_http_upstream_state_t],
    ) -> Option<(Outcome, u64)> {
        let first = all.len() - fresh.len();
        let mut last = self.decided.attempts().and_then(|attempts| {
            // With no live server there is no entry.
            let left = attempts.switches().find(|switch| switch.no_live && switch.from == self.decided.line);
            left.map(|_| (Outcome::NoLive, 0))
        });
        for (index, state) in fresh.iter().enumerate() {
            let Some((line, is_stale)) = self.line_of(all, first + index) else {
                continue;
            };
            let Some(slot) = self.slot(line) else {
                continue;
            };
            let (outcome, milliseconds) = self.outcome(state, is_stale, first + index + 1 == all.len(), line);
            let shard = slot.shard(worker());
            shard.count_attempt(outcome);
            if state.header_time != UNSET {
                shard.count_ttfb(milliseconds);
            }
            self.note(slot, line, outcome, state.connect_time != UNSET);
            if line == self.decided.line && outcome != Outcome::Stale {
                last = Some((outcome, milliseconds));
            }
        }
        last
    }

    /// The line that an attempt went to, and whether it says nothing about it. `None`: it was none of ours.
    fn line_of(&self, all: &[ngx_http_upstream_state_t], index: usize) -> Option<(usize, bool)> {
        // An entry without a peer parts two rounds.
        let (before, here) = all.get(..=index)?.split_at(index);
        if here.iter().any(|state| state.peer.is_null()) {
            return None;
        }
        let round = before.iter().rposition(|state| state.peer.is_null()).map_or(0, |parting| parting + 1);
        match self.decided.attempts() {
            Some(attempts) => {
                let line = attempts.release_of(round, index)?;
                // What nginx cannot send twice, such as a POST, has failed for good.
                let asked_again = all.get(index + 1).is_some_and(|state| !state.peer.is_null());
                Some((line, asked_again && attempts.is_stale(round, index)))
            }
            None => Some((self.decided.line, false)),
        }
    }

    /// How an attempt ended, and the milliseconds to the header of its answer or to its end.
    fn outcome(
        &self,
        state: &ngx_http_upstream_state_t,
        is_stale: bool,
        is_last: bool,
        line: usize,
    ) -> (Outcome, u64) {
        let ttfb = (state.header_time != UNSET).then_some(state.header_time as u64);
        let attempt = Attempt { status: state.status, is_connected: state.connect_time != UNSET, ttfb };
        // What another build makes of a page's request says nothing about it.
        let is_own = !self.decided.belongs.is_skew(line);
        let outcome = match Outcome::of(attempt, |status| is_own && self.conf.policy.is_failure(status)) {
            _ if is_stale => Outcome::Stale,
            // nginx names the upstream, not a server, when there was none to ask.
            Outcome::Connect if self.names_upstream(state, line) => Outcome::NoLive,
            Outcome::Ok if is_last && self.at_end && self.was_cut() => Outcome::Cut,
            outcome => outcome,
        };
        let waited = if state.response_time == UNSET { 0 } else { state.response_time as u64 };
        (outcome, ttfb.unwrap_or(waited))
    }

    pub(super) fn was_cut(&self) -> bool {
        // SAFETY: the accessor only reads.
        unsafe { canary_answer_was_cut(core::ptr::from_ref(self.r).cast_mut()) != 0 }
    }

    #[cold]
    fn names_upstream(&self, state: &ngx_http_upstream_state_t, line: usize) -> bool {
        // SAFETY: names of peers and upstreams live as long as the request and the configuration.
        unsafe { bytes(*state.peer) == bytes((*self.conf.upstreams[line]).host) }
    }

    /// What the driver has to know at once: runs of failed connections, and who is alive. A connection that the release
    /// had closed before says neither; who left before the answer began has seen none.
    fn note(&self, slot: &GenerationSlot, line: usize, outcome: Outcome, is_connected: bool) {
        let now = now();
        match outcome {
            Outcome::Stale => {}
            _ if is_connected => slot.note_connected(now, outcome == Outcome::Ok),
            Outcome::Connect => self.connect_failed(slot, line, now),
            _ => {}
        }
    }

    /// When stable cannot be reached either, the others' runs say nothing about them.
    #[cold]
    fn connect_failed(&self, slot: &GenerationSlot, line: usize, now: Seconds) {
        if self.conf.release_of(line) != STABLE {
            if slot.heeds(self.decided.epoch) {
                slot.note_connect_failed(now);
            }
            return;
        }
        for other in 0..self.conf.policy.releases.len() {
            if let Some(generation) = self.slot(other) {
                generation.end_connect_failures();
            }
        }
    }
}
