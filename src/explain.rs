//! How a request would be decided, step by step. Called by the API with the request that asks.
//!
//! The outcome is the decision's own; the steps ask the same routes, cookies and hashes once more and say what each
//! answered.

mod asked;
mod page;
mod steps;

use serde::Serialize;

use self::asked::Asked;
use self::steps::steps;
use crate::decision::{Decision, Sender, decide, identify};
use crate::identity::Outcome;
use crate::in_force::InForce;
use crate::inputs::Request;
use crate::policy::Policy;

/// What is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExplainQuery {
    /// As a navigation, whatever the request is.
    pub navigation: bool,
    /// With another path and query than the request's own.
    pub uri: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    pub policy: String,
    pub epoch: u64,
    pub release: String,
    pub version: Option<String>,
    pub upstream: String,
    pub reason: &'static str,
    pub rule: Option<String>,
    /// Whether the request belongs to a page of another build.
    pub skew: bool,
    pub bucket: Option<u16>,
    /// The hash that logs show, never the id.
    pub user: Option<String>,
    pub identity: Option<String>,
    pub steps: Vec<Step>,
}

/// One thing that the decision looks at, in its order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// `identity`, `pin`, `route`, `remember`, `user`, `split` or `stable`.
    pub step: &'static str,
    /// What the file says.
    pub text: String,
    /// `matched` for the one that decides; `no match`, `passed over`, `not reached`; of identity and user `found` or `none`.
    pub outcome: &'static str,
    pub detail: String,
}

/// What decides `request`. `None` when memory is short.
pub fn explain(
    policy: &Policy,
    in_force: &InForce,
    query: &ExplainQuery,
    request: &impl Request,
) -> Option<Explanation> {
    let asked = Asked::new(request, query);
    let mut decision = decide(policy, in_force, &asked)?;
    let sender = match decision.sender.take() {
        Some(sender) => sender,
        None => identify(policy, in_force, &asked)?,
    };
    let (line, skew) = (decision.line, decision.page.belongs.is_skew(decision.line));
    let steps = steps(policy, in_force, &asked, &decision, &sender)?;
    let Decision { release, reason, .. } = decision;
    let Sender { user, bucket, identity } = sender;
    let rule = reason.route().and_then(|index| policy.routes.get(index)).map(|route| text(&route.text));
    Some(Explanation {
        policy: policy.name.clone(),
        epoch: in_force.epoch,
        release: policy.releases.get(release)?.name.clone(),
        version: policy.releases.get(line)?.version.as_deref().map(str::to_owned),
        upstream: text(&policy.releases.get(line)?.upstream),
        reason: reason.name(),
        rule,
        skew,
        bucket,
        user: (!user.id.is_empty()).then(|| format!("{:016x}", policy.salt.pseudonym(user.id))),
        identity: identity.map(identity_text),
        steps,
    })
}

/// As `$lobechat_canary_identity` says it.
fn identity_text(outcome: Outcome) -> String {
    match outcome.failure {
        None => outcome.kind.name().to_owned(),
        Some(failure) => format!("{}:{}", outcome.kind.name(), failure.name()),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
