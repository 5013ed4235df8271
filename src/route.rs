//! A `route` line: the release for requests that meet its conditions.

use crate::condition::Condition;
use crate::config::{Environment, arity, quote};
use crate::inputs::{InputNames, Inputs, Request};

/// A parsed line. The release's name becomes an index once all releases are known.
#[derive(Debug)]
pub struct Route<Release = usize> {
    pub release: Release,
    /// The line as `$lobechat_canary_rule` shows it.
    pub text: Box<[u8]>,
    conditions: Vec<Condition>,
}

const FORM: &str = "route release if condition [and condition ...]";

impl Route<Box<[u8]>> {
    /// Parses the words after `route`.
    pub fn parse(words: &[&[u8]], names: &mut InputNames, env: &mut dyn Environment) -> Result<Self, String> {
        let [release, keyword, conditions @ ..] = words else {
            return Err(arity("route", FORM));
        };
        if *keyword != b"if" {
            return Err(format!("unexpected {} in \"route\" directive: write \"{FORM};\"", quote(keyword)));
        }
        let conditions = Condition::parse_all(conditions, names, env)
            .map_err(|e| format!("{e} in route {}", quote(&words.join(&b' '))))?;
        Ok(Route { release: (*release).into(), text: words.join(&b' ').into(), conditions })
    }

    pub fn resolve(self, release: usize) -> Route {
        Route { release, text: self.text, conditions: self.conditions }
    }
}

impl Route {
    /// Whether all conditions hold. `None` when memory is short.
    #[inline]
    pub fn matches<'r>(&self, inputs: Inputs<'_, 'r>, request: &'r impl Request) -> Option<bool> {
        for condition in &self.conditions {
            if !condition.holds(inputs, request)? {
                return Some(false);
            }
        }
        Some(true)
    }
}
