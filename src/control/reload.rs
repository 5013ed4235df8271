//! What becomes of a policy's runtime when a file is read again, or after a restart: a line that has changed takes from the
//! file what has changed in it, everything else stays as it is.

use openssl::sha::sha256;

use super::{Control, Line, Standing, State};
use crate::duration::Seconds;
use crate::generation::Generation;
use crate::hash::first_word;
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
    /// Whether those users are in the middle of something: a release other than the stable one had users before, or the
    /// stable one is another now. Not so where a new release gets its first users.
    pub in_use: bool,
    /// The generations whose ramps have come to a step, for which judged requests count from now on.
    pub steps_began: Vec<Generation>,
}

impl Control {
    /// Puts a file in force over what was stored; `None` for a policy that is new.
    pub fn reload(policy: &Policy, stored: Option<&Control>, now: Seconds) -> Reloaded {
        let mut control = Control {
            epoch: 0,
            stable: policy.generations().next().unwrap_or(Generation::new(&policy.name, b"", None)),
            generations: Vec::new(),
            lines: policy.releases.len(),
            dealt: policy.dealt,
        };
        let mut reasons = Vec::new();
        for (line, generation) in policy.generations().enumerate() {
            let known = stored.and_then(|stored| stored.find(generation));
            let (standing, why) = match known {
                None => (new(policy, line, generation, now), "a new build, as the file says"),
                Some(known) => kept(policy, line, known, now),
            };
            control.generations.push(standing);
            reasons.push(why);
        }
        if let Some(stored) = stored {
            control.keep_exchange(stored);
            control.keep_enrolments(stored);
            control.retire(stored);
        }
        control.open_stable();
        control.place();
        if control.split(policy.declared.split.mode()).is_err() {
            control.take_all_from_file(policy, now);
            reasons.fill("weights overlapped, so all are the file's");
        }
        control.epoch = match stored {
            Some(stored) if control.is_like(stored) => stored.epoch,
            Some(stored) => stored.epoch + 1,
            None => 1,
        };
        let (moved, because) =
            stored.map_or((Percent::ZERO, ""), |stored| super::moved::moved(stored, &control));
        let notices = control.generations.iter().zip(reasons);
        let notices = notices.map(|(standing, why)| control.notice(policy, standing, why)).collect();
        let is_used = |stored: &Control| stored.declared().iter().any(|s| s.weight != Percent::ZERO);
        let in_use = stored.is_some_and(|stored| is_used(stored) || stored.stable != control.stable);
        let steps_began = control.steps_since(stored);
        Reloaded { control, notices, moved, because, in_use, steps_began }
    }

    /// A promotion holds until the file names other builds.
    fn keep_exchange(&mut self, stored: &Control) {
        let Some(file_was) = stored.generations.first().map(|standing| standing.generation) else {
            return;
        };
        let is_there = self.declared().iter().any(|standing| standing.generation == stored.stable);
        if stored.stable != file_was && self.stable == file_was && is_there {
            self.stable = stored.stable;
        }
    }

    /// Enrolments are for a name, whatever build it stands for; those that have ended stay so.
    fn keep_enrolments(&mut self, stored: &Control) {
        for line in 0..self.lines {
            let before = stored.named(&self.generations[self.line_of(line)].name);
            let ended = before.map_or(0, |before| before.enrolled_since);
            let enrolled_since = &mut self.generations[line].enrolled_since;
            *enrolled_since = ended.max(*enrolled_since);
        }
    }

    fn retire(&mut self, stored: &Control) {
        let retired = stored.generations.iter().filter(|old| self.find(old.generation).is_none());
        let mut retired: Vec<Standing> = retired.cloned().collect();
        retired.sort_by_key(|standing| std::cmp::Reverse(standing.seen));
        // Its time goes on, but without it.
        for ramp in retired.iter_mut().filter_map(|standing| standing.ramp.as_mut()) {
            ramp.pause();
        }
        self.generations.extend(retired);
        while self.generations.len() > self.lines + RETIRED {
            // What was taken down must not come back as if it were new.
            let _ = self.forget(|standing| standing.own != State::Down) || self.forget(|_| true);
        }
    }

