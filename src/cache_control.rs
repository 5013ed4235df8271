//! `Cache-Control` for a page, and for an answer that carries a cookie of ours: no shared cache may hand one user's
//! release or id to another. Used by the header filter.

use memchr::memmem;

/// Headers by which only shared caches are addressed; such an answer must not carry them.
pub const SHARED_CACHE_HEADERS: [&[u8]; 4] = [
    b"CDN-Cache-Control",
    b"Cloudflare-CDN-Cache-Control",
    b"Vercel-CDN-Cache-Control",
    b"Surrogate-Control",
];

/// `value` without what lets shared caches store the answer, and with `private` (RFC 9111 section 5.2.2).
pub fn make_private(value: &[u8]) -> Vec<u8> {
    let mut kept = b"private".to_vec();
    for directive in split_directives(value) {
        let name =
            directive.split(|&b| b == b'=').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
        // `private="field"` protects that field only, so it goes in favour of the plain form.
        if !directive.is_empty() && !matches!(name.as_slice(), b"public" | b"s-maxage" | b"private") {
            kept.extend_from_slice(b", ");
            kept.extend_from_slice(directive);
        }
    }
    kept
}

/// Whether `value` lets shared caches store the answer by name.
pub fn is_for_shared_caches(value: &[u8]) -> bool {
    split_directives(value).any(|directive| {
        let name = directive.split(|&b| b == b'=').next().unwrap_or_default().trim_ascii();
        name.eq_ignore_ascii_case(b"public") || name.eq_ignore_ascii_case(b"s-maxage")
    })
}

/// Whether nothing has to be done to `value`.
pub fn is_private(value: &[u8]) -> bool {
    split_directives(value).any(|directive| directive.eq_ignore_ascii_case(b"private"))
        && !is_for_shared_caches(value)
}

/// Whether a cache's key holds `name` outside of texts that say nothing of the release.
pub fn names(key: &[u8], name: &[u8], others: &[&[u8]]) -> bool {
    let covers = |other: &[u8], at: usize| {
        memmem::find_iter(key, other).any(|start| start <= at && at + name.len() <= start + other.len())
    };
    let is_said_by = |other: &[u8], at: usize| other.len() > name.len() && covers(other, at);
    memmem::find_iter(key, name).any(|at| !others.iter().any(|other| is_said_by(other, at)))
}

/// Splits at commas outside of quoted strings, in which a backslash keeps the next byte (RFC 9110 section 5.6.4).
fn split_directives(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    value
        .split(move |&b| {
            quoted ^= b == b'"' && !escaped;
            escaped = quoted && b == b'\\' && !escaped;
            b == b',' && !quoted
        })
        .map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant_for_shared_caches() {
        for (value, is_meant) in [
            ("public, max-age=60", true),
            ("max-age=0, S-MaxAge = 5", true),
            ("private, no-store", false),
            ("Private", false),
            ("max-age=60", false),
            ("no-cache, x=\"private\"", false),
            ("public, private", true),
            ("no-cache=\"a, public\"", false),
            ("", false),
        ] {
            assert_eq!(is_for_shared_caches(value.as_bytes()), is_meant, "{value}");
            assert_eq!(
                is_private(value.as_bytes()),
                ["private, no-store", "Private"].contains(&value),
                "{value}"
            );
        }
    }

    #[test]
    fn keys_that_name_a_release() {
        let others: [&[u8]; 3] = [b"/chat?canary=lobe_b", b"canary.example", b"lobechat_canary"];
        for (key, name, expected) in [
            ("httplobechat_canary/chat?canary=lobe_b", "canary", false),
            ("httplobechat_canary/chat?canary=lobe_b", "lobe_b", false),
            ("canaryhttplobechat_canary/chat?canary=lobe_b", "canary", true),
            ("lobe_bcanary.example/chat?canary=lobe_b", "lobe_b", true),
            ("httpcanary.example/chat?canary=lobe_b", "canary", false),
            ("lobechat_canary_b/chat?canary=lobe_b", "lobechat_canary_b", true),
            ("lobechat_canary", "lobechat_canary", true),
            ("", "canary", false),
        ] {
            assert_eq!(names(key.as_bytes(), name.as_bytes(), &others), expected, "{key} {name}");
        }
    }

    #[test]
    fn keeps_what_speaks_to_browsers() {
        for (before, after) in [
            ("", "private"),
            ("public, max-age=60", "private, max-age=60"),
            ("s-maxage=31536000, stale-while-revalidate", "private, stale-while-revalidate"),
            ("Public,S-MaxAge = 5 , no-cache", "private, no-cache"),
            ("private, no-store", "private, no-store"),
            ("private=\"set-cookie, x\", max-age=1", "private, max-age=1"),
            ("no-cache=\"a, public\"", "private, no-cache=\"a, public\""),
            ("x=\"\\\"\", public", "private, x=\"\\\"\""),
        ] {
            assert_eq!(String::from_utf8_lossy(&make_private(before.as_bytes())), after, "{before}");
        }
    }
}
