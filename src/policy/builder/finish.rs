//! Makes a policy of what a block has said, and checks what only the whole block shows. Part of the builder.

use std::cell::RefCell;

use super::super::rollout::Rollout;
use super::super::shares::split;
use super::PolicyBuilder;
use crate::config::{ConfigError, Environment, Place, quote};
use crate::cookie_keys::CookieKeys;
use crate::hash::{HashMode, Salt};
use crate::in_force::InForce;
use crate::policy::Policy;
use crate::release::{Release, index_of};
use crate::remember::Remember;
use crate::route::Route;
use crate::user::UserSources;

impl PolicyBuilder {
    /// Checks what only the whole block shows.
    pub fn finish(mut self, env: &mut dyn Environment) -> Result<Policy, ConfigError> {
        if self.releases.is_empty() {
            let message = format!(
                "no release in policy \"{}\": declare one with \"release stable upstream;\"",
                self.name
            );
            return Err(ConfigError::at(&self.place, message));
        }
        let split = split(&self.name, self.hash.unwrap_or_default(), &self.releases)?;
        let declared = InForce::new(split, self.releases.iter().map(|release| release.state));
        let routes: Vec<Route> = std::mem::take(&mut self.routes)
            .into_iter()
            .map(|(route, place)| resolve(route, &place, &self.releases))
            .collect::<Result<_, _>>()?;
        let Rollout { fallback, rollback, ramps, needs_state } =
            std::mem::take(&mut self.rollout).finish(declared.split.mode(), &self.releases)?;
        self.check_claims(env)?;
        let users = match self.users.take() {
            Some(users) => users,
            None => {
                let identity = !self.identities.is_empty();
                UserSources::default_for(identity, &self.visitor_cookie, &mut self.names)?
            }
        };
        let remember = routes.iter().any(|route| route.remember.is_some());
        let remember = remember.then(|| Remember::new(&self.name, &mut self.names));
        let (cookie_keys, random_key) = match self.cookie_keys.take() {
            Some(keys) => (keys, None),
            None if remember.is_none() && users.keep().is_none() => (CookieKeys::default(), None),
            None => self.random_keys(env)?,
        };
        let salt = self.salt.unwrap_or_else(|| Salt::new(self.name.as_bytes()));
        let mode = declared.split.mode();
        // Where nothing is said, an identity gives the first source; what stands here is no word of the configuration.
        let users_by: &[u8] = match &self.user_text[..] {
            [] if !self.identities.is_empty() => b"\0claims",
            said => said,
        };
        // `split_clients` knows no salt.
        let dealt_by = if mode == HashMode::SplitClients { &Salt::new(b"") } else { &salt };
        let dealt = dealt_by.pseudonym(&[&[mode as u8], users_by].concat());
        Ok(Policy {
            users,
            salt,
            expose: self.expose.unwrap_or_default(),
            name: self.name,
            visitor_cookie: self.visitor_cookie,
            releases: self.releases,
            routes,
            names: self.names,
            declared,
            fallback,
            rollback,
            ramps,
            needs_state,
            dealt,
            identities: self.identities,
            claim_variables: self.claim_variables,
            remember,
            random_key,
            cookie_keys: RefCell::new(cookie_keys),
            key_files: self.key_files,
        })
    }

    fn check_claims(&self, env: &mut dyn Environment) -> Result<(), ConfigError> {
        match &self.first_claim {
            Some(place) if self.identities.is_empty() => {
                let message = format!(
                    "a claim is read here, but policy \"{}\" has no identity that it could come from: add one with \"identity jwt keys=file;\", \"identity better_auth secret=file;\" or \"identity authjs secret=file;\"",
                    self.name
                );
                Err(ConfigError::at(place, message))
            }
            None if !self.identities.is_empty() && self.users.is_some() => {
                env.warn(&format!("policy \"{}\" has an identity, but reads no claim of it", self.name));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn random_keys(&self, env: &mut dyn Environment) -> Result<(CookieKeys, Option<[u8; 32]>), ConfigError> {
        env.warn(&format!(
            "policy \"{}\" has \"remember=\" or \"keep=\", but no \"cookie_key\": no other nginx can read its cookies, and without a state file they end when nginx restarts",
            self.name
        ));
        let key = env.random_key()?;
        Ok((CookieKeys::random(&key)?, Some(key)))
    }
}

fn resolve(route: Route<Box<[u8]>>, place: &Place, releases: &[Release]) -> Result<Route, ConfigError> {
    let named = index_of(releases, &route.release, &format!("in route {}", quote(&route.text)));
    named.map(|release| route.resolve(release)).map_err(|message| ConfigError::at(place, message))
}
