//! What became of one client request on its way through releases: which release each attempt went to, and which
//! releases were left for others. Written by the glue's peer, read when the answer goes out and when it is logged.
//!
//! nginx keeps one list of attempts for a request, whatever became of it: several rounds of upstreams under several
//! policies, after internal redirects, with an entry without a peer between two rounds. An attempt is known here by its
//! index in that list, a round by the index of its first attempt.

use std::cell::Cell;

/// The attempts of a main request under one policy.
#[derive(Debug)]
pub struct Attempts {
    /// In the order of the attempts. Of a request with more runs than fit, later attempts are nobody's.
    runs: [Cell<Run>; RUNS],
    /// One more than `RUNS` once some did not fit.
    count: Cell<u8>,
    /// The release whose turn it is or was last.
    turn: Cell<u16>,
}

/// A request has one, as a rule, and a second one after a failure.
const RUNS: usize = 6;

/// Attempts in a row that went to one release, perhaps none. It ends where the next one of its round begins.
#[derive(Clone, Copy, Debug)]
struct Run {
    first: u32,
    release: u16,
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
        let (first, release) = (index as u32, release as u16);
        let mut runs = [const { Cell::new(Run::NONE) }; RUNS];
        runs[0] = Cell::new(Run { first, release, kind: Kind::Asked, begins_round: true });
        Attempts { runs, count: Cell::new(1), turn: Cell::new(release) }
    }

    /// Another round begins.
    #[cold]
    pub fn begin_round(&self, index: usize, release: usize) {
        self.push(Run { begins_round: true, ..Run::of(index, release as u16) });
    }

    /// From attempt `index` on, `release` is asked instead of the one before it.
    #[cold]
    pub fn switch(&self, index: usize, release: usize) {
        self.push(Run::of(index, release as u16));
    }

    /// Instead of an attempt `index`: the release has no live server.
    #[cold]
    pub fn no_live(&self, index: usize) {
        self.push(Run { kind: Kind::NoLive, ..Run::of(index, self.turn.get()) });
    }

    /// Attempt `index`, the last one, went over a kept connection that was closed already: no fault of the release.
    #[cold]
    pub fn stale(&self, index: usize) {
        self.push(Run { kind: Kind::Stale, ..Run::of(index, self.turn.get()) });
        self.push(Run::of(index + 1, self.turn.get()));
    }

    fn push(&self, run: Run) {
        let count = self.count.get();
        if let Some(free) = self.runs.get(usize::from(count)) {
            free.set(run);
        }
        self.count.set(count.min(RUNS as u8) + 1);
        self.turn.set(run.release);
    }

    fn runs(&self) -> impl Iterator<Item = Run> {
        self.runs[..RUNS.min(self.count.get().into())].iter().map(Cell::get)
    }

    fn run_of(&self, round: usize, index: usize) -> Option<Run> {
        let begins = |run: &Run| run.begins_round && run.first as usize == round;
        let in_round = self.runs().skip_while(|run| !begins(run));
        let in_round = in_round.take_while(|run| begins(run) || !run.begins_round);
        let (place, run) = in_round.enumerate().take_while(|(_, run)| run.first as usize <= index).last()?;
        // Behind the last run of all there may have been more.
        let lost = usize::from(self.count.get()) > RUNS
            && self.runs().skip_while(|r| !begins(r)).count() == place + 1;
        (!lost).then_some(run)
    }

    /// The release that attempt `index` went to, one of the round that begins at `round`. `None`: the round was not made
    /// under this policy.
    pub fn release_of(&self, round: usize, index: usize) -> Option<usize> {
        self.run_of(round, index).map(|run| usize::from(run.release))
    }

    /// Whether attempt `index` says nothing about its release.
    pub fn is_stale(&self, round: usize, index: usize) -> bool {
        self.run_of(round, index).is_some_and(|run| run.kind == Kind::Stale)
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

    /// Whether all went to one release, in one round, over connections that stood.
    #[inline]
    pub fn is_one(&self) -> bool {
        self.count.get() == 1
    }

    /// The release that is asked or was asked last, hence the one that answers if any does.
    #[inline]
    pub fn served(&self) -> usize {
        self.turn.get().into()
    }
}

impl Run {
    const NONE: Run = Run { first: 0, release: 0, kind: Kind::Asked, begins_round: false };

