//! The decision: which release answers a request, and why. Called by the glue, once for each client request
//! and policy.
//!
//! Order: the page that the request belongs to, then `route` lines from top to bottom, then a valid remember cookie, then the user's bucket, then the
//! stable release. A release that is not open is passed over.

mod pinned;

pub use self::pinned::{decide_at_once, decide_pinned};

use crate::claims::Claims;
use crate::identity::{self, Outcome};
use crate::in_force::InForce;
use crate::inputs::{Inputs, Request};
use crate::pin::{Following, Part};
use crate::policy::Policy;
use crate::user::User;

/// The index of the stable release.
pub const STABLE: usize = 0;

/// Why a release was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The page that the request belongs to.
    Pin,
    /// A `route` line, by its index.
    Route(u32),
    /// A cookie of a `route` line that matched before, by its index.
    Remembered(u32),
    /// The user's bucket.
    Split,
    /// No user id, so the stable release.
    Anonymous,
    /// The stable release, since the one that a route or a cookie named is not open.
    Default,
}

impl Reason {
    /// The value of `$lobechat_canary_reason`.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Pin => "pin",
            Reason::Route(_) => "route",
            Reason::Remembered(_) => "remembered",
            Reason::Split => "split",
            Reason::Anonymous => "anonymous",
            Reason::Default => "default",
        }
    }

    /// The route that led to the release, now or earlier.
    pub fn route(self) -> Option<usize> {
        match self {
            Reason::Route(index) | Reason::Remembered(index) => Some(index as usize),
            Reason::Pin | Reason::Split | Reason::Anonymous | Reason::Default => None,
        }
    }
}

/// A release for one request.
#[derive(Debug)]
pub struct Decision<'r> {
    /// By its name, as an index into the file's lines.
    pub release: usize,
    /// The line of the file whose upstream and version the name stands for.
    pub line: usize,
    pub reason: Reason,
    pub page: Following,
    /// Whether the answer has to carry a cookie that remembers the route.
    pub remember: bool,
    /// `None`: the decision did not depend on it. See [`identify`].
    pub sender: Option<Sender<'r>>,
}

/// Who sent a request.
#[derive(Debug)]
pub struct Sender<'r> {
    pub user: User<'r>,
    /// The user's native bucket, 0 to 9999; none without a user.
    pub bucket: Option<u16>,
    pub identity: Option<Outcome>,
}

impl Decision<'_> {
    /// Whether the request says something of the release that the split chose: it is a page so chosen, or part of one.
    pub fn is_dealt(&self) -> bool {
        let is_dealt = match self.reason {
            Reason::Split => true,
            Reason::Pin => self.page.is_dealt,
            _ => false,
        };
        is_dealt && self.page.part != Part::Asset && !self.page.belongs.is_skew(self.line)
    }
}

/// Decides `request` by `policy`, as it stands, for who explains it and for tests: the glue does the same, with
/// allocations between. `None` when memory is short.
pub fn decide<'r>(policy: &Policy, in_force: &InForce, request: &'r impl Request) -> Option<Decision<'r>> {
    match &policy.pin {
        None => decide_unpinned(policy, in_force, request),
        Some(pin) => decide_at_once(policy, pin, in_force, request)
            .or_else(|| decide_pinned(policy, pin, in_force, request)),
    }
}

/// Decides a request of a policy that pins no pages. `None` when memory is short.
#[inline(always)]
pub fn decide_unpinned<'r>(
    policy: &Policy,
    in_force: &InForce,
    request: &'r impl Request,
) -> Option<Decision<'r>> {
    with_inputs(policy, request, |inputs, identity| {
        afresh(policy, in_force, inputs, request, identity, |_| Some(Following::default()))
    })
}

/// Decides by all that the request says. `follow` knows its page, given where its own routes lead.
#[inline(always)]
fn afresh<'r>(
    policy: &Policy,
    in_force: &InForce,
    inputs: Inputs<'_, 'r>,
    request: &'r impl Request,
    identity: Option<Outcome>,
    follow: impl FnOnce(Option<usize>) -> Option<Following>,
) -> Option<Decision<'r>> {
    let (route, mut shut) = first_route(policy, in_force, inputs, request)?;
    let (remembered, remember) = match &policy.remember {
        None => (None, false),
        Some(_) => remembered(policy, in_force, route, &mut shut, inputs, request),
    };
    let user = policy.users.identify(inputs, request, &policy.cookie_keys)?;
    let split = &in_force.split;
    let place = place(policy, in_force, &user);
    let page = follow(route.or(remembered).map(|index| policy.routes[index].release))?;
    let (release, reason) = match (page.line, route, remembered) {
        (Some(line), ..) => (in_force.release_of(line), Reason::Pin),
        (_, Some(index), _) => (policy.routes[index].release, Reason::Route(index as u32)),
        (_, None, Some(index)) => (policy.routes[index].release, Reason::Remembered(index as u32)),
        (_, None, None) => match place {
            Some((_, position)) => match split.release_at(position) {
                Some(release) => (release, Reason::Split),
                None => (STABLE, if shut { Reason::Default } else { Reason::Split }),
            },
            None => (STABLE, if shut { Reason::Default } else { Reason::Anonymous }),
        },
    };
    let line = page.line.unwrap_or_else(|| in_force.line_of(release));
    let sender = Some(Sender { user, bucket: place.map(|(bucket, _)| bucket), identity });
    Some(Decision { release, line, reason, page, remember, sender })
}

