//! From a call to its answer.

use serde::Serialize;

use super::command::NotChanged;
use super::endpoint::{Action, Endpoint};
use super::policy_json::PolicyJson;
use super::problem::Problem;
use super::view::PolicyView;
use super::{Answer, Call, Runtime, Wait, access, body, query};
use crate::control::Refused;
use crate::events::Event;
use crate::metrics;

#[derive(Serialize)]
struct PoliciesJson {
    policies: Vec<PolicyJson>,
    write: bool,
}

#[derive(Serialize)]
struct EventsJson {
    events: Vec<Event>,
    last: u64,
}

/// Answers a call, and carries out the change that it asks for.
pub fn handle(call: &Call<'_>, runtime: &mut impl Runtime) -> Answer {
    let answer = Endpoint::find(call.method, call.path).and_then(|endpoint| answer(endpoint, call, runtime));
    let mut answer = answer.unwrap_or_else(Problem::into_answer);
    if call.method == "HEAD" {
        answer.body.clear();
    }
    answer
}

/// The answer to a change, once the state file holds it or the time to wait for it is over. It shows what is in force by now,
/// but `persisted` is about this change: another may have come since.
pub fn changed(wait: &Wait, is_persisted: bool, runtime: &impl Runtime) -> Answer {
    let view = runtime.policy(&wait.policy).ok_or_else(|| unknown(&wait.policy, runtime));
    let view = view.map(|view| PolicyView { persisted: Some(is_persisted), ..view });
    view.map(|view| Answer::json(200, &PolicyJson::new(&view, true))).unwrap_or_else(Problem::into_answer)
}

fn answer(endpoint: Endpoint<'_>, call: &Call<'_>, runtime: &mut impl Runtime) -> Result<Answer, Problem> {
    let write = call.may_write();
    match endpoint {
        Endpoint::Page(page) => Ok(page.answer()),
        Endpoint::Metrics => {
            let text = metrics::render(&runtime.policies(), env!("CARGO_PKG_VERSION"));
            Ok(Answer::new(200, metrics::CONTENT_TYPE, text.into_bytes()))
        }
        Endpoint::Policies => {
            let policies = runtime.policies().iter().map(|view| PolicyJson::new(view, write)).collect();
            Ok(Answer::json(200, &PoliciesJson { policies, write }))
        }
        Endpoint::Policy(name) => policy(name, write, runtime),
        Endpoint::Explain(name) => {
            let asked = query::explain(call.query)?;
            runtime.policy(name).ok_or_else(|| unknown(name, runtime))?;
            let short = || Problem::new(503, "nginx is short of memory: ask again");
            Ok(Answer::json(200, &runtime.explain(name, &asked).ok_or_else(short)?))
        }
        Endpoint::Events => {
            let (events, last) = runtime.events(query::after(call.query)?);
            Ok(Answer::json(200, &EventsJson { events, last }))
        }
        Endpoint::Change(name, action) => change(name, action, call, runtime),
    }
}

fn policy(name: &str, write: bool, runtime: &impl Runtime) -> Result<Answer, Problem> {
    let view = runtime.policy(name).ok_or_else(|| unknown(name, runtime))?;
    Ok(Answer::json(200, &PolicyJson::new(&view, write)))
}

fn change(
    name: &str,
    action: Action<'_>,
    call: &Call<'_>,
    runtime: &mut impl Runtime,
) -> Result<Answer, Problem> {
    access::check(call)?;
    let command = body::command(action, call)?;
    if runtime.policy(name).is_none() {
        return Err(unknown(name, runtime));
    }
    let now = runtime.now();
    let result = runtime.change(name, &mut |policy, control| command.apply(policy, control, call.by, now));
    match result {
        Ok(()) => {}
        Err(NotChanged::Refused(Refused::Invalid(why))) => return Err(Problem::bad_request(why)),
        Err(NotChanged::Refused(Refused::Unknown(why))) => return Err(Problem::not_found(why)),
        Err(NotChanged::Refused(Refused::Conflict(why))) => return Err(Problem::conflict(why)),
        Err(NotChanged::Failed(why)) => return Err(Problem::new(503, why)),
    }
    let view = runtime.policy(name).ok_or_else(|| unknown(name, runtime))?;
    let mut answer = Answer::json(200, &PolicyJson::new(&view, true));
    answer.wait_for =
        (view.persisted == Some(false)).then(|| Wait { policy: name.to_owned(), epoch: view.control.epoch });
    Ok(answer)
}

fn unknown(name: &str, runtime: &impl Runtime) -> Problem {
    let policies = runtime.policies();
    let known: Vec<&str> = policies.iter().map(|view| &*view.policy.name).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    Problem::not_found(format!("unknown policy \"{name}\": the configuration has {known}"))
}
