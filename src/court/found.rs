//! What speaks for a verdict, in words and numbers. Used by the court.

use std::sync::atomic::Ordering::Relaxed;

use crate::control::Verdict;
use crate::duration::Seconds;
use crate::judge::Evidence;
use crate::judge::burst::is_tripped;
use crate::rollback::Rollback;
use crate::zone::GenerationSlot;

pub type Found = (Verdict, serde_json::Map<String, serde_json::Value>);

/// Evidence that is not written out, as forty digits tell nobody more.
const CERTAIN: f64 = 1e6;

pub fn by_evidence(
    evidence: &Evidence,
    needed: f64,
    slot: &GenerationSlot,
    stable: &GenerationSlot,
) -> Found {
    let total = evidence.total();
    let parts = [
        (evidence.fail.e() / 2.0, "fails more often"),
        (evidence.p50.e() / 4.0, "is slower"),
        (evidence.p90.e() / 4.0, "is slower"),
    ];
    let most = parts.iter().fold(parts[0], |most, part| if part.0 > most.0 { *part } else { most });
    let shown = if total < CERTAIN { format!("{total:.0}") } else { format!("above {CERTAIN:.0}") };
    let reason = format!("{} than stable at the same time: evidence {shown}, {needed:.0} is enough", most.1);
    let mut numbers = serde_json::Map::new();
    for (name, value) in [
        ("evidence", total),
        ("threshold", needed),
        ("fail", evidence.fail.e()),
        ("p50", evidence.p50.e()),
        ("p90", evidence.p90.e()),
    ] {
        numbers.insert(name.to_owned(), rounded(value));
    }
    numbers.insert("blocks".to_owned(), evidence.blocks.into());
    for (name, slot) in [("release", slot), ("stable", stable)] {
        let counts = slot.counts();
        let failed: u64 = counts.attempts[1..=6].iter().sum();
        numbers.insert(format!("{name}_attempts"), counts.attempts.iter().sum::<u64>().into());
        numbers.insert(format!("{name}_failed"), failed.into());
    }
    (Verdict { at: 0, by: "judge".to_owned(), reason, evidence: Some(total) }, numbers)
}

fn rounded(value: f64) -> serde_json::Value {
    ((value * 100.0).round() / 100.0).into()
}

pub fn by_burst(
    rollback: &Rollback,
    slot: &GenerationSlot,
    stable: &GenerationSlot,
    now: Seconds,
) -> Option<Found> {
    let in_a_row = u32::try_from(slot.connect_failures.load(Relaxed)).unwrap_or(u32::MAX);
    let since = slot.connect_failed_since.load(Relaxed);
    let connected = stable.connected.load(Relaxed);
    if !is_tripped(in_a_row, since, rollback.burst, now, (connected > 0).then_some(connected)) {
        return None;
    }
    let reason = format!("{in_a_row} connections in a row failed while those to stable stood");
    let mut numbers = serde_json::Map::new();
    numbers.insert("in_a_row".to_owned(), in_a_row.into());
    numbers.insert("burst".to_owned(), rollback.burst.into());
    Some((Verdict { at: 0, by: "burst".to_owned(), reason, evidence: None }, numbers))
}
