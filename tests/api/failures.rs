//! What the API answers when nginx cannot do what is asked.

use lobechat_canary::api::command::NotChanged;
use lobechat_canary::api::view::PolicyView;
use lobechat_canary::api::{Runtime, handle};
use lobechat_canary::control::{Change, Control, Refused, State};
use lobechat_canary::events::Event;
use lobechat_canary::explain::{ExplainQuery, Explanation};
use lobechat_canary::policy::Policy;

use crate::runtime::{Memory, NOW, call, refusal};

const CANARY: &str = "v1/policies/chat/releases/canary";

/// Shared memory that takes nothing.
struct Full(Memory);

impl Runtime for Full {
    fn policies(&self) -> Vec<PolicyView<'_>> {
        self.0.policies()
    }

    fn policy(&self, name: &str) -> Option<PolicyView<'_>> {
        self.0.policy(name)
    }

    fn change(
        &mut self,
        _: &str,
        _: &mut dyn FnMut(&Policy, &mut Control) -> Result<Change, Refused>,
    ) -> Result<(), NotChanged> {
        Err(NotChanged::Failed("the zone is full".to_owned()))
    }

    fn events(&self, after: u64) -> (Vec<Event>, u64) {
        self.0.events(after)
    }

    fn explain(&self, _: &str, _: &ExplainQuery) -> Option<Explanation> {
        None
    }

    fn now(&self) -> u64 {
        NOW
    }
}

#[test]
fn what_nginx_cannot_do_now_is_503() {
    let mut full = Full(Memory::chat());
    let rollback = format!("{CANARY}/rollback");
    assert_eq!(refusal(&handle(&call("POST", &rollback, b""), &mut full), 503), "the zone is full");
    let explain = call("GET", "v1/policies/chat/explain", b"");
    assert!(refusal(&handle(&explain, &mut full), 503).contains("short of memory"));
    let open = full.0.policies[0].control.generations[1].state == State::Up;
    assert!(open && full.0.events.is_empty());
}
