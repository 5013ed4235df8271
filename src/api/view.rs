//! What the API, the metrics and `explain` read: one policy as it stands now. Filled by the glue from the shared zone.

use serde::Serialize;

use crate::control::{Control, Standing};
use crate::counts::Counts;
use crate::decision::STABLE;
use crate::duration::Seconds;
use crate::failure::Failure;
use crate::identity::Kind;
use crate::in_force::InForce;
use crate::percent::Percent;
use crate::policy::Policy;
use crate::release::Release;

/// One policy at one moment. Lists with an entry for each `release` line follow the order of the file.
#[derive(Clone, Debug)]
pub struct PolicyView<'a> {
    /// The file: names, versions, routes, settings.
    pub policy: &'a Policy,
    /// What operators, ramps and verdicts have made of it.
    pub control: Control,
    /// The same as decisions have it.
    pub in_force: InForce,
    /// Whether the state file holds this epoch; `None` without a state file.
    pub persisted: Option<bool>,
    /// Of the generation that each line names.
    pub counts: Vec<Counts>,
    /// From the generation of one line to that of another, and how many requests. What is not listed has not happened.
    pub fallbacks: Vec<(usize, usize, u64)>,
    /// What the judge has gathered against the generation of each line; `None`: it is not judged.
    pub evidence: Vec<Option<Evidence>>,
    /// Judged requests of the generation of each line since the step of its ramp began.
    pub judged: Vec<u64>,
    /// What is not listed has not happened.
    pub identity_failures: Vec<(Kind, Failure, u64)>,
    pub now: Seconds,
}

/// What the judge has gathered against one generation, and how much is enough.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Evidence {
    pub total: f64,
    pub fail: f64,
    pub p50: f64,
    pub p90: f64,
    pub threshold: f64,
    pub blocks: u64,
}

/// One name of the file, and the generation that it stands for now: another than its line's after `promote`.
#[derive(Clone, Copy, Debug)]
pub struct RoleView<'v> {
    /// The place of the name in the file.
    pub index: usize,
    /// What the file says of the name.
    pub release: &'v Release,
    /// The line whose generation it stands for.
    pub line: usize,
    pub standing: &'v Standing,
    pub counts: &'v Counts,
    pub evidence: Option<Evidence>,
    pub judged: u64,
}

impl PolicyView<'_> {
    /// The names in the order of the file. A name without a standing, which there is none while file and control agree, is
    /// left out.
    pub fn roles(&self) -> impl Iterator<Item = RoleView<'_>> {
        self.policy.releases.iter().enumerate().filter_map(|(index, release)| {
            let line = self.line_of(index);
            Some(RoleView {
                index,
                release,
                line,
                standing: self.control.generations.get(line)?,
                counts: self.counts.get(line)?,
                evidence: self.evidence.get(line).copied().flatten(),
                judged: self.judged.get(line).copied().unwrap_or_default(),
            })
        })
    }

    /// The line whose generation a name stands for.
    pub fn line_of(&self, release: usize) -> usize {
        self.in_force.line_of(release)
    }

    /// How pages name the build of a line.
    pub fn deployment_of(&self, line: usize) -> Option<&str> {
        self.policy.releases.get(line)?.deployment.as_deref()
    }

    /// The name that stands for the generation of a line.
    pub fn name_of(&self, line: usize) -> &str {
        self.policy.releases.get(self.in_force.release_of(line)).map_or("", |release| &release.name)
    }

    /// The share of users of a name: the stable one gets what the others leave.
    pub fn weight_of(&self, role: RoleView<'_>) -> Percent {
        if !role.is_stable() {
            return role.standing.weight;
        }
        let others = self.roles().filter(|other| !other.is_stable());
        others.fold(Percent::FULL, |rest, other| rest.minus(other.standing.weight))
    }
}

impl RoleView<'_> {
    pub fn is_stable(&self) -> bool {
        self.index == STABLE
    }

    pub fn version(&self) -> Option<&str> {
        self.standing.version.as_deref()
    }
}
