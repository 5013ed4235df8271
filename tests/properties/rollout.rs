//! The life of a rollout, step by step: promotions and the lines that commit them, ramps over time, builds that come back.

use lobechat_canary::control::{By, Control, Refused, State};
use lobechat_canary::percent::Percent;
use lobechat_canary::policy::Policy;

use crate::runtime::{NOW, SLOT, by, parsed, reload, served};

pub const RAMP: &str = "ramp canary 1% 10m 5% 30m 25% min_requests=50";

pub fn file(lines: &[&str]) -> Policy {
    parsed(&format!("user cookie:uid\n{}", lines.join("\n")))
}

pub fn weigh(control: &mut Control, policy: &Policy, name: &str, weight: &str) -> Result<(), Refused> {
    let weights = [(name.to_owned(), Percent::parse(weight).unwrap())];
    control.set_weights(policy, &weights, None, by(NOW)).map(drop)
}

/// Promotes, and gives back the file that the answer says to commit.
fn promote(control: &mut Control, policy: &Policy, name: &str, others: &[&str]) -> Policy {
    control.promote(policy, name, by(NOW)).unwrap();
    let lines = control.commit_lines(policy).unwrap();
    let lines: Vec<&str> =
        lines.iter().map(|line| line.trim_end_matches(';')).chain(others.iter().copied()).collect();
    file(&lines)
}

#[test]
fn a_promotion_committed_flips_nobody_nor_does_the_next_version() {
    let first = file(&["release stable a version=1.0.0", "release canary b version=1.1.0 weight=10%"]);
    let mut control = Control::reload(&first, None, NOW).control;
    weigh(&mut control, &first, "canary", "50%").unwrap();
    let half = served(&first, &control.in_force(&first));
    let second = promote(&mut control, &first, "canary", &[]);
    let promoted = served(&first, &control.in_force(&first));
    let new = control.stable;
    assert!(promoted.iter().all(|generation| *generation == new));
    assert!(half.iter().zip(&promoted).all(|(was, is)| *is == new || was == is));

    for held in [reload(&first, &control, NOW + 1), reload(&second, &control, NOW + 1)] {
        assert_eq!(held.stable, new);
        let text = format!("{:?}", held.declared());
        assert!(held.declared().iter().any(|standing| standing.state == State::Drain), "{text}");
    }
    let committed = reload(&second, &control, NOW + 1);
    assert_eq!(served(&second, &committed.in_force(&second)), promoted);
    assert_eq!(served(&first, &committed.in_force(&first)), promoted, "in old workers, too");
    assert!(committed.commit_lines(&second).is_none(), "the file says so now");
    assert_eq!(committed.declared()[0].verdict, None);

    let third = file(&["release stable b version=1.1.0", "release canary a version=1.2.0 weight=1%"]);
    let next = Control::reload(&third, Some(&committed), NOW + 604_800);
    let reached = served(&third, &next.control.in_force(&third));
    let untested = next.control.declared()[1].generation;
    assert_eq!(reached.iter().filter(|generation| **generation == untested).count(), 100);
    assert!(reached[..100].iter().all(|generation| *generation == untested));
    assert!(reached[100..].iter().all(|generation| *generation == new));
    assert_eq!((next.moved.to_string(), next.in_use), ("1%".to_owned(), false));
}

#[test]
fn the_former_stable_release_may_go_on_before_the_commit() {
    let first = file(&["release stable a version=1.0.0", "release canary b version=1.1.0 weight=10%"]);
    for command in ["weight", "down", "up"] {
        let mut control = Control::reload(&first, None, NOW).control;
        control.promote(&first, "canary", by(NOW)).unwrap();
        control.reset(&first, "canary", by(NOW)).unwrap();
        match command {
            "weight" => weigh(&mut control, &first, "canary", "20%").unwrap(),
            "down" => drop(control.rollback(&first, "canary", by(NOW)).unwrap()),
            _ => {}
        }
        let lines = control.commit_lines(&first).unwrap().map(|line| line.trim_end_matches(';').to_owned());
        let second = file(&[&lines[0], &lines[1]]);
        let before = served(&first, &control.in_force(&first));
        let committed = reload(&second, &control, NOW + 1);
        assert_eq!(served(&second, &committed.in_force(&second)), before, "{command}: {lines:?}");
        assert_eq!(committed.declared()[1].state, control.declared()[0].state, "{command}: {lines:?}");
    }
}

