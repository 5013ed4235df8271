//! Reads the directives of a policy one by one, and checks what only the whole block shows. Used by the glue's
//! block parser, by tests and by fuzz targets.

mod finish;

use super::KeyUser;
use super::rollout;
use super::words::{at, once, one_of, parse_flag};
use crate::config::{Environment, KeyFile, Place, VariableId, arity, is_name, quote, warn_if_open};
use crate::cookie_keys::CookieKeys;
use crate::hash::{HashMode, Salt};
use crate::identity::Identity;
use crate::inputs::InputNames;
use crate::release::Release;
use crate::route::Route;
use crate::set_cookie;
use crate::user::UserSources;

/// More would not fit into their place in the shared zone.
const MAX_RELEASES: usize = 16;

/// A policy while its block is being read.
#[derive(Debug)]
pub struct PolicyBuilder {
    name: String,
    visitor_cookie: String,
    place: Place,
    releases: Vec<Release>,
    routes: Vec<(Route<Box<[u8]>>, Place)>,
    names: InputNames,
    users: Option<UserSources>,
    salt: Option<Salt>,
    hash: Option<HashMode>,
    rollout: rollout::Lines,
    /// The words after `user`.
    user_text: Vec<u8>,
    expose: Option<bool>,
    identities: Vec<Identity>,
    claim_variables: Vec<(VariableId, usize)>,
    /// The first directive that reads a claim.
    first_claim: Option<Place>,
    cookie_keys: Option<CookieKeys>,
    key_files: Vec<(KeyFile, KeyUser)>,
}

impl PolicyBuilder {
    /// Starts the policy `name`, whose block begins at `place`.
    pub fn new(name: &[u8], place: Place) -> Result<PolicyBuilder, String> {
        if !is_name(name, b"") || name == b"off" {
            return Err(format!(
                "invalid policy name {}: use 1 to 63 of a-z, 0-9, \"_\", \"-\", but not \"off\"",
                quote(name)
            ));
        }
        let name = String::from_utf8_lossy(name).into_owned();
        let visitor_cookie = set_cookie::name("visitor", &name);
        Ok(PolicyBuilder {
            name,
            visitor_cookie,
            place,
            releases: Vec::new(),
            routes: Vec::new(),
            names: InputNames::default(),
            users: None,
            salt: None,
            hash: None,
            rollout: rollout::Lines::default(),
            user_text: Vec::new(),
            expose: None,
            identities: Vec::new(),
            claim_variables: Vec::new(),
            first_claim: None,
            cookie_keys: None,
            key_files: Vec::new(),
        })
    }

    /// Takes one directive, its name first.
    pub fn directive(
        &mut self,
        words: &[&[u8]],
        place: &Place,
        env: &mut dyn Environment,
    ) -> Result<(), String> {
        let [directive, words @ ..] = words else {
            return Ok(());
        };
        let result = self.take(directive, words, place, env);
        if !self.names.claims.is_empty() {
            self.first_claim.get_or_insert_with(|| place.clone());
        }
        result
    }

