//! A policy as the API shows it.

use serde::Serialize;

use super::rollout_json::{RampJson, RollbackJson, VerdictJson, watch};
use super::view::{Evidence, PolicyView, RoleView};
use crate::control::State;
use crate::counts::{CODES, Counts, OUTCOMES, REASONS};
use crate::metrics::bins::quantile;
use crate::percent::Percent;
use crate::split::Anchor;

#[derive(Serialize)]
pub struct PolicyJson {
    name: String,
    epoch: u64,
    persisted: Option<bool>,
    write: bool,
    hash: &'static str,
    salt: String,
    fallback: Vec<String>,
    rollback: Option<RollbackJson>,
    commit: Option<[String; 2]>,
    releases: Vec<ReleaseJson>,
}

#[derive(Serialize)]
struct ReleaseJson {
    name: String,
    upstream: String,
    version: Option<String>,
    deployment: Option<String>,
    generation: String,
    stable: bool,
    state: State,
    held_by_file: bool,
    weight: Percent,
    file_weight: Percent,
    range: Option<RangeJson>,
    requests: Named<6>,
    responses: Named<6>,
    attempts: Named<9>,
    fallbacks_from: u64,
    fallbacks_to: u64,
    skew: u64,
    ttfb: TtfbJson,
    evidence: Option<Evidence>,
    watched_by: &'static str,
    watched_why: Option<&'static str>,
    verdict: Option<VerdictJson>,
    ramp: Option<RampJson>,
}

/// The users that a release gets, of all.
#[derive(Serialize)]
struct RangeJson {
    from: Percent,
    to: Percent,
}

/// Counters by the values of their label.
struct Named<const N: usize>([&'static str; N], [u64; N]);

impl<const N: usize> Serialize for Named<N> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().zip(&self.1))
    }
}

/// In seconds.
#[derive(Serialize)]
struct TtfbJson {
    count: u64,
    sum: f64,
    p50: Option<f64>,
    p90: Option<f64>,
    p99: Option<f64>,
}

impl PolicyJson {
    /// `write`: whether whoever asks may change it.
    pub fn new(view: &PolicyView<'_>, write: bool) -> PolicyJson {
        let policy = view.policy;
        let name = |&release: &usize| policy.releases.get(release).map(|release| release.name.clone());
        PolicyJson {
            name: policy.name.clone(),
            epoch: view.control.epoch,
            persisted: view.persisted,
            write,
            hash: view.in_force.split.mode().name(),
            salt: String::from_utf8_lossy(policy.salt.text()).into_owned(),
            fallback: policy.fallback.releases().iter().filter_map(name).collect(),
            rollback: RollbackJson::new(policy),
            commit: view.control.commit_lines(policy),
            releases: view.roles().map(|role| ReleaseJson::new(view, role)).collect(),
        }
    }
}

impl ReleaseJson {
    fn new(view: &PolicyView<'_>, role: RoleView<'_>) -> ReleaseJson {
        let (standing, counts) = (role.standing, role.counts);
        let weight = view.weight_of(role);
        let (watched_by, watched_why) = watch(view, role);
        let fallbacks = |is: &dyn Fn(usize, usize) -> bool| {
            view.fallbacks.iter().filter(|&&(from, to, _)| is(from, to)).map(|&(.., count)| count).sum()
        };
        ReleaseJson {
            name: role.release.name.clone(),
            upstream: standing.upstream.clone(),
            version: standing.version.clone(),
            deployment: view.deployment_of(role.line).map(str::to_owned),
            generation: standing.generation.to_string(),
            stable: role.is_stable(),
            state: standing.state,
            held_by_file: standing.file.state != State::Up,
            weight,
            file_weight: file_weight(view, role),
            range: range(role, weight),
            requests: Named(REASONS, counts.requests),
            responses: Named(CODES, counts.responses),
            attempts: Named(OUTCOMES, counts.attempts),
            fallbacks_from: fallbacks(&|from, _| from == role.line),
            fallbacks_to: fallbacks(&|_, to| to == role.line),
            skew: counts.skew,
            ttfb: TtfbJson::new(counts),
            evidence: role.evidence.map(finite),
            watched_by,
            watched_why,
            verdict: standing.verdict.as_ref().map(VerdictJson::new),
            ramp: RampJson::new(view, role),
        }
    }
}

/// What the file says; of the stable release what it leaves.
fn file_weight(view: &PolicyView<'_>, role: RoleView<'_>) -> Percent {
    if !role.is_stable() {
        return role.standing.file.weight;
    }
    let others = view.roles().filter(|other| !other.is_stable());
    others.fold(Percent::FULL, |rest, other| rest.minus(other.standing.file.weight))
}

/// None for the stable release, which gets what lies between, and for one that gets nobody.
fn range(role: RoleView<'_>, weight: Percent) -> Option<RangeJson> {
    if role.is_stable() || weight == Percent::ZERO {
        return None;
    }
    match role.standing.anchor? {
        Anchor::Top => Some(RangeJson { from: weight.rest(), to: Percent::FULL }),
        Anchor::Up(from) => Some(RangeJson { from, to: from.checked_add(weight)? }),
    }
}

/// JSON has no infinity.
fn finite(evidence: Evidence) -> Evidence {
    let finite = |number: f64| number.min(f64::MAX);
    Evidence {
        total: finite(evidence.total),
        fail: finite(evidence.fail),
        p50: finite(evidence.p50),
        p90: finite(evidence.p90),
        ..evidence
    }
}

impl TtfbJson {
    fn new(counts: &Counts) -> TtfbJson {
        let bins = &counts.ttfb.bins;
        // To the tenth of a millisecond, which is more than the bins tell.
        let seconds = |q: f64| quantile(bins, q).map(|ms| (ms * 10.0).round() / 10_000.0);
        TtfbJson {
            count: bins.iter().sum(),
            sum: counts.ttfb.sum as f64 / 1000.0,
            p50: seconds(0.5),
            p90: seconds(0.9),
            p99: seconds(0.99),
        }
    }
}
