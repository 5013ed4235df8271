//! The decision under a policy that pins pages: what follows a page is looked at no further than it takes to find that page.
//! Part of deciding.

use super::{Decision, Reason, afresh, with_inputs};
use crate::in_force::InForce;
use crate::inputs::Request;
use crate::pin::{Following, Part, Pin};
use crate::policy::Policy;
use crate::user::User;

/// Decides what most requests are: a file of a page that a cookie proves. `None`: it takes more of the request, or it is
/// none.
#[inline(always)]
pub fn decide_at_once<'r>(
    policy: &Policy,
    in_force: &InForce,
    request: &'r impl Request,
) -> Option<Decision<'r>> {
    let pin = policy.pin.as_ref().filter(|_| only_page_matters(policy))?;
    let page = pin.page_of_file(request)?;
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
    // Who looks for tokens wants to know of bad ones.
    if only_page_matters(policy)
        && (policy.identities.is_empty() || asked.part == Part::Asset)
        && let Some(page @ Following { line: Some(line), .. }) =
            pin.proved_page(asked, |line| in_force.keeps_pages(line), request)
    {
        let decision = of_page(in_force, line, page);
        return match policy.is_judged() && decision.is_dealt() {
            true => decision.known_by(policy, in_force, request),
            false => Some(decision),
        };
    }
    with_inputs(policy, request, |inputs, identity| {
        let follow = |own| pin.follow(asked, (policy, in_force), inputs, request, own);
        let of_file = if asked.part == Part::Asset { Some(follow(None)?) } else { None };
        match of_file {
            Some(page @ Following { line: Some(line), .. }) if only_page_matters(policy) => {
                Some(of_page(in_force, line, page))
            }
            _ => afresh(policy, in_force, inputs, request, identity, |own| of_file.or_else(|| follow(own))),
        }
    })
}

#[inline(always)]
fn of_page<'r>(in_force: &InForce, line: usize, page: Following) -> Decision<'r> {
    let release = in_force.release_of(line);
    let (reason, user) = (Reason::Pin, User::default());
    let (knows_user, bucket, remember, identity) = (false, None, false, None);
    Decision { release, line, reason, page, knows_user, user, bucket, remember, identity }
}
