//! The HTTP API: policies as JSON, changes to them, the audit, metrics and the dashboard. The glue reads a request and its
//! body, calls [`handle()`], and sends the answer; what it keeps in shared memory it offers as a [`Runtime`].

mod access;
mod body;
pub mod command;
mod endpoint;
mod handle;
mod page;
mod policy_json;
mod problem;
mod query;
mod reason;
mod rollout_json;
pub mod view;

pub use self::handle::{changed, handle};

use serde::Serialize;

use self::command::NotChanged;
use self::view::PolicyView;
use crate::control::{Change, Control, Refused};
use crate::duration::Seconds;
use crate::events::Event;
use crate::explain::{ExplainQuery, Explanation};
use crate::policy::Policy;

/// The longest body, in bytes.
pub const MAX_BODY: usize = 64 * 1024;

/// A request to the API.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    pub method: &'a str,
    /// What follows the location's own path, without a slash in front.
    pub path: &'a str,
    /// Without the `?`.
    pub query: &'a str,
    /// Headers; `None` where there is none.
    pub content_type: Option<&'a str>,
    pub origin: Option<&'a str>,
    pub host: Option<&'a str>,
    pub sec_fetch_site: Option<&'a str>,
    pub body: &'a [u8],
    /// Who asks: `$remote_user`, else the address.
    pub by: &'a str,
    /// Whether it came from this machine: the loopback interface, or a unix socket.
    pub local: bool,
    /// Whether it has a `Forwarded` or `X-Forwarded-…` header.
    pub forwarded: bool,
    pub access: Access,
}

/// Who may change things: what the `lobechat_canary_api` directive says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    #[default]
    ReadOnly,
    /// `write`: from this machine.
    Local,
    /// `write=any`: whom the location's own rules let in.
    Any,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub content_type: &'static str,
    pub headers: Vec<(&'static str, &'static str)>,
    /// Empty for `HEAD`.
    pub body: Vec<u8>,
    /// How long the body is that a `GET` gets.
    pub content_length: usize,
    /// A change that the state file does not hold yet. The glue may wait for it a moment, then ask [`changed()`].
    pub wait_for: Option<Wait>,
}

/// Until when an answer may wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    pub policy: String,
    pub epoch: u64,
}

impl Answer {
    /// What all answers have in common: they are of this moment, and what they say they are.
    fn new(status: u16, content_type: &'static str, body: Vec<u8>) -> Answer {
        let headers = vec![
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
        ];
        Answer { status, content_type, headers, content_length: body.len(), body, wait_for: None }
    }

    fn json(status: u16, body: &impl Serialize) -> Answer {
        // Fails for maps with keys that are no text, of which there are none.
        let body = serde_json::to_vec(body).unwrap_or_default();
        Answer::new(status, "application/json", body)
    }
}

/// What the glue keeps in shared memory.
pub trait Runtime {
    /// All policies, in the order of the file.
    fn policies(&self) -> Vec<PolicyView<'_>>;

    fn policy(&self, name: &str) -> Option<PolicyView<'_>>;

    /// Lets `apply` change the control of a policy under the zone's lock, and puts in force and keeps what it says has changed.
    fn change(
        &mut self,
        policy: &str,
        apply: &mut dyn FnMut(&Policy, &mut Control) -> Result<Change, Refused>,
    ) -> Result<(), NotChanged>;

    /// The events after number `after`, the oldest first, and the number of the last one that there was.
    fn events(&self, after: u64) -> (Vec<Event>, u64);

    /// How the request that asks would be decided ([`crate::explain::explain`]). `None`: memory is short.
    fn explain(&self, policy: &str, query: &ExplainQuery) -> Option<Explanation>;

    fn now(&self) -> Seconds;
}