    fn of(index: usize, release: u16) -> Run {
        Run { first: index as u32, release, ..Run::NONE }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(attempts: &Attempts, round: usize, indexes: std::ops::Range<usize>) -> Vec<Option<usize>> {
        indexes.map(|index| attempts.release_of(round, index)).collect()
    }

    fn stale(attempts: &Attempts) -> Vec<usize> {
        (0..20).filter(|&index| attempts.is_stale(0, index)).collect()
    }

    fn switches(attempts: &Attempts) -> Vec<(usize, usize, bool)> {
        attempts.switches().map(|switch| (switch.from, switch.to, switch.no_live)).collect()
    }

    #[test]
    fn before_the_first_attempt() {
        let attempts = Attempts::new(3, 1);
        assert_eq!((attempts.served(), switches(&attempts)), (1, vec![]));
        assert_eq!(of(&attempts, 3, 3..5), [Some(1), Some(1)]);
        assert_eq!(of(&attempts, 0, 0..5), [None; 5]);
    }

    #[test]
    fn attempts_and_switches() {
        let attempts = Attempts::new(0, 1);
        attempts.switch(2, 0);
        assert_eq!(of(&attempts, 0, 0..4), [Some(1), Some(1), Some(0), Some(0)]);
        assert_eq!((attempts.served(), switches(&attempts)), (0, vec![(1, 0, false)]));
        assert_eq!(stale(&attempts), [0; 0]);
    }

    #[test]
    fn stale_connections() {
        let attempts = Attempts::new(0, 1);
        attempts.stale(0);
        attempts.stale(2);
        assert_eq!(of(&attempts, 0, 0..5), [Some(1); 5]);
        attempts.switch(4, 0);
        assert_eq!(of(&attempts, 0, 0..5), [Some(1), Some(1), Some(1), Some(1), Some(0)]);
        assert_eq!((stale(&attempts), switches(&attempts)), (vec![0, 2], vec![(1, 0, false)]));
    }

    #[test]
    fn a_stale_connection_before_a_switch() {
        let attempts = Attempts::new(0, 1);
        attempts.stale(0);
        attempts.switch(1, 0);
        assert_eq!(of(&attempts, 0, 0..2), [Some(1), Some(0)]);
        assert_eq!((stale(&attempts), switches(&attempts)), (vec![0], vec![(1, 0, false)]));
    }

    #[test]
    fn no_live_server() {
        let attempts = Attempts::new(0, 2);
        attempts.no_live(1);
        attempts.switch(1, 1);
        attempts.no_live(1);
        attempts.switch(1, 0);
        assert_eq!(of(&attempts, 0, 0..2), [Some(2), Some(0)]);
        assert_eq!(switches(&attempts), [(2, 1, true), (1, 0, true)]);
        assert_eq!(attempts.served(), 0);
    }

    #[test]
    fn rounds_are_no_switches() {
        let attempts = Attempts::new(0, 1);
        attempts.switch(1, 0);
        // nginx puts an empty entry at 2, and at 5; another policy or upstream has 3 and 4.
        attempts.begin_round(6, 1);
        attempts.begin_round(8, 1);
        attempts.stale(8);
        assert_eq!(of(&attempts, 0, 0..2), [Some(1), Some(0)]);
        assert_eq!(of(&attempts, 3, 3..5), [None, None]);
        assert_eq!(of(&attempts, 6, 6..7), [Some(1)]);
        assert_eq!(of(&attempts, 8, 8..10), [Some(1), Some(1)]);
        assert_eq!([8, 9].map(|index| attempts.is_stale(8, index)), [true, false]);
        assert_eq!(switches(&attempts), [(1, 0, false)]);
    }

    #[test]
    fn what_does_not_fit_is_nobodys() {
        let attempts = Attempts::new(0, 0);
        for index in 1..RUNS {
            attempts.switch(index, index % 2);
        }
        assert_eq!(attempts.release_of(0, RUNS), Some(1));
        for index in RUNS..20 {
            attempts.switch(index, index % 2);
        }
        for index in 0..30 {
            let expected = (index < RUNS - 1).then_some(index % 2);
            assert_eq!(attempts.release_of(0, index), expected, "{index}");
        }
        attempts.begin_round(31, 0);
        assert_eq!(attempts.release_of(31, 31), None);
        assert_eq!((switches(&attempts).len(), attempts.served()), (RUNS - 1, 0));
    }
}
