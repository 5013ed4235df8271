use crate::report::Runs;
use crate::rollout::Rollout;

#[test]
fn independent_failures() {
    for p in [0.001, 0.01, 0.05] {
        let rollout = Rollout { fails: Box::new(move |_, _, _| p), ..Default::default() };
        Runs::of(&format!("equal, p {} %", p * 100.0), 10_000, &rollout).assert_keeps(0.001);
    }
}
