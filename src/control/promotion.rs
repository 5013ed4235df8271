//! Promotion: the stable name comes to stand for another release's build, and that release's name for the former
//! stable's, until the file says the same.

use super::commands::not_up;
use super::{By, Change, Control, Progress, Refused, State};
use crate::decision::STABLE;
use crate::events::Kind;
use crate::percent::Percent;
use crate::policy::Policy;

impl Control {
    pub fn promote(&mut self, policy: &Policy, name: &str, by: By<'_>) -> Result<Change, Refused> {
        let promoted = self.other_than_stable(policy, name, "there is nothing to promote")?;
        if promoted.state != State::Up {
            return Err(Refused::Conflict(not_up(name, promoted, "try it and promote it")));
        }
        let new = promoted.generation;
        let old = self.stable;
        if self.stable != self.generations[STABLE].generation && new != self.generations[STABLE].generation {
            return Err(Refused::Conflict(
                "another release was promoted before: commit the lines of that promotion to the file and reload first"
                    .to_owned(),
            ));
        }
        // Cookies name releases: what has ended of a name stays so.
        let enrolled = |generation| self.find(generation).map_or(0, |standing| standing.enrolled_since);
        let enrolled_since = [(old, enrolled(new)), (new, enrolled(old))];
        self.stable = new;
        for standing in &mut self.generations {
            let exchanged = enrolled_since.iter().find(|(generation, _)| *generation == standing.generation);
            let Some((_, enrolled_since)) = exchanged else {
                continue;
            };
            standing.enrolled_since = *enrolled_since;
            standing.ramp.iter_mut().for_each(Progress::end);
            if standing.generation == old {
                standing.put(State::Drain);
            }
        }
        self.open_stable();
        self.place();
        let text = format!(
            "\"{name}\" is stable now, and its name stands for the former stable release, which drains"
        );
        let standing = self.standing(policy, &policy.releases[STABLE].name)?.1;
        let event = Control::event(standing, &policy.name, name, Kind::Promote, by, text);
        Ok(self.done(Change { events: vec![event], cleared: Some(new), ..Change::default() }))
    }

    /// After a promotion, the two `release` lines to write into the file, so that it says the same.
    pub fn commit_lines(&self, policy: &Policy) -> Option<[String; 2]> {
        let other = self.line_of(STABLE);
        let line = |name: usize, more: &str| {
            let named = policy.releases.get(name)?;
            let release = policy.releases.get(self.line_of(name))?;
            let upstream = String::from_utf8_lossy(&release.upstream);
            let version = release.version.as_deref().map(|version| format!(" version={version}"));
            // Where the name grows from stays with the name.
            let from = named.from.map(|from| format!(" from={from}"));
            let (version, from) = (version.unwrap_or_default(), from.unwrap_or_default());
            Some(format!("release {} {upstream}{version}{from}{more};", named.name))
        };
        if other == STABLE {
            return None;
        }
        // Most often it drains; somebody may have opened it again, or taken it down.
        let former = self.declared().get(STABLE)?;
        let more = match former.state {
            State::Up if former.weight == Percent::ZERO || policy.ramp_of(other).is_some() => String::new(),
            State::Up => format!(" weight={}", former.weight),
            state => format!(" {}", state.name()),
        };
        Some([line(STABLE, "")?, line(other, &more)?])
    }
}
