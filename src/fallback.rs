//! `fallback`: which release is asked next when one has failed, and how many servers nginx may still ask. Used by the
//! builder, and by the glue for each request that it passes on.

use crate::config::{ConfigError, Place, arity, quote};
use crate::decision::STABLE;
use crate::release::{Release, index_of};

/// The releases that answer in place of the decided one, in the order in which they are asked.
#[derive(Debug)]
pub struct Fallback {
    releases: Box<[usize]>,
    /// For files of builds, whatever the line says: these, then all others.
    all: Box<[usize]>,
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
        let all = releases.iter().copied().chain(others).collect();
        Fallback { releases, all }
    }

    /// In the order in which they are asked.
    pub fn releases(&self) -> &[usize] {
        &self.releases
    }

    /// The next release to ask from `place` in the list on, and the place behind it. Never the decided one, which has
    /// been asked first, and none that may not serve.
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
        let list = if is_asset { &self.all } else { &self.releases };
        let rest = list.get(place..)?;
        let found = rest.iter().position(|&release| release != decided && may_serve(release))?;
        Some((rest[found], place + found + 1))
    }
}

/// The servers that may still be asked. nginx counts them in one number, which the balancer of the release in turn
/// counts down, too: this keeps the two apart.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tries {
    /// The number of the release's own balancer.
    release: usize,
    /// What `proxy_next_upstream_tries` leaves.
    limit: usize,
    /// The number that nginx was shown last.
    shown: usize,
}

impl Tries {
    /// With a limit of 0 there is none.
    pub fn new(limit: usize) -> Tries {
        Tries { release: 0, limit: if limit == 0 { usize::MAX } else { limit }, shown: 0 }
    }

    /// A release takes its turn, with as many tries as its balancer gives. Without any it is asked all the same, and says
    /// that it has no live server.
    #[inline]
    pub fn enter(&mut self, release: usize) {
        self.release = release.max(1);
    }

    /// Before a server is asked for. nginx has counted up from what it was shown when a kept connection turned out to
    /// be closed: that try cost nothing, and the same release has it again.
    #[inline]
    pub fn begin(&mut self, visible: usize) {
        if visible > self.shown {
            self.release = self.release.saturating_add(1);
            self.limit = self.limit.saturating_add(1);
        }
    }

    /// The number for the release's balancer. 0: another release must take its turn.
    #[inline]
    pub fn of_release(&self) -> usize {
        self.release
    }

    /// A server has been asked, and the balancer left this number.
    #[inline]
    pub fn end(&mut self, release: usize) {
        self.release = release;
        self.limit = self.limit.saturating_sub(1);
    }

    /// The number to show to nginx, which goes on above 0, or above 1 when it looks before the server is given back.
    #[inline]
    pub fn show(&mut self, another_release: bool) -> usize {
        let tries = self.release.saturating_add(usize::from(another_release));
        self.shown = tries.min(self.limit);
        self.shown
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

    /// nginx's side of the count: asks servers of releases with these many, the first `stale` attempts on kept connections
    /// that turn out to be closed, all others fail. Returns how often each release was asked.
    fn ask_all(servers: &[usize], limit: usize, mut stale: usize) -> Vec<usize> {
        let (mut tries, mut release, mut asked) = (Tries::new(limit), 0, vec![0; servers.len()]);
        tries.enter(servers[0]);
        let mut visible = tries.show(servers.len() > 1);
        visible = if limit > 0 { visible.min(limit) } else { visible };
        for _ in 0..1000 {
            tries.begin(visible);
            if tries.of_release() == 0 {
                release += 1;
                tries.enter(servers[release]);
            }
            let another = release + 1 < servers.len();
            assert!(tries.show(another) > 0);
            asked[release] += 1;
            tries.end(tries.of_release() - 1);
            visible = tries.show(another);
            if stale > 0 {
                (stale, visible) = (stale - 1, visible + 1);
            }
            if visible == 0 {
                return asked;
            }
        }
        panic!("nginx never stops");
    }

    #[test]
    fn each_release_has_its_own_tries() {
        assert_eq!(ask_all(&[1], 0, 0), [1]);
        assert_eq!(ask_all(&[3], 0, 0), [3]);
        assert_eq!(ask_all(&[1, 1], 0, 0), [1, 1]);
        assert_eq!(ask_all(&[2, 3, 1], 0, 0), [2, 3, 1]);
    }

    #[test]
    fn the_limit_is_one_for_all_releases() {
        assert_eq!(ask_all(&[2, 3, 1], 1, 0), [1, 0, 0]);
        assert_eq!(ask_all(&[2, 3, 1], 2, 0), [2, 0, 0]);
        assert_eq!(ask_all(&[2, 3, 1], 4, 0), [2, 2, 0]);
        assert_eq!(ask_all(&[2, 3, 1], 100, 0), [2, 3, 1]);
    }

    #[test]
    fn a_stale_connection_costs_no_try() {
        assert_eq!(ask_all(&[1], 0, 1), [2]);
        assert_eq!(ask_all(&[1, 1], 0, 3), [4, 1]);
        assert_eq!(ask_all(&[1, 1], 1, 1), [2, 0]);
        assert_eq!(ask_all(&[2, 1], 2, 2), [4, 0]);
    }

    #[test]
    fn a_release_is_asked_once_at_least() {
        let mut tries = Tries::new(0);
        tries.enter(0);
        assert_eq!((tries.of_release(), tries.show(true)), (1, 2));
    }

    /// Whatever the numbers: never more attempts than servers, than the limit, and never fewer than the two allow.
    #[test]
    fn all_small_counts() {
        let counts = [1usize, 2, 3];
        for (a, b, c) in
            counts.iter().flat_map(|a| counts.map(|b| (*a, b))).flat_map(|(a, b)| counts.map(|c| (a, b, c)))
        {
            for limit in 0..=10 {
                for stale in 0..=4 {
                    let asked: usize = ask_all(&[a, b, c], limit, stale).iter().sum();
                    let allowed = if limit == 0 { a + b + c } else { limit.min(a + b + c) };
                    assert_eq!(asked, allowed + stale, "{a} {b} {c} limit {limit} stale {stale}");
                }
            }
        }
    }
}
