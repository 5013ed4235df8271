//! Files that may be edited, and what may happen to a policy over time.

use lobechat_canary::control::{Control, State};
use lobechat_canary::decision::STABLE;
use lobechat_canary::policy::Policy;
use proptest::prelude::*;
use proptest::sample::select;

use crate::checks::stand_ins::policy_named;

pub const NAMES: [&str; 4] = ["stable", "canary", "beta", "gamma"];

/// One line of a file that may be edited.
#[derive(Clone, Debug)]
pub struct Line {
    pub upstream: usize,
    version: usize,
    weight: usize,
    state: &'static str,
    ramp: Option<&'static str>,
}

/// Four names; the weights of the last three fit together whatever they are.
#[derive(Clone, Debug)]
pub struct File(pub Vec<Line>);

impl File {
    pub fn text(&self) -> String {
        let mut text = String::from("user header:x-id\n");
        for (index, (line, name)) in self.0.iter().zip(NAMES).enumerate() {
            let from = if index == 3 { " from=40%" } else { "" };
            let weight = match (index, line.ramp) {
                (STABLE, _) | (_, Some(_)) => String::new(),
                _ => format!(" weight={}%", line.weight),
            };
            let state = if index == STABLE { "" } else { line.state };
            text += &format!(
                "release {name} u{} version={}.0.0{weight}{from} {state}\n",
                line.upstream, line.version
            );
            if let (Some(ramp), 1..) = (line.ramp, index) {
                text += &format!("ramp {name} {ramp}\n");
            }
        }
        text
    }

    /// Takes over the lines that a promotion asks for.
    pub fn commit(&mut self, policy: &Policy, control: &Control) {
        let other = control.line_of(STABLE);
        let Some([stable, named]) = control.commit_lines(policy) else {
            return assert_eq!(other, STABLE);
        };
        let (first, second) = (self.0[STABLE].clone(), self.0[other].clone());
        let state = ["drain", "down"].into_iter().find(|state| named.ends_with(&format!(" {state};")));
        assert!(
            stable
                .starts_with(&format!("release stable u{} version={}.0.0", second.upstream, second.version))
        );
        let from = if other == 3 { " from=40%" } else { "" };
        // Somebody may have opened the former stable build again, and given it a weight.
        let (former, ramp) = (&control.declared()[STABLE], second.ramp);
        let weight = match former.state {
            State::Up if ramp.is_none() => usize::from(former.weight.basis_points()) / 100,
            _ => 0,
        };
        let weighed = if weight == 0 { String::new() } else { format!(" weight={weight}%") };
        let word = state.map_or(weighed, |state| format!(" {state}"));
        let line = format!(
            "release {} u{} version={}.0.0{from}{word};",
            NAMES[other], first.upstream, first.version
        );
        assert_eq!(named, line);
        self.0[STABLE] = Line { upstream: second.upstream, version: second.version, ..first.clone() };
        self.0[other] = Line {
            upstream: first.upstream,
            version: first.version,
            weight,
            state: state.unwrap_or_default(),
            ramp,
        };
    }

    /// `None`: two lines name one build, or a weight that was committed does not fit beside those of the file.
    pub fn policy(&self) -> Option<Policy> {
        let known = ["upstream and version", "overlap", "more than 100%"];
        let check = |message: &str| assert!(known.iter().any(|known| message.contains(known)), "{message}");
        policy_named("chat", &self.text()).map_err(|error| check(&error.message)).ok()
    }
}

fn line() -> impl Strategy<Value = Line> {
    let ramp = prop_oneof![
        3 => Just(None),
        1 => Just(Some("1% 10m 10% 30m 20%")),
        1 => Just(Some("5% 10m 30% min_requests=3 start=auto"))
    ];
    (0..4_usize, 1..3_usize, 0..=30_usize, select(vec!["", "", "", "drain", "down"]), ramp)
        .prop_map(|(upstream, version, weight, state, ramp)| Line { upstream, version, weight, state, ramp })
}

pub fn file() -> impl Strategy<Value = File> {
    prop::collection::vec(line(), 2..=4).prop_map(|mut lines| {
        for (index, line) in lines.iter_mut().enumerate() {
            line.upstream = index;
        }
        File(lines)
    })
}

#[derive(Clone, Debug)]
pub enum Step {
    Weight(usize, usize),
    Rollback(usize),
    Reset(usize),
    State(usize, State),
    Promote(usize),
    Start(usize),
    Pause(usize),
    Tick(usize, u64, u64, bool),
    /// Puts what a promotion says into the file, and reads it.
    Commit,
    Edit(usize, Line),
    Reload,
}

pub fn step() -> impl Strategy<Value = Step> {
    let name = || 0..NAMES.len();
    let state = select(State::ALL.to_vec());
    prop_oneof![
        3 => (name(), 0..=60_usize).prop_map(|(name, weight)| Step::Weight(name, weight)),
        2 => name().prop_map(Step::Rollback),
        2 => name().prop_map(Step::Reset),
        2 => (name(), state).prop_map(|(name, state)| Step::State(name, state)),
        2 => name().prop_map(Step::Promote),
        2 => name().prop_map(Step::Start),
        1 => name().prop_map(Step::Pause),
        3 => (name(), 0..100_u64, 0..3600_u64, any::<bool>()).prop_map(|(name, judged, later, doubt)| Step::Tick(name, judged, later, doubt)),
        2 => Just(Step::Commit),
        3 => (name(), line()).prop_map(|(name, line)| Step::Edit(name, line)),
        2 => Just(Step::Reload),
    ]
}
