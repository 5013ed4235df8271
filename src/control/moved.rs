//! How many users a reload gives another build, for the warning of `nginx -t` and the log.

use super::{Control, Standing};
use crate::generation::Generation;
use crate::hash::BUCKETS;
use crate::percent::Percent;
use crate::split::Anchor;

/// The share of users who get another build, and why. A new version under the same name is what they were promised.
pub fn moved(before: &Control, after: &Control) -> (Percent, &'static str) {
    let is_move = |old: Generation, new: Generation| {
        let is_renewed = before.find(new).is_none() && before.name_of(old) == after.name_of(new);
        old != new && !is_renewed
    };
    let (had, get) = (before.generations_by_point(), after.generations_by_point());
    if before.dealt == after.dealt {
        let count = had.iter().zip(&get).filter(|&(&old, &new)| is_move(old, new)).count();
        return (percent(count as f64), before.why_moved(after));
    }
    // Everybody is dealt anew, whatever he had before.
    let mut stay = 0.0;
    for old in before.declared().iter().map(|standing| standing.generation) {
        let share = had.iter().filter(|&&generation| generation == old).count() as f64;
        let stays = get.iter().filter(|&&new| !is_move(old, new)).count() as f64;
        stay += share * stays / f64::from(BUCKETS);
    }
    (percent(f64::from(BUCKETS) - stay), "salt, hash or user has changed, which deals all users anew")
}

fn percent(points: f64) -> Percent {
    Percent::from_basis_points(points.round() as u16).unwrap_or(Percent::FULL)
}

impl Control {
    fn why_moved(&self, after: &Control) -> &'static str {
        let file_s = |control: &Control| control.declared().first().map(|standing| standing.generation);
        let was_exchanged = file_s(self) != Some(self.stable);
        if was_exchanged && after.stable != self.stable && Some(after.stable) == file_s(self) {
            return "the promoted release is no longer in the file, which names the former stable one as stable";
        }
        match self.stable == after.stable {
            true => "weights or places have changed",
            false => "the stable release has changed",
        }
    }

    /// The standing that a name of the file stands for.
    pub(super) fn named(&self, name: &str) -> Option<&Standing> {
        let index = self.declared().iter().position(|standing| standing.name == name)?;
        self.declared().get(self.line_of(index))
    }

    /// The name that stands for a generation of the file.
    fn name_of(&self, generation: Generation) -> Option<&str> {
        let line = self.declared().iter().position(|standing| standing.generation == generation)?;
        self.declared().get(self.line_of(line)).map(|standing| standing.name.as_str())
    }

    /// The generation that users at each point of 10000 get.
    fn generations_by_point(&self) -> Vec<Generation> {
        let mut points = vec![self.stable; usize::from(BUCKETS)];
        for standing in self.declared() {
            let range = match standing.anchor {
                _ if standing.generation == self.stable => continue,
                Some(Anchor::Up(from)) => from..from.checked_add(standing.weight).unwrap_or(Percent::FULL),
                Some(Anchor::Top) => standing.weight.rest()..Percent::FULL,
                None => continue,
            };
            let range = usize::from(range.start.basis_points())..usize::from(range.end.basis_points());
            points.get_mut(range).unwrap_or_default().fill(standing.generation);
        }
        points
    }
}
