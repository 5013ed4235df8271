//! A promotion under load, from the ramp to the next version a week later: nobody moves who should not, nobody reaches a build
//! that was not opened.

use std::sync::atomic::{AtomicUsize, Ordering};

use black_box::api::{release, weights};
use black_box::load::{Client, under_load};
use black_box::state::StateDir;
use black_box::{Config, Nginx, Request, Response, api, wait_for};

const CHAT: &str = "v1/policies/chat";
const USERS: usize = 400;
const RAMP: &str = "ramp canary 10% 1s 30% 1s 50% min_requests=0;";

/// Releases run in another nginx, which reloads do not touch. `z` is the build that nobody has opened.
fn config(backends: &Nginx, state: &StateDir, releases: &str) -> Config {
    let upstream = |name: &str| {
        format!("upstream {name} {{ server unix:{}/{name}.sock; keepalive 8; }}", backends.dir().display())
    };
    Config::new()
        .workers(2)
        .http(&state.zone("1m"))
        .http(&["a", "b", "z"].map(upstream).concat())
        .server(&format!(
            "lobechat_canary chat {{ {releases} {RAMP} user cookie:uid; salt week; }}
            proxy_http_version 1.1; proxy_set_header Connection '';
            add_header X-Bucket $lobechat_canary_bucket always;
            location / {{ proxy_pass http://lobechat_canary; }}"
        ))
        .server(&api::location("write"))
}

/// What may answer in a phase: below the first bucket, and from it on.
struct Phase {
    below: &'static [&'static str],
    bound: u32,
    above: &'static [&'static str],
}

const PHASES: [Phase; 4] = [
    // The ramp: nobody above its last weight has the canary.
    Phase { below: &["a", "b"], bound: 5000, above: &["a"] },
    // Promoting: whoever has the canary keeps it.
    Phase { below: &["b"], bound: 5000, above: &["a", "b"] },
    Phase { below: &["b"], bound: 5000, above: &["b"] },
    // The next version, at 1 %.
    Phase { below: &["b", "z"], bound: 100, above: &["b"] },
];

fn judge(phase: &AtomicUsize, before: usize, response: &Response) -> Result<(), String> {
    let bucket: u32 =
        response.header("X-Bucket").unwrap_or_default().parse().map_err(|_| "no bucket".to_owned())?;
    let served = response.text();
    // The phase may have changed while the request was on its way.
    let may = (before..=phase.load(Ordering::SeqCst)).any(|index| {
        let Phase { below, bound, above } = &PHASES[index];
        let allowed = if bucket < *bound { below } else { above };
        allowed.contains(&served.as_str())
    });
    match response.status == 200 && may {
        true => Ok(()),
        false => Err(format!("{} {served} for bucket {bucket} from phase {before}", response.status)),
    }
}

#[test]
fn from_ramp_to_the_next_version() {
    let backends = Config::new().workers(2).releases(&["a", "b", "z"]).start();
    let state = StateDir::new();
    let mut nginx =
        config(&backends, &state, "release stable a version=1.0.0; release canary b version=1.1.0;")
            .user("www-data")
            .start();
    // The phase, and the earliest one that a request may be from.
    let (phase, floor) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let request = |round: usize| Request::get("/").cookie(format!("uid=user-{}", round % USERS));
    let clients =
        vec![Client::Fresh(nginx.port()), Client::Kept(nginx.port(), None), Client::Fresh(nginx.port())];
    let all = |nginx: &Nginx| (0..USERS).map(|user| nginx.fetch(request(user)).text()).collect::<Vec<_>>();
    let move_on = |to: usize| phase.store(to, Ordering::SeqCst);
    // Hundreds of requests later, those of the phase before are through.
    let settle = |nginx: &Nginx| {
        all(nginx);
        floor.store(phase.load(Ordering::SeqCst), Ordering::SeqCst);
    };
    let judge = |response: &Response| judge(&phase, floor.load(Ordering::SeqCst), response);
    let outcome = under_load(&mut nginx, clients, request, judge, |nginx| {
        nginx.api_ok("POST", &format!("{CHAT}/ramp/start"), "");
        wait_for("the ramp", || {
            (release(&nginx.policy("chat"), "canary")["ramp"]["state"] == "done").then_some(())
        });
        move_on(1);
        let policy = nginx.api_ok("POST", &format!("{CHAT}/releases/canary/promote"), "");
        let lines: Vec<&str> =
            policy["commit"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
        assert_eq!(lines, ["release stable b version=1.1.0;", "release canary a version=1.0.0 drain;"]);
        assert!(all(nginx).iter().all(|served| served == "b"));
        move_on(2);
        settle(nginx);
        // Another reload before anybody has committed them.
        nginx.reload(
            &config(&backends, &state, "release stable a version=1.0.0; release canary b version=1.1.0;")
                .user("www-data"),
        );
        assert!(all(nginx).iter().all(|served| served == "b"));
        nginx.reload(&config(&backends, &state, &lines.concat()).user("www-data"));
        assert!(all(nginx).iter().all(|served| served == "b"));
        let committed = nginx.policy("chat");
        assert_eq!(
            (&committed["commit"], &release(&committed, "canary")["state"]),
            (&serde_json::Value::Null, &"drain".into())
        );
        // The next version: up, on its own ramp, at its start.
        nginx.reload(
            &config(&backends, &state, "release stable b version=1.1.0; release canary z version=1.2.0;")
                .user("www-data"),
        );
        let next = nginx.policy("chat");
        let canary = release(&next, "canary");
        assert_eq!(
            (&canary["state"], &canary["weight"], &canary["ramp"]["state"]),
            (&"up".into(), &"0%".into(), &"paused".into())
        );
        assert!(all(nginx).iter().all(|served| served == "b"), "it was not opened");
        move_on(3);
        nginx.api_ok("PATCH", CHAT, &weights("canary", "1%"));
        settle(nginx);
    });
    assert!(
        outcome.failures.is_empty(),
        "{} of {}: {:?}",
        outcome.failures.len(),
        outcome.answered,
        outcome.failures
    );
    assert!(outcome.answered > 500, "{} answers are no load", outcome.answered);
    println!("{} answers, {} sent again", outcome.answered, outcome.retried);
    drop(nginx);
    let nginx = config(&backends, &state, "release stable b version=1.1.0; release canary z version=1.2.0;")
        .user("www-data")
        .start();
    assert_eq!(release(&nginx.policy("chat"), "canary")["weight"], "1%", "after a restart, too");
}
