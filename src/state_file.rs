//! The state file: what the shared zone holds, as JSON on disk, so that weights and verdicts outlive a restart. Written by the
//! driver in a thread of nginx's pool, read by the master as it starts and by `nginx -t`.

mod disk;

use std::collections::BTreeMap;
use std::io;

pub use self::disk::{Found, NotSaved, aside, is_alive, may_write, read, save, write};

use serde::{Deserialize, Serialize};

use crate::control::Control;
use crate::counts::Counts;
use crate::duration::Seconds;
use crate::generation::Generation;

/// To change when an older module could not read the file.
const FORMAT: u32 = 1;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StateFile {
    pub format: u32,
    pub writer: Writer,
    /// Counts the writes.
    pub sequence: u64,
    pub written: Seconds,
    /// The key of module cookies where no file has one, in hex words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookie_key: Option<[u64; 4]>,
    pub policies: BTreeMap<String, SavedPolicy>,
    /// The last events, the oldest first.
    #[serde(default)]
    pub events: Vec<serde_json::Value>,
}

/// Which nginx wrote it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Writer {
    /// When its master began.
    pub started: Seconds,
    /// Its master.
    pub pid: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedPolicy {
    pub control: Control,
    #[serde(default)]
    pub generations: BTreeMap<Generation, SavedGeneration>,
    /// From, to, and how many requests.
    #[serde(default)]
    pub fallbacks: Vec<(Generation, Generation, u64)>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SavedGeneration {
    pub counts: Counts,
    /// Judged requests since the ramp came to its step, and what all of them say.
    #[serde(default)]
    pub judged: u64,
    #[serde(default)]
    pub evidence: Vec<u64>,
}

impl SavedPolicy {
    /// Generations that the control still knows, but the zone has no place for any more, keep what they had.
    fn keep_retired(&mut self, before: SavedPolicy) {
        for (generation, saved) in before.generations {
            if self.control.find(generation).is_some() {
                self.generations.entry(generation).or_insert(saved);
            }
        }
    }
}

impl StateFile {
    pub fn new(writer: Writer, now: Seconds) -> StateFile {
        StateFile { format: FORMAT, writer, sequence: 1, written: now, ..StateFile::default() }
    }

    pub fn to_json(&self) -> io::Result<Vec<u8>> {
        let mut text = serde_json::to_vec_pretty(self).map_err(io::Error::other)?;
        text.push(b'\n');
        Ok(text)
    }

    /// The error is a sentence.
    pub fn parse(text: &[u8]) -> Result<StateFile, String> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        let head: Head =
            serde_json::from_slice(text).map_err(|error| format!("it is no state file: {error}"))?;
        if head.format != FORMAT {
            return Err(format!("it has format {}, and this module reads format {FORMAT}", head.format));
        }
        let mut state: StateFile =
            serde_json::from_slice(text).map_err(|error| format!("it is damaged: {error}"))?;
        // What a hand has edited must not be trusted either.
        state.policies.retain(|_, saved| saved.control.is_sound() && saved.control.epoch <= LAST_EPOCH);
        Ok(state)
    }
}

/// More than anybody counts to.
const LAST_EPOCH: u64 = 1 << 48;