    /// Whatever the stable name stands for has to serve.
    pub(super) fn open_stable(&mut self) {
        let stable = self.stable;
        for standing in self.generations.iter_mut().filter(|standing| standing.generation == stable) {
            (standing.own, standing.state, standing.weight) = (State::Up, State::Up, Percent::ZERO);
            standing.verdict = None;
        }
    }

    /// A place belongs to a name: whatever build that stands for grows from there.
    pub(super) fn place(&mut self) {
        let anchors: Vec<_> = self.declared().iter().map(|standing| standing.file.anchor).collect();
        for line in 0..anchors.len() {
            self.generations[line].anchor = anchors[self.line_of(line)];
        }
    }

    fn take_all_from_file(&mut self, policy: &Policy, now: Seconds) {
        let (lines, stable) = (self.lines, self.stable);
        for (line, standing) in self.generations.iter_mut().take(lines).enumerate() {
            let is_open = standing.state == State::Up && standing.generation != stable;
            standing.weight = if is_open { standing.file.weight } else { Percent::ZERO };
            if is_open {
                standing.restart_ramp(policy.ramp_of(line), now);
            }
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

    fn steps_since(&self, stored: Option<&Control>) -> Vec<Generation> {
        let since =
            |standing: &Standing| standing.ramp.as_ref().and_then(|ramp| Some((ramp.step, ramp.since?)));
        let before =
            |standing: &Standing| stored.and_then(|stored| stored.find(standing.generation)).and_then(since);
        let began = self.declared().iter().filter(|s| since(s).is_some() && since(s) != before(s));
        began.map(|standing| standing.generation).collect()
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
}

/// What a line of the file says.
fn line_of(policy: &Policy, line: usize) -> Line {
    let release = &policy.releases[line];
    let digest = |ramp: &Ramp| format!("{:016x}", first_word(&sha256(ramp.text.as_bytes())));
    Line {
        weight: release.weight,
        anchor: release.from.or_else(|| Anchor::default_of(line)),
        state: release.state,
        ramp: policy.ramp_of(line).map(digest).unwrap_or_default(),
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
        own: State::Up,
        weight: if file.state == State::Up { file.weight } else { Percent::ZERO },
        anchor: file.anchor,
        enrolled_since: 0,
        verdict: None,
        ramp: None,
        file,
        seen: now,
    };
    standing.restart_ramp(policy.ramp_of(line), now);
    standing
}

/// A generation that is known, under the line that names it now.
fn kept(policy: &Policy, line: usize, known: &Standing, now: Seconds) -> (Standing, &'static str) {
    let fresh = new(policy, line, known.generation, now);
    let mut standing = Standing {
        name: fresh.name,
        upstream: fresh.upstream,
        version: fresh.version,
        file: fresh.file,
        seen: now,
        ..known.clone()
    };
    let (file, was) = (&standing.file, &known.file);
    let mut why = "as it was";
    if file.anchor != was.anchor {
        why = "its place has changed in the file";
    }
    if file.weight != was.weight {
        (standing.weight, why) = (file.weight, "its weight has changed in the file");
    }
    let is_released = file.state != was.state && file.state == State::Up;
    if file.state != was.state {
        why = "its state has changed in the file";
        // From now on the file alone holds it there, so that it is open again when the file no longer does. What was taken
        // down for a reason stays so.
        if standing.verdict.is_none() && standing.own <= file.state {
            standing.own = State::Up;
        }
    }
    let (is_ramp_changed, is_renamed) = (file.ramp != was.ramp, standing.name != known.name);
    standing.state = standing.own.max(file.state);
    let ramp = policy.ramp_of(line);
    match standing.state {
        State::Up if is_released => {
            standing.weight = standing.file.weight;
            standing.restart_ramp(ramp, now);
        }
        State::Up if is_ramp_changed => standing.change_ramp(ramp, is_renamed, now),
        State::Up => {}
        _ => {
            standing.weight = Percent::ZERO;
            if let Some(progress) = &mut standing.ramp {
                progress.pause();
            }
            if is_ramp_changed {
                standing.change_ramp(ramp, is_renamed, now);
            }
        }
    }
    match standing.own {
        State::Up => {}
        _ if why == "as it was" => {}
        _ if standing.verdict.is_some() => why = "it was taken down, which only a reset undoes",
        _ => why = "its state was set by hand, which only a reset undoes",
    }
    if is_ramp_changed && why == "as it was" {
        why = "its ramp has changed in the file";
    }
    (standing, why)
}
