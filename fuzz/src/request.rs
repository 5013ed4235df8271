//! The request side: any header lines, query and variables, decided by policies that read them in every way.
//! The ids and routes found are compared with the model's.

use lobechat_canary::decision::{Decision, Reason, STABLE, Sender};
use lobechat_canary::percent::Percent;
use lobechat_canary::pin::{Part, Pinned};
use lobechat_canary::policy::Policy;
use lobechat_canary::user::Visitor;
use lobechat_canary::{cache_control, navigation};

use super::stand_ins::{PlainRequest, policy_named};
use super::{decided, model};

/// A policy, and by the model what it must find.
struct Case {
    name: &'static str,
    text: &'static str,
    /// The user's id from other sources than the visitor cookie.
    id: fn(&PlainRequest) -> Vec<u8>,
    visitors: bool,
    /// Whether each `route` matches.
    routes: &'static [fn(&PlainRequest) -> bool],
}

const CASES: [Case; 6] = [
    Case {
        name: "default",
        text: "release stable a version=2.1.25
            release canary b weight=10% version=2.1.26
            release beta c weight=5%
            route stable if cookie:release_channel = stable
            route canary if cookie:release_channel ~* canary
            route beta if header:x-user-tier in premium|gold and arg:v
            route canary if cookie:uid in file:testers
            route stable if $geoip2_country != '' and $geoip2_country !~ Z",
        id: |_| Vec::new(),
        visitors: true,
        routes: &[
            |r| model::cookie(r, "release_channel") == b"stable",
            |r| model::cookie(r, "release_channel").to_ascii_lowercase().windows(6).any(|w| w == b"canary"),
            |r| {
                [&b"premium"[..], b"gold"].contains(&&*model::header(r, "X-User-Tier"))
                    && !model::argument(r, "V").is_empty()
            },
            |r| [&b"alice"[..], b"bob", b"\xe7\x88\xb1"].contains(&&*model::cookie(r, "UID")),
            |r| !r.variables[2].is_empty() && !r.variables[2].contains(&b'Z'),
        ],
    },
    Case {
        name: "chat",
        text: "release stable a
            release canary b weight=50%
            salt chat-2.1.26
            user cookie:uid header:x-user arg:user $remote_addr-$http_user_agent visitor",
        id: |r| {
            let sources = [model::cookie(r, "uid"), model::header(r, "x-user"), model::argument(r, "user")];
            let text = [&*r.variables[0], &*r.variables[1]].join(&b'-');
            let whole = !r.variables[0].is_empty() && !r.variables[1].is_empty();
            sources.into_iter().find(|id| !id.is_empty()).unwrap_or(if whole { text } else { Vec::new() })
        },
        visitors: true,
        routes: &[],
    },
    Case {
        name: "unleash",
        text: "release stable a
            release canary b weight=33% from=50%
            hash unleash
            user header:x-user cookie:uid
            route canary if cookie:a ~ (*LIMIT_MATCH=0)
            route canary if cookie:a !~ (*LIMIT_MATCH=0)
            route canary if cookie:a = ''  and cookie:b",
        id: |r| {
            Some(model::header(r, "X-USER"))
                .filter(|id| !id.is_empty())
                .unwrap_or_else(|| model::cookie(r, "uid"))
        },
        visitors: false,
        routes: &[
            |_| false,
            |_| false,
            |r| model::cookie(r, "a").is_empty() && !model::cookie(r, "b").is_empty(),
        ],
    },
    Case {
        name: "migrated",
        text: "release stable a
            release canary b weight=0.5%
            release beta c weight=99.5% from=top
            hash split_clients
            user $key",
        id: |r| r.variables[3].clone(),
        visitors: false,
        routes: &[],
    },
    Case {
        name: "pages",
        text: "release stable a version=1.0.0
            release canary b version=2.1.26
            release beta c version=3.0.0 weight=5%
            release old d version=0.9.0 down
            pin on by=header:x-user-tier
            user cookie:uid
            route canary if cookie:user = alice",
        id: |r| model::cookie(r, "uid"),
        visitors: false,
        routes: &[|r| model::cookie(r, "user") == b"alice"],
    },
    // More names than there is room for on the stack.
    Case {
        name: "wide",
        text: "release stable a
            release canary b weight=100%
            user cookie:a cookie:b cookie:ui cookie:uid cookie:uid2 cookie:user cookie:v header:a header:b header:cookie",
        id: |r| {
            let cookies = ["a", "b", "ui", "uid", "uid2", "user", "v"].map(|name| model::cookie(r, name));
            let headers = ["a", "b", "cookie"].map(|name| model::header(r, name));
            cookies.into_iter().chain(headers).find(|id| !id.is_empty()).unwrap_or_default()
        },
        visitors: false,
        routes: &[],
    },
];

