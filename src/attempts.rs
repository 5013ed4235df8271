//! What became of one client request on its way through releases: which release each attempt went to, and which
//! releases were left for others. Written by the glue's peer, read when the answer goes out and when it is logged.
//!
//! nginx keeps one list of attempts for a request, whatever became of it: several rounds of upstreams under several
//! policies, after internal redirects. An attempt is known here by its index in that list.

use std::cell::Cell;

/// The attempts of a main request under one policy.
#[derive(Debug)]
pub struct Attempts {
    /// In the order of the attempts. Of a request with more runs than fit, later attempts are nobody's.
    runs: [Cell<Run>; RUNS],
    /// One more than `RUNS` once some did not fit.
    count: Cell<u8>,
    /// Where the newest run ends, as far as is known.
    end: Cell<u32>,
    /// The release whose turn it is or was last.
    turn: Cell<u32>,
}

/// A request has one, as a rule, and a second one after a failure.
const RUNS: usize = 6;

/// Attempts in a row that went to one release, perhaps none.
#[derive(Clone, Copy, Debug)]
struct Run {
    first: u32,
    /// Behind the last attempt that is over. The one at `end` is on its way, or else no attempt: nginx puts an empty entry
    /// between two rounds.
    end: u32,
    release: u32,
    kind: Kind,
    begins_round: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
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
    /// The first round begins: nginx sets up an upstream, and from attempt `index` on, `release` is asked.
    #[inline]
    pub fn new(index: usize, release: usize) -> Attempts {
        let (first, release) = (index as u32, release as u32);
        let run = Run { first, end: first, release, kind: Kind::Asked, begins_round: true };
        let mut runs = [const { Cell::new(Run::NONE) }; RUNS];
        runs[0] = Cell::new(run);
        Attempts { runs, count: Cell::new(1), end: Cell::new(first), turn: Cell::new(release) }
    }

    /// Another round begins.
    #[cold]
    pub fn begin_round(&self, index: usize, release: usize) {
        self.push(index as u32, release as u32, Kind::Asked, true);
    }

    /// From attempt `index` on, `release` is asked instead of the one before it.
    #[cold]
    pub fn switch(&self, index: usize, release: usize) {
        self.push(index as u32, release as u32, Kind::Asked, false);
    }

    /// So many attempts are over.
    #[inline]
    pub fn over(&self, count: usize) {
        self.end.set(count as u32);
    }

    /// Instead of an attempt `index`: the release has no live server.
    #[cold]
    pub fn no_live(&self, index: usize) {
        self.push(index as u32, self.turn.get(), Kind::NoLive, false);
    }

    /// Attempt `index`, the last one, went over a kept connection that was closed already: no fault of the release.
    #[cold]
    pub fn stale(&self, index: usize) {
        self.push(index as u32, self.turn.get(), Kind::Stale, false);
        self.over(index + 1);
        self.push(index as u32 + 1, self.turn.get(), Kind::Asked, false);
    }

    fn push(&self, first: u32, release: u32, kind: Kind, begins_round: bool) {
        let count = self.count.get();
        if let Some(newest) = self.newest() {
            newest.set(Run { end: self.end.get().min(first), ..newest.get() });
        }
        if let Some(run) = self.runs.get(usize::from(count)) {
            run.set(Run { first, end: first, release, kind, begins_round });
        }
        self.count.set(count.saturating_add(1).min(RUNS as u8 + 1));
        self.end.set(first);
        self.turn.set(release);
    }

    #[inline]
    fn newest(&self) -> Option<&Cell<Run>> {
        self.runs.get(usize::from(self.count.get()).checked_sub(1)?)
    }

    fn runs(&self) -> impl Iterator<Item = Run> {
        self.runs[..RUNS.min(self.count.get().into())].iter().map(Cell::get)
    }

    fn run_of(&self, index: usize) -> Option<Run> {
        let place = self.runs().take_while(|run| run.first as usize <= index).count().checked_sub(1)?;
        let run = self.runs.get(place)?.get();
        let behind = match usize::from(self.count.get()) - place {
            1 => self.end.get() as usize + 1,
            // The next run did not fit, and begins where this one ends.
            2 if place + 1 == RUNS => run.end as usize,
            _ => run.end as usize + 1,
        };
        (index < behind).then_some(run)
    }

    /// The release that attempt `index` went to. `None`: it was not made under this policy. An entry without a peer is no
    /// attempt, so do not ask for it.
    pub fn release_of(&self, index: usize) -> Option<usize> {
        self.run_of(index).map(|run| run.release as usize)
    }