/// Who sent a request whose decision did not depend on it. `None` when memory is short.
#[inline(never)]
pub fn identify<'r>(policy: &Policy, in_force: &InForce, request: &'r impl Request) -> Option<Sender<'r>> {
    with_inputs(policy, request, |inputs, identity| {
        let user = policy.users.identify(inputs, request, &policy.cookie_keys)?;
        let bucket = place(policy, in_force, &user).map(|(bucket, _)| bucket);
        Some(Sender { user, bucket, identity })
    })
}

/// The native bucket and the position of a user; none without an id.
#[inline(always)]
fn place(policy: &Policy, in_force: &InForce, user: &User<'_>) -> Option<(u16, u32)> {
    (!user.id.is_empty()).then(|| in_force.split.mode().place(&policy.salt, user.id))
}

/// Reads what the policy looks at, claims included. `None` when memory is short, or where `then` finds it so.
#[inline(always)]
pub fn with_inputs<'r, T>(
    policy: &Policy,
    request: &'r impl Request,
    then: impl FnOnce(Inputs<'_, 'r>, Option<Outcome>) -> Option<T>,
) -> Option<T> {
    with_plain_inputs(policy, request, |inputs| {
        let (claims, identity) = match &*policy.identities {
            [] => (None, None),
            _ => identified(policy, inputs, request)?,
        };
        then(inputs.with(claims), identity)
    })
}

/// The same without claims.
#[inline(always)]
fn with_plain_inputs<'r, T>(
    policy: &Policy,
    request: &'r impl Request,
    then: impl FnOnce(Inputs<'_, 'r>) -> Option<T>,
) -> Option<T> {
    // On the stack, unless a policy reads an unusual number of names.
    let (mut few, mut many) = ([None; 8], None);
    let slots = match few.get_mut(..policy.names.count()) {
        Some(few) => few,
        None => many.insert(empty_slots(policy.names.count())?),
    };
    then(policy.names.read(request, slots)?)
}

/// The claims of whoever sent the request, and where they come from or why there are none. Kept apart, so that policies
/// without an identity decide as quickly as before. `None` when memory is short.
#[inline(never)]
fn identified<'r>(
    policy: &Policy,
    inputs: Inputs<'_, 'r>,
    request: &'r impl Request,
) -> Option<(Option<&'r Claims>, Option<Outcome>)> {
    let found = identity::find(&policy.identities, &policy.names.claims, inputs, request)?;
    let claims = match found.claims {
        Some(claims) => Some(request.identified(claims)?),
        None => None,
    };
    Some((claims, found.outcome))
}

#[cold]
fn empty_slots<'r>(count: usize) -> Option<Vec<Option<&'r [u8]>>> {
    let mut slots = Vec::new();
    slots.try_reserve_exact(count).ok()?;
    slots.resize(count, None);
    Some(slots)
}

/// The first route that matches and leads somewhere, and whether one before it leads to a release that is not open.
#[inline(always)]
fn first_route<'r>(
    policy: &Policy,
    in_force: &InForce,
    inputs: Inputs<'_, 'r>,
    request: &'r impl Request,
) -> Option<(Option<usize>, bool)> {
    let mut shut = false;
    for (index, route) in policy.routes.iter().enumerate() {
        if route.matches(inputs, request)? {
            if in_force.is_open(route.release) {
                return Some((Some(index), shut));
            }
            shut = true;
        }
    }
    Some((None, shut))
}

/// The route that a remember cookie names, if it leads somewhere, and whether the route that matched now needs a cookie of its own: there
/// is none, it names another route, or it is past half its life.
#[inline(never)]
fn remembered(
    policy: &Policy,
    in_force: &InForce,
    route: Option<usize>,
    shut: &mut bool,
    inputs: Inputs<'_, '_>,
    request: &impl Request,
) -> (Option<usize>, bool) {
    let Some(remember) = &policy.remember else {
        return (None, false);
    };
    let life = |index: usize| policy.routes[index].remember;
    if route.is_some_and(|index| life(index).is_none()) {
        return (None, false);
    }
    let now = request.now();
    let keys = policy.cookie_keys.borrow();
    let enrolment = remember.read(inputs.cookie(remember.slot), &policy.routes, &keys, now);
    // What a rollback has ended is as good as none, so that the route may enrol again.
    let enrolment = enrolment.filter(|enrolment| {
        let role = in_force.roles.get(policy.routes[enrolment.route].release);
        role.is_some_and(|role| enrolment.issued >= role.enrolled_since)
    });
    let is_fresh = |index: usize| {
        enrolment.is_some_and(|enrolment| {
            let age = now.saturating_sub(enrolment.issued);
            enrolment.route == index && life(index).is_some_and(|life| age <= life / 2)
        })
    };
    let remember = route.is_some_and(|index| !is_fresh(index));
    let enrolment = enrolment.filter(|enrolment| {
        let is_open = in_force.is_open(policy.routes[enrolment.route].release);
        *shut |= !is_open;
        is_open
    });
    (enrolment.map(|enrolment| enrolment.route), remember)
}
