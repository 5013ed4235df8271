//! What has happened to policies: who changed what, and every verdict with its numbers. Written where changes and verdicts
//! are made, kept as JSON in the shared zone, shown by the API.

use serde::{Deserialize, Serialize};

use crate::duration::Seconds;
use crate::rfc3339;
use crate::text::head;

/// One entry of the audit, as the API shows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// 1 for the first; given by whoever keeps the events.
    pub seq: u64,
    #[serde(with = "rfc3339")]
    pub at: Seconds,
    pub policy: String,
    /// None: the policy as a whole.
    pub release: Option<String>,
    pub version: Option<String>,
    pub kind: Kind,
    /// `judge`, `burst`, `ramp`, `reload`, a user or an address.
    pub by: String,
    pub text: String,
    pub reason: Option<String>,
    pub numbers: Option<serde_json::Map<String, serde_json::Value>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    #[default]
    Weight,
    Rollback,
    Verdict,
    Promote,
    Reset,
    State,
    Ramp,
    Reload,
}

impl Event {
    /// As JSON of at most `longest` bytes: what people wrote is cut to fit, then the numbers are left out. `None`: it
    /// does not fit even so.
    pub fn to_json(&self, longest: usize) -> Option<Vec<u8>> {
        let mut event = self.clone();
        for text in event.reason.iter_mut().chain([&mut event.text, &mut event.by]) {
            shorten(text, text.len().saturating_sub(longest));
        }
        loop {
            let json = serde_json::to_vec(&event).ok()?;
            match json.len().checked_sub(longest) {
                None | Some(0) => return Some(json),
                Some(over) => event.drop_some(over)?,
            }
        }
    }

    /// Leaves out some of what may be left out, for JSON that is `over` bytes too long.
    fn drop_some(&mut self, over: usize) -> Option<()> {
        // A byte takes up to six in JSON.
        let bytes = over.div_ceil(6);
        let reason = self.reason.as_mut().filter(|reason| !reason.is_empty());
        match (reason, &self.numbers) {
            (Some(reason), _) => shorten(reason, bytes),
            (None, Some(_)) => self.numbers = None,
            (None, None) => {
                let rest = [&mut self.text, &mut self.by].into_iter().find(|text| !text.is_empty())?;
                shorten(rest, bytes);
            }
        }
        Some(())
    }

    pub fn from_json(text: &[u8]) -> Option<Event> {
        serde_json::from_slice(text).ok()
    }
}

/// Cuts at least `over` bytes off the end, and says so.
fn shorten(text: &mut String, over: usize) {
    const CUT: &str = "…";
    if over > 0 {
        let cut = if text.ends_with(CUT) { over + CUT.len() } else { over };
        let end = head(text, text.len().saturating_sub(cut)).len();
        text.truncate(end);
        if end > 0 {
            text.push_str(CUT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Event {
        Event {
            seq: 12,
            at: 1_795_525_200,
            policy: "chat".to_owned(),
            release: Some("canary".to_owned()),
            version: None,
            kind: Kind::Rollback,
            by: "alice".to_owned(),
            text: "canary 2.1.26 rolled back".to_owned(),
            reason: Some("blank pages".to_owned()),
            numbers: None,
        }
    }

    #[test]
    fn is_read_as_written() {
        let json = event().to_json(752).unwrap();
        assert_eq!(
            String::from_utf8_lossy(&json),
            r#"{"seq":12,"at":"2026-11-24T13:00:00Z","policy":"chat","release":"canary","version":null,"kind":"rollback","by":"alice","text":"canary 2.1.26 rolled back","reason":"blank pages","numbers":null}"#
        );
        assert_eq!(Event::from_json(&json), Some(event()));
    }

    #[test]
    fn fits_whatever_people_write() {
        for filler in ["ä", "\"", "\u{1}", "x", "🦀"] {
            let mut event = Event { reason: Some(filler.repeat(70_000)), ..event() };
            let whole = serde_json::from_str(r#"{"evidence":1234.5}"#).unwrap();
            event.numbers = Some(whole);
            let json = event.to_json(752).unwrap();
            let read = Event::from_json(&json).unwrap();
            assert!(json.len() <= 752 && read.numbers == event.numbers, "{filler}");
            assert!(read.reason.unwrap().ends_with('…') && json.len() > 700, "{filler}: {}", json.len());
            event.by = filler.repeat(70_000);
            event.text = filler.repeat(70_000);
            assert!(event.to_json(752).unwrap().len() <= 752);
        }
        assert_eq!(event().to_json(50), None);
    }
}
