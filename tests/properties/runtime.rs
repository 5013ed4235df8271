//! What must hold of a policy's runtime through any series of commands, reloads and restarts.

use lobechat_canary::control::{By, Control, Standing, State};
use lobechat_canary::decision::STABLE;
use lobechat_canary::generation::Generation;
use lobechat_canary::in_force::InForce;
use lobechat_canary::percent::Percent;
use lobechat_canary::policy::Policy;
use proptest::prelude::*;

use crate::cases;
use crate::checks::stand_ins::{Server, policy_on};

pub const NOW: u64 = 1_795_525_200;
pub const SLOT: usize = 8192;

/// A file: what its three lines behind the stable one say.
type File = [(&'static str, &'static str); 3];

const NAMES: [&str; 3] = ["canary", "beta", "next"];

pub fn parsed(text: &str) -> Policy {
    policy_on(&mut Server::default(), "chat", text).unwrap_or_else(|error| panic!("{text}: {error:?}"))
}

/// Versions and settings by line; settings may be a ramp.
fn policy(stable: &str, file: &File) -> Policy {
    let mut text = format!("release stable s version={stable}\nuser cookie:uid\n");
    for ((name, (version, setting)), from) in NAMES.iter().zip(file).zip(["", "", " from=40%"]) {
        let (setting, ramp) = match setting.strip_prefix("ramp ") {
            Some(ramp) => ("", format!("ramp {name} {ramp}\n")),
            None => (*setting, String::new()),
        };
        text.push_str(&format!("release {name} {name} version={version}{from} {setting}\n{ramp}"));
    }
    parsed(&text)
}

/// As the zone or the state file would give it back.
fn stored(control: &Control) -> Control {
    Control::from_bytes(&control.to_bytes(SLOT).unwrap()).unwrap()
}

pub fn reload(policy: &Policy, control: &Control, now: u64) -> Control {
    Control::reload(policy, Some(&stored(control)), now).control
}

/// The generation that each bucket gets.
pub fn served(policy: &Policy, in_force: &InForce) -> Vec<Generation> {
    let lines: Vec<Generation> = policy.generations().collect();
    let at = |bucket| lines[in_force.line_of(in_force.split.release_at(bucket).unwrap_or(STABLE))];
    (0..10_000).map(at).collect()
}

pub fn by(now: u64) -> By<'static> {
    By { who: "alice", reason: Some("because"), now }
}

#[derive(Clone, Debug)]
enum Command {
    Weight(usize, u16),
    Rollback(usize),
    Reset(usize),
    State(usize, State),
    Promote(usize),
    RampStart(usize),
    RampPause(usize),
    Tick(usize, u64),
    Restart,
}

impl Command {
    fn run(&self, policy: &Policy, control: &mut Control, now: u64) {
        let before = control.clone();
        let result = match *self {
            Command::Weight(n, weight) => {
                let weight = Percent::from_basis_points(weight).unwrap();
                control.set_weights(policy, &[(NAMES[n].to_owned(), weight)], None, by(now))
            }
            Command::Rollback(n) => control.rollback(policy, NAMES[n], by(now)),
            Command::Reset(n) => control.reset(policy, NAMES[n], by(now)),
            Command::State(n, state) => control.set_state(policy, NAMES[n], state, by(now)),
            Command::Promote(n) => control.promote(policy, NAMES[n], by(now)),
            Command::RampStart(n) => control.ramp_start(policy, NAMES[n], by(now)),
            Command::RampPause(n) => control.ramp_pause(policy, NAMES[n], by(now)),
            Command::Tick(n, judged) => {
                Ok(control.ramp_tick(policy, NAMES[n], judged, 0.0, now).unwrap_or_default())
            }
            Command::Restart => {
                *control = stored(control);
                return assert_eq!(*control, before, "nothing is lost on the way");
            }
        };
        match result {
            Ok(change) if change.events.is_empty() => {
                assert_eq!(*control, before, "{self:?}: no event, no change")
            }
            Ok(_) => assert_eq!(control.epoch, before.epoch + 1, "{self:?}"),
            Err(refused) => assert_eq!(*control, before, "{self:?} was refused: {refused:?}"),
        }
    }
}

fn command() -> impl Strategy<Value = Command> {
    let (n, state) = (0..3_usize, prop_oneof![Just(State::Up), Just(State::Drain), Just(State::Down)]);
    prop_oneof![
        4 => (0..3_usize, 0..4000_u16).prop_map(|(n, weight)| Command::Weight(n, weight)),
        1 => n.clone().prop_map(Command::Rollback),
        1 => n.clone().prop_map(Command::Reset),
        1 => (n.clone(), state).prop_map(|(n, state)| Command::State(n, state)),
        1 => n.clone().prop_map(Command::Promote),
        1 => n.clone().prop_map(Command::RampStart),
        1 => n.clone().prop_map(Command::RampPause),
        2 => (n, 0..100_u64).prop_map(|(n, judged)| Command::Tick(n, judged)),
        1 => Just(Command::Restart),
    ]
}

fn file() -> impl Strategy<Value = File> {
    let version = || prop_oneof![3 => Just("1.1.0"), 1 => Just("1.2.0")];
    let setting = || {
        prop_oneof![
            Just(""),
            Just("weight=5%"),
            Just("weight=20%"),
            Just("drain"),
            Just("weight=10% down"),
            Just("ramp 1% 10m 5% 10m 25%"),
            Just("ramp 2% 10m 30% start=auto"),
        ]
    };
    [(version(), setting()), (version(), setting()), (version(), setting())]
}

