use crate::report::Runs;
use crate::rollout::Rollout;
use crate::tally::{SHIPPED, Unit};
use crate::traffic::*;
use crate::{HOUR, MINUTE};

#[test]
fn explore1() {
    for base in [0.0, 0.001, 0.01] {
        for (name, unit) in [
            ("req", Unit::Request),
            ("min", Unit::Bucket { recount: MINUTE, strata: false }),
            ("min strata", Unit::Bucket { recount: MINUTE, strata: true }),
            ("hour", Unit::Bucket { recount: HOUR, strata: false }),
            ("ship", SHIPPED),
        ] {
            let r = Rollout {
                unit,
                traffic: Traffic { special: 0.01, ..USUAL },
                fails: Box::new(move |_, _, k| if k == 1 { 0.6 } else { base }),
                ..Default::default()
            };
            Runs::of(&format!("1% fail 60% base {base} {name}"), 1000, &r);
        }
    }
    for (special, users, pop) in [(0.003, 100, 500), (0.003, 100, 2000), (0.01, 100, 300)] {
        for w in [0.01, 0.1] {
            for base in [0.0, 0.01] {
                for (name, unit) in
                    [("hour", Unit::Bucket { recount: HOUR, strata: false }), ("ship", SHIPPED)]
                {
                    let r = Rollout {
                        unit,
                        seconds: 24 * HOUR,
                        weight: Box::new(move |_| w),
                        traffic: Traffic { special, users, crowd: Crowd::Regulars(pop), ..USUAL },
                        fails: Box::new(move |_, _, k| if k == 1 { 0.98 } else { base }),
                        ..Default::default()
                    };
                    Runs::of(&format!("regulars {pop} {special} fail 98% w {w} base {base} {name}"), 150, &r);
                }
            }
        }
    }
}
