//! What a file that is read again does to what runtime has decided, per release.

use lobechat_canary::control::State;

use crate::{Canary, PAIR, conflict};

fn with(canary: &str) -> String {
    format!("release stable a version=1.0.0\nrelease canary b {canary}")
}

#[test]
fn only_what_has_changed_in_a_line_comes_from_the_file() {
    let beta = "\nrelease beta c version=3.0.0 weight=5%";
    let mut canary = Canary::new(&format!("{PAIR}{beta}"));
    canary.weight("canary", "25%").unwrap();
    canary.weight("beta", "7%").unwrap();
    canary.reload(&format!("{}{beta}", with("version=2.0.0 weight=20%")));
    assert_eq!([canary.shown("canary"), canary.shown("beta")], ["2.0.0 up 20%", "3.0.0 up 7%"]);
    // A place is no weight.
    canary.weight("canary", "25%").unwrap();
    let reloaded = canary.reload(&format!("{}{beta}", with("version=2.0.0 weight=20% from=30%")));
    assert_eq!(
        (canary.shown("canary"), canary.at(3_000), canary.at(0)),
        ("2.0.0 up 25%".into(), "2.0.0", "1.0.0")
    );
    assert!(reloaded.in_use && reloaded.moved.to_string() == "50%", "{}", reloaded.moved);
}

#[test]
fn what_would_overlap_comes_from_the_file_as_a_whole() {
    let file = |beta: &str| {
        format!("{PAIR}\nrelease beta c version=3.0.0 weight={beta}\nrelease gamma d version=4.0.0")
    };
    let mut canary = Canary::new(&file("5%"));
    canary.weight("canary", "70%").unwrap();
    canary.convict("gamma");
    let reloaded = canary.reload(&file("40%"));
    assert_eq!([canary.shown("canary"), canary.shown("beta")], ["2.0.0 up 10%", "3.0.0 up 40%"]);
    assert_eq!(canary.shown("gamma"), "4.0.0 down 0%");
    assert!(
        reloaded.notices.iter().skip(1).all(|notice| notice.contains("overlapped")),
        "{:?}",
        reloaded.notices
    );
}

#[test]
fn a_verdict_outlives_every_edit_but_a_new_version() {
    let mut canary = Canary::new(PAIR);
    canary.convict("canary");
    for line in [
        "version=2.0.0 weight=50%",
        "version=2.0.0 weight=50% drain",
        "version=2.0.0 weight=40%",
        "version=2.0.0 down",
        "version=2.0.0 weight=10% from=top",
    ] {
        let reloaded = canary.reload(&with(line));
        assert_eq!(canary.shown("canary"), "2.0.0 down 0%", "{line}");
        assert!(reloaded.notices[1].contains("only a reset undoes"), "{line}: {}", reloaded.notices[1]);
        assert!(canary.standing("canary").verdict.is_some());
    }
    canary.reload(&with("version=2.1.0 weight=10%"));
    assert_eq!(canary.shown("canary"), "2.1.0 up 10%");
    assert_eq!(canary.standing("canary").verdict, None);
    canary.reload(PAIR);
    assert_eq!(canary.shown("canary"), "2.0.0 down 0%", "the version that was taken down has come back");
    canary.reset("canary").unwrap();
    assert_eq!(canary.shown("canary"), "2.0.0 up 0%");
}

#[test]
fn what_the_file_held_it_gives_back() {
    for word in ["drain", "down"] {
        let mut canary = Canary::new(PAIR);
        canary.weight("canary", "25%").unwrap();
        canary.reload(&with(&format!("version=2.0.0 weight=10% {word}")));
        assert_eq!(canary.shown("canary"), format!("2.0.0 {word} 0%"));
        assert!(conflict(canary.reset("canary")).contains(&format!("remove \"{word}\"")));
        assert!(conflict(canary.weight("canary", "1%")).contains(&format!("remove \"{word}\"")));
        canary.reload(PAIR);
        assert_eq!(canary.shown("canary"), "2.0.0 up 10%");
    }
}

#[test]
fn the_file_takes_over_what_was_set_by_hand_and_softens_nothing() {
    let mut canary = Canary::new(PAIR);
    canary.state("canary", State::Down).unwrap();
    canary.reload(&with("version=2.0.0 weight=10% drain"));
    assert_eq!(canary.shown("canary"), "2.0.0 down 0%");
    let reloaded = canary.reload(PAIR);
    assert_eq!(canary.shown("canary"), "2.0.0 down 0%", "the file never held it down");
    assert!(reloaded.notices[1].contains("set by hand"), "{}", reloaded.notices[1]);
    canary.reload(&with("version=2.0.0 weight=10% down"));
    canary.reload(PAIR);
    assert_eq!(canary.shown("canary"), "2.0.0 up 10%", "the file had taken it over");
}

#[test]
fn a_pulled_cord_outlives_what_the_file_held() {
    let mut canary = Canary::new(&with("version=2.0.0 weight=10% drain"));
    canary.rollback("canary");
    assert_eq!(canary.shown("canary"), "2.0.0 down 0%");
    canary.reload(PAIR);
    assert_eq!(canary.shown("canary"), "2.0.0 down 0%");
}

#[test]
fn what_the_file_makes_stable_serves() {
    let mut canary = Canary::new(PAIR);
    canary.convict("canary");
    canary.reload("release stable b version=2.0.0\nrelease canary a version=1.0.0 weight=10%");
    assert_eq!([canary.shown("stable"), canary.shown("canary")], ["2.0.0 up 0%", "1.0.0 up 10%"]);
}

#[test]
fn a_release_may_get_another_name() {
    let mut canary = Canary::new(PAIR);
    canary.weight("canary", "25%").unwrap();
    let reloaded = canary.reload("release stable a version=1.0.0\nrelease next b version=2.0.0 weight=10%");
    assert_eq!((canary.shown("next"), reloaded.moved.to_string()), ("2.0.0 up 25%".into(), "0%".into()));
}

/// Ten later versions do not let one that was taken down come back as if it were new.
#[test]
fn retired_generations_are_bounded() {
    let mut canary = Canary::new(PAIR);
    canary.convict("canary");
    for version in 0..30 {
        canary.now += 1;
        canary.reload(&with(&format!("version=3.{version}.0 weight=1%")));
        assert!(canary.control.generations.len() <= 2 + 8);
    }
    canary.reload(PAIR);
    assert_eq!(canary.shown("canary"), "2.0.0 down 0%");
}
