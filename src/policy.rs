//! A policy: what one `lobechat_canary` block says, checked as a whole. Built by the glue's block parser, a
//! directive at a time, and by tests and fuzz targets.

use crate::config::{ConfigError, Environment, Place, arity, is_name, quote};
use crate::hash::{HashMode, Salt};
use crate::inputs::InputNames;
use crate::release::Release;
use crate::route::Route;
use crate::split::{Anchor, Share, Split, SplitError};
use crate::user::UserSources;
use crate::visitor;

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
    pub split: Split,
    pub expose: bool,
}

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
    expose: Option<bool>,
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
        let visitor_cookie = visitor::cookie_name(&name);
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
            expose: None,
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
        match *directive {
            b"release" => self.release(words, place),
            b"route" => {
                self.routes.push((Route::parse(words, &mut self.names, env)?, place.clone()));
                Ok(())
            }
            b"user" => {
                let users = UserSources::parse(words, &self.visitor_cookie, &mut self.names, env)?;
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
            b"expose" => {
                let on = one_of("expose", words, "on | off", parse_flag)?;
                once("expose", &mut self.expose, on)
            }
            b"include" => Err(arity("include", "include file | mask")),
            _ => Err(format!(
                "unknown directive {} in \"lobechat_canary\" block: it takes release, route, user, salt, hash, expose and include",
                quote(directive)
            )),
        }
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
        if release.name == "stable" && !self.releases.is_empty() {
            return Err(
                "release \"stable\" must stand first: the first release is the stable one, whatever its name"
                    .to_owned(),
            );
        }
        self.releases.push(release);
        Ok(())
    }

    /// Checks what only the whole block shows.
    pub fn finish(mut self) -> Result<Policy, ConfigError> {
        if self.releases.is_empty() {
            let message = format!(
                "no release in policy \"{}\": declare one with \"release stable upstream;\"",
                self.name
            );
            return Err(ConfigError::at(&self.place, message));
        }
        let split = self.split()?;
        let routes = std::mem::take(&mut self.routes)
            .into_iter()
            .map(|(route, place)| resolve(route, &place, &self.releases))
            .collect::<Result<_, _>>()?;
        let users = match self.users {
            Some(users) => users,
            None => UserSources::visitor_only(&self.visitor_cookie, &mut self.names),
        };
        Ok(Policy {
            users,
            salt: self.salt.unwrap_or_else(|| Salt::new(self.name.as_bytes())),
            expose: self.expose.unwrap_or_default(),
            name: self.name,
            visitor_cookie: self.visitor_cookie,
            releases: self.releases,
            routes,
            names: self.names,
            split,
        })
    }

    fn split(&self) -> Result<Split, ConfigError> {
        let share = |(release, r): (usize, &Release)| Share {
            release,
            anchor: r.from.or_else(|| Anchor::default_of(release)),
            weight: r.weight,
        };
        let shares: Vec<Share> = self.releases.iter().enumerate().skip(1).map(share).collect();
        Split::new(self.hash.unwrap_or_default(), &shares).map_err(|error| self.explain(&error))
    }

    fn explain(&self, error: &SplitError) -> ConfigError {
        let name = |release: usize| &self.releases[release].name;
        let (release, message) = match *error {
            SplitError::NoAnchor { release } => (
                release,
                format!(
                    "release \"{}\" has a weight but no place to grow from: the second and third release have one by themselves, give it \"from=P\"",
                    name(release)
                ),
            ),
            SplitError::TooMuch { release } => (
                release,
                format!(
                    "the weights of policy \"{}\" add up to more than 100%: lower \"weight=\" of release \"{}\" or another",
                    self.name,
                    name(release)
                ),
            ),
            SplitError::PastTop { release, from, weight } => (
                release,
                format!(
                    "release \"{}\" with weight={weight} from={from} ends above 100%: lower one of them, or write \"from=top\"",
                    name(release)
                ),
            ),
            SplitError::Overlap { release, other } => (
                release,
                format!(
                    "the users of release \"{}\" overlap those of release \"{}\": move one of them with \"from=\"",
                    name(release),
                    name(other)
                ),
            ),
            SplitError::NotWhole { release } => (
                release,
                format!(
                    "release \"{}\" needs whole percents in \"weight=\" and \"from=\": \"hash unleash\" knows no others",
                    name(release)
                ),
            ),
        };
        ConfigError::at(&self.releases[release].place, message)
    }
}

fn resolve(route: Route<Box<[u8]>>, place: &Place, releases: &[Release]) -> Result<Route, ConfigError> {
    match releases.iter().position(|release| *release.name.as_bytes() == *route.release) {
        Some(release) => Ok(route.resolve(release)),
        None => {
            let known: Vec<_> = releases.iter().map(|release| release.name.as_str()).collect();
            let message = format!(
                "unknown release {} in route {}: the policy has {}",
                quote(&route.release),
                quote(&route.text),
                known.join(", ")
            );
            Err(ConfigError::at(place, message))
        }
    }
}

fn parse_flag(text: &[u8]) -> Option<bool> {
    match text {
        b"on" => Some(true),
        b"off" => Some(false),
        _ => None,
    }
}

fn one_of<T>(
    directive: &str,
    words: &[&[u8]],
    choices: &str,
    parse: fn(&[u8]) -> Option<T>,
) -> Result<T, String> {
    let [word] = words else {
        return Err(arity(directive, &format!("{directive} {choices}")));
    };
    parse(word)
        .ok_or_else(|| format!("invalid value {} in \"{directive}\" directive: write {choices}", quote(word)))
}

fn once<T>(directive: &str, slot: &mut Option<T>, value: T) -> Result<(), String> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("\"{directive}\" directive is duplicate: a policy has one")),
    }
}

fn at(place: &Place) -> String {
    format!("{}:{}", place.file, place.line)
}
