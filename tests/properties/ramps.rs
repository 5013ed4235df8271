//! How a ramp goes on, waits, stops and begins again, with time that is told.

use lobechat_canary::control::{Control, DOUBT, Pace};
use lobechat_canary::percent::Percent;

use crate::rollout::{RAMP, file, sentence, weigh};
use crate::runtime::{NOW, by, reload};

#[test]
fn a_ramp_walks_by_time_requests_and_evidence() {
    let policy = file(&["release stable a version=1.0.0", "release canary b version=1.1.0", RAMP]);
    let mut control = Control::reload(&policy, None, NOW).control;
    let weight = |control: &Control| control.declared()[1].weight.to_string();
    let pace = |control: &Control| control.declared()[1].ramp.as_ref().unwrap().pace;
    assert_eq!((weight(&control), pace(&control)), ("0%".into(), Pace::Paused));
    assert!(control.ramp_tick(&policy, "canary", 1000, 0.0, NOW + 9999).is_none(), "not begun");
    control.ramp_start(&policy, "canary", by(NOW)).unwrap();
    assert_eq!((weight(&control), pace(&control)), ("1%".into(), Pace::Running));
    for (judged, evidence, seconds) in
        [(1000, 0.0, 599), (49, 0.0, 600), (50, DOUBT, 600), (50, f64::NAN, 600), (0, 0.0, 36_000)]
    {
        let before = control.clone();
        assert!(
            control.ramp_tick(&policy, "canary", judged, evidence, NOW + seconds).is_none(),
            "{judged} {evidence}"
        );
        assert_eq!(control, before);
    }
    control = reload(&policy, &control, NOW + 599);
    let change = control.ramp_tick(&policy, "canary", 50, 9.99, NOW + 600).unwrap();
    assert_eq!(change.step_began, Some(control.declared()[1].generation), "requests count afresh");
    assert_eq!(weight(&control), "5%");
    assert!(control.ramp_tick(&policy, "canary", 50, 0.0, NOW + 600 + 1799).is_none());
    control.ramp_pause(&policy, "canary", by(NOW)).unwrap();
    assert!(control.ramp_tick(&policy, "canary", 50, 0.0, NOW + 99_999).is_none(), "paused");
    control.ramp_start(&policy, "canary", by(NOW + 100_000)).unwrap();
    assert!(control.ramp_tick(&policy, "canary", 50, 0.0, NOW + 101_799).is_none(), "its step begins anew");
    control.ramp_tick(&policy, "canary", 50, 0.0, NOW + 101_800).unwrap();
    assert_eq!((weight(&control), pace(&control)), ("25%".into(), Pace::Done));
    assert!(control.ramp_tick(&policy, "canary", 50, 0.0, NOW + 999_999).is_none());

    // By hand it stops, and goes on from there.
    weigh(&mut control, &policy, "canary", "3%").unwrap();
    assert_eq!(pace(&control), Pace::Paused);
    control.ramp_start(&policy, "canary", by(NOW)).unwrap();
    assert_eq!(weight(&control), "3%", "nobody moves at once");
    control.ramp_tick(&policy, "canary", 50, 0.0, NOW + 600).unwrap();
    assert_eq!(weight(&control), "5%");
    weigh(&mut control, &policy, "canary", "80%").unwrap();
    control.ramp_start(&policy, "canary", by(NOW)).unwrap();
    assert!(control.ramp_tick(&policy, "canary", 50, 0.0, NOW + 99_999).is_none());
    assert_eq!((weight(&control), pace(&control)), ("80%".into(), Pace::Done), "a ramp never goes down");

    control.rollback(&policy, "canary", by(NOW)).unwrap();
    assert_eq!((weight(&control), pace(&control)), ("0%".into(), Pace::Ended));
    let why = sentence(control.ramp_start(&policy, "canary", by(NOW)));
    assert!(why.contains("reset it"), "{why}");
    control.reset(&policy, "canary", by(NOW)).unwrap();
    assert_eq!((weight(&control), pace(&control)), ("0%".into(), Pace::Paused));
    control.ramp_start(&policy, "canary", by(NOW)).unwrap();
    assert_eq!(weight(&control), "1%");
}

#[test]
fn a_ramp_that_starts_by_itself_does_so_with_each_new_build_alone() {
    let with = |version: &str| {
        let canary = format!("release canary b version={version}");
        file(&["release stable a version=1.0.0", &canary, "ramp canary 1% 10m 5% start=auto"])
    };
    let mut control = Control::reload(&with("1.1.0"), None, NOW).control;
    assert_eq!(control.declared()[1].weight.to_string(), "1%");
    control.rollback(&with("1.1.0"), "canary", by(NOW)).unwrap();
    control = reload(&with("1.1.0"), &control, NOW);
    assert_eq!(control.declared()[1].weight, Percent::ZERO);
    let renewed = Control::reload(&with("1.1.1"), Some(&control), NOW);
    assert_eq!(renewed.control.declared()[1].weight.to_string(), "1%");
    assert_eq!(renewed.steps_began, [renewed.control.declared()[1].generation]);
    control.reset(&with("1.1.0"), "canary", by(NOW)).unwrap();
    assert_eq!(control.declared()[1].ramp.as_ref().unwrap().pace, Pace::Paused, "testers first");
}
