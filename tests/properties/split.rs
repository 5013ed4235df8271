//! Anchored ranges: who moves when a weight changes, and that ranges are exact; and routes before them.

use lobechat_canary::decision::{Reason, STABLE};
use lobechat_canary::percent::Percent;
use lobechat_canary::policy::Policy;
use lobechat_canary::split::Anchor;
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};

use crate::checks::decided;
use crate::checks::layout::{CELLS, paint, release_of_cell};
use crate::checks::stand_ins::{PlainRequest, policy, policy_named};
use crate::{MODES, cases};

fn percent(points: usize) -> Percent {
    Percent::from_basis_points(points as u16).unwrap()
}

/// Where a release may grow: from `start`, or from the top, by up to `room` basis points.
#[derive(Clone, Debug)]
struct Slot {
    start: usize,
    room: usize,
    top: bool,
}

#[derive(Clone, Debug)]
struct Layout {
    mode: &'static str,
    /// The smallest step of a weight, in basis points.
    step: usize,
    slots: Vec<Slot>,
}

impl Layout {
    fn policy(&self, weights: &[usize]) -> Policy {
        let mut text = format!("release stable s\nhash {}\nsalt lobe\nuser header:x-id\n", self.mode);
        for (index, (slot, &weight)) in self.slots.iter().zip(weights).enumerate() {
            let from = match (slot.top, index) {
                (true, 1) => String::new(),
                (true, _) => " from=top".to_owned(),
                (false, 0) if slot.start == 0 => String::new(),
                (false, _) => format!(" from={}", percent(slot.start)),
            };
            text += &format!("release r{index} u{index} weight={}{from}\n", percent(weight));
        }
        policy(&text)
    }

    fn weights(&self, parts: &[f64]) -> Vec<usize> {
        let weight = |(slot, part): (&Slot, &f64)| (slot.room as f64 * part) as usize / self.step * self.step;
        self.slots.iter().zip(parts).map(weight).collect()
    }
}

/// One to four releases, side by side, in any order of the file; the last may grow down from the top.
fn layout() -> impl Strategy<Value = Layout> {
    let cuts = prop::collection::btree_set(1..100_usize, 0..4);
    let slots =
        (select(&MODES[..]), cuts, any::<bool>(), 1..=100_usize).prop_flat_map(|(mode, cuts, top, least)| {
            let (step, scale) = if mode == "unleash" { (100, 100) } else { (1, least) };
            let edges: Vec<usize> =
                [0].into_iter().chain(cuts.iter().map(|cut| cut * scale)).chain([CELLS]).collect();
            let slot = |pair: &[usize]| Slot {
                start: pair[0],
                room: pair[1] - pair[0],
                top: top && pair[1] == CELLS,
            };
            let slots: Vec<Slot> = edges.windows(2).map(slot).collect();
            (Just(mode), Just(step), Just(slots).prop_shuffle())
        });
    slots.prop_map(|(mode, step, slots)| Layout { mode, step, slots })
}

/// A share of the room there is; nothing and all of it often.
fn part() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), Just(1.0), 0.0..1.0]
}

/// A weight in percent or less, mostly so small that several fit together.
fn weight() -> impl Strategy<Value = usize> {
    prop_oneof![Just(0), 1..=20_usize, 0..=110_usize]
}

fn ids() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 200)
}

/// The releases of the ids, then of every basis point.
fn owners(policy: &Policy, ids: &[Vec<u8>]) -> Vec<usize> {
    let of_id = |id: &Vec<u8>| {
        let request = PlainRequest::default().header("X-Id", id);
        let decision = decided::check(policy, &request);
        assert_eq!(decision.reason, Reason::Split);
        decision.release
    };
    ids.iter().map(of_id).chain((0..CELLS).map(|cell| release_of_cell(policy, cell))).collect()
}

