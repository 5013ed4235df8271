//! What is in force of a policy right now, as decisions need it: who is split where, which releases are open, what each
//! name stands for. Made from the file, and by the control whenever it has changed.

use crate::control::State;
use crate::decision::STABLE;
use crate::duration::Seconds;
use crate::split::Split;

#[derive(Clone, Debug)]
pub struct InForce {
    /// Counts the changes of weights, states, roles and ramps.
    pub epoch: u64,
    /// By the names of releases, as indices into the file's lines.
    pub split: Split,
    /// What each name stands for.
    pub roles: Box<[Role]>,
}

/// What a release's name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Role {
    /// The line of the file whose upstream and version it is: another one's after `promote`.
    pub line: usize,
    pub state: State,
    /// `remember` cookies that were issued before have ended.
    pub enrolled_since: Seconds,
}

impl InForce {
    /// What a file by itself puts in force.
    pub fn new(split: Split, states: impl Iterator<Item = State>) -> InForce {
        let role = |(line, state)| Role { line, state, enrolled_since: 0 };
        InForce { epoch: 0, split, roles: states.enumerate().map(role).collect() }
    }

    /// The line of the file that a release's name stands for.
    #[inline]
    pub fn line_of(&self, release: usize) -> usize {
        self.roles.get(release).map_or(release, |role| role.line)
    }

    /// The release whose name stands for a line of the file.
    pub fn release_of(&self, line: usize) -> usize {
        self.roles.iter().position(|role| role.line == line).unwrap_or(line)
    }

    /// Whether anybody gets to this release who asks for it: the stable one, and those with a weight.
    #[inline]
    pub fn is_public(&self, release: usize) -> bool {
        release == STABLE || self.split.has(release)
    }

    /// Whether requests of open pages still go to the build of a line of the file.
    #[inline]
    pub fn keeps_pages(&self, line: usize) -> bool {
        self.roles.iter().any(|role| role.line == line && role.state != State::Down)
    }

    /// Whether routes and enrolments lead to this release.
    #[inline]
    pub fn is_open(&self, release: usize) -> bool {
        self.roles.get(release).is_some_and(|role| role.state == State::Up)
    }
}
