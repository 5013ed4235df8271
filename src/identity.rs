//! Verified identity: `identity` lines, and what they make of the tokens in a request. A router is no
//! authenticator: whatever is missing, bad or expired gives no claims, and the next rule decides.
//!
//! Called by the decision, once for each client request and policy. A token that verified is remembered with
//! its claims, so that it costs its cryptography once per worker; what did not verify is not, so that nobody
//! can push good tokens out with bad ones.

pub mod authjs;
pub mod better_auth;
pub mod jwt;
pub mod parameters;
pub mod session_cookie;
pub mod validity;

use std::cell::RefCell;
use std::rc::Rc;

use self::authjs::AuthJs;
use self::better_auth::BetterAuth;
use self::jwt::{Jwt, TokenSource};
use self::session_cookie::SessionCookie;
use self::validity::Validity;
use crate::cache::Cache;
use crate::claims::{ClaimNames, Claims};
use crate::config::{Environment, KeyFile, arity, quote};
use crate::duration::Seconds;
use crate::failure::Failure;
use crate::inputs::{InputNames, Inputs, Request};

/// The longest token that is looked at, in bytes.
pub const MAX_TOKEN: usize = 16 * 1024;

/// One `identity` line.
#[derive(Debug)]
pub struct Identity {
    scheme: Scheme,
    tokens: Tokens,
    verified: RefCell<Cache<Verified>>,
}

#[derive(Debug)]
enum Scheme {
    Jwt(Jwt),
    BetterAuth(BetterAuth),
    AuthJs(AuthJs),
}

/// Where tokens are looked for, in this order.
#[derive(Debug)]
pub enum Tokens {
    Sources(Vec<TokenSource>),
    /// A session cookie, by its `__Secure-` name and by its plain one.
    Cookies([SessionCookie; 2]),
}

/// A line as its scheme has read it.
pub struct Loaded<S> {
    pub scheme: S,
    pub tokens: Tokens,
    /// How many verified tokens to remember.
    pub cache: usize,
    pub file: Option<KeyFile>,
}

/// What a token says that is signed all right: from when until when, and its claims or why there are none.
pub type Verdict = (Validity, Result<Claims, Failure>);

#[derive(Debug)]
struct Verified {
    validity: Validity,
    /// Also why a token is refused that is signed all right.
    claims: Result<Rc<Claims>, Failure>,
}

/// What the identities of a policy say about a request.
#[derive(Debug, Default)]
pub struct Found {
    pub claims: Option<Rc<Claims>>,
    /// The identity that the claims come from; without claims, the last one whose token was refused.
    pub outcome: Option<Outcome>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub kind: Kind,
    pub failure: Option<Failure>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Jwt,
    BetterAuth,
    AuthJs,
}

impl Kind {
    pub const ALL: [Kind; 3] = [Kind::Jwt, Kind::BetterAuth, Kind::AuthJs];
    pub const COUNT: usize = Kind::ALL.len();

    /// As the `identity` directive calls it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Jwt => "jwt",
            Kind::BetterAuth => "better_auth",
            Kind::AuthJs => "authjs",
        }
    }
}

impl Identity {
    /// Parses the words after `identity`; with it comes the file that its keys are in.
    pub fn parse(
        words: &[&[u8]],
        names: &mut InputNames,
        env: &mut dyn Environment,
    ) -> Result<(Identity, Option<KeyFile>), String> {
        let Some((kind, words)) = words.split_first() else {
            return Err(arity("identity", "identity jwt | better_auth | authjs parameter ..."));
        };
        let result = match *kind {
            b"jwt" => jwt::parse(words, names, env).map(|loaded| Identity::new(loaded, Scheme::Jwt)),
            b"better_auth" => {
                better_auth::parse(words, names, env).map(|loaded| Identity::new(loaded, Scheme::BetterAuth))
            }
            b"authjs" => authjs::parse(words, names, env).map(|loaded| Identity::new(loaded, Scheme::AuthJs)),
            _ => Err(format!("unknown identity {}: write jwt, better_auth or authjs", quote(kind))),
        };
        result.map_err(|e| format!("{e} in \"identity\" directive"))
    }

