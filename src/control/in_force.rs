//! What decisions need of a control: by the names and lines of the file that a worker has read, which may be an older one
//! than the control's.

use super::{Control, Standing, State};
use crate::decision::STABLE;
use crate::generation::Generation;
use crate::hash::HashMode;
use crate::in_force::{InForce, Role};
use crate::percent::Percent;
use crate::policy::Policy;
use crate::split::{Share, Split, SplitError};

impl Control {
    pub fn in_force(&self, policy: &Policy) -> InForce {
        let lines: Vec<Generation> = policy.generations().collect();
        let stable = lines.iter().position(|generation| *generation == self.stable).unwrap_or(STABLE);
        let role = |name: usize| {
            let line = exchanged(name, stable);
            let standing = lines.get(line).and_then(|&generation| self.find(generation));
            // A build that the control does not know is closed, unless everybody has to go there.
            let state = standing.map_or(State::Down, |standing| standing.state);
            let state = if name == STABLE { State::Up } else { state };
            Role { line, state, enrolled_since: standing.map_or(0, |standing| standing.enrolled_since) }
        };
        let roles: Box<[Role]> = (0..lines.len()).map(role).collect();
        let shares = (1..lines.len()).filter_map(|name| self.share(name, lines[roles[name].line])).collect();
        let split = split_of_most(policy.declared.split.mode(), shares);
        InForce { epoch: self.epoch, split, roles }
    }

    /// What the file in force no longer names gets nobody, also in workers that still know it: others may have its users.
    fn share(&self, release: usize, generation: Generation) -> Option<Share> {
        let mut declared = self.declared().iter();
        let standing = declared.find(|standing| standing.generation == generation)?;
        let is_open = standing.state == State::Up;
        is_open.then_some(Share { release, anchor: standing.anchor, weight: standing.weight })
    }

    /// Whether weights and anchors can stand together. The indices in the error are those of names.
    pub(super) fn split(&self, mode: HashMode) -> Result<Split, SplitError> {
        let lines = self.declared().iter().enumerate();
        let weighted = lines.filter(|(_, standing)| standing.weight != Percent::ZERO);
        let shares: Vec<Share> = weighted
            .map(|(line, Standing { anchor, weight, .. })| Share {
                release: self.line_of(line),
                anchor: *anchor,
                weight: *weight,
            })
            .collect();
        Split::new(mode, &shares)
    }

    /// The line that a name stands for, or the name that stands for a line.
    pub fn line_of(&self, name: usize) -> usize {
        let stable = self.declared().iter().position(|standing| standing.generation == self.stable);
        exchanged(name, stable.unwrap_or(STABLE))
    }
}

/// A promotion exchanges the stable line with another.
fn exchanged(index: usize, stable: usize) -> usize {
    match index {
        STABLE => stable,
        index if index == stable => STABLE,
        index => index,
    }
}

/// All shares stand together in the workers of the file in force. In those of an older one, `hash` may know fewer weights, so
/// that one of them has to give way.
fn split_of_most(mode: HashMode, mut shares: Vec<Share>) -> Split {
    loop {
        match Split::new(mode, &shares) {
            Ok(split) => return split,
            Err(error) => {
                let (before, wrong) = (shares.len(), error.release());
                shares.retain(|share| share.release != wrong);
                if shares.len() == before {
                    return Split::default();
                }
            }
        }
    }
}
