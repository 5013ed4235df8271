//! The decision under a policy that pins pages: what follows a page is looked at no further than it takes to find that page.
//! Part of deciding.

use super::{Decision, Reason, afresh, identify, with_inputs, with_plain_inputs};
use crate::in_force::InForce;
use crate::inputs::Request;
use crate::pin::{Asked, Following, Part, Pin};
use crate::policy::Policy;

/// Decides what most requests are: a file of a page that a cookie proves. `None`: it takes more of the request, or it is
/// none.
#[inline(always)]
pub fn decide_at_once<'r>(
    policy: &Policy,
    pin: &Pin,
    in_force: &InForce,
    request: &'r impl Request,
) -> Option<Decision<'r>> {
    if !only_page_matters(policy) {
        return None;
    }
    let page = pin.page_of_file(in_force, request)?;
    page.line.map(|line| of_page(in_force, line, page))
}

/// Whether nothing but its page matters to a request that follows one: no route and no user is to be remembered.
#[inline]
fn only_page_matters(policy: &Policy) -> bool {
    policy.remember.is_none() && policy.users.keep().is_none()
}

/// Decides what [`decide_at_once`] does not, of a policy that has this pin. `None` when memory is short.
#[inline(always)]
pub fn decide_pinned<'r>(
    policy: &Policy,
    pin: &Pin,
    in_force: &InForce,
    request: &'r impl Request,
) -> Option<Decision<'r>> {
    let asked = pin.asked(request);
    let is_file = asked.part == Part::Asset;
    // Who looks for tokens wants to know of bad ones, but not of those of files.
    if only_page_matters(policy)
        && (policy.identities.is_empty() || is_file)
        && let Some(page @ Following { line: Some(line), .. }) = pin.proved_page(asked, in_force, request)
    {
        let mut decision = of_page(in_force, line, page);
        if policy.is_judged() && decision.is_dealt() {
            decision.sender = Some(identify(policy, in_force, request)?);
        }
        return Some(decision);
    }
    let of_file = match is_file {
        true => Some(page_of_file(policy, pin, asked, in_force, request)?),
        false => None,
    };
    match of_file {
        Some(page @ Following { line: Some(line), .. }) if only_page_matters(policy) => {
            Some(of_page(in_force, line, page))
        }
        _ => with_inputs(policy, request, |inputs, identity| {
            let follow =
                |own| of_file.or_else(|| pin.follow(asked, (policy, in_force), inputs, request, own));
            afresh(policy, in_force, inputs, request, identity, follow)
        }),
    }
}

/// `None` when memory is short.
fn page_of_file<'r>(
    policy: &Policy,
    pin: &Pin,
    asked: Asked<'r>,
    in_force: &InForce,
    request: &'r impl Request,
) -> Option<Following> {
    let policy_in_force = (policy, in_force);
    match pin.reads_claims() {
        true => with_inputs(policy, request, |inputs, _| {
            pin.follow(asked, policy_in_force, inputs, request, None)
        }),
        false => with_plain_inputs(policy, request, |inputs| {
            pin.follow(asked, policy_in_force, inputs, request, None)
        }),
    }
}

#[inline(always)]
fn of_page<'r>(in_force: &InForce, line: usize, page: Following) -> Decision<'r> {
    let release = in_force.release_of(line);
    Decision { release, line, reason: Reason::Pin, page, remember: false, sender: None }
}