    fn take(
        &mut self,
        directive: &[u8],
        words: &[&[u8]],
        place: &Place,
        env: &mut dyn Environment,
    ) -> Result<(), String> {
        match directive {
            b"release" => self.release(words, place),
            b"route" => {
                self.routes.push((Route::parse(words, &mut self.names, env)?, place.clone()));
                Ok(())
            }
            b"user" => {
                let users =
                    UserSources::parse(words, &self.name, &self.visitor_cookie, &mut self.names, env)?;
                // How long a cookie keeps an id deals nobody anew.
                let sources: Vec<&[u8]> =
                    words.iter().filter(|word| !word.starts_with(b"keep=")).copied().collect();
                self.user_text = sources.join(&0);
                once("user", &mut self.users, users)
            }
            b"salt" => match words {
                [text] if !text.is_empty() => once("salt", &mut self.salt, Salt::new(text)),
                _ => Err(arity("salt", "salt text")),
            },
            b"hash" => {
                let mode = one_of("hash", words, "native | unleash | split_clients", HashMode::parse)?;
                once("hash", &mut self.hash, mode)
            }
            b"fallback" => self.rollout.fallback(words, place),
            b"rollback" => self.rollout.rollback(words, place),
            b"ramp" => self.rollout.ramp(words, place),
            b"identity" => {
                let (identity, file) = Identity::parse(words, &mut self.names, env)?;
                self.key_files.extend(file.map(|file| (file, KeyUser::Identity(self.identities.len()))));
                self.identities.push(identity);
                Ok(())
            }
            b"claim" => self.claim(words, env),
            b"cookie_key" => self.cookie_key(words, env),
            b"expose" => {
                let on = one_of("expose", words, "on | off", parse_flag)?;
                once("expose", &mut self.expose, on)
            }
            b"include" => Err(arity("include", "include file | mask")),
            _ => Err(format!(
                "unknown directive {} in \"lobechat_canary\" block: it takes release, route, user, salt, hash, fallback, rollback, ramp, identity, claim, cookie_key, expose and include",
                quote(directive)
            )),
        }
    }

    fn claim(&mut self, words: &[&[u8]], env: &mut dyn Environment) -> Result<(), String> {
        let [[b'$', name @ ..], path] = words else {
            return Err(arity("claim", "claim $variable path"));
        };
        if name.is_empty() || !name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_') {
            return Err(format!("invalid variable name {} in \"claim\" directive", quote(words[0])));
        }
        let path = path.strip_prefix(b"claim:").unwrap_or(path);
        let slot = self.names.claims.slot(path).map_err(|e| format!("{e} in \"claim\" directive"))?;
        let variable = env.claim_variable(name)?;
        if self.claim_variables.iter().any(|(known, _)| *known == variable) {
            return Err(format!("duplicate variable {} in \"claim\" directive", quote(words[0])));
        }
        self.claim_variables.push((variable, slot));
        Ok(())
    }

    fn cookie_key(&mut self, words: &[&[u8]], env: &mut dyn Environment) -> Result<(), String> {
        let [path] = words else {
            return Err(arity("cookie_key", "cookie_key file"));
        };
        let (file, text) = env.read_key(path)?;
        warn_if_open(&file, env);
        let keys = CookieKeys::parse(&text)
            .map_err(|e| format!("cannot use {} in \"cookie_key\" directive: {e}", quote(path)))?;
        self.key_files.push((file, KeyUser::Cookies));
        once("cookie_key", &mut self.cookie_keys, keys)
    }

    /// The last release that was read; the glue looks up its upstream.
    pub fn last_release(&self) -> Option<&Release> {
        self.releases.last()
    }

    fn release(&mut self, words: &[&[u8]], place: &Place) -> Result<(), String> {
        let release = Release::parse(words, self.releases.is_empty(), place)?;
        if let Some(other) = self.releases.iter().find(|other| other.name == release.name) {
            return Err(format!(
                "duplicate release \"{}\": it stands already in {}",
                release.name,
                at(&other.place)
            ));
        }
        if self.releases.len() == MAX_RELEASES {
            return Err(format!(
                "release \"{}\" is one too many: a policy has {MAX_RELEASES} at most",
                release.name
            ));
        }
        let same =
            |other: &&Release| (&other.upstream, &other.version) == (&release.upstream, &release.version);
        if let Some(other) = self.releases.iter().find(same) {
            return Err(format!(
                "release \"{}\" has the upstream and version of release \"{}\" in {}: tell builds apart with \"version=\", e.g. \"version=0.0.0+1a2b3c\"",
                release.name,
                other.name,
                at(&other.place)
            ));
        }
        if release.name == "stable" && !self.releases.is_empty() {
            return Err(
                "release \"stable\" must stand first: the first release is the stable one, whatever its name"
                    .to_owned(),
            );
        }
        self.releases.push(release);
        Ok(())
    }
}
