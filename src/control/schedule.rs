//! Where a ramp stands. Moved on by the driver, begun and paused by operators.

use serde::{Deserialize, Serialize};

use super::{By, Change, Control, Refused, Standing, State};
use crate::duration::Seconds;
use crate::events::Kind;
use crate::percent::Percent;
use crate::policy::{Policy, explain_split};
use crate::ramp::Ramp;

/// Evidence from which a ramp no longer goes on.
pub const DOUBT: f64 = 10.0;

/// How far a release has come on its ramp.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    pub pace: Pace,
    /// The step that it is at, from 0.
    pub step: usize,
    /// When the step began; `None`: the ramp has not begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Seconds>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pace {
    Running,
    Paused,
    /// At its last weight.
    Done,
    /// By a rollback or a promotion.
    Ended,
}

impl Progress {
    /// Not begun.
    pub const START: Progress = Progress { pace: Pace::Paused, step: 0, since: None };

    /// Whether it was running.
    pub fn pause(&mut self) -> bool {
        let was_running = self.pace == Pace::Running;
        if was_running {
            self.pace = Pace::Paused;
        }
        was_running
    }

    /// A weight was set by hand. Whether it was running.
    pub(super) fn leave(&mut self, is_moved: bool) -> bool {
        if self.pace == Pace::Done && is_moved {
            self.pace = Pace::Paused;
        }
        self.pause()
    }

    pub fn end(&mut self) {
        self.pace = Pace::Ended;
    }

    /// Stands where `weight` belongs.
    fn take_place(&mut self, ramp: &Ramp, weight: Percent) {
        self.step = ramp.step_at(weight);
        let is_last = ramp.seconds(self.step).is_none();
        self.pace = match self.pace {
            Pace::Running if is_last => Pace::Done,
            // Somebody has lowered the weight, or the last step has moved up.
            Pace::Done if !is_last => Pace::Paused,
            pace => pace,
        };
    }
}

impl Standing {
    /// Puts a ramp to its start, for a release that gets nobody by hand.
    pub(super) fn restart_ramp(&mut self, ramp: Option<&Ramp>, now: Seconds) {
        self.ramp = ramp.map(|_| Progress::START);
        if let Some(ramp) = ramp.filter(|ramp| ramp.auto && self.state == State::Up) {
            self.run_ramp(ramp, now);
        }
    }

    /// Begins the step that the weight in force stands at; nobody moves unless it is below all of them.
    fn run_ramp(&mut self, ramp: &Ramp, now: Seconds) {
        let mut progress = Progress { pace: Pace::Running, step: 0, since: Some(now) };
        progress.take_place(ramp, self.weight);
        self.weight = self.weight.max(ramp.weight(progress.step));
        self.ramp = Some(progress);
    }

    /// Goes on with a ramp that has changed in the file, where the weight in force stands in it. One that came with
    /// another name does not begin by itself: the lines of a promotion move nobody.
    pub(super) fn change_ramp(&mut self, ramp: Option<&Ramp>, is_renamed: bool, now: Seconds) {
        match (ramp, &mut self.ramp) {
            (Some(ramp), Some(progress)) => progress.take_place(ramp, self.weight),
            (Some(_), None) if is_renamed => self.ramp = Some(Progress::START),
            _ => self.restart_ramp(ramp, now),
        }
    }
}

impl Control {
    /// Begins a ramp, or goes on with it: the step that it stands at begins anew.
    pub fn ramp_start(&mut self, policy: &Policy, name: &str, by: By<'_>) -> Result<Change, Refused> {
        let mut changed = self.clone();
        let (ramp, standing) = changed.ramped(policy, name)?;
        if standing.state != State::Up {
            return Err(Refused::Conflict(super::commands::not_up(name, standing, "begin its ramp")));
        }
        let is_settled = |progress: &Progress| matches!(progress.pace, Pace::Running | Pace::Done);
        if standing.ramp.as_ref().is_some_and(is_settled) {
            return Ok(Change::default());
        }
        standing.run_ramp(ramp, by.now);
        let text = format!("ramp of \"{name}\" runs, at {}", standing.weight);
        let change = ramp_change(standing, policy, name, by, text);
        if let Err(error) = changed.split(policy.declared.split.mode()) {
            return Err(Refused::Conflict(explain_split(&error, &policy.name, &policy.releases)));
        }
        *self = changed;
        Ok(self.done(change))
    }

