//! The decision: which release answers a request, and why. Called by the glue, once for each client request
//! and policy.
//!
//! Order: `route` lines from top to bottom, then the user's bucket, then the stable release.

use crate::inputs::Request;
use crate::policy::Policy;
use crate::user::User;

/// The index of the stable release.
pub const STABLE: usize = 0;

/// Why a release was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A `route` line, by its index.
    Route(usize),
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

/// Decides `request` by `policy`.
pub fn decide<'r>(policy: &Policy, request: &'r impl Request) -> Decision<'r> {
    let inputs = policy.names.read(request);
    let user = policy.users.identify(&inputs, request);
    let place = user.id.as_deref().map(|id| policy.split.mode().place(&policy.salt, id));
    let route = policy.routes.iter().position(|route| route.matches(&inputs, request));
    let (release, reason) = match (route, place) {
        (Some(index), _) => (policy.routes[index].release, Reason::Route(index)),
        (None, Some((_, position))) => (policy.split.release_at(position).unwrap_or(STABLE), Reason::Split),
        (None, None) => (STABLE, Reason::Anonymous),
    };
    Decision { release, reason, user, bucket: place.map(|(bucket, _)| bucket) }
}
