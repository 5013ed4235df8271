//! What becomes of a policy's runtime when a file is read again, or after a restart: a line that has changed takes from the
//! file what has changed in it, everything else stays as it is.

use super::schedule::Progress;
use super::{Control, Line, Standing, State};
use crate::decision::STABLE;
use crate::duration::Seconds;
use crate::generation::Generation;
use crate::hash::BUCKETS;
use crate::percent::Percent;
use crate::policy::Policy;
use crate::ramp::Ramp;
use crate::split::Anchor;

/// How many generations that no file names any more are remembered.
const RETIRED: usize = 8;

/// What a reload comes to.
#[derive(Clone, Debug)]
pub struct Reloaded {
    pub control: Control,
    /// One for each release: its weight in the file and in force, and why.
    pub notices: Vec<String>,
    /// The share of users who get another build than before, and why they do.
    pub moved: Percent,
    pub because: &'static str,
}

impl Control {
    /// Puts a file in force over what was stored; `None` for a policy that is new.
    pub fn reload(policy: &Policy, stored: Option<&Control>, now: Seconds) -> Reloaded {
        let mut notices = Vec::new();
        let mut generations = Vec::new();
        for (line, generation) in policy.generations().enumerate() {
            let known = stored.and_then(|stored| stored.find(generation));
            let (standing, why) = match known {
                None => (new(policy, line, generation, now), "a new build, as the file says"),
                Some(known) => kept(policy, line, known, now),
            };
            notices.push((standing.clone(), why));
            generations.push(standing);
        }
        let lines = generations.len();
        let mut control = Control {
            epoch: 0,
            stable: generations[STABLE].generation,
            generations,
            lines,
            dealt: policy.dealt,
        };
        if let Some(stored) = stored {
            control.keep_exchange(stored);
            control.retire(stored);
        }
        control.open_stable();
        let fits = control.split(policy.declared.split.mode()).is_ok();
        if !fits {
            control.take_all_from_file();
        }
        control.epoch = match stored {
            Some(stored) if control.is_like(stored) => stored.epoch,
            Some(stored) => stored.epoch + 1,
            None => 1,
        };
        let (moved, because) = stored.map_or((Percent::ZERO, ""), |stored| moved(stored, &control));
        let text = |(standing, why): &(Standing, &str)| {
            let why = if fits { why } else { "weights overlapped, so all are the file's" };
            let in_force = control.find(standing.generation).unwrap_or(standing);
            control.notice(policy, in_force, why)
        };
        let notices = notices.iter().map(text).collect();
        Reloaded { control, notices, moved, because }
    }

    /// A promotion holds until the file names other builds.
    fn keep_exchange(&mut self, stored: &Control) {
        let file_was = stored.generations[STABLE].generation;
        let is_there = self.declared().iter().any(|standing| standing.generation == stored.stable);
        if stored.stable != file_was && self.stable == file_was && is_there {
            self.stable = stored.stable;
        }
    }

    fn retire(&mut self, stored: &Control) {
        let retired = stored.generations.iter().filter(|old| self.find(old.generation).is_none());
        let mut retired: Vec<Standing> = retired.cloned().collect();
        retired.sort_by_key(|standing| std::cmp::Reverse(standing.seen));
        retired.truncate(RETIRED);
        self.generations.extend(retired);
    }

    /// Whatever the stable name stands for has to serve.
    pub(super) fn open_stable(&mut self) {
        let stable = self.stable;
        for standing in self.generations.iter_mut().filter(|standing| standing.generation == stable) {
            (standing.state, standing.weight, standing.verdict) = (State::Up, Percent::ZERO, None);
        }
    }

    fn take_all_from_file(&mut self) {
        let (lines, stable) = (self.lines, self.stable);
        for standing in self.generations.iter_mut().take(lines) {
            standing.anchor = standing.file.anchor;
            let open = standing.state == State::Up && standing.generation != stable;
            standing.weight = if open { standing.file.weight } else { Percent::ZERO };
        }
    }

    fn is_like(&self, stored: &Control) -> bool {
        let strip = |control: &Control| {
            let mut control = Control { epoch: 0, ..control.clone() };
            control.generations.truncate(control.lines);
            control.generations.iter_mut().for_each(|standing| standing.seen = 0);
            control
        };
        strip(self) == strip(stored)
    }

    fn notice(&self, policy: &Policy, standing: &Standing, why: &str) -> String {
        let version =
            standing.version.as_deref().map(|version| format!(" version {version}")).unwrap_or_default();
        let name = &standing.name;
        if standing.generation == self.stable {
            return format!("policy \"{}\": release \"{name}\"{version} is stable: {why}", policy.name);
        }
        format!(
            "policy \"{}\": release \"{name}\"{version} has weight {} in the file and {} in force, state {}: {why}",
            policy.name,
            standing.file.weight,
            standing.weight,
            standing.state.name()
        )
    }

