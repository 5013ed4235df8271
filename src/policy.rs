//! A policy: what one `lobechat_canary` block says, checked as a whole. Made by the builder, read by decisions.

mod builder;
mod rollout;
mod shares;
mod words;

pub use self::builder::PolicyBuilder;
pub use self::shares::explain_split;

use std::cell::RefCell;

use crate::config::{KeyFile, Place, VariableId};
use crate::cookie_keys::CookieKeys;
use crate::fallback::Fallback;
use crate::generation::Generation;
use crate::hash::Salt;
use crate::identity::Identity;
use crate::in_force::InForce;
use crate::inputs::InputNames;
use crate::pin::Pin;
use crate::ramp::Ramp;
use crate::release::Release;
use crate::remember::Remember;
use crate::rollback::Rollback;
use crate::route::Route;
use crate::user::UserSources;

/// A checked policy. Release 0 is the stable one.
#[derive(Debug)]
pub struct Policy {
    pub name: String,
    pub visitor_cookie: String,
    pub releases: Vec<Release>,
    pub routes: Vec<Route>,
    pub names: InputNames,
    pub users: UserSources,
    pub salt: Salt,
    /// What the file by itself puts in force.
    pub declared: InForce,
    pub fallback: Fallback,
    /// `None`: each request is decided by itself.
    pub pin: Option<Pin>,
    /// `None`: nobody is judged.
    pub rollback: Option<Rollback>,
    pub ramps: Vec<Ramp>,
    /// A directive that needs a state file to keep its word.
    pub needs_state: Option<Place>,
    /// Tells one way of dealing users (salt, hash, user) from another.
    pub dealt: u64,
    pub expose: bool,
    pub identities: Vec<Identity>,
    /// `claim $variable path`: the variables, and the slots of their claims.
    pub claim_variables: Vec<(VariableId, usize)>,
    /// Where a route says `remember=`.
    pub remember: Option<Remember>,
    /// The random key of the remember, keep and pin cookies, where no file has one.
    pub random_key: Option<[u8; 32]>,
    /// The keys of the remember, keep and pin cookies.
    pub cookie_keys: RefCell<CookieKeys>,
    /// The files that keys are in, to be read again when they change.
    pub key_files: Vec<(KeyFile, KeyUser)>,
}

/// What the keys in a file are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyUser {
    /// An identity, by its index.
    Identity(usize),
    Cookies,
}

impl Policy {
    /// The ramp of a line of the file.
    pub fn ramp_of(&self, line: usize) -> Option<&Ramp> {
        self.ramps.iter().find(|ramp| ramp.release == line)
    }

    /// Whether a release that answers with this status has failed.
    #[inline]
    pub fn is_failure(&self, status: usize) -> bool {
        match &self.rollback {
            Some(rollback) => rollback.fail.contains(status),
            None => status >= 500 || (470..=472).contains(&status),
        }
    }

    /// Whether what users meet is compared: for verdicts, or for ramps.
    pub fn is_judged(&self) -> bool {
        self.rollback.is_some() || !self.ramps.is_empty()
    }

    /// The line of the file that a page means by this name: a deployment, a version, or the name of a release.
    pub fn line_named(&self, name: &[u8], in_force: &InForce) -> Option<usize> {
        let is = |known: &Option<Box<str>>| known.as_deref().is_some_and(|known| known.as_bytes() == name);
        let by = |names: &dyn Fn(&Release) -> bool| self.releases.iter().position(names);
        by(&|release| is(&release.deployment)).or_else(|| by(&|release| is(&release.version))).or_else(|| {
            by(&|release| release.name.as_bytes() == name).map(|release| in_force.line_of(release))
        })
    }

    /// Takes keys for the module's cookies in place of those that it has.
    pub fn use_cookie_keys(&self, keys: CookieKeys) {
        if let Some(pin) = &self.pin {
            pin.cookie.seal(&self.name, self.generations(), &keys);
        }
        self.cookie_keys.replace(keys);
        self.remember.iter().for_each(Remember::forget);
        self.users.keep().into_iter().for_each(|keep| keep.forget());
    }

    /// What the lines of the file put behind their names, in their order.
    pub fn generations(&self) -> impl Iterator<Item = Generation> {
        let of =
            |release: &Release| Generation::new(&self.name, &release.upstream, release.version.as_deref());
        self.releases.iter().map(of)
    }

    /// Takes new content of a key file. On an error, a sentence, the keys stay as they were. The other result is
    /// what an operator should know.
    pub fn load_keys(&self, user: KeyUser, text: &[u8]) -> Result<Vec<String>, String> {
        match user {
            KeyUser::Identity(index) => self.identities[index].load(text),
            KeyUser::Cookies => {
                self.use_cookie_keys(CookieKeys::parse(text)?);
                Ok(Vec::new())
            }
        }
    }
}
