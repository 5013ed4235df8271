//! The module's API under `/canary/` as a script uses it, and its metrics by series.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::client::{Request, Response};
use crate::nginx::Nginx;
use crate::wait_for;

/// Where tests put the API.
pub const PATH: &str = "/canary/";

/// `location /canary/` with the API.
pub fn location(access: &str) -> String {
    format!("location {PATH} {{ lobechat_canary_api {access}; }}")
}

/// A request to a path of the API; a body, if there is one, has the right type.
pub fn request(method: &str, path: &str, body: &str) -> Request {
    let request = Request::new(method, &format!("{PATH}{path}"));
    match body {
        "" => request,
        body => request.header("Content-Type", "application/json").body(body),
    }
}

/// `{"weights":{RELEASE:WEIGHT}}`
pub fn weights(release: &str, weight: &str) -> String {
    format!(r#"{{"weights":{{"{release}":"{weight}"}}}}"#)
}

/// The JSON of an answer.
pub fn json(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap_or_else(|error| panic!("{error}: {}", response.text()))
}

/// The release of a policy's JSON with this name.
pub fn release<'p>(policy: &'p Value, name: &str) -> &'p Value {
    let releases = policy["releases"].as_array().unwrap_or_else(|| panic!("a policy: {policy}"));
    releases.iter().find(|release| release["name"] == name).unwrap_or_else(|| panic!("{name}: {policy}"))
}

/// Series, as they are written, to their values.
pub type Metrics = BTreeMap<String, f64>;

/// The value of a series such as `requests_total{policy="p",…}`.
pub fn value(metrics: &Metrics, series: &str) -> f64 {
    let name = format!("lobechat_canary_{series}");
    *metrics.get(&name).unwrap_or_else(|| panic!("no series {name} in {metrics:#?}"))
}

/// The series of a family that are not zero, without the family's name, with whole values.
pub fn counted(metrics: &Metrics, family: &str) -> Vec<(String, u64)> {
    let prefix = format!("lobechat_canary_{family}{{");
    let nonzero = metrics.iter().filter(|(name, value)| name.starts_with(&prefix) && **value != 0.0);
    nonzero
        .map(|(name, value)| (name[prefix.len()..].trim_end_matches('}').to_owned(), *value as u64))
        .collect()
}

impl Nginx {
    /// One request to the API.
    pub fn api(&self, method: &str, path: &str, body: &str) -> Response {
        self.fetch(request(method, path, body))
    }

    /// The same, which must go well, as JSON.
    pub fn api_ok(&self, method: &str, path: &str, body: &str) -> Value {
        let response = self.api(method, path, body);
        assert_eq!(response.status, 200, "{method} {path} {body}: {}", response.text());
        json(&response)
    }

    /// The same, which must be refused with this status; the sentence that says why.
    pub fn api_refused(&self, method: &str, path: &str, body: &str, status: u16) -> String {
        refusal(&self.api(method, path, body), status)
    }

    pub fn policy(&self, name: &str) -> Value {
        self.api_ok("GET", &format!("v1/policies/{name}"), "")
    }

    pub fn metrics(&self) -> Metrics {
        let text = self.text(&format!("{PATH}metrics"));
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let parse = |line: &str| {
            let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("a sample: {line}"));
            (name.to_owned(), value.parse().unwrap_or_else(|_| panic!("a number: {line}")))
        };
        samples.map(parse).collect()
    }

    /// Waits until a family has exactly these series that are not zero; nginx counts after the answer has gone.
    pub fn wait_counted(&self, family: &str, expected: &[(&str, u64)]) {
        let mut expected: Vec<_> =
            expected.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        expected.sort();
        let sum = |counts: &[(String, u64)]| counts.iter().map(|(_, count)| count).sum::<u64>();
        // What is too much cannot become right by waiting.
        let seen = wait_for(&format!("{family} of {expected:?}"), || {
            let seen = counted(&self.metrics(), family);
            (sum(&seen) >= sum(&expected)).then_some(seen)
        });
        assert_eq!(seen, expected, "{family}");
    }
}

/// The sentence of a refusal, which must have this status, say so in its body, and be no page of nginx.
pub fn refusal(response: &Response, status: u16) -> String {
    assert_eq!(response.status, status, "{}", response.text());
    assert_eq!(response.header("Content-Type"), Some("application/problem+json"), "{}", response.text());
    let body = json(response);
    assert_eq!((&body["status"], &body["type"]), (&status.into(), &"about:blank".into()), "{body}");
    let detail = body["detail"].as_str().unwrap_or_default().to_owned();
    assert!(detail.split(' ').count() > 3, "a sentence: {body}");
    detail
}