    /// Whether attempt `index` says nothing about its release.
    pub fn is_stale(&self, index: usize) -> bool {
        self.run_of(index).is_some_and(|run| run.kind == Kind::Stale)
    }

    /// The releases that were left for others, in order.
    pub fn switches(&self) -> impl Iterator<Item = Switch> {
        let pairs = self.runs().zip(self.runs().skip(1));
        pairs.filter(|(from, to)| !to.begins_round && from.release != to.release).map(|(from, to)| Switch {
            from: from.release as usize,
            to: to.release as usize,
            no_live: from.kind == Kind::NoLive,
        })
    }

    /// The release that is asked or was asked last, hence the one that answers if any does.
    #[inline]
    pub fn served(&self) -> usize {
        self.turn.get() as usize
    }
}

impl Run {
    const NONE: Run = Run { first: 0, end: 0, release: 0, kind: Kind::Asked, begins_round: false };
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
    fn before_the_first_attempt() {
        let attempts = Attempts::new(3, 1);
        assert_eq!((attempts.served(), switches(&attempts)), (1, vec![]));
        assert_eq!(of(&attempts, 6), [None, None, None, Some(1), None, None]);
    }

    #[test]
    fn attempts_and_switches() {
        let attempts = Attempts::new(0, 1);
        attempts.over(1);
        assert_eq!(of(&attempts, 3), [Some(1), Some(1), None]);
        attempts.over(2);
        attempts.switch(2, 0);
        assert_eq!((attempts.served(), of(&attempts, 4)), (0, vec![Some(1), Some(1), Some(0), None]));
        attempts.over(3);
        assert_eq!(of(&attempts, 3), [Some(1), Some(1), Some(0)]);
        assert_eq!(switches(&attempts), [(1, 0, false)]);
        assert_eq!(stale(&attempts), [0; 0]);
    }

    #[test]
    fn stale_connections() {
        let attempts = Attempts::new(0, 1);
        for index in 0..4 {
            if index == 0 || index == 2 {
                attempts.stale(index);
            }
            attempts.over(index + 1);
        }
        assert_eq!(of(&attempts, 5), [Some(1); 5]);
        attempts.switch(4, 0);
        attempts.over(5);
        assert_eq!(of(&attempts, 5), [Some(1), Some(1), Some(1), Some(1), Some(0)]);
        assert_eq!(stale(&attempts), [0, 2]);
        assert_eq!(switches(&attempts), [(1, 0, false)]);
    }

    #[test]
    fn a_stale_connection_before_a_switch() {
        let attempts = Attempts::new(0, 1);
        attempts.stale(0);
        attempts.over(1);
        attempts.switch(1, 0);
        assert_eq!(of(&attempts, 2), [Some(1), Some(0)]);
        assert_eq!((stale(&attempts), switches(&attempts)), (vec![0], vec![(1, 0, false)]));
    }

    #[test]
    fn no_live_server() {
        let attempts = Attempts::new(0, 2);
        attempts.over(1);
        attempts.no_live(1);
        attempts.switch(1, 1);
        attempts.no_live(1);
        attempts.switch(1, 0);
        assert_eq!(of(&attempts, 2), [Some(2), Some(0)]);
        assert_eq!(switches(&attempts), [(2, 1, true), (1, 0, true)]);
        assert_eq!(attempts.served(), 0);
    }

    #[test]
    fn rounds_are_no_switches() {
        let attempts = Attempts::new(0, 1);
        attempts.over(1);
        attempts.switch(1, 0);
        attempts.over(2);
        // nginx puts an empty entry at 2, and at 5; other policies or upstreams come between.
        attempts.begin_round(6, 1);
        attempts.over(7);
        attempts.begin_round(8, 1);
        attempts.over(9);
        attempts.over(10);
        for (index, release) in [(0, 1), (1, 0), (6, 1), (8, 1), (9, 1)] {
            assert_eq!(attempts.release_of(index), Some(release), "{index}");
        }
        assert_eq!([3, 4, 5, 11, 12].map(|index| attempts.release_of(index)), [None; 5]);
        assert_eq!(switches(&attempts), [(1, 0, false)]);
    }

    #[test]
    fn what_does_not_fit_is_nobodys() {
        let attempts = Attempts::new(0, 0);
        for index in 0..20 {
            attempts.over(index + 1);
            attempts.switch(index + 1, (index + 1) % 2);
        }
        attempts.over(21);
        for index in 0..30 {
            let expected = (index < RUNS).then_some(index % 2);
            assert_eq!(attempts.release_of(index), expected, "{index}");
        }
        assert_eq!((switches(&attempts).len(), attempts.served()), (RUNS - 1, 0));
    }
}
