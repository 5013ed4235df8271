//! `Set-Cookie` lines of the module's own cookies. Used by the visitor, remember, keep and pin cookies.

use std::fmt::Write;

/// The longest value that browsers are sure to keep beside a name and attributes (RFC 6265 section 6.1).
pub const MAX_VALUE: usize = 3500;

/// The age of a cookie in seconds. The clock of the machine that issued it may be ahead of ours, by a day at most.
pub fn age(issued: u64, now: u64) -> Option<u64> {
    (issued <= now.saturating_add(86_400)).then(|| now.saturating_sub(issued))
}

/// The default name of a cookie: two policies on one host do not share it.
pub fn name(kind: &str, policy: &str) -> String {
    match policy {
        "default" => format!("lobechat_{kind}"),
        _ => format!("lobechat_{kind}_{policy}"),
    }
}

/// The value of the line (RFC 6265 section 4.1); `max_age` in seconds.
pub fn line(name: &str, value: impl std::fmt::Display, max_age: u64, secure: bool) -> String {
    let mut text = String::with_capacity(160);
    // Writing to a String cannot fail.
    let _ = write!(text, "{name}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Lax");
    if secure {
        text.push_str("; Secure");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(name("visitor", "default"), "lobechat_visitor");
        assert_eq!(name("keep", "chat"), "lobechat_keep_chat");
    }

    #[test]
    fn ages() {
        for (issued, now, expected) in [
            (5, 7, Some(2)),
            (7, 7, Some(0)),
            (9, 7, Some(0)),
            (86_407, 7, Some(0)),
            (86_408, 7, None),
            (1, u64::MAX, Some(u64::MAX - 1)),
        ] {
            assert_eq!(age(issued, now), expected, "{issued} at {now}");
        }
    }
}
