//! What `explain` says of the page that a request belongs to.

use super::Step;
use super::steps::{MATCHED, NO_MATCH, PASSED_OVER, step};
use crate::decision::Decision;
use crate::in_force::InForce;
use crate::pin::{Belongs, Part, Pin, Pinned};
use crate::policy::Policy;

/// `None`: the policy pins no pages.
pub fn page(policy: &Policy, in_force: &InForce, decision: &Decision<'_>) -> Option<Step> {
    let pin = policy.pin.as_ref()?;
    let name =
        |line: usize| policy.releases.get(in_force.release_of(line)).map_or("", |release| &release.name);
    let page = &decision.page;
    let (outcome, detail) = match (page.part, page.line, page.belongs) {
        (Part::Navigation, ..) => (NO_MATCH, "a navigation is decided afresh".to_owned()),
        (part, Some(line), belongs) => {
            let what = if part == Part::Asset { "a file" } else { "a request" };
            let detail =
                format!("{what} of a page of release \"{}\", as {} says", name(line), said_by(pin, decision));
            match belongs {
                Belongs::To(other) if other != line => (
                    MATCHED,
                    format!("{detail}; it names release \"{}\" too, to which it may not go", name(other)),
                ),
                _ => (MATCHED, detail),
            }
        }
        (_, None, Belongs::To(line)) => (PASSED_OVER, refused(in_force, line, name(line))),
        (_, None, Belongs::Elsewhere) => {
            (PASSED_OVER, "its page came from a build that the file does not have".to_owned())
        }
        (_, None, Belongs::Nowhere) => {
            (NO_MATCH, "nothing names its page, so it is decided like any request".to_owned())
        }
    };
    Some(step("pin", pin.cookie.name.clone(), outcome, detail))
}

fn said_by(pin: &Pin, decision: &Decision<'_>) -> String {
    match decision.page.cookie {
        Some(Pinned::Genuine { line, .. } | Pinned::Claimed { line }) if decision.page.line == Some(line) => {
            format!("the cookie {}", pin.cookie.name)
        }
        _ => "the deployment that it names".to_owned(),
    }
}

fn refused(in_force: &InForce, line: usize, name: &str) -> String {
    match in_force.keeps_pages(line) {
        true => format!("it names release \"{name}\", to which nobody gets by asking: it has no weight"),
        false => format!("its page came from release \"{name}\", which is down"),
    }
}
