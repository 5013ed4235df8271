//! The directives that say what happens to releases as time goes on: `fallback`, `rollback` and `ramp`. Used by the builder.

use super::shares::check_ramp;
use super::words::once;
use crate::config::{ConfigError, Place, quote};
use crate::fallback::{Fallback, Names};
use crate::hash::HashMode;
use crate::percent::Percent;
use crate::ramp::Ramp;
use crate::release::{Release, index_of};
use crate::rollback::Rollback;

/// The lines, before all releases are known.
#[derive(Debug, Default)]
pub struct Lines {
    fallback: Option<(Names, Place)>,
    rollback: Option<(Option<Rollback>, Place)>,
    ramps: Vec<(Box<[u8]>, Ramp, Place)>,
}

/// What they come to.
#[derive(Debug)]
pub struct Rollout {
    pub fallback: Fallback,
    pub rollback: Option<Rollback>,
    pub ramps: Vec<Ramp>,
    /// The first line that needs a state file to keep its word.
    pub needs_state: Option<Place>,
}

impl Lines {
    pub fn fallback(&mut self, words: &[&[u8]], place: &Place) -> Result<(), String> {
        once("fallback", &mut self.fallback, (Names::parse(words)?, place.clone()))
    }

    pub fn rollback(&mut self, words: &[&[u8]], place: &Place) -> Result<(), String> {
        once("rollback", &mut self.rollback, (Rollback::parse(words)?, place.clone()))
    }

    pub fn ramp(&mut self, words: &[&[u8]], place: &Place) -> Result<(), String> {
        let (name, ramp) = Ramp::parse(words)?;
        if self.ramps.iter().any(|(known, ..)| **known == *name) {
            return Err(format!("duplicate ramp of release {}: a release has one", quote(name)));
        }
        self.ramps.push((name.into(), ramp, place.clone()));
        Ok(())
    }

    pub fn finish(self, mode: HashMode, releases: &[Release]) -> Result<Rollout, ConfigError> {
        let fallback = Fallback::resolve(self.fallback, releases)?;
        let (rollback, rollback_place) = match self.rollback {
            Some((Some(rollback), place)) => (Some(rollback), Some(place)),
            _ => (None, None),
        };
        let needs_state = rollback_place.or_else(|| self.ramps.first().map(|(.., place)| place.clone()));
        if needs_state.is_some()
            && let Some(release) = releases.iter().find(|release| release.version.is_none())
        {
            let message = format!(
                "release \"{0}\" has no version, which \"rollback\" and \"ramp\" need to tell builds apart: add e.g. \"version=2.1.26\", or a build id as \"version=0.0.0+1a2b3c\"",
                release.name
            );
            return Err(ConfigError::at(&release.place, message));
        }
        let mut ramps = Vec::new();
        let mut grown = releases.to_vec();
        for (name, ramp, place) in self.ramps {
            let ramp = resolve(&name, ramp, &place, releases)?;
            grown[ramp.release].weight = ramp.end();
            check_ramp(mode, &ramp, &grown).map_err(|message| ConfigError::at(&place, message))?;
            ramps.push(ramp);
        }
        Ok(Rollout { fallback, rollback, ramps, needs_state })
    }
}

fn resolve(name: &[u8], ramp: Ramp, place: &Place, releases: &[Release]) -> Result<Ramp, ConfigError> {
    let line = index_of(releases, name, "in \"ramp\" directive").map_err(|e| ConfigError::at(place, e))?;
    let release = &releases[line];
    let name = &release.name;
    let wrong = match () {
        () if line == 0 => {
            format!("release \"{name}\" is the stable one, which gets what the others leave: ramp another")
        }
        () if release.weight != Percent::ZERO => {
            format!("release \"{name}\" has a ramp and a weight: leave out \"weight={}\"", release.weight)
        }
        () if release.from.is_none() && line > 2 => {
            format!("release \"{name}\" has a ramp but no place to grow from: give it \"from=P\"")
        }
        () => return Ok(Ramp { release: line, ..ramp }),
    };
    Err(ConfigError::at(place, wrong))
}