    /// The generation that users at this point of 10000 get.
    fn generation_at(&self, point: u16) -> Generation {
        let holds = |standing: &&Standing| {
            let (start, end) = match standing.anchor {
                Some(Anchor::Up(from)) => {
                    (from.basis_points(), from.basis_points() + standing.weight.basis_points())
                }
                Some(Anchor::Top) => (standing.weight.rest().basis_points(), BUCKETS),
                None => (0, 0),
            };
            (start..end).contains(&point)
        };
        self.declared().iter().find(holds).map_or(self.stable, |standing| standing.generation)
    }
}

/// What a line of the file says.
fn line_of(policy: &Policy, line: usize) -> Line {
    let release = &policy.releases[line];
    let ramp = policy.ramp_of(line);
    Line {
        weight: release.weight,
        anchor: release.from.or_else(|| Anchor::default_of(line)),
        state: release.state,
        ramp: ramp.map(|ramp| ramp.text.clone()).unwrap_or_default(),
    }
}

fn new(policy: &Policy, line: usize, generation: Generation, now: Seconds) -> Standing {
    let (release, file) = (&policy.releases[line], line_of(policy, line));
    let mut standing = Standing {
        generation,
        name: release.name.clone(),
        upstream: String::from_utf8_lossy(&release.upstream).into_owned(),
        version: release.version.as_deref().map(str::to_owned),
        state: file.state,
        weight: Percent::ZERO,
        anchor: file.anchor,
        enrolled_since: 0,
        verdict: None,
        ramp: None,
        file,
        seen: now,
    };
    if standing.state == State::Up {
        standing.weight = standing.file.weight;
    }
    start_ramp(&mut standing, policy.ramp_of(line), now);
    standing
}

fn start_ramp(standing: &mut Standing, ramp: Option<&Ramp>, now: Seconds) {
    standing.ramp = ramp.map(|ramp| Progress::new(ramp, now));
    if let (Some(ramp), State::Up) = (ramp, standing.state) {
        standing.weight = if ramp.auto { ramp.weight(0) } else { Percent::ZERO };
    }
}

/// A generation that is known, under the line that names it now.
fn kept(policy: &Policy, line: usize, known: &Standing, now: Seconds) -> (Standing, &'static str) {
    let (file, mut standing) = (line_of(policy, line), known.clone());
    let mut why = "as it was";
    standing.name.clone_from(&policy.releases[line].name);
    standing.seen = now;
    let was = std::mem::replace(&mut standing.file, file);
    let file = &standing.file;
    if file.anchor != was.anchor {
        (standing.anchor, why) = (file.anchor, "its place has changed in the file");
    }
    if file.state != was.state {
        why = "its state has changed in the file";
        // What a verdict or an operator took down stays so, whatever the file no longer says.
        if file.state != State::Up || standing.verdict.is_none() {
            standing.state = file.state;
            standing.weight = file.weight;
        }
    } else if file.weight != was.weight {
        (standing.weight, why) = (file.weight, "its weight has changed in the file");
    }
    if file.ramp != was.ramp {
        why = "its ramp has changed in the file";
        start_ramp(&mut standing, policy.ramp_of(line), now);
    }
    if standing.state != State::Up {
        standing.weight = Percent::ZERO;
        why = match why {
            "as it was" => why,
            _ if standing.verdict.is_some() => "it was taken down, which only a reset undoes",
            _ => why,
        };
    }
    (standing, why)
}

/// The share of users who get another build. A new version under the same name is what they were promised.
fn moved(before: &Control, after: &Control) -> (Percent, &'static str) {
    let name = |control: &Control, generation| control.find(generation).map(|s| s.name.clone());
    let is_move = |old: Generation, new: Generation| {
        let renewed = before.find(new).is_none() && name(before, old) == name(after, new);
        old != new && !renewed
    };
    let points = || 0..BUCKETS;
    if before.dealt == after.dealt {
        let count = points()
            .filter(|&point| is_move(before.generation_at(point), after.generation_at(point)))
            .count();
        return (percent(count as f64), "weights, places or roles have changed");
    }
    // Everybody is dealt anew, whatever he had before.
    let mut stay = 0.0;
    for old in before.declared() {
        let had = points().filter(|&point| before.generation_at(point) == old.generation).count() as f64;
        let gets =
            points().filter(|&point| !is_move(old.generation, after.generation_at(point))).count() as f64;
        stay += had * gets / f64::from(BUCKETS);
    }
    (percent(f64::from(BUCKETS) - stay), "salt, hash or user has changed, which deals all users anew")
}

fn percent(points: f64) -> Percent {
    Percent::from_basis_points(points.round() as u16).unwrap_or(Percent::FULL)
}