    fn new<S>(loaded: Loaded<S>, scheme: fn(S) -> Scheme) -> (Identity, Option<KeyFile>) {
        let verified = RefCell::new(Cache::new(loaded.cache));
        (Identity { scheme: scheme(loaded.scheme), tokens: loaded.tokens, verified }, loaded.file)
    }

    pub fn kind(&self) -> Kind {
        match &self.scheme {
            Scheme::Jwt(_) => Kind::Jwt,
            Scheme::BetterAuth(_) => Kind::BetterAuth,
            Scheme::AuthJs(_) => Kind::AuthJs,
        }
    }

    /// Takes new content of its key file. On an error, a sentence, the keys stay as they were. The other
    /// result is what an operator should know.
    pub fn load(&self, text: &[u8]) -> Result<Vec<String>, String> {
        let warnings = match &self.scheme {
            Scheme::Jwt(jwt) => jwt.load(text)?,
            Scheme::BetterAuth(better_auth) => better_auth.load(text)?,
            Scheme::AuthJs(authjs) => authjs.load(text)?,
        };
        self.verified.borrow_mut().clear();
        Ok(warnings)
    }

    /// Tries the sources in their order; the first token that verifies counts. `None` when memory is short.
    #[inline]
    fn find<'r>(
        &self,
        names: &ClaimNames,
        inputs: Inputs<'_, 'r>,
        request: &'r impl Request,
        outcome: &mut Option<Outcome>,
    ) -> Option<Option<Rc<Claims>>> {
        let mut judge = |place: usize, token: &[u8]| {
            if token.is_empty() {
                return None;
            }
            let verified = self.verify(place, token, names, request.now());
            let failure = verified.as_ref().err().copied();
            *outcome = Some(Outcome { kind: self.kind(), failure });
            if let Some(failure) = failure {
                request.token_refused(self.kind(), failure);
            }
            verified.ok()
        };
        match &self.tokens {
            Tokens::Sources(sources) => {
                for (place, source) in sources.iter().enumerate() {
                    if let claims @ Some(_) = judge(place, source.token(inputs, request)?) {
                        return Some(claims);
                    }
                }
            }
            Tokens::Cookies(cookies) => {
                for (place, cookie) in cookies.iter().enumerate() {
                    if let claims @ Some(_) = judge(place, cookie.value(inputs, request)?) {
                        return Some(claims);
                    }
                }
            }
        }
        Some(None)
    }

    #[inline]
    fn verify(
        &self,
        place: usize,
        token: &[u8],
        names: &ClaimNames,
        now: Seconds,
    ) -> Result<Rc<Claims>, Failure> {
        // With Auth.js the cookie's name is part of the key; elsewhere it is one token wherever it was found.
        let tag = if matches!(self.scheme, Scheme::AuthJs(_)) { place } else { 0 };
        if let Some(verified) = self.verified.borrow().get(tag, token) {
            verified.validity.check(now)?;
            return verified.claims.clone();
        }
        self.verify_anew(tag, place, token, names, now)
    }

    /// Kept apart, so that a token that is remembered is found quickly.
    #[inline(never)]
    fn verify_anew(
        &self,
        tag: usize,
        place: usize,
        token: &[u8],
        names: &ClaimNames,
        now: Seconds,
    ) -> Result<Rc<Claims>, Failure> {
        if token.len() > MAX_TOKEN {
            return Err(Failure::TooLarge);
        }
        let (validity, claims) = match &self.scheme {
            Scheme::Jwt(jwt) => jwt.verify(token, names)?,
            Scheme::BetterAuth(better_auth) => better_auth.verify(token, names)?,
            Scheme::AuthJs(authjs) => authjs.verify(place, token, names)?,
        };
        let claims = claims.map(Rc::new);
        let verified = Verified { validity, claims: claims.clone() };
        self.verified.borrow_mut().insert(tag, token, verified);
        validity.check(now)?;
        claims
    }
}

/// Asks the identities of a policy in their order; the first that verifies supplies the claims. `None` when
/// memory is short.
#[inline]
pub fn find<'r>(
    identities: &[Identity],
    names: &ClaimNames,
    inputs: Inputs<'_, 'r>,
    request: &'r impl Request,
) -> Option<Found> {
    let mut found = Found::default();
    for identity in identities {
        found.claims = identity.find(names, inputs, request, &mut found.outcome)?;
        if found.claims.is_some() {
            break;
        }
    }
    Some(found)
}
