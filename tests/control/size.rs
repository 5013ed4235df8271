//! The place that a control has in the shared zone.

use lobechat_canary::control::{By, Control, State};

use crate::{Canary, read};

/// As many releases as a policy may have, with the longest names.
fn crowd() -> String {
    let mut text = String::new();
    for index in 0..16 {
        let name = format!("{}{index:02}", "n".repeat(61));
        let more = if index > 2 { " from=99.99%" } else { "" };
        text += &format!(
            "release {name} upstream-{index:03} version=1.0.{index}-rc.1+{}{more}\n",
            "b".repeat(40)
        );
    }
    text
}

#[test]
fn the_largest_control_fits() {
    let text = crowd();
    let mut canary = Canary::new(&text);
    let names: Vec<String> = canary.policy.releases.iter().map(|release| release.name.clone()).collect();
    let reason = "\u{1}\"".repeat(200);
    for name in names.iter().skip(1) {
        canary.now = u64::from(u32::MAX);
        let by = By { who: "prometheus-alertmanager@monitoring", reason: Some(&reason), now: canary.now };
        canary.control.rollback(&canary.policy, name, by).unwrap();
    }
    let whole = serde_json::to_vec(&canary.control).unwrap().len();
    assert!(whole > 8192, "{whole} bytes need no shedding");
    let read = Control::from_bytes(&canary.control.to_bytes(8192).unwrap()).unwrap();
    for (read, kept) in read.declared().iter().zip(canary.control.declared()) {
        assert_eq!((read.generation, read.state, read.own), (kept.generation, kept.state, kept.own));
        assert_eq!((&read.name, &read.version, &read.file), (&kept.name, &kept.version, &kept.file));
    }
    // What was left out for want of space comes back with the next file.
    canary.control = read;
    canary.reload(&text);
    assert_eq!(canary.control.declared()[3].upstream, "upstream-003");
}

#[test]
fn explanations_give_way_before_states_do() {
    let file = |version: usize| {
        format!("release stable a version=1.0.0\nrelease canary b version=2.{version}.0 weight=1%")
    };
    let mut canary = Canary::new(&file(0));
    for version in 1..8 {
        canary.now += 1;
        let reason = "because ".repeat(25);
        let by = By { who: "alice", reason: Some(&reason), now: canary.now };
        if version % 2 == 0 {
            canary.control.rollback(&canary.policy, "canary", by).unwrap();
        }
        canary.reload(&file(version));
    }
    let down =
        |control: &Control| control.generations.iter().filter(|standing| standing.own == State::Down).count();
    let full = canary.control.to_bytes(usize::MAX).unwrap();
    assert_eq!((Control::from_bytes(&full).unwrap(), down(&canary.control)), (canary.control.clone(), 3));
    let mut kept = (full.len(), canary.control.generations.len());
    for longest in (600..full.len()).rev() {
        let text = canary.control.to_bytes(longest).unwrap();
        assert!(text.len() <= longest);
        let read = Control::from_bytes(&text).unwrap();
        assert_eq!(read.declared().len(), 2);
        if read.generations.len() > 2 + 3 {
            assert_eq!(down(&read), 3, "at {longest}");
        }
        assert!(read.generations.len() <= kept.1);
        kept = (longest, read.generations.len());
    }
    assert_eq!(kept.1, 2, "down to the lines of the file");
    assert_eq!(canary.control.to_bytes(100), None);
}

#[test]
fn foreign_bytes_are_refused() {
    let control = Canary::new(crate::PAIR).control;
    for lines in [0, 3] {
        let text = serde_json::to_vec(&Control { lines, ..control.clone() }).unwrap();
        assert!(Control::from_bytes(&text).unwrap_err().contains("generations in the file"));
    }
    assert!(Control::from_bytes(b"{}").is_err());
    assert!(read(crate::PAIR).needs_state.is_none());
}
