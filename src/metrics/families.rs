//! The families, one after another, each for all policies and releases.

use super::bins::octaves;
use super::text::{Labels, Text, Type};
use crate::api::view::{PolicyView, RoleView};
use crate::control::State;
use crate::counts::{CODES, OUTCOMES, REASONS};
use crate::failure::Failure;
use crate::percent::Percent;

/// The metrics of all policies; `version` is the module's.
pub fn render(policies: &[PolicyView<'_>], version: &str) -> String {
    let mut text = Text::default();
    text.family("build_info", Type::Gauge, "The module's version; always 1.");
    text.sample(&[("version", version)], 1_u64);
    counters(&mut text, policies);
    fallbacks(&mut text, policies);
    ttfb(&mut text, policies);
    in_force(&mut text, policies);
    verdicts(&mut text, policies);
    identity_failures(&mut text, policies);
    text.finish()
}

/// Calls `each` for every release with its labels `policy`, `release` and `version`.
fn for_each_release(
    policies: &[PolicyView<'_>],
    mut each: impl FnMut(&PolicyView<'_>, RoleView<'_>, &Labels<'_>),
) {
    for view in policies {
        for role in view.roles() {
            let version = role.version().unwrap_or_default();
            let labels =
                [("policy", &*view.policy.name), ("release", &*role.release.name), ("version", version)];
            each(view, role, &labels);
        }
    }
}

fn counters(text: &mut Text, policies: &[PolicyView<'_>]) {
    let help = "Client requests by the release decided for them and the reason.";
    text.family("requests_total", Type::Counter, help);
    for_each_release(policies, |_, role, labels| {
        by_label(text, labels, "reason", &REASONS, &role.counts.requests);
    });
    let help = "Client requests by the release that answered in the end and the class of the status; 000 without one.";
    text.family("responses_total", Type::Counter, help);
    for_each_release(policies, |_, role, labels| {
        by_label(text, labels, "code", &CODES, &role.counts.responses);
    });
    text.family(
        "attempts_total",
        Type::Counter,
        "Attempts to get an answer from a release by how they ended.",
    );
    for_each_release(policies, |_, role, labels| {
        by_label(text, labels, "outcome", &OUTCOMES, &role.counts.attempts);
    });
    text.family("skew_total", Type::Counter, "Requests that belonged to a page of another release.");
    for_each_release(policies, |_, role, labels| text.sample(labels, role.counts.skew));
}

fn by_label(text: &mut Text, labels: &Labels<'_>, name: &str, values: &[&str], counts: &[u64]) {
    for (value, &count) in values.iter().zip(counts) {
        text.sample(&[labels, &[(name, value)]].concat(), count);
    }
}

fn fallbacks(text: &mut Text, policies: &[PolicyView<'_>]) {
    let help = "Requests that went on to another release because one failed.";
    text.family("fallbacks_total", Type::Counter, help);
    for view in policies {
        let lines = 0..view.policy.releases.len();
        for (from, to) in lines.clone().flat_map(|from| lines.clone().map(move |to| (from, to))) {
            let happened = view.fallbacks.iter().filter(|&&(f, t, _)| (f, t) == (from, to));
            let labels =
                [("policy", &*view.policy.name), ("from", view.name_of(from)), ("to", view.name_of(to))];
            if from != to {
                text.sample(&labels, happened.map(|&(.., count)| count).sum::<u64>());
            }
        }
    }
}

fn ttfb(text: &mut Text, policies: &[PolicyView<'_>]) {
    let help = "Time from the start of an attempt to the header of its answer.";
    text.family("ttfb_seconds", Type::Histogram, help);
    for_each_release(policies, |_, role, labels| {
        let ttfb = &role.counts.ttfb;
        let count: u64 = ttfb.bins.iter().sum();
        for (bound, bins) in octaves() {
            let bound = (bound / 1000.0).to_string();
            let below: u64 = ttfb.bins.iter().take(bins).sum();
            text.suffixed("_bucket", &[labels, &[("le", &bound)]].concat(), below);
        }
        text.suffixed("_bucket", &[labels, &[("le", "+Inf")]].concat(), count);
        text.suffixed("_sum", labels, ttfb.sum as f64 / 1000.0);
        text.suffixed("_count", labels, count);
    });
}

fn in_force(text: &mut Text, policies: &[PolicyView<'_>]) {
    let help = "The share of users that a release gets; what the others leave is the stable release's.";
    text.family("weight_ratio", Type::Gauge, help);
    for_each_release(policies, |view, role, labels| {
        text.sample(
            labels,
            f64::from(view.weight_of(role).basis_points()) / f64::from(Percent::FULL.basis_points()),
        );
    });
    text.family(
        "release_state",
        Type::Gauge,
        "Whether a release is in a state: 1 for the one that it is in.",
    );
    for_each_release(policies, |_, role, labels| {
        for (name, state) in [("up", State::Up), ("drain", State::Drain), ("down", State::Down)] {
            text.sample(&[labels, &[("state", name)]].concat(), u64::from(role.standing.state == state));
        }
    });
    text.family("epoch", Type::Gauge, "Counts the changes of weights, states, roles and ramps.");
    for view in policies {
        text.sample(&[("policy", &view.policy.name)], view.control.epoch);
    }
}

fn verdicts(text: &mut Text, policies: &[PolicyView<'_>]) {
    text.family("rollbacks_total", Type::Counter, "Rollbacks by verdicts and by operators.");
    for_each_release(policies, |_, role, labels| text.sample(labels, role.counts.rollbacks));
    text.family(
        "evidence",
        Type::Gauge,
        "What the judge holds against a release; at its threshold it is taken down.",
    );
    for_each_release(policies, |_, role, labels| {
        if let Some(evidence) = role.evidence {
            text.sample(labels, evidence.total);
        }
    });
}

fn identity_failures(text: &mut Text, policies: &[PolicyView<'_>]) {
    let help = "Tokens that gave no claims, by the identity that looked at them and the reason.";
    text.family("identity_failures_total", Type::Counter, help);
    for view in policies {
        let mut kinds: Vec<_> = view.policy.identities.iter().map(|identity| identity.kind()).collect();
        kinds.sort_by_key(|kind| kind.name());
        kinds.dedup();
        for (kind, failure) in kinds.iter().flat_map(|&kind| Failure::ALL.map(|failure| (kind, failure))) {
            let happened = view.identity_failures.iter().filter(|&&(k, f, _)| (k, f) == (kind, failure));
            let labels = [("policy", &*view.policy.name), ("kind", kind.name()), ("reason", failure.name())];
            text.sample(&labels, happened.map(|&(.., count)| count).sum::<u64>());
        }
    }
}
