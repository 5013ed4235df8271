//! The steps of a decision: each thing it looks at, in its order, and what that said.

use super::page::page;
use super::{Step, identity_text, text};
use crate::control::State;
use crate::decision::{Decision, Reason, STABLE, Sender, with_inputs};
use crate::hash::HashMode;
use crate::in_force::InForce;
use crate::inputs::{Inputs, Request};
use crate::policy::Policy;
use crate::remember::Remember;
use crate::route::Route;
use crate::user::Visitor;

pub const MATCHED: &str = "matched";
pub const NO_MATCH: &str = "no match";
pub const PASSED_OVER: &str = "passed over";
const NOT_REACHED: &str = "not reached";
const FOLLOWS: &str = "the request follows its page";
const FOUND: &str = "found";
const NONE: &str = "none";

/// What the steps of one decision share.
struct Explainer<'e, 'r, R> {
    policy: &'e Policy,
    in_force: &'e InForce,
    inputs: Inputs<'e, 'r>,
    has_claims: bool,
    request: &'r R,
    decision: &'e Decision<'r>,
    sender: &'e Sender<'r>,
}

/// The steps of `decision`, which was taken for `request` of this sender. `None` when memory is short.
pub fn steps<'r>(
    policy: &Policy,
    in_force: &InForce,
    request: &'r impl Request,
    decision: &Decision<'r>,
    sender: &Sender<'r>,
) -> Option<Vec<Step>> {
    with_inputs(policy, request, |inputs, identity| {
        let has_claims = identity.is_some_and(|outcome| outcome.failure.is_none());
        let explainer = Explainer { policy, in_force, inputs, has_claims, request, decision, sender };
        let mut steps: Vec<Step> = explainer.identity().into_iter().collect();
        steps.extend(page(policy, in_force, decision));
        for (index, route) in policy.routes.iter().enumerate() {
            steps.push(explainer.route(index, route)?);
        }
        steps.extend(policy.remember.as_ref().map(|remember| explainer.remember(remember)));
        steps.extend([explainer.user(), explainer.split(), explainer.stable()]);
        Some(steps)
    })
}

pub fn step(step: &'static str, text: String, outcome: &'static str, detail: impl Into<String>) -> Step {
    Step { step, text, outcome, detail: detail.into() }
}