thread_local! {
    static POLICIES: Vec<Policy> =
        CASES.iter().map(|case| policy_named(case.name, case.text).expect("a fixed policy")).collect();
}

/// See [`PlainRequest::parse`] for the text.
pub fn check(text: &[u8]) {
    check_request(&PlainRequest::parse(text));
}

pub fn check_request(request: &PlainRequest) {
    POLICIES.with(|policies| {
        for (policy, case) in policies.iter().zip(&CASES) {
            check_case(policy, case, request);
        }
    });
    // Each policy reads it twice here, and joins all of it once each time.
    let (sent, made) = request.sizes();
    assert!(made <= 16 * sent, "{made} bytes made of {sent}");

    let prefetch = model::header(request, "sec-purpose").to_ascii_lowercase().starts_with(b"prefetch");
    assert!(!(prefetch && navigation::is_navigation(request)), "a prefetch sets cookies");
    check_private(&model::header(request, "cache-control"));
}

fn check_case(policy: &Policy, case: &Case, request: &PlainRequest) {
    let decision = decided::check(policy, request);
    let own = (case.id)(request);
    let cookie = model::visitor(&model::cookie(request, &policy.visitor_cookie)).filter(|_| case.visitors);
    let (id, visitor) = match (own.is_empty(), cookie) {
        (false, _) => (own, Visitor::Unused),
        (true, Some((digits, day))) => (digits.to_vec(), Visitor::Known(day)),
        (true, None) if case.visitors => (own, Visitor::New),
        (true, None) => (own, Visitor::Unused),
    };
    let Sender { user, bucket, .. } = decided::sender(&decision);
    assert_eq!(user.id, id, "policy {}", case.name);
    assert_eq!(user.visitor, visitor, "policy {}", case.name);
    assert_eq!(*bucket, (!id.is_empty()).then(|| policy.salt.bucket(&id)), "policy {}", case.name);

    assert_eq!(policy.routes.len(), case.routes.len());
    let reason = match case.routes.iter().position(|matches| matches(request)) {
        Some(index) => Reason::Route(index as u32),
        None if !id.is_empty() => Reason::Split,
        None => Reason::Anonymous,
    };
    match decision.reason {
        Reason::Pin => check_followed(policy, &decision, reason),
        decided => assert_eq!(decided, reason, "policy {}", case.name),
    }
}

/// What anybody can write leads to no release that has no weight, unless to its public files.
fn check_followed(policy: &Policy, decision: &Decision<'_>, otherwise: Reason) {
    let page = decision.page;
    assert_eq!(page.line, Some(decision.line));
    let own = otherwise.route().is_some_and(|route| policy.routes[route].release == decision.release);
    let weighted = policy.releases[decision.line].weight != Percent::ZERO;
    let proved = matches!(page.cookie, Some(Pinned::Genuine { line, .. }) if line == decision.line);
    match page.part {
        Part::Asset => {}
        Part::Follower | Part::Return => {
            assert!(own || weighted || proved || decision.line == STABLE, "{page:?}")
        }
        Part::Navigation | Part::Unpinned => panic!("{page:?} is followed"),
    }
}

/// Whatever a release says, the answer with a cookie of ours is private, and once is enough.
fn check_private(value: &[u8]) {
    let private = cache_control::make_private(value);
    assert!(private.starts_with(b"private"));
    assert_eq!(cache_control::make_private(&private), private);
    if !value.contains(&b'"') {
        let shared =
            |d: &[u8]| [&b"public"[..], b"s-maxage"].contains(&&*d.trim_ascii().to_ascii_lowercase());
        let name = |directive: &[u8]| shared(directive.split(|&b| b == b'=').next().unwrap_or_default());
        assert!(!private.split(|&b| b == b',').any(name), "{}", String::from_utf8_lossy(&private));
    }
}
