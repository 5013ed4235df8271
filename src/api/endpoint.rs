//! What the paths of the API mean, and which methods each takes.

use super::page::{self, Page};
use super::problem::Problem;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint<'a> {
    Page(&'static Page),
    Metrics,
    Policies,
    Policy(&'a str),
    Explain(&'a str),
    Events,
    Change(&'a str, Action<'a>),
}

/// What changes a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action<'a> {
    Weights,
    Rollback(&'a str),
    Promote(&'a str),
    Reset(&'a str),
    State(&'a str),
    RampStart,
    RampPause,
}

const READ: &str = "GET, HEAD";

impl<'a> Endpoint<'a> {
    /// What `method` at `path` asks for. Names of policies and releases need no escapes, so none are known.
    pub fn find(method: &str, path: &'a str) -> Result<Endpoint<'a>, Problem> {
        let segments: Vec<&str> = path.strip_suffix('/').unwrap_or(path).split('/').collect();
        let is_read = matches!(method, "GET" | "HEAD");
        if let ["v1", "policies", policy, rest @ ..] = &segments[..]
            && let Some((wanted, action)) = action(rest)
        {
            return match method == wanted {
                true => Ok(Endpoint::Change(policy, action)),
                false => Err(Problem::wrong_method(method, wanted)),
            };
        }
        match segments[..] {
            ["v1", "policies", policy] if !policy.is_empty() => match method {
                "PATCH" => Ok(Endpoint::Change(policy, Action::Weights)),
                _ if is_read => Ok(Endpoint::Policy(policy)),
                _ => Err(Problem::wrong_method(method, "GET, HEAD, PATCH")),
            },
            _ => match readable(&segments).ok_or_else(|| unknown(path))? {
                endpoint if is_read => Ok(endpoint),
                _ => Err(Problem::wrong_method(method, READ)),
            },
        }
    }
}

/// What can only be read.
fn readable<'a>(segments: &[&'a str]) -> Option<Endpoint<'a>> {
    match *segments {
        [name] if page::find(name).is_some() => page::find(name).map(Endpoint::Page),
        ["metrics"] => Some(Endpoint::Metrics),
        ["v1", "policies"] => Some(Endpoint::Policies),
        ["v1", "events"] => Some(Endpoint::Events),
        ["v1", "policies", policy, "explain"] => Some(Endpoint::Explain(policy)),
        _ => None,
    }
}

/// What stands below a policy, and the method that carries it out.
fn action<'a>(segments: &[&'a str]) -> Option<(&'static str, Action<'a>)> {
    match *segments {
        ["releases", release, "rollback"] => Some(("POST", Action::Rollback(release))),
        ["releases", release, "promote"] => Some(("POST", Action::Promote(release))),
        ["releases", release, "reset"] => Some(("POST", Action::Reset(release))),
        ["releases", release, "state"] => Some(("PUT", Action::State(release))),
        ["ramp", "start"] => Some(("POST", Action::RampStart)),
        ["ramp", "pause"] => Some(("POST", Action::RampPause)),
        _ => None,
    }
}

fn unknown(path: &str) -> Problem {
    Problem::not_found(format!(
        "there is no \"{path}\" here: there are metrics, v1/policies, v1/policies/NAME, v1/policies/NAME/explain, \
         v1/policies/NAME/releases/NAME/rollback, promote, reset and state, v1/policies/NAME/ramp/start and pause, and \
         v1/events"
    ))
}
