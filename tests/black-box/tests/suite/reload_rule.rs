//! What a reload takes from the file, what it leaves as it runs, and what it says of that; zones that grow, and full ones.

use black_box::api::{counted, release, weights};
use black_box::config::check_file;
use black_box::state::{self, StateDir};
use black_box::{Check, Config, Nginx, Request, wait_for};

const CHAT: &str = "v1/policies/chat";
const STABLE: &str = "release stable a version=1.0.0;";
const CANARY: &str = "release canary b version=1.1.0 weight=10%;";
const OTHER: &str = "release other c version=1.2.0 weight=5%;";

fn config(zone: &str, releases: &[&str], more: &str) -> Config {
    state::config(zone, &format!("{} user cookie:uid; {more}", releases.concat()))
}

/// Weight and state.
fn stands(nginx: &Nginx, name: &str) -> (String, String) {
    let policy = nginx.policy("chat");
    let text = |field: &str| release(&policy, name)[field].as_str().unwrap().to_owned();
    (text("weight"), text("state"))
}

fn pair(weight: &str, state: &str) -> (String, String) {
    (weight.to_owned(), state.to_owned())
}

#[test]
fn a_line_takes_from_the_file_what_has_changed_in_it_also_after_a_restart() {
    for restarts in [false, true] {
        let state = StateDir::new();
        let with = |canary: &str, other: &str| config(&state.zone("1m"), &[STABLE, canary, other], "");
        let mut nginx = with(CANARY, OTHER).start();
        nginx.api_ok("PATCH", CHAT, r#"{"weights":{"canary":"40%","other":"7%"}}"#);
        let epoch = nginx.policy("chat")["epoch"].clone();
        let go_on = |nginx: Nginx, canary: &str, other: &str| {
            let (mut nginx, config) = (nginx, with(canary, other));
            if restarts {
                drop(nginx);
                return config.start();
            }
            nginx.reload(&config);
            nginx
        };
        nginx = go_on(nginx, CANARY, OTHER);
        assert_eq!(
            (stands(&nginx, "canary"), stands(&nginx, "other")),
            (pair("40%", "up"), pair("7%", "up"))
        );
        assert_eq!(nginx.policy("chat")["epoch"], epoch, "an unchanged file changes nothing");
        nginx.wait_log("release \"canary\" version 1.1.0 has weight 10% in the file and 40% in force, state up: as it was");
        nginx = go_on(nginx, "release canary b version=1.1.0 weight=20%;", OTHER);
        assert_eq!(
            (stands(&nginx, "canary"), stands(&nginx, "other")),
            (pair("20%", "up"), pair("7%", "up"))
        );
        nginx.wait_log(
            "has weight 20% in the file and 20% in force, state up: its weight has changed in the file",
        );
        nginx = go_on(nginx, "release canary b version=1.1.0 weight=20% drain;", OTHER);
        assert_eq!(stands(&nginx, "canary"), pair("0%", "drain"));
        let sentence = nginx.api_refused("POST", &format!("{CHAT}/releases/canary/reset"), "", 409);
        assert!(sentence.contains("remove \"drain\" from its release line"), "{sentence}");
        nginx = go_on(nginx, "release canary b version=1.1.0 weight=20%;", OTHER);
        assert_eq!(stands(&nginx, "canary"), pair("20%", "up"));
        nginx.api_ok("POST", &format!("{CHAT}/releases/canary/rollback"), "");
        nginx = go_on(nginx, "release canary b version=1.1.0 weight=50%;", OTHER);
        assert_eq!(stands(&nginx, "canary"), pair("0%", "down"), "an edited weight opens nothing");
        nginx = go_on(nginx, "release canary b version=1.1.1 weight=50%;", OTHER);
        assert_eq!(stands(&nginx, "canary"), pair("50%", "up"), "a new build");
        nginx = go_on(nginx, "release canary b version=1.1.0 weight=50%;", OTHER);
        assert_eq!(stands(&nginx, "canary"), pair("0%", "down"), "the old one is back, and still down");
        assert_eq!(stands(&nginx, "other"), pair("7%", "up"), "the whole time");
        // The two together would overlap: all weights are the file's.
        nginx.api_ok("PATCH", CHAT, &weights("other", "60%"));
        nginx = go_on(nginx, "release canary b version=1.1.1 weight=55%;", OTHER);
        assert_eq!(
            (stands(&nginx, "canary"), stands(&nginx, "other")),
            (pair("55%", "up"), pair("5%", "up"))
        );
        nginx.wait_log("weights overlapped, so all are the file's");
    }
}

/// `nginx -t` beside a running nginx.
fn check(state: &StateDir, releases: &[&str], more: &str) -> Check {
    let check = config(&state.zone("1m"), releases, more).check();
    assert!(check.ok, "{}", check.output);
    check
}

#[test]
fn a_check_says_which_share_of_users_a_reload_will_move() {
    let state = StateDir::new();
    let nginx = config(&state.zone("1m"), &[STABLE, CANARY], "salt one;").start();
    assert_eq!(nginx.api_ok("PATCH", CHAT, &weights("canary", "40%"))["persisted"], true);
    let before = nginx.policy("chat");
    for (canary, more, share) in [
        (CANARY, "salt one;", None),
        (
            "release canary b version=1.1.0 weight=15%;",
            "salt one;",
            Some("a reload will move 25% of its users"),
        ),
        ("release canary b version=1.1.0 weight=10% from=20%;", "salt one;", Some("40% of its users")),
        ("release canary b version=1.1.0 weight=10% down;", "salt one;", Some("40% of its users")),
        ("release canary b version=1.1.1 weight=40%;", "salt one;", None),
        // Of each 40 % and 60 %, the other share: 2 * 0.4 * 0.6.
        (CANARY, "salt two;", Some("48% of its users")),
        (CANARY, "salt one; hash unleash;", Some("48% of its users")),
    ] {
        let output = check(&state, &[STABLE, canary], more).output;
        match share {
            Some(share) => assert!(output.contains(share), "{canary} {more}: {output}"),
            None => assert!(!output.contains("of its users"), "{canary} {more}: {output}"),
        }
    }
    assert_eq!(nginx.policy("chat"), before, "a check leaves what runs alone");
}

#[test]
fn a_check_says_where_only_burst_watches() {
    let state = StateDir::new();
    let lines = "rollback on; route canary if cookie:a = b;";
    for (canary, hint) in [
        ("release canary b version=1.1.0;", Some("gets routed users alone")),
        ("release canary b version=1.1.0 weight=100%;", Some("gets all users")),
        (CANARY, None),
    ] {
        let output = check(&state, &[STABLE, canary], lines).output;
        match hint {
            Some(hint) => {
                assert!(output.contains(hint) && output.contains("only \"burst\" watches it"), "{output}")
            }
            None => assert!(!output.contains("burst"), "{output}"),
        }
    }
}

#[test]
fn a_zone_of_another_size_goes_on_where_the_one_before_was() {
    let state = StateDir::new();
    for zone in [state.zone("2m"), "lobechat_canary_zone other_name:2m state=off;".to_owned()] {
        let more = "route other if header:x-team remember=7d;";
        let mut nginx =
            config("lobechat_canary_zone lobechat_canary:1m state=off;", &[STABLE, CANARY, OTHER], more)
                .start();
        nginx.api_ok("PATCH", CHAT, &weights("canary", "30%"));
        nginx.api_ok("POST", &format!("{CHAT}/releases/canary/rollback"), "");
        let enrolled = nginx.fetch(Request::get("/").header("X-Team", "1"));
        let cookie = format!("lobechat_remember_chat={}", enrolled.cookie("lobechat_remember_chat").unwrap());
        let counts = wait_for("the request", || {
            let counts = counted(&nginx.metrics(), "requests_total");
            (!counts.is_empty()).then_some(counts)
        });
        let (events, epoch) = (nginx.api_ok("GET", "v1/events", ""), nginx.policy("chat")["epoch"].clone());
        nginx.reload(&config(&zone, &[STABLE, CANARY, OTHER], more));
        assert_eq!(stands(&nginx, "canary"), pair("0%", "down"), "{zone}");
        assert_eq!(nginx.policy("chat")["epoch"], epoch, "{zone}");
        assert_eq!(counted(&nginx.metrics(), "requests_total"), counts, "{zone}");
        assert_eq!(nginx.api_ok("GET", "v1/events", ""), events, "{zone}");
        let remembered = nginx.fetch(Request::get("/").cookie(&cookie));
        assert_eq!(remembered.header("X-Reason"), Some("remembered"), "{zone}");
    }
}

#[test]
fn a_zone_that_is_too_small_is_an_error_and_what_runs_goes_on() {
    let zone = "lobechat_canary_zone lobechat_canary:256k state=off;";
    let mut nginx = config(zone, &[STABLE, CANARY], "").expect_log("is too small for").start();
    nginx.api_ok("PATCH", CHAT, &weights("canary", "30%"));
    let many: String = (0..12).map(|n| format!("release r{n} c version=1.2.{n} from={n}%;")).collect();
    let said = nginx.reload_refused(&config(zone, &[STABLE, CANARY, &many], ""));
    assert!(
        said.contains("write \"lobechat_canary_zone lobechat_canary:") && said.contains("nginx.conf:"),
        "{said}"
    );
    assert_eq!(stands(&nginx, "canary"), pair("30%", "up"));
    let text = nginx.file("nginx.conf");
    assert!(!check_file(nginx.dir(), &text).ok);
    assert_eq!(stands(&nginx, "canary"), pair("30%", "up"));
}