#[test]
fn with_three_releases_the_third_stays_as_it_is() {
    let third = "release next c version=3.0.0 weight=15%";
    let first = file(&["release stable a version=1.0.0", "release canary b version=1.1.0 weight=10%", third]);
    let mut control = Control::reload(&first, None, NOW).control;
    let before = served(&first, &control.in_force(&first));
    let second = promote(&mut control, &first, "canary", &[third]);
    let after = served(&first, &control.in_force(&first));
    assert_eq!(before[8500..], after[8500..]);
    let error = format!("{:?}", control.promote(&first, "next", by(NOW)));
    assert!(error.contains("another release was promoted before"), "{error}");
    weigh(&mut control, &first, "next", "30%").unwrap();
    let committed = reload(&second, &control, NOW);
    assert_eq!(served(&second, &committed.in_force(&second)), served(&first, &control.in_force(&first)),);
    // Another build behind the third name does not undo the exchange.
    let renewed = file(&[
        "release stable a version=1.0.0",
        "release canary b version=1.1.0 weight=10%",
        "release next c version=3.1.0 weight=15%",
    ]);
    assert_eq!(reload(&renewed, &control, NOW).stable, control.stable);
    // Promoting the former stable one again undoes it.
    control.reset(&first, "canary", by(NOW)).unwrap();
    control.promote(&first, "canary", by(NOW)).unwrap();
    assert_eq!(control.stable, control.declared()[0].generation);
    assert!(control.commit_lines(&first).is_none());
}

#[test]
fn a_build_taken_down_that_comes_back_is_still_down() {
    let with = |version: &str, more: &str| {
        file(&["release stable a version=1.0.0", &format!("release canary b version={version} {more}")])
    };
    let (bad, good) = (with("1.1.0", "weight=10%"), with("1.1.1", "weight=10%"));
    let mut control = Control::reload(&bad, None, NOW).control;
    control.rollback(&bad, "canary", by(NOW)).unwrap();
    for (file, state) in [
        (with("1.1.0", "weight=20%"), State::Down),
        (with("1.1.0", "weight=20% drain"), State::Down),
        (with("1.1.0", "weight=20%"), State::Down),
        (good, State::Up),
        (bad, State::Down),
        (with("1.1.0", "down"), State::Down),
        (with("1.1.0", "weight=5%"), State::Down),
    ] {
        control = reload(&file, &control, NOW + 1);
        let canary = &control.declared()[1];
        let weight = if state == State::Up { "10%" } else { "0%" };
        assert_eq!((canary.state, canary.weight.to_string().as_str()), (state, weight), "{:?}", canary.file);
        // The enrolments that ended stay so, for the next build as well.
        assert_eq!(canary.enrolled_since, NOW + 1);
    }
    let file = with("1.1.0", "weight=5%");
    assert!(weigh(&mut control, &file, "canary", "1%").is_err());
    control.reset(&file, "canary", by(NOW)).unwrap();
    let canary = &control.declared()[1];
    assert_eq!((canary.state, canary.weight, &canary.verdict), (State::Up, Percent::ZERO, &None));
}

#[test]
fn what_the_file_closes_the_file_opens() {
    let with = |more: &str| {
        file(&["release stable a version=1.0.0", &format!("release canary b version=1.1.0 {more}")])
    };
    for held in ["drain", "down"] {
        let mut control = Control::reload(&with("weight=10%"), None, NOW).control;
        control = reload(&with(&format!("weight=10% {held}")), &control, NOW);
        assert_eq!((control.declared()[1].state.name(), control.declared()[1].weight), (held, Percent::ZERO));
        for refused in [
            control.clone().reset(&with(held), "canary", by(NOW)),
            control.clone().set_state(&with(held), "canary", State::Up, by(NOW)),
            control.clone().promote(&with(held), "canary", by(NOW)),
        ] {
            let sentence = sentence(refused);
            assert!(sentence.contains(&format!("remove \"{held}\" from its release line")), "{sentence}");
        }
        control = reload(&with("weight=10%"), &control, NOW);
        assert_eq!(
            (control.declared()[1].state, control.declared()[1].weight.to_string().as_str()),
            (State::Up, "10%")
        );
        // By hand it stays, whatever the file says of the weight.
        control.set_state(&with("weight=10%"), "canary", State::Drain, by(NOW)).unwrap();
        control = reload(&with("weight=30%"), &control, NOW);
        assert_eq!(
            (control.declared()[1].state, control.declared()[1].weight),
            (State::Drain, Percent::ZERO)
        );
    }
}