impl<'r, R: Request> Explainer<'_, 'r, R> {
    fn name(&self, release: usize) -> &str {
        self.policy.releases.get(release).map_or("", |release| &release.name)
    }

    /// Why nobody new is led to a release that is not open.
    fn shut(&self, release: usize) -> String {
        let state = self.in_force.roles.get(release).map_or(State::Down, |role| role.state);
        let state = match state {
            State::Up => "up",
            State::Drain => "in drain",
            State::Down => "down",
        };
        format!("release \"{}\" is {state}", self.name(release))
    }

    fn identity(&self) -> Option<Step> {
        let mut kinds: Vec<_> =
            self.policy.identities.iter().map(|identity| identity.kind().name()).collect();
        kinds.dedup();
        let (outcome, detail) = match self.sender.identity {
            None => (NONE, "the request has no token where the policy looks for one".to_owned()),
            Some(outcome) if outcome.failure.is_none() => {
                (FOUND, "the token is good, so its claims count".to_owned())
            }
            Some(outcome) => (NONE, format!("the token is refused: {}", identity_text(outcome))),
        };
        (!kinds.is_empty()).then(|| step("identity", kinds.join(", "), outcome, detail))
    }

    fn route(&self, index: usize, route: &Route) -> Option<Step> {
        let decided = match self.decision.reason {
            Reason::Route(decided) => decided as usize,
            _ => usize::MAX,
        };
        let (outcome, detail) = match route.matches(self.inputs, self.request)? {
            _ if self.follows() => (NOT_REACHED, FOLLOWS.to_owned()),
            _ if index > decided => (NOT_REACHED, "a line above it has matched".to_owned()),
            true if self.in_force.is_open(route.release) => (MATCHED, self.led_by(route)),
            true => (PASSED_OVER, format!("it matches, but {}", self.shut(route.release))),
            false if reads_claims(route) && !self.has_claims => {
                (NO_MATCH, "there is no verified identity, so every claim is missing".to_owned())
            }
            false => (NO_MATCH, "not all of its conditions hold".to_owned()),
        };
        Some(step("route", text(&route.text), outcome, detail))
    }

    fn follows(&self) -> bool {
        self.decision.reason == Reason::Pin
    }

    fn led_by(&self, route: &Route) -> String {
        let cookie = self.policy.remember.as_ref().map_or("", |remember| &remember.cookie);
        let name = self.name(route.release);
        match self.decision.remember {
            true => format!("it leads to release \"{name}\", and the answer sets the cookie {cookie}"),
            false => format!("it leads to release \"{name}\""),
        }
    }

    fn remember(&self, remember: &Remember) -> Step {
        let (outcome, detail) = match self.decision.reason {
            Reason::Pin => (NOT_REACHED, FOLLOWS.to_owned()),
            Reason::Route(_) => (NOT_REACHED, "a route has matched".to_owned()),
            _ => self.enrolment(remember),
        };
        step("remember", remember.cookie.clone(), outcome, detail)
    }

    fn enrolment(&self, remember: &Remember) -> (&'static str, String) {
        let value = self.inputs.cookie(remember.slot);
        if value.is_empty() {
            return (NO_MATCH, "the request has no such cookie".to_owned());
        }
        let keys = self.policy.cookie_keys.borrow();
        let Some(enrolment) = remember.read(value, &self.policy.routes, &keys, self.request.now()) else {
            return (NO_MATCH, "the cookie is not one of ours, or its time is over".to_owned());
        };
        let Some(route) = self.policy.routes.get(enrolment.route) else {
            return (NO_MATCH, "its route is gone".to_owned());
        };
        let (release, rule) = (self.name(route.release), text(&route.text));
        let since = self.in_force.roles.get(route.release).map_or(u64::MAX, |role| role.enrolled_since);
        if enrolment.issued < since {
            return (NO_MATCH, format!("it was issued before release \"{release}\" was rolled back"));
        }
        if !self.in_force.is_open(route.release) {
            return (PASSED_OVER, format!("it is good, but {}", self.shut(route.release)));
        }
        (MATCHED, format!("route \"{rule}\" has matched before, and leads to release \"{release}\""))
    }

    fn user(&self) -> Step {
        let user = &self.sender.user;
        let cookie = &self.policy.visitor_cookie;
        let (outcome, detail) = match user.visitor {
            Visitor::Known(_) => (FOUND, format!("the id is that of the cookie {cookie}")),
            Visitor::New => {
                let detail = format!(
                    "no source has an id: the answer to a navigation sets the cookie {cookie}, and the next request is split by it"
                );
                (NONE, detail)
            }
            Visitor::Unused if user.id.is_empty() => (NONE, "no source has an id".to_owned()),
            Visitor::Unused => (FOUND, "the first source that has an id gives it".to_owned()),
        };
        step("user", "user".to_owned(), outcome, detail)
    }

    fn split(&self) -> Step {
        let mode = self.in_force.split.mode();
        let text = format!("hash {}", mode.name());
        if self.follows() {
            return step("split", text, NOT_REACHED, FOLLOWS);
        }
        if self.decision.reason.route().is_some() {
            return step("split", text, NOT_REACHED, "a route has decided");
        }
        let id = self.sender.user.id;
        if id.is_empty() {
            return step("split", text, NO_MATCH, "without a user id there is no bucket");
        }
        let (bucket, position) = mode.place(&self.policy.salt, id);
        let place = match mode {
            HashMode::Native => format!("bucket {bucket}"),
            _ => format!("position {position}"),
        };
        match self.in_force.split.range_at(position) {
            Some((release, start, end)) => {
                let name = self.name(release);
                let detail =
                    format!("{place} lies in the range of release \"{name}\", {start} to {}", end - 1);
                step("split", text, MATCHED, detail)
            }
            None => step("split", text, NO_MATCH, format!("{place} lies in no release's range")),
        }
    }

    fn stable(&self) -> Step {
        let (outcome, detail) = match self.decision.reason {
            Reason::Pin => (NOT_REACHED, FOLLOWS),
            Reason::Route(_) | Reason::Remembered(_) => (NOT_REACHED, "a route has decided"),
            Reason::Split if self.decision.release != STABLE => (NOT_REACHED, "the split has decided"),
            Reason::Split => (MATCHED, "it gets the users that the others leave"),
            Reason::Anonymous => (MATCHED, "it gets everybody without a user id"),
            Reason::Default => (MATCHED, "it takes the place of the release that is not open"),
        };
        step("stable", self.name(STABLE).to_owned(), outcome, detail)
    }
}

/// Whether a word of the route is a claim.
fn reads_claims(route: &Route) -> bool {
    route.words.split(|&b| b == 0).skip(2).any(|word| word.starts_with(b"claim:"))
}
