//! A policy's runtime as its API shows it, for tests of verdicts, storms and upgrades.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::api;
use crate::client::{Connection, Request};
use crate::wait_for;

/// The API below `/canary/` at this port, for the policy `chat`.
#[derive(Clone, Copy)]
pub struct Api(pub u16);

/// A verdict, and how long it took.
#[derive(Debug)]
pub struct Seen {
    pub event: Value,
    pub after: Duration,
}

impl Api {
    fn send(self, request: Request) -> Result<Value, String> {
        let fetched = Connection::open(self.0)
            .and_then(|mut connection| connection.try_fetch(&request.header("Connection", "close")));
        let response = fetched.map_err(|error| error.to_string())?;
        match response.status {
            200 => serde_json::from_slice(&response.body).map_err(|error| error.to_string()),
            status => Err(format!("{status}: {}", response.text())),
        }
    }

    pub fn try_get(self, path: &str) -> Result<Value, String> {
        self.send(api::request("GET", &format!("v1/{path}"), ""))
    }

    pub fn policy(self) -> Value {
        self.try_get("policies/chat").unwrap()
    }

    /// A release of the policy by its name.
    pub fn release(self, name: &str) -> Value {
        api::release(&self.policy(), name).clone()
    }

    /// All attempts at a release, and those of them that ended in one of these ways.
    pub fn attempts(self, name: &str, outcomes: &[&str]) -> (u64, u64) {
        let attempts = self.release(name)["attempts"].as_object().unwrap().clone();
        let number = |value: &Value| value.as_u64().unwrap();
        let failed = outcomes.iter().map(|outcome| number(&attempts[*outcome])).sum();
        (attempts.values().map(number).sum(), failed)
    }

    pub fn post(self, path: &str) -> Result<Value, String> {
        self.send(api::request("POST", &format!("v1/policies/chat/{path}"), ""))
    }

    pub fn set_weight(self, release: &str, weight: &str) -> Result<Value, String> {
        self.send(api::request("PATCH", "v1/policies/chat", &api::weights(release, weight)))
    }

    pub fn last_event(self) -> u64 {
        self.try_get("events").unwrap()["last"].as_u64().unwrap()
    }

    /// Verdicts after an event.
    pub fn verdicts(self, after: u64) -> Vec<Value> {
        let events = self.try_get(&format!("events?after={after}")).unwrap();
        let verdicts = events["events"].as_array().unwrap().iter();
        verdicts.filter(|event| event["kind"] == "verdict").cloned().collect()
    }

    pub fn wait_verdict(self, after: u64, since: Instant) -> Seen {
        let event = wait_for("a verdict", || self.verdicts(after).into_iter().next());
        Seen { event, after: since.elapsed() }
    }
}

impl Seen {
    pub fn number(&self, name: &str) -> f64 {
        self.event["numbers"][name].as_f64().unwrap_or_default()
    }

    pub fn by(&self) -> &str {
        self.event["by"].as_str().unwrap_or_default()
    }
}
