//! `fallback`: which release is asked next when one has failed. Used by the builder, and by the glue for each request that
//! it passes on.

mod tries;

pub use self::tries::Tries;

use crate::config::{ConfigError, Place, arity, quote};
use crate::decision::STABLE;
use crate::release::{Release, index_of};

/// The releases that answer in place of the decided one, in the order in which they are asked.
#[derive(Debug)]
pub struct Fallback {
    releases: Box<[usize]>,
    /// By the decided release, which is asked first, those that are asked after it, and for files of builds, whatever the
    /// line says: these, then all others.
    after: Box<[[Box<[usize]>; 2]]>,
}

/// Names as the line has them: releases may be declared after it.
#[derive(Debug)]
pub struct Names(Vec<Box<[u8]>>);

const FORM: &str = "fallback release [release ...] | off";

impl Names {
    /// Parses the words after `fallback`.
    pub fn parse(words: &[&[u8]]) -> Result<Names, String> {
        match words {
            [] => return Err(arity("fallback", FORM)),
            [b"off"] => return Ok(Names(Vec::new())),
            _ => {}
        }
        for (index, name) in words.iter().enumerate() {
            if *name == b"off" {
                return Err(format!(
                    "unexpected \"off\" in \"fallback\" directive: it stands alone, write \"{FORM};\""
                ));
            }
            if words[..index].contains(name) {
                return Err(format!(
                    "duplicate release {} in \"fallback\" directive: each is asked once, so name it once",
                    quote(name)
                ));
            }
        }
        Ok(Names(words.iter().map(|&name| name.into()).collect()))
    }
}

impl Fallback {
    /// What the line says, or the stable release where there is none.
    pub fn resolve(line: Option<(Names, Place)>, releases: &[Release]) -> Result<Fallback, ConfigError> {
        let Some((Names(names), place)) = line else {
            return Ok(Fallback::new([STABLE].into(), releases.len()));
        };
        let index = |name: &[u8]| {
            index_of(releases, name, "in \"fallback\" directive")
                .map_err(|message| ConfigError::at(&place, message + ", or write \"off\""))
        };
        let named = names.iter().map(|name| index(name)).collect::<Result<_, _>>()?;
        Ok(Fallback::new(named, releases.len()))
    }

    fn new(releases: Box<[usize]>, count: usize) -> Fallback {
        let others = (0..count).filter(|release| !releases.contains(release));
        let all: Vec<usize> = releases.iter().copied().chain(others).collect();
        let without =
            |list: &[usize], decided| list.iter().copied().filter(|&release| release != decided).collect();
        let after = (0..count).map(|decided| [without(&releases, decided), without(&all, decided)]).collect();
        Fallback { releases, after }
    }

    /// In the order in which they are asked.
    pub fn releases(&self) -> &[usize] {
        &self.releases
    }

    /// The next release to ask from `place` in the list after the decided one on, and the place behind it. None that may not
    /// serve.
    ///
    /// A file of a build may be asked of every release: its name has a hash, so whoever has it has the right one.
    #[inline]
    pub fn next(
        &self,
        is_asset: bool,
        place: usize,
        decided: usize,
        may_serve: impl Fn(usize) -> bool,
    ) -> Option<(usize, usize)> {
        let after = &self.after.get(decided)?[usize::from(is_asset)];
        for (index, &release) in after.get(place..)?.iter().enumerate() {
            if may_serve(release) {
                return Some((release, place + index + 1));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn releases(names: &str) -> Vec<Release> {
        let release = |(index, name): (usize, &str)| {
            let words: [&[u8]; 2] = [name.as_bytes(), b"upstream"];
            Release::parse(&words, index == 0, &Place::default()).unwrap()
        };
        names.split(' ').enumerate().map(release).collect()
    }

    fn line(text: &str) -> Result<Fallback, String> {
        let words: Vec<&[u8]> = text.split_ascii_whitespace().map(str::as_bytes).collect();
        let place = Place { file: "nginx.conf".to_owned(), line: 7 };
        let resolved =
            Fallback::resolve(Some((Names::parse(&words)?, place.clone())), &releases("stable b c"));
        resolved.map_err(|error| {
            assert_eq!(error.place, Some(place));
            error.message
        })
    }

    /// The releases that are asked after `decided`.
    fn chain(fallback: &Fallback, decided: usize, down: &[usize]) -> Vec<usize> {
        let (mut place, mut chain) = (0, Vec::new());
        let may_serve = |release| !down.contains(&release);
        while let Some((release, behind)) = fallback.next(false, place, decided, may_serve) {
            assert!(behind > place);
            (place, chain) = (behind, [chain, vec![release]].concat());
        }
        chain
    }

    #[test]
    fn the_stable_release_is_the_default() {
        let fallback = Fallback::resolve(None, &releases("stable b")).unwrap();
        assert_eq!(chain(&fallback, 1, &[]), [0]);
        assert_eq!(chain(&fallback, 0, &[]), [0; 0]);
        assert_eq!(chain(&fallback, 1, &[0]), [0; 0]);
    }

    #[test]
    fn the_order_of_the_line_less_the_decided_one_and_those_that_are_down() {
        let fallback = line("c stable b").unwrap();
        assert_eq!(chain(&fallback, 0, &[]), [2, 1]);
        assert_eq!(chain(&fallback, 1, &[]), [2, 0]);
        assert_eq!(chain(&fallback, 2, &[]), [0, 1]);
        assert_eq!(chain(&fallback, 1, &[2]), [0]);
        assert_eq!(chain(&fallback, 1, &[0]), [2]);
        assert_eq!(chain(&line("off").unwrap(), 1, &[]), [0; 0]);
    }

    #[test]
    fn files_are_asked_of_all() {
        for (text, decided, expected) in
            [("c", 0, vec![2, 1]), ("c", 2, vec![0, 1]), ("off", 1, vec![0, 2]), ("off", 0, vec![1, 2])]
        {
            let (fallback, mut place, mut chain) = (line(text).unwrap(), 0, Vec::new());
            while let Some((release, behind)) = fallback.next(true, place, decided, |_| true) {
                (place, chain) = (behind, [chain, vec![release]].concat());
            }
            assert_eq!(chain, expected, "{text} {decided}");
        }
    }

    #[test]
    fn refusals_say_what_to_write() {
        for (text, hint) in [
            ("", "fallback release [release ...] | off"),
            ("off b", "it stands alone"),
            ("b off", "it stands alone"),
            ("b c b", "duplicate release \"b\""),
            ("b d", "unknown release \"d\" in \"fallback\" directive: the policy has stable, b, c"),
        ] {
            let error = line(text).unwrap_err();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }
}
