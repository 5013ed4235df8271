//! Where a ramp stands. Moved on by the driver, begun and paused by operators.

use serde::{Deserialize, Serialize};

use super::{By, Change, Control, Refused, State};
use crate::duration::Seconds;
use crate::events::Kind;
use crate::policy::Policy;
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
    pub fn new(ramp: &Ramp, now: Seconds) -> Progress {
        match ramp.auto {
            true => Progress { pace: Pace::Running, since: Some(now), ..Progress::at_start(ramp) },
            false => Progress::at_start(ramp),
        }
    }

    /// Not begun.
    pub fn at_start(_: &Ramp) -> Progress {
        Progress { pace: Pace::Paused, step: 0, since: None }
    }

    /// Whether it was running.
    pub fn pause(&mut self) -> bool {
        let was_running = self.pace == Pace::Running;
        if was_running {
            self.pace = Pace::Paused;
        }
        was_running
    }

    pub fn end(&mut self) {
        self.pace = Pace::Ended;
    }
}

impl Control {
    /// Begins a ramp, or goes on with it: the step that it stands at begins anew.
    pub fn ramp_start(&mut self, policy: &Policy, name: &str, by: By<'_>) -> Result<Change, Refused> {
        let (ramp, standing) = self.ramped(policy, name)?;
        if standing.state != State::Up {
            return Err(Refused::Conflict(format!(
                "release \"{name}\" is {}: reset it first",
                standing.state.name()
            )));
        }
        let Some(progress) = &mut standing.ramp else {
            return Err(no_ramp(policy, name));
        };
        if matches!(progress.pace, Pace::Running | Pace::Done) {
            return Ok(Change::default());
        }
        (progress.pace, progress.since) = (Pace::Running, Some(by.now));
        let weight = ramp.weight(progress.step).max(standing.weight);
        // Somebody may have gone further by hand.
        progress.step = ramp.step_at(weight);
        standing.weight = weight;
        let text = format!("ramp of \"{name}\" runs, at {weight}");
        self.finish_ramp_change(policy, name, by, text)
    }

    pub fn ramp_pause(&mut self, policy: &Policy, name: &str, by: By<'_>) -> Result<Change, Refused> {
        let (_, standing) = self.ramped(policy, name)?;
        if !standing.ramp.as_mut().is_some_and(Progress::pause) {
            return Ok(Change::default());
        }
        let text = format!("ramp of \"{name}\" is paused, at {}", standing.weight);
        self.finish_ramp_change(policy, name, by, text)
    }

    /// Goes on to the next step where it is time. `judged` counts the release's judged requests since the step began, one for each bucket and
    /// block; `evidence` is what speaks against it. Called by the driver.
    pub fn ramp_tick(
        &mut self,
        policy: &Policy,
        name: &str,
        judged: u64,
        evidence: f64,
        now: Seconds,
    ) -> Option<Change> {
        let by = By { who: "ramp", reason: None, now };
        let (ramp, standing) = self.ramped(policy, name).ok()?;
        let progress = standing.ramp.as_mut().filter(|progress| progress.pace == Pace::Running)?;
        let is_over = match (ramp.seconds(progress.step), progress.since) {
            (Some(seconds), Some(since)) => now >= since.saturating_add(seconds),
            _ => true,
        };
        if !is_over || judged < ramp.min_requests || evidence >= DOUBT {
            return None;
        }
        progress.step += 1;
        progress.since = Some(now);
        if ramp.seconds(progress.step).is_none() {
            progress.pace = Pace::Done;
        }
        standing.weight = ramp.weight(progress.step);
        let text = format!("ramp of \"{name}\" goes on to {}", standing.weight);
        if self.split(policy.declared.split.mode()).is_err() {
            return None;
        }
        self.finish_ramp_change(policy, name, by, text).ok()
    }

    fn finish_ramp_change(
        &mut self,
        policy: &Policy,
        name: &str,
        by: By<'_>,
        text: String,
    ) -> Result<Change, Refused> {
        if let Err(error) = self.split(policy.declared.split.mode()) {
            return Err(Refused::Conflict(crate::policy::explain_split(
                &error,
                &policy.name,
                &policy.releases,
            )));
        }
        let (_, standing) = self.standing(policy, name)?;
        let event = Control::event(standing, &policy.name, name, Kind::Ramp, by, text);
        let step_began = Some(standing.generation);
        Ok(self.done(Change { events: vec![event], step_began, ..Change::default() }))
    }

    fn ramped<'p>(
        &mut self,
        policy: &'p Policy,
        name: &str,
    ) -> Result<(&'p Ramp, &mut super::Standing), Refused> {
        let index = policy.releases.iter().position(|release| release.name == name);
        let ramp = index.and_then(|index| policy.ramp_of(self.line_of(index)));
        let standing = self.other_than_stable(policy, name, "it has no ramp")?;
        match ramp.filter(|_| standing.ramp.is_some()) {
            Some(ramp) => Ok((ramp, standing)),
            None => Err(no_ramp(policy, name)),
        }
    }
}

fn no_ramp(policy: &Policy, name: &str) -> Refused {
    Refused::Conflict(format!(
        "release \"{name}\" of policy \"{}\" has no ramp: write \"ramp {name} 1% 10m 10% 1h 50%;\" in the file",
        policy.name
    ))
}
