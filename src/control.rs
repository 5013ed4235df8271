//! What operators, ramps and verdicts have made of a policy since its file was read: states, weights, roles. Plain data
//! with the rules that change it; kept in the shared zone and the state file, changed by the API and the driver.

mod commands;
mod in_force;
mod moved;
mod promotion;
mod reload;
mod schedule;
mod size;

use serde::{Deserialize, Serialize};

use crate::duration::Seconds;
use crate::events::{Event, Kind};
use crate::generation::Generation;
use crate::percent::Percent;
use crate::split::Anchor;
use crate::text::head;

pub use self::reload::Reloaded;
pub use self::schedule::{DOUBT, Pace, Progress};

/// What a release may get (design section 8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    #[default]
    Up,
    /// No new pages; open ones go on.
    Drain,
    /// Nothing but the files of open pages.
    Down,
}

impl State {
    pub const ALL: [State; 3] = [State::Up, State::Drain, State::Down];

    pub fn name(self) -> &'static str {
        match self {
            State::Up => "up",
            State::Drain => "drain",
            State::Down => "down",
        }
    }

    fn is_up(&self) -> bool {
        *self == State::Up
    }

    pub fn parse(text: &str) -> Option<State> {
        State::ALL.into_iter().find(|state| state.name() == text)
    }
}

/// The runtime side of one policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Control {
    /// Counts every change of weight, state, role or ramp.
    pub epoch: u64,
    /// The generation that the stable name stands for. Another than the one of the file's first line after a promotion, until
    /// the file names other generations.
    pub stable: Generation,
    /// The generations of the file's lines, in their order, then those of earlier files, newest first.
    pub generations: Vec<Standing>,
    /// How many of them the file has.
    pub lines: usize,
    /// Tells one way of dealing users (salt, hash, user) from another.
    pub dealt: u64,
}

/// How one generation stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    pub generation: Generation,
    /// The name in the file that named it last.
    pub name: String,
    pub upstream: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// In force: the lower one of `own` and what the file holds.
    #[serde(default, skip_serializing_if = "State::is_up")]
    pub state: State,
    /// What operators and verdicts have made of it, which stays when the file no longer holds it.
    #[serde(default, skip_serializing_if = "State::is_up")]
    pub own: State,
    /// In force; zero unless the state is `up`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub weight: Percent,
    /// Where its range starts; without it the weight stays zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor: Option<Anchor>,
    /// `remember` cookies issued before this time have ended.
    #[serde(default, skip_serializing_if = "is_never")]
    pub enrolled_since: Seconds,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ramp: Option<Progress>,
    /// What its line in the file says, to see at the next reload what has changed there.
    pub file: Line,
    /// When a file last named it.
    #[serde(default)]
    pub seen: Seconds,
}

/// What a line of the file says of weight and state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Line {
    #[serde(default, skip_serializing_if = "is_zero")]
    pub weight: Percent,
    /// `from=`, or what the place in the file gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor: Option<Anchor>,
    /// `drain` or `down`, which it holds.
    #[serde(default, skip_serializing_if = "State::is_up")]
    pub state: State,
    /// A digest of its ramp.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub ramp: String,
}

fn is_zero(weight: &Percent) -> bool {
    *weight == Percent::ZERO
}

fn is_never(time: &Seconds) -> bool {
    *time == 0
}

/// Why a generation was taken down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    pub at: Seconds,
    /// `judge`, `burst`, or who asked for the rollback.
    pub by: String,
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<f64>,
}

/// What a command has changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    pub events: Vec<Event>,
    /// The generation whose evidence, and all else that the judge knows, is to be forgotten.
    pub cleared: Option<Generation>,
    /// The generation that was taken down, for its counter.
    pub rolled_back: Option<Generation>,
    /// The generation whose ramp has come to a step, for which judged requests count from now on.
    pub step_began: Option<Generation>,
}

/// Why a command has changed nothing: a sentence that says what to do first.
#[derive(Clone, Debug, PartialEq)]
pub enum Refused {
    /// 400
    Invalid(String),
    /// 404
    Unknown(String),
    /// 409
    Conflict(String),
}

/// Who does something, when and why.
#[derive(Clone, Copy, Debug)]
pub struct By<'a> {
    pub who: &'a str,
    pub reason: Option<&'a str>,
    pub now: Seconds,
}

/// What people write is kept up to here, in bytes.
const LONGEST_TEXT: usize = 200;

impl Control {
    /// Whether what was read from elsewhere is one.
    pub fn is_sound(&self) -> bool {
        (1..=self.generations.len()).contains(&self.lines)
    }

    pub fn find(&self, generation: Generation) -> Option<&Standing> {
        self.generations.iter().find(|standing| standing.generation == generation)
    }

    /// The standings of the file's lines.
    pub fn declared(&self) -> &[Standing] {
        self.generations.get(..self.lines).unwrap_or(&self.generations)
    }

    fn event(standing: &Standing, policy: &str, name: &str, kind: Kind, by: By<'_>, text: String) -> Event {
        Event {
            at: by.now,
            policy: policy.to_owned(),
            release: Some(name.to_owned()),
            version: standing.version.clone(),
            kind,
            by: shortened(by.who).to_owned(),
            text,
            reason: by.reason.map(|reason| shortened(reason).to_owned()),
            ..Event::default()
        }
    }
}

/// What people have written, as far as it is kept.
fn shortened(text: &str) -> &str {
    head(text, LONGEST_TEXT)
}
