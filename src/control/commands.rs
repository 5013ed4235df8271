//! What operators and the judge do to releases: weights, states, rollback, reset. Each says what it has changed, or what to
//! do first.

use super::{By, Change, Control, Progress, Refused, Standing, State, Verdict, shortened};
use crate::decision::STABLE;
use crate::events::Kind;
use crate::percent::Percent;
use crate::policy::{Policy, explain_split};
use crate::release::names;

impl Control {
    /// Gives releases these weights, all or none. With `if_epoch`, only if nothing has changed since.
    pub fn set_weights(
        &mut self,
        policy: &Policy,
        weights: &[(String, Percent)],
        if_epoch: Option<u64>,
        by: By<'_>,
    ) -> Result<Change, Refused> {
        if let Some(epoch) = if_epoch.filter(|epoch| *epoch != self.epoch) {
            return Err(Refused::Conflict(format!(
                "the epoch is {} by now, not {epoch}: somebody else has changed the policy, read it again",
                self.epoch
            )));
        }
        let (mut changed, mut change) = (self.clone(), Change::default());
        for (name, weight) in weights {
            let standing = changed.other_than_stable(policy, name, "its weight is what the others leave")?;
            if standing.state != State::Up && *weight != Percent::ZERO {
                return Err(Refused::Conflict(not_up(name, standing, "give it a weight")));
            }
            let was = std::mem::replace(&mut standing.weight, *weight);
            let paused = standing.ramp.as_mut().is_some_and(|ramp| ramp.leave(was != *weight));
            if was != *weight || paused {
                let also = if paused { ", its ramp is paused" } else { "" };
                let text = format!("weight of \"{name}\" from {was} to {weight}{also}");
                change.events.push(Control::event(standing, &policy.name, name, Kind::Weight, by, text));
            }
        }
        if let Err(error) = changed.split(policy.declared.split.mode()) {
            return Err(Refused::Conflict(explain_split(&error, &policy.name, &policy.releases)));
        }
        *self = changed;
        Ok(self.done(change))
    }

    /// Takes a release down: no weight, and remembered browsers come back.
    pub fn rollback(&mut self, policy: &Policy, name: &str, by: By<'_>) -> Result<Change, Refused> {
        let standing = self.other_than_stable(policy, name, "promote another release instead")?;
        if standing.state == State::Down && standing.verdict.is_some() {
            return Ok(Change::default()); // alerts repeat themselves
        }
        let reason = by.reason.map(shortened).unwrap_or("rolled back by hand").to_owned();
        let verdict = Verdict { at: by.now, by: shortened(by.who).to_owned(), reason, evidence: None };
        let change = take_down(standing, policy, name, Kind::Rollback, verdict, by);
        Ok(self.done(change))
    }

    /// What the judge has found; the numbers go into the event.
    pub fn convict(
        &mut self,
        policy: &Policy,
        name: &str,
        verdict: Verdict,
        numbers: serde_json::Map<String, serde_json::Value>,
    ) -> Result<Change, Refused> {
        let by = By { who: &verdict.by.clone(), reason: Some(&verdict.reason.clone()), now: verdict.at };
        let standing = self.other_than_stable(policy, name, "it cannot be judged")?;
        if standing.state == State::Down {
            return Ok(Change::default());
        }
        let mut change = take_down(standing, policy, name, Kind::Verdict, verdict, by);
        change.events.iter_mut().for_each(|event| event.numbers = Some(numbers.clone()));
        Ok(self.done(change))
    }

    /// Opens a release again: no weight yet, so that testers can look at it first, and no evidence.
    pub fn reset(&mut self, policy: &Policy, name: &str, by: By<'_>) -> Result<Change, Refused> {
        let ramp = self.index_of(policy, name).ok().and_then(|index| policy.ramp_of(self.line_of(index)));
        let standing = self.other_than_stable(policy, name, "there is nothing to reset")?;
        held(name, standing)?;
        standing.put(State::Up);
        standing.verdict = None;
        standing.ramp = ramp.map(|_| Progress::START);
        let text = format!("\"{name}\" is up again, at 0%, with no evidence against it");
        let event = Control::event(standing, &policy.name, name, Kind::Reset, by, text);
        let cleared = Some(standing.generation);
        Ok(self.done(Change { events: vec![event], cleared, ..Change::default() }))
    }

