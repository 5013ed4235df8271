//! Ramps: when they go on, what holds them up, and what edits and commands do to them.

use lobechat_canary::control::{By, Change, Pace, Refused, State};

use crate::checks::stand_ins::policy_named;
use crate::{Canary, conflict};

const LINES: &str = "release stable a version=1.0.0\nrelease canary b version=2.0.0";
const RAMP: &str = "ramp canary 1% 10m 5% 30m 25% 1h 50%";

fn ramped(ramp: &str) -> Canary {
    Canary::new(&format!("{LINES}\n{ramp}"))
}

impl Canary {
    fn start(&mut self) -> Result<Change, Refused> {
        let by = self.by();
        self.control.ramp_start(&self.policy, "canary", by)
    }

    fn tick(&mut self, later: u64, judged: u64, evidence: f64) -> bool {
        self.now += later;
        let before = self.control.clone();
        let change = self.control.ramp_tick(&self.policy, "canary", judged, evidence, self.now);
        let expected = before.epoch + u64::from(change.is_some());
        assert!(self.control.epoch == expected && (change.is_some() || self.control == before));
        change.is_some()
    }

    /// Pace, step and weight.
    fn ramp(&self) -> (Pace, usize, String) {
        let standing = self.standing("canary");
        let progress = standing.ramp.as_ref().unwrap();
        (progress.pace, progress.step, standing.weight.to_string())
    }
}

fn at(pace: Pace, step: usize, weight: &str) -> (Pace, usize, String) {
    (pace, step, weight.to_owned())
}

#[test]
fn a_step_needs_its_time_its_requests_and_no_doubt() {
    let mut canary = ramped(RAMP);
    assert_eq!(canary.ramp(), at(Pace::Paused, 0, "0%"));
    assert!(!canary.tick(86_400, 999, 1.0), "it has not begun");
    let change = canary.start().unwrap();
    assert_eq!(change.step_began, Some(canary.standing("canary").generation));
    assert_eq!(canary.ramp(), at(Pace::Running, 0, "1%"));
    assert!(!canary.tick(599, 50, 1.0) && !canary.tick(1, 49, 1.0) && !canary.tick(0, 50, 10.0));
    assert!(!canary.tick(0, 50, f64::NAN) && !canary.tick(8 * 3_600, 49, 1.0), "night means wait");
    assert!(canary.tick(0, 50, 9.99));
    assert_eq!(canary.ramp(), at(Pace::Running, 1, "5%"));
    assert!(!canary.tick(1_799, 999, 1.0), "the time of a step begins with it");
    assert!(canary.tick(1, 999, 1.0) && canary.tick(3_600, 50, 1.0));
    assert_eq!(canary.ramp(), at(Pace::Done, 3, "50%"));
    assert!(!canary.tick(86_400, 999, 1.0));
    assert!(canary.start().unwrap().events.is_empty());
}

#[test]
fn a_manual_weight_pauses_it_and_a_start_moves_nobody() {
    let mut canary = ramped(RAMP);
    canary.start().unwrap();
    canary.weight("canary", "30%").unwrap();
    assert_eq!(canary.ramp(), at(Pace::Paused, 0, "30%"));
    assert!(!canary.tick(86_400, 999, 1.0));
    canary.start().unwrap();
    assert_eq!(canary.ramp(), at(Pace::Running, 2, "30%"));
    // Never back up by itself to where somebody had a reason to leave.
    canary.weight("canary", "2%").unwrap();
    canary.start().unwrap();
    assert_eq!(canary.ramp(), at(Pace::Running, 0, "2%"));
    canary.weight("canary", "60%").unwrap();
    canary.start().unwrap();
    assert_eq!(canary.ramp(), at(Pace::Done, 3, "60%"));
    canary.weight("canary", "7%").unwrap();
    assert_eq!(canary.ramp().0, Pace::Paused);
}

#[test]
fn pause_stops_where_it_is() {
    let mut canary = ramped(RAMP);
    canary.start().unwrap();
    assert!(canary.tick(600, 50, 1.0));
    let by = canary.by();
    canary.control.ramp_pause(&canary.policy, "canary", by).unwrap();
    assert!(canary.control.ramp_pause(&canary.policy, "canary", by).unwrap().events.is_empty());
    assert!(!canary.tick(86_400, 999, 1.0));
    canary.start().unwrap();
    assert_eq!(canary.ramp(), at(Pace::Running, 1, "5%"));
    assert!(!canary.tick(1_799, 50, 1.0) && canary.tick(1, 50, 1.0), "the step begins anew");
}

#[test]
fn rollback_ends_it_and_reset_puts_it_to_its_start() {
    let mut canary = ramped(RAMP);
    canary.start().unwrap();
    canary.tick(600, 50, 1.0);
    canary.rollback("canary");
    assert_eq!(canary.ramp().0, Pace::Ended);
    assert!(!canary.tick(86_400, 999, 1.0));
    assert!(conflict(canary.start()).contains("is down: reset it"));
    canary.reset("canary").unwrap();
    assert_eq!(canary.ramp(), at(Pace::Paused, 0, "0%"));
    canary.start().unwrap();
    canary.tick(600, 50, 1.0);
    canary.state("canary", State::Drain).unwrap();
    canary.state("canary", State::Up).unwrap();
    canary.start().unwrap();
    assert_eq!(canary.ramp(), at(Pace::Running, 0, "1%"), "from its start, as nobody is there");
}