/// What holds at any time.
fn check(policy: &Policy, control: &Control) {
    let in_force = control.in_force(policy);
    let served = served(policy, &in_force);
    for (line, standing) in control.declared().iter().enumerate() {
        let count = served.iter().filter(|&&generation| generation == standing.generation).count();
        if standing.generation == control.stable {
            assert!(standing.state == State::Up && standing.verdict.is_none(), "stable serves");
            continue;
        }
        assert_eq!(count, usize::from(standing.weight.basis_points()), "line {line} of {control:?}");
        assert!(standing.state == State::Up || standing.weight == Percent::ZERO, "{standing:?}");
        assert_eq!(standing.state, standing.own.max(standing.file.state), "{standing:?}");
    }
}

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn an_unchanged_file_changes_nothing(file in file(), commands in prop::collection::vec(command(), 0..12)) {
        let policy = policy("1.0.0", &file);
        let mut control = Control::reload(&policy, None, NOW).control;
        for (step, command) in commands.iter().enumerate() {
            let now = NOW + 700 * step as u64;
            command.run(&policy, &mut control, now);
            check(&policy, &control);
            let reloaded = Control::reload(&policy, Some(&stored(&control)), now + 5);
            prop_assert_eq!(reloaded.moved, Percent::ZERO);
            prop_assert_eq!(reloaded.control.epoch, control.epoch);
            prop_assert_eq!(reloaded.control.in_force(&policy).roles, control.in_force(&policy).roles);
            prop_assert_eq!(served(&policy, &reloaded.control.in_force(&policy)), served(&policy, &control.in_force(&policy)));
            prop_assert_eq!(&reloaded.control.declared()[0].ramp, &control.declared()[0].ramp);
        }
    }

    /// Whatever changes in a file: what was closed by hand or by a verdict stays closed, verdicts stay, what did not change stays, and
    /// workers of both files agree.
    #[test]
    fn a_file_takes_only_what_it_changes(
        first in file(), second in file(), commands in prop::collection::vec(command(), 0..12),
    ) {
        let (old, new) = (policy("1.0.0", &first), policy("1.0.0", &second));
        let mut control = Control::reload(&old, None, NOW).control;
        for (step, command) in commands.iter().enumerate() {
            command.run(&old, &mut control, NOW + 700 * step as u64);
        }
        let after = Control::reload(&new, Some(&stored(&control)), NOW + 10_000);
        let overlapped = after.notices.iter().any(|notice| notice.contains("overlapped"));
        let after = after.control;
        check(&new, &after);
        prop_assert!(after.epoch >= control.epoch);
        for (line, now) in after.declared().iter().enumerate() {
            let Some(was) = control.find(now.generation) else {
                prop_assert!(now.verdict.is_none() && now.own == State::Up, "a new build starts up: {:?}", now);
                continue;
            };
            if now.generation == after.stable || was.generation == control.stable {
                continue;
            }
            prop_assert!(now.verdict == was.verdict || now.own == State::Up, "{:?} to {:?}", was, now);
            if was.verdict.is_some() {
                prop_assert!(now.verdict == was.verdict && now.own == was.own, "{:?} to {:?}", was, now);
            }
            if (line == STABLE || first[line - 1] == second[line - 1]) && !overlapped {
                prop_assert_eq!((was.state, was.weight, &was.ramp), (now.state, now.weight, &now.ramp), "line {}", line);
            }
            if was.state != State::Up && now.state == State::Up {
                prop_assert!(was.file.state != State::Up && now.file.state == State::Up, "{:?} to {:?}", was, now);
            }
        }
        // Old workers agree with new ones, about every build that both know.
        let (in_old, in_new) = (after.in_force(&old), after.in_force(&new));
        let known: Vec<Generation> = old.generations().filter(|g| new.generations().any(|n| n == *g)).collect();
        for (bucket, (at_old, at_new)) in served(&old, &in_old).into_iter().zip(served(&new, &in_new)).enumerate() {
            if known.contains(&at_new) && known.contains(&after.stable) {
                prop_assert_eq!(at_old, at_new, "bucket {}", bucket);
            }
        }
        // Back to the file before: verdicts are still there.
        let back = reload(&old, &after, NOW + 20_000);
        check(&old, &back);
        // But for a build that had to serve as stable in between.
        let lasts = |was: &&Standing| was.verdict.is_some() && was.generation != after.stable;
        for was in control.declared().iter().filter(lasts) {
            prop_assert_eq!(back.find(was.generation).unwrap().own, was.own, "{:?}", was);
        }
    }

    #[test]
    fn more_for_one_takes_from_stable_alone(weights in [0..2500_u16, 0..2500, 0..2500], which in 0..3_usize, more in 1..2500_u16) {
        let policy = policy("1.0.0", &[("1.1.0", ""), ("1.1.0", ""), ("1.1.0", "")]);
        let mut control = Control::reload(&policy, None, NOW).control;
        for (n, weight) in weights.into_iter().enumerate() {
            Command::Weight(n, weight).run(&policy, &mut control, NOW);
        }
        let before = served(&policy, &control.in_force(&policy));
        let (stable, grown) = (control.stable, control.declared()[which + 1].generation);
        Command::Weight(which, (weights[which] + more).min(2500)).run(&policy, &mut control, NOW);
        for (was, is) in before.into_iter().zip(served(&policy, &control.in_force(&policy))) {
            prop_assert!(was == is || (was, is) == (stable, grown));
        }
    }
}