pub fn sentence<T>(refused: Result<T, Refused>) -> String {
    match refused.map(drop).unwrap_err() {
        Refused::Invalid(text) | Refused::Unknown(text) | Refused::Conflict(text) => text,
    }
}

#[test]
fn sixteen_releases_with_long_names_fit_into_their_slot() {
    let name = |n: usize| format!("{:x<60}{n:02}", "release-");
    let mut lines = vec![format!("release {} a.example.org:3210 version=1.0.0", name(0))];
    for n in 1..16 {
        let upstream = format!("{:u<50}{n:02}.example.org:3210", "lobe-");
        lines.push(format!(
            "release {} {upstream} version=2.1.{n}-rc.1+{:b<40} from={n}%",
            name(n),
            "build."
        ));
        lines.push(format!("ramp {} 0.1% 10m 0.2% 10m 0.3% 10m 0.4% 10m 0.5% min_requests=500", name(n)));
    }
    let policy = file(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    let mut control = Control::reload(&policy, None, NOW).control;
    let who = "w".repeat(5000);
    for n in 1..16 {
        control.ramp_start(&policy, &name(n), by(NOW)).unwrap();
        let by = By { who: &who, reason: Some(&who), now: NOW };
        control.rollback(&policy, &name(n), by).unwrap();
    }
    let text = control.to_bytes(SLOT).expect("it fits");
    let kept = Control::from_bytes(&text).unwrap();
    assert_eq!(kept.declared().len(), 16);
    for (was, is) in control.declared().iter().zip(kept.declared()) {
        assert_eq!(
            (was.state, was.weight, was.anchor, &was.file),
            (is.state, is.weight, is.anchor, &is.file)
        );
        assert_eq!(was.verdict.is_some(), is.verdict.is_some());
    }
    assert_eq!(reload(&policy, &kept, NOW).in_force(&policy).roles, control.in_force(&policy).roles);
}

#[test]
fn refusals_say_what_to_do_first() {
    let policy = file(&[
        "release stable a version=1.0.0",
        "release canary b version=1.1.0",
        "release next c version=1.2.0 weight=5%",
        RAMP,
    ]);
    let mut control = Control::reload(&policy, None, NOW).control;
    let by = by(NOW);
    for (said, hint) in [
        (sentence(control.clone().rollback(&policy, "stable", by)), "promote another release instead"),
        (sentence(control.clone().reset(&policy, "stable", by)), "nothing to reset"),
        (sentence(control.clone().promote(&policy, "stable", by)), "nothing to promote"),
        (
            sentence(control.clone().set_state(&policy, "stable", State::Down, by)),
            "promote another release first",
        ),
        (sentence(control.clone().ramp_start(&policy, "stable", by)), "no ramp"),
        (sentence(control.clone().ramp_start(&policy, "next", by)), "ramp next 1% 10m"),
        (sentence(control.clone().ramp_pause(&policy, "next", by)), "ramp next 1% 10m"),
        (sentence(control.clone().reset(&policy, "nope", by)), "has stable, canary, next"),
        (sentence(weigh(&mut control.clone(), &policy, "stable", "5%")), "what the others leave"),
        (sentence(weigh(&mut control.clone(), &policy, "canary", "96%")), "100%"),
        (sentence(control.clone().set_weights(&policy, &[], Some(7), by)), "read it again"),
    ] {
        assert!(said.contains(hint), "{said}");
    }
    control.set_state(&policy, "next", State::Drain, by).unwrap();
    for said in [
        sentence(weigh(&mut control.clone(), &policy, "next", "5%")),
        sentence(control.clone().promote(&policy, "next", by)),
    ] {
        assert!(said.contains("is drain: reset it, which opens it at 0%"), "{said}");
    }
}
