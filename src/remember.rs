//! The remember cookie: keeps a browser on the release that a `route` with `remember=` once chose, also where what
//! proved it is not sent. Read by the decision, written by the header filter.
//!
//! Its value is `<release>.<issue time>.<code>`. The code is an HMAC over the policy's name, the route's words
//! and the issue time, so it ends when the route changes, and outlives weights, versions and other edits.

use std::cell::RefCell;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::cache::Cache;
use crate::cookie_keys::{CookieKey, CookieKeys};
use crate::duration::Seconds;
use crate::inputs::InputNames;
use crate::route::Route;
use crate::set_cookie;

/// The remember cookie of one policy.
#[derive(Debug)]
pub struct Remember {
    policy: Box<str>,
    pub cookie: String,
    pub slot: usize,
    verified: RefCell<Cache<Enrolment>>,
}

/// What a cookie proves: a route that once matched, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enrolment {
    pub route: usize,
    pub issued: Seconds,
}

/// How many cookies a worker remembers.
const CACHE: usize = 1024;

impl Remember {
    pub fn new(policy: &str, names: &mut InputNames) -> Remember {
        let cookie = set_cookie::name("remember", policy);
        Remember {
            policy: policy.into(),
            slot: names.cookie(cookie.as_bytes()),
            cookie,
            verified: RefCell::new(Cache::new(CACHE)),
        }
    }

    /// What `value` proves now; `None` for a cookie that is forged, foreign, or too old for its route.
    pub fn read(&self, value: &[u8], routes: &[Route], keys: &CookieKeys, now: Seconds) -> Option<Enrolment> {
        if value.is_empty() {
            return None;
        }
        let known = self.verified.borrow().get(0, value).copied();
        let enrolment = known.or_else(|| self.verify(value, routes, keys))?;
        let life = routes.get(enrolment.route)?.remember?;
        (set_cookie::age(enrolment.issued, now)? < life).then_some(enrolment)
    }

    #[inline(never)]
    fn verify(&self, value: &[u8], routes: &[Route], keys: &CookieKeys) -> Option<Enrolment> {
        let text = str::from_utf8(value).ok()?;
        let [code, issued, release] = text.rsplitn(3, '.').collect::<Vec<_>>()[..] else {
            return None;
        };
        let code = URL_SAFE_NO_PAD.decode(code).ok()?;
        let issued = issued.parse().ok().filter(|number: &Seconds| number.to_string() == issued)?;
        let is_candidate =
            |route: &Route| route.remember.is_some() && route.release_name() == release.as_bytes();
        let candidates = routes.iter().enumerate().filter(|(_, route)| is_candidate(route));
        for (index, route) in candidates {
            if keys.iter().any(|key| key.remember.verify(&self.signed(route, &issued.to_be_bytes()), &code)) {
                let enrolment = Enrolment { route: index, issued };
                self.verified.borrow_mut().insert(0, value, enrolment);
                return Some(enrolment);
            }
        }
        None
    }

    /// A cookie that keeps a browser on the release of `route`, and how long.
    pub fn line(&self, route: &Route, key: &CookieKey, now: Seconds, secure: bool) -> Option<String> {
        let code = URL_SAFE_NO_PAD.encode(key.remember.sign(&self.signed(route, &now.to_be_bytes())));
        let release = String::from_utf8_lossy(route.release_name());
        Some(set_cookie::line(&self.cookie, format_args!("{release}.{now}.{code}"), route.remember?, secure))
    }

    /// Names of policies have no zero byte, and neither have words of the configuration.
    fn signed<'a>(&'a self, route: &'a Route, issued: &'a [u8; 8]) -> [&'a [u8]; 4] {
        [self.policy.as_bytes(), b"\0", issued, &route.words]
    }

    /// Keys have changed: what old ones proved is to be proved again.
    pub fn forget(&self) {
        self.verified.borrow_mut().clear();
    }
}
