//! What became of one client request on its way through releases: which release each attempt went to, and which
//! releases were left for others. Written by the glue's peer, read when the answer goes out and when it is logged.
//!
//! nginx keeps one list of attempts for a request, whatever became of it: several rounds of upstreams under several
//! policies, after internal redirects. An attempt is known here by its index in that list.

use std::cell::Cell;

/// The attempts of a main request under one policy.
#[derive(Debug, Default)]
pub struct Attempts {
    /// In the order of the attempts. Of a request with more runs than fit, later attempts are nobody's.
    runs: [Cell<Run>; RUNS],
    count: Cell<u8>,
    /// Whether the next attempt begins a round.
    round: Cell<bool>,
    /// One more than the release whose turn it is or was last; 0 before any.
    turn: Cell<u16>,
}

/// Enough for four releases, each with a stale connection in between.
const RUNS: usize = 8;

/// Attempts in a row that went to one release.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    first: u16,
    /// Behind the last one.
    end: u16,
    release: u16,
    kind: Kind,
    begins_round: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Asked,
    /// Kept connections that turned out to be closed.
    Stale,
    /// No attempt at all: the release had no live server.
    NoLive,
}

/// A release was left for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switch {
    pub from: usize,
    pub to: usize,
    /// Because it had no live server, rather than after an attempt.
    pub no_live: bool,
}

impl Attempts {
    /// A round begins: nginx sets up an upstream.
    #[inline]
    pub fn begin_round(&self) {
        self.round.set(true);
    }

    /// Attempt `index` goes to `release`.
    #[inline]
    pub fn begin(&self, index: usize, release: usize) {
        let Ok(release) = u16::try_from(release) else {
            return;
        };
        self.turn.set(release.wrapping_add(1));
        let Ok(first) = u16::try_from(index) else {
            return;
        };
        if let Some(last) = self.last()
            && !self.round.get()
        {
            let run = last.get();
            if run.release == release && run.end == first && run.kind == Kind::Asked {
                last.set(Run { end: first.saturating_add(1), ..run });
                return;
            }
        }
        self.push(first, first.saturating_add(1), release, Kind::Asked);
    }

    /// Instead of an attempt `index`: `release` has no live server, and another one takes its turn.
    #[cold]
    pub fn no_live(&self, index: usize, release: usize) {
        if let (Ok(index), Ok(release)) = (u16::try_from(index), u16::try_from(release)) {
            self.push(index, index, release, Kind::NoLive);
        }
    }

    /// Attempt `index`, the last one, went over a kept connection that was closed already: no fault of the release.
    #[cold]
    pub fn stale(&self, index: usize) {
        let Some(last) = self.last() else {
            return;
        };
        let run = last.get();
        if run.kind != Kind::Asked || usize::from(run.end) != index + 1 {
            return;
        }
        if run.end - run.first == 1 {
            last.set(Run { kind: Kind::Stale, ..run });
        } else {
            last.set(Run { end: run.end - 1, ..run });
            self.push(run.end - 1, run.end, run.release, Kind::Stale);
        }
    }

    fn last(&self) -> Option<&Cell<Run>> {
        self.runs.get(usize::from(self.count.get()).checked_sub(1)?)
    }

    fn push(&self, first: u16, end: u16, release: u16, kind: Kind) {
        let count = self.count.get();
        if let Some(run) = self.runs.get(usize::from(count)) {
            run.set(Run { first, end, release, kind, begins_round: self.round.replace(false) });
            self.count.set(count + 1);
        }
    }

    fn runs(&self) -> impl Iterator<Item = Run> {
        self.runs.iter().take(usize::from(self.count.get())).map(Cell::get)
    }

    fn run_of(&self, index: usize) -> Option<Run> {
        self.runs().find(|run| (usize::from(run.first)..usize::from(run.end)).contains(&index))
    }

    /// The release that attempt `index` went to. `None`: it was not made under this policy.
    pub fn release_of(&self, index: usize) -> Option<usize> {
        self.run_of(index).map(|run| usize::from(run.release))
    }

    /// Whether attempt `index` says nothing about its release.
    pub fn is_stale(&self, index: usize) -> bool {
        self.run_of(index).is_some_and(|run| run.kind == Kind::Stale)
    }

