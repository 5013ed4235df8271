//! A `route` line: the release for requests that meet its conditions.

use crate::condition::Condition;
use crate::config::{Environment, arity, quote};
use crate::duration;
use crate::inputs::{InputNames, Inputs, Request};

/// A parsed line. The release's name becomes an index once all releases are known.
#[derive(Debug)]
pub struct Route<Release = usize> {
    pub release: Release,
    /// The line as `$lobechat_canary_rule` shows it, without `remember=`.
    pub text: Box<[u8]>,
    /// The same with its words told apart, for signatures.
    pub words: Box<[u8]>,
    /// For how many seconds a browser that matched stays on the release.
    pub remember: Option<u64>,
    conditions: Vec<Condition>,
}

const FORM: &str = "route release if condition [and condition ...] [remember=time]";

impl Route<Box<[u8]>> {
    /// Parses the words after `route`.
    pub fn parse(words: &[&[u8]], names: &mut InputNames, env: &mut dyn Environment) -> Result<Self, String> {
        let [release, keyword, conditions @ ..] = words else {
            return Err(arity("route", FORM));
        };
        if *keyword != b"if" {
            return Err(format!("unexpected {} in \"route\" directive: write \"{FORM};\"", quote(keyword)));
        }
        let (conditions, remember) = match conditions {
            [conditions @ .., last] if last.starts_with(REMEMBER) => {
                (conditions, Some(&last[REMEMBER.len()..]))
            }
            _ => (conditions, None),
        };
        let text_words = conditions.len() + 2;
        let text = words[..text_words].join(&b' ');
        let in_route = |e| format!("{e} in route {}", quote(&text));
        let remember = remember.map(parse_remember).transpose().map_err(in_route)?;
        let conditions = Condition::parse_all(conditions, names, env).map_err(in_route)?;
        let words = words[..text_words].join(&0).into();
        Ok(Route { release: (*release).into(), text: text.into(), words, remember, conditions })
    }

    pub fn resolve(self, release: usize) -> Route {
        let Route { text, words, remember, conditions, .. } = self;
        Route { release, text, words, remember, conditions }
    }
}

const REMEMBER: &[u8] = b"remember=";

fn parse_remember(time: &[u8]) -> Result<u64, String> {
    match duration::parse(time)? {
        0 => Err("\"remember=\" needs a time above 0, or leave it out".to_owned()),
        seconds => Ok(seconds),
    }
}

impl Route {
    /// The release's name, with which the text begins.
    pub fn release_name(&self) -> &[u8] {
        self.words.split(|&b| b == 0).next().unwrap_or_default()
    }

    /// Whether all conditions hold. `None` when memory is short.
    #[inline(always)]
    pub fn matches<'r>(&self, inputs: Inputs<'_, 'r>, request: &'r impl Request) -> Option<bool> {
        for condition in &self.conditions {
            if !condition.holds(inputs, request)? {
                return Some(false);
            }
        }
        Some(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::TestEnvironment;

    fn parse(line: &str) -> Result<Route, String> {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        Route::parse(&words, &mut InputNames::default(), &mut TestEnvironment).map(|route| route.resolve(1))
    }

    #[test]
    fn remember_is_no_part_of_the_text() {
        let route = parse("canary if cookie:a = b remember=7d").unwrap();
        assert_eq!((&*route.text, route.remember), (&b"canary if cookie:a = b"[..], Some(604_800)));
        assert_eq!(route.release_name(), b"canary");
        assert_eq!(parse("canary if cookie:a").unwrap().remember, None);
    }

    #[test]
    fn refusals_say_what_to_write() {
        for (line, hint) in [
            ("canary", "route release if condition"),
            ("canary when cookie:a", "unexpected \"when\""),
            ("canary if cookie:a remember=", "invalid time \"\""),
            ("canary if cookie:a remember=7", ""),
            ("canary if cookie:a remember=0s", "above 0"),
            ("canary if cookie:a remember=soon", "invalid time \"soon\""),
            ("canary if remember=7d", "a condition must follow \"if\""),
            ("canary if cookie:a remember=7d and cookie:b", "unexpected \"remember=7d\""),
        ] {
            match parse(line) {
                Ok(_) => assert!(hint.is_empty(), "{line}"),
                Err(error) => assert!(error.contains(hint) && !hint.is_empty(), "{line}: {error}"),
            }
        }
    }
}
