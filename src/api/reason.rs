//! Why somebody changes something, as far as the body of the request says so: ours, or that of an alerting system's
//! webhook, so that these can pull the cord without a translator.

use serde_json::Value;

/// The longest reason that is kept, in characters.
const LONGEST: usize = 300;

/// The reason in a body, which may be any JSON: `reason`; an Alertmanager's `commonAnnotations.summary` or the names of its
/// alerts; the title of a Sentry event.
pub fn of(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let reason = text("/reason")
        .or_else(|| text("/commonAnnotations/summary"))
        .or_else(|| alert_names(body.get("alerts")?))
        .or_else(|| text("/data/event/title"))
        .or_else(|| text("/data/issue/title"))?;
    Some(shown(&reason)).filter(|reason| !reason.is_empty())
}

/// The names of an Alertmanager's alerts, each once.
fn alert_names(alerts: &Value) -> Option<String> {
    let mut names: Vec<&str> =
        alerts.as_array()?.iter().filter_map(|alert| alert.pointer("/labels/alertname")?.as_str()).collect();
    names.dedup();
    (!names.is_empty()).then(|| format!("alert {}", names.join(", ")))
}

/// What somebody wrote as it may be shown: in one line, and not longer than it helps.
pub fn shown(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let shown: String = plain.skip_while(|c| *c == ' ').take(LONGEST + 1).collect();
    let shown = shown.trim_end();
    match shown.char_indices().nth(LONGEST) {
        None => shown.to_owned(),
        Some((end, _)) => format!("{}…", &shown[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The webhook bodies are shortened from those that the systems' documentation shows.
    #[test]
    fn reasons_of_people_and_of_webhooks() {
        for (body, reason) in [
            (r#"{"reason":"blank pages"}"#, Some("blank pages")),
            (r#"{"reason":" two\nlines\u0000 "}"#, Some("two lines")),
            (r#"{"reason":7}"#, None),
            (r#"{"reason":""}"#, None),
            (r#"{"x":1}"#, None),
            ("[]", None),
            ("7", None),
            (
                r#"{"version":"4","status":"firing","commonLabels":{"alertname":"High5xx"},
                    "commonAnnotations":{"summary":"5xx on canary above 2%"},
                    "alerts":[{"status":"firing","labels":{"alertname":"High5xx"}}]}"#,
                Some("5xx on canary above 2%"),
            ),
            (
                r#"{"version":"4","status":"firing","commonAnnotations":{},
                    "alerts":[{"labels":{"alertname":"High5xx"}},{"labels":{"alertname":"High5xx"}},{"labels":{"alertname":"Slow"}},{}]}"#,
                Some("alert High5xx, Slow"),
            ),
            (r#"{"alerts":[]}"#, None),
            (
                r#"{"action":"triggered","data":{"event":{"title":"TypeError: x is undefined"},"triggered_rule":"r"}}"#,
                Some("TypeError: x is undefined"),
            ),
        ] {
            assert_eq!(of(body.as_bytes()).as_deref(), reason, "{body}");
        }
    }

    #[test]
    fn long_reasons_are_cut() {
        let body = format!(r#"{{"reason":"{}"}}"#, "ä".repeat(1000));
        let reason = of(body.as_bytes()).unwrap();
        assert_eq!((reason.chars().count(), reason.ends_with("ä…")), (LONGEST + 1, true));
        assert_eq!(shown(&"x".repeat(LONGEST)), "x".repeat(LONGEST));
    }
}