#[test]
fn one_that_begins_by_itself_waits_until_it_is_in_force() {
    let auto = format!("{RAMP} start=auto");
    assert_eq!(ramped(&auto).ramp(), at(Pace::Running, 0, "1%"));
    let mut canary = Canary::new(&format!("{LINES} drain\n{auto}"));
    assert_eq!(canary.ramp(), at(Pace::Paused, 0, "0%"));
    assert!(!canary.tick(86_400, 999, 1.0));
    let reloaded = canary.reload(&format!("{LINES}\n{auto}"));
    assert_eq!(canary.ramp(), at(Pace::Running, 0, "1%"));
    assert_eq!(reloaded.steps_began, [canary.standing("canary").generation]);
    assert!(!canary.tick(599, 999, 1.0) && canary.tick(1, 50, 1.0));
}

#[test]
fn an_edited_ramp_moves_nobody() {
    let mut canary = ramped(RAMP);
    canary.start().unwrap();
    assert!(canary.tick(600, 50, 1.0) && canary.tick(1_800, 50, 1.0));
    for (ramp, expected) in [
        ("ramp canary 1% 10m 25% 2h 100%", at(Pace::Running, 1, "25%")),
        ("ramp canary 10% 10m 20% 2h 100%", at(Pace::Running, 1, "25%")),
        ("ramp canary 30% 10m 100% start=auto", at(Pace::Running, 0, "25%")),
        ("ramp canary 5% 10m 25%", at(Pace::Done, 1, "25%")),
        ("ramp canary 5% 10m 25% 1d 50%", at(Pace::Paused, 1, "25%")),
    ] {
        let reloaded = canary.reload(&format!("{LINES}\n{ramp}"));
        assert_eq!((canary.ramp(), reloaded.moved.to_string()), (expected, "0%".into()), "{ramp}");
    }
    canary.reload(LINES);
    assert_eq!((canary.shown("canary"), &canary.standing("canary").ramp), ("2.0.0 up 25%".into(), &None));
}

#[test]
fn it_never_takes_the_users_of_another() {
    let mut canary = Canary::new(&format!("{LINES}\nrelease beta c version=3.0.0\n{RAMP}"));
    canary.weight("beta", "96%").unwrap();
    canary.start().unwrap();
    assert!(canary.tick(600, 50, 1.0), "it says that it pauses");
    assert_eq!(canary.ramp(), at(Pace::Paused, 0, "1%"));
    canary.weight("canary", "0%").unwrap();
    canary.weight("beta", "100%").unwrap();
    let before = canary.control.clone();
    assert!(conflict(canary.start()).contains("add up to more than 100%"));
    assert_eq!(canary.control, before);
}

#[test]
fn a_reload_and_a_restart_change_nothing() {
    let text = format!("{LINES}\n{RAMP}");
    let mut canary = Canary::new(&text);
    canary.start().unwrap();
    canary.now += 500;
    assert!(canary.reload(&text).steps_began.is_empty());
    canary.control = serde_json::from_slice(&serde_json::to_vec(&canary.control).unwrap()).unwrap();
    canary.reload(&text);
    assert!(!canary.tick(99, 50, 1.0) && canary.tick(1, 50, 1.0));
}

#[test]
fn what_cannot_come_to_its_end_is_refused_in_the_file() {
    let error = |text: &str| {
        policy_named("chat", &format!("user header:x-id\n{LINES}\n{text}")).err().map(|e| e.message)
    };
    for (text, hint) in [
        ("release beta c version=3.0.0 weight=60%\nramp canary 1% 10m 50%", "cannot come to 50%"),
        ("release beta c version=3.0.0\nramp beta 1% 10m 50%\nramp canary 1% 10m 60%", "cannot come to 60%"),
        ("hash unleash\nramp canary 0.5% 10m 60%", "needs whole percents, not 0.5%"),
    ] {
        let error = error(text).unwrap_or_default();
        assert!(error.contains(hint), "{text}: {error}");
    }
    assert_eq!(error("release beta c version=3.0.0 weight=60% drain\nramp canary 1% 10m 50%"), None);
}

#[test]
fn who_moves_it_is_in_the_audit() {
    let mut canary = ramped(RAMP);
    let by = By { who: "bob", reason: Some("Monday"), now: 5 };
    let change = canary.control.ramp_start(&canary.policy, "canary", by).unwrap();
    assert_eq!((&*change.events[0].by, change.events[0].reason.as_deref()), ("bob", Some("Monday")));
    let change = canary.control.ramp_tick(&canary.policy, "canary", 50, 1.0, 605).unwrap();
    assert_eq!(
        (&*change.events[0].by, &*change.events[0].text),
        ("ramp", "ramp of \"canary\" goes on to 5%")
    );
}
