//! The share that a release really gets of 100 000 users, for several kinds of ids.

use std::fmt::Display;

use lobechat_canary::decision::decide;

use crate::MODES;
use crate::checks::stand_ins::{PlainRequest, policy};

const USERS: u32 = 100_000;

/// The id of the nth user.
type Id = fn(u32) -> String;

/// Ids as they come: counted, random, with a long common part.
const FAMILIES: [(&str, Id); 5] = [
    ("names", |n| format!("user_{n}")),
    ("numbers", |n| n.to_string()),
    ("visitors", |n| format!("{:08x}{:08x}{n:08x}{:08x}", spread(n, 1), spread(n, 2), spread(n, 3))),
    ("mail", |n| format!("person{}@customers.example.org", n * 7)),
    ("addresses", |n| format!("10.{}.{}.{}-Mozilla/5.0 (X11; Linux x86_64)", n >> 16, n >> 8 & 255, n & 255)),
];

/// Weights of the releases, and of the stable one what is left.
const SHARES: [(&str, f64); 4] = [("stable", 0.64), ("canary", 0.01), ("beta", 0.10), ("nightly", 0.25)];

/// A bijection of the 32-bit numbers that looks random.
fn spread(n: u32, seed: u32) -> u32 {
    let n = (n ^ seed << 24).wrapping_mul(0x9e37_79b1);
    (n ^ n >> 15).wrapping_mul(0x85eb_ca77) ^ n >> 13
}

/// The release of each user.
fn releases(mode: &str, salt: &str, id: Id) -> Vec<usize> {
    let policy = policy(&format!(
        "release stable a
        release canary b weight=1%
        release beta c weight=10%
        release nightly d weight=25% from=40%
        hash {mode}
        salt {salt}
        user header:x-id"
    ));
    let release = |n| {
        decide(&policy, &policy.declared, &PlainRequest::default().header("X-Id", id(n))).unwrap().release
    };
    (0..USERS).map(release).collect()
}

/// How many standard deviations `count` of `total` lies from what a fair draw gives.
fn deviations(count: usize, total: usize, share: f64) -> f64 {
    let total = total as f64;
    (count as f64 - total * share) / (total * share * (1.0 - share)).sqrt()
}

fn assert_fair(count: usize, total: usize, share: f64, what: impl Display) {
    let z = deviations(count, total, share);
    assert!(z.abs() < 5.0, "{what}: {count} of {total} users at {share}, z = {z:.2}");
}

fn assert_shares(mode: &str, salt: &str) {
    for (family, id) in FAMILIES {
        let releases = releases(mode, salt, id);
        for (release, (name, share)) in SHARES.into_iter().enumerate() {
            let count = releases.iter().filter(|&&r| r == release).count();
            assert_fair(count, releases.len(), share, format_args!("{mode} {salt} {family} {name}"));
        }
    }
}

#[test]
fn shares_are_within_binomial_bounds() {
    for mode in MODES {
        assert_shares(mode, "chat-2.1.26");
    }
}

#[test]
fn any_salt_is_as_fair() {
    for salt in ["default", "2", "a/long-salt.with:punctuation/and-a-version+2026.11.23"] {
        assert_shares("native", salt);
    }
}

/// Another salt draws new guinea pigs: being one before says nothing. `split_clients` knows no salt.
#[test]
fn salts_draw_independently() {
    for mode in MODES {
        for (family, id) in &FAMILIES[..2] {
            let (before, after) = (releases(mode, "chat-1", *id), releases(mode, "chat-2", *id));
            if mode == "split_clients" {
                assert_eq!(before, after);
                continue;
            }
            let (nightly, beta) = (3, 2);
            let earlier: Vec<usize> = (0..before.len()).filter(|&n| before[n] == nightly).collect();
            let again = earlier.iter().filter(|&&n| after[n] == beta).count();
            assert_fair(again, earlier.len(), SHARES[beta].1, format_args!("{mode} {family}"));
        }
    }
}

/// The bound of five standard deviations is worth something: a share that is off by a tenth would not pass.
#[test]
fn the_bound_is_tight_enough() {
    let total = USERS as usize;
    assert!(deviations(total * 11 / 100, total, 0.10) > 5.0);
    assert!(deviations(total * 275 / 1000, total, 0.25) > 5.0);
}