proptest! {
    #![proptest_config(cases(64))]

    /// Raising moves users from stable into that release only; lowering takes the same way back: whoever
    /// joined at a weight is there at every higher one, and the last to come are the first to go.
    #[test]
    fn one_weight_moves_users_between_stable_and_its_release_only(
        layout in layout(), others in prop::collection::vec(part(), 4), grown in any::<Index>(),
        mut steps in prop::collection::vec(part(), 2..5), ids in ids(),
    ) {
        let grown = grown.index(layout.slots.len());
        let mut parts = others;
        steps.sort_by(f64::total_cmp);
        let mut before: Option<(usize, Vec<usize>)> = None;
        for step in steps {
            parts[grown] = step;
            let weights = layout.weights(&parts);
            let after = owners(&layout.policy(&weights), &ids);
            let share = after[ids.len()..].iter().filter(|&&release| release == grown + 1).count();
            prop_assert_eq!(share, weights[grown], "the share of the basis points");
            if let Some((weight, before)) = before {
                for (old, new) in before.iter().zip(&after) {
                    let joins = (*old, *new) == (STABLE, grown + 1);
                    prop_assert!(old == new || joins, "{old} -> {new} at {weight} -> {}", weights[grown]);
                }
            }
            before = Some((weights[grown], after));
        }
    }

    #[test]
    fn exact_at_nothing_and_at_all(mode in select(&MODES[..]), top in any::<bool>(), ids in ids()) {
        let layout = Layout { mode, step: 1, slots: vec![Slot { start: 0, room: CELLS, top }] };
        for (weight, release) in [(0, STABLE), (CELLS, 1)] {
            prop_assert!(owners(&layout.policy(&[weight]), &ids).iter().all(|&owner| owner == release));
        }
    }

    /// Any weights and anchors: accepted if and only if no basis point belongs to two, and then laid out so.
    #[test]
    fn ranges_are_those_painted_by_hand(
        mode in select(&MODES[..]),
        shares in prop::collection::vec((weight(), prop::option::of(0..=110_usize), any::<bool>()), 1..5),
        scale in select(vec![1, 33, 50, 91, 100]),
    ) {
        let clamp = |points: usize| percent((points * scale).min(CELLS));
        let mut text = format!("hash {mode}\nrelease stable s\n");
        let mut weights = Vec::new();
        for (index, &(weight, from, top)) in shares.iter().enumerate() {
            text += &format!("release r{index} u{index} weight={}", clamp(weight));
            text += &match from {
                Some(_) if top => " from=top\n".to_owned(),
                Some(from) => format!(" from={}\n", clamp(from)),
                None => "\n".to_owned(),
            };
            let from = from.map(|from| if top { Anchor::Top } else { Anchor::Up(clamp(from)) });
            weights.push((usize::from(clamp(weight).basis_points()), from));
        }
        let whole = |&(weight, from): &(usize, Option<Anchor>)| {
            weight % 100 == 0 && !matches!(from, Some(Anchor::Up(from)) if from.basis_points() % 100 != 0)
        };
        let painted = paint(&weights).filter(|_| mode != "unleash" || weights.iter().all(whole));
        match (policy_named("p", &text), painted) {
            (Ok(policy), Some(cells)) => {
                let step = if mode == "unleash" { 100 } else { 1 };
                for cell in (0..CELLS).step_by(step) {
                    prop_assert_eq!(release_of_cell(&policy, cell), cells[cell], "basis point {}\n{}", cell, text);
                }
            }
            (Err(error), None) => prop_assert!(error.place.is_some_and(|place| place.line >= 3)),
            (result, painted) => {
                let error = result.err().map(|error| error.message);
                prop_assert!(false, "{error:?}, but {} by hand\n{text}", painted.is_some());
            }
        }
    }

    /// Whatever the user's bucket, the first route that matches decides.
    #[test]
    fn routes_come_first(
        sent in subsequence(vec![0, 1, 2, 3, 4], 0..=5), routes in Just(vec![0, 1, 2, 3, 4]).prop_shuffle(),
        mode in select(&MODES[..]), weight in 0..=100_usize, id in prop::option::of("[a-z0-9]{1,8}"),
    ) {
        let mut text = format!("hash {mode}\nrelease stable s\nrelease r1 u weight={weight}%\nrelease r2 v\nuser arg:id\n");
        let release = |route: usize| ["stable", "r1", "r2"][route % 3];
        for &route in &routes {
            text += &format!("route {} if cookie:c{route} = on\n", release(route));
        }
        let policy = policy(&text);
        let cookies: Vec<String> = sent.iter().map(|route| format!("c{route}=on")).collect();
        let request = PlainRequest::default().header("Cookie", cookies.join("; "));
        let request = request.query(id.as_ref().map_or(String::new(), |id| format!("id={id}")));
        let decision = decided::check(&policy, &request);
        match routes.iter().position(|route| sent.contains(route)) {
            Some(first) => {
                prop_assert_eq!(decision.reason, Reason::Route(first as u32));
                prop_assert_eq!(&policy.releases[decision.release].name, release(routes[first]));
            }
            None => prop_assert_eq!(decision.reason, if id.is_some() { Reason::Split } else { Reason::Anonymous }),
        }
    }
}
