//! Runtime control over any course of commands and reloads: who is served by which build, and who may move.

#[path = "control/course.rs"]
mod course;

use lobechat_canary::control::{By, Control, Standing, State};
use lobechat_canary::decision::STABLE;
use lobechat_canary::generation::Generation;
use lobechat_canary::in_force::InForce;
use lobechat_canary::percent::Percent;
use lobechat_canary::policy::Policy;
use proptest::prelude::*;

use self::course::{File, NAMES, Step, file, step};
use crate::cases;
use crate::checks::layout::CELLS;

/// The bytes that the shared zone has for a control.
const SLOT: usize = 8192;

fn percent(text: &str) -> Percent {
    Percent::parse(text).unwrap()
}

fn by(now: u64) -> By<'static> {
    By { who: "alice", reason: None, now }
}

/// The build that each basis point of the users gets from a worker that has read `policy`.
fn served(policy: &Policy, control: &Control) -> Vec<Generation> {
    let lines: Vec<Generation> = policy.generations().collect();
    let in_force: InForce = control.in_force(policy);
    let mut seen: Vec<usize> = in_force.roles.iter().map(|role| role.line).collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..lines.len()).collect::<Vec<_>>(), "each name stands for one line");
    assert_eq!(in_force.roles[STABLE].state, State::Up);
    let build = |cell: usize| {
        let release = in_force.split.release_at(cell as u32).unwrap_or(STABLE);
        assert_eq!(in_force.roles[release].state, State::Up);
        lines[in_force.roles[release].line]
    };
    (0..CELLS).map(build).collect()
}

/// A server over time.
struct Server {
    file: File,
    policy: Policy,
    control: Control,
    now: u64,
}

impl Server {
    fn new(file: File) -> Option<Server> {
        let policy = file.policy()?;
        let control = Control::reload(&policy, None, 1).control;
        Some(Server { file, policy, control, now: 1 })
    }

    fn served(&self) -> Vec<Generation> {
        served(&self.policy, &self.control)
    }

    /// Carries a step out. True: it was a command that may open the release.
    fn take(&mut self, step: &Step) {
        self.now += 1;
        let (policy, now) = (&self.policy, self.now);
        let before = self.control.clone();
        let name = |index: &usize| NAMES[*index];
        let result = match step {
            Step::Weight(index, weight) => {
                let weights = [(name(index).to_owned(), percent(&format!("{weight}%")))];
                self.control.set_weights(policy, &weights, None, by(now))
            }
            Step::Rollback(index) => self.control.rollback(policy, name(index), by(now)),
            Step::Reset(index) => self.control.reset(policy, name(index), by(now)),
            Step::State(index, state) => self.control.set_state(policy, name(index), *state, by(now)),
            Step::Promote(index) => self.control.promote(policy, name(index), by(now)),
            Step::Start(index) => self.control.ramp_start(policy, name(index), by(now)),
            Step::Pause(index) => self.control.ramp_pause(policy, name(index), by(now)),
            Step::Tick(index, judged, later, doubt) => {
                self.now += later;
                let evidence = if *doubt { 10.0 } else { 9.9 };
                let change = self.control.ramp_tick(policy, name(index), *judged, evidence, self.now);
                assert!(change.is_none() || !doubt);
                Ok(change.unwrap_or_default())
            }
            Step::Commit | Step::Edit(..) | Step::Reload => return self.read(step),
        };
        match result {
            Err(_) => assert_eq!(self.control, before, "{step:?} was refused"),
            Ok(change) if change.events.is_empty() => {
                assert_eq!(self.control, before, "{step:?} did nothing")
            }
            Ok(_) => assert_eq!(self.control.epoch, before.epoch + 1),
        }
    }

