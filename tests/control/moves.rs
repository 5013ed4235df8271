//! The share of users that a reload is said to move.

use crate::{Canary, PAIR};

fn moved(before: &str, after: &str) -> (String, bool) {
    let reloaded = Canary::new(before).reload(after);
    (reloaded.moved.to_string(), reloaded.in_use)
}

fn stable_and(canary: &str) -> String {
    format!("release stable a version=1.0.0\nrelease canary b version=2.0.0 {canary}")
}

#[test]
fn weights_and_places() {
    for (before, after, share, in_use) in [
        ("weight=10%", "weight=10%", "0%", true),
        ("weight=10%", "weight=30%", "20%", true),
        ("weight=30%", "weight=0.5%", "29.5%", true),
        ("", "weight=30%", "30%", false),
        ("weight=10%", "weight=10% from=top", "20%", true),
        ("weight=10%", "weight=10% from=5%", "10%", true),
        ("weight=10%", "drain", "10%", true),
        ("drain", "weight=10%", "10%", false),
    ] {
        let result = moved(&stable_and(before), &stable_and(after));
        assert_eq!(result, (share.to_owned(), in_use), "{before} -> {after}");
    }
}

#[test]
fn order_gives_places() {
    let file = |lines: [&str; 2]| {
        format!("release stable a version=1.0.0\nrelease {}\nrelease {}", lines[0], lines[1])
    };
    let (canary, beta) = ("canary b version=2.0.0 weight=10%", "beta c version=3.0.0 weight=5%");
    // 10 % at the bottom and 5 % at the top change places.
    assert_eq!(moved(&file([canary, beta]), &file([beta, canary])).0, "20%");
}

#[test]
fn salt_hash_and_user_deal_everybody_anew() {
    let with = |more: &str| format!("{PAIR}\n{more}");
    // 10 % had the canary and 10 % get it, whoever they are: 1 - 0.1^2 - 0.9^2.
    assert_eq!(moved(PAIR, &with("salt next")), ("18%".to_owned(), true));
    assert_eq!(moved(PAIR, &with("hash unleash")).0, "18%");
    assert_eq!(moved(PAIR, &with("salt chat")).0, "0%", "the policy's name is the salt by itself");
    assert_eq!(moved(&with("hash split_clients"), &with("hash split_clients\nsalt next")).0, "0%");
    assert_eq!(moved(&stable_and(""), &format!("{}\nsalt next", stable_and(""))), ("0%".to_owned(), false));
}

#[test]
fn a_new_version_of_the_same_name_is_no_move() {
    let canary = "release stable a version=1.0.0\nrelease canary b version=2.1.0 weight=10%";
    assert_eq!(moved(PAIR, canary).0, "0%");
    assert_eq!(moved(PAIR, &canary.replace("10%", "1%")).0, "9%");
    assert_eq!(moved(PAIR, &PAIR.replace("1.0.0", "1.1.0")).0, "0%");
    let swapped = "release stable b version=2.0.0\nrelease canary a version=1.0.0 weight=10%";
    assert_eq!(moved(PAIR, swapped), ("100%".to_owned(), true));
}
