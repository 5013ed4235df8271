//! The decision: which release answers a request, and why. Called by the glue, once for each client request
//! and policy.
//!
//! Order: `route` lines from top to bottom, then the user's bucket, then the stable release.

use crate::inputs::{Inputs, Request};
use crate::policy::Policy;
use crate::user::User;

/// The index of the stable release.
pub const STABLE: usize = 0;

/// Why a release was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A `route` line, by its index.
    Route(u32),
    /// The user's bucket.
    Split,
    /// No user id, so the stable release.
    Anonymous,
}

impl Reason {
    /// The value of `$lobechat_canary_reason`.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Route(_) => "route",
            Reason::Split => "split",
            Reason::Anonymous => "anonymous",
        }
    }
}

/// A release for one request.
#[derive(Debug)]
pub struct Decision<'r> {
    pub release: usize,
    pub reason: Reason,
    pub user: User<'r>,
    /// The user's native bucket, 0 to 9999; none without a user.
    pub bucket: Option<u16>,
}

/// Decides `request` by `policy`. `None` when memory is short.
#[inline]
pub fn decide<'r>(policy: &Policy, request: &'r impl Request) -> Option<Decision<'r>> {
    // On the stack, unless a policy reads an unusual number of names.
    let (mut few, mut many) = ([None; 6], None);
    let slots = match few.get_mut(..policy.names.count()) {
        Some(few) => few,
        None => many.insert(empty_slots(policy.names.count())?),
    };
    let inputs = policy.names.read(request, slots)?;
    let route = first_route(policy, inputs, request)?;
    let user = policy.users.identify(inputs, request)?;
    let place = (!user.id.is_empty()).then(|| policy.split.mode().place(&policy.salt, user.id));
    let (release, reason) = match route {
        Some(index) => (policy.routes[index].release, Reason::Route(index as u32)),
        None => match place {
            Some((_, position)) => (policy.split.release_at(position).unwrap_or(STABLE), Reason::Split),
            None => (STABLE, Reason::Anonymous),
        },
    };
    Some(Decision { release, reason, user, bucket: place.map(|(bucket, _)| bucket) })
}

#[cold]
fn empty_slots<'r>(count: usize) -> Option<Vec<Option<&'r [u8]>>> {
    let mut slots = Vec::new();
    slots.try_reserve_exact(count).ok()?;
    slots.resize(count, None);
    Some(slots)
}

#[inline]
fn first_route<'r>(
    policy: &Policy,
    inputs: Inputs<'_, 'r>,
    request: &'r impl Request,
) -> Option<Option<usize>> {
    for (index, route) in policy.routes.iter().enumerate() {
        if route.matches(inputs, request)? {
            return Some(Some(index));
        }
    }
    Some(None)
}
