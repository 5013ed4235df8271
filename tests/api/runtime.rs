//! A stand-in for what the glue keeps in shared memory, and calls to the API over it.

use lobechat_canary::api::command::NotChanged;
use lobechat_canary::api::view::{Evidence, PolicyView};
use lobechat_canary::api::{Access, Answer, Call, Runtime, handle};
use lobechat_canary::control::{Change, Control, Refused};
use lobechat_canary::counts::{BINS, Counts, Ttfb};
use lobechat_canary::events::Event;
use lobechat_canary::explain::{ExplainQuery, Explanation, explain};
use lobechat_canary::failure::Failure;
use lobechat_canary::identity::Kind;
use lobechat_canary::policy::Policy;
use serde_json::Value;

use crate::checks::stand_ins::{PlainRequest, Server, policy_on};

/// 2026-11-24T13:00:00Z
pub const NOW: u64 = 1_795_525_200;

/// Two releases beside stable, an identity, routes: what a policy may have.
pub const CHAT: &str = "\
release stable lobe_a version=2.1.25
release canary lobe_b version=2.1.26 weight=10%
release next lobe_c weight=5%
salt chat-2.1.26
route stable if cookie:release_channel = stable
route canary if cookie:release_channel ~* canary
route canary if claim:role = tester remember=7d
identity jwt secret=secret
user header:x-id visitor";

pub fn policy(name: &str, text: &str) -> Policy {
    let key = |name: &str, text: &str| (name.to_owned(), text.as_bytes().to_vec());
    let mut server = Server { keys: vec![key("secret", &"0123456789abcdef".repeat(3))], ..Server::default() };
    policy_on(&mut server, name, text).unwrap()
}

/// Policies with what has become of them.
pub struct Memory {
    pub policies: Vec<Kept>,
    pub events: Vec<Event>,
    /// The request that asks.
    pub request: PlainRequest,
}

pub struct Kept {
    pub policy: Policy,
    pub control: Control,
    pub persisted: Option<bool>,
    pub counts: Vec<Counts>,
    pub evidence: Vec<Option<Evidence>>,
    pub judged: Vec<u64>,
    pub fallbacks: Vec<(usize, usize, u64)>,
}

impl Kept {
    pub fn new(policy: Policy) -> Kept {
        let control = Control::reload(&policy, None, NOW).control;
        let lines = policy.releases.len();
        let (counts, evidence) = (vec![Counts::default(); lines], vec![None; lines]);
        Kept {
            policy,
            control,
            persisted: Some(true),
            counts,
            evidence,
            judged: vec![0; lines],
            fallbacks: Vec::new(),
        }
    }
}

impl Memory {
    /// The policy [`CHAT`], with some traffic.
    pub fn chat() -> Memory {
        let mut kept = Kept::new(policy("chat", CHAT));
        let mut bins = vec![0; BINS];
        (bins[0], bins[1], bins[9], bins[52]) = (10, 5, 4, 1);
        kept.counts[1] = Counts {
            requests: [1, 2, 3, 4, 5, 6],
            responses: [0, 17, 1, 2, 1, 0],
            attempts: [18, 1, 1, 0, 1, 0, 0, 2, 1],
            skew: 3,
            ttfb: Ttfb { bins, sum: 61_234 },
            rollbacks: 2,
        };
        kept.evidence[1] =
            Some(Evidence { total: 1.25, fail: 1.5, p50: 1.0, p90: 1.0, threshold: 2000.0, blocks: 12 });
        kept.fallbacks = vec![(1, 0, 12)];
        Memory { policies: vec![kept], events: Vec::new(), request: PlainRequest::default().at(NOW) }
    }

    /// Sends a call with full access.
    pub fn call(&mut self, method: &str, path: &str, body: &str) -> Answer {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        handle(&Call { query, ..call(method, path, body.as_bytes()) }, self)
    }

    /// The JSON that a GET brings.
    pub fn get(&mut self, path: &str) -> Value {
        let answer = self.call("GET", path, "");
        assert_eq!((answer.status, answer.content_type), (200, "application/json"), "{path}");
        serde_json::from_slice(&answer.body).unwrap()
    }
}

/// A call with full access.
pub fn call<'a>(method: &'a str, path: &'a str, body: &'a [u8]) -> Call<'a> {
    Call {
        method,
        path,
        query: "",
        content_type: (!body.is_empty()).then_some("application/json"),
        origin: None,
        host: Some("nginx.example"),
        sec_fetch_site: None,
        body,
        by: "alice",
        local: true,
        forwarded: false,
        access: Access::Any,
    }
}

/// The sentence of a refusal, once its form has been checked.
pub fn refusal(answer: &Answer, status: u16) -> String {
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert_eq!((answer.status, answer.content_type), (status, "application/problem+json"), "{text}");
    let body: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&body["type"], &body["status"]),
        (&Value::from("about:blank"), &Value::from(status)),
        "{text}"
    );
    assert!(body["title"].is_string() && answer.wait_for.is_none(), "{text}");
    body["detail"].as_str().unwrap().to_owned()
}

impl Runtime for Memory {
    fn policies(&self) -> Vec<PolicyView<'_>> {
        self.policies.iter().map(Kept::view).collect()
    }

    fn policy(&self, name: &str) -> Option<PolicyView<'_>> {
        self.policies.iter().find(|kept| kept.policy.name == name).map(Kept::view)
    }

    fn change(
        &mut self,
        policy: &str,
        apply: &mut dyn FnMut(&Policy, &mut Control) -> Result<Change, Refused>,
    ) -> Result<(), NotChanged> {
        let kept = self.policies.iter_mut().find(|kept| kept.policy.name == policy).unwrap();
        let change = apply(&kept.policy, &mut kept.control).map_err(NotChanged::Refused)?;
        let seq = self.events.len() as u64;
        let numbered = (seq + 1..).zip(change.events).map(|(seq, event)| Event { seq, ..event });
        self.events.extend(numbered);
        Ok(())
    }

    fn events(&self, after: u64) -> (Vec<Event>, u64) {
        let last = self.events.last().map_or(0, |event| event.seq);
        (self.events.iter().filter(|event| event.seq > after).cloned().collect(), last)
    }

    fn explain(&self, policy: &str, query: &ExplainQuery) -> Option<Explanation> {
        let kept = self.policies.iter().find(|kept| kept.policy.name == policy).unwrap();
        explain(&kept.policy, &kept.control.in_force(&kept.policy), query, &self.request)
    }

    fn now(&self) -> u64 {
        NOW
    }
}

impl Kept {
    fn view(&self) -> PolicyView<'_> {
        PolicyView {
            policy: &self.policy,
            control: self.control.clone(),
            in_force: self.control.in_force(&self.policy),
            persisted: self.persisted,
            counts: self.counts.clone(),
            fallbacks: self.fallbacks.clone(),
            evidence: self.evidence.clone(),
            judged: self.judged.clone(),
            identity_failures: vec![(Kind::Jwt, Failure::Expired, 9)],
            now: NOW,
        }
    }
}
