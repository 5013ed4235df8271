//! A promotion, its two lines in the file, and the next version.

use lobechat_canary::control::State;
use lobechat_canary::percent::Percent;

use crate::{Canary, PAIR, conflict};

/// From the first ramp to the next version a week later: nobody moves who should not, and nobody meets a build that was
/// not opened.
#[test]
fn ramp_promote_commit_and_the_next_version() {
    let file = |stable: &str, canary: &str| {
        format!(
            "release stable {stable}\nrelease canary {canary}\nrollback on\nramp canary 1% 10m 50% start=auto"
        )
    };
    let mut canary = Canary::new(&file("a version=1.0.0", "b version=2.0.0"));
    let points = [0, 99, 100, 4_999, 5_000, 9_999];
    let at = |canary: &Canary| points.map(|point| canary.at(point).to_owned());
    assert_eq!(at(&canary), ["2.0.0", "2.0.0", "1.0.0", "1.0.0", "1.0.0", "1.0.0"]);
    canary.now += 600;
    assert!(canary.control.ramp_tick(&canary.policy, "canary", 50, 1.0, canary.now).is_some());
    assert_eq!(at(&canary), ["2.0.0", "2.0.0", "2.0.0", "2.0.0", "1.0.0", "1.0.0"]);

    canary.promote("canary").unwrap();
    assert_eq!(at(&canary), ["2.0.0"; 6]);
    assert_eq!([canary.shown("stable"), canary.shown("canary")], ["2.0.0 up 0%", "1.0.0 drain 0%"]);
    let same = canary.reload(&file("a version=1.0.0", "b version=2.0.0"));
    assert_eq!((at(&canary), same.moved), (points.map(|_| "2.0.0".to_owned()), Percent::ZERO));

    let [stable, named] = canary.control.commit_lines(&canary.policy).unwrap();
    assert_eq!(
        [&*stable, &*named],
        ["release stable b version=2.0.0;", "release canary a version=1.0.0 drain;"]
    );
    let committed = canary.reload(&file("b version=2.0.0", "a version=1.0.0 drain"));
    assert_eq!((at(&canary), committed.moved), (points.map(|_| "2.0.0".to_owned()), Percent::ZERO));
    assert_eq!(canary.shown("canary"), "1.0.0 drain 0%");
    assert_eq!(canary.control.commit_lines(&canary.policy), None);
    canary.now += 86_400;
    assert_eq!(canary.control.ramp_tick(&canary.policy, "canary", 999, 1.0, canary.now), None);

    canary.now += 6 * 86_400;
    let next = canary.reload(&file("b version=2.0.0", "a version=3.0.0"));
    assert_eq!(canary.shown("canary"), "3.0.0 up 1%");
    assert_eq!(at(&canary), ["3.0.0", "3.0.0", "2.0.0", "2.0.0", "2.0.0", "2.0.0"]);
    assert!(!next.in_use, "nobody was on a release that is no longer served");
    assert_eq!(next.steps_began, [canary.standing("canary").generation]);
}

/// Who swaps the builds and leaves the rest of the line as it was flips nobody either.
#[test]
fn lines_swapped_by_hand_after_a_promotion() {
    let mut canary = Canary::new(PAIR);
    canary.promote("canary").unwrap();
    let swapped = "release stable b version=2.0.0\nrelease canary a version=1.0.0 weight=10%";
    assert_eq!(canary.reload(swapped).moved, Percent::ZERO);
    assert_eq!(canary.shown("canary"), "1.0.0 drain 0%");
    canary.reset("canary").unwrap();
    assert_eq!(canary.shown("canary"), "1.0.0 up 0%");
}

#[test]
fn the_lines_say_how_the_former_stable_release_stands() {
    let mut canary = Canary::new(PAIR);
    canary.promote("canary").unwrap();
    for (state, end) in [(State::Down, " down;"), (State::Up, " version=1.0.0;"), (State::Drain, " drain;")] {
        canary.state("canary", state).unwrap();
        let [_, named] = canary.control.commit_lines(&canary.policy).unwrap();
        assert!(named.ends_with(end), "{named}");
    }
}

#[test]
fn a_name_keeps_its_place() {
    let mut canary =
        Canary::new("release stable a version=1.0.0\nrelease canary b version=2.0.0 weight=10% from=50%");
    canary.promote("canary").unwrap();
    canary.reset("canary").unwrap();
    canary.weight("canary", "5%").unwrap();
    assert_eq!([canary.at(4_999), canary.at(5_000), canary.at(5_500)], ["2.0.0", "1.0.0", "2.0.0"]);
    let sentence = conflict(canary.weight("canary", "60%"));
    assert!(sentence.contains("release \"canary\"") && sentence.contains("above 100%"), "{sentence}");
}

#[test]
fn the_way_back_is_a_promotion_too() {
    let mut canary = Canary::new(&format!("{PAIR}\nrelease beta c version=3.0.0 weight=5%"));
    canary.promote("canary").unwrap();
    assert_eq!([canary.at(0), canary.at(5_000), canary.at(9_999)], ["2.0.0", "2.0.0", "3.0.0"]);
    assert!(conflict(canary.promote("beta")).contains("commit the lines"));
    let sentence = conflict(canary.promote("canary"));
    assert!(sentence.contains("is drain: reset it"), "{sentence}");
    canary.reset("canary").unwrap();
    canary.promote("canary").unwrap();
    assert_eq!([canary.shown("stable"), canary.shown("canary")], ["1.0.0 up 0%", "2.0.0 drain 0%"]);
    assert_eq!(canary.control.commit_lines(&canary.policy), None);
}

/// The lines of a file that names another build than was promoted speak for themselves, and nginx -t says what that does.
#[test]
fn a_promotion_that_was_never_committed() {
    let mut canary = Canary::new(PAIR);
    canary.promote("canary").unwrap();
    let next = canary.reload("release stable a version=1.0.0\nrelease canary b version=2.1.0 weight=1%");
    assert_eq!([canary.shown("stable"), canary.shown("canary")], ["1.0.0 up 0%", "2.1.0 up 1%"]);
    assert!(next.in_use && next.moved == Percent::FULL, "{}", next.moved);
    assert!(next.because.contains("promoted release is no longer in the file"), "{}", next.because);
}

#[test]
fn enrolments_that_have_ended_stay_so_whatever_the_name_stands_for() {
    let mut canary = Canary::new(PAIR);
    canary.rollback("canary");
    let ended = canary.now + 1;
    assert_eq!(canary.standing("canary").enrolled_since, ended, "those of this second, too");
    canary.now += 50;
    canary.reset("canary").unwrap();
    canary.promote("canary").unwrap();
    let since = |canary: &Canary| ["stable", "canary"].map(|name| canary.standing(name).enrolled_since);
    assert_eq!(since(&canary), [0, ended]);
    canary.reload("release stable b version=2.0.0\nrelease canary a version=1.0.0 drain");
    assert_eq!(since(&canary), [0, ended]);
    canary.reload("release stable b version=2.0.0\nrelease canary a version=3.0.0 weight=1%");
    assert_eq!(since(&canary), [0, ended]);
}
