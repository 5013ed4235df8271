//! What runtime control promises of promotions, files, verdicts, ramps and the shared zone's space, one story each.

#![cfg(not(feature = "module"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // the helpers of tests are tests too

#[allow(dead_code)] // other tests use the rest of it
#[path = "../fuzz/src/lib.rs"]
mod checks;

#[path = "control/commands.rs"]
mod commands;
#[path = "control/file.rs"]
mod file;
#[path = "control/moves.rs"]
mod moves;
#[path = "control/promotion.rs"]
mod promotion;
#[path = "control/ramps.rs"]
mod ramps;
#[path = "control/size.rs"]
mod size;

use lobechat_canary::control::{By, Change, Control, Refused, Reloaded, Standing, State, Verdict};
use lobechat_canary::decision::STABLE;
use lobechat_canary::percent::Percent;
use lobechat_canary::policy::Policy;

use self::checks::stand_ins::policy_named;

const PAIR: &str = "release stable a version=1.0.0\nrelease canary b version=2.0.0 weight=10%";

fn percent(text: &str) -> Percent {
    Percent::parse(text).unwrap()
}

/// A policy, and what is in force of it.
struct Canary {
    policy: Policy,
    control: Control,
    now: u64,
}

impl Canary {
    fn new(text: &str) -> Canary {
        let policy = read(text);
        let control = Control::reload(&policy, None, 100).control;
        Canary { policy, control, now: 100 }
    }

    fn reload(&mut self, text: &str) -> Reloaded {
        self.policy = read(text);
        let reloaded = Control::reload(&self.policy, Some(&self.control), self.now);
        self.control = reloaded.control.clone();
        reloaded
    }

    fn by(&self) -> By<'static> {
        By { who: "alice", reason: None, now: self.now }
    }

    fn weight(&mut self, name: &str, weight: &str) -> Result<Change, Refused> {
        let by = self.by();
        self.control.set_weights(&self.policy, &[(name.to_owned(), percent(weight))], None, by)
    }

    fn rollback(&mut self, name: &str) -> Change {
        let by = self.by();
        self.control.rollback(&self.policy, name, by).unwrap()
    }

    fn convict(&mut self, name: &str) -> Change {
        let reason = "evidence 1234 of 1000".to_owned();
        let verdict = Verdict { at: self.now, by: "judge".to_owned(), reason, evidence: Some(1234.0) };
        self.control.convict(&self.policy, name, verdict, serde_json::Map::new()).unwrap()
    }

    fn reset(&mut self, name: &str) -> Result<Change, Refused> {
        let by = self.by();
        self.control.reset(&self.policy, name, by)
    }

    fn state(&mut self, name: &str, state: State) -> Result<Change, Refused> {
        let by = self.by();
        self.control.set_state(&self.policy, name, state, by)
    }

    fn promote(&mut self, name: &str) -> Result<Change, Refused> {
        let by = self.by();
        self.control.promote(&self.policy, name, by)
    }

    /// What a name stands for.
    fn standing(&self, name: &str) -> &Standing {
        let index = self.policy.releases.iter().position(|release| release.name == name).unwrap();
        &self.control.declared()[self.control.line_of(index)]
    }

    /// Version, state and weight of a name.
    fn shown(&self, name: &str) -> String {
        let Standing { version, state, weight, .. } = self.standing(name);
        format!("{} {} {weight}", version.as_deref().unwrap(), state.name())
    }

    /// The version that users at this basis point get.
    fn at(&self, point: u32) -> &str {
        let in_force = self.control.in_force(&self.policy);
        let release = in_force.split.release_at(point).unwrap_or(STABLE);
        self.policy.releases[in_force.line_of(release)].version.as_deref().unwrap()
    }
}

fn read(text: &str) -> Policy {
    policy_named("chat", &format!("user header:x-id\n{text}"))
        .unwrap_or_else(|error| panic!("{}", error.message))
}

fn conflict(result: Result<Change, Refused>) -> String {
    match result {
        Err(Refused::Conflict(sentence)) => sentence,
        other => panic!("{other:?}"),
    }
}
