//! How a rollout goes, as the API shows it: who watches a release, what was said against it, and how far its ramp is.

use serde::Serialize;

use super::view::{PolicyView, RoleView};
use crate::control::{DOUBT, Pace, State, Verdict};
use crate::duration::Seconds;
use crate::percent::Percent;
use crate::policy::Policy;
use crate::rfc3339;
use crate::rollback::Action;

#[derive(Serialize)]
pub struct RollbackJson {
    action: &'static str,
    confidence: String,
    /// The evidence that is enough.
    threshold: f64,
    burst: u32,
    ttfb: f64,
    fail: Vec<String>,
}

impl RollbackJson {
    pub fn new(policy: &Policy) -> Option<RollbackJson> {
        let rollback = policy.rollback.as_ref()?;
        Some(RollbackJson {
            action: match rollback.action {
                Action::Down => "down",
                Action::Report => "report",
            },
            confidence: rollback.confidence.clone(),
            threshold: rollback.evidence_needed(policy.releases.len()),
            burst: rollback.burst,
            ttfb: rollback.ttfb,
            fail: rollback.fail.text.clone(),
        })
    }
}

/// Who watches a release, and why nobody or nothing but `burst` does.
pub fn watch(view: &PolicyView<'_>, role: RoleView<'_>) -> (&'static str, Option<&'static str>) {
    let Some(rollback) = &view.policy.rollback else {
        return ("nothing", Some("rollback is off in the file"));
    };
    let stable_is_empty =
        || view.roles().any(|role| role.is_stable() && view.weight_of(role) == Percent::ZERO);
    let why = match role.standing.state {
        _ if role.is_stable() => return ("nothing", Some("it is what the others are compared with")),
        State::Down => return ("nothing", Some("it is down")),
        State::Drain => return ("nothing", Some("it gets no new users")),
        State::Up if role.standing.weight == Percent::ZERO => {
            "it gets routed users alone, who are not compared with those of stable"
        }
        State::Up if stable_is_empty() => "stable gets no users to compare with",
        State::Up => return ("judge", None),
    };
    (if rollback.burst > 0 { "burst" } else { "nothing" }, Some(why))
}

#[derive(Serialize)]
pub struct VerdictJson {
    #[serde(with = "rfc3339")]
    at: Seconds,
    by: String,
    reason: String,
    evidence: Option<f64>,
}

impl VerdictJson {
    pub fn new(verdict: &Verdict) -> VerdictJson {
        let Verdict { at, by, reason, evidence } = verdict.clone();
        // JSON has no infinity.
        VerdictJson { at, by, reason, evidence: evidence.map(|evidence| evidence.min(f64::MAX)) }
    }
}

#[derive(Serialize)]
pub struct RampJson {
    state: Pace,
    steps: Vec<StepJson>,
    step: usize,
    since: Option<String>,
    remaining_seconds: Option<Seconds>,
    requests: u64,
    min_requests: u64,
    waits_for: Option<String>,
}

#[derive(Serialize)]
struct StepJson {
    weight: Percent,
    seconds: Option<Seconds>,
}

impl RampJson {
    pub fn new(view: &PolicyView<'_>, role: RoleView<'_>) -> Option<RampJson> {
        let (ramp, progress) = (view.policy.ramp_of(role.line)?, role.standing.ramp.as_ref()?);
        let step = |&(weight, seconds): &(Percent, Option<Seconds>)| StepJson { weight, seconds };
        let runs = progress.pace == Pace::Running;
        let requests = if runs { role.judged } else { 0 };
        let ends = progress.since.zip(ramp.seconds(progress.step)).map(|(since, seconds)| since + seconds);
        let remaining = ends.filter(|_| runs).map(|ends| ends.saturating_sub(view.now));
        let evidence = role.evidence.map_or(0.0, |evidence| evidence.total);
        let waits_for = match ramp.min_requests.saturating_sub(requests) {
            _ if !runs => None,
            0 if evidence >= DOUBT => Some(format!("evidence below {DOUBT}")),
            0 => None,
            1 => Some("1 more request".to_owned()),
            more => Some(format!("{more} more requests")),
        };
        Some(RampJson {
            state: progress.pace,
            steps: ramp.steps.iter().map(step).collect(),
            step: progress.step,
            since: progress.since.map(rfc3339::format),
            remaining_seconds: remaining,
            requests,
            min_requests: ramp.min_requests,
            waits_for,
        })
    }
}