    pub fn set_state(
        &mut self,
        policy: &Policy,
        name: &str,
        state: State,
        by: By<'_>,
    ) -> Result<Change, Refused> {
        let standing = self.other_than_stable(policy, name, "promote another release first")?;
        held(name, standing)?;
        if standing.state == state {
            return Ok(Change::default());
        }
        standing.put(state);
        // Else the evidence that took it down would do so again at once.
        let is_pardoned = state == State::Up && standing.verdict.take().is_some();
        if let Some(ramp) = &mut standing.ramp {
            ramp.pause();
        }
        let text = format!("state of \"{name}\": {}, weight 0%", state.name());
        let event = Control::event(standing, &policy.name, name, Kind::State, by, text);
        let cleared = is_pardoned.then_some(standing.generation);
        Ok(self.done(Change { events: vec![event], cleared, ..Change::default() }))
    }

    /// The standing that a name stands for.
    pub(super) fn standing(
        &mut self,
        policy: &Policy,
        name: &str,
    ) -> Result<(usize, &mut Standing), Refused> {
        let index = self.index_of(policy, name)?;
        let line = self.line_of(index);
        match self.generations.get_mut(line) {
            Some(standing) => Ok((index, standing)),
            None => Err(Refused::Unknown(format!("release \"{name}\" is not in force yet"))),
        }
    }

    pub(super) fn index_of(&self, policy: &Policy, name: &str) -> Result<usize, Refused> {
        policy.releases.iter().position(|release| release.name == name).ok_or_else(|| {
            let known = names(&policy.releases);
            Refused::Unknown(format!("unknown release \"{name}\": policy \"{}\" has {known}", policy.name))
        })
    }

    pub(super) fn other_than_stable(
        &mut self,
        policy: &Policy,
        name: &str,
        why: &str,
    ) -> Result<&mut Standing, Refused> {
        match self.standing(policy, name)? {
            (STABLE, _) => Err(Refused::Conflict(format!("\"{name}\" is the stable release: {why}"))),
            (_, standing) => Ok(standing),
        }
    }

    /// What has changed anything has an epoch of its own.
    pub(super) fn done(&mut self, change: Change) -> Change {
        if !change.events.is_empty() {
            self.epoch += 1;
        }
        change
    }
}

fn take_down(
    standing: &mut Standing,
    policy: &Policy,
    name: &str,
    kind: Kind,
    verdict: Verdict,
    by: By<'_>,
) -> Change {
    let text = format!("\"{name}\" is down, its weight was {}", standing.weight);
    standing.put(State::Down);
    // Cookies tell seconds, and those of this one have been issued, too.
    standing.enrolled_since = verdict.at.saturating_add(1);
    standing.verdict = Some(verdict);
    if let Some(ramp) = &mut standing.ramp {
        ramp.end();
    }
    let event = Control::event(standing, &policy.name, name, kind, by, text);
    Change { events: vec![event], rolled_back: Some(standing.generation), ..Change::default() }
}

impl Standing {
    /// As operators and verdicts have it; nobody is dealt to it.
    pub(super) fn put(&mut self, state: State) {
        self.own = state;
        self.state = state.max(self.file.state);
        self.weight = Percent::ZERO;
    }
}

fn held(name: &str, standing: &Standing) -> Result<(), Refused> {
    match standing.file.state {
        State::Up => Ok(()),
        state => Err(Refused::Conflict(format!(
            "the file holds \"{name}\" in state \"{0}\": remove \"{0}\" from its release line and reload",
            state.name()
        ))),
    }
}

/// What has to be done before something else can.
pub(super) fn not_up(name: &str, standing: &Standing, then: &str) -> String {
    match held(name, standing) {
        Err(Refused::Conflict(sentence)) => sentence,
        _ => format!(
            "release \"{name}\" is {}: reset it, which opens it at 0%, then {then}",
            standing.state.name()
        ),
    }
}