    fn read(&mut self, step: &Step) {
        let (was, before) = (self.served(), self.control.clone());
        let mut file = self.file.clone();
        match step {
            Step::Edit(index, line) if *index < file.0.len() => file.0[*index] = line.clone(),
            Step::Commit => file.commit(&self.policy, &self.control),
            _ => {}
        }
        let Some(policy) = file.policy() else {
            return;
        };
        let reloaded = Control::reload(&policy, Some(&self.control), self.now);
        let is_edit = matches!(step, Step::Edit(..));
        if !is_edit {
            assert!(served(&policy, &reloaded.control) == was, "{step:?} flips nobody");
            assert_eq!(reloaded.moved, Percent::ZERO);
        }
        // Workers of the file before, which have open connections to finish.
        let (new, old) = (served(&policy, &reloaded.control), served(&self.policy, &reloaded.control));
        let known: Vec<Generation> = self.policy.generations().collect();
        let stable = known.contains(&reloaded.control.stable);
        for (cell, (new, old)) in new.iter().zip(&old).enumerate() {
            if known.contains(new) {
                assert_eq!(new, old, "an older worker at {cell}");
            } else if stable {
                assert_eq!(*old, reloaded.control.stable, "an older worker at {cell}");
            }
        }
        // The share that is said to move is the one that moves.
        let is_move = |(was, new): &(&Generation, &Generation)| was != new && known.contains(new);
        let moves = was.iter().zip(&new).filter(is_move).count();
        if new.iter().all(|generation| known.contains(generation)) {
            assert_eq!(usize::from(reloaded.moved.basis_points()), moves, "{}", reloaded.because);
        }
        if matches!(step, Step::Reload) {
            assert_eq!(reloaded.control.epoch, before.epoch);
            assert_eq!(reloaded.control.declared().len(), before.declared().len());
            for (after, before) in reloaded.control.declared().iter().zip(before.declared()) {
                let same = |control: &Standing| {
                    let mut standing = control.clone();
                    standing.seen = 0;
                    standing
                };
                assert_eq!(same(after), same(before));
            }
            assert!(reloaded.steps_began.is_empty());
        }
        (self.file, self.policy, self.control) = (file, policy, reloaded.control);
    }

    /// What holds at any time.
    fn check(&self) {
        self.served();
        for standing in self.control.declared() {
            let is_stable = standing.generation == self.control.stable;
            let held = standing.file.state;
            assert!(is_stable || standing.state >= held, "{standing:?}");
            assert!(!is_stable || standing.state == State::Up, "{standing:?}");
            assert!(
                standing.weight == Percent::ZERO || standing.state == State::Up && !is_stable,
                "{standing:?}"
            );
            assert!(standing.verdict.is_none() || standing.own != State::Up, "{standing:?}");
        }
        let bytes = self.control.to_bytes(SLOT).unwrap();
        let read = Control::from_bytes(&bytes).unwrap();
        assert_eq!(read.declared(), self.control.declared());
    }
}

/// The states of all builds that were ever known.
fn closed(control: &Control) -> Vec<Generation> {
    let convicted = control.generations.iter().filter(|standing| standing.verdict.is_some());
    convicted.filter(|standing| standing.own == State::Down).map(|standing| standing.generation).collect()
}

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn any_course_of_commands_and_reloads(file in file(), steps in prop::collection::vec(step(), 1..30)) {
        let Some(mut server) = Server::new(file) else {
            return Ok(());
        };
        server.check();
        for step in &steps {
            let (before, convicted) = (server.control.clone(), closed(&server.control));
            let (was, old_stable) = (server.served(), server.control.stable);
            server.take(step);
            server.check();
            let now = server.served();
            // What a verdict has taken down comes back by a reset or a state, or where the file makes it the stable one.
            for generation in convicted {
                let Some(standing) = server.control.find(generation) else {
                    panic!("{generation} is forgotten with few generations after it");
                };
                let opens = matches!(step, Step::Reset(_) | Step::State(..));
                let is_stable = server.control.stable == generation;
                prop_assert!(opens || is_stable || standing.state == State::Down, "{step:?}: {before:?}");
            }
            let moved: Vec<(Generation, Generation)> =
                was.iter().zip(&now).filter(|(was, now)| was != now).map(|(was, now)| (*was, *now)).collect();
            match step {
                // From stable into it, or back.
                Step::Weight(..) | Step::Start(_) | Step::Tick(..) | Step::Rollback(_) | Step::Reset(_) | Step::State(..) => {
                    for (was, now) in &moved {
                        prop_assert!(*was == old_stable || *now == old_stable, "{step:?}");
                    }
                    let into: std::collections::BTreeSet<_> = moved.iter().map(|(_, now)| now).collect();
                    prop_assert!(into.len() <= 1, "{step:?} moves one way");
                }
                // Those of stable go where those of the promoted release are; nobody else moves.
                Step::Promote(_) => for (was, now) in &moved {
                    prop_assert!(*was == old_stable && *now == server.control.stable);
                },
                Step::Pause(_) | Step::Commit | Step::Reload => prop_assert!(moved.is_empty(), "{step:?}"),
                Step::Edit(..) => {}
            }
        }
    }
}
