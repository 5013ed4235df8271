//! Commands: what each changes, and what it says must be done first.

use lobechat_canary::control::{By, Refused, State};
use lobechat_canary::events::Kind;

use crate::{Canary, PAIR, conflict, percent};

#[test]
fn weights_are_set_all_or_none() {
    let mut canary =
        Canary::new(&format!("{PAIR}\nrelease beta c version=3.0.0\nrelease gamma d version=4.0.0"));
    let before = canary.control.clone();
    for (weights, hint) in [
        ([("canary", "60%"), ("beta", "50%")], "add up to more than 100%"),
        ([("canary", "1%"), ("gamma", "1%")], "give it \"from=P\""),
        ([("canary", "1%"), ("stable", "50%")], "\"stable\" is the stable release"),
    ] {
        let weights = weights.map(|(name, weight)| (name.to_owned(), percent(weight)));
        let by = canary.by();
        let sentence = conflict(canary.control.set_weights(&canary.policy, &weights, None, by));
        assert!(sentence.contains(hint), "{sentence}");
    }
    let (by, one) = (canary.by(), [("canary".to_owned(), percent("1%"))]);
    assert!(
        conflict(canary.control.set_weights(&canary.policy, &one, Some(7), by))
            .contains("the epoch is 1 by now")
    );
    let unknown = canary.weight("nightly", "1%");
    let known = "policy \"chat\" has stable, canary, beta, gamma";
    assert!(matches!(&unknown, Err(Refused::Unknown(sentence)) if sentence.contains(known)), "{unknown:?}");
    assert_eq!(canary.control, before);
    assert!(canary.weight("canary", "10%").unwrap().events.is_empty(), "it has that weight");
    assert_eq!(canary.control, before);
}

#[test]
fn ranges_that_meet_are_named() {
    let mut canary = Canary::new(&format!(
        "{PAIR}\nrelease beta c version=3.0.0\nrelease gamma d version=4.0.0 from=30% weight=10%"
    ));
    let sentence = conflict(canary.weight("canary", "40%"));
    assert!(
        sentence.contains("\"gamma\"") && sentence.contains("\"canary\"") && sentence.contains("from="),
        "{sentence}"
    );
}

#[test]
fn a_rollback_ends_all_but_the_files_of_open_pages() {
    let mut canary = Canary::new(PAIR);
    let change = canary.rollback("canary");
    let generation = canary.standing("canary").generation;
    assert_eq!((change.rolled_back, change.cleared), (Some(generation), None));
    assert_eq!((change.events.len(), change.events[0].kind), (1, Kind::Rollback));
    assert_eq!(canary.shown("canary"), "2.0.0 down 0%");
    assert!(canary.rollback("canary").events.is_empty(), "alerts repeat themselves");
    assert!(canary.convict("canary").events.is_empty());
    assert!(conflict(canary.weight("canary", "1%")).contains("reset it, which opens it at 0%"));
    let sentence = conflict(canary.promote("canary"));
    assert!(sentence.contains("is down: reset it"), "{sentence}");
    let change = canary.reset("canary").unwrap();
    assert_eq!((change.cleared, canary.shown("canary")), (Some(generation), "2.0.0 up 0%".into()));
}

/// Evidence that has taken a release down would do so again a second later.
#[test]
fn who_opens_a_convicted_release_clears_the_evidence() {
    let mut canary = Canary::new(PAIR);
    canary.convict("canary");
    let generation = canary.standing("canary").generation;
    assert_eq!(canary.state("canary", State::Drain).unwrap().cleared, None);
    assert!(canary.standing("canary").verdict.is_some());
    assert_eq!(canary.state("canary", State::Up).unwrap().cleared, Some(generation));
    assert_eq!(canary.standing("canary").verdict, None);
    canary.state("canary", State::Drain).unwrap();
    assert_eq!(canary.state("canary", State::Up).unwrap().cleared, None, "nothing spoke against it");
}

#[test]
fn the_stable_release_stays_as_it_is() {
    let mut canary = Canary::new(PAIR);
    let before = canary.control.clone();
    for result in [canary.state("stable", State::Down), canary.reset("stable"), canary.promote("stable")] {
        assert!(conflict(result).contains("\"stable\" is the stable release"));
    }
    let by = canary.by();
    assert!(
        conflict(canary.control.rollback(&canary.policy, "stable", by)).contains("promote another release")
    );
    assert_eq!(canary.control, before);
}

#[test]
fn what_people_write_is_kept_up_to_a_length() {
    let mut canary = Canary::new(PAIR);
    let reason = "ä".repeat(3_000);
    let by = By { who: "alice", reason: Some(&reason), now: 7 };
    canary.control.rollback(&canary.policy, "canary", by).unwrap();
    let verdict = canary.standing("canary").verdict.clone().unwrap();
    assert_eq!((verdict.reason, verdict.at), ("ä".repeat(100), 7));
}