    /// The releases that were left for others, in order.
    pub fn switches(&self) -> impl Iterator<Item = Switch> {
        let pairs = self.runs().zip(self.runs().skip(1));
        pairs.filter(|(from, to)| !to.begins_round && from.release != to.release).map(|(from, to)| Switch {
            from: from.release.into(),
            to: to.release.into(),
            no_live: from.kind == Kind::NoLive,
        })
    }

    /// The release that was asked last, hence the one that answers if any does. `None` before the first attempt.
    #[inline]
    pub fn served(&self) -> Option<usize> {
        usize::from(self.turn.get()).checked_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(attempts: &Attempts, count: usize) -> Vec<Option<usize>> {
        (0..count).map(|index| attempts.release_of(index)).collect()
    }

    fn stale(attempts: &Attempts) -> Vec<usize> {
        (0..20).filter(|&index| attempts.is_stale(index)).collect()
    }

    fn switches(attempts: &Attempts) -> Vec<(usize, usize, bool)> {
        attempts.switches().map(|switch| (switch.from, switch.to, switch.no_live)).collect()
    }

    #[test]
    fn nothing_at_first() {
        let attempts = Attempts::default();
        attempts.stale(0);
        assert_eq!((attempts.served(), of(&attempts, 2)), (None, vec![None, None]));
        assert_eq!(switches(&attempts), []);
    }

    #[test]
    fn attempts_and_switches() {
        let attempts = Attempts::default();
        attempts.begin_round();
        for (index, release) in [(0, 1), (1, 1), (2, 0)] {
            attempts.begin(index, release);
            assert_eq!(attempts.served(), Some(release));
        }
        assert_eq!(of(&attempts, 4), [Some(1), Some(1), Some(0), None]);
        assert_eq!(switches(&attempts), [(1, 0, false)]);
        assert_eq!(stale(&attempts), [0; 0]);
    }

    #[test]
    fn stale_connections() {
        let attempts = Attempts::default();
        for index in 0..5 {
            attempts.begin(index, 1);
            if index % 2 == 1 || index == 0 {
                attempts.stale(index);
            }
        }
        attempts.begin(5, 0);
        assert_eq!(of(&attempts, 6), [Some(1), Some(1), Some(1), Some(1), Some(1), Some(0)]);
        assert_eq!(stale(&attempts), [0, 1, 3]);
        assert_eq!(switches(&attempts), [(1, 0, false)]);
        // Only the last attempt can turn out stale, and only once.
        attempts.stale(4);
        attempts.stale(5);
        attempts.stale(5);
        assert_eq!(stale(&attempts), [0, 1, 3, 5]);
    }

    #[test]
    fn no_live_server() {
        let attempts = Attempts::default();
        attempts.begin(0, 2);
        attempts.no_live(1, 2);
        attempts.no_live(1, 1);
        attempts.begin(1, 0);
        assert_eq!(of(&attempts, 2), [Some(2), Some(0)]);
        assert_eq!(switches(&attempts), [(2, 1, true), (1, 0, true)]);
        assert_eq!(attempts.served(), Some(0));
    }

    #[test]
    fn rounds_are_no_switches() {
        let attempts = Attempts::default();
        attempts.begin_round();
        attempts.begin(0, 1);
        attempts.begin(1, 0);
        // nginx puts a separator at 2, and other policies or upstreams may come between.
        attempts.begin_round();
        attempts.begin(5, 1);
        attempts.begin_round();
        attempts.begin(6, 1);
        attempts.begin(7, 1);
        assert_eq!(of(&attempts, 9), [Some(1), Some(0), None, None, None, Some(1), Some(1), Some(1), None]);
        assert_eq!(switches(&attempts), [(1, 0, false)]);
    }

    #[test]
    fn what_does_not_fit_is_nobodys() {
        let attempts = Attempts::default();
        for index in 0..20 {
            attempts.begin(index, index % 2);
            attempts.stale(index);
        }
        let known = of(&attempts, 20);
        assert!(known[..RUNS].iter().enumerate().all(|(index, release)| *release == Some(index % 2)));
        assert_eq!(known[RUNS..], [None; 20 - RUNS]);
        assert_eq!((stale(&attempts).len(), attempts.served()), (RUNS, Some(1)));
        attempts.begin(usize::from(u16::MAX) + 1, 0);
        assert_eq!(attempts.release_of(usize::from(u16::MAX) + 1), None);
    }
}
