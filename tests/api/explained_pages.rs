//! What `explain` says of the page that a request belongs to.

use lobechat_canary::control::State;

use crate::checks::stand_ins::PlainRequest;
use crate::explanations::{explained, shut};
use crate::runtime::{NOW, policy};

#[test]
fn pages() {
    let policy =
        policy("default", "release stable a version=1.0.0\nrelease canary b version=2.0.0\nuser cookie:uid");
    let line = policy.pin.as_ref().unwrap().cookie.line(1, true, NOW, false).unwrap();
    let cookie = line.split(';').next().unwrap();
    let forged = cookie.replace(".s.", ".o.");
    let unknown = format!("lobechat_release=00{}", &cookie["lobechat_release=00".len()..]);
    let ask = |path: &str, cookie: &str, state: State| {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let request = PlainRequest::default().path(path).query(query).header("Cookie", cookie).at(NOW);
        let answer = explained(&policy, &shut(&policy, 1, state, 0), &request);
        let step = answer.steps.into_iter().find(|step| step.step == "pin").unwrap();
        (answer.reason, answer.skew, step.outcome, step.detail)
    };
    let asset = "/_next/static/a.js";
    for (path, cookie, state, reason, skew, outcome, detail) in [
        (
            "/x",
            cookie,
            State::Up,
            "pin",
            false,
            "matched",
            "a request of a page of release \"canary\", as the cookie",
        ),
        (asset, cookie, State::Down, "pin", false, "matched", "a file of a page of release \"canary\""),
        ("/x", cookie, State::Down, "anonymous", true, "passed over", "\"canary\", which is down"),
        ("/x", &forged, State::Up, "anonymous", true, "passed over", "it has no weight"),
        (asset, &forged, State::Up, "pin", false, "matched", "as the cookie lobechat_release says"),
        ("/x", &unknown, State::Up, "anonymous", true, "passed over", "does not have"),
        ("/x?dpl=1-0-0", "", State::Up, "pin", false, "matched", "as the deployment that it names says"),
        ("/x?dpl=canary", cookie, State::Up, "pin", false, "matched", "\"canary\""),
        ("/x?dpl=stable", cookie, State::Up, "pin", false, "matched", "\"stable\", as the deployment"),
        ("/x?dpl=7", "", State::Up, "anonymous", true, "passed over", "does not have"),
    ] {
        let answer = ask(path, cookie, state);
        assert_eq!((answer.0, answer.1, answer.2), (reason, skew, outcome), "{path} {cookie}: {}", answer.3);
        assert!(answer.3.contains(detail), "{path} {cookie}: {}", answer.3);
    }
}
