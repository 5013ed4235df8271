//! A control as bytes of the shared zone, where it has a place of a fixed size. What only explains gives way first, what
//! decides who is served by which build never does.

use super::{Control, Standing, State};
use crate::text::head;

/// Leaves out some of a control; false: there is nothing left to leave out.
type Shed = fn(&mut Control) -> bool;

/// What is left of who gave a verdict, in bytes.
const SHORT_NAME: usize = 32;

/// The ways to become smaller, what is missed least first.
const SHEDDING: [Shed; 4] = [
    |control| control.retired_mut().iter_mut().fold(false, |shed, standing| standing.shed() | shed),
    |control| control.forget(|standing| standing.own != State::Down),
    |control| control.forget(|_| true),
    |control| control.generations.iter_mut().fold(false, |shed, standing| standing.shed() | shed),
];

impl Control {
    /// As kept in a slot of `longest` bytes. `None`: it does not fit, whatever is left out.
    pub fn to_bytes(&self, longest: usize) -> Option<Vec<u8>> {
        let mut control = self.clone();
        let mut shedding = SHEDDING.iter();
        let mut shed = shedding.next()?;
        loop {
            let text = serde_json::to_vec(&control).ok()?;
            if text.len() <= longest {
                return Some(text);
            }
            while !shed(&mut control) {
                shed = shedding.next()?;
            }
        }
    }

    pub fn from_bytes(text: &[u8]) -> Result<Control, String> {
        let control: Control = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        match control.is_sound() {
            true => Ok(control),
            false => {
                Err(format!("{} of {} generations in the file", control.lines, control.generations.len()))
            }
        }
    }

    /// The generations that no file names any more.
    fn retired_mut(&mut self) -> &mut [Standing] {
        self.generations.get_mut(self.lines..).unwrap_or_default()
    }

    /// Forgets the oldest retired generation of a kind.
    pub(super) fn forget(&mut self, is_kind: fn(&Standing) -> bool) -> bool {
        let lines = self.lines;
        let oldest = self.generations.iter().enumerate().skip(lines).rev().find(|(_, old)| is_kind(old));
        match oldest.map(|(index, _)| index) {
            Some(index) => {
                self.generations.remove(index);
                true
            }
            None => false,
        }
    }
}

impl Standing {
    /// Leaves out words that only explain.
    fn shed(&mut self) -> bool {
        let upstream = std::mem::take(&mut self.upstream);
        let Some(verdict) = &mut self.verdict else {
            return !upstream.is_empty();
        };
        let reason = std::mem::take(&mut verdict.reason);
        let end = head(&verdict.by, SHORT_NAME).len();
        let is_long = end < verdict.by.len();
        verdict.by.truncate(end);
        !upstream.is_empty() || !reason.is_empty() || is_long
    }
}
