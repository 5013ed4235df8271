//! Values that are written and read: percentages and visitor cookies.

use lobechat_canary::percent::Percent;
use lobechat_canary::visitor;
use proptest::prelude::*;

use crate::cases;
use crate::checks::model;

proptest! {
    #![proptest_config(cases(1024))]

    /// A share parses to its number and is printed as it parses; an error advises only what would be accepted.
    #[test]
    fn percentages(text in prop_oneof!["[0-9]{0,6}[.]?[0-9]{0,4}%?", "[-+.0-9eE%naif ]{0,8}", any::<String>()]) {
        match Percent::parse(&text) {
            Ok(percent) => {
                prop_assert_eq!(Percent::parse(&percent.to_string()), Ok(percent));
                let number: f64 = text.trim_end_matches('%').parse().unwrap();
                prop_assert!((0.0..=100.0).contains(&number), "{number}");
                prop_assert!((number * 100.0 - f64::from(percent.basis_points())).abs() < 1e-6);
            }
            Err(error) => {
                let head = format!("invalid percentage \"{text}\": ");
                let advice = error.strip_prefix(&head).expect("the text in quotes");
                for spelling in advice.split('"').skip(1).step_by(2) {
                    prop_assert!(Percent::parse(spelling).is_ok(), "{error}");
                }
            }
        }
    }

    #[test]
    fn visitor_cookies_are_read_as_written(random in any::<[u8; 16]>(), day in 0..1_000_000_u32, secure in any::<bool>()) {
        let id = visitor::digits(random);
        let value = value_set(&id, day, secure);
        prop_assert_eq!(visitor::parse(value.as_bytes()), Some((&id, day)));
        prop_assert_eq!(model::visitor(value.as_bytes()), Some((id, day)));
    }

    /// What looks like one of our cookies is known only if that is what we would write.
    #[test]
    fn other_visitor_cookies_are_unknown(
        value in "([0-9a-f]{32}|[0-9a-f]{32}|[0-9a-fA-F]{32}|[0-9a-g]{31,33})(\\.|\\.|\\.|\\.\\.|)(0|0?[0-9]{1,6}|[0-9]{0,8})( |\u{e9}|)",
        secure in any::<bool>(),
    ) {
        let parsed = visitor::parse(value.as_bytes());
        prop_assert_eq!(parsed.map(|(id, day)| (*id, day)), model::visitor(value.as_bytes()));
        if let Some((id, day)) = parsed {
            prop_assert_eq!(value_set(id, day, secure), value);
        }
    }
}

/// The value in a `Set-Cookie` of ours.
fn value_set(id: &[u8; 32], day: visitor::Day, secure: bool) -> String {
    let text = visitor::set_cookie("v", id, day, secure);
    text.split(';').next().and_then(|pair| pair.strip_prefix("v=")).unwrap().to_owned()
}