    pub fn ramp_pause(&mut self, policy: &Policy, name: &str, by: By<'_>) -> Result<Change, Refused> {
        let (_, standing) = self.ramped(policy, name)?;
        if !standing.ramp.as_mut().is_some_and(Progress::pause) {
            return Ok(Change::default());
        }
        let text = format!("ramp of \"{name}\" is paused, at {}", standing.weight);
        let change = ramp_change(standing, policy, name, by, text);
        Ok(self.done(change))
    }

    /// Goes on to the next step where it is time, or pauses where others have its users. `judged` counts the release's judged
    /// requests since the step began, one for each bucket and block; `evidence` is what speaks against it. Called by the driver.
    pub fn ramp_tick(
        &mut self,
        policy: &Policy,
        name: &str,
        judged: u64,
        evidence: f64,
        now: Seconds,
    ) -> Option<Change> {
        let by = By { who: "ramp", reason: None, now };
        let mut changed = self.clone();
        let (ramp, standing) = changed.ramped(policy, name).ok()?;
        let running = |progress: &&mut Progress| progress.pace == Pace::Running;
        let progress = standing.ramp.as_mut().filter(running).filter(|_| standing.state == State::Up)?;
        let since = progress.since.unwrap_or(now);
        let is_over = ramp.seconds(progress.step).is_none_or(|seconds| now >= since.saturating_add(seconds));
        // A number that is none would be no evidence for going on either.
        if !is_over || judged < ramp.min_requests || evidence.is_nan() || evidence >= DOUBT {
            return None;
        }
        let next = ramp.weight(progress.step + 1);
        progress.since = Some(now);
        standing.weight = standing.weight.max(next);
        progress.take_place(ramp, standing.weight);
        let text = format!("ramp of \"{name}\" goes on to {}", standing.weight);
        let change = ramp_change(standing, policy, name, by, text);
        match changed.split(policy.declared.split.mode()) {
            Ok(_) => *self = changed,
            Err(error) => {
                let why = explain_split(&error, &policy.name, &policy.releases);
                let (_, standing) = self.ramped(policy, name).ok()?;
                standing.ramp.as_mut().map(Progress::pause)?;
                let text = format!("ramp of \"{name}\" is paused before {next}: {why}");
                let change = ramp_change(standing, policy, name, by, text);
                return Some(self.done(change));
            }
        }
        Some(self.done(change))
    }

    fn ramped<'p>(&mut self, policy: &'p Policy, name: &str) -> Result<(&'p Ramp, &mut Standing), Refused> {
        let ramp = policy.ramp_of(self.line_of(self.index_of(policy, name)?));
        let standing = self.other_than_stable(policy, name, "it has no ramp")?;
        match ramp.filter(|_| standing.ramp.is_some()) {
            Some(ramp) => Ok((ramp, standing)),
            None => Err(no_ramp(policy, name)),
        }
    }
}

fn ramp_change(standing: &Standing, policy: &Policy, name: &str, by: By<'_>, text: String) -> Change {
    let event = Control::event(standing, &policy.name, name, Kind::Ramp, by, text);
    Change { events: vec![event], step_began: Some(standing.generation), ..Change::default() }
}

fn no_ramp(policy: &Policy, name: &str) -> Refused {
    Refused::Conflict(format!(
        "release \"{name}\" of policy \"{}\" has no ramp: write \"ramp {name} 1% 10m 10% 1h 50%;\" in the file",
        policy.name
    ))
}
