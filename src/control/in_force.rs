//! What decisions need of a control: by the names and lines of the file that a worker has read, which may be an older one
//! than the control's.

use super::{Control, Standing, State};
use crate::decision::STABLE;
use crate::generation::Generation;
use crate::hash::HashMode;
use crate::in_force::{InForce, Role};
use crate::percent::Percent;
use crate::policy::Policy;
use crate::split::{Share, Split};

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
        let shares: Vec<Share> =
            (1..lines.len()).filter_map(|name| self.share(name, lines[roles[name].line])).collect();
        // What cannot stand together is not let in; if it were, everybody would be on stable.
        let mode = policy.declared.split.mode();
        let split = Split::new(mode, &shares).or_else(|_| Split::new(mode, &[])).unwrap_or_default();
        InForce { epoch: self.epoch, split, roles }
    }

    fn share(&self, release: usize, generation: Generation) -> Option<Share> {
        let standing = self.find(generation).filter(|standing| standing.state == State::Up)?;
        Some(Share { release, anchor: standing.anchor, weight: standing.weight })
    }

    /// Whether weights and anchors can stand together: the indices in the error are those of the lines.
    pub(super) fn split(&self, mode: HashMode) -> Result<Split, crate::split::SplitError> {
        let lines = self.declared().iter().enumerate();
        let weighted = lines.filter(|(_, standing)| standing.weight != Percent::ZERO);
        let shares: Vec<Share> = weighted
            .map(|(release, Standing { anchor, weight, .. })| Share {
                release,
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
