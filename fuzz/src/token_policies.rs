//! The policies that the token checks ask, with keys that the checks know, too.

use lobechat_canary::policy::Policy;

use super::expected::Rules;
use super::recordings::{self, Kind, Recordings};
use super::sealing::{COOKIE_KEYS, SESSION_SECRET, TOKEN_SECRET};
use super::stand_ins::{Server, policy_on};

/// After what was recorded, and before it expires.
pub const NOW: u64 = 1_900_000_000;
pub const DAY: u64 = 86_400;

const SOURCES: &str = "from=header:authorization from=cookie:token from=arg:token from=$key";

/// Policies by the identities that they ask, in this order.
const POLICIES: [(&[Kind], &str); 5] = [
    (&[Kind::Keys], "identity jwt keys=jwks SOURCES"),
    (&[Kind::Secret], "identity jwt secret=token SOURCES"),
    (&[Kind::BetterAuth], "identity better_auth secret=session"),
    (&[Kind::AuthJs], "identity authjs secret=session"),
    (
        &[Kind::AuthJs, Kind::Keys, Kind::BetterAuth],
        "identity authjs secret=session\nidentity jwt keys=jwks SOURCES\nidentity better_auth secret=session",
    ),
];

const CHECKED: &str = "identity jwt secret=token leeway=5s iss=https://idp.example aud=chat require=exp,sub";
pub const RULES: Rules = Rules {
    leeway: 5,
    issuer: Some("https://idp.example"),
    audience: Some("chat"),
    required: &["exp", "sub"],
};

pub const ROUTE: &str = "canary if claim:role = tester";
const LINES: &str = "release stable a
    release canary b weight=10%
    route canary if claim:role = tester remember=7d
    claim $sub sub
    claim $role role
    claim $nested realm_access.roles
    claim $dots https://example\\.com/roles
    user claim:sub keep=30d visitor
    cookie_key cookies";

/// One policy that remembers what it verified, though only a little of it, and one that does not.
pub struct Pair {
    pub asks: &'static [Kind],
    pub quick: Policy,
    pub slow: Policy,
}

pub struct Fixed {
    pub recordings: Recordings,
    pub policies: Vec<Pair>,
    pub checked: Pair,
}

thread_local! {
    pub static FIXED: Fixed = fixed();
}

fn fixed() -> Fixed {
    let recordings = recordings::read();
    let policy = |identity: &str, cache: usize| {
        let texts = [
            ("jwks", &*recordings.jwks),
            ("token", TOKEN_SECRET),
            ("session", SESSION_SECRET),
            ("cookies", COOKIE_KEYS),
        ];
        let keys = texts.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec())).to_vec();
        let mut server = Server { keys, ..Server::default() };
        let lines = identity.replace("SOURCES", SOURCES);
        let lines: String = lines.lines().map(|line| format!("{line} cache={cache}\n")).collect();
        policy_on(&mut server, "default", &format!("{lines}{LINES}"))
            .unwrap_or_else(|error| panic!("{}", error.message))
    };
    let pair = |asks, identity| Pair { asks, quick: policy(identity, 8), slow: policy(identity, 0) };
    Fixed {
        policies: POLICIES.into_iter().map(|(asks, identity)| pair(asks, identity)).collect(),
        checked: pair(&[Kind::Secret], CHECKED),
        recordings,
    }
}

impl Fixed {
    pub fn pair(&self, kind: Kind) -> &Pair {
        self.policies.iter().find(|pair| *pair.asks == [kind]).expect("a policy of each kind")
    }
}
