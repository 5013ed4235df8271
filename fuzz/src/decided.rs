//! What must hold of the decision on any request by any policy.

use lobechat_canary::claims::Claims;
use lobechat_canary::decision::{Decision, Reason, STABLE, Sender, decide, identify};
use lobechat_canary::hash::HashMode;
use lobechat_canary::policy::Policy;
use lobechat_canary::user::Visitor;

use super::model;
use super::stand_ins::PlainRequest;

/// Decides, checks that the parts of the decision agree with each other, and returns it.
pub fn check<'r>(policy: &Policy, request: &'r PlainRequest) -> Decision<'r> {
    let decision = decided(policy, request).expect("enough memory");
    let Decision { release, reason, .. } = &decision;
    let Sender { user, bucket, .. } = sender(&decision);
    let claims = claims(request, &decision);
    assert!(*release < policy.releases.len(), "release {release} of {}", policy.releases.len());
    assert_eq!(*bucket, (!user.id.is_empty()).then(|| policy.salt.bucket(user.id)));
    assert!(bucket.is_none_or(|bucket| bucket < 10_000));
    assert_eq!(decision.line, policy.declared.line_of(*release));

    match (*reason, first_route(policy, request, claims)) {
        (Reason::Route(index), Some(first)) => {
            assert_eq!(index as usize, first, "not the first route that matches");
            assert_eq!(*release, policy.routes[first].release);
        }
        (Reason::Remembered(index), None) => {
            assert!(policy.routes[index as usize].remember.is_some());
            assert_eq!(*release, policy.routes[index as usize].release);
        }
        (Reason::Split, None) => {
            let bucket = bucket.expect("a split without a bucket");
            if policy.declared.split.mode() == HashMode::Native {
                assert_eq!(*release, policy.declared.split.release_at(u32::from(bucket)).unwrap_or(STABLE));
            }
        }
        (Reason::Pin, _) => assert_eq!(decision.page.line, Some(decision.line)),
        (Reason::Anonymous, None) => assert_eq!((*release, *bucket), (STABLE, None)),
        other => panic!("reason and routes disagree: {other:?}"),
    }
    match user.visitor {
        Visitor::Known(day) => {
            let cookie = model::cookie(request, &policy.visitor_cookie);
            let known = model::visitor(&cookie).map(|(digits, day)| (digits.to_vec(), day));
            assert_eq!(known, Some((user.id.to_vec(), day)), "{:?}", String::from_utf8_lossy(&cookie));
        }
        Visitor::New => assert_eq!(user.id, b""),
        Visitor::Unused => {}
    }
    check_again(policy, request, &decision, claims);
    decision
}

/// Decides, and asks who sent the request if that was not asked. `None` when memory is short.
fn decided<'r>(policy: &Policy, request: &'r PlainRequest) -> Option<Decision<'r>> {
    let decision = decide(policy, &policy.declared, request)?;
    let sender = match decision.sender {
        Some(sender) => sender,
        None => identify(policy, &policy.declared, request)?,
    };
    Some(Decision { sender: Some(sender), ..decision })
}

pub fn sender<'d, 'r>(decision: &'d Decision<'r>) -> &'d Sender<'r> {
    decision.sender.as_ref().expect("a sender that has been asked for")
}

/// The claims that the last decision on a request was based on.
pub fn claims<'r>(request: &'r PlainRequest, decision: &Decision) -> Option<&'r Claims> {
    let verified = sender(decision).identity.is_some_and(|outcome| outcome.failure.is_none());
    request.last_claims().filter(|_| verified)
}

fn first_route(policy: &Policy, request: &PlainRequest, claims: Option<&Claims>) -> Option<usize> {
    let mut slots = vec![None; policy.names.count()];
    let inputs = policy.names.read(request, &mut slots).expect("enough memory").with(claims);
    policy.routes.iter().position(|route| route.matches(inputs, request).expect("enough memory"))
}

/// The same request is decided the same way, or, where memory is short, not at all.
fn check_again(policy: &Policy, request: &PlainRequest, first: &Decision, verified: Option<&Claims>) {
    for pieces in [0, 1, 2, usize::MAX] {
        let request = request.short_of_memory(pieces);
        match decided(policy, &request) {
            Some(again) => {
                let parts = |d: &Decision| {
                    let Sender { user, bucket, identity } = sender(d);
                    (d.release, d.reason, d.page, *bucket, user.visitor, user.id.to_vec(), *identity)
                };
                assert_eq!(parts(&again), parts(first), "with memory for {pieces} pieces");
                assert_eq!(claims(&request, &again), verified, "with memory for {pieces} pieces");
            }
            None => assert!(pieces < usize::MAX, "undecided in spite of memory"),
        }
    }
}
